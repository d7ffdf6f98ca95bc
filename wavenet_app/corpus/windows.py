"""Clips as batches of windows: each sample once an epoch, in an order that depends only on the seed and the step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from wavenet_app.coding import Coding
from wavenet_app.config import PredictionConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.coded import coded_waveform
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.corpus import Clip, Corpus
from wavenet_app.network.prediction.compiled import predicted_rows

Batch = dict[str, torch.Tensor]

_POOL_BATCHES = 32
_MIN_FILL = 0.75
_NUM_LENGTHS = 16  # of batches: the math library compiles code for each new shape of a product


class TrainingWindows(IterableDataset[Batch]):
    """Endless training batches that resume at any step without replaying earlier steps.

    Each clip is cut into as few windows as possible, of nearly equal length, so that ranks seldom wait for each other.
    The cuts of each clip are shifted by a new random amount in each epoch. The windows of an epoch are shuffled and
    distributed over `batches_per_epoch` batches of nearly equal size. If many windows are short, windows of similar
    length share a batch, so that little of a batch is padding. Several ranks divide each batch of `batch_size` times
    `world_size` windows, so that it is the same batch for one rank with four windows and for four ranks with one.
    A rank for which a batch holds no window gets one in which the mask is False.

    A batch holds "codes", int64 (batch, context + length), and "mask", bool (batch, length), with length <= window:
    `codes[:, context:]` are the targets, the mask is False where they are padding, and the model sees `codes[:, :-1]`.
    Silence codes precede a clip's first sample and follow its last one. Batches have one of sixteen lengths, because
    the math library takes longer to compile code for a new shape than to run it.

    A share `joined` of the clips follows the end of another clip, of any speaker, instead of silence. So a model learns
    to begin in the voice that it is asked for, whatever it has heard before.

    With `conditioning`, a batch also holds "speaker", float32 (batch, speakers), one-hot, and "mel",
    float32 (batch, frames, n_mels) as in `network.conditioning.Conditioning`, for the samples from `codes[:, 1]` on.
    The first one lies `ClipConditioning.phase` samples into the first frame after the context frames.

    With `prediction`, a batch also holds "predicted_rows", int64 (batch, 3, context + length - 1): the rows of
    `network.prediction.rows` after each of `codes[:, :-1]`, of values, sizes and innovations. The predictor starts
    `prediction.memory` samples earlier than the window.

    Use it in a `DataLoader` with `batch_size=None`; the order is the same for any number of workers.

    Args:
        corpus: corpus whose training clips are used.
        context: number of samples that the model sees before the first target.
        window: maximum number of targets in a row of the batch.
        batch_size: maximum number of rows of this rank.
        coding: coding of the waveform as integers.
        seed: seed of the order.
        start_step: number of batches to skip.
        rank: rank of this process.
        world_size: number of processes.
        conditioning: makes what a batch holds beside codes; None for nothing.
        prediction: settings of the linear predictor; None for a model without it.
        joined: share of the clips that follow another clip, 0 to 1; frames of a conditioning would not show that clip.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        context: int,
        window: int,
        batch_size: int,
        coding: Coding,
        seed: int,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        conditioning: ClipConditioning | None = None,
        prediction: PredictionConfig | None = None,
        joined: float = 0.0,
    ) -> None:
        self.corpus = corpus
        self.context = context
        self.window = window
        self.batch_size = batch_size
        self.coding = coding
        self.seed = seed
        self.start_step = start_step
        self.rank = rank
        self.world_size = world_size
        self.conditioning = conditioning
        self.prediction = prediction
        self.joined = joined
        self._grid = 1 if conditioning is None else conditioning.grid
        self._limit = max_cut_length(window, self._grid)
        self._lengths = np.array([clip.num_samples for clip in corpus.training], dtype=np.int64)
        self._num_windows = int(np.ceil(self._lengths / self._limit).sum())
        self._order: tuple[int, _Order] | None = None

    @property
    def count(self) -> int:
        """Windows of an epoch."""
        return self._num_windows

    @property
    def batches_per_epoch(self) -> int:
        """Batches in which each training sample occurs once, over all ranks."""
        return math.ceil(self._num_windows / (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        # A loader takes batches from its workers in rotation, so each of n workers makes every n-th batch.
        first, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in itertools.count(self.start_step + first, stride):
            yield self.batch(step)

    def batch(self, number: int) -> Batch:
        """Returns this rank's part of batch `number`; the whole batch depends only on the seed and the number."""
        epoch, index = divmod(number, self.batches_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self._shuffled(epoch)
        order = self._order[1]
        position = int(order.batches[index])
        first = position * self._num_windows // self.batches_per_epoch
        last = (position + 1) * self._num_windows // self.batches_per_epoch
        own = slice(*(first + (last - first) * rank // self.world_size for rank in (self.rank, self.rank + 1)))
        windows = [
            self._window(order, place)
            for place in order.windows[own if own.start < own.stop else slice(first, first + 1)]
        ]
        batch = _collate(
            self.corpus, windows, self.window, self.context, self.coding, self.conditioning, self.prediction
        )
        if own.start == own.stop:
            batch["mask"].zero_()
        return batch

    def _window(self, order: _Order, place: int) -> _Window:
        clips, before = self.corpus.training, int(order.before[place])
        span = int(order.starts[place]), int(order.stops[place])
        return _Window(clips[order.clips[place]], *span, None if before < 0 else clips[before])

    def _shuffled(self, epoch: int) -> _Order:
        generator = np.random.Generator(np.random.Philox(key=np.array([self.seed % 2**64, epoch], dtype=np.uint64)))
        counts = -(-self._lengths // self._limit)
        # no window may exceed the maximum length, nor the first or last one be much shorter than the others
        reach = np.minimum(self._limit - -(-self._lengths // counts), self._lengths // counts // 4)
        shift = np.where(counts > 1, generator.integers(-reach, reach + 1), 0)
        clips, starts, stops = _cut(self._lengths, self._limit, shift, self._grid)
        windows = generator.permutation(self._num_windows).astype(np.int32)
        lengths = stops - starts
        if lengths.mean() < _MIN_FILL * self.window:
            pool = np.arange(self._num_windows) // (_POOL_BATCHES * self.batch_size * self.world_size)
            windows = windows[np.lexsort((lengths[windows], pool))]
        batches = generator.permutation(self.batches_per_epoch)
        return _Order(clips, starts, stops, windows, batches, self._joins(clips, starts, generator))

    def _joins(
        self, clips: NDArray[np.int32], starts: NDArray[np.int64], generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Returns the other clip that each window follows; -1 for its own past, or silence."""
        count = len(self._lengths)
        follows = (starts == 0) & (generator.random(len(starts)) < self.joined) & (count > 1)
        others = (clips + generator.integers(1, max(count, 2), size=len(starts))) % count
        return np.where(follows, others, -1)


class ValidationWindows(Dataset[Batch]):
    """All validation samples, each once, in fixed batches of the form that `TrainingWindows` describes.

    Args:
        corpus: corpus whose validation clips are used.
        context: number of samples that the model sees before the first target.
        window: maximum number of targets in a row of the batch.
        batch_size: maximum number of rows.
        coding: coding of the waveform as integers.
        limit_seconds: if there is more audio, only whole windows spread evenly over it are used, at least one.
        conditioning: what goes into a batch beside codes; None for nothing.
        prediction: settings of the linear predictor; None for a model without it.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        context: int,
        window: int,
        batch_size: int,
        coding: Coding,
        limit_seconds: float | None = None,
        conditioning: ClipConditioning | None = None,
        prediction: PredictionConfig | None = None,
    ) -> None:
        self.corpus = corpus
        self.context = context
        self.window = window
        self.batch_size = batch_size
        self.coding = coding
        self.conditioning = conditioning
        self.prediction = prediction
        grid = 1 if conditioning is None else conditioning.grid
        lengths = np.array([clip.num_samples for clip in corpus.validation], dtype=np.int64)
        clips, starts, stops = _cut(lengths, max_cut_length(window, grid), np.zeros_like(lengths), grid)
        total_seconds = lengths.sum() / corpus.sample_rate
        picked = np.arange(len(clips))
        if limit_seconds is not None and limit_seconds < total_seconds:
            count = max(1, int(len(clips) * limit_seconds / total_seconds))
            picked = ((np.arange(count) + 0.5) * len(clips) / count).astype(np.int64)
        # Longest first, so the rows of a batch have nearly equal lengths.
        picked = picked[np.argsort((starts - stops)[picked], kind="stable")]
        self._windows = [(int(clips[place]), int(starts[place]), int(stops[place])) for place in picked]

    @property
    def spans(self) -> tuple[tuple[int, int, int], ...]:
        """The targets of all batches together: (validation clip, start, stop) of each window."""
        return tuple(self._windows)

    @property
    def num_samples(self) -> int:
        """Total number of targets in all batches."""
        return sum(stop - start for _, start, stop in self._windows)

    def __len__(self) -> int:
        return math.ceil(len(self._windows) / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        chosen = self._windows[index * self.batch_size : (index + 1) * self.batch_size]
        windows = [_Window(self.corpus.validation[clip], start, stop, None) for clip, start, stop in chosen]
        return _collate(
            self.corpus, windows, self.window, self.context, self.coding, self.conditioning, self.prediction
        )


class _Window(NamedTuple):
    """Targets of a row, and the clip whose end precedes them if they begin their own; None for silence."""

    clip: Clip
    start: int
    stop: int
    before: Clip | None


class _Order(NamedTuple):
    """An epoch: windows as (clip, start, stop), their order, that of the batches, and the clip before each, or -1."""

    clips: NDArray[np.int32]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    windows: NDArray[np.int32]
    batches: NDArray[np.int64]
    before: NDArray[np.int64]


def max_cut_length(window: int, grid: int) -> int:
    """Returns the maximum length of windows before their starts are aligned to the grid.

    Raises:
        UserError: the windows are too short for the grid.
    """
    if window < 4 * grid and grid > 1:
        raise UserError(
            f"training.window ({window}) must be at least four times the hop of the mel frames ({grid}), "
            f"{4 * grid} samples"
        )
    return window - (grid - 1)


def _cut(
    lengths: NDArray[np.int64], window: int, shift: NDArray[np.int64], grid: int = 1
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Returns clip index, start and stop of each window; all cuts of a clip are moved by its `shift`.

    Then they are moved back to the `grid`, so a window can exceed `window` by less than one grid step.

    >>> [part.tolist() for part in _cut(np.array([10, 3]), 4, np.array([1, 0]))]
    [[0, 0, 0, 1], [0, 4, 7, 0], [4, 7, 10, 3]]
    """
    counts = -(-lengths // window)
    clips = np.repeat(np.arange(len(lengths), dtype=np.int32), counts)
    ordinal = np.arange(len(clips)) - np.repeat(np.cumsum(counts) - counts, counts)
    even = ordinal * lengths[clips] // counts[clips]
    starts = np.where(ordinal > 0, even + shift[clips], 0) // grid * grid
    last = ordinal == counts[clips] - 1
    return clips, starts, np.where(last, lengths[clips], np.append(starts[1:], 0))


def _collate(
    corpus: Corpus,
    windows: list[_Window],
    window: int,
    context: int,
    coding: Coding,
    conditioning: ClipConditioning | None,
    prediction: PredictionConfig | None,
) -> Batch:
    step = math.ceil(window / _NUM_LENGTHS)
    longest = max(row.stop - row.start for row in windows)
    length = min(window, math.ceil(longest / step) * step)
    # what the predictor remembers lies before the context
    past = context + (prediction.memory if prediction else 0)
    codes = np.full((len(windows), past + length), coding.silence, dtype=np.int64)
    mask = np.zeros((len(windows), length), dtype=bool)
    for row, (clip, start, stop, other) in enumerate(windows):
        before = min(past, start)
        coded = coded_waveform(corpus, clip, start - before, stop)
        codes[row, past - before : past + stop - start] = coding.encode(coded)
        mask[row, : stop - start] = True
        if other is not None and before < past:
            end = coded_waveform(corpus, other, max(0, other.num_samples - (past - before)))
            codes[row, past - before - len(end) : past - before] = coding.encode(end)
    entries = {} if conditioning is None else conditioning.of(corpus, [row[:3] for row in windows], context, length)
    if prediction is not None:
        rows = predicted_rows(prediction, coding.decode(codes[:, :-1]))
        entries["predicted_rows"] = torch.from_numpy(rows[:, :, past - context :].swapaxes(0, 1).copy())
    seen = np.ascontiguousarray(codes[:, past - context :])
    return {"codes": torch.from_numpy(seen), "mask": torch.from_numpy(mask), **entries}
