"""Settings: presets, overrides, and a clear word for what does not fit."""

import pytest
from pydantic import ValidationError

from wavenet_app.config import preset
from wavenet_app.errors import UserError
from wavenet_app.settings import override, parse_assignments, read_config_file


def test_presets_have_the_shapes_of_the_literature():
    small, base = preset("small").model, preset("base").model
    assert (small.residual_channels, small.dilation_channels, small.skip_channels) == (32, 32, 128)
    assert (len(small.dilations), small.receptive_field) == (20, 2048)
    assert (base.residual_channels, base.dilation_channels, base.skip_channels) == (64, 64, 256)
    assert (len(base.dilations), base.receptive_field) == (30, 3071)
    assert base.multiply_accumulates == pytest.approx(1.24e6, rel=0.01)
    assert len(preset("large").model.dilations) == 40


def test_unknown_preset_lists_the_known():
    with pytest.raises(UserError, match=r"'huge'.*tiny, small, base, large"):
        preset("huge")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.skp_channels=3", "no setting called model.skp_channels; did you mean model.skip_channels"),
        ("modl.skip_channels=3", "no setting called modl; did you mean model"),
        ("model.kernel_size=7", "model.kernel_size = 7"),
        ("model.dilations=[]", "at least one dilation"),
        ("model.dilations=[0]", "each at least 1"),
        ("model.quantization_channels=100", "power of two"),
        ("training.seed=abc", "training.seed = 'abc'"),
        ("model.skip_channels", "takes section.field=value"),
        ("a.b.c=1", "takes section.field=value"),
    ],
)
def test_what_does_not_fit_is_named(assignment, message):
    with pytest.raises(UserError, match=message):
        override(preset("small"), parse_assignments([assignment]))


def test_override_leaves_the_rest_alone():
    changed = override(preset("base"), parse_assignments(["model.skip_channels=512", "name=mine"]))
    assert changed.model.skip_channels == 512
    assert changed.model.residual_channels == 64
    assert changed.name == "mine"


def test_config_file_is_laid_over_a_preset(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[model]\ndilations = [1, 2, 4]\n[training]\nlearning_rate = 0.001\n", encoding="utf-8")
    changed = override(preset("small"), read_config_file(path))
    assert changed.model.dilations == (1, 2, 4)
    assert changed.training.learning_rate == 0.001


def test_broken_config_file_is_named(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[model\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"run\.toml is not valid TOML"):
        read_config_file(path)
    with pytest.raises(UserError, match="cannot read"):
        read_config_file(tmp_path / "absent.toml")


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        preset("small").model.skip_channels = 3
