"""A broken file among many is named and skipped; many broken files are an error."""

from itertools import islice

import numpy as np
import pytest
from image_sets import stripes, write_custom

from segmentation.checking.check import check_datasets, quick_check
from segmentation.datasets.batches import TrainingCrops, ValidationImages, loaded
from segmentation.datasets.formats.custom.dataset import CustomDataset
from segmentation.datasets.transforms import Augmentation
from wavenet_app.core.errors import UserError

PLAIN = Augmentation(crop_size=(8, 8), scales=(1.0, 1.0), flip=0.0, photometric=0.0)


def truncated(root, count: int, broken: int, split: str = "train") -> CustomDataset:
    """A data set of which some images end in the middle."""
    names = [f"{split}/{number:03d}.png" for number in range(count)]
    other = "train/z.png" if split == "val" else "val/z.png"
    write_custom(root, dict.fromkeys([*names, other], stripes([0, 1])), "a\nb")
    dataset = CustomDataset(root, split)
    for name in names[:broken]:
        path = root / "images" / name
        path.write_bytes(path.read_bytes()[:-60])
    return dataset


@pytest.mark.parametrize("workers", [0, 2])
def test_training_skips_a_truncated_image_and_names_it(tmp_path, workers):
    dataset = truncated(tmp_path, 40, 1)
    notes = []
    crops = TrainingCrops(dataset, PLAIN, batch_size=4, seed=0)
    batches = list(islice(loaded(crops, num_workers=workers, on_broken=notes.append), 11))
    assert all(batch["image"].shape == (4, 3, 8, 8) for batch in batches)
    assert {note.path.name for note in notes} == {"000.png"}
    assert "cannot read the image" in notes[0].detail
    assert all(set(batch) == {"image", "mask", "inside"} for batch in batches)


def test_the_images_after_a_broken_one_do_not_depend_on_where_training_starts(tmp_path):
    dataset = truncated(tmp_path, 40, 1)
    through = list(islice(TrainingCrops(dataset, PLAIN, batch_size=4, seed=0), 11))
    for start in (0, 5, 10):
        first = next(iter(TrainingCrops(dataset, PLAIN, batch_size=4, seed=0, start_step=start)))
        np.testing.assert_array_equal(first["image"], through[start]["image"])


def test_too_many_broken_images_end_the_training_with_the_share(tmp_path):
    crops = TrainingCrops(truncated(tmp_path, 40, 3), PLAIN, batch_size=8, seed=0)
    with pytest.raises(UserError, match=r"3 of 40 images of .* cannot be used, more than 5%; wavegen seg-check lists"):
        list(islice(loaded(crops, num_workers=0), 12))


def test_validation_leaves_out_a_truncated_image_and_names_it(tmp_path):
    dataset = truncated(tmp_path, 40, 2, "val")
    notes = []
    assert len(list(loaded(ValidationImages(dataset), num_workers=0, on_broken=notes.append))) == 38
    assert [note.path.name for note in notes] == ["000.png", "001.png"]


def test_the_check_lists_all_broken_files_and_refuses_many(tmp_path, wavegen, monkeypatch):
    monkeypatch.setenv("COLUMNS", "600")  # so that no path is broken into lines
    dataset = truncated(tmp_path / "few", 60, 3)
    report = quick_check([dataset], limit=60)
    assert len(report.splits[0].broken) == 3
    assert "training skips what cannot be used: cannot read the image" in report.warnings[0]
    assert check_datasets([truncated(tmp_path / "many", 60, 4)]).problems[0].endswith("(and 3 more)")
    write_custom(tmp_path / "few", {"val/z.png": stripes([0, 1])}, "a\nb")
    code, out, _ = wavegen("seg-check", tmp_path / "few", "--files", "30")
    _, everything, _ = wavegen("seg-check", tmp_path / "many")
    assert [f"{number:03d}.png" in everything for number in range(5)] == [True] * 4 + [False]
    assert code == 0, out
