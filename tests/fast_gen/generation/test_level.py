"""The level of what is written: that of the recordings, below full scale, and the same for prime and continuation."""

import io
import sys

import numpy as np
import pytest
import soundfile
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES
from tiny_run import TINY

from fast_gen.engines.sampling import usual_settings
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.level import output_level
from fast_gen.generation.stream import generate
from wavenet_app.audio.files import pcm16
from wavenet_app.audio.mono import read_audio
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.coding import MuLawCoding
from wavenet_app.config import ModelConfig

RATE = 8_000
CONFIG = SHAPES["two cycles"].model_copy(update={"quantization_channels": 256})
RECORDED = "at the level of the recordings"


@pytest.mark.parametrize(
    ("gain", "peak", "factor", "remark"),
    [
        (1.0, 0.5, 1.0, None),
        (1.0, None, 1.0, None),
        (4.0, 0.9, 0.25, RECORDED),
        (4.0, None, 0.25, RECORDED),
        (0.5, 0.4, 2.0, RECORDED),
        (0.5, 0.8, 1.25, "4.1 dB below the level of the recordings, to avoid clipping"),
        (0.5, None, 1.0, "6.0 dB below the level of the recordings, to avoid clipping"),
        (0.5, 0.0, 2.0, RECORDED),
    ],
)
def test_the_gain_is_undone_as_far_as_nothing_clips(gain, peak, factor, remark):
    level = output_level(gain, peak)
    assert level.factor == pytest.approx(factor)
    assert level.remark == remark


def trained_waveform(checkpoint, seed=0, samples=800) -> np.ndarray:
    """Returns what a checkpoint generates, at the level of the training, (samples,)."""
    engine = load_engine("torch", GeneratorWeights.of(load_trained(checkpoint).model))
    return generate(engine, num_samples=samples, seed=seed, settings=usual_settings(ModelConfig()))[0]


def test_quiet_recordings_give_quiet_files(wavegen, tmp_path, write_tone):
    for index in range(4):
        write_tone(tmp_path / "quiet" / f"{index}.wav", amplitude=0.05, frequency=220 + 50 * index)
    # enough that the model neither whispers nor clips
    assert wavegen("train", "quiet", "--max-steps", 60, "--logger=none", *TINY).code == 0
    done = wavegen("sample", "quiet", "--seconds", 0.2, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert f"written {RECORDED}" in done.out
    (path,) = (tmp_path / "out").glob("*.wav")
    assert np.abs(soundfile.read(path)[0]).max() == pytest.approx(0.05, rel=0.3)


@pytest.mark.parametrize("gain", [2.6, 0.9])
def test_a_file_times_the_gain_has_the_codes_of_the_model_again(wavegen, tmp_path, gain):
    checkpoint = write_random_checkpoint(tmp_path / "net.pth", CONFIG, sample_rate=RATE, gain=gain)
    wanted = trained_waveform(checkpoint)
    assert wavegen("sample", checkpoint, "--seconds", 0.1, "--engine", "torch", "--out", "net.wav").code == 0
    written = read_audio(tmp_path / "net.wav", RATE)
    level = output_level(gain, float(np.abs(wanted).max()))
    np.testing.assert_array_equal(written, pcm16(wanted * np.float32(level.factor)) / np.float32(32768))
    coding = MuLawCoding(256)
    again = coding.encode(written / level.factor)
    assert np.abs(again.astype(int) - coding.encode(wanted)).max() <= 1


def test_a_loud_clip_is_scaled_to_full_scale_and_the_line_says_so(wavegen, tmp_path):
    checkpoint = write_random_checkpoint(tmp_path / "net.pth", CONFIG, sample_rate=RATE, gain=0.25)
    wanted = trained_waveform(checkpoint)
    done = wavegen("sample", checkpoint, "--seconds", 0.1, "--engine", "torch", "--out", "net.wav")
    assert "dB below the level of the recordings, to avoid clipping" in done.out
    written = read_audio(tmp_path / "net.wav", RATE)
    assert np.abs(written).max() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(written, wanted / np.abs(wanted).max(), atol=1e-4)


def test_a_kept_prime_is_at_the_level_of_what_follows(wavegen, tmp_path, write_tone):
    gain = 9.0
    checkpoint = write_random_checkpoint(tmp_path / "net.pth", CONFIG, sample_rate=RATE, gain=gain)
    prime = write_tone(tmp_path / "prime.wav", amplitude=0.08)
    arguments = ("--prime", prime, "--seconds", 0.1, "--engine", "torch")
    assert wavegen("sample", checkpoint, *arguments, "--keep-prime", "--out", "kept.wav").code == 0
    assert wavegen("sample", checkpoint, *arguments, "--out", "alone.wav").code == 0
    kept, alone = (read_audio(tmp_path / name, RATE) for name in ("kept.wav", "alone.wav"))
    assert np.abs(kept[: -len(alone)]).max() == pytest.approx(0.08, rel=0.05), "that of the recording"
    np.testing.assert_array_equal(kept[-len(alone) :], alone)


@pytest.mark.parametrize(("gain", "factor"), [(4.0, 0.25), (0.5, 1.0)])
def test_a_stream_is_at_the_level_of_the_recordings_or_the_highest_that_never_clips(
    wavegen, tmp_path, monkeypatch, gain, factor
):
    checkpoint = write_random_checkpoint(tmp_path / "net.pth", CONFIG, sample_rate=RATE, gain=gain)
    wanted = trained_waveform(checkpoint)
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe))
    assert wavegen("sample", checkpoint, "--seconds", 0.1, "--engine", "torch", "--stdout", "--raw").code == 0
    np.testing.assert_array_equal(np.frombuffer(pipe.getvalue(), "<i2"), pcm16(wanted * np.float32(factor)))
