"""`classes.txt` of a custom data set: one class per line, optionally with its value or colour in the masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segmentation.datasets.labels import DEEP_IGNORE, IGNORE, MOST_CLASSES
from wavenet_app.core.errors import UserError
from wavenet_app.core.text import decoded_text, whole_number

FILE_NAME = "classes.txt"
IGNORED_NAME = "ignore"


@dataclass(frozen=True)
class ClassList:
    """The content of a classes.txt.

    Attributes:
        names: of the classes, in the order of their ids.
        values: grey value -> class or 255; empty if the line's number, from 0, is the value.
        colours: (red, green, blue) -> class or 255; empty if masks are not read by colour.
    """

    names: tuple[str, ...]
    values: dict[int, int]
    colours: dict[tuple[int, int, int], int]


def read_class_list(path: Path) -> ClassList | None:
    """Returns the content of a classes.txt; None if there is no such file.

    A line is `name`, `name = 12` with the class's value in the masks, or `name = 128 64 0` with its colour. Lines with
    the name "ignore" give values or colours that are ignored.

    Raises:
        UserError: a line cannot be understood; the message gives its number.
    """
    try:
        text = decoded_text(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}); save it as UTF-8 text, one class a line") from None
    names: list[str] = []
    values: dict[int, int] = {}
    colours: dict[tuple[int, int, int], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, separator, code = (part.strip() for part in line.partition("="))
        if not name:
            continue
        if name == IGNORED_NAME and not separator:
            raise UserError(f"{path}, line {number}: write 'ignore = VALUE'; 255 is ignored without being named")
        class_id = IGNORE if name == IGNORED_NAME else len(names)
        if name != IGNORED_NAME:
            names.append(name)
        parts = _numbers(code) if separator else []
        if parts is None or len(parts) not in (0, 1, 3) or (separator and not parts):
            raise UserError(f"{path}, line {number}: write 'name', 'name = 12' or 'name = 128 64 0', not '{line}'")
        if len(parts) == 1:
            values[parts[0]] = class_id
        elif parts:
            colours[parts[0], parts[1], parts[2]] = class_id
    if set(values.values()) == {IGNORE} and values.keys() <= {IGNORE, DEEP_IGNORE}:
        values = {}  # these are ignored without being named
    _check(path, names, values, colours)
    return ClassList(tuple(names), values, colours)


def _numbers(code: str) -> list[int] | None:
    parts = code.replace(",", " ").split()
    found = [whole_number(part, 255 if len(parts) == 3 else 65_535) for part in parts]
    numbers = [number for number in found if number is not None]
    return numbers if len(numbers) == len(parts) else None


def unique_names(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of classes.

    Raises:
        UserError: there is none, or there are more than masks can hold, or a name comes twice.
    """
    if not names:
        raise UserError(f"{path} names no class; write one a line")
    if len(names) > MOST_CLASSES:
        raise UserError(f"{path} names {len(names)} classes; {MOST_CLASSES} is the most")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path} names '{twice[0]}' twice; every class needs a name of its own")
    return tuple(names)


def _check(path: Path, names: list[str], values: dict[int, int], colours: dict[tuple[int, int, int], int]) -> None:
    unique_names(path, names)
    if values and colours:
        raise UserError(f"{path} gives values to some classes and colours to others; give all of them the same")
    coded = {class_id for class_id in (values or colours).values() if class_id != IGNORE}
    if (values or colours) and len(coded) < len(names):
        missing = next(name for place, name in enumerate(names) if place not in coded)
        raise UserError(f"{path}: '{missing}' has no value or colour of its own; give every class one, or none")
