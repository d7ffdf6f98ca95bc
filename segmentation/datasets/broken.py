"""Files that turn out to be broken while they are read: each is named and skipped, up to a share of the data set."""

from __future__ import annotations

from segmentation.datasets.dataset import FileNote, SegmentationDataset
from wavenet_app.core.errors import UserError

BROKEN_SHARE = 0.05
"""Share of a split's images that may be broken; with more, training would learn from what is left by chance."""


def most_broken(images: int) -> int:
    """Returns how many of some images may be broken.

    >>> most_broken(19), most_broken(20)
    (0, 1)
    """
    return int(images * BROKEN_SHARE)


class BrokenFiles:
    """The images of one split that cannot be used.

    Args:
        dataset: the split.
    """

    def __init__(self, dataset: SegmentationDataset) -> None:
        self._dataset = dataset
        self._found: set[int] = set()

    def __contains__(self, index: int) -> bool:
        return index in self._found

    def add(self, index: int, error: UserError) -> FileNote:
        """Counts a broken image and returns a note on it.

        Raises:
            UserError: more images are broken than `most_broken` allows.
        """
        self._found.add(index)
        limit = most_broken(len(self._dataset))
        if len(self._found) > max(1, limit):
            raise UserError(
                f"{len(self._found)} of {len(self._dataset)} images of {self._dataset.name} cannot be used, more than "
                f"{BROKEN_SHARE:.0%}; wavegen seg-check lists them; the last one: {error}"
            ) from None
        if len(self._found) > limit:
            raise error
        return FileNote(self._dataset.image_path(index), "cannot be used", str(error))
