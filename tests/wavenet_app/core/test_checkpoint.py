"""Checkpoints: whole or not at all, and never executed."""

import errno
import math
import os
import pickle
import random

import pytest
import torch

from wavenet_app.core import files
from wavenet_app.core.checkpoint import read_checkpoint, write_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.tensors import not_finite


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "run" / "last.pth"
    write_checkpoint(path, "test", {"weights": {"a": torch.arange(3)}, "step": 5, "name": "x", "none": None})
    content = read_checkpoint(path, "test")
    assert torch.equal(content["weights"]["a"], torch.arange(3))
    assert (content["step"], content["name"], content["none"]) == (5, "x", None)
    assert [file.name for file in path.parent.iterdir()] == ["last.pth"]


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_file_cut_short_is_said_to_be(tmp_path, keep):
    path = tmp_path / "a.pth"
    write_checkpoint(path, "test", {"weights": torch.zeros(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match=r"a\.pth"):
        read_checkpoint(path, "test")


class Bomb:
    """Creates a file when unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("bare", [True, False])
def test_a_pickle_bomb_is_refused_and_does_not_go_off(tmp_path, bare):
    path, target = tmp_path / "bomb.pth", tmp_path / "exploded"
    if bare:
        path.write_bytes(pickle.dumps(Bomb(target)))
    else:
        torch.save({"format": "wavegen-test", "version": 1, "weights": Bomb(target)}, path)
    with pytest.raises(UserError, match="refused"):
        read_checkpoint(path, "test")
    assert not target.exists()


def test_other_kinds_newer_versions_and_absent_files_are_named(tmp_path):
    path = tmp_path / "a.pth"
    write_checkpoint(path, "test", {})
    with pytest.raises(UserError, match="not a wavegen wavenet checkpoint"):
        read_checkpoint(path, "wavenet")
    torch.save({"format": "wavegen-test", "version": 99}, path)
    with pytest.raises(UserError, match="newer wavegen"):
        read_checkpoint(path, "test")
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="not a wavegen test checkpoint"):
        read_checkpoint(path, "test")
    with pytest.raises(UserError, match="no checkpoint"):
        read_checkpoint(tmp_path / "absent.pth", "test")


def test_a_full_disk_leaves_the_old_file_whole_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    write_checkpoint(path, "test", {"step": 1})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match=r"a\.pth: No space left on device"):
        write_checkpoint(path, "test", {"step": 2})
    assert read_checkpoint(path, "test")["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_tensor_that_is_not_finite_is_refused_by_its_name(tmp_path, number):
    path = tmp_path / "a.pth"
    write_checkpoint(
        path, "test", {"best": math.inf, "weights": {"front": torch.zeros(2), "last": torch.tensor([0, number])}}
    )
    with pytest.raises(UserError, match=r"a\.pth holds NaN or infinity in weights\.last"):
        read_checkpoint(path, "test")


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "a.pth"
    original = {"weights": {"a": torch.arange(300.0), "b": torch.arange(40)}, "step": 5, "best": 0.5}
    write_checkpoint(path, "test", original)
    whole = path.read_bytes()
    software = read_checkpoint(path, "test")["software"]
    refusals = []
    for place in random.Random(0).sample(range(8 * len(whole)), 400):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            content = read_checkpoint(path, "test")
        except UserError as error:
            refusals.append(str(error))
            continue
        for name, tensor in original["weights"].items():
            assert torch.equal(content["weights"][name], tensor)
        assert (content["step"], content["best"], content["software"]) == (5, 0.5, software)
    assert len(refusals) > 100
    assert not any("weights_only" in refusal for refusal in refusals)  # torch advises to read a damaged file unsafely


def test_a_file_of_the_older_format_without_checksums_is_read(tmp_path):
    path = tmp_path / "old.pth"
    content = {"format": "wavegen-test", "version": 1, "weights": {"a": torch.arange(3)}}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_checkpoint(path, "test")["weights"]["a"], torch.arange(3))


@pytest.mark.parametrize(("value", "found"), [(1.0, None), (float("nan"), "a.b")])
def test_floats_of_eight_bits_are_looked_at_too(value, found):
    content = {"a": {"b": torch.tensor([value]).to(torch.float8_e4m3fn)}}
    assert not_finite(content) == found
