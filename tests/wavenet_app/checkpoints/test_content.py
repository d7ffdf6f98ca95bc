"""A checkpoint of a WaveNet, whatever is in it, gives a model or one line."""

import resource
import tracemalloc
import zipfile

import pytest
import torch
from content_mutations import mutated, used
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_nets import SHAPES, random_net
from run_content import wavenet_content

from wavenet_app.checkpoints.content import WaveNetContent
from wavenet_app.checkpoints.info import describe
from wavenet_app.checkpoints.trained import KIND, Trained, export, load_trained, plain_config
from wavenet_app.config import MelConfig, ModelConfig, RunConfig
from wavenet_app.core.checkpoint import read_checkpoint, write_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import read_resumed
from wavenet_app.network.model import WaveNet
from wavenet_app.network.shapes import parameter_shapes

SMALL = ModelConfig(residual_channels=2, dilation_channels=3, skip_channels=4, dilations=(1, 2), speakers=("a", "b"))


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_known_before_a_net_is_built(shape):
    own = {name: tuple(tensor.shape) for name, tensor in random_net(SHAPES[shape], 0).state_dict().items()}
    assert parameter_shapes(SHAPES[shape]) == own


@pytest.mark.parametrize("head", ["mu-law", "logistics", "gaussian"])
@pytest.mark.parametrize("melody", [True, False, None])
def test_shapes_are_known_with_every_head_and_condition(head, melody):
    model = SMALL.model_copy(update={"head": head, "mel": MelConfig(melody=melody), "speakers": ("a",)})
    own = {name: tuple(tensor.shape) for name, tensor in WaveNet(model).state_dict().items()}
    assert parameter_shapes(model) == own


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_gives_a_model_or_one_line(tmp_path, seed):
    path = tmp_path / "best.pth"
    content = mutated(wavenet_content(SMALL), seed)
    torch.save({"format": f"wavegen-{KIND}", "version": 1, **content}, path)
    for use in (
        load_trained,
        describe,
        lambda path: export(path, tmp_path / "out.pth"),
        lambda path: read_resumed(str(path), tmp_path, KIND, WaveNetContent, called="run", otherwise=""),
    ):
        result = used(use, path)
        if isinstance(result, Trained):
            assert all(tensor.isfinite().all() for tensor in result.model.state_dict().values())


@pytest.mark.parametrize("version", [None, "1", 2.5, [], 10**30])
def test_the_version_is_checked(tmp_path, version):
    path = tmp_path / "best.pth"
    torch.save({"format": f"wavegen-{KIND}", "version": version, **wavenet_content(SMALL)}, path)
    with pytest.raises(UserError, match=r"version|newer"):
        load_trained(path)


def test_a_small_file_does_not_take_the_memory_of_a_large_model(tmp_path):
    content = wavenet_content(SMALL)
    content["config"]["model"].update(residual_channels=16_000, dilation_channels=16_000)
    path = tmp_path / "best.pth"
    write_checkpoint(path, KIND, content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"do not match its config \(front\.tables has the shape \(2, 256, 2\), not"):
        load_trained(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_tensors_that_stand_for_terabytes_are_refused(tmp_path):
    path = tmp_path / "best.pth"
    torch.save(torch.zeros(1).expand(2**40, 80), path)
    with pytest.raises(UserError, match=r"has [\d,]+ bytes, but its tensors would take 351,843,720,888,320"):
        load_trained(path)


def test_a_packed_archive_is_not_unpacked(tmp_path):
    plain, packed = tmp_path / "plain.pth", tmp_path / "packed.pth"
    torch.save({"format": f"wavegen-{KIND}", "version": 1, "weights": torch.zeros(10**7)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    tracemalloc.start()
    with pytest.raises(UserError, match="would unpack to 40,0"):
        load_trained(packed)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_absent_settings_get_their_defaults(tmp_path):
    path = tmp_path / "best.pth"
    content = wavenet_content(SMALL)
    write_checkpoint(path, KIND, {"config": {"model": content["config"]["model"]}, "weights": content["weights"]})
    read = read_checkpoint(path, KIND, WaveNetContent)
    assert read["config"] == plain_config(RunConfig(model=SMALL))
    assert read["history"] == []
    assert "training" not in read
