"""Images as batches: training crops in an order that is a function of seed and step, and whole validation images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from segmentation.datasets.broken import BrokenFiles
from segmentation.datasets.dataset import FileNote, Sample, SegmentationDataset, evenly_spread
from segmentation.datasets.transforms import Augmentation, Crop, TrainingTransform
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.loading import Loader

Batch = dict[str, Any]
"""Name -> tensor; "broken" is a list of `FileNote` on images that could not be used, and absent without any."""


class TrainingCrops(IterableDataset[Batch]):
    """Endless training batches, resumed at any step without replaying the steps before it.

    Every pass has its own order, and passes follow each other without a gap: every batch is full, and every image comes
    once per pass. Order and augmentation depend only on the seed and the place in this sequence.

    A batch holds what a `Crop` does, for each row: "image", uint8 (batch, 3, *crop_size), "mask", uint8
    (batch, *crop_size), 255 = ignore, and "inside", int32 (batch, 4). `CropNormaliser` makes what the model sees.
    `loaded` iterates over them; the batches are the same for any number of workers.

    Args:
        dataset: images of the training split.
        augmentation: how they are changed.
        batch_size: images a batch.
        seed: of order and augmentation.
        start_step: number of the first batch.
        stride: distance between batches, where several ranks divide them.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        augmentation: Augmentation,
        *,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        stride: int = 1,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.start_step = start_step
        self.stride = stride
        self._transform = TrainingTransform(augmentation)
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self._broken = BrokenFiles(dataset)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        # A loader takes from its workers in turn, so worker w of n makes every n-th batch.
        first, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in itertools.count(self.start_step + first * self.stride, workers * self.stride):
            yield self.batch(step)

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step; a function of the seed and the step alone.

        Raises:
            UserError: too many images or masks cannot be used; up to that the next image takes their place.
        """
        broken: list[FileNote] = []
        crops = [self._crop(step * self.batch_size + row, broken) for row in range(self.batch_size)]
        batch: Batch = {
            name: torch.stack(values) for name, values in zip(Crop._fields, zip(*crops, strict=True), strict=True)
        }
        return {**batch, "broken": broken} if broken else batch

    def _crop(self, place: int, broken: list[FileNote]) -> Crop:
        passes, position = divmod(place, len(self.dataset))
        if self._order is None or self._order[0] != passes:
            self._order = passes, self._generator(0, passes).permutation(len(self.dataset))
        sample = self._sample(self._order[1], position, broken)
        seed = int(self._generator(1, place).integers(2**63))
        return self._transform(sample.image, sample.mask, seed)

    def _sample(self, order: NDArray[np.int64], position: int, broken: list[FileNote]) -> Sample:
        """Returns the image at a position of a pass, or the next one that can be used."""
        while True:
            index = int(order[position % len(order)])
            position += 1
            if index in self._broken:
                continue
            try:
                return self.dataset[index]
            except UserError as error:
                broken.append(self._broken.add(index, error))

    def _generator(self, stream: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, number])


class ValidationImages(Dataset[Batch]):
    """Whole images at their own size, one a batch, in the data set's order.

    An item holds "image", uint8 (3, height, width), "mask", uint8 (height, width), 255 = ignore, and "index", int64 (),
    the image's number in the data set. The item of an image that cannot be used holds "broken" alone, and `loaded`
    leaves it out.

    Args:
        dataset: images of the validation split.
        limit: the most images to take, evenly spread; None for all.
    """

    def __init__(self, dataset: SegmentationDataset, *, limit: int | None = None) -> None:
        self.dataset = dataset
        self._chosen = evenly_spread(len(dataset), limit)
        self._broken = BrokenFiles(dataset)

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = self._chosen[index]
        try:
            sample = self.dataset[number]
        except UserError as error:
            return {"broken": [self._broken.add(number, error)]}
        return {
            "image": sample.image.as_subclass(torch.Tensor),
            "mask": sample.mask.as_subclass(torch.Tensor),
            "index": torch.tensor(number),
        }


class loaded:  # noqa: N801 (used like a function, such as enumerate)
    """Iterates over batches from worker processes, in order; can be iterated several times.

    Args:
        source: `TrainingCrops` or `ValidationImages`.
        num_workers: processes; 0 for this one.
        pin_memory: whether batches lie in memory that a GPU reads by itself, so that sending them does not wait.
        on_broken: called with a note on each image that cannot be used and is skipped.
    """

    def __init__(
        self,
        source: Dataset[Batch],
        *,
        num_workers: int,
        pin_memory: bool = False,
        on_broken: Callable[[FileNote], None] = lambda _note: None,
    ) -> None:
        self._on_broken = on_broken
        self._batches = Loader(source, workers=num_workers, pins=pin_memory)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            for note in batch.pop("broken", ()):
                self._on_broken(note)
            if batch:
                yield batch
