"""Bits of held-out audio: the choice of samples, which are the same for all four predictors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_nets import random_net

from wavenet_app.audio.mel import MelFrames
from wavenet_app.coding import MuLawCoding
from wavenet_app.config import AudioConfig, MelConfig, ModelConfig
from wavenet_app.corpus.baseline import EIGHT_BITS, coded_pieces, fit_predictors, lpc_bits, lpc_frame
from wavenet_app.corpus.conditions import ClipConditioning, clip_frames
from wavenet_app.corpus.corpus import Corpus, open_clips
from wavenet_app.evaluation.held_out_bits import choose_parts, held_out_bits
from wavenet_app.evaluation.likelihood import code_bits
from wavenet_app.network.conditioning import CONTEXT_FRAMES
from wavenet_app.network.model import WaveNet

RATE = 8_000


@pytest.fixture
def corpus(tmp_path: Path, write_tone) -> Corpus:
    for index, seconds in enumerate((0.5, 0.02, 0.8)):
        write_tone(tmp_path / "tones" / f"{index}.wav", seconds=seconds, frequency=200 + 100 * index)
    audio = AudioConfig(sample_rate=RATE, trim_decibels=0)
    return open_clips([tmp_path / "tones"], audio=audio, cache_dir=tmp_path / "cache")


@pytest.fixture
def net() -> WaveNet:
    import torch

    model = WaveNet(ModelConfig(dilations=(1, 2, 4), skip_channels=8), torch.Generator().manual_seed(0))
    torch.nn.init.normal_(model.output2.weight, std=0.5, generator=torch.Generator().manual_seed(1))
    return model


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=12),
    st.none() | st.integers(0, 1_000),
    st.integers(1, 50),
    st.integers(0, 40),
)
def test_parts_are_within_clips_and_budget(lengths: list[int], budget: int | None, least: int, frame: int) -> None:
    found = choose_parts(lengths, budget=budget, least=least, frame=frame)
    usable = [index for index, length in enumerate(lengths) if length > frame]
    assert [clip for clip, _, _ in found] == sorted({clip for clip, _, _ in found})
    assert all(frame <= first < stop <= lengths[clip] for clip, first, stop in found)
    if budget is None:
        assert [clip for clip, _, _ in found] == usable
    else:
        assert sum(stop - first for _, first, stop in found) <= max(budget, 1)
        assert bool(found) == bool(usable)


def test_short_files_use_the_whole_budget() -> None:
    found = choose_parts([40] * 100, budget=1_000, least=1_000, frame=0)
    assert sum(stop - first for _, first, stop in found) == 1_000
    assert found[0][0] == 0
    assert found[-1][0] == 96


def test_without_a_limit_the_baseline_measures_the_same_samples(corpus: Corpus, net: WaveNet) -> None:
    training = [MuLawCoding().encode(0.3 * np.random.default_rng(0).standard_normal(RATE))]
    found = held_out_bits(net, fit_predictors(training, sample_rate=RATE), corpus, seconds=None)
    clips = coded_pieces(corpus, corpus.validation, EIGHT_BITS)
    fitted = fit_predictors(training, sample_rate=RATE)
    expected = [lpc_bits(codes, (fitted.factor,), sample_rate=RATE) for codes in clips]
    assert found.overall.lpc == pytest.approx(
        sum(bits[0] for bits, _ in expected) / sum(count for _, count in expected)
    )
    assert [file.name for file in found.files] == ["0.wav", "2.wav"]
    assert [file.name for file in found.skipped] == ["1.wav"]
    assert "too short: 160 samples" in found.skipped[0].reason
    frame = lpc_frame(RATE)
    assert found.overall.samples == 4_000 + 6_400 - 2 * frame
    for file, codes in zip(found.files, (clips[0], clips[2]), strict=True):
        assert file.model == pytest.approx(code_bits(net, codes)[frame:].mean(), abs=1e-4)
    weights = [file.samples for file in found.files]
    assert found.overall.model == pytest.approx(np.average([file.model for file in found.files], weights=weights))


def test_a_part_from_the_middle_sees_its_true_past(corpus: Corpus, net: WaveNet) -> None:
    fitted = fit_predictors(coded_pieces(corpus, corpus.validation, EIGHT_BITS), sample_rate=RATE)
    found = held_out_bits(net, fitted, corpus, seconds=0.3)
    assert found.overall.seconds <= 0.3
    (file,) = found.files
    codes = coded_pieces(corpus, corpus.validation, EIGHT_BITS)[0]
    frame = lpc_frame(RATE)
    first = frame + (len(codes) - frame - file.samples) // 2
    stop = first + file.samples
    assert file.model == pytest.approx(code_bits(net, codes)[first:stop].mean(), abs=1e-4)
    assert file.unigram == pytest.approx(fitted.unigram(codes[first:stop]).mean())
    assert file.order1 == pytest.approx(fitted.order1(codes[first - 1 : stop - 1], codes[first:stop]).mean())
    bits, samples = lpc_bits(codes[first - frame : stop], (fitted.factor,), sample_rate=RATE)
    assert samples == file.samples
    assert file.lpc == pytest.approx(bits[0] / samples)


def test_progress_counts_the_files(corpus: Corpus, net: WaveNet) -> None:
    calls: list[tuple[int, int]] = []
    fitted = fit_predictors([], sample_rate=RATE)
    found = held_out_bits(net, fitted, corpus, seconds=None, progress=lambda *counts: calls.append(counts))
    assert calls == [(1, 2), (2, 2)]
    assert found.overall.unigram == pytest.approx(8)


def test_a_part_has_the_same_conditioning_as_the_whole(corpus: Corpus) -> None:
    config = ModelConfig(
        dilations=(1, 2, 4),
        skip_channels=8,
        speakers=("ann", "jo"),
        mel=MelConfig(n_mels=8, hop_length=72, upsampling=8).resolved(RATE),
    )
    conditioned_net = random_net(config)
    assert config.mel is not None
    voice = np.array([0.2, 0.8], np.float32)
    conditioning = ClipConditioning(config.speakers, MelFrames(config.mel, RATE), voice)
    fitted = fit_predictors([], sample_rate=RATE)
    found = held_out_bits(conditioned_net, fitted, corpus, seconds=0.3, conditioning=conditioning)
    (file,) = found.files
    codes = coded_pieces(corpus, corpus.validation, EIGHT_BITS)[0]
    assert conditioning.mel is not None
    count = -(-corpus.validation[0].num_samples // conditioning.mel.hop)
    frames = clip_frames(conditioning.mel, corpus, corpus.validation[0], -CONTEXT_FRAMES, count + CONTEXT_FRAMES)
    frame = lpc_frame(RATE)
    first = frame + (len(codes) - frame - file.samples) // 2
    bits = code_bits(conditioned_net, codes, first, voice, frames)[: file.samples]
    assert file.model == pytest.approx(bits.mean(), abs=1e-4)
    other = held_out_bits(
        conditioned_net,
        fitted,
        corpus,
        seconds=0.3,
        conditioning=ClipConditioning(config.speakers, conditioning.mel, 1 - voice),
    )
    assert other.overall.model != pytest.approx(file.model, abs=1e-3), "the speaker matters"


@pytest.mark.parametrize(("hop", "upsampling"), [(24, 8), (40, 4), (72, 8), (100, 20), (200, 20)])
def test_the_melody_of_a_part_is_that_of_the_whole_clip(corpus: Corpus, hop: int, upsampling: int) -> None:
    mel = MelFrames(MelConfig(n_mels=20, hop_length=hop, upsampling=upsampling).resolved(RATE), RATE)
    clip = corpus.validation[-1]
    count = -(-clip.num_samples // hop)
    whole = clip_frames(mel, corpus, clip, -CONTEXT_FRAMES, count + CONTEXT_FRAMES)[CONTEXT_FRAMES:-CONTEXT_FRAMES]
    first, last = count // 3, count // 3 + 5
    part = clip_frames(mel, corpus, clip, first - CONTEXT_FRAMES, last + CONTEXT_FRAMES)
    assert np.abs(whole[:, 20:]).max() > 0.3, "a tone has a pitch"
    np.testing.assert_allclose(part[CONTEXT_FRAMES:-CONTEXT_FRAMES], whole[first:last], atol=0.01)
