"""A trained DeepLab of a checkpoint, with all that its use needs: classes, colours, ids and normalisation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmentation.checkpoints.pretrained import load_pretrained, read_pretrained
from segmentation.config import ATROUS_RATES, SegmentationConfig
from segmentation.datasets.catalogue import FORMATS
from segmentation.datasets.dataset import SegmentationDataset
from segmentation.datasets.labels import LabelMap, voc_palette
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from segmentation.network.deeplab import DeepLab
from wavenet_app.core.errors import UserError
from wavenet_app.core.settings import validated


@dataclass(frozen=True)
class ClassTable:
    """The meaning of a model's class ids.

    Attributes:
        names: of the classes; empty if the file does not store them.
        palette: colour of every class, uint8, shape (num_classes, 3).
        labels: how ids are written back for the data set's own tools.
    """

    names: tuple[str, ...]
    palette: NDArray[np.uint8]
    labels: LabelMap

    @classmethod
    def of_dataset(cls, dataset: SegmentationDataset) -> ClassTable:
        """Returns the classes of a data set."""
        return cls(dataset.classes, dataset.palette, dataset.labels)

    def to_plain(self) -> dict[str, Any]:
        """Returns plain values for a checkpoint."""
        return {
            "classes": list(self.names),
            "palette": self.palette.tolist(),
            "raw_ids": list(self.labels.raw_ids),
            "raw_ignore": self.labels.raw_ignore,
        }

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> ClassTable:
        """Returns the table that `to_plain` returned as plain values."""
        identity = LabelMap.identity(len(content["classes"]))
        labels = replace(identity, raw_ids=tuple(content["raw_ids"]), raw_ignore=content["raw_ignore"])
        return cls(tuple(content["classes"]), np.array(content["palette"], dtype=np.uint8), labels)


@dataclass(frozen=True)
class Segmenter:
    """A loaded checkpoint.

    Attributes:
        path: the file.
        model: in evaluation mode, on the CPU.
        table: what its class ids mean.
        mean: of red, green and blue, 0 to 1.
        std: of red, green and blue.
        config: all settings of the run; None for a file of another project.
        content: everything else that a file of ours holds.
    """

    path: Path
    model: DeepLab
    table: ClassTable
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    config: SegmentationConfig | None
    content: dict[str, Any]

    @property
    def image_scale(self) -> float:
        """The scale of the images in training, as a share of their size."""
        return (self.config and self.config.data.image_scale) or 1.0

    @property
    def pad_to(self) -> int:
        """What the sides of an image are padded to multiples of; other projects do not pad, so 1 for their files."""
        return self.config.pad_to if self.config else 1

    @property
    def name(self) -> str:
        """Name of the run, or of the file if it is of another project."""
        return self.config.name if self.config else self.path.stem


def load_segmenter(path: Path, output_stride: int | None = None) -> Segmenter:
    """Returns the model of a checkpoint, ours or one of those that `pretrained.read_pretrained` knows.

    Files from other projects store no classes: they get VOC's colours, numbers as ids and ImageNet's normalisation.

    Args:
        path: the file.
        output_stride: 1, 2, 4, 8 or 16, for files that do not store it, or to override it.

    Raises:
        UserError: the file is absent, damaged, no DeepLab, or does not store its output stride.
    """
    if output_stride not in (None, *ATROUS_RATES):
        raise UserError(f"--output-stride takes 1, 2, 4, 8 or 16, not {output_stride}")
    pretrained = read_pretrained(path)
    model = load_pretrained(pretrained, output_stride)
    if not pretrained.content:
        classes = model.config.num_classes
        table = ClassTable((), voc_palette(classes), LabelMap.identity(classes))
        return Segmenter(path, model, table, IMAGENET_MEAN, IMAGENET_STD, None, {})
    content = pretrained.content
    for name in ("classes", "palette", "raw_ids", "raw_ignore", "normalisation"):
        if content.get(name) is None:
            raise UserError(f"{path} does not hold {name}, which labelling images needs; take another checkpoint")
    red_green_blue = {name: tuple(content["normalisation"][name]) for name in ("mean", "std")}
    return Segmenter(
        path=path,
        model=model,
        table=ClassTable.from_plain(content),
        mean=red_green_blue["mean"],
        std=red_green_blue["std"],
        config=validated(SegmentationConfig, content["config"]),
        content=content,
    )


def class_names(segmenter: Segmenter) -> tuple[str, ...]:
    """Returns the names of a model's classes, made of their numbers if the file does not store them."""
    return segmenter.table.names or tuple(f"class {number}" for number in range(segmenter.model.config.num_classes))


def check_classes(segmenter: Segmenter, dataset: SegmentationDataset) -> None:
    """Raises a UserError unless a model's classes are those of a data set."""
    count, names = segmenter.model.config.num_classes, segmenter.table.names
    if count != dataset.num_classes:
        # a file without names most likely has the classes of the first data set of that many
        alike = next((format.name for format in FORMATS if format.num_classes == count), None)
        guess = f", as {alike} has" if not names and alike else ""
        raise UserError(
            f"{segmenter.path} has {count} classes{guess}, but {dataset.name} ({dataset.format}) has "
            f"{dataset.num_classes}; use the data set of its training, or one with the same classes"
        )
    for number, (own, other) in enumerate(zip(names, dataset.classes, strict=False)):
        if own != other:
            raise UserError(
                f"class {number} of {segmenter.path} is '{own}', but '{other}' in {dataset.name}; "
                "use a data set with the same classes"
            )
