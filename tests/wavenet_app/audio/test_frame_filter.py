"""The filter of frames: its inverse and itself undo each other, it heeds the frames, and cuts change nothing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.audio.frame_filter import LEVEL, Synthesis
from wavenet_app.audio.mel import MelFrames
from wavenet_app.coding import MuLawCoding
from wavenet_app.config import MelConfig

RATES = (8_000, 16_000, 22_050)


def mel_of(rate: int, **changes: object) -> MelFrames:
    return MelFrames(MelConfig(**changes).resolved(rate), rate)


def voiced(rate: int, seconds: float = 0.5) -> np.ndarray:
    """Harmonics of a voice with a formant, and noise; it begins within 5 ms and ends at once."""
    time = np.arange(round(seconds * rate)) / rate
    sound = sum(np.cos(2 * np.pi * 150 * n * time) / (1 + ((150 * n - 600) / 300) ** 2) for n in range(1, 20))
    sound = 0.1 * sound + 0.003 * np.random.default_rng(1).standard_normal(len(time))
    return (np.minimum(time / 0.005, 1) * sound).astype(np.float32)


def filters_of(mel: MelFrames, frames: np.ndarray):
    return mel.filter.of(np.concatenate([mel.silent(1), frames, mel.silent(1)]))


@pytest.mark.parametrize("rate", RATES)
def test_the_filter_restores_the_waveform_from_its_excitation(rate):
    mel, sound = mel_of(rate), voiced(rate)
    excitation = mel.coded(sound)
    back = Synthesis(mel.filter).sound(excitation, filters_of(mel, mel.of(sound)))
    np.testing.assert_allclose(back, sound, atol=2e-5)


def test_the_excitation_has_about_unit_level_and_is_nearly_white():
    mel, sound = mel_of(16_000), voiced(16_000)
    excitation = mel.coded(sound)[1_000:-1_000] / LEVEL
    assert 0.5 < excitation.std() < 1.5
    spectrum = np.abs(np.fft.rfft(excitation * np.hanning(len(excitation)))) ** 2
    octaves = [band.mean() for band in np.array_split(spectrum, 8)]
    assert max(octaves) < 10 * min(octaves)
    before = np.abs(np.fft.rfft(sound[1_000:-1_000] * np.hanning(len(excitation)))) ** 2
    bands = [band.mean() for band in np.array_split(before, 8)]
    assert max(bands) > 1_000 * min(bands)


def test_the_coded_sound_is_nearer_than_that_of_plain_codes():
    mel, sound, coding = mel_of(16_000), voiced(16_000), MuLawCoding(256)
    noise = [np.abs(one - sound).std() for one in (mel.as_coded(sound, coding), coding.decode(coding.encode(sound)))]
    assert noise[0] < noise[1]


def test_white_noise_through_the_filter_has_about_the_frames():
    mel, sound = mel_of(16_000), voiced(16_000)
    frames = mel.of(sound)
    noise = LEVEL * np.random.default_rng(0).standard_normal(len(sound))
    made = mel.of(Synthesis(mel.filter).sound(noise, filters_of(mel, frames)))
    assert abs((made - frames)[4:-4].mean()) < 0.35  # 3 dB
    assert abs((mel.of(noise.astype(np.float32)) - frames)[4:-4]).mean() > 1


def test_the_excitation_of_silence_is_silence():
    mel = mel_of(16_000)
    assert not mel.coded(np.zeros(1_000, np.float32)).any()


@given(
    cuts=st.lists(st.integers(0, 20), max_size=5),
    seed=st.integers(0, 9),
    rate=st.sampled_from(RATES),
)
@settings(deadline=None, max_examples=25)
def test_cuts_change_nothing(cuts, seed, rate):
    mel = mel_of(rate)
    generator = np.random.default_rng(seed)
    frames = generator.normal(-3, 2, (20, mel.mel.n_mels)).astype(np.float32)
    excitation = LEVEL * generator.standard_normal(20 * mel.hop).astype(np.float32)
    whole = Synthesis(mel.filter).sound(excitation, filters_of(mel, frames))
    synthesis, parts = Synthesis(mel.filter), []
    around = np.concatenate([mel.silent(1), frames, mel.silent(1)])
    ends = sorted({0, 20, *cuts})
    for first, last in pairwise(ends):
        part = excitation[first * mel.hop : last * mel.hop]
        parts.append(synthesis.sound(part, mel.filter.of(around[first : last + 2])))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_naive_recursion_gives_the_same_excitation():
    mel, sound = mel_of(8_000), voiced(8_000, 0.05)
    filters = filters_of(mel, mel.of(sound))
    wanted = []
    for time, value in enumerate(sound.astype(np.float64)):
        step = time // mel.filter.hold
        past = [sound[time - lag] if time >= lag else 0.0 for lag in range(1, mel.filter.order + 1)]
        wanted.append(LEVEL * (value - filters.coefficients[step] @ np.array(past)) / filters.gains[step])
    np.testing.assert_allclose(mel.coded(sound), np.clip(wanted, -1, 1), atol=1e-6)


def test_frames_of_older_models_have_no_filter():
    resolved = MelConfig().resolved(16_000).model_dump()
    assert resolved.pop("filter_order") == 96
    old = MelFrames(MelConfig.model_validate(resolved), 16_000)
    sound = voiced(16_000)
    assert old.filter is None
    assert old.coded(sound) is sound
    assert mel_of(16_000, filter_order=0).filter is None
