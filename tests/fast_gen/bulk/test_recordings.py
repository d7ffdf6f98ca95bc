"""A folder of recordings becomes the same audio in any number of processes and parts, and is resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from in_process import exit_code
from random_checkpoint import write_random_checkpoint

from fast_gen.bulk.manifest import writing_manifest
from fast_gen.bulk.shard import WHOLE
from wavenet_app.config import MelConfig, ModelConfig

FILES = 5


@pytest.fixture
def vocoder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WAVEGEN_DATA", str(tmp_path / "data"))
    model = ModelConfig(
        residual_channels=4,
        dilation_channels=4,
        skip_channels=8,
        dilations=(1, 2, 4),
        mel=MelConfig(n_mels=8).resolved(8_000),
    )
    return write_random_checkpoint(tmp_path / "vocoder.pth", model, sample_rate=8_000)


@pytest.fixture
def recordings(tmp_path, write_tone) -> Path:
    for number in range(FILES):
        place = "deep" if number % 2 else "."
        write_tone(tmp_path / "in" / place / f"{number}.wav", seconds=0.05 + 0.01 * number, frequency=200 + 50 * number)
    return tmp_path / "in"


def _sounds(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def _listed(folder: Path) -> list[dict]:
    return [json.loads(line) for path in folder.glob("manifest*.jsonl") for line in path.read_text().splitlines()]


def _options(vocoder: Path, recordings: Path, out: Path) -> list[object]:
    return ["vocode", vocoder, recordings, "--refine", 1, "--seed", 3, "--out", out]


def test_parts_make_the_whole_and_the_manifest_lists_each_file_once(vocoder, recordings, tmp_path, monkeypatch):
    assert exit_code(monkeypatch, *_options(vocoder, recordings, tmp_path / "whole"), "--processes", 1) == 0
    for part in ("2/2", "1/2", "1/2"):
        options = _options(vocoder, recordings, tmp_path / "parts")
        assert exit_code(monkeypatch, *options, "--processes", 1, "--shard", part) == 0
    whole = _sounds(tmp_path / "whole")
    assert len(whole) == FILES
    assert _sounds(tmp_path / "parts") == whole
    for folder in ("whole", "parts"):
        lines = _listed(tmp_path / folder)
        assert sorted(line["file"] for line in lines) == sorted(whole)
        assert all(line["file"] == line["source"] and line["refine"] == 1 for line in lines)
        assert all(len(line["checkpoint"]) == 64 and line["samples"] >= 400 for line in lines)


def test_a_folder_that_another_process_writes_is_refused(vocoder, recordings, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with writing_manifest(out, WHOLE):
        assert exit_code(monkeypatch, *_options(vocoder, recordings, out), "--processes", 1) == 2
    assert "makes these files; wait until it ends" in " ".join(capsys.readouterr().err.split())
    assert not _sounds(out)


def test_files_of_other_settings_are_not_mixed(vocoder, recordings, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = [*_options(vocoder, recordings, out), "--processes", 1]
    assert exit_code(monkeypatch, *command) == 0
    before = _sounds(out)
    assert exit_code(monkeypatch, *command, "--temperature", 0.3) == 2
    assert "0.wav has another temperature); choose another --out" in " ".join(capsys.readouterr().err.split())
    assert _sounds(out) == before
    assert exit_code(monkeypatch, *command, "--temperature", 0.3, "--overwrite") == 0
    assert _sounds(out) != before
    assert {line["temperature"] for line in _listed(out)} == {0.3}
    (out / "manifest.jsonl").unlink()
    assert exit_code(monkeypatch, *command) == 0
    assert "5 of them are in no manifest" in " ".join(capsys.readouterr().out.split())


def test_names_that_are_not_utf8_are_listed(vocoder, recordings, tmp_path, monkeypatch):
    (recordings / "0.wav").rename(recordings / os.fsdecode(b"bad\xff.wav"))
    out = tmp_path / "out"
    for _ in range(2):
        assert exit_code(monkeypatch, *_options(vocoder, recordings, out), "--processes", 1) == 0
    assert sorted(line["file"] for line in _listed(out)) == sorted(_sounds(out))


def test_links_to_a_parent_folder_do_not_make_results_input(vocoder, recordings, tmp_path, monkeypatch):
    (recordings / "loop").symlink_to(tmp_path)
    command = [*_options(vocoder, recordings, tmp_path / "out"), "--processes", 1]
    assert exit_code(monkeypatch, *command) == 0
    before = _sounds(tmp_path / "out")
    assert exit_code(monkeypatch, *command) == 0
    assert _sounds(tmp_path / "out") == before


def test_a_single_file_is_not_divided(vocoder, recordings, tmp_path, monkeypatch, capsys):
    options = _options(vocoder, recordings / "0.wav", tmp_path / "out")
    assert exit_code(monkeypatch, *options, "--shard", "1/2") == 2
    assert "is one file" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_processes_make_the_same_and_resume_what_was_killed(vocoder, recordings, tmp_path, monkeypatch, write_tone):
    write_tone(recordings / "long.wav", seconds=8)
    (recordings / "broken.wav").write_bytes(b"RIFF")
    assert exit_code(monkeypatch, *_options(vocoder, recordings, tmp_path / "whole"), "--processes", 1) == 0
    out = tmp_path / "killed"
    command = [*map(str, _options(vocoder, recordings, out)), "--processes", "2"]
    running = subprocess.Popen([sys.executable, "-m", "wavenet_app", *command], start_new_session=True)
    while not _listed(out):
        assert running.poll() is None
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(120) == 130
    before = _sounds(out)
    assert len(before) < FILES + 1
    assert sorted(line["file"] for line in _listed(out)) == sorted(before)
    assert exit_code(monkeypatch, *command) == 0
    assert _sounds(out) == _sounds(tmp_path / "whole")
    assert sorted(line["file"] for line in _listed(out)) == sorted(_sounds(out))
