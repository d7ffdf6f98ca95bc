"""The classical predictors: known sources need their known bits, and real speech its documented bits."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from wavenet_app.coding import STEP, MuLawCoding, SixteenBitCoding
from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.corpus import baseline
from wavenet_app.corpus.baseline import (
    EIGHT_BITS,
    LazyClips,
    corpus_baseline,
    corpus_baselines,
    fit_predictors,
    lpc_bits,
    measure_baseline,
)
from wavenet_app.corpus.corpus import open_corpus

RATE = 16_000


def noise(seconds: float, seed: int, level: float = 0.1) -> NDArray[np.float64]:
    return level * np.random.default_rng(seed).standard_normal(int(seconds * RATE))


def resonance(seconds: float, seed: int) -> NDArray[np.int16]:
    """Codes of noise through a sharp resonance: easy for LPC, hard for a histogram."""
    return MuLawCoding().encode(lfilter([0.05], [1, -1.9, 0.95], noise(seconds, seed)))


def plain_lpc_bits(codes: NDArray[np.int16], factor: float) -> tuple[float, int]:
    """A plain implementation, sample by sample and frame by frame, at 16 kHz."""
    waveform = MuLawCoding().values()[codes].astype(np.float64)
    window = np.sin(0.75 * np.pi * (np.arange(480) + 0.5) / 480) ** 2
    edges = [-math.inf, *MuLawCoding().edges(), math.inf]
    mean, bits = 0.0, 0.0
    for start in range(480, len(codes), 80):
        frame = waveform[start - 480 : start] * window
        lags = np.array([frame[: 480 - lag] @ frame[lag:] for lag in range(25)])
        lags[0] *= 1.0001
        predictor = solve_toeplitz(lags[:24], lags[1:])
        for time in range(start, min(start + 80, len(codes))):
            predicted = predictor @ waveform[time - 24 : time][::-1]
            scale = factor * max(mean, 1e-5)
            cumulative = [1 / (1 + math.exp(-np.clip((edge - predicted) / scale, -700, 700)))
                          for edge in edges[codes[time] : codes[time] + 2]]  # fmt: skip
            bits -= math.log2(0.995 * (cumulative[1] - cumulative[0]) + 0.005 / 256)
            mean = 0.97 * mean + 0.03 * abs(waveform[time] - predicted)
    return bits, len(codes) - 480


def test_uniform_codes_need_eight_bits() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, 200_000).astype(np.int16) for _ in range(4)]
    found = measure_baseline(clips[:3], clips[3:], sample_rate=RATE)
    # a table of free shares costs what it takes to learn each from 600,000 codes (Rissanen 1986): 1 / (2 ln 2) bits
    learned = 1 / (2 * math.log(2) * 600_000)
    assert found.unigram == pytest.approx(8 + 255 * learned, abs=5e-4)
    assert found.order1 == pytest.approx(8 + 256 * 255 * learned, abs=0.01)
    assert found.lpc > 8


def test_a_code_that_follows_from_the_previous_one_costs_order_1_nothing() -> None:
    codes = np.tile(np.arange(128, 192, dtype=np.int16), 500)
    found = measure_baseline([codes], [codes], sample_rate=RATE)
    # each of the 64 codes occurs 500 times, and a row of the table takes 16 more counts from the histogram
    assert found.unigram == pytest.approx(math.log2((32_000 + 256) / 501))
    assert found.order1 == pytest.approx(math.log2(516 / (500 + 16 * 501 / 32_256)), abs=5e-4)


def test_unigram_is_add_one_smoothed() -> None:
    found = measure_baseline([np.zeros(744, dtype=np.int16)], [np.full(10, 3, dtype=np.int16)], sample_rate=RATE)
    assert found.unigram == pytest.approx(math.log2(744 + 256))


def test_each_predictor_beats_the_previous_one_on_a_resonance() -> None:
    found = measure_baseline([resonance(2, 0)], [resonance(1, 1)], sample_rate=RATE)
    assert found.lpc < found.order1 - 0.5 < found.unigram - 1
    assert found.samples == RATE


def test_white_noise_needs_its_entropy() -> None:
    """A Gaussian of deviation 0.1 in 256 codes; the logistic and the 24 useless taps cost a fraction of a bit."""
    found = measure_baseline([MuLawCoding().encode(noise(4, 0))], [MuLawCoding().encode(noise(2, 1))], sample_rate=RATE)
    assert found.unigram < found.lpc < found.unigram + 0.1


def test_lpc_equals_the_plain_implementation() -> None:
    codes = resonance(0.15, 3)
    bits, samples = lpc_bits(codes, (0.5, 0.9), sample_rate=RATE)
    for found, factor in zip(bits, (0.5, 0.9), strict=True):
        expected, expected_samples = plain_lpc_bits(codes, factor)
        assert samples == expected_samples
        assert found == pytest.approx(expected, rel=1e-5)


def test_lpc_does_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = resonance(1, 4)
    whole, _ = lpc_bits(codes, (0.7,), sample_rate=RATE)
    monkeypatch.setattr(baseline, "CHUNK_FRAMES", 7)
    assert lpc_bits(codes, (0.7,), sample_rate=RATE)[0] == pytest.approx(whole, rel=1e-9)


@given(st.integers(1, 600), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_prediction_never_depends_on_the_future(cut: int, seed: int) -> None:
    codes = resonance(0.1, seed)
    changed = codes.copy()
    changed[480 + cut :] = 255 - changed[480 + cut :]
    (_, before, deviation_before), *_ = baseline._predictions(codes, RATE, EIGHT_BITS)
    (_, after, deviation_after), *_ = baseline._predictions(changed, RATE, EIGHT_BITS)
    # The prediction at the cut itself still sees only earlier samples.
    np.testing.assert_allclose(before[: cut + 1], after[: cut + 1], atol=1e-12)
    np.testing.assert_allclose(deviation_before[: cut + 1], deviation_after[: cut + 1], atol=1e-12)


def test_order_1_stands_in_for_lpc_in_the_first_frame_of_a_clip() -> None:
    fitted = fit_predictors([resonance(1, 0)], sample_rate=RATE)
    codes = resonance(1, 1)
    found = measure_baseline([resonance(1, 0)], [codes], sample_rate=RATE)
    first = fitted.order1(np.concatenate([[128], codes[:479]]), codes[:480]).sum()
    linear, samples = lpc_bits(codes, (fitted.factor,), sample_rate=RATE)
    assert samples == RATE - 480
    assert found.lpc == pytest.approx((first + linear[0]) / RATE)
    assert found.unigram == pytest.approx(fitted.unigram(codes).mean())
    assert found.order1 == pytest.approx(fitted.order1(np.concatenate([[128], codes[:-1]]), codes).mean())


def test_clips_of_a_frame_say_nothing_of_lpc() -> None:
    short = resonance(1, 2)[:480]
    found = measure_baseline([resonance(1, 0)], [short], sample_rate=RATE)
    assert math.isnan(found.lpc)
    assert found.samples == 480
    assert math.isfinite(found.unigram)
    long = measure_baseline([resonance(1, 0)], [resonance(1, 1)], sample_rate=RATE)
    mixed = measure_baseline([resonance(1, 0)], [short, resonance(1, 1)], sample_rate=RATE)
    assert mixed.lpc == pytest.approx((RATE * long.lpc + 480 * found.order1) / (RATE + 480))


def test_empty_validation_gives_nan_and_empty_training_uniform_tables() -> None:
    empty = np.zeros(0, dtype=np.int16)
    found = measure_baseline([empty], [empty], sample_rate=RATE)
    assert math.isnan(found.unigram)
    assert math.isnan(found.order1)
    assert measure_baseline([], [resonance(0.1, 0)], sample_rate=RATE).unigram == pytest.approx(8)


def test_silence_needs_finite_bits() -> None:
    silent = np.full(RATE, 128, dtype=np.int16)
    assert measure_baseline([silent], [silent], sample_rate=RATE).lpc < 0.1


def test_a_generator_and_a_list_give_the_same_result() -> None:
    clips = [resonance(0.2, seed) for seed in range(4)]
    from_list = measure_baseline(clips[:3], clips[3:], sample_rate=RATE)
    assert measure_baseline(iter(clips[:3]), iter(clips[3:]), sample_rate=RATE) == from_list


def test_a_long_training_split_is_sampled_evenly_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "TABLE_SECONDS", 5)
    loaded: list[int] = []

    def load(index: int) -> NDArray[np.int16]:
        loaded.append(index)
        return np.full(RATE // 2, 128, dtype=np.int16)

    measure_baseline(LazyClips(1000, load), [], sample_rate=RATE)
    assert len(loaded) == len(set(loaded)) == 10
    assert np.diff([0, *sorted(loaded), 1000]).max() < 200


def test_frames_scale_with_the_sample_rate() -> None:
    codes = resonance(1, 0)
    for rate, frame in ((8_000, 240), (48_000, 1440)):
        fitted = fit_predictors([codes], sample_rate=rate)
        (place, head), (second, _), *_ = fitted.sample_bits(codes)
        assert (place, head.shape, second) == (0, (3, frame), frame)


SIXTEEN_BITS = SixteenBitCoding()


def test_sixteen_bit_noise_needs_its_entropy() -> None:
    """A Gaussian of deviation 0.1; ten seconds are too few to fill a histogram of 65,536 values."""
    deviation = 0.1 / STEP
    entropy = math.log2(deviation * math.sqrt(2 * math.pi * math.e))
    training, validation = (SIXTEEN_BITS.encode(noise(seconds, seed)) for seconds, seed in ((10, 0), (2, 1)))
    found = measure_baseline([training], [validation], sample_rate=RATE, coding=SIXTEEN_BITS)
    assert entropy < found.lpc < entropy + 0.1
    assert entropy < found.unigram < entropy + 0.5
    assert found.order1 == pytest.approx(found.unigram, abs=0.1)


def test_sixteen_bits_cost_more_by_the_log_of_the_step_ratio() -> None:
    waveform = noise(2, 0, level=0.01)
    coarse, fine = (
        lpc_bits(coding.encode(waveform), (0.7,), sample_rate=RATE, coding=coding)[0][0] / len(waveform)
        for coding in (EIGHT_BITS, SIXTEEN_BITS)
    )
    steps = np.diff(EIGHT_BITS.edges())[EIGHT_BITS.encode(waveform).astype(int) - 1]
    assert fine - coarse == pytest.approx(np.log2(steps / STEP).mean(), abs=0.06)


@given(st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_sixteen_bit_predictions_sum_to_one(seed: int) -> None:
    training = SIXTEEN_BITS.encode(noise(0.5, seed))
    fitted = fit_predictors([training], sample_rate=RATE, coding=SIXTEEN_BITS)
    every = np.arange(-(2**15), 2**15).astype(np.int16)
    assert (2.0 ** -fitted.unigram(every)).sum() == pytest.approx(1)
    for previous in (-(2**15), -1, 0, 300):
        assert (2.0 ** -fitted.order1(np.full_like(every, previous), every)).sum() == pytest.approx(1)


def test_fewer_codes_need_fewer_bits() -> None:
    clips = [MuLawCoding(16).encode(noise(1, seed)) for seed in range(2)]
    found = measure_baseline(clips[:1], clips[1:], sample_rate=RATE, coding=MuLawCoding(16))
    assert found.unigram < found.lpc < found.unigram + 0.1 < 4


def test_a_corpus_is_measured_on_its_split_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import soundfile

    for index in range(6):
        soundfile.write(tmp_path / f"{index}.wav", 0.01 * noise(2, index), RATE)
    corpus = open_corpus(
        [tmp_path], audio=AudioConfig(), split=CorpusConfig(), cache_dir=tmp_path / ".cache", sample_rate=None
    )
    training, validation = (
        [MuLawCoding().encode(corpus.waveform(clip)) for clip in clips]
        for clips in (corpus.training, corpus.validation)
    )
    whole = corpus_baseline(corpus)
    assert whole == measure_baseline(training, validation, sample_rate=RATE)
    monkeypatch.setattr(baseline, "PIECE_SECONDS", 1)
    pieces = corpus_baseline(corpus)
    assert pieces.samples == whole.samples == sum(map(len, validation))
    assert pieces.lpc == pytest.approx(whole.lpc, rel=1e-6)
    assert pieces.unigram == pytest.approx(whole.unigram)


def test_the_baseline_of_some_windows_is_over_exactly_their_samples(tmp_path: Path) -> None:
    import soundfile

    for index in range(6):
        steady, changing = 0.01 * noise(1, index), 0.2 * noise(1, 10 + index)
        soundfile.write(tmp_path / f"{index}.wav", np.concatenate([steady, changing]), RATE)
    corpus = open_corpus(
        [tmp_path],
        audio=AudioConfig(trim_decibels=0),
        split=CorpusConfig(validation_fraction=0.4),
        cache_dir=tmp_path / ".cache",
        sample_rate=None,
    )
    assert len(corpus.validation) > 1
    training = [EIGHT_BITS.encode(corpus.waveform(clip)) for clip in corpus.training]
    fitted = fit_predictors(training, sample_rate=RATE)
    spans = [(0, 0, 300), (0, 20_000, 21_500), (1, 400, 17_000)]
    every, some = corpus_baselines(corpus, spans)
    assert every == corpus_baseline(corpus)
    assert some.samples == 300 + 1_500 + 16_600
    codes = [EIGHT_BITS.encode(corpus.waveform(clip)) for clip in corpus.validation]
    expected = np.zeros(3)
    for clip, start, stop in spans:
        rows = np.concatenate([bits for _, bits in fitted.sample_bits(codes[clip])], axis=1)
        expected += rows[:, start:stop].sum(axis=1)
    np.testing.assert_allclose([some.unigram, some.order1, some.lpc], expected / some.samples, rtol=1e-9)
    whole = [(index, 0, clip.num_samples) for index, clip in enumerate(corpus.validation)]
    same = corpus_baselines(corpus, whole)[1]
    assert (same.samples, same.lpc) == (every.samples, pytest.approx(every.lpc))


@pytest.mark.shared_data
def test_real_speech_needs_its_documented_bits(shared_audio: Path) -> None:
    """At its original level, the whole voice needs 7.21, 5.00 and 3.54 bits, and this third of it nearly as many."""
    import soundfile

    clips = [
        MuLawCoding().encode(soundfile.read(path)[0]) for path in sorted((shared_audio / "speech").glob("*.flac"))[::3]
    ]
    found = measure_baseline(
        [clip for index, clip in enumerate(clips) if index % 10],
        clips[::10],
        sample_rate=RATE,
    )
    assert found.unigram == pytest.approx(7.139, abs=2e-3)
    assert found.order1 == pytest.approx(4.968, abs=2e-3)
    assert found.lpc == pytest.approx(3.610, abs=2e-3)
