"""Which formats there are, which of them a folder holds, and what a data set argument stands for."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from segmentation.datasets.dataset import SegmentationDataset, Split
from segmentation.datasets.format import Format, Options
from segmentation.datasets.formats import ade20k, cityscapes, instance_masks, labelme, shapes
from segmentation.datasets.formats.coco import dataset as coco
from segmentation.datasets.formats.custom import dataset as custom
from segmentation.datasets.formats.voc import dataset as voc
from segmentation.datasets.label_studio import label_studio_remedy
from wavenet_app.core.data_folder import DataFolder, below_in_any_case, folder_names
from wavenet_app.core.errors import UserError
from wavenet_app.core.published import PUBLISHED
from wavenet_app.core.suffixes import RECORDING_SUFFIXES

FORMATS: tuple[Format, ...] = (
    voc.FORMAT,
    cityscapes.FORMAT,
    coco.FORMAT,
    ade20k.CHALLENGE,
    ade20k.FULL_RELEASE,
    custom.FORMAT,
    labelme.FORMAT,
    instance_masks.FORMAT,
    shapes.FORMAT,
)

BUILT_IN = next(format for format in FORMATS if format.default_folder is None)
"""The data set that needs no files."""

_DEPTH = 2  # how many levels below the given folder a data set may start, as in VOCdevkit/VOC2012
_FOUND_SHOWN = 6


def recognise(path: Path) -> tuple[Format, Path]:
    """Returns the format of a folder by its content, and the folder in which the data set starts.

    That may be the folder itself or one up to two levels below, as VOCdevkit/VOC2012 is.

    Raises:
        UserError: the folder holds no data set, or several; the message says what to give.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; name the folder of a data set")
    level = [path]
    for _ in range(_DEPTH + 1):
        found = [(format, folder) for folder in level for format in _on_disk() if format.holds(folder)]
        if found:
            return _only(found, path)
        level = [below for folder in level for below in _folders(folder)]
    raise UserError(label_studio_remedy(path) or _nothing_found(path))


def open_dataset(
    argument: str | None, folder: DataFolder, split: Split, options: Options | None = None
) -> SegmentationDataset:
    """Returns one split of what a data set argument stands for.

    Args:
        argument: a path that exists, else the name of a format or folder under the data root, in any case (`voc`,
            `custom/<name>` or just `<name>`), else the name of the built-in data set, which None stands for too.
        folder: the data root.
        split: "train" or "val".
        options: choices of single formats, such as the classes of COCO.

    Raises:
        UserError: there is no such data set, it cannot be used, or it does not offer an option that was chosen.
    """
    chosen = options or {}
    for format in FORMATS:
        for option in format.options:
            option.chosen(chosen)
    path = locate(argument, folder)
    if path is None:
        return BUILT_IN.open(Path(), split, BUILT_IN.argument, chosen)
    format, root = recognise(path)
    _refuse_foreign(chosen, format, path)
    return format.open(root, split, path.resolve().name, chosen)


def locate(argument: str | None, folder: DataFolder) -> Path | None:
    """Returns the folder that a data set argument stands for; None for the built-in data set.

    Raises:
        AbsentDataSetError: a published data set is named that is not here; the message says how to get it.
        UserError: there is no such folder.
    """
    if argument is None:
        return None
    bare = argument.strip("/")
    default_folders = {format.argument: format.default_folder for format in _on_disk()}
    named = folder.root / (default_folders.get(bare.lower()) or bare)
    below = [folder.root / str(format.default_folder) / bare for format in _on_disk() if format.holds_many]
    for place in (Path(argument), named):
        if place.exists():
            return place
    for place in below:
        if place.is_dir():
            return place
    if bare.lower() == BUILT_IN.argument:
        return None
    parents = [folder.root, *(folder.root / str(format.default_folder) for format in _on_disk() if format.holds_many)]
    for parent in parents:
        in_any_case = below_in_any_case(parent, bare)
        if in_any_case is not None:
            return in_any_case
    known = {*default_folders, BUILT_IN.argument, *(name for parent in parents[1:] for name in folder_names(parent))}
    if bare.lower() in default_folders and bare.lower() in PUBLISHED:
        raise folder.absent(bare.lower())
    hint = folder.suggestion(argument, known - {bare})
    looked = " and ".join(f"for {place}" for place in (named, *below))
    raise UserError(
        f"there is no data set '{argument}': looked for the folder {argument}, {looked}; "
        f"`wavegen data` lists those to get{hint}"
    )


def name_of(argument: str | None, folder: DataFolder) -> str:
    """Returns the name of the data set that an argument stands for: that of its folder, or of the built-in one."""
    path = locate(argument, folder)
    return BUILT_IN.argument if path is None else path.resolve().name


def _on_disk() -> tuple[Format, ...]:
    return tuple(format for format in FORMATS if format.default_folder is not None)


def _refuse_foreign(options: Options, format: Format, path: Path) -> None:
    """Raises a UserError if an option of another format than this one differs from its default."""
    for other in FORMATS:
        for option in other.options:
            choice = option.chosen(options)
            if choice != option.default and option not in format.options:
                raise UserError(
                    f"{option.flag} {choice} is for {other.name}, but {path} is {format.name}; leave it out"
                )


def _only(found: list[tuple[Format, Path]], path: Path) -> tuple[Format, Path]:
    if len({format.name for format, _ in found}) == 1 and found[0][0].takes_newest:
        return found[-1]
    if len({folder for _, folder in found}) > 1:
        folders = ", ".join(str(folder) for _, folder in found[:_FOUND_SHOWN])
        raise UserError(f"{path} holds several data sets ({folders}); name one of them")
    return found[0]


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def _nothing_found(path: Path) -> str:
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir() if not entry.name.startswith("."))
    content = ", ".join(names[:_FOUND_SHOWN]) + (" ..." if len(names) > _FOUND_SHOWN else "") if names else "nothing"
    for format in _on_disk():
        for folder in (path, *_folders(path)):
            there = [part for part in format.markers if (folder / part).is_dir()]
            missing = [part for part in format.markers if part not in there]
            if there and missing:
                return (
                    f"{folder} looks like {format.name} because it has {there[0]}/, but {' and '.join(missing)} "
                    f"{'are' if len(missing) > 1 else 'is'} missing; unpack or move it there"
                )
    if any(Path(name).suffix.lower() in RECORDING_SUFFIXES for name in names):
        return f"{path} holds audio ({content}), not images; check it with: wavegen inspect {shlex.quote(str(path))}"
    names_of = ", ".join(sorted({format.name for format in _on_disk()}))
    return (
        f"{path} holds {content}, which is no data set; make the folders images/ and masks/ in it, or give one "
        f"of: {names_of}"
    )
