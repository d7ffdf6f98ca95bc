"""A kernel of clusters compiled for the CPU with `cluster_emulation.h`, and what the tests of such engines share."""

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_contract import SETTINGS, assert_picked_by
from numpy.typing import NDArray
from random_nets import full_network, random_codes

from fast_gen.engines.gpu.cluster.base import ClusterEngine, beside
from fast_gen.engines.gpu.cluster.packing import Division, Macros
from fast_gen.engines.gpu.prediction import DevicePredictor
from fast_gen.engines.sampling import uniforms
from wavenet_app.config import ModelConfig

TINY = {
    "two taps": ModelConfig(
        residual_channels=5, dilation_channels=3, skip_channels=20, dilations=(1, 3, 2), quantization_channels=32
    ),
    "three taps": ModelConfig(
        residual_channels=17,
        dilation_channels=6,
        skip_channels=4,
        kernel_size=3,
        dilations=(2, 1, 4, 1),
        quantization_channels=8,
    ),
    "one layer": ModelConfig(
        residual_channels=4, dilation_channels=20, skip_channels=70, dilations=(1,), quantization_channels=64
    ),
}
MAIN = "static void thread_body() { append_codes(*arguments); end_thread(); }"


class EmulatedKernel:
    """Takes the place of `fast_gen.engines.gpu.cluster.nvrtc.ClusterKernel`.

    Args:
        engine: whose kernel it is.
        macros: what it wants to have defined.
        division: of the model.
        folder: to write into.
        order: of the threads, see `cluster_emulation.h`.
        clusters: how many the device runs at a time.
    """

    def __init__(
        self,
        engine: type[ClusterEngine],
        macros: Macros,
        division: Division,
        folder: Path,
        order: int,
        clusters: int = 1,
    ) -> None:
        text = "".join(beside(name).read_text() for name in engine.files if "primitives" not in name)
        shim = Path(__file__).with_suffix(".h").read_text()
        source, library = folder / "emulated.cpp", folder / f"emulated{len(list(folder.iterdir()))}.so"
        source.write_text(f"{shim}\n{text}\n{MAIN}\n")
        options = ["-O1", "-std=c++17", "-shared", "-fPIC", "-w", "-U_FORTIFY_SOURCE"]
        defined = [f"-D{name}={value}" for name, value in macros.items()]
        subprocess.run(["g++", *options, *defined, "-o", str(library), str(source)], check=True)
        self.library, self.division, self.order, self.clusters = ctypes.CDLL(str(library)), division, order, clusters

    def most_clusters(self) -> int:
        """Returns how many clusters the device runs at a time."""
        return self.clusters

    def launch(self, clusters: int, arguments: ctypes.Structure) -> None:
        """Runs some clusters, one after the other."""
        division = self.division
        self.library.emulate(
            ctypes.byref(arguments), clusters, division.blocks, division.threads, division.shared_bytes, self.order
        )


class OnTheCpu:
    """What an engine with an `EmulatedKernel` does in another way than on a GPU; comes before the engine's class."""

    _rings: Any

    @staticmethod
    def _shared_bytes() -> None:
        return None

    def _solve(self, prediction: DevicePredictor) -> None:
        prediction.solve(self._rings.recent[:, -1])


def need_compiler() -> None:
    """Skips a test where kernels cannot be compiled for the CPU."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to compile the kernel for the CPU")


@contextmanager
def needs_nvrtc() -> Iterator[None]:
    """Skips a test that compiles for a GPU where the compiler is not installed."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed", exc_type=ImportError)
    try:
        yield
    except RuntimeError as error:
        if "libnvrtc" in str(error):
            pytest.skip(f"NVRTC is not installed: {error}")
        raise


def assert_calls_equal_the_full_network(
    engine: ClusterEngine, net: torch.nn.Module, clips: int, precision: str
) -> None:
    """Scores, generates, primes and scores again after a reset, and compares with the full network."""
    tolerance = 1e-4 if precision == "float32" else 0.3
    known: NDArray[np.int64] = random_codes(net.config, clips, 20)
    known[: clips // 2, 3:6] = known[clips // 2 :, 17:] = net.config.coding.silence
    numbers = uniforms(4, rows=clips, length=8)
    first = engine.score(known[:, :6])
    made = engine.generate(numbers, SETTINGS["quiet"])
    engine.prime(known[:, 6:13])
    last = engine.score(known[:, 13:])
    again = engine.generate(numbers, SETTINGS["quiet"])
    before = np.concatenate([known[:, :6], made, known[:, 6:]], axis=1)
    logits = full_network(net, np.concatenate([before, again], axis=1))
    np.testing.assert_allclose(first, logits[:, :6], atol=tolerance, rtol=0)
    np.testing.assert_allclose(last, logits[:, 21:28], atol=tolerance, rtol=0)
    if precision == "float32":
        assert_picked_by(logits[:, 6:14], made, numbers, SETTINGS["quiet"], tolerance, net.head, known[:, :6])
        assert_picked_by(logits[:, 28:], again, numbers, SETTINGS["quiet"], tolerance, net.head, before)
