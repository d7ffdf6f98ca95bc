"""A recording through a vocoder in the studio: the samples of `wavegen vocode`."""

import numpy as np
import pytest
import soundfile
from in_process import exit_code
from random_checkpoint import write_random_checkpoint
from served_studio import Served

from wavenet_app.config import MelConfig, ModelConfig

RATE = 8_000
MEL = MelConfig(n_mels=20).resolved(RATE)
TINY = ModelConfig(residual_channels=4, dilation_channels=4, skip_channels=8, dilations=(1, 2, 4), mel=MEL)
REQUEST = {"client": "visitor", "job": "one", "engine": "torch", "seed": 3}


@pytest.fixture(autouse=True)
def vocoders(data) -> None:
    """Two vocoders, one of two speakers, in the data folder."""
    for name, model in (("plain", TINY), ("both", TINY.model_copy(update={"speakers": ("ann", "jo")}))):
        write_random_checkpoint(data / "pretrained" / f"wavenet_{name}.pth", model, sample_rate=RATE, gain=2.0)


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"model": "plain"}, ["plain"]),
        ({"model": "plain", "seed": 2**40, "temperature": 0.5}, ["plain", "--seed", 2**40, "--temperature", 0.5]),
        ({"model": "plain", "top_k": 5, "top_p": 0.9}, ["plain", "--top-k", 5, "--top-p", 0.9]),
        ({"model": "both", "speakers": [1, 3]}, ["both", "--speaker", "ann:1,jo:3"]),
    ],
)
def test_a_vocoded_recording_equals_the_command_for_the_same_seed(
    studio: Served, data, tmp_path, write_tone, monkeypatch, changes, options
):
    tone = write_tone(tmp_path / "tone.wav", seconds=0.2, sample_rate=11_025, amplitude=0.3)
    sent = studio.post("/api/clips?client=visitor&name=tone.wav", tone.read_bytes()).json
    answer = studio.post("/api/vocode", {**REQUEST, **changes, "clip": sent["key"]})
    assert answer.status == 200, answer.body
    heard = np.frombuffer(answer.body, "<i2")
    assert len(np.unique(heard)) > 20
    model, *rest = options
    rest = rest if "--seed" in rest else ["--seed", 3, *rest]
    made = tmp_path / "made.wav"
    command = ["vocode", model, tone, "--engine", "torch", *rest, "--out", made, "--data-dir", data]
    assert exit_code(monkeypatch, *command) == 0
    np.testing.assert_array_equal(heard, soundfile.read(made, dtype="int16")[0])
