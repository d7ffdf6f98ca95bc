"""Which mask belongs to which image of a custom data set, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segmentation.datasets.dataset import FileNote
from segmentation.datasets.image_files import files_below
from wavenet_app.core.suffixes import IMAGE_SUFFIXES

_LEFT_FOR_CORES = "0123456789"


@dataclass(frozen=True)
class Pairing:
    """Images with their masks.

    Attributes:
        pairs: image and mask, sorted by image.
        skipped: files without a partner, and files that are not images.
        remark: how names were matched, if they are not simply equal.
    """

    pairs: list[tuple[Path, Path]]
    skipped: list[FileNote]
    remark: str | None


def pair_by_name(images: Path, masks: Path) -> Pairing:
    """Returns the pairs of two folders, searched with their sub-folders.

    A mask has its image's name and any suffix. Where not a single name is equal, what all images' names and all masks'
    names have in common at their ends ("_mask", "img_") is dropped, and the rest compared without regard to case. A
    lone image and a lone mask belong together if one's name begins or ends with the other's.

    Args:
        images: folder of the images.
        masks: folder of the masks.
    """
    skipped: list[FileNote] = []
    image_files = _by_stem(images, skipped)
    mask_files = _by_stem(masks, skipped)
    common = image_files.keys() & mask_files.keys()
    remark = None
    partners = {stem: stem for stem in common}
    if len(image_files) == len(mask_files) == 1 and not common:
        partners, remark = _lone_pair(*image_files, *mask_files)
    elif not common:
        image_cores, image_ends = _cores(list(image_files))
        mask_cores, mask_ends = _cores(list(mask_files))
        partners = {image_cores[core]: mask_cores[core] for core in image_cores.keys() & mask_cores.keys() if core}
        if partners:
            remark = (
                f"no mask has its image's name; {len(partners)} pairs were made by reading {image_ends} as {mask_ends}"
            )
    paired_masks = set(partners.values())
    for stem, path in image_files.items():
        if stem not in partners:
            skipped.append(FileNote(path, "image without a mask", f"looked for {masks / stem}.*"))
    for stem, path in mask_files.items():
        if stem not in paired_masks:
            skipped.append(FileNote(path, "mask without an image", f"looked for {images / stem}.*"))
    pairs = sorted((image_files[image], mask_files[mask]) for image, mask in partners.items())
    return Pairing(pairs, skipped, remark)


def pair_side_by_side(folder: Path, ending: str) -> Pairing:
    """Returns the pairs of one folder, searched with its sub-folders, in which a mask's name is its image's and more.

    Args:
        folder: of the images and the masks.
        ending: what the masks' names add, such as "_mask".
    """
    skipped: list[FileNote] = []
    files = _by_stem(folder, skipped)
    masks = {stem.removesuffix(ending): path for stem, path in files.items() if stem.endswith(ending)}
    images = {stem: path for stem, path in files.items() if not stem.endswith(ending)}
    for stem, path in images.items():
        if stem not in masks:
            skipped.append(FileNote(path, "image without a mask", f"looked for {folder / stem}{ending}.*"))
    for stem, path in masks.items():
        if stem not in images:
            skipped.append(FileNote(path, "mask without an image", f"looked for {folder / stem}.*"))
    pairs = sorted((images[stem], masks[stem]) for stem in images.keys() & masks.keys())
    return Pairing(pairs, skipped, f"images and masks lie side by side; masks end in '{ending}'")


def _lone_pair(image: str, mask: str) -> tuple[dict[str, str], str | None]:
    """Returns image -> mask, and the remark on them, if one's name begins or ends with the other's; else nothing."""
    shorter, longer = sorted((image.casefold(), mask.casefold()), key=len)
    if not (longer.startswith(shorter) or longer.endswith(shorter)):
        return {}, None
    return {image: mask}, f"the only mask has not its image's name; 1 pair was made by reading '{image}' as '{mask}'"


def _by_stem(folder: Path, skipped: list[FileNote]) -> dict[str, Path]:
    """Returns relative name without suffix -> file; notes files that are no images, and second files of a name."""
    found: dict[str, Path] = {}
    for path in files_below(folder):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            skipped.append(FileNote(path, "not an image", f"images end in {', '.join(sorted(IMAGE_SUFFIXES))}"))
        elif stem in found:
            skipped.append(FileNote(path, "a second file of the same name", f"{found[stem].name} is used"))
        else:
            found[stem] = path
    return found


def _cores(stems: Sequence[str]) -> tuple[dict[str, str], str]:
    """Returns core -> stem, without what all names share at their ends, and how the names look: 'img_*', say.

    Digits stay in the core, for they number the files.

    >>> _cores(["img_01", "img_02"])
    ({'01': 'img_01', '02': 'img_02'}, "'img_*'")
    """
    if len(stems) < 2:
        return {}, ""
    start = _common_start(stems).rstrip(_LEFT_FOR_CORES)
    end = _common_start([stem[::-1] for stem in stems])[::-1].lstrip(_LEFT_FOR_CORES)
    cores = {stem[len(start) : len(stem) - len(end)].casefold(): stem for stem in stems if len(stem) > len(start + end)}
    return (cores if len(cores) == len(stems) else {}), f"'{start}*{end}'"


def _common_start(texts: Sequence[str]) -> str:
    """Returns the longest text that all of them start with."""
    first, last = min(texts), max(texts)
    length = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:length]
