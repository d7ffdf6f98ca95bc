"""Bits per sample of held-out audio, by a model and by the classical predictors, on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wavenet_app.corpus.baseline import Baseline, FittedPredictors, lpc_bits, lpc_frame
from wavenet_app.corpus.coded import coded_waveform
from wavenet_app.corpus.conditions import ClipConditioning, clip_frames
from wavenet_app.corpus.corpus import Corpus, SkippedFile
from wavenet_app.evaluation.likelihood import code_bits
from wavenet_app.network.conditioning import CONTEXT_FRAMES
from wavenet_app.network.model import WaveNet

MIN_SECONDS = 1.0  # of each file; fewer files are measured rather than less of each


@dataclass(frozen=True)
class FileBits:
    """Bits per sample of one file; all four predictors are measured on the same samples.

    Attributes:
        name: name of the file; "all files" for the mean over all samples.
        samples: number of measured samples.
        seconds: length of the measured samples in seconds.
        model: bits of the model.
        unigram: bits of the code histogram.
        order1: bits of the code histogram given the previous code.
        lpc: bits of linear prediction of order 24.
    """

    name: str
    samples: int
    seconds: float
    model: float
    unigram: float
    order1: float
    lpc: float


@dataclass(frozen=True)
class HeldOutBits:
    """Bits per sample of each measured file, and of all together.

    Attributes:
        overall: the mean over all samples.
        files: measured files in the order of the corpus.
        skipped: files that cannot be measured.
        available_files: number of files that can be measured.
        available_seconds: total length of these files.
    """

    overall: FileBits
    files: tuple[FileBits, ...]
    skipped: tuple[SkippedFile, ...]
    available_files: int
    available_seconds: float

    @property
    def baseline(self) -> Baseline:
        """The bits of the classical predictors in `overall`."""
        overall = self.overall
        return Baseline(overall.unigram, overall.order1, overall.lpc, overall.samples)


def held_out_bits(
    model: WaveNet,
    fitted: FittedPredictors,
    corpus: Corpus,
    *,
    seconds: float | None,
    conditioning: ClipConditioning | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> HeldOutBits:
    """Measures the bits per sample of the validation clips of a corpus.

    Linear prediction needs 30 ms of past, so the first 30 ms of each clip are only context for all four predictors.

    Args:
        model: the model, on any device.
        fitted: the classical predictors, for the same rate and codes.
        corpus: corpus whose validation clips are measured, at its gain.
        seconds: if there is more audio than this, only parts from the middle of evenly chosen files are measured;
            None for all audio.
        conditioning: makes the conditioning of each clip; None for nothing.
        progress: called after each file with (done, total).
    """
    conditioning = conditioning or ClipConditioning((), None)
    frame, rate = lpc_frame(fitted.sample_rate), corpus.sample_rate
    lengths = [clip.num_samples for clip in corpus.validation]
    parts = choose_parts(
        lengths,
        budget=None if seconds is None else round(seconds * rate),
        least=round(MIN_SECONDS * rate),
        frame=frame,
    )
    context = max(frame, model.config.context)
    files, totals = [], np.zeros(4)
    for done, (index, first, stop) in enumerate(parts, start=1):
        clip = corpus.validation[index]
        start = max(0, first - context) // conditioning.grid * conditioning.grid
        codes = fitted.coding.encode(coded_waveform(corpus, clip, start, stop))
        frames = None
        if conditioning.mel is not None:
            begin, end = start // conditioning.grid, -(-stop // conditioning.grid)
            frames = clip_frames(conditioning.mel, corpus, clip, begin - CONTEXT_FRAMES, end + CONTEXT_FRAMES)
        model_bits = code_bits(model, codes, first - start, conditioning.shares(clip), frames)
        bits = np.array([model_bits.sum(dtype=np.float64), *_classical_bits(fitted, codes, first - start, frame)])
        samples = stop - first
        totals += bits
        files.append(FileBits(clip.name, samples, samples / rate, *(bits / samples).tolist()))
        if progress is not None:
            progress(done, len(parts))
    samples = sum(file.samples for file in files)
    overall = FileBits("all files", samples, samples / rate, *(totals / max(samples, 1)).tolist())
    skipped = tuple(
        SkippedFile(clip.name, f"too short: {clip.num_samples} samples, of which the first {frame} are context only")
        for clip in corpus.validation
        if clip.num_samples <= frame
    )
    available = [length for length in lengths if length > frame]
    return HeldOutBits(overall, tuple(files), skipped, len(available), sum(available) / rate)


def choose_parts(lengths: Sequence[int], *, budget: int | None, least: int, frame: int) -> list[tuple[int, int, int]]:
    """Returns (clip, first, stop) of the parts to measure, in ascending order.

    Args:
        lengths: lengths of the clips, in samples.
        budget: maximum total number of samples; None for all.
        least: minimum number of samples per clip; fewer clips are chosen rather than less of each.
        frame: number of samples at the start of a clip that never count; a clip that is not longer is not chosen.

    >>> choose_parts([100, 5, 300], budget=None, least=10, frame=10)
    [(0, 10, 100), (2, 10, 300)]
    >>> choose_parts([100, 5, 300], budget=40, least=10, frame=10)
    [(0, 45, 65), (2, 145, 165)]
    """
    usable = [index for index, length in enumerate(lengths) if length > frame]
    total = sum(lengths[index] - frame for index in usable)
    if budget is None or total <= budget:
        return [(index, frame, lengths[index]) for index in usable]
    share = max(1, min(least, total // len(usable)))  # if most files are shorter than `least`, more are taken
    count = max(1, min(len(usable), budget // share))
    chosen = [usable[place * len(usable) // count] for place in range(count)]
    parts = []
    for index in chosen:
        length = min(lengths[index] - frame, max(1, budget // count))
        first = frame + (lengths[index] - frame - length) // 2
        parts.append((index, first, first + length))
    return parts


def _classical_bits(fitted: FittedPredictors, codes: np.ndarray, first: int, frame: int) -> tuple[float, float, float]:
    """Returns the total bits of codes[first:] by unigram, order-1 and LPC."""
    previous, wanted = codes[first - 1 : -1], codes[first:]
    linear, _ = lpc_bits(codes[first - frame :], (fitted.factor,), sample_rate=fitted.sample_rate, coding=fitted.coding)
    return fitted.unigram(wanted).sum(), fitted.order1(previous, wanted).sum(), linear[0]
