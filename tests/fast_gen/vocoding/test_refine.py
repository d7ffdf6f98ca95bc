"""Refinement: the frames of the audio come nearer to the given ones, in blocks as in one piece; 0 changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_gen.vocoding import refine
from fast_gen.vocoding.refine import band_shares, refined, refined_blocks
from wavenet_app.audio.mel import MelFrames
from wavenet_app.config import MelConfig

RATE = 8_000


@pytest.fixture(scope="module")
def mel() -> MelFrames:
    return MelFrames(MelConfig(n_mels=20).resolved(RATE), RATE)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, samples).astype(np.float32)


def off(mel: MelFrames, sound: np.ndarray, frames: np.ndarray) -> float:
    return float(np.sqrt(((mel.of(sound) - frames) ** 2).mean()))


def test_each_iteration_brings_the_frames_nearer(mel):
    rising = noise(40 * mel.hop, seed=1) * np.linspace(0.05, 1, 40 * mel.hop, dtype=np.float32)
    frames = mel.of(rising)
    drawn = noise(40 * mel.hop, seed=2)
    distances = [off(mel, refined(drawn, frames, mel, turns), frames) for turns in (0, 1, 3, 9)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.3 * distances[0]


def test_momentum_brings_a_voice_nearer_in_the_same_iterations(monkeypatch):
    mel = MelFrames(MelConfig().resolved(RATE), RATE)
    seconds = np.arange(60 * mel.hop) / RATE
    steady = sum(0.1 * np.cos(2 * np.pi * 220 * k * seconds + k * k) / k for k in range(1, 16))
    voice = (steady * (1 + 0.5 * np.sin(2 * np.pi * 3 * seconds))).astype(np.float32)
    frames, drawn = mel.of(voice), noise(len(voice))
    fast = off(mel, refined(drawn, frames, mel, 32), frames)
    monkeypatch.setattr(refine, "_MOMENTUM", np.float32(0))
    assert fast < 0.9 * off(mel, refined(drawn, frames, mel, 32), frames)


def test_audio_with_these_frames_does_not_change(mel):
    sound = noise(30 * mel.hop)
    inner = slice(4 * mel.hop, -4 * mel.hop)
    np.testing.assert_allclose(refined(sound, mel.of(sound), mel, 3)[inner], sound[inner], atol=2e-3)


def test_no_iteration_and_no_frame_change_nothing(mel):
    sound = noise(5 * mel.hop)
    assert refined(sound, mel.of(0.1 * sound), mel, 0) is sound
    assert len(refined(sound[:0], mel.silent(0), mel, 4)) == 0
    assert list(refined_blocks(lambda first, last: sound[first:last], [], mel, 2)) == []


def test_a_silent_clip_stays_within_bounds(mel):
    silent = np.zeros(20 * mel.hop, np.float32)
    for frames in (mel.silent(20), mel.of(noise(20 * mel.hop))):
        made = refined(silent, frames, mel, 5)
        assert np.isfinite(made).all()
        assert np.abs(made).max() <= 1


@given(
    frames=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    turns=st.integers(1, 3),
    block=st.integers(1, 30),
    missing=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_blocks_equal_the_whole(mel, frames, cuts, turns, block, missing):
    sound = noise(frames * mel.hop)
    sound[len(sound) - missing :] = 0  # the last hop of a recording is not full
    wanted = mel.of(noise(frames * mel.hop, seed=3))
    whole = refined(sound, wanted, mel, turns)
    known = sound[: len(sound) - missing]
    pieces = np.split(wanted, sorted(min(cut, frames) for cut in cuts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine, "_BLOCK_FRAMES", block)
        blocks = list(refined_blocks(lambda first, last: known[first:last], pieces, mel, turns))
    assert [len(part) // mel.hop for part in blocks[:-1]] == [block] * (len(blocks) - 1)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-3)


def test_each_frequency_is_scaled_by_bands_that_sum_to_one(mel):
    np.testing.assert_allclose(band_shares(mel).sum(axis=1), 1, rtol=1e-5)
