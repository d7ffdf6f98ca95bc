"""The classical predictors that a trained model must beat, in bits per sample of mu-law codes or of 16-bit samples.

There are three, each stronger than the previous one: the histogram of the codes (order 0), the histogram given the
previous code (order 1), and backward-adaptive linear prediction (LPC) of order 24 with a logistic residual. The last
one is the baseline that counts: it models the spectrum of the last 30 ms and knows nothing about speech or music.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from wavenet_app.coding import Coding, MuLawCoding
from wavenet_app.corpus.coded import coded_waveform
from wavenet_app.network.prediction.predictor import analysis_window, solve_toeplitz

if TYPE_CHECKING:
    from wavenet_app.corpus.corpus import Clip, Corpus

ORDER = 24
FRAME_SECONDS = 480 / 16_000
HOP_SECONDS = 80 / 16_000
DECAY = 0.97
MIN_SCALE = 1e-5
SCALE_FACTORS = (0.5, 0.7, 0.9)
UNIFORM_SHARE = 0.005
# Pseudo-counts that each row of the order-1 table takes from the histogram: the prior of rows with few counts.
PRIOR_COUNTS = 16.0
# Up to this many codes, the order-1 table has one row for each code.
MAX_CLASSES = 1_024
# With more audio than this, the tables and the scale factor change only in the fourth digit.
TABLE_SECONDS = 3_600
SCALE_SECONDS = 60
# Long clips are measured in pieces, so memory does not grow with their length.
PIECE_SECONDS = 600
# Frames predicted at once: enough to vectorise, few enough to stay in the processor's cache.
CHUNK_FRAMES = 512
EIGHT_BITS = MuLawCoding(256)
# Samples counted at once, so a clip of hours needs no more memory than one of minutes.
BLOCK = 1 << 20

Codes = NDArray[np.int16]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """Bits per sample, all three over the same samples.

    Attributes:
        unigram: code histogram of the training split, add-one smoothed.
        order1: the same given the code before.
        lpc: linear prediction; in the first frame (30 ms) of each clip, which has no past to predict from, `order1`
            stands in. NaN where no sample has a past.
        samples: that the three are averaged over.
    """

    unigram: float
    order1: float
    lpc: float
    samples: int


@dataclass(frozen=True, eq=False)
class FittedPredictors:
    """The classical predictors, fitted to training audio.

    Attributes:
        unigram_bits: bits of each code, the lowest first, shape (codes,).
        order1_bits: bits of each class of codes given the previous class, shape (previous, next); see `_classes`.
        within_bits: bits of each code given its own class, shape (codes,); zero if each code is a class.
        factor: scale factor of the LPC residual.
        sample_rate: in Hz.
        coding: the coding of the codes.
    """

    unigram_bits: Floats
    order1_bits: Floats
    within_bits: Floats
    factor: float
    sample_rate: int
    coding: Coding

    def unigram(self, codes: Codes) -> Floats:
        """Returns the bits of each code by the histogram, in the shape of `codes`."""
        return self.unigram_bits[_indices(codes, self.coding)]

    def order1(self, previous: Codes, codes: Codes) -> Floats:
        """Returns the bits of each code given the previous one, in the shape of `codes`."""
        classes = _classes(self.coding)
        indices = _indices(codes, self.coding)
        previous_classes = classes[_indices(previous, self.coding)]
        return self.order1_bits[previous_classes, classes[indices]] + self.within_bits[indices]

    def sample_bits(self, codes: Codes, first: int = 0) -> Iterator[tuple[int, Floats]]:
        """Yields the bits of codes[first:] in consecutive chunks: (place of the first, bits of shape (3, samples)).

        The rows are unigram, order-1 and linear prediction; silence stands before the first code. Codes of the first
        frame have too little past for linear prediction; order-1 stands in.

        Args:
            codes: one clip, or a piece of one.
            first: the codes before are context only, at least a frame of them or none.
        """
        frame = lpc_frame(self.sample_rate)
        before = np.concatenate([np.array([self.coding.silence], codes.dtype), codes[:-1]])
        if not first and len(codes):
            order1 = self.order1(before[:frame], codes[:frame])
            yield 0, np.stack([self.unigram(codes[:frame]), order1, order1])
        position = frame
        for chunk, bits in _lpc_chunks(codes, (self.factor,), self.sample_rate, self.coding):
            stop = position + len(chunk)
            start = max(first, position)
            if start < stop:
                now, past = codes[start:stop], before[start:stop]
                linear = bits[0, start - position :]
                yield start, np.stack([self.unigram(now), self.order1(past, now), linear])
            position = stop


class LazyClips(Sequence[Codes]):
    """A sequence that loads each clip on access, so only one is in memory at a time.

    >>> clips = LazyClips(3, lambda index: np.full(2, index, dtype=np.int16))
    >>> len(clips), clips[2].tolist()
    (3, [2, 2])
    """

    def __init__(self, count: int, load: Callable[[int], Codes]):
        self._count = count
        self._load = load

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Codes: ...
    @overload
    def __getitem__(self, index: slice) -> LazyClips: ...
    def __getitem__(self, index: int | slice) -> Codes | LazyClips:
        chosen = range(self._count)[index]
        if isinstance(chosen, range):
            return LazyClips(len(chosen), lambda position: self._load(chosen[position]))
        return self._load(chosen)


def measure_baseline(
    training: Iterable[Codes], validation: Iterable[Codes], *, sample_rate: int, coding: Coding = EIGHT_BITS
) -> Baseline:
    """Fits the classical predictors to the training clips and measures them on the validation clips.

    Each clip is read at most once and then dropped, so memory does not grow with the number of clips. At most an hour
    of training audio fills the tables and a minute chooses the scale of the LPC residual. A sequence is sampled evenly
    (see `LazyClips`), any other iterable from its start. Without training audio the tables are uniform.

    Args:
        training: arrays of codes, each of shape (samples,).
        validation: arrays of codes, each of shape (samples,); every sample is measured.
        sample_rate: in Hz; the LPC frame is 30 ms and moves by 5 ms, 480 and 80 samples at 16 kHz.
        coding: the coding of the codes.
    """
    fitted = fit_predictors(training, sample_rate=sample_rate, coding=coding)
    total = _Total()
    for codes in validation:
        for position, bits in fitted.sample_bits(codes):
            total.add(bits, predicted=position > 0)
    return total.baseline


def fit_predictors(training: Iterable[Codes], *, sample_rate: int, coding: Coding = EIGHT_BITS) -> FittedPredictors:
    """Returns the predictors that `measure_baseline` fits; takes the same arguments.

    >>> codes = np.array([1, 1, 1, 0], dtype=np.int16)
    >>> fitted = fit_predictors([codes], sample_rate=8_000, coding=MuLawCoding(2))
    >>> np.round(2.0**-fitted.unigram_bits, 3).tolist()
    [0.333, 0.667]
    """
    counts, factor = _fit(training, sample_rate, coding)
    return FittedPredictors(*_table_bits(counts), factor, sample_rate, coding)


def corpus_baseline(corpus: Corpus, *, coding: Coding = EIGHT_BITS) -> Baseline:
    """Returns `measure_baseline` of a corpus's own split, at its own gain; every validation sample is measured."""
    return corpus_baselines(corpus, (), coding=coding)[0]


def corpus_baselines(
    corpus: Corpus, spans: Sequence[tuple[int, int, int]], *, coding: Coding = EIGHT_BITS
) -> tuple[Baseline, Baseline]:
    """Returns what the classical predictors need on all validation samples, and on some of them.

    So a validation that looks at some windows can be compared on exactly the samples of these.

    Args:
        corpus: its training clips are fitted to, at its own gain.
        spans: (validation clip, start, stop) of the samples that the second result is over.
        coding: what the codes are.
    """
    training = coded_pieces(corpus, corpus.training, coding)
    fitted = fit_predictors(training, sample_rate=corpus.sample_rate, coding=coding)
    step, context = PIECE_SECONDS * corpus.sample_rate, 2 * lpc_frame(corpus.sample_rate)
    every, some = _Total(), _Total()
    for index, clip in enumerate(corpus.validation):
        wanted = [(start, stop) for place, start, stop in spans if place == index]
        for first in range(0, clip.num_samples, step):
            begin = max(0, first - context)
            codes = coding.encode(coded_waveform(corpus, clip, begin, min(first + step, clip.num_samples)))
            for position, bits in fitted.sample_bits(codes, first - begin):
                place, predicted = begin + position, begin + position > 0
                every.add(bits, predicted=predicted)
                for start, stop in wanted:
                    some.add(bits[:, max(0, start - place) : max(0, stop - place)], predicted=predicted)
    return every.baseline, some.baseline


def coded_pieces(corpus: Corpus, clips: Sequence[Clip], coding: Coding) -> LazyClips:
    """Returns clips of a corpus as codes, loaded on access, in pieces of at most ten minutes."""
    step = PIECE_SECONDS * corpus.sample_rate
    parts = [(clip, start) for clip in clips for start in range(0, clip.num_samples, step)]

    def load(index: int) -> Codes:
        clip, start = parts[index]
        return coding.encode(coded_waveform(corpus, clip, start, min(start + step, clip.num_samples)))

    return LazyClips(len(parts), load)


def lpc_frame(sample_rate: int) -> int:
    """Returns the number of samples (30 ms) that linear prediction needs before the first predicted one."""
    return max(round(FRAME_SECONDS * sample_rate), ORDER + 1)


def lpc_bits(
    codes: Codes, factors: Sequence[float], *, sample_rate: int, coding: Coding = EIGHT_BITS
) -> tuple[Floats, int]:
    """Returns the total bits that linear prediction needs for one clip, and the number of samples they cover.

    Every 5 ms the autocorrelation method (Makhoul 1975, "Linear Prediction: A Tutorial Review", section II-D) solves a
    predictor of order 24 from the previous 30 ms, which predicts the next 5 ms from their true past. The residual is
    logistic; its scale is a factor times a causal running mean of the absolute residual. A code's probability is the
    mass of the logistic between the code's decision edges, mixed with 0.5 % of a uniform distribution.

    Args:
        codes: one clip, shape (samples,).
        factors: scale factors to try at once.
        sample_rate: in Hz.
        coding: the coding of the codes.

    Returns:
        Bits of shape (len(factors),), and the number of samples after the first frame; both zero for a shorter clip.
    """
    total = np.zeros(len(factors))
    samples = 0
    for chunk, bits in _lpc_chunks(codes, factors, sample_rate, coding):
        total += bits.sum(axis=1)
        samples += len(chunk)
    return total, samples


def _lpc_chunks(
    codes: Codes, factors: Sequence[float], sample_rate: int, coding: Coding
) -> Iterator[tuple[Codes, Floats]]:
    """Yields the codes after the first frame in chunks, with the bits of each by every factor: (factors, samples)."""
    from scipy.special import expit

    edges = np.concatenate([[-np.inf], coding.edges(), [np.inf]])
    for chunk, prediction, deviation in _predictions(codes, sample_rate, coding):
        indices = _indices(chunk, coding)
        below = edges[indices] - prediction
        above = edges[indices + 1] - prediction
        bits = np.empty((len(factors), len(chunk)))
        for row, factor in zip(bits, factors, strict=True):
            rate = 1 / (factor * deviation)
            mass = expit(above * rate) - expit(below * rate)
            row[:] = -np.log2((1 - UNIFORM_SHARE) * mass + UNIFORM_SHARE / coding.size)
        yield chunk, bits


class _Total:
    """Adds up bits of the three predictors."""

    def __init__(self) -> None:
        self._bits = np.zeros(3)
        self._samples = self._predicted = 0

    def add(self, bits: Floats, *, predicted: bool) -> None:
        """Takes bits (3, samples), and whether the third row is of linear prediction."""
        self._bits += bits.sum(axis=1)
        self._samples += bits.shape[1]
        self._predicted += bits.shape[1] if predicted else 0

    @property
    def baseline(self) -> Baseline:
        if not self._samples:
            return Baseline(math.nan, math.nan, math.nan, 0)
        unigram, order1, lpc = (self._bits / self._samples).tolist()
        return Baseline(unigram, order1, lpc if self._predicted else math.nan, self._samples)


class _Counts:
    """Counts of each code, and of each pair of successive classes.

    Attributes:
        codes: counts of shape (codes,), the lowest code first.
        pairs: counts of shape (previous class, class).
    """

    def __init__(self, coding: Coding) -> None:
        self.coding = coding
        self.classes = _classes(coding)
        self.codes = np.zeros(coding.size, dtype=np.int64)
        num_classes = int(self.classes.max()) + 1
        self.pairs = np.zeros((num_classes, num_classes), dtype=np.int64)

    def add(self, codes: Codes) -> None:
        """Counts one clip; its first code follows silence."""
        num_classes = len(self.pairs)
        previous = self.classes[self.coding.silence - self.coding.lowest]
        for start in range(0, len(codes), BLOCK):
            indices = _indices(codes[start : start + BLOCK], self.coding)
            self.codes += np.bincount(indices, minlength=len(self.codes))
            block = self.classes[indices]
            pairs = np.concatenate([[previous], block[:-1]]) * num_classes + block
            self.pairs += np.bincount(pairs, minlength=self.pairs.size).reshape(self.pairs.shape)
            previous = block[-1]


def _indices(codes: Codes, coding: Coding) -> NDArray[np.intp]:
    """Returns the index of each code, counted from the lowest."""
    return codes.astype(np.intp) - coding.lowest


def _classes(coding: Coding) -> NDArray[np.intp]:
    """Returns the class of each code, shape (codes,); the order-1 table counts pairs of classes.

    A table of pairs of 16-bit samples would have billions of entries, most of them never seen. So a class of 16-bit
    samples holds all that share an 8-bit mu-law code, and within a class the histogram applies.
    """
    if coding.size <= MAX_CLASSES:
        return np.arange(coding.size)
    values = coding.decode(np.arange(coding.lowest, coding.lowest + coding.size))
    return EIGHT_BITS.encode(values).astype(np.intp)


def _fit(training: Iterable[Codes], sample_rate: int, coding: Coding) -> tuple[_Counts, float]:
    """Returns the counts, and the scale factor that needs the fewest bits."""
    counts = _Counts(coding)
    factor_bits = np.zeros(len(SCALE_FACTORS))
    table_budget, scale_budget = TABLE_SECONDS * sample_rate, SCALE_SECONDS * sample_rate
    for codes in _spread(training):
        counts.add(codes[:table_budget])
        table_budget -= len(codes)
        if scale_budget > 0:
            bits, samples = lpc_bits(codes[:scale_budget], SCALE_FACTORS, sample_rate=sample_rate, coding=coding)
            factor_bits += bits
            scale_budget -= samples
        if table_budget <= 0:
            break
    # If no clip is longer than a frame, all factors tie: take the middle one.
    best = int(np.argmin(factor_bits)) if factor_bits.any() else len(SCALE_FACTORS) // 2
    return counts, SCALE_FACTORS[best]


def _spread(clips: Iterable[Codes]) -> Iterator[Codes]:
    """Yields the clips of a sequence so that any prefix is spread evenly over it; other iterables in their order."""
    if not isinstance(clips, Sequence):
        yield from clips
        return
    # Indices sorted by the fraction of their multiple of the golden ratio are spread evenly (three-distance theorem).
    golden = (math.sqrt(5) - 1) / 2
    for index in np.argsort(np.arange(len(clips)) * golden % 1.0, kind="stable"):
        yield clips[int(index)]


def _table_bits(counts: _Counts) -> tuple[Floats, Floats, Floats]:
    """Returns the bits of each code, of each class given the previous one, and of each code within its class."""
    histogram = counts.codes + 1.0
    unigram = histogram / histogram.sum()
    of_classes = np.bincount(counts.classes, weights=unigram)
    smoothed = counts.pairs + PRIOR_COUNTS * of_classes
    order1 = smoothed / (counts.pairs.sum(axis=1, keepdims=True) + PRIOR_COUNTS)
    return -np.log2(unigram), -np.log2(order1), -np.log2(unigram / of_classes[counts.classes])


def _predictions(codes: Codes, sample_rate: int, coding: Coding) -> Iterator[tuple[Codes, Floats, Floats]]:
    """Yields the codes after the first frame in chunks, with their predictions and running mean residuals."""
    from scipy.signal import lfilter

    frame = lpc_frame(sample_rate)
    hop = max(round(HOP_SECONDS * sample_rate), 1)
    window = analysis_window(frame)
    mean = 0.0
    for start in range(frame, len(codes), CHUNK_FRAMES * hop):
        chunk = codes[start : start + CHUNK_FRAMES * hop]
        frames = -(-len(chunk) // hop)
        waveform = np.zeros(frame + frames * hop)
        waveform[: frame + len(chunk)] = coding.decode(codes[start - frame : start + len(chunk)])
        pasts = np.lib.stride_tricks.sliding_window_view(waveform, frame)[: frames * hop : hop]
        coefficients = solve_toeplitz(_autocorrelation(pasts * window))
        prediction = np.zeros((frames, hop))
        for lag, coefficient in enumerate(coefficients, start=1):
            first = frame - lag
            prediction += coefficient[:, None] * waveform[first : first + frames * hop].reshape(frames, hop)
        flat = prediction.ravel()[: len(chunk)]
        residual = np.abs(waveform[frame : frame + len(chunk)] - flat)
        means, _ = lfilter([1 - DECAY], [1, -DECAY], residual, zi=[DECAY * mean])
        yield chunk, flat, np.maximum(np.concatenate([[mean], means[:-1]]), MIN_SCALE)
        mean = float(means[-1])


def _autocorrelation(frames: Floats) -> Floats:
    """Returns lags 0 to ORDER of each frame: (frames, samples) to (ORDER + 1, frames)."""
    from scipy.fft import irfft, next_fast_len, rfft

    length = next_fast_len(frames.shape[1] + ORDER, real=True)
    spectrum = rfft(frames, length, axis=1)
    return irfft(spectrum.real**2 + spectrum.imag**2, length, axis=1)[:, : ORDER + 1].T.copy()
