"""The lists of classes that labelling tools write beside masks, and masks that are not VOC's and need one."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segmentation.datasets.dataset import evenly_spread
from segmentation.datasets.formats.custom.class_list import FILE_NAME, ClassList, read_class_list, unique_names
from segmentation.datasets.image_files import read_mask
from segmentation.datasets.labels import BORDER_COLOUR, IGNORE, packed, unpacked, voc_palette
from wavenet_app.core.errors import UserError
from wavenet_app.core.text import decoded_text, whole_number

LABEL_MAP = "labelmap.txt"
"""What CVAT writes: a line `label:red,green,blue:parts:actions` for each class."""

CLASS_TABLE = "_classes.csv"
"""What Roboflow writes: a line `pixel value, class` for each class."""

_BACKGROUND = "background"
_SAMPLE = 64  # masks that are compared with VOC's palette


def find_classes(folders: Sequence[Path]) -> tuple[Path, ClassList] | None:
    """Returns the first list of classes in some folders, and its file; None if there is none.

    Raises:
        UserError: a list cannot be understood.
    """
    readers = ((FILE_NAME, read_class_list), (LABEL_MAP, read_label_map), (CLASS_TABLE, read_class_table))
    for folder in folders:
        for name, reader in readers:
            listed = reader(folder / name) if (folder / name).is_file() else None
            if listed is not None:
                return folder / name, listed
    return None


def read_label_map(path: Path) -> ClassList:
    """Returns what CVAT's labelmap.txt says; "background" becomes class 0 wherever it stands.

    Raises:
        UserError: a line cannot be understood, or two classes have the same colour.
    """
    rows: list[tuple[str, tuple[int, int, int]]] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        parts = [whole_number(part.strip(), 255) for part in rest.partition(":")[0].split(",")]
        colour = [part for part in parts if part is not None]
        if not name.strip() or len(colour) != 3 or len(parts) != 3:
            raise UserError(f"{path}, line {number}: write 'label:red,green,blue::', not '{line.strip()}'")
        rows.append((name.strip(), (colour[0], colour[1], colour[2])))
    rows.sort(key=lambda row: row[0].lower() != _BACKGROUND)
    names = unique_names(path, [name for name, _ in rows])
    colours = {colour: place for place, (_, colour) in enumerate(rows)}
    if len(colours) < len(rows):
        twice = next(colour for place, (_, colour) in enumerate(rows) if colours[colour] != place)
        raise UserError(f"{path} gives the colour {','.join(map(str, twice))} to two classes; give each its own")
    return ClassList(names, {}, {BORDER_COLOUR: IGNORE, **colours})


def read_class_table(path: Path) -> ClassList:
    """Returns what Roboflow's _classes.csv says.

    Raises:
        UserError: a line cannot be understood, or two classes have the same value.
    """
    values: dict[int, int] = {}
    names: list[str] = []
    for number, row in enumerate(csv.reader(_lines(path)), start=1):
        cells = [cell.strip() for cell in row]
        if (number == 1 and cells and not cells[0].isdecimal()) or not any(cells):
            continue
        value = whole_number(cells[0], 65_535)
        if len(cells) < 2 or value is None or not cells[1]:
            raise UserError(f"{path}, line {number}: write 'pixel value, class', not '{','.join(row)}'")
        if value in values:
            raise UserError(f"{path}, line {number}: the value {value} has a class already; give each its own")
        values[value] = len(names)
        names.append(cells[1])
    return ClassList(unique_names(path, names), values, {})


def refuse_foreign_masks(root: Path, masks: Sequence[Path], num_classes: int) -> None:
    """Raises a UserError if masks in VOC's layout hold ids or colours that VOC does not have.

    A sample of the masks is read. Palettes of grey levels say nothing, for many tools write them.
    """
    palette = voc_palette(256)
    palette[IGNORE] = BORDER_COLOUR
    fitting = {int(colour) for colour in packed(palette[[*range(num_classes), IGNORE]])}
    for path in (masks[place] for place in evenly_spread(len(masks), _SAMPLE)):
        try:
            pixels = read_mask(path)
        except UserError:
            continue  # named where it is read for use
        found: list[str] = []
        if pixels.values is not None:
            ids = np.unique(pixels.values)
            found = [f"the id {value}" for value in ids[(ids >= num_classes) & (ids != IGNORE)].tolist()]
        if pixels.colours is not None and not _is_grey(pixels.colours):
            colours = packed(pixels.colours)
            if pixels.values is None:
                foreign = np.setdiff1d(colours, list(fitting))
            else:
                foreign = np.unique(colours[(colours != packed(palette)[pixels.values.clip(0, IGNORE)])])
            found += [f"the colour {' '.join(map(str, unpacked(int(colour))))}" for colour in foreign]
        if found:
            raise UserError(
                f"the mask {path} holds {found[0]}, which PASCAL VOC does not have, so its class names do not apply; "
                f"write {root / FILE_NAME} (wavegen seg-check --write-classes begins it) "
                "with a line for each class, such as 'road = 128 64 128', or 'road' for the "
                "id of the line's number from 0"
            )


def _is_grey(colours: np.ndarray) -> bool:
    return bool((colours == colours[..., :1]).all())


def _lines(path: Path) -> list[str]:
    try:
        return decoded_text(path.read_bytes()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}); save it as UTF-8 text") from None
