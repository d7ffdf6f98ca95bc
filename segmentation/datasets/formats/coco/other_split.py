"""Categories of both splits of a COCO data set: one list for the two, or an error where they contradict each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segmentation.datasets.dataset import Split
from segmentation.datasets.formats.coco.annotations import CocoCategory, CocoFile, read_coco_file
from segmentation.datasets.formats.coco.files import SplitFiles, annotations_of
from wavenet_app.core.errors import UserError

_SHOWN = 5


class JoinedCategories(NamedTuple):
    """The categories of a data set.

    Attributes:
        categories: those of the split's own file, then those that only the other split's file lists.
        remarks: a line if the files list different ones.
    """

    categories: list[CocoCategory]
    remarks: tuple[str, ...]


def read_other_split(files: SplitFiles, split: Split) -> CocoFile | None:
    """Returns the file of the other split; None if there is none that can be read."""
    path = None if files.is_single else annotations_of(files.root, "train" if split == "val" else "val")
    if path is None:
        return None
    try:
        return read_coco_file(path)
    except UserError:  # it is named when that split is opened
        return None


def joined_categories(own: CocoFile, other: CocoFile, root: Path) -> JoinedCategories:
    """Returns the categories of both files of a data set.

    Raises:
        UserError: an id means different names in the files, or a name has different ids.
    """
    here, there = (file.path.relative_to(root).as_posix() for file in (own, other))
    theirs = {category["id"]: category["name"] for category in other.categories}
    for category in own.categories:
        name = theirs.get(category["id"], category["name"])
        if name != category["name"]:
            raise _contradiction(f"category {category['id']} is '{category['name']}' in {here} and '{name}' in {there}")
    own_ids, other_ids = _ids_by_name(own.categories), _ids_by_name(other.categories)
    for name in own_ids.keys() & other_ids.keys():
        if not own_ids[name] & other_ids[name]:
            raise _contradiction(
                f"'{name}' is category {min(own_ids[name])} in {here} and {min(other_ids[name])} in {there}"
            )
    known = {category["id"] for category in own.categories}
    added = [category for category in other.categories if category["id"] not in known]
    lines = [f"{there} lists {_listed(added)}, which {here} does not"] if added else []
    missing = [category for category in own.categories if category["id"] not in theirs]
    lines += [f"{here} lists {_listed(missing)}, which {there} does not"] if missing else []
    remarks = (f"{'; '.join(lines)}: both splits have the classes of both files",) if lines else ()
    return JoinedCategories([*own.categories, *added], remarks)


def _contradiction(what: str) -> UserError:
    return UserError(f"{what}; give both files the same categories, or export them again together")


def _ids_by_name(categories: Sequence[CocoCategory]) -> dict[str, set[int]]:
    ids: dict[str, set[int]] = defaultdict(set)
    for category in categories:
        ids[category["name"]].add(category["id"])
    return ids


def _listed(categories: Sequence[CocoCategory]) -> str:
    names = [f"'{category['name']}'" for category in categories]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
