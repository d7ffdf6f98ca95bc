"""Which JSON file and which folders hold a split of a COCO data set, as COCO and the tools that export it name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segmentation.datasets.dataset import Split
from wavenet_app.core.errors import UserError

FOLDERS_OF_SPLIT: dict[Split, tuple[str, ...]] = {
    "train": ("train2017", "train", "training"),
    "val": ("val2017", "val", "valid", "validation"),
}
ROBOFLOW_FILE = "_annotations.coco.json"
SINGLE_FILES = ("annotations/instances_default.json", "result.json", ROBOFLOW_FILE)
"""Files of all images, as CVAT, Label Studio and Roboflow write them; some images are held out by name."""


@dataclass(frozen=True)
class SplitFiles:
    """Where a split lies.

    Attributes:
        root: of the data set.
        annotations: the JSON file.
        folders: that the images may lie in, the likeliest first; at least one.
        is_single: whether the file holds all images, of which some validate.
        other_folders: names of folders that hold the other split.
    """

    root: Path
    annotations: Path
    folders: tuple[Path, ...]
    is_single: bool
    other_folders: tuple[str, ...]

    def image(self, file_name: str, present: set[str]) -> Path | None:
        """Returns the file of an image, whose name may hold folders; None if it is absent.

        Where a name holds the other split's folder, as tools leave it that copy a file, that folder is not used.

        Args:
            file_name: as the annotations have it.
            present: names of the files in the first folder.
        """
        if file_name in present:
            return self.folders[0] / file_name
        name = Path(file_name.replace("\\", "/"))
        whole = () if set(name.parts) & set(self.other_folders) else (*self.folders, self.root)
        places = [*(folder / name for folder in whole), *(folder / name.name for folder in self.folders)]
        return next((place for place in places if place.is_file()), None)


def holds_coco(folder: Path) -> bool:
    """Returns whether a folder is the root of a COCO data set."""
    if any((folder / "annotations").glob("instances_*.json")) or (folder / ROBOFLOW_FILE).is_file():
        return True
    if (folder / "result.json").is_file() and (folder / "images").is_dir():
        return True
    return any(annotations_of(folder, split) is not None for split in FOLDERS_OF_SPLIT)


def split_files(root: Path, split: Split) -> SplitFiles:
    """Returns where a split lies; where nothing is found, where COCO itself would keep its annotations.

    Raises:
        UserError: there is no folder of images.
    """
    found = annotations_of(root, split)
    single = next((root / name for name in SINGLE_FILES if (root / name).is_file()), None)
    is_single = found is None and single is not None
    official = root / "annotations" / f"instances_{split}2017.json"
    annotations = found or single or official
    names = FOLDERS_OF_SPLIT[split]
    others = FOLDERS_OF_SPLIT["val" if split == "train" else "train"]
    if annotations.name == ROBOFLOW_FILE:
        return SplitFiles(root, annotations, (annotations.parent,), is_single, others)
    places = [place for name in names for place in (root / name, root / "images" / name)]
    if is_single or annotations != official:
        places += [root / "images", *([annotations.parent] if annotations.parent == root else [])]
    folders = tuple(place for place in places if place.is_dir())
    if not folders:
        missing = f"{split}2017" if annotations == official else "images"
        unpack = f"unpack {split}2017.zip there" if annotations == official else "move the images there"
        raise UserError(f"the images of COCO are missing: looked for {root / missing}; {unpack}")
    return SplitFiles(root, annotations, folders, is_single, () if is_single else others)


def annotations_of(root: Path, split: Split) -> Path | None:
    """Returns the JSON file of a split; None if it has none of its own."""
    for name in FOLDERS_OF_SPLIT[split]:
        for path in (root / "annotations" / f"instances_{name}.json", root / name / ROBOFLOW_FILE):
            if path.is_file():
                return path
    return None
