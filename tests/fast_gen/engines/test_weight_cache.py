"""Kept weights are the checkpoint's, are never out of date, and spare the second start the import of torch."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES

from fast_gen.engines import weight_cache
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.config import preset

ROOT = Path(__file__).resolve().parents[3]


def kept(tmp_path, shape="odd widths", seed=0):
    """A cache that holds one checkpoint: cache, checkpoint, config and weights."""
    checkpoint = write_random_checkpoint(tmp_path / f"{seed}.pth", SHAPES[shape], seed=seed)
    trained = load_trained(checkpoint)
    weights = GeneratorWeights.of(trained.model)
    cache = WeightCache(tmp_path / "cache")
    assert cache.find(checkpoint) is None
    cache.keep(checkpoint, trained.config, weights)
    return cache, checkpoint, trained.config, weights


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_found_is_what_was_kept(tmp_path, shape):
    cache, checkpoint, config, weights = kept(tmp_path, shape)
    found_config, found = cache.find(checkpoint)
    assert found_config == config
    assert vars(found).keys() == vars(weights).keys()
    for name, value in vars(weights).items():
        np.testing.assert_array_equal(getattr(found, name), value)
        assert type(getattr(found, name)) is type(value)
    assert not found.skip.flags.writeable


def test_another_content_under_the_same_name_is_not_found(tmp_path):
    cache, checkpoint, *_ = kept(tmp_path)
    write_random_checkpoint(checkpoint, SHAPES["odd widths"], seed=1)
    assert cache.find(checkpoint) is None
    assert cache.find(tmp_path / "absent.pth") is None


def test_weights_that_are_not_finite_are_not_taken(tmp_path):
    cache, checkpoint, config, weights = kept(tmp_path)
    ruined = weights.output1.copy()
    ruined[0, 0] = np.nan
    cache.keep(checkpoint, config, replace(weights, output1=ruined))
    assert cache.find(checkpoint) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "pickled"])
def test_a_damaged_file_is_not_taken(tmp_path, damage):
    cache, checkpoint, config, weights = kept(tmp_path)
    file = next((tmp_path / "cache").glob("*.npz"))
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[content.index(weights.output1.tobytes()[:64]) + 5] ^= 1
    elif damage == "empty":
        content.clear()
    file.write_bytes(content)
    if damage == "pickled":
        with file.open("wb") as stream:
            np.savez(stream, **{**vars(weights), "config": np.array([config], dtype=object)})
    assert cache.find(checkpoint) is None
    cache.keep(checkpoint, config, weights)
    assert cache.find(checkpoint) is not None


def test_the_models_used_last_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_cache, "KEPT_MODELS", 2)
    cache, first, *_ = kept(tmp_path, seed=0)
    _, second, *_ = kept(tmp_path, seed=1)
    for age, file in enumerate(sorted((tmp_path / "cache").iterdir(), key=lambda path: path.stat().st_mtime)):
        os.utime(file, (age, age))
    assert cache.find(first) is not None
    _, third, *_ = kept(tmp_path, seed=2)
    assert [cache.find(path) is not None for path in (first, second, third)] == [True, False, True]


def test_where_nothing_can_be_kept_nothing_is_said(tmp_path):
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    cache, checkpoint, *_ = kept(tmp_path)
    assert cache.find(checkpoint) is None


def test_the_second_start_needs_no_torch_and_no_numba_and_gives_the_same_samples(tmp_path):
    checkpoint = write_random_checkpoint(tmp_path / "noise.pth", preset("tiny").model)
    code = (
        "import sys, cli\n"
        "try:\n"
        "    cli.main()\n"
        "finally:\n"
        "    print(*({'torch', 'numba', 'lightning', 'librosa', 'matplotlib'} & set(sys.modules)), file=sys.stderr)\n"
    )
    arguments = ["sample", str(checkpoint), "--stdout", "--seconds", "0.1", f"--data-dir={tmp_path / 'data'}"]
    runs = [
        subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert "read for the first time" in runs[0].stderr.decode()
    assert "read for the first time" not in runs[1].stderr.decode()
    assert "torch" in runs[0].stderr.decode().splitlines()[-1]
    assert runs[1].stderr.decode().splitlines()[-1] == ""
