"""Many clips: the same as a few at once, in any number of processes and parts, and resumed where they stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from in_process import exit_code
from random_checkpoint import write_random_checkpoint

from wavenet_app.config import ModelConfig

CLIPS = 67


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    model = ModelConfig(
        residual_channels=4, dilation_channels=4, skip_channels=8, dilations=(1, 2, 4), speakers=("ann", "bob", "cy")
    )
    return write_random_checkpoint(tmp_path_factory.mktemp("model") / "voices.pth", model, sample_rate=8_000)


@pytest.fixture(autouse=True)
def data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("WAVEGEN_DATA", str(tmp_path / "data"))


def _options(checkpoint: Path, out: Path, clips: int = CLIPS) -> list[object]:
    return ["sample", checkpoint, "-n", clips, "--seconds", 0.05, "--seed", 3, "--out", out]


def _sounds(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.wav"))}


def _listed(folder: Path) -> list[dict]:
    return [json.loads(line) for path in folder.glob("manifest*.jsonl") for line in path.read_text().splitlines()]


def test_many_clips_are_those_of_a_few_at_once(checkpoint, tmp_path, monkeypatch):
    assert exit_code(monkeypatch, *_options(checkpoint, tmp_path / "many"), "--processes", 1, "--bits") == 0
    assert exit_code(monkeypatch, *_options(checkpoint, tmp_path / "few", clips=9)) == 0
    many, few = _sounds(tmp_path / "many"), _sounds(tmp_path / "few")
    assert len(many) == CLIPS
    assert [many[f"voices-seed3-{number:06}.wav"] for number in range(9)] == list(few.values())
    assert len(set(many.values())) == CLIPS
    assert not list((tmp_path / "many").glob("*.png"))
    lines = _listed(tmp_path / "many")
    assert sorted(line["number"] for line in lines) == list(range(CLIPS))
    assert {line["number"]: line["speaker"] for line in lines}[4] == "bob"
    assert all(line["samples"] == 400 and 0 < line["bits"] < 20 and len(line["checkpoint"]) == 64 for line in lines)
    assert {line["file"] for line in lines} == set(many)


def test_parts_make_the_whole(checkpoint, tmp_path, monkeypatch):
    assert exit_code(monkeypatch, *_options(checkpoint, tmp_path / "whole"), "--processes", 1) == 0
    for part in ("1/3", "3/3", "2/3"):
        options = [*_options(checkpoint, tmp_path / "parts"), "--processes", 1, "--shard", part]
        assert exit_code(monkeypatch, *options) == 0
    assert _sounds(tmp_path / "parts") == _sounds(tmp_path / "whole")
    assert sorted(line["number"] for line in _listed(tmp_path / "parts")) == list(range(CLIPS))


def test_what_is_there_is_not_made_again_and_what_is_missing_is(checkpoint, tmp_path, monkeypatch, capsys):
    out = tmp_path / "clips"
    assert exit_code(monkeypatch, *_options(checkpoint, out), "--processes", 1) == 0
    sounds = _sounds(out)
    written = {path: path.stat().st_mtime_ns for path in out.glob("*.wav")}
    gone = [out / "voices-seed3-000005.wav", out / "voices-seed3-000066.wav"]
    for path in gone:
        path.unlink()
    capsys.readouterr()
    assert exit_code(monkeypatch, *_options(checkpoint, out, clips=CLIPS + 2), "--processes", 1) == 0
    assert ": 65 of 69 clips" in " ".join(capsys.readouterr().out.split())
    after = _sounds(out)
    assert sounds.items() <= after.items()
    assert len(after) == CLIPS + 2
    assert all(path.stat().st_mtime_ns == time for path, time in written.items() if path not in gone)


def test_clips_of_other_settings_are_not_mixed(checkpoint, tmp_path, monkeypatch, capsys):
    out = tmp_path / "clips"
    assert exit_code(monkeypatch, *_options(checkpoint, out), "--processes", 1) == 0
    sounds = _sounds(out)
    other = [*_options(checkpoint, out), "--processes", 1, "--temperature", 0.5]
    assert exit_code(monkeypatch, *other) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "has temperature 0.97, not 0.5" in error
    assert _sounds(out) == sounds
    assert exit_code(monkeypatch, *other, "--overwrite") == 0
    assert _sounds(out).keys() == sounds.keys()
    assert _sounds(out) != sounds
    assert {line["temperature"] for line in _listed(out)} == {0.5}
    assert exit_code(monkeypatch, *_options(checkpoint, out, clips=99), "--seed", 4, "--processes", 1) == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--shard", "5/4"], "--shard must be i/n"),
        (["--devices", "0,x"], "--devices must be numbers of GPUs"),
        (["--devices", "1,1"], "--devices must be numbers of GPUs"),
        (["--devices", "0,1", "--processes", "1"], "needs at least 2 processes"),
        (["--processes", "2", "--rank"], "--rank cannot be combined"),
        (["--processes", "2", "--play"], "for clips that are written"),
        (["--bits", "--out", "one.wav"], "one.wav is one file"),
    ],
)
def test_options_that_contradict_each_other_are_one_line(checkpoint, tmp_path, monkeypatch, capsys, options, reason):
    assert exit_code(monkeypatch, *_options(checkpoint, tmp_path / "clips"), *options) == 2
    error = capsys.readouterr().err
    assert reason in " ".join(error.split())
    assert "Traceback" not in error
    assert not list(tmp_path.glob("clips/*.wav"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_generation_resumes_to_the_same_clips_in_any_number_of_processes(
    checkpoint, tmp_path, monkeypatch, number
):
    assert exit_code(monkeypatch, *_options(checkpoint, tmp_path / "whole", clips=300), "--processes", 1) == 0
    out = tmp_path / "clips"
    command = [sys.executable, "-m", "wavenet_app", *map(str, _options(checkpoint, out, clips=300))]
    with (tmp_path / "errors.txt").open("w") as errors:
        process = subprocess.Popen([*command, "--processes", "2"], start_new_session=True, stderr=errors)
    while not _listed(out):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, number)
    assert process.wait(60) != 0
    _wait_until_none_writes(out)
    if number == signal.SIGTERM:
        assert (process.returncode, (tmp_path / "errors.txt").read_text()) == (128 + number, "")
    before = len(_listed(out))
    assert 0 < before < 300
    assert exit_code(monkeypatch, *_options(checkpoint, out, clips=300), "--processes", 2) == 0
    assert _sounds(out) == _sounds(tmp_path / "whole")
    assert sorted(line["number"] for line in _listed(out)) == list(range(300))


def _wait_until_none_writes(folder: Path) -> None:
    """Waits until the other processes have noticed the end of the first."""
    count = -1
    while count != (count := len(list(folder.iterdir()))):
        time.sleep(2)


def test_samples_are_at_the_level_of_the_recordings(tmp_path, monkeypatch):
    model = ModelConfig(residual_channels=4, dilation_channels=4, skip_channels=8, dilations=(1, 2))
    loud = write_random_checkpoint(tmp_path / "loud.pth", model, sample_rate=8_000, gain=0.5)
    assert exit_code(monkeypatch, *_options(loud, tmp_path / "clips"), "--processes", 1) == 0
    peaks = [np.abs(soundfile.read(path)[0]).max() for path in (tmp_path / "clips").glob("*.wav")]
    assert max(peaks) <= 1
    assert any("to avoid clipping" in (line["level"] or "") for line in _listed(tmp_path / "clips"))
