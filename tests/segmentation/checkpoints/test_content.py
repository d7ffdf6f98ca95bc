"""A DeepLab's file, ours or not, whatever is in it, gives a model or one line."""

import pytest
import torch
from content_mutations import mutated, used
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from run_content import deeplab_content

from segmentation.checkpoints.info import describe
from segmentation.checkpoints.pretrained import KIND, load_pretrained, read_pretrained
from segmentation.checkpoints.segmenter import load_segmenter
from segmentation.config import SegmentationConfig, SegmentationModelConfig
from segmentation.network.deeplab import build_model
from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.errors import UserError

SMALL = SegmentationConfig(model=SegmentationModelConfig(backbone="dilated", num_classes=3, aspp_channels=4))
WEIGHTS = build_model(SMALL.model).state_dict()


def content() -> dict:
    """Returns all that a run writes."""
    return deeplab_content(SMALL, WEIGHTS)


def use_all(path):
    for use in (lambda path: load_segmenter(path, 16), lambda path: describe(read_pretrained(path))):
        used(use, path)


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_gives_a_model_or_one_line(tmp_path, seed):
    path = tmp_path / "best.pth"
    torch.save({"format": f"wavegen-{KIND}", "version": 1, **mutated(content(), seed)}, path)
    use_all(path)


@example(229842)  # one norm lacks a tensor, so that those of all others do not fit
@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_of_a_bare_state_dict_gives_a_model_or_one_line(tmp_path, seed):
    path = tmp_path / "other.pth"
    torch.save(mutated({"model_state": dict(WEIGHTS), "epoch": 3}, seed), path)
    use_all(path)


@pytest.mark.parametrize("field", ["aspp_channels", "num_classes"])
def test_a_small_file_does_not_build_a_large_model(tmp_path, field, monkeypatch):
    changed = content()
    changed["config"]["model"][field] = 200
    for name in ("palette", "raw_ids", "classes"):
        del changed[name]
    path = tmp_path / "best.pth"
    write_checkpoint(path, KIND, changed)
    monkeypatch.setattr("segmentation.checkpoints.pretrained.build_model", None)
    with pytest.raises(UserError, match=rf"do not match its config \(model\.{field} = 200"):
        read_pretrained(path)


def test_what_a_run_writes_is_read(tmp_path):
    path = tmp_path / "best.pth"
    write_checkpoint(path, KIND, content())
    load_pretrained(read_pretrained(path))
    assert load_segmenter(path).table.names == ("a", "b", "c")
