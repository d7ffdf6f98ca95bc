"""The melody: the pitch of frames is that of the waveform, the phase follows it, and cuts change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.audio.mel import MelFrames, silent_conditioning
from wavenet_app.config import MELODY_CHANNELS, MelConfig

RATES = (8_000, 16_000, 22_050)


def mel_of(rate: int) -> MelFrames:
    return MelFrames(MelConfig().resolved(rate), rate)


def voiced(rate: int, hertz: float, seconds: float = 0.6, phase: float = 0.0) -> np.ndarray:
    """A voice of up to twelve harmonics below the Nyquist frequency that start at a phase (in radians)."""
    angle = 2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate + phase
    harmonics = range(1, 1 + min(12, int(0.45 * rate / hertz)))
    sound = sum(np.cos(number * angle) / number for number in harmonics)
    return (0.2 * sound).astype(np.float32)


def steps_of(mel: MelFrames, conditioning: np.ndarray) -> np.ndarray:
    return conditioning[:, mel.mel.n_mels :].reshape(-1, MELODY_CHANNELS)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [95.0, 140.0, 210.0, 333.0])
def test_the_pitch_of_a_voice_is_found_in_its_frames(rate, hertz):
    mel = mel_of(rate)
    found, sure = mel.melody.pitch(mel.of(voiced(rate, hertz)))
    inner = slice(4, -4)
    assert np.abs(np.log(found[inner] / hertz)).max() < 0.03
    assert sure[inner].min() > 0.5


def test_noise_and_silence_have_no_pitch():
    mel = mel_of(16_000)
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000).astype(np.float32)
    for sound in (noise, np.zeros(16_000, np.float32)):
        assert mel.melody.pitch(mel.of(sound))[1].mean() < 0.1


@given(
    frames=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 40), max_size=8),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_the_melody_of_frames_does_not_depend_on_cuts(frames, cuts, seed):
    mel = mel_of(8_000)
    bands = np.random.default_rng(seed).normal(-2, 2, (frames, mel.mel.n_mels)).astype(np.float32)
    whole = list(mel.conditioning([bands]))
    parts = list(mel.conditioning(np.split(bands, sorted(min(cut, frames) for cut in cuts))))
    assert sum(map(len, whole)) == sum(map(len, parts)) == frames
    if frames:
        np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(whole))
        np.testing.assert_array_equal(np.concatenate(whole)[:, : mel.mel.n_mels], bands)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("phase", [0.0, 2.0])
def test_the_melody_of_a_waveform_has_its_phase(rate, phase):
    mel = mel_of(rate)
    sound = voiced(rate, 180.0, phase=phase)
    frames = mel.of(sound)
    conditioning = mel.conditioning_of(frames, np.pad(sound, (0, len(frames) * mel.hop - len(sound))))
    steps = steps_of(mel, conditioning)
    middles = np.arange(len(steps)) * mel.mel.hold + mel.mel.hold // 2
    angle = 2 * np.pi * 180 * middles / rate + phase
    inner = slice(6 * mel.mel.upsampling, -8 * mel.mel.upsampling)
    turned = np.stack([np.cos(angle), np.sin(angle)], axis=1) * steps[:, 2:]
    assert np.abs(steps[:, :2] - turned)[inner].max() < 0.1
    assert steps[inner, 2].min() > 0.6


def test_the_phase_from_frames_keeps_a_constant_offset_for_a_steady_voice():
    mel = mel_of(16_000)
    sound = voiced(16_000, 180.0, phase=1.0)
    frames = mel.of(sound)
    measured = steps_of(mel, mel.conditioning_of(frames, np.pad(sound, (0, len(frames) * mel.hop - len(sound)))))
    (followed,) = (steps_of(mel, conditioning) for conditioning in [np.concatenate(list(mel.conditioning([frames])))])
    inner = slice(8 * mel.mel.upsampling, -8 * mel.mel.upsampling)
    turned = (measured[inner, 0] + 1j * measured[inner, 1]) / (followed[inner, 0] + 1j * followed[inner, 1])
    drift = np.unwrap(np.angle(turned))
    assert np.ptp(drift) / (len(drift) * mel.mel.hold / 16_000) < 2 * np.pi * 180 * 0.01


@pytest.mark.parametrize("frames", [0, 1, 4, 5])
def test_the_end_frames_have_no_melody(frames):
    mel = mel_of(8_000)
    bands = np.full((frames, mel.mel.n_mels), 1.0, np.float32)
    conditioning = mel.conditioning_of(bands, np.ones(frames * mel.hop, np.float32))
    assert conditioning.shape == (frames, mel.mel.columns)
    assert not conditioning[[*range(min(2, frames)), *range(max(frames - 2, 0), frames)], mel.mel.n_mels :].any()


def test_without_a_melody_the_conditioning_is_the_bands():
    mel = MelFrames(MelConfig(melody=False).resolved(8_000), 8_000)
    bands = mel.of(voiced(8_000, 200.0))
    assert mel.melody is None
    np.testing.assert_array_equal(np.concatenate(list(mel.conditioning([bands]))), bands)
    np.testing.assert_array_equal(mel.conditioning_of(bands, np.zeros(len(bands) * mel.hop, np.float32)), bands)
    np.testing.assert_array_equal(silent_conditioning(mel.mel, 2), mel.silent(2))
