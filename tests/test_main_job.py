"""The main job on real speech: a model learns in few steps what the past says, and what is generated is sound."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]


def wavegen(*arguments: object, folder: Path) -> str:
    """Runs a command in a process of its own and returns what it printed."""
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.shared_data
def test_small_learns_real_speech(shared_audio, tmp_path):
    out = wavegen("train", shared_audio / "speech", "--preset", "small", "--max-steps", 300, folder=tmp_path)
    assert "381 clips" in out
    facts = json.loads(wavegen("info", "--json", folder=tmp_path))
    # a table of code pairs needs 5.5 bits, linear prediction 4.05; so few steps come in between
    assert facts["validation"] < facts["baseline"]["order1"] - 0.5
    wavegen("sample", "--seconds", 1, "--seed", 1, folder=tmp_path)
    waveform, rate = soundfile.read(next((tmp_path / "data" / "generated").glob("*.wav")))
    assert (rate, len(waveform)) == (16_000, 16_000)
    # neither silence nor noise at full scale; half-loud white noise would have a flat spectrum
    assert 0.003 < np.sqrt(np.mean(waveform**2)) < 0.4
    power = np.abs(np.fft.rfft(waveform)) ** 2 + 1e-12
    assert np.exp(np.log(power).mean()) / power.mean() < 0.3
