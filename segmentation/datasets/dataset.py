"""A segmentation data set: pairs of an image and a mask of class ids, in any format on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.image_files import read_image, read_mask
from segmentation.datasets.labels import LabelMap, UnknownIds
from wavenet_app.core.errors import UserError

if TYPE_CHECKING:
    from torchvision import tv_tensors

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


class Sample(NamedTuple):
    """One labelled image.

    Attributes:
        image: RGB, uint8, shape (3, height, width).
        mask: class ids, 255 = ignore, uint8, shape (height, width).
    """

    image: tv_tensors.Image
    mask: tv_tensors.Mask


@dataclass(frozen=True)
class FileNote:
    """A file that is skipped, or that is used but was repaired or looks odd.

    Attributes:
        path: of the file.
        problem: what is wrong; the same text for all files with this problem.
        detail: what is specific to this file; may be empty.
    """

    path: Path
    problem: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" + (f" ({self.detail})" if self.detail else "")


class SegmentationDataset:
    """Labelled images of one split, read on access; a map-style data set of torch, which it imports on access alone.

    Formats whose masks are not files of class ids override `mask`.

    Attributes:
        name: of the data set, as in a folder's name.
        format: of the files, such as "Cityscapes".
        split: the list of images that is used, such as "train" or "trainaug".
        classes: name of every class, in the order of the ids.
        palette: colour of every class, uint8, shape (num_classes, 3).
        labels: raw ids to classes and back; `labels.decode` gives what the data set's own tools expect.
        skipped: files that are not used, each with the reason.
        notes: files that are used, but were repaired or look odd.
        remarks: lines about the whole set, such as how its masks are coded.
    """

    def __init__(
        self,
        *,
        name: str,
        format: str,
        split: str,
        classes: Sequence[str],
        palette: NDArray[np.uint8],
        labels: LabelMap,
        images: Sequence[Path],
        masks: Sequence[Path],
        skipped: Sequence[FileNote] = (),
        notes: Sequence[FileNote] = (),
        remarks: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.format = format
        self.split = split
        self.classes = tuple(classes)
        self.palette = palette
        self.labels = labels
        self.skipped = tuple(skipped)
        self.notes = tuple(notes)
        self.remarks = tuple(remarks)
        self._images = tuple(images)
        self._masks = tuple(masks)

    @property
    def num_classes(self) -> int:
        """Number of classes; ids run from 0 to one less."""
        return len(self.classes)

    def __len__(self) -> int:
        return len(self._images)

    def image_path(self, index: int) -> Path:
        """Returns the file of an image."""
        return self._images[index]

    def mask_path(self, index: int) -> Path:
        """Returns the file that an image's mask comes from."""
        return self._masks[index]

    def image(self, index: int) -> NDArray[np.uint8]:
        """Returns an image as RGB, shape (height, width, 3); in the stored, not the EXIF orientation.

        Raises:
            UserError: the file cannot be read.
        """
        return read_image(self._images[index], upright=False)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns a mask of class ids, 255 = ignore, shape (height, width).

        Raises:
            UserError: the file cannot be read or holds an id that the data set does not have.
        """
        path = self._masks[index]
        values = read_mask(path).values
        if values is None:
            raise UserError(f"the mask {path} holds colours, but {self.format} has class ids; take the original file")
        try:
            return self.labels.encode(values)
        except UnknownIds as unknown:
            ids = ", ".join(map(str, unknown.ids[:8]))
            raise UserError(
                f"the mask {path} holds the ids {ids}, which {self.format} does not have; take the original file"
            ) from None

    def __getitem__(self, index: int) -> Sample:
        import torch
        from torchvision import tv_tensors

        if not 0 <= index < len(self):
            raise IndexError(index)
        image, mask = self.image(index), self.mask(index)
        if image.shape[:2] != mask.shape:
            raise UserError(
                f"{self.image_path(index)} is {_size(image)}, but its mask {self.mask_path(index)} is {_size(mask)}; "
                "take the files that belong together"
            )
        return Sample(
            tv_tensors.Image(torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))),
            tv_tensors.Mask(torch.from_numpy(np.array(mask, order="C"))),
        )


def existing_pairs(
    pairs: Sequence[tuple[Path, Path]], *, missing_image: str, missing_mask: str
) -> tuple[list[tuple[Path, Path]], list[FileNote]]:
    """Returns the pairs whose two files exist, and a note on each other one."""
    whole: list[tuple[Path, Path]] = []
    skipped: list[FileNote] = []
    for image, mask in pairs:
        if not image.is_file():
            skipped.append(FileNote(image, missing_image))
        elif not mask.is_file():
            skipped.append(FileNote(image, missing_mask, f"looked for {mask}"))
        else:
            whole.append((image, mask))
    return whole, skipped


def refuse_empty(images: Sequence[object], skipped: Sequence[FileNote], where: str) -> None:
    """Raises a UserError if a split has no image left, with the first skipped file and its reason."""
    if images:
        return
    why = f"; {len(skipped)} files are skipped, the first is {skipped[0]}" if skipped else ""
    raise UserError(f"{where} holds no labelled image{why}")


def _size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"


def evenly_spread(total: int, limit: int | None) -> list[int]:
    """Returns at most `limit` of the numbers 0 to total - 1, evenly spread; all for None.

    >>> evenly_spread(10, 3)
    [1, 5, 8]
    """
    if limit is None or limit >= total:
        return list(range(total))
    return [int((place + 0.5) * total / limit) for place in range(limit)]
