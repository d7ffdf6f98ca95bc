"""Shipped voices: listed, found by name in every command, and used where there is no run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from random_checkpoint import write_random_checkpoint, write_random_voice
from random_nets import SHAPES
from tiny_run import TINY

import fast_gen
from wavenet_app.checkpoints import voices
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.checkpoints.voices import read_shipped_voice
from wavenet_app.config import MelConfig, preset
from wavenet_app.core.errors import UserError
from wavenet_app.core.safetensors_file import read_parts
from wavenet_app.core.shipped import VOICES_VARIABLE

ROOT = Path(__file__).resolve().parents[3]
TINY_MODEL = SHAPES["odd widths"]


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """A folder of three voices; `a-vocoder` is the first by name."""
    folder = tmp_path / "shipped"
    monkeypatch.setenv(VOICES_VARIABLE, str(folder))
    mel = TINY_MODEL.model_copy(update={"mel": MelConfig().resolved(8_000), "speakers": ()})
    write_random_voice(folder / "a-vocoder.safetensors", mel, sample_rate=8_000)
    write_random_voice(folder / "bo.safetensors", TINY_MODEL.model_copy(update={"speakers": ()}), sample_rate=8_000)
    write_random_voice(
        folder / "many.safetensors", TINY_MODEL.model_copy(update={"speakers": ("x", "y")}), language=None
    )
    return folder


@pytest.mark.parametrize(
    "path", sorted((ROOT / "wavenet_app" / "voices").glob("*.safetensors")), ids=lambda path: path.stem
)
def test_a_voice_that_ships_is_whole_small_and_described(path):
    voice = read_shipped_voice(path)
    assert load_trained(path).config.name == voice.name
    assert voice.size < 1_000_000
    assert voice.bits < voice.lpc
    assert path.with_suffix(".md").read_text(encoding="utf-8").startswith(f"# {voice.name}\n")


def test_voices_are_listed(wavegen, shipped):
    listed = wavegen("voices")
    assert listed.code == 0
    row = next(line for line in listed.out.splitlines() if "bo" in line and "CC0" in line)
    size = f"{(shipped / 'bo.safetensors').stat().st_size / 1e6:.2f}"
    assert row.split() == ["bo", "Dutch", "8000", "10", "1,200", "3.750", "4.050", size, "CC0-1.0"]
    assert next(line for line in listed.out.splitlines() if "many" in line).split()[1:3] == ["2", "speakers"]
    assert next(line for line in listed.out.splitlines() if "a-vocoder" in line).split()[1:3] == ["Dutch,", "vocoder"]
    assert "wavegen sample bo --play" in listed.out
    assert "wavegen vocode a-vocoder RECORDING" in listed.out
    facts = json.loads(wavegen("voices", "--json").out)
    assert [voice["name"] for voice in facts] == ["a-vocoder", "bo", "many"]
    assert [voice["vocoder"] for voice in facts] == [True, False, False]
    assert facts[2]["speakers"] == ["x", "y"]
    assert facts[2]["language"] is None
    expected = {"minutes": 10.0, "steps": 1_200, "bits": 3.75, "lpc": 4.05, "audio_minutes": 20.0}
    assert {name: facts[1][name] for name in expected} == expected


def test_a_damaged_voice_is_listed_as_skipped(wavegen, shipped):
    (shipped / "bo.safetensors").write_bytes(b"nothing")
    listed = wavegen("voices")
    assert listed.code == 0
    assert "skipped: " in listed.out
    assert "bo.safetensors cannot be read" in listed.out
    assert "many" in listed.out


def test_without_voices_every_command_says_what_it_did_before(wavegen):
    assert "no voice ships with this wavegen" in wavegen("voices").out
    assert json.loads(wavegen("voices", "--json").out) == []
    refused = wavegen("sample")
    assert refused.code == 2
    assert refused.err.rstrip().endswith("yet; train one with: wavegen train FOLDER")


def test_a_name_is_a_path_then_a_run_then_an_export_then_a_voice(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    assert find_checkpoint(data, "bo") == shipped / "bo.safetensors"
    exported = data / "pretrained" / "wavenet_bo.safetensors"
    write_random_voice(exported, TINY_MODEL)
    assert find_checkpoint(data, "bo") == exported
    exported_too = write_random_checkpoint(data / "pretrained" / "wavenet_bo.pth", TINY_MODEL)
    assert find_checkpoint(data, "bo") == exported_too
    run = write_random_checkpoint(data / "checkpoints" / "bo" / "best.pth", TINY_MODEL)
    assert find_checkpoint(data, "bo") == run
    path = write_random_checkpoint(tmp_path / "bo", TINY_MODEL)
    assert find_checkpoint(data, "bo") == Path("bo")
    path.unlink()
    with pytest.raises(UserError, match=r"'manny'; did you mean 'many'\? There are: a-vocoder, bo, many"):
        find_checkpoint(data, "manny")


@pytest.mark.parametrize("name", ["../shipped/bo", "/bo", ".", "", "BO.safetensors"])
def test_only_the_name_of_a_voice_is_one(shipped, tmp_path, name):
    with pytest.raises(UserError):
        find_checkpoint(tmp_path / "data", name)


def test_every_command_takes_a_voice(wavegen, shipped, write_tone, tmp_path):
    sampled = wavegen("sample", "bo", "--seconds", 0.1)
    assert sampled.code == 0, sampled.err
    assert soundfile.info(tmp_path / "data" / "generated" / "bo-seed0-0.wav").samplerate == 8_000
    info = wavegen("info", "bo")
    assert "licence = CC0-1.0" in info.out
    assert json.loads(wavegen("info", "bo", "--json").out)["voice"]["language"] == "Dutch"
    tone = write_tone(tmp_path / "tone.wav", sample_rate=8_000)
    vocoded = wavegen("vocode", "a-vocoder", tone, "--refine", 0, "--engine", "torch")
    assert vocoded.code == 0, vocoded.err
    exported = wavegen("export", "bo")
    assert exported.code == 0, exported.err
    weights = load_trained(tmp_path / "data" / "pretrained" / "wavenet_bo.pth").model.state_dict()
    assert weights.keys() == read_parts(shipped / "bo.safetensors").entries.keys()
    refused = wavegen("sample", "a-vocoder")
    assert "a-vocoder is a vocoder" in refused.err


def test_training_starts_from_a_voice(wavegen, shipped, tone_folder, tmp_path):
    outcome = wavegen(
        "train", tone_folder, "--start-from", "bo", "--max-steps", 1, "--logger", "none", "--set=training.processes=1"
    )
    assert outcome.code == 0, outcome.err
    assert "note: starts from bo, " in outcome.out
    assert find_checkpoint(tmp_path / "data", "tones").is_file()


def test_without_a_run_the_default_voice_is_used(wavegen, shipped, tone_folder, tmp_path, monkeypatch):
    sampled = wavegen("sample", "--seconds", 0.1)
    assert sampled.code == 0, sampled.err
    assert "so this is the shipped voice bo (Dutch, CC0-1.0); list all with: wavegen voices" in sampled.out
    assert fast_gen.load(data_dir=tmp_path / "none", engine="torch").config.name == "bo"
    monkeypatch.setattr(voices, "DEFAULT", "many")
    assert "so this is the shipped voice many (CC0-1.0)" in wavegen("sample", "--seconds", 0.1).out
    assert wavegen("info").code == 2  # only generating has a default
    assert "or name a shipped voice: a-vocoder, bo, many" in wavegen("info").err
    trained = wavegen("train", tone_folder, "--max-steps", 1, "--logger", "none", *TINY)
    assert trained.code == 0, trained.err
    assert "shipped voice" not in wavegen("sample", "--seconds", 0.1).out


def test_a_voice_is_listed_without_torch_and_from_the_second_time_on_sampled_without(shipped, tmp_path):
    write_random_voice(shipped / "tiny.safetensors", preset("tiny").model)
    code = (
        "import sys, cli\n"
        "try:\n"
        "    cli.main()\n"
        "finally:\n"
        "    print(*({'torch', 'numba', 'lightning', 'librosa', 'matplotlib'} & set(sys.modules)), file=sys.stderr)\n"
    )

    def imported(*arguments: str) -> tuple[bytes, list[str]]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, env=environment, capture_output=True, check=True
        )
        return done.stdout, done.stderr.decode().splitlines()[-1].split()

    assert imported("voices")[1] == []
    sample = ["sample", "tiny", "--stdout", "--seconds", "0.1"]
    (first, before), (second, after) = imported(*sample), imported(*sample)
    assert first == second
    assert "torch" in before
    assert after == []
