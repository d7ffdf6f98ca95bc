"""A voice's file gives its model with bfloat16 weights, and any damage to it is one line."""

import json

import pytest
import torch
from content_mutations import mutated, used
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_checkpoint import write_random_checkpoint, write_random_voice
from random_nets import SHAPES

from segmentation.checkpoints.names import holds_deeplab
from wavenet_app.checkpoints import voice_file
from wavenet_app.checkpoints.info import describe
from wavenet_app.checkpoints.trained import Trained, export, load_trained, read_trained
from wavenet_app.checkpoints.voice_file import read_plain_voice, write_voice
from wavenet_app.checkpoints.voices import ShippedVoice, read_shipped_voice
from wavenet_app.config import ModelConfig
from wavenet_app.core.errors import UserError
from wavenet_app.core.safetensors_file import file_of, read_parts, read_safetensors

SMALL = ModelConfig(residual_channels=2, dilation_channels=3, skip_channels=4, dilations=(1, 2), speakers=("a", "b"))


def rewritten(path, change, **metadata) -> None:
    """Replaces the content of a voice by what `change` makes of it, with a digest that fits."""
    parts = read_parts(path)
    text = json.dumps(change(json.loads(parts.metadata["content"])), default=repr)
    digest = voice_file._digest(text, parts.entries, parts.numbers)
    path.write_bytes(
        file_of({**parts.metadata, "content": text, "sha256": digest, **metadata}, parts.entries, bytes(parts.numbers))
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_voice_is_the_model_in_bfloat16(shape, tmp_path):
    exact = load_trained(write_random_checkpoint(tmp_path / "a.pth", SHAPES[shape]))
    voice = load_trained(write_random_voice(tmp_path / "a.safetensors", SHAPES[shape]))
    assert voice.config == exact.config
    expected = exact.model.state_dict()
    for name, tensor in voice.model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].bfloat16().float()), name
    assert (tmp_path / "a.safetensors").stat().st_size < 0.75 * (tmp_path / "a.pth").stat().st_size


def test_any_program_that_knows_the_format_reads_the_weights(tmp_path):
    path = write_random_voice(tmp_path / "a.safetensors", SMALL)
    tensors = read_safetensors(path)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    header_length = int.from_bytes(path.read_bytes()[:8], "little")
    assert header_length % 8 == 0
    header = json.loads(path.read_bytes()[8 : 8 + header_length])
    ends = [0, *(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")]
    begins = [entry["data_offsets"][0] for name, entry in header.items() if name != "__metadata__"]
    assert begins == ends[:-1]  # no gaps
    assert ends[-1] == path.stat().st_size - 8 - header_length
    assert all(isinstance(value, str) for value in header["__metadata__"].values())


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    path = write_random_voice(tmp_path / "a.safetensors", SMALL)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 37), len(whole) - 1]:
        changed = bytearray(whole)
        changed[place] ^= 4
        path.write_bytes(changed)
        with pytest.raises(UserError):
            load_trained(path)


@pytest.mark.parametrize("length", [0, 5, 8, 300, -1])
def test_a_file_that_is_cut_short_is_one_line(length, tmp_path):
    path = write_random_voice(tmp_path / "a.safetensors", SMALL)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="damaged"):
        read_trained(path)
    with pytest.raises(UserError, match="damaged"):
        read_shipped_voice(path)


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_of_the_content_gives_a_model_or_one_line(tmp_path, seed):
    path = write_random_voice(tmp_path / "a.safetensors", SMALL)
    try:
        rewritten(path, lambda plain: mutated(plain, seed))
    except ValueError:  # a list that holds itself, which JSON cannot say
        return
    for use in (load_trained, describe, read_shipped_voice, lambda path: export(path, tmp_path / "out.pth")):
        result = used(use, path)
        assert not isinstance(result, Trained) or all(
            tensor.isfinite().all() for tensor in result.model.state_dict().values()
        )
        if isinstance(result, ShippedVoice):
            assert isinstance(result.steps, int)


def test_weights_of_another_shape_or_not_finite_are_refused(tmp_path):
    path = write_random_voice(tmp_path / "a.safetensors", SMALL)
    content = read_trained(path)
    content["weights"]["output2.bias"][0] = torch.nan
    write_voice(path, content)
    with pytest.raises(UserError, match=r"NaN or infinity in output2\.bias"):
        load_trained(path)
    rewritten(path, lambda plain: {**plain, "config": {**plain["config"], "model": {"dilations": [1, 2]}}})
    with pytest.raises(UserError, match="do not match its config"):
        load_trained(path)


def test_overlapping_tensors_are_refused(tmp_path):
    path = write_random_voice(tmp_path / "a.safetensors", SMALL)
    parts = read_parts(path)
    entries = {name: {"dtype": "BF16", "shape": [40], "data_offsets": [0, 80]} for name in map(str, range(1_000))}
    path.write_bytes(file_of(parts.metadata, entries, bytes(parts.numbers)))
    with pytest.raises(UserError, match="overlap"):
        read_safetensors(path)


def test_other_kinds_and_newer_versions_are_named(tmp_path):
    path = write_random_voice(tmp_path / "a.safetensors", SMALL)
    assert not holds_deeplab(path)
    rewritten(path, lambda plain: {**plain, "version": 99})
    with pytest.raises(UserError, match="written by a newer wavegen"):
        read_trained(path)
    rewritten(path, lambda plain: plain, format="pt")
    assert holds_deeplab(path)
    with pytest.raises(UserError, match="is not a wavegen wavenet checkpoint"):
        read_trained(path)


def test_a_voice_without_licence_is_no_voice(tmp_path):
    path = write_random_voice(tmp_path / "a.safetensors", SMALL)
    rewritten(path, lambda plain: {name: value for name, value in plain.items() if name != "voice"})
    assert read_plain_voice(path)["validation"] == 3.75
    load_trained(path)
    with pytest.raises(UserError, match="does not describe a voice"):
        read_shipped_voice(path)
