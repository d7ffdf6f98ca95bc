"""The JSON that commands print is what their schemas in docs/reference say."""

from pathlib import Path

import numpy as np
import pytest
import typer
from json_schema import SCHEMAS, checked, problems
from PIL import Image
from tiny_run import TINY
from tiny_segmentation import TINY_DEEPLAB

from cli import app
from wavenet_app.core.shipped import VOICES_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
MEL = ["--condition", "mel", "--set=training.window=1024"]


@pytest.mark.parametrize(
    ("value", "schema", "wanted"),
    [
        ({"a": 1}, {"properties": {"a": {"type": "string"}}}, ["$.a: is not string"]),
        ({}, {"required": ["a"]}, ["$: lacks a"]),
        ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}, ["$: has b beside"]),
        ({"b": "x"}, {"additionalProperties": {"type": "number"}}, ["$.b: is not number"]),
        ([1, "x"], {"items": {"type": "integer"}}, ["$[1]: is not integer"]),
        (True, {"type": "integer"}, ["$: is not integer"]),
        (3, {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/n"}], "$defs": {"n": {"type": "null"}}}, 1),
        (3, {"maximum": 2}, ["$: 3 breaks maximum 2"]),
        ("x", {"enum": ["y"]}, ["$: is not one of ['y']"]),
        ([1], {"minItems": 2}, ["$: has fewer than 2 entries"]),
        (None, {"anyOf": [{"type": "string"}, {"type": "null"}]}, []),
    ],
)
def test_the_check_finds_what_does_not_fit(value, schema, wanted):
    found = problems(value, schema)
    assert len(found) == wanted if isinstance(wanted, int) else found == wanted


def test_the_check_refuses_keywords_that_it_does_not_know():
    with pytest.raises(AssertionError, match="the keyword pattern is not known"):
        problems("x", {"pattern": "y"})


def test_every_command_that_prints_json_has_a_schema():
    commands = typer.main.get_command(app).commands
    printing = {name for name, command in commands.items() if any("--json" in one.opts for one in command.params)}
    assert printing == {
        "eval",
        "inspect",
        "info",
        "voices",
        "bench",
        "seg-eval",
        "seg-check",
        "receptive-field",
        "data",
    }
    assert printing <= {path.stem for path in SCHEMAS.iterdir()}


def test_lists_of_what_ships_and_of_data_sets(wavegen, monkeypatch):
    monkeypatch.setenv(VOICES_VARIABLE, str(ROOT / "wavenet_app" / "voices"))
    voices = checked("voices", wavegen("voices", "--json").out)
    assert len(voices) > 3
    assert len(checked("data", wavegen("data", "--json").out)) > 5
    checked("info", wavegen("info", voices[0]["name"], "--json").out)


@pytest.mark.slow
def test_outputs_about_an_audio_run(wavegen, tone_folder):
    quick = ["--max-steps", 1, "--logger", "none", *TINY]
    assert wavegen("train", tone_folder, "--name", "tones", *quick).code == 0
    assert wavegen("train", tone_folder, "--name", "mel", *quick, *MEL).code == 0
    checked("info", wavegen("info", "tones", "--json").out)
    checked("config", Path("data/checkpoints/tones/config.json").read_text())
    checked("receptive-field", wavegen("receptive-field", "tones", "--count", 1, "--json").out)
    for name in ("tones", "mel"):
        made = wavegen("eval", name, "--seconds=1", "--clips=1", "--clip-seconds=0.1", "--engine=torch", "--json")
        checked("eval", made.out)


def test_the_output_of_inspect(wavegen, tone_folder, monkeypatch):
    monkeypatch.setattr("wavenet_app.inspection.command.seconds_per_epoch", lambda *_: {})  # half a minute
    checked("inspect", wavegen("inspect", tone_folder, "--json").out)


@pytest.mark.slow
def test_outputs_about_an_image_run(wavegen, tmp_path):
    for index in range(4):
        for kind, content in (("images", np.zeros((40, 40, 3))), ("masks", np.eye(40))):
            (tmp_path / "photos" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(content.astype(np.uint8)).save(tmp_path / "photos" / kind / f"{index}.png")
    (tmp_path / "photos" / "classes.txt").write_text("background\nline\n")
    quick = ["--max-steps", 1, "--logger", "none"]
    assert wavegen("seg-train", "photos", "--name", "net", *quick, *TINY_DEEPLAB).code == 0
    checked("info-deeplab", wavegen("info", "net", "--json").out)
    checked("seg-eval", wavegen("seg-eval", "net", "photos", "--images=1", "--json").out)
    checked("seg-check", wavegen("seg-check", "photos", "--json").out)
    checked("receptive-field", wavegen("receptive-field", "net", "--count", 1, "--size", 65, "--json").out)
    checked("segmentation-config", Path("data/checkpoints/segmentation/net/config.json").read_text())
