"""Checks a data set before training: unusable files, misleading masks, and the share of every class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.broken import most_broken
from segmentation.datasets.dataset import FileNote, SegmentationDataset, evenly_spread
from segmentation.datasets.labels import IGNORE
from wavenet_app.core.errors import UserError
from wavenet_app.core.shown import shown

QUICK_FILES = 32
RARE_SHARE = 0.001
MOSTLY_IGNORED = 0.9

_SHOWN = 12

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SplitReport:
    """The content of one split.

    Attributes:
        split: its name.
        images: number of images in it.
        checked: how many of them were read.
        pixels: pixels of every class in those, int64, shape (num_classes,).
        ignored: pixels that do not count.
        smallest: (width, height) of the image of fewest pixels; None if none could be read.
        largest: (width, height) of the image of most pixels.
        skipped: files that the data set skips.
        broken: files that cannot be used; training skips a few and fails on many.
        suspicious: usable files that look odd.
        remarks: lines about the whole split.
    """

    split: str
    images: int
    checked: int
    pixels: NDArray[np.int64]
    ignored: int
    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    skipped: tuple[FileNote, ...]
    broken: tuple[FileNote, ...]
    suspicious: tuple[FileNote, ...]
    remarks: tuple[str, ...]

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of every class in the pixels that count, shape (num_classes,); 0 where there are none."""
        return self.pixels / max(1, int(self.pixels.sum()))

    @property
    def is_complete(self) -> bool:
        """Whether every image was read."""
        return self.checked == self.images


@dataclass(frozen=True)
class CheckReport:
    """The content of a data set, and what is wrong with it.

    Attributes:
        name: of the data set.
        format: of its files.
        classes: name of every class.
        splits: a report each.
        problems: lines on what prevents a useful training.
        warnings: lines on what the user should know before training.
    """

    name: str
    format: str
    classes: tuple[str, ...]
    splits: tuple[SplitReport, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values for JSON."""
        return {
            "name": self.name,
            "format": self.format,
            "classes": list(self.classes),
            "problems": list(self.problems),
            "warnings": list(self.warnings),
            "splits": {split.split: _split_values(split, self.classes) for split in self.splits},
        }


def check_datasets(
    datasets: Sequence[SegmentationDataset],
    *,
    limit: int | None = None,
    progress: Progress = lambda _done, _total: None,
) -> CheckReport:
    """Reads the splits of a data set and reports what they hold.

    Args:
        datasets: its splits, training first.
        limit: images of each split to read, evenly spread; None for all.
        progress: called with the number of images read, and of all.

    Raises:
        UserError: the splits have different classes.
    """
    _refuse_other_classes(datasets)
    chosen = [evenly_spread(len(dataset), limit) for dataset in datasets]
    total, done = sum(map(len, chosen)), 0
    splits = []
    for dataset, indices in zip(datasets, chosen, strict=True):
        splits.append(_check_split(dataset, indices, lambda count, before=done: progress(before + count, total)))  # type: ignore[misc]
        done += len(indices)
    first = datasets[0]
    problems, warnings = _verdict(first.classes, splits)
    if limit is None:
        warnings += _in_two_splits(datasets)
    return CheckReport(first.name, first.format, first.classes, tuple(splits), tuple(problems), tuple(warnings))


def quick_check(datasets: Sequence[SegmentationDataset], limit: int = QUICK_FILES) -> CheckReport:
    """Reads a sample of each split, so that no training starts that cannot succeed.

    If the training sample holds a single class, every training mask is read before that is reported.

    Args:
        datasets: the splits, training first.
        limit: images of each to read, evenly spread.

    Returns:
        The report, with warnings for the user; its first split is the training split.

    Raises:
        UserError: too many files of a sample are broken, the masks teach nothing, or the splits have different classes;
            the message says which and why.
    """
    report = check_datasets(datasets, limit=limit)
    too_many = any(len(split.broken) > most_broken(split.checked) for split in report.splits)
    if report.problems and not too_many and not report.splits[0].is_complete:
        report = check_datasets(datasets[:1])
    if report.problems:
        raise UserError(report.problems[0])
    return report


def _refuse_other_classes(datasets: Sequence[SegmentationDataset]) -> None:
    """Raises a UserError if a class id does not mean the same in all splits."""
    first = datasets[0]
    for other in datasets[1:]:
        for number, pair in enumerate(zip_longest(first.classes, other.classes)):
            if pair[0] != pair[1]:
                own, theirs = ("absent" if name is None else shown(name) for name in pair)
                raise UserError(
                    f"the splits of {first.name} have different classes: class {number} is {own} in {first.split} and "
                    f"{theirs} in {other.split}; give both the same classes in the same order"
                )


def _check_split(dataset: SegmentationDataset, indices: Sequence[int], progress: Callable[[int], None]) -> SplitReport:
    counts = np.zeros(IGNORE + 1, dtype=np.int64)
    sizes: list[tuple[int, int]] = []
    broken: list[FileNote] = []
    suspicious = list(dataset.notes)
    for done, index in enumerate(indices, start=1):
        try:
            sample = dataset[index]
        except UserError as error:
            broken.append(FileNote(dataset.mask_path(index), "cannot be used", str(error)))
        else:
            image, mask = sample.image.numpy(), sample.mask.numpy()
            found = np.bincount(mask.ravel(), minlength=IGNORE + 1)
            counts += found
            sizes.append((mask.shape[1], mask.shape[0]))
            suspicious += _oddities(dataset, index, image, found)
        progress(done)
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    return SplitReport(
        split=dataset.split,
        images=len(dataset),
        checked=len(indices),
        pixels=counts[: dataset.num_classes],
        ignored=int(counts[IGNORE]),
        smallest=by_area[0] if by_area else None,
        largest=by_area[-1] if by_area else None,
        skipped=dataset.skipped,
        broken=tuple(broken),
        suspicious=tuple(suspicious),
        remarks=dataset.remarks,
    )


def _oddities(
    dataset: SegmentationDataset, index: int, image: NDArray[np.uint8], found: NDArray[np.int64]
) -> list[FileNote]:
    notes = []
    ignored = found[IGNORE] / found.sum()
    if ignored == 1:
        notes.append(FileNote(dataset.mask_path(index), "the whole mask is ignored", dataset.image_path(index).name))
    elif ignored > MOSTLY_IGNORED:
        notes.append(
            FileNote(
                dataset.mask_path(index), f"more than {MOSTLY_IGNORED:.0%} of the mask is ignored", f"{ignored:.1%}"
            )
        )
    if image.min() == image.max():
        notes.append(FileNote(dataset.image_path(index), "the image is of one colour"))
    return notes


def _verdict(classes: tuple[str, ...], splits: Sequence[SplitReport]) -> tuple[list[str], list[str]]:
    problems: list[str] = []
    warnings: list[str] = []
    for split in splits:
        if split.broken:
            more = f" (and {len(split.broken) - 1} more)" if len(split.broken) > 1 else ""
            if len(split.broken) > most_broken(split.checked):
                problems.append(split.broken[0].detail + more)
            else:
                warnings.append(f"{split.split}: training skips what cannot be used: {split.broken[0].detail}{more}")
    training = splits[0]
    present = [name for name, count in zip(classes, training.pixels, strict=True) if count]
    sampled = "" if training.is_complete else f" of {training.checked} sampled"
    if not present and len(training.broken) < training.checked:
        problems.append(f"no pixel{sampled} of the training masks counts: all are ignored (255)")
    elif len(present) == 1:
        problems.append(
            f"the training masks{sampled} hold a single class, '{present[0]}'{_beside(training)}: nothing can be "
            "learned; check how the masks are coded"
        )
    absent = [name for name in classes if name not in present]
    if present and absent:
        warnings.append(
            f"{len(absent)} of {len(classes)} classes are not in the training masks{sampled}: {_listed(absent)}"
        )
    rare = [
        f"{name} ({share:.3%})" for name, share in zip(classes, training.shares, strict=True) if 0 < share < RARE_SHARE
    ]
    if rare:
        warnings.append(f"rare in the training masks{sampled}, below {RARE_SHARE:.1%} of the pixels: {_listed(rare)}")
    for split in splits[1:]:
        untrained = [name for name, count in zip(classes, split.pixels, strict=True) if count and name in absent]
        if untrained and training.is_complete:
            warnings.append(f"in {split.split} but not in training, so never learned: {_listed(untrained)}")
    return problems, warnings


def _beside(split: SplitReport) -> str:
    share = split.ignored / max(1, split.ignored + int(split.pixels.sum()))
    return f", beside {share:.1%} of ignored pixels ({IGNORE})" if share else ""


def _in_two_splits(datasets: Sequence[SegmentationDataset]) -> list[str]:
    """Returns a line if the same image file is in two splits, which makes the validation score too good."""
    seen: dict[bytes, str] = {}
    twice: list[str] = []
    for dataset in datasets:
        own: dict[bytes, str] = {}
        for index in range(len(dataset)):
            path = dataset.image_path(index)
            if not path.is_file():
                continue
            digest = hashlib.sha256(path.read_bytes()).digest()
            own[digest] = str(path)
            if digest in seen:
                twice.append(f"{seen[digest]} = {path}")
        seen.update(own)
    if not twice:
        return []
    return [f"{len(twice)} images are in two splits, so the validation score is too good: {', '.join(twice[:3])}"]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _split_values(split: SplitReport, classes: Iterable[str]) -> dict[str, Any]:
    def listed(notes: tuple[FileNote, ...]) -> list[dict[str, str]]:
        return [{"file": str(note.path), "problem": note.problem, "detail": note.detail} for note in notes]

    return {
        "images": split.images,
        "checked": split.checked,
        "class_shares": {name: float(share) for name, share in zip(classes, split.shares, strict=True)},
        "ignored_share": split.ignored / max(1, split.ignored + int(split.pixels.sum())),
        "smallest": split.smallest,
        "largest": split.largest,
        "skipped": listed(split.skipped),
        "broken": listed(split.broken),
        "suspicious": listed(split.suspicious),
        "remarks": list(split.remarks),
    }
