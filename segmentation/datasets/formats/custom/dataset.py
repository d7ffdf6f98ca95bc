"""Custom data sets: a folder of images and a folder of masks, as common labelling tools write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.dataset import FileNote, SegmentationDataset, Split, refuse_empty
from segmentation.datasets.format import Format
from segmentation.datasets.formats.custom.class_list import FILE_NAME
from segmentation.datasets.formats.custom.layouts import Layout, find_layout
from segmentation.datasets.formats.custom.masks import ScannedMask, find_coding, needs_all_masks, scan_mask
from segmentation.datasets.formats.custom.pairs import Pairing
from segmentation.datasets.formats.voc.classes import find_classes
from segmentation.datasets.held_out import is_held_out
from segmentation.datasets.image_files import (
    LOSSY_SUFFIXES,
    SIDEWAYS,
    FileFacts,
    deep_bits,
    file_facts,
    read_image,
    read_mask,
)
from segmentation.datasets.label_studio import label_studio_remedy
from segmentation.datasets.labels import UnknownIds, unpacked
from wavenet_app.core.errors import UserError

NAME = "custom"
MARKERS = ("images", "masks")
_SCANNED_MASKS = 64  # enough to see how masks are coded; every other mask is checked when it is read
_SAME_SHAPE = 0.02  # by how much height and width of a mask may be scaled differently


@dataclass(frozen=True)
class _Pair:
    """An image and its mask, and how they are made to fit.

    Attributes:
        image: file.
        mask: file.
        upright: whether the image's EXIF orientation is applied.
        size: (width, height) of the image, and so of its mask.
        mask_facts: head of the mask's file.
        is_deep: whether the image has more than 8 bits.
    """

    image: Path
    mask: Path
    upright: bool
    size: tuple[int, int]
    mask_facts: FileFacts
    is_deep: bool = False


class CustomDataset(SegmentationDataset):
    """A folder with images/ and masks/, or in another layout that `find_layout` knows, and a list of classes.

    Masks hold the class ids 0 to num_classes - 1, and 255 for ignored pixels. Other codings are recognised
    (`custom.masks`) and described in `remarks`. Without val/ a fifth of the images is held out, chosen by name.

    Args:
        root: folder in one of the layouts.
        split: "train" or "val".
        name: of the data set.

    Raises:
        UserError: no image has a mask, or the coding of the masks is ambiguous; the message says what to do.
    """

    def __init__(self, root: Path, split: Split, name: str | None = None) -> None:
        layout = find_layout(root)
        if layout is None:
            raise UserError(f"{root} has no folders {' and '.join(MARKERS)}; make them")
        pairing, remarks = _paired(layout, split)
        pairs, skipped, notes = _fitting(pairing)
        remedy = None if pairs else label_studio_remedy(root)
        if remedy is not None:
            raise UserError(remedy)
        class_file, listed = find_classes([root, *layout.folders]) or (root / FILE_NAME, None)
        refuse_empty(pairs, [*pairing.skipped, *skipped], f"{layout.base} ({split})")
        # what is found from the usable pairs of all splits is the same for training and validation
        in_all_splits = [*pairs, *_pairs_of_other_split(layout, split)]
        everything = sorted({pair.mask for pair in in_all_splits})
        scanned = _scan(everything, all_of_them=listed is None)
        if listed is not None and needs_all_masks(scanned, listed):
            scanned = _scan(everything, all_of_them=True)
        self._coding = find_coding(scanned, listed, class_file)
        if self._coding.kind != "threshold":
            blurred = [pair for pair in pairs if pair.mask_facts.is_lossy]
            skipped += [
                FileNote(pair.mask, "a JPEG mask, whose compression changes ids; export it as PNG") for pair in blurred
            ]
            pairs = [pair for pair in pairs if not pair.mask_facts.is_lossy]
        all_skipped = [*pairing.skipped, *skipped]
        refuse_empty(pairs, all_skipped, f"{layout.base} ({split})")
        self._pairs = pairs
        has_deep = any(pair.is_deep for pair in pairs)
        self._bits = deep_bits(sorted({pair.image for pair in in_all_splits})) if has_deep else None
        super().__init__(
            name=name or root.resolve().name,
            format=NAME,
            split=split,
            classes=self._coding.names,
            palette=self._coding.palette,
            labels=self._coding.labels,
            images=[pair.image for pair in pairs],
            masks=[pair.mask for pair in pairs],
            skipped=all_skipped,
            notes=notes,
            remarks=[*remarks, *([pairing.remark] if pairing.remark else []), *self._coding.remarks],
        )

    def image(self, index: int) -> NDArray[np.uint8]:
        """Returns an image as RGB, shape (height, width, 3), turned as its mask is."""
        pair = self._pairs[index]
        return read_image(pair.image, upright=pair.upright, bits=self._bits)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns a mask of class ids, 255 = ignore, shape (height, width) of the image.

        Raises:
            UserError: it cannot be read, or holds what stands for no class.
        """
        pair = self._pairs[index]
        try:
            classes = self._coding.classes_of(read_mask(pair.mask))
        except UnknownIds as unknown:
            by_colour = self._coding.kind == "colours"
            shown = [" ".join(map(str, unpacked(one))) if by_colour else str(one) for one in unknown.ids[:8]]
            what = "colours" if by_colour else "ids"
            raise UserError(
                f"the mask {pair.mask} holds the {what} {', '.join(shown)}, which stand for none of the "
                f"{self.num_classes} classes; mend it, add the names of missing classes, or "
                f"write 'ignore = {shown[0]}' into {FILE_NAME}"
                + ("" if by_colour else " with a value for every class")
                + self._from_one(unknown.ids)
            ) from None
        except ValueError as error:
            raise UserError(f"the mask {pair.mask} does not fit: {error}; export it like the others") from None
        width, height = pair.size
        if classes.shape == (height, width):
            return classes
        rows = ((np.arange(height) + 0.5) * classes.shape[0] / height).astype(np.int64)
        columns = ((np.arange(width) + 0.5) * classes.shape[1] / width).astype(np.int64)
        return classes[rows[:, None], columns]

    def _from_one(self, unknown: Sequence[int]) -> str:
        """Returns the advice on an id that is the number of classes, as where ids count from 1."""
        if self._coding.kind != "values" or list(unknown) != [self.num_classes]:
            return ""
        return f"; if ids count from 1, write '{self.classes[0]} = 1' and so on"


def _paired(layout: Layout, split: Split) -> tuple[Pairing, list[str]]:
    """Returns the split's pairs, and remarks on the split."""
    place = layout.place(split)
    if layout.val is not None and place is not None:
        return place.pairs(), []
    if layout.train is None:
        raise UserError(f"{layout.base} has a folder for validation, but none called train; make {layout.base}/train")
    images = layout.train.images
    whole = layout.train.pairs()
    if len(whole.pairs) < 2:
        refuse_empty(whole.pairs, whole.skipped, str(images))
        raise UserError(f"{images} has one labelled image, too few to hold one out; add images, or make val/")
    held_out = is_held_out([image.relative_to(layout.base).as_posix() for image, _ in whole.pairs])
    pairs = [pair for pair, out in zip(whole.pairs, held_out, strict=True) if out == (split == "val")]
    parents = [images.name, layout.train.masks.name] if images == layout.base else [layout.base.name]
    folders = " and ".join(f"{parent}/{name}" for parent in dict.fromkeys(parents) for name in ("train", "val"))
    remark = (
        f"no folder {layout.base.name}/val: {sum(held_out)} of {len(held_out)} images are held out, chosen by name; "
        f"where images resemble each other, as frames of a film do, sort them into {folders} yourself"
    )
    # files without a partner belong to neither split; the training split lists them for both
    return Pairing(pairs, whole.skipped if split == "train" else [], whole.remark), [remark]


def _pairs_of_other_split(layout: Layout, split: Split) -> list[_Pair]:
    other: Split = "val" if split == "train" else "train"
    try:
        return _fitting(_paired(layout, other)[0])[0]
    except UserError:
        return []


def _fitting(pairing: Pairing) -> tuple[list[_Pair], list[FileNote], list[FileNote]]:
    """Returns the pairs whose sizes agree or can be made to, the skipped files, and notes on repairs."""
    pairs: list[_Pair] = []
    skipped: list[FileNote] = []
    notes: list[FileNote] = []
    for image, mask in pairing.pairs:
        try:
            image_facts, mask_facts = file_facts(image), file_facts(mask)
        except UserError as error:
            skipped.append(FileNote(image, "image or mask cannot be read", str(error)))
            continue
        upright = _should_turn(image_facts, mask_facts)
        width, height = image_facts.upright_size if upright else image_facts.size
        pair = _Pair(image, mask, upright, (width, height), mask_facts, image_facts.is_deep)
        sizes = f"image {width} x {height}, mask {mask_facts.size[0]} x {mask_facts.size[1]}"
        across, down = mask_facts.size[0] / width, mask_facts.size[1] / height
        if abs(across / down - 1) > _SAME_SHAPE:
            turned = mask_facts.size == (height, width)
            problem = "the mask is turned against its image" if turned else "the mask has another shape than its image"
            skipped.append(FileNote(image, problem, sizes))
            continue
        if mask_facts.size != (width, height):
            notes.append(FileNote(mask, "the mask has another size than its image and is scaled to it", sizes))
        if image_facts.orientation != 1:
            applied = "applied" if upright else "not applied, since the mask has the stored size"
            notes.append(FileNote(image, f"EXIF rotation, {applied}", f"orientation {image_facts.orientation}"))
        if image_facts.is_deep:
            notes.append(FileNote(image, "an image of 16 bits; the 8 highest of those in use are kept"))
        for path, facts in ((image, image_facts), (mask, mask_facts)):
            if facts.pages > 1:
                notes.append(FileNote(path, "a file of several pages; the first is used", f"{facts.pages} pages"))
        if mask_facts.is_deep:
            notes.append(FileNote(mask, "a mask of 16 bits; 65535 is ignored like 255"))
        pairs.append(pair)
    return pairs, skipped, notes


def _should_turn(image: FileFacts, mask: FileFacts) -> bool:
    """Whether an image's EXIF orientation is applied: as labelling tools do, unless the mask has the stored size."""
    if image.orientation in SIDEWAYS and image.size != image.upright_size:
        return mask.size != image.size
    return True


def _scan(masks: Sequence[Path], *, all_of_them: bool) -> list[ScannedMask]:
    count = len(masks) if all_of_them else min(len(masks), _SCANNED_MASKS)
    chosen = [masks[place * len(masks) // count] for place in range(count)]
    # one JPEG is always scanned, if there are any
    chosen += [path for path in masks if path.suffix.lower() in LOSSY_SUFFIXES and path not in chosen][:1]
    scanned = []
    for path in chosen:
        try:
            scanned.append(scan_mask(path, read_mask(path), is_lossy=file_facts(path).is_lossy))
        except UserError:
            continue  # reported where the file is paired or read
    if not scanned:
        raise UserError(f"none of the masks can be read; the first is {chosen[0]}")
    return scanned


def _mask_files(root: Path) -> list[Path]:
    layout = find_layout(root)
    places = [place for place in (layout.train, layout.val) if place is not None] if layout else []
    return [mask for place in dict.fromkeys(places) for _, mask in place.pairs().pairs]


FORMAT = Format(
    name=NAME,
    argument="custom",
    open=lambda root, split, name, _options: CustomDataset(root, split, name),
    default_folder="custom",
    layout="images/ + masks/, or such folders in train/ and val/, or a.jpg + a_mask.png",
    holds=lambda folder: find_layout(folder) is not None,
    markers=MARKERS,
    holds_many=True,
    mask_files=_mask_files,
)
