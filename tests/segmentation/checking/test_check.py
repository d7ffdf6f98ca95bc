"""`wavegen seg-check` reports what would stop or mislead a training, and draws overlays."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from image_sets import box, picture, save, stripes, write_coco, write_custom
from torch import nn

from segmentation.checking.check import check_datasets, quick_check
from segmentation.datasets.batches import TrainingCrops, ValidationImages
from segmentation.datasets.formats.custom.dataset import CustomDataset
from segmentation.datasets.formats.shapes import CLASSES, ShapesDataset
from segmentation.datasets.labels import distinct_palette
from segmentation.datasets.overlays import IGNORE_COLOUR, Picture, coloured, legend, overlay, write_sheet
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD, Augmentation, CropNormaliser, normalise
from segmentation.evaluation.metrics import ConfusionMatrix
from wavenet_app.core.errors import UserError

PNG = b"\x89PNG\r\n\x1a\n"
MASKS = {"train/a.png": stripes([0, 1]), "train/b.png": stripes([0, 0, 0, 2]), "val/c.png": stripes([1, 255])}


def test_the_command_prints_shares_and_draws_a_sheet(wavegen, tmp_path):
    write_custom(tmp_path / "cells", MASKS, "ground\ncell\nwall\nghost")
    code, out, err = wavegen("seg-check", "cells")
    assert code == 0, err
    for part in ("62.50%", "cell", "1 of 4 classes are not in the training masks: ghost", "wavegen seg-train cells"):
        assert part in out
    sheet = tmp_path / "data" / "segmentation_results" / "check_cells.png"
    assert sheet.read_bytes().startswith(PNG)


def test_80_columns_cut_no_word_and_no_remark_comes_twice(wavegen, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = "cells-of-a-very-long-name-in-a-folder-of-a-very-long-name-too"
    write_custom(tmp_path / name, {f"{number}.png": stripes([0, 1]) for number in range(5)}, "sky\ncell")
    code, out, err = wavegen("seg-check", name)
    assert code == 0, err
    assert "…" not in out
    assert out.count("images are held out") == 1
    flat = " ".join(out.split())
    assert "skipped ┃ broken ┃ suspicious ┃ size ┃ ignored" in flat
    assert f"check_{name}.png" in out.replace("\n", "")
    assert "check that the colours cover the right objects" in flat


@pytest.mark.parametrize(("names", "unpainted"), [("sky\ncell", False), ("Background\ncell", True)])
def test_only_a_background_is_said_to_stay_unpainted(wavegen, tmp_path, names, unpainted):
    write_custom(tmp_path / "cells", {f"{number}.png": stripes([0, 1]) for number in range(5)}, names)
    assert ("(background stays unpainted)" in " ".join(wavegen("seg-check", "cells").out.split())) == unpainted


def test_a_class_0_that_is_no_background_is_painted(wavegen, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "segmentation.datasets.overlays.overlay", lambda image, _, palette: drawn.append(palette) or image
    )
    for first in ("sky", "background", "void"):
        write_custom(tmp_path / first, MASKS, f"{first}\ncell\nwall")
        assert wavegen("seg-check", first).code == 0
        colour = drawn[-1][0].tolist()
        assert (colour == [0, 0, 0]) == (first != "sky"), first
        assert colour not in drawn[-1][1:].tolist()


def test_json_holds_every_file_and_nothing_else_is_printed(wavegen, tmp_path):
    write_custom(tmp_path / "cells", MASKS, "ground\ncell\nwall")
    save(tmp_path / "cells" / "images" / "train" / "lonely.png", picture())
    code, out, _ = wavegen("seg-check", "cells", "--json")
    report = json.loads(out)
    assert code == 0
    training = report["splits"]["train"]
    assert training["class_shares"] == {"ground": 0.625, "cell": 0.25, "wall": 0.125}
    assert report["splits"]["val"]["ignored_share"] == 0.5
    assert [Path(one["file"]).name for one in training["skipped"]] == ["lonely.png"]
    assert Path(report["sheet"]).is_file()


def test_a_broken_mask_makes_it_unfit_and_is_named(wavegen, tmp_path):
    write_custom(tmp_path / "cells", {**MASKS, "train/b.png": stripes([0, 9])}, "ground\ncell\nwall")
    code, out, _ = wavegen("seg-check", "cells")
    assert code == 1
    assert "b.png holds the ids 9" in out.replace("\n", " ")
    assert "seg-train" not in out


def test_a_wrong_name_is_one_line_and_exit_2(wavegen):
    code, out, err = wavegen("seg-check", "nowhere")
    assert (code, out) == (2, "")
    assert err.startswith("error: there is no data set 'nowhere'")
    assert err.count("\n") == 1
    code, _, err = wavegen("seg-check", "--coco-classes", "some")
    assert code == 2
    assert "voc (21 classes) or all (81)" in err


def test_the_built_in_shapes_need_no_argument(wavegen):
    code, out, err = wavegen("seg-check", "--files", "3")
    assert code == 0, err
    assert "built-in shapes" in out


def test_a_missing_split_makes_it_unfit(wavegen, tmp_path):

    write_coco(tmp_path / "coco", [[{"category_id": 1, "segmentation": box(0, 0, 20, 20)}]])
    code, out, _ = wavegen("seg-check", "coco")
    assert code == 1
    assert "train2017" in out


def test_the_quick_check_refuses_masks_of_a_single_class(tmp_path):
    write_custom(tmp_path, dict.fromkeys(MASKS, stripes([0])), "ground\ncell")
    with pytest.raises(UserError, match=r"single class, 'ground'.*check how the masks are coded"):
        quick_check([CustomDataset(tmp_path, "train")])


def test_the_quick_check_says_how_much_is_ignored_beside_a_single_class(tmp_path):
    write_custom(tmp_path, dict.fromkeys(MASKS, stripes([0, 255])), "ground\ncell\nwall")
    with pytest.raises(UserError, match=r"single class, 'ground', beside 50\.0% of ignored pixels \(255\)"):
        quick_check([CustomDataset(tmp_path, "train")])


def test_the_quick_check_refuses_masks_that_are_all_ignored(tmp_path):
    write_custom(tmp_path, {**dict.fromkeys(MASKS, stripes([255])), "val/c.png": stripes([0, 1, 2])}, "a\nb\nc")
    with pytest.raises(UserError, match="all are ignored"):
        quick_check([CustomDataset(tmp_path, "train")])


def test_the_quick_check_believes_a_single_class_only_after_reading_all(tmp_path):
    masks = {f"train/{number:02d}.png": stripes([0]) for number in range(20)}
    write_custom(tmp_path, {**masks, "train/19.png": stripes([0, 1]), "val/c.png": stripes([0, 1])}, "ground\ncell")
    dataset = CustomDataset(tmp_path, "train")
    assert quick_check([dataset], limit=2).splits[0].checked == 20
    assert quick_check([dataset], limit=19).splits[0].checked in (19, 20)


def test_the_quick_check_names_a_broken_file(tmp_path):
    write_custom(tmp_path, MASKS, "ground\ncell\nwall")
    dataset = CustomDataset(tmp_path, "train")
    path = tmp_path / "images" / "train" / "a.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"cannot read the image .*a\.png"):
        quick_check([dataset])


def test_the_quick_check_names_a_mask_that_only_validation_would_meet(tmp_path):
    write_custom(tmp_path, {**MASKS, "val/c.png": stripes([1, 9])}, "ground\ncell\nwall")
    with pytest.raises(UserError, match=r"c\.png holds the ids 9"):
        quick_check([CustomDataset(tmp_path, split) for split in ("train", "val")])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("ground\nwall\ncell", "class 1 is 'cell' in train and 'wall' in val"),
        ("ground\ncell", "class 2 is 'wall' in train and absent in val"),
        ("ground\ncell\nwall\nsky", "class 3 is absent in train and 'sky' in val"),
    ],
)
def test_splits_that_name_other_classes_are_refused(tmp_path, other, said):
    few = {name: np.minimum(mask, 1) for name, mask in MASKS.items()}
    write_custom(tmp_path / "one", few, "ground\ncell\nwall")
    write_custom(tmp_path / "other", few, other)
    splits = [CustomDataset(tmp_path / "one", "train"), CustomDataset(tmp_path / "other", "val")]
    for check in (quick_check, check_datasets):
        with pytest.raises(UserError, match=said):
            check(splits)


def test_oddities_are_counted(tmp_path):
    masks = {**MASKS, "train/d.png": stripes([255]), "train/e.png": stripes([255] * 15 + [0])}
    write_custom(tmp_path, masks, "ground\ncell\nwall")
    save(tmp_path / "images" / "train" / "a.png", np.full((12, 16, 3), 7))
    same = (tmp_path / "images" / "train" / "b.png").read_bytes()
    (tmp_path / "images" / "val" / "c.png").write_bytes(same)
    report = check_datasets([CustomDataset(tmp_path, "train"), CustomDataset(tmp_path, "val")])
    found = {note.path.name: note.problem for note in report.splits[0].suspicious}
    assert found == {
        "a.png": "the image is of one colour",
        "d.png": "the whole mask is ignored",
        "e.png": "more than 90% of the mask is ignored",
    }
    assert any("1 images are in two splits" in warning for warning in report.warnings)


def test_a_class_of_validation_alone_is_said(tmp_path):
    write_custom(tmp_path, {**MASKS, "val/c.png": stripes([0, 3])}, "a\nb\nc\nd")
    report = check_datasets([CustomDataset(tmp_path, "train"), CustomDataset(tmp_path, "val")])
    assert "in val but not in training, so never learned: d" in report.warnings


def test_overlays_mix_the_colours(tmp_path):
    image = np.full((2, 3, 3), 100, dtype=np.uint8)
    mask = np.array([[0, 1, 255], [1, 1, 0]], dtype=np.uint8)
    palette = np.array([[0, 0, 0], [200, 0, 0]], dtype=np.uint8)
    assert coloured(mask, palette)[0].tolist() == [[0, 0, 0], [200, 0, 0], list(IGNORE_COLOUR)]
    assert overlay(image, mask, palette, opacity=0.5)[0, 1].tolist() == [150, 50, 50]
    assert overlay(image, mask, palette)[0, 0].tolist() == [100, 100, 100], "black does not darken the image"
    write_sheet(tmp_path / "new" / "sheet.png", [Picture("one", image, mask)] * 3, ["a", "b"], palette, "title")
    assert (tmp_path / "new" / "sheet.png").read_bytes().startswith(PNG)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        write_sheet(tmp_path / "file" / "sheet.png", [Picture("one", image, mask)], ["a", "b"], palette, "title")


def test_a_legend_names_the_classes_that_occur():
    palette = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200]], dtype=np.uint8)
    one = legend(200, [1, 255], ["ground", "cell", "wall"], palette)
    colours = {tuple(colour) for colour in one.reshape(-1, 3).tolist()}
    assert (200, 0, 0) in colours
    assert (0, 0, 200) not in colours
    many = legend(200, list(range(20)), [f"a long name {number}" for number in range(20)], distinct_palette(20))
    assert len(many) > len(one) > 0
    assert one.shape[1:] == (200, 3)
    assert legend(200, [255], ["ground"], palette).shape == (0, 200, 3)


@pytest.mark.slow
def test_a_tiny_net_learns_the_shapes():
    """Three layers, 150 steps: far above what always saying background gives (a quarter of its IoU)."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=2, dilation=2), nn.ReLU(),
        nn.Conv2d(16, 4, 3, padding=4, dilation=4),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    crops = TrainingCrops(
        ShapesDataset("train"), Augmentation(crop_size=(48, 48), photometric=0.1), batch_size=4, seed=0
    )
    normaliser = CropNormaliser(IMAGENET_MEAN, IMAGENET_STD)
    for step in range(150):
        batch = crops.batch(step)
        images = normaliser(batch["image"], batch["inside"])
        loss = nn.functional.cross_entropy(net(images), batch["mask"].long(), ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    matrix = ConfusionMatrix(CLASSES)
    validation = ValidationImages(ShapesDataset("val"), limit=10)
    for place in range(len(validation)):
        item = validation[place]
        image = normalise(item["image"], IMAGENET_MEAN, IMAGENET_STD)[None]
        matrix.update(net(image).argmax(1)[0], item["mask"])
    assert matrix.scores().mean_iou > 0.6


def test_an_image_without_a_mask_is_listed_once_where_the_split_is_chosen(wavegen, tmp_path):
    root = write_custom(tmp_path / "set", {f"{name}.png": stripes([0, 1]) for name in "abcdef"}, None)
    save(root / "images" / "alone.png", picture())
    found = json.loads(wavegen("seg-check", root, "--json").out)
    skipped = [note["file"] for split in found["splits"].values() for note in split["skipped"]]
    assert skipped == [str(root / "images" / "alone.png")]


def test_a_class_list_that_is_too_short_says_so(wavegen, tmp_path):
    names = ("train/a.png", "train/b.png", "val/c.png")
    for count, remedy in ((2, "add the names of the missing classes, or"), (3, "the first line is 0, the last 3")):
        classes = "".join(f"class{place}\n" for place in range(count))
        root = write_custom(tmp_path / f"set{count}", dict.fromkeys(names, stripes([0, 1, 2, 3])), classes)
        assert remedy in wavegen("seg-check", root).err
