"""Training on real speech: a model beats simple predictors after few steps, and generates plausible audio."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]


def wavegen(*arguments: object, folder: Path) -> str:
    """Runs a command in its own process and returns its output."""
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def spectral_flatness(waveform: np.ndarray) -> float:
    """Returns the geometric over the arithmetic mean of the power spectrum of samples (samples,), 0 to 1."""
    power = np.abs(np.fft.rfft(waveform)) ** 2 + 1e-12
    return float(np.exp(np.log(power).mean()) / power.mean())


@pytest.mark.slow
@pytest.mark.shared_data
def test_small_learns_real_speech(shared_audio, tmp_path):
    out = wavegen("train", shared_audio / "speech", "--preset", "small", "--max-steps", 300, folder=tmp_path)
    assert "381 clips" in out
    facts = json.loads(wavegen("info", "--json", folder=tmp_path))
    # a table of code pairs needs 5.5 bits, linear prediction 4.05; a model after few steps is in between
    assert facts["validation"] < facts["baseline"]["order1"] - 0.5
    # after so few steps, a model drifts into hiss at temperature 1, but not slightly below
    wavegen("sample", "--seconds", 2, "-n", 4, "--seed", 1, "--temperature", 0.9, folder=tmp_path)
    clips = [soundfile.read(path) for path in (tmp_path / "data" / "generated").glob("*.wav")]
    assert [(len(waveform), rate) for waveform, rate in clips] == [(32_000, 16_000)] * 4
    # neither silence nor noise at full scale
    assert 0.003 < np.sqrt(np.mean([waveform**2 for waveform, _ in clips])) < 0.4
    # white noise has 0.56
    assert np.median([spectral_flatness(waveform) for waveform, _ in clips]) < 0.3
