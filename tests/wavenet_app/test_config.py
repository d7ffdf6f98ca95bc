"""Settings: presets, overrides, and a clear word for what does not fit."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from segmentation.config import preset as segmentation_preset
from wavenet_app.config import MelConfig, preset
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_json
from wavenet_app.core.settings import override, parse_assignments, read_config_file


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
        ("model.skp_channels=3", "no setting called model.skp_channels; did you mean 'model.skip_channels'"),
        ("modl.skip_channels=3", "no setting called modl; did you mean 'model'"),
        ("model.kernel_size=7", "model.kernel_size = 7"),
        ("model.dilations=[]", "at least one dilation"),
        ("model.dilations=[0]", "each at least 1"),
        ("model.quantization_channels=100", "power of two"),
        ("training.seed=abc", "training.seed = 'abc'"),
        ("model.skip_channels", "takes section.field=value"),
        ("a.b.c=1", "no setting called a;"),
        ("model.mel.n_mls=3", "no setting called model.mel.n_mls; did you mean 'model.mel.n_mels'"),
        ("model.mel.n_mels=0", r"model.mel.n_mels = 0: must be at least 1$"),
        ("skip_channels=64", "no setting called skip_channels; did you mean 'model.skip_channels'.$"),
        ("training.skip_channels=64", "did you mean 'model.skip_channels'.$"),
        ("skip_chanels=64", "did you mean 'model.skip_channels'.$"),
        ("speakers=x", "did you mean 'model.speakers' or 'corpus.speakers'.$"),
        ("n_mels=64", "did you mean 'model.mel.n_mels'.$"),
        ("model=3", r"model = 3: this is a section; set one of its fields, such as model.residual_channels$"),
        ("model.dilations=4", r"model.dilations = 4: must be a list"),
        ("training.learning_rate=fast", "'fast': must be a number$"),
        ("training.batch_size=1.5", "1.5: must be a whole number$"),
        ("model.mel.melody=perhaps", "must be true or false$"),
        ("corpus.validation_fraction=1", "must be less than 1$"),
        ("training.schedule=square", "choose one of cosine"),
    ],
)
def test_what_does_not_fit_is_named(assignment, message):
    with pytest.raises(UserError, match=message):
        override(preset("small"), parse_assignments([assignment]))


def _leaves(values, prefix=""):
    for name, value in values.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")


WRONG = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("config", [preset("small"), segmentation_preset("small")], ids=["wavenet", "deeplab"])
@given(data=st.data())
def test_any_value_fits_or_gets_a_plain_line(config, data):
    path = data.draw(st.sampled_from(list(_leaves(config.model_dump()))) | st.text(max_size=5))
    *sections, field = path.split(".")
    changes = {field: data.draw(WRONG)}
    for section in reversed(sections):
        changes = {section: changes}
    try:
        override(config, changes)
    except UserError as error:
        line = str(error)
        assert not any(raw in line for raw in ("Input should", "pydantic", "validation error", "Value error", "\n"))
        assert "does not fit" not in line  # all kinds of error have a text of their own


def test_a_misspelt_preset_gets_the_closest():
    with pytest.raises(UserError, match=r"'bas'; did you mean 'base'\? Choose one of tiny"):
        preset("bas")


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


@pytest.mark.parametrize("config", [preset("tiny"), segmentation_preset("resnet50")], ids=["wavenet", "deeplab"])
def test_the_config_of_a_run_is_a_config_file(tmp_path, config):
    changed = override(config, parse_assignments(["training.seed=7", "training.minutes=3", "name=before"]))
    path = tmp_path / "config.json"
    write_json(path, {**changed.model_dump(mode="json"), "software": {"torch": "2"}})
    again = override(config, read_config_file(path))
    assert again == override(changed, {"name": config.name})
    assert again.training.seed == 7


@pytest.mark.parametrize("config", [preset("tiny"), segmentation_preset("resnet50")], ids=["wavenet", "deeplab"])
def test_names_in_toml_are_those_of_config_json(tmp_path, config):
    lines = []
    for name, section in config.model_dump(mode="json").items():
        if isinstance(section, dict):
            values = {key: value for key, value in section.items() if value is not None}
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    path = tmp_path / "same.toml"
    path.write_text("\n".join(lines), encoding="utf-16")  # as a shell of Windows writes it
    assert override(type(config)(), read_config_file(path)) == override(config, {"name": type(config)().name})


def _toml(value: object) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    inside = (f"{key} = {_toml(one)}" for key, one in value.items() if one is not None)
    return f"{{ {', '.join(inside)} }}"


def test_broken_config_file_is_named(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[model\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"run\.toml is not valid TOML"):
        read_config_file(path)
    for text, message in (("{", "is not valid JSON"), ("[1]", "holds no settings")):
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            read_config_file(tmp_path / "config.json")
    with pytest.raises(UserError, match=r"cannot read the config file .*absent.toml: No such file"):
        read_config_file(tmp_path / "absent.toml")


def test_a_setting_within_a_setting_leaves_its_neighbours_alone():
    first = override(preset("small"), parse_assignments(["model.mel.n_mels=40", "model.mel.fmin=50"]))
    assert (first.model.mel.n_mels, first.model.mel.fmin, first.model.skip_channels) == (40, 50, 128)
    second = override(first, parse_assignments(["model.mel.n_mels=20"]))
    assert (second.model.mel.n_mels, second.model.mel.fmin) == (20, 50)
    with pytest.raises(UserError, match="given as a value too"):
        parse_assignments(["model.mel=1", "model.mel.n_mels=2"])


@given(st.integers(1_000, 192_000))
def test_mel_settings_fit_any_sample_rate(rate):
    mel = MelConfig().resolved(rate)
    assert mel.hop == mel.hold * mel.upsampling
    assert (mel.n_fft - mel.hop) % 2 == 0
    assert abs(mel.hop - 0.0125 * rate) <= mel.upsampling / 2
    assert mel.resolved(rate) == mel


@pytest.mark.parametrize(
    ("mel", "message"),
    [
        (MelConfig(hop_length=110), "hop_length = 110 must be a multiple of upsampling = 20"),
        (MelConfig(hop_length=200, n_fft=199), "n_fft = 199 must be hop_length = 200 plus an even number"),
        (MelConfig(n_fft=601), "n_fft = 601"),
        (MelConfig(fmax=9_000), "fmax = 9000 must rise and not exceed half the sample rate of 16000"),
        (MelConfig(fmin=8_000), "fmin = 8000"),
    ],
)
def test_mel_settings_that_contradict_are_refused(mel, message):
    with pytest.raises(UserError, match=message):
        mel.resolved(16_000)


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        preset("small").model.skip_channels = 3


@pytest.mark.parametrize(
    "assignment",
    [
        "training.processes=1000000",
        "training.learning_rate=inf",
        "training.minutes=nan",
        "training.window=99999999999",
        "training.seed=99999999999999999999",
        "training.max_steps=99999999999999999999",
        "model.residual_channels=1000000",
        "model.dilations=[1, 99999999999]",
        "model.mel.n_fft=99999999999",
        "model.quantization_channels=" + 900 * "[" + 900 * "]",
        "model.quantization_channels=" + 9000 * "[",
        "model.residual_channels=" + 9000 * "9",
    ],
)
def test_settings_beyond_all_machines_are_refused_in_one_short_line(assignment):
    with pytest.raises(UserError) as error:
        override(preset("small"), parse_assignments([assignment]))
    assert str(error.value).startswith(assignment.split("=")[0])
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 300


def test_nesting_without_end_in_a_config_file_is_one_line(tmp_path):
    path = tmp_path / "deep.toml"
    for text in ("a = " + 3000 * "[" + 3000 * "]", "a = " + 9000 * "9", "a = [", "[" + "a." * 3000 + "b]"):
        path.write_text(text)
        try:
            override(preset("small"), read_config_file(path))
        except UserError as error:
            problem = str(error)
        assert len(problem.splitlines()) == 1
        assert len(problem) < 300 + len(str(path))


@pytest.mark.parametrize(
    "key", ["a." * 3_000 + "b", "a . " * 30_000 + "b", '"a".' * 3_000 + "b", "[" + "a." * 3_000 + "b]\nx"]
)
def test_a_key_of_thousands_of_parts_is_refused_at_once(tmp_path, key):
    began = time.process_time()
    (tmp_path / "run.toml").write_text(f"{key} = 1\n" * 100)
    with pytest.raises(UserError, match=r"run\.toml is not valid TOML: it is nested too deeply"):
        read_config_file(tmp_path / "run.toml")
    assert time.process_time() - began < 2


def test_long_values_of_a_config_file_are_read(tmp_path):
    paths = ["a.b-c_d/" + "e.f." * 20, "x" * 100_000, "1.5 " * 1_000]
    (tmp_path / "run.toml").write_text(f"[corpus]\npaths = {json.dumps(paths)}\n")
    assert read_config_file(tmp_path / "run.toml") == {"corpus": {"paths": paths}}
