"""Bits per sample of held-out audio, by a model and by the classical predictors, on the very same samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wavenet_app.corpus.baseline import Baseline, FittedPredictors, lpc_bits, lpc_frame
from wavenet_app.corpus.conditions import ClipConditioning, clip_frames
from wavenet_app.corpus.corpus import Corpus, SkippedFile
from wavenet_app.evaluation.likelihood import code_bits
from wavenet_app.network.conditioning import CONTEXT_FRAMES
from wavenet_app.network.model import WaveNet

LEAST_SECONDS = 1.0  # of each file, rather look at fewer files


@dataclass(frozen=True)
class FileBits:
    """Bits per sample of one file, all four over the same samples.

    Attributes:
        name: the file's; "all files" for the mean over all samples.
        samples: how many were measured.
        seconds: the same in seconds.
        model: what the model needs.
        unigram: what the histogram of the codes needs.
        order1: what the histogram given the code before needs.
        lpc: what linear prediction of order 24 needs.
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
    """Bits per sample of every file that was looked at, and of all together.

    Attributes:
        overall: the mean over all samples.
        files: in the order of the corpus.
        skipped: files that could not be measured.
        available_files: how many there were to measure.
        available_seconds: how long they are together.
    """

    overall: FileBits
    files: tuple[FileBits, ...]
    skipped: tuple[SkippedFile, ...]
    available_files: int
    available_seconds: float

    @property
    def baseline(self) -> Baseline:
        """The classical predictors' part of `overall`."""
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
    """Returns what the validation clips of a corpus need.

    Linear prediction needs 30 ms of past, so the first 30 ms of a clip are context for all four and count for none.

    Args:
        model: the net, on any device.
        fitted: the classical predictors, for the same rate and codes.
        corpus: its validation clips are measured, at its own gain.
        seconds: if there is more audio than this, stretches out of the middle of files that are spread evenly over
            the corpus are measured; None for all of it.
        conditioning: makes the conditioning of each clip; None for nothing.
        progress: called after each file with (done, total).
    """
    conditioning = conditioning or ClipConditioning((), None)
    frame, rate = lpc_frame(fitted.sample_rate), corpus.sample_rate
    lengths = [clip.num_samples for clip in corpus.validation]
    stretches = choose_stretches(
        lengths,
        budget=None if seconds is None else round(seconds * rate),
        least=round(LEAST_SECONDS * rate),
        frame=frame,
    )
    context = max(frame, model.config.receptive_field)
    files, totals = [], np.zeros(4)
    for done, (index, first, stop) in enumerate(stretches, start=1):
        clip = corpus.validation[index]
        start = max(0, first - context) // conditioning.grid * conditioning.grid
        codes = fitted.coding.encode(corpus.waveform(clip, start, stop))
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
            progress(done, len(stretches))
    samples = sum(file.samples for file in files)
    overall = FileBits("all files", samples, samples / rate, *(totals / max(samples, 1)).tolist())
    skipped = tuple(
        SkippedFile(clip.name, f"too short: {clip.num_samples} samples, of which the first {frame} are context only")
        for clip in corpus.validation
        if clip.num_samples <= frame
    )
    available = [length for length in lengths if length > frame]
    return HeldOutBits(overall, tuple(files), skipped, len(available), sum(available) / rate)


def choose_stretches(
    lengths: Sequence[int], *, budget: int | None, least: int, frame: int
) -> list[tuple[int, int, int]]:
    """Returns (clip, first, stop) of what is measured, in rising order.

    Args:
        lengths: of the clips, in samples.
        budget: greatest number of samples in all; None for all there are.
        least: samples that a clip should at least give, rather than taking more clips.
        frame: samples at a clip's start that never count; a clip that is not longer gives nothing.

    >>> choose_stretches([100, 5, 300], budget=None, least=10, frame=10)
    [(0, 10, 100), (2, 10, 300)]
    >>> choose_stretches([100, 5, 300], budget=40, least=10, frame=10)
    [(0, 45, 65), (2, 145, 165)]
    """
    usable = [index for index, length in enumerate(lengths) if length > frame]
    total = sum(lengths[index] - frame for index in usable)
    if budget is None or total <= budget:
        return [(index, frame, lengths[index]) for index in usable]
    share = max(1, min(least, total // len(usable)))  # where most files are shorter than `least`, more are taken
    count = max(1, min(len(usable), budget // share))
    chosen = [usable[place * len(usable) // count] for place in range(count)]
    stretches = []
    for index in chosen:
        length = min(lengths[index] - frame, max(1, budget // count))
        first = frame + (lengths[index] - frame - length) // 2
        stretches.append((index, first, first + length))
    return stretches


def _classical_bits(fitted: FittedPredictors, codes: np.ndarray, first: int, frame: int) -> tuple[float, float, float]:
    """Returns the bits of codes[first:], summed: unigram, order-1, LPC."""
    known, wanted = codes[first - 1 : -1], codes[first:]
    linear, _ = lpc_bits(codes[first - frame :], (fitted.factor,), sample_rate=fitted.sample_rate, coding=fitted.coding)
    return fitted.unigram(wanted).sum(), fitted.order1(known, wanted).sum(), linear[0]
