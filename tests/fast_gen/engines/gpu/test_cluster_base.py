"""What all engines say whose kernel is a cluster."""

import pytest
from cluster_emulation import TINY
from random_nets import GAUSSIAN, LOGISTICS, random_net

from fast_gen.engines.gpu.cluster import base as cluster_base
from fast_gen.engines.gpu.cluster.base import ClusterEngine
from fast_gen.engines.gpu.cluster.engine import ClusterGpu
from fast_gen.engines.gpu.cluster.pipeline import PipelineGpu
from fast_gen.engines.gpu.triton_engine import TritonGpu
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset


@pytest.mark.parametrize("engine", [ClusterGpu, PipelineGpu])
def test_what_a_cluster_cannot_run_is_said(engine: type[ClusterEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 16-bit samples too: `cluster` picks them, `pipeline` does not."""
    monkeypatch.setattr(TritonGpu, "missing", classmethod(lambda *_: None))
    monkeypatch.setattr(cluster_base, "missing_nvrtc", lambda: None)
    monkeypatch.setattr(engine, "_shared_bytes", staticmethod(lambda: None))
    for head in (GAUSSIAN, LOGISTICS):
        weights = GeneratorWeights.of(random_net(TINY["two taps"].model_copy(update=head)))
        words = f"it takes mu-law codes alone, not the head {head['head']}" if engine is PipelineGpu else None
        assert engine.missing(weights, "cuda", "float32", 1) == words
    base = GeneratorWeights.of(random_net(preset("base").model))
    words = "the model does not fit into the 16 blocks of a cluster in float32"
    assert engine.missing(base, "cuda", "float32", 1) == words
    assert engine.missing(base, "cuda", "bfloat16", 1) is None
    monkeypatch.setattr(cluster_base, "missing_nvrtc", lambda: "no compiler")
    assert engine.missing(base, "cuda", "bfloat16", 1) == "no compiler"
