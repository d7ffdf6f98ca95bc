"""PASCAL VOC 2012: masks are palette files whose index is the class; with SBD's masks it becomes `trainaug`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.dataset import FileNote, SegmentationDataset, Split, existing_pairs, refuse_empty
from segmentation.datasets.format import Format, has_folders
from segmentation.datasets.formats.custom.masks import coding_of_list
from segmentation.datasets.formats.voc.classes import find_classes, refuse_foreign_masks
from segmentation.datasets.formats.voc.sbd import read_sbd_mask
from segmentation.datasets.held_out import is_held_out
from segmentation.datasets.image_files import MaskPixels, files_below, read_mask
from segmentation.datasets.labels import (
    BORDER_COLOUR,
    IGNORE,
    LabelMap,
    UnknownIds,
    ids_of_colours,
    packed,
    unpacked,
    voc_palette,
)
from wavenet_app.core.errors import UserError
from wavenet_app.core.suffixes import IMAGE_SUFFIXES
from wavenet_app.core.text import decoded_text

NAME = "PASCAL VOC"
CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
MARKERS = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")

_SHOWN = 8  # ids or colours in an error
_SBD_FOLDERS = ("benchmark_RELEASE/dataset", "sbd", "SBD", "SBD/dataset", "sbd/dataset")


class VocDataset(SegmentationDataset):
    """PASCAL VOC in the layout of its development kit (Everingham et al. 2015).

    torchvision's `VOCSegmentation` reads only VOCdevkit/VOC2012 by that very name and knows no `trainaug`; this
    reader takes any folder with VOC's three sub-folders and gives the same pairs where both can read.

    The training split is `trainaug` (Hariharan et al. 2011; 10,582 images) if SegmentationClassAug/ lies beside
    SegmentationClass/, or SBD (its folder benchmark_RELEASE, or `sbd`) beside VOCdevkit; else `train`.

    Args:
        root: folder with JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/.
        split: "train" or "val".
        name: of the data set.

    Raises:
        UserError: the list of the split is missing, or no image is left.
    """

    def __init__(self, root: Path, split: Split, name: str = "voc") -> None:
        chosen, masks, remarks = _masks_of(root, split)
        images = _files_by_stem(root / "JPEGImages")
        sbd_images = _sbd(root)
        pairs = []
        for stem, mask in masks:
            image = images.get(stem, root / "JPEGImages" / f"{stem}.jpg")
            if stem not in images and sbd_images and (sbd_images / "img" / f"{stem}.jpg").is_file():
                image = sbd_images / "img" / f"{stem}.jpg"
            pairs.append((image, mask))
        whole, skipped = existing_pairs(
            pairs, missing_image="the list names it, but the image is missing", missing_mask="its mask is missing"
        )
        refuse_empty(whole, skipped, f"the list '{chosen}' of {root}")
        above = [root.absolute().parents[1]] if root.absolute().parent.name == "VOCdevkit" else []
        listed = find_classes([root, root / "SegmentationClass", *above])
        self._coding = coding_of_list(listed[1]) if listed else None
        if listed:
            remarks.append(f"classes are those of {listed[0]}")
        else:
            refuse_foreign_masks(root, [mask for _, mask in whole if mask.suffix != ".mat"], len(CLASSES))
        classes = self._coding.names if self._coding else CLASSES
        super().__init__(
            name=name,
            format=NAME,
            split=chosen,
            classes=classes,
            palette=self._coding.palette if self._coding else voc_palette(len(classes)),
            labels=self._coding.labels if self._coding else LabelMap.identity(len(classes)),
            images=[image for image, _ in whole],
            masks=[mask for _, mask in whole],
            skipped=skipped,
            notes=[
                FileNote(mask, "the mask holds colours; read through VOC's palette")
                for _, mask in whole[:1]
                if self._coding is None and mask.suffix == ".png" and read_mask(mask).values is None
            ],
            remarks=remarks,
        )
        # masks of colours where the list has only names are read through VOC's palette
        self._colours = {int(colour): index for index, colour in enumerate(packed(voc_palette(self.num_classes)))}
        self._colours[int(packed(np.array(BORDER_COLOUR)))] = IGNORE

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns a mask of class ids, shape (height, width), from a palette, grey, coloured or SBD file."""
        path = self.mask_path(index)
        if path.suffix == ".mat":
            try:
                return self.labels.encode(read_sbd_mask(path))
            except UnknownIds as unknown:
                raise UserError(f"the SBD mask {path} holds {unknown}; unpack SBD again") from None
        pixels = read_mask(path)
        if self._coding is not None and (self._coding.colours or pixels.values is not None):
            return self._own_classes(path, pixels)
        if pixels.values is not None or pixels.colours is None:
            return super().mask(index)
        try:
            return ids_of_colours(pixels.colours, self._colours)
        except UnknownIds:
            raise UserError(
                f"the mask {path} holds colours that are not VOC's; take the original palette file"
            ) from None

    def _own_classes(self, path: Path, pixels: MaskPixels) -> NDArray[np.uint8]:
        """Returns a mask's classes by the list that lies in the folder."""
        assert self._coding is not None
        try:
            return self._coding.classes_of(pixels)
        except UnknownIds as unknown:
            by_colour = bool(self._coding.colours)
            shown = [" ".join(map(str, unpacked(one))) if by_colour else str(one) for one in unknown.ids[:_SHOWN]]
            raise UserError(
                f"the mask {path} holds the {'colours' if by_colour else 'ids'} {', '.join(shown)}, which the list of "
                "classes does not have; add them to it"
            ) from None


def _masks_of(root: Path, split: Split) -> tuple[str, list[tuple[str, Path]], list[str]]:
    """Returns the name of the list that is used, stem and mask of each of its images, and remarks."""
    stems, remarks = _listed_stems(root, split)
    own = {stem: root / "SegmentationClass" / f"{stem}.png" for stem in stems}
    if split == "val":
        return "val", list(own.items()), remarks
    validation = set(_listed_stems(root, "val")[0])
    augmented = root / "SegmentationClassAug"
    if augmented.is_dir():
        listed = _list_file(root, "trainaug").is_file()
        stems = _stems(root, "trainaug") if listed else sorted(path.stem for path in augmented.glob("*.png"))
        masks = [(stem, augmented / f"{stem}.png") for stem in stems if stem not in validation]
        return "trainaug", masks, [*remarks, "training on trainaug: SegmentationClassAug/ is there"]
    sbd = _sbd(root)
    if sbd is not None:
        for path in sorted((sbd / "cls").glob("*.mat")):
            if path.stem not in validation:
                own.setdefault(path.stem, path)
        return "trainaug", sorted(own.items()), [*remarks, f"training on trainaug: SBD is there, {sbd}"]
    return "train", list(own.items()), remarks


def _listed_stems(root: Path, split: Split) -> tuple[list[str], list[str]]:
    """Returns the names of a split's images, and remarks; a fifth is held out where no list says what validates.

    Raises:
        UserError: the list of the split is missing, or no list can stand for it.
    """
    lists = root / "ImageSets" / "Segmentation"
    others = sorted(path.stem for path in lists.glob("*.txt") if path.stem not in ("train", "val", "trainaug", "test"))
    if _list_file(root, "val").is_file() or (not _list_file(root, "train").is_file() and not others):
        return _stems(root, split), []
    if _list_file(root, "train").is_file():
        others = ["train"]
    stems = list(dict.fromkeys(stem for name in others for stem in _stems(root, name)))
    held_out = is_held_out(stems)
    remark = (
        f"no list val.txt: {sum(held_out)} of {len(stems)} images of {', '.join(f'{name}.txt' for name in others)} are "
        "held out, chosen by name"
    )
    return [stem for stem, out in zip(stems, held_out, strict=True) if out == (split == "val")], [remark]


def _list_file(root: Path, split: str) -> Path:
    return root / "ImageSets" / "Segmentation" / f"{split}.txt"


def _stems(root: Path, split: str) -> list[str]:
    """Returns the images' names that a list holds, without their endings; names may hold dots and spaces.

    Some copies of trainaug.txt hold two paths a line, of an image and its mask.
    """
    path = _list_file(root, split)
    try:
        lines = decoded_text(path.read_bytes()).splitlines()
    except UnicodeDecodeError:
        raise UserError(f"the list of images {path} is no text; save it as UTF-8, a name a line") from None
    except OSError:
        raise UserError(f"the list of images {path} is missing; unpack VOCtrainval_11-May-2012.tar again") from None
    known = _files_by_stem(root / "JPEGImages").keys() | _files_by_stem(root / "SegmentationClass").keys()
    names = [line.strip() for line in lines if line.strip()]
    return [name if name in known else _bare(name if _bare(name) in known else name.split()[0]) for name in names]


def _bare(name: str) -> str:
    """Returns a path's last part without the ending of an image.

    >>> _bare("/JPEGImages/a.rf.1.jpg"), _bare("a.rf.1")
    ('a.rf.1', 'a.rf.1')
    """
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def _files_by_stem(folder: Path) -> dict[str, Path]:
    """Returns the images of a folder by their names without the ending; JPEGs first where there are several."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    return {path.stem: path for path in sorted(images, key=lambda path: path.suffix.lower() == ".jpg")}


def _sbd(root: Path) -> Path | None:
    for level in (root, *root.absolute().parents[:2]):
        for name in _SBD_FOLDERS:
            if (level / name / "cls").is_dir():
                return level / name
    return None


FORMAT = Format(
    name=NAME,
    argument="voc",
    open=lambda root, split, name, _options: VocDataset(root, split, name),
    default_folder="pascal_voc",
    layout="JPEGImages/ + SegmentationClass/ + ImageSets/Segmentation/",
    holds=has_folders(*MARKERS),
    markers=MARKERS,
    takes_newest=True,  # VOC2007 beside VOC2012
    num_classes=len(CLASSES),
    mask_files=lambda root: files_below(root / "SegmentationClass"),
)
