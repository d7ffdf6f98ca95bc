"""Custom data sets: masks of common tools are recognised and repaired, or refused with the remedy in one line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_sets import picture, save, stripes, write_custom
from PIL import Image

from segmentation.datasets.formats.custom.class_list import read_class_list
from segmentation.datasets.formats.custom.dataset import CustomDataset
from segmentation.datasets.formats.custom.pairs import pair_by_name
from segmentation.datasets.held_out import is_held_out
from segmentation.datasets.image_files import read_image, read_mask
from segmentation.datasets.labels import IGNORE, voc_palette
from segmentation.prediction.predict import find_images
from wavenet_app.core.errors import UserError

NAMES = ("train/a.png", "train/b.png", "val/c.png")
ORIENTATION_TAG = 0x0112


def same_masks(mask: np.ndarray) -> dict[str, np.ndarray]:
    return dict.fromkeys(NAMES, mask)


def row(dataset: CustomDataset, index: int = 0) -> list[int]:
    """The ids of a mask's first row, from left to right, each once."""
    values = dataset[index].mask.numpy()[0]
    return [int(values[place]) for place in range(len(values)) if place == 0 or values[place] != values[place - 1]]


def refused(root: Path, *parts: str, split: str = "train") -> None:
    """The data set is refused, or its first mask is, in one line that holds all parts."""
    with pytest.raises(UserError) as error:
        CustomDataset(root, split).mask(0)
    for part in parts:
        assert part in str(error.value), str(error.value)
    assert "\n" not in str(error.value)


def test_ids_with_folders_for_the_splits(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 2, 255, 1])), "sky\nroad\ntree\n")
    dataset = CustomDataset(tmp_path, "train")
    assert (len(dataset), dataset.classes, dataset.skipped, dataset.notes) == (2, ("sky", "road", "tree"), (), ())
    assert row(dataset) == [0, 2, 255, 1]
    assert len(CustomDataset(tmp_path, "val")) == 1


def test_without_folders_a_fifth_is_held_out_by_name(tmp_path):
    write_custom(tmp_path, {f"{number}.png": stripes([0, 1]) for number in range(10)}, "a\nb")
    training, validation = CustomDataset(tmp_path, "train"), CustomDataset(tmp_path, "val")
    assert (len(training), len(validation)) == (8, 2)
    assert "held out" in training.remarks[0]
    assert "sort them into images/train and images/val and masks/train and masks/val yourself" in training.remarks[0]
    paths = [dataset.image_path(place) for dataset in (training, validation) for place in range(len(dataset))]
    assert len(set(paths)) == 10


@given(st.sets(st.text("abc123", min_size=1, max_size=4), min_size=2, max_size=20))
def test_holding_out_does_not_depend_on_the_order(names):
    chosen = dict(zip(sorted(names), is_held_out(sorted(names)), strict=True))
    turned = sorted(names, reverse=True)
    assert dict(zip(turned, is_held_out(turned), strict=True)) == chosen
    assert 1 <= sum(chosen.values()) < len(names)


def test_masks_of_0_and_255_are_two_classes(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 255])), None)
    dataset = CustomDataset(tmp_path, "train")
    assert dataset.classes == ("background", "foreground")
    assert row(dataset) == [0, 1]
    assert "255 is read as class 1" in dataset.remarks[0]
    np.testing.assert_array_equal(dataset.labels.decode(dataset.mask(0)), stripes([0, 255]))
    (tmp_path / "classes.txt").write_text("cell\n")
    assert CustomDataset(tmp_path, "train").classes == ("background", "cell")
    (tmp_path / "classes.txt").write_text("ground\ncell\n")
    assert row(CustomDataset(tmp_path, "train")) == [0, 1]


def test_255_stays_ignored_where_masks_have_a_second_class(tmp_path):
    write_custom(tmp_path, {**same_masks(stripes([0, 255])), "train/b.png": stripes([0, 1, 255])}, "ground\ncell\n")
    dataset = CustomDataset(tmp_path, "train")
    assert row(dataset, 0) == [0, 255]
    assert row(dataset, 1) == [0, 1, 255]


def test_palette_files_are_read_by_index(tmp_path):
    palette = np.roll(voc_palette(256), 7, axis=0)
    write_custom(tmp_path, same_masks(stripes([0, 2, 1])), "a\nb\nc", palette=palette)
    dataset = CustomDataset(tmp_path, "train")
    assert row(dataset) == [0, 2, 1]
    np.testing.assert_array_equal(dataset.palette, palette[:3])
    assert "indices are the ids" in dataset.remarks[0]


def test_palettes_made_file_by_file_are_read_by_colour(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1])), "a = 1 1 1\nb = 2 2 2\n")
    for name, colours in (("a", [[1, 1, 1], [2, 2, 2]]), ("b", [[2, 2, 2], [1, 1, 1]])):
        save(tmp_path / "masks" / "train" / f"{name}.png", stripes([0, 1]), np.array(colours))
    dataset = CustomDataset(tmp_path, "train")
    assert (row(dataset, 0), row(dataset, 1)) == ([0, 1], [1, 0])
    (tmp_path / "classes.txt").write_text("a\nb\n")
    refused(tmp_path, "colours", "'1 1 1'", "classes.txt")


def test_coloured_masks_need_a_colour_for_each_class(tmp_path):
    colours = np.array([[10, 20, 30], [0, 200, 0], [9, 9, 9]])
    write_custom(tmp_path, same_masks(colours[stripes([0, 1, 2])]), "road\ntree\n")
    refused(tmp_path, "hold 3 colours", "'0 200 0'", "'10 20 30'", "classes.txt", "road = 128 64 128")
    (tmp_path / "classes.txt").write_text("road = 10 20 30\ntree = 0, 200, 0\nignore = 9 9 9\n")
    dataset = CustomDataset(tmp_path, "train")
    assert row(dataset) == [0, 1, IGNORE]
    np.testing.assert_array_equal(dataset.palette, colours[:2])
    (tmp_path / "classes.txt").write_text("road = 10 20 30\ntree = 0 200 0\n")
    refused(tmp_path, "a.png", "colours 9 9 9", "ignore = 9 9 9")


def test_coloured_masks_in_vocs_palette_are_recognised(tmp_path):
    colours = np.array([*voc_palette(3).tolist(), [224, 224, 192]])
    write_custom(tmp_path, same_masks(colours[stripes([0, 1, 2, 3])]), "a\nb\nc\n")
    dataset = CustomDataset(tmp_path, "train")
    assert row(dataset) == [0, 1, 2, IGNORE]
    assert "PASCAL VOC" in dataset.remarks[0]


def test_grey_masks_saved_as_rgb_are_ids(tmp_path):
    write_custom(tmp_path, same_masks(np.repeat(stripes([0, 1, 2])[..., None], 3, axis=2)), "a\nb\nc\n")
    assert row(CustomDataset(tmp_path, "train")) == [0, 1, 2]


def test_one_bit_masks_are_two_classes(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1])), None)
    for name in NAMES:
        Image.fromarray(stripes([0, 1]).astype(bool)).save(tmp_path / "masks" / name)
    assert row(CustomDataset(tmp_path, "train")) == [0, 1]


@pytest.mark.parametrize(
    ("image", "mask"),
    [("{}", "{}_mask"), ("{}", "mask_{}"), ("img_{}", "{}"), ("img_{}", "gt-{}_labels"), ("IMG_{}", "img_{}_l")],
)
def test_names_that_differ_at_their_ends_are_matched(tmp_path, image, mask):
    for number in ("001", "002", "010"):
        save(tmp_path / "images" / f"{image.format(number)}.jpg", picture())
        save(tmp_path / "masks" / f"{mask.format(number)}.png", stripes([0, 1]))
    pairing = pair_by_name(tmp_path / "images", tmp_path / "masks")
    assert [(one.stem, other.stem) for one, other in pairing.pairs] == [
        (image.format(number), mask.format(number)) for number in ("001", "002", "010")
    ]
    assert pairing.remark is not None
    assert "3 pairs" in pairing.remark
    assert pairing.skipped == []


def test_a_lone_pair_is_matched_if_one_name_begins_with_the_other(tmp_path):
    save(tmp_path / "images" / "a.jpg", picture())
    save(tmp_path / "masks" / "A_mask.png", stripes([0, 1]))
    pairing = pair_by_name(tmp_path / "images", tmp_path / "masks")
    assert [(one.name, other.name) for one, other in pairing.pairs] == [("a.jpg", "A_mask.png")]
    assert "reading 'a' as 'A_mask'" in (pairing.remark or "")
    (tmp_path / "masks" / "A_mask.png").rename(tmp_path / "masks" / "b_mask.png")
    assert pair_by_name(tmp_path / "images", tmp_path / "masks").pairs == []


def test_linked_folders_are_searched_and_circles_end(tmp_path):
    write_custom(tmp_path / "store", same_masks(stripes([0, 1])), None)
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind / "train").mkdir(parents=True)
        (tmp_path / "set" / kind / "train" / "day1").symlink_to(tmp_path / "store" / kind / "train")
        (tmp_path / "set" / kind / "val").symlink_to(tmp_path / "store" / kind / "val")
        (tmp_path / "store" / kind / "train" / "again").symlink_to(tmp_path / "set" / kind / "train")
    (tmp_path / "set" / "images" / "train" / "gone.png").symlink_to(tmp_path / "gone.png")
    dataset = CustomDataset(tmp_path / "set", "train")
    assert [dataset.image_path(place).name for place in range(len(dataset))] == ["a.png", "b.png"]
    assert [note.path.name for note in dataset.skipped] == ["gone.png"]
    assert len(CustomDataset(tmp_path / "set", "val")) == 1


def test_linked_images_are_found_for_prediction(tmp_path):
    save(tmp_path / "store" / "a.png", picture())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "day1").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "again").symlink_to(tmp_path / "set")
    inputs, _ = find_images(tmp_path / "set", tmp_path / "out")
    assert [str(one.target) for one in inputs] == ["day1/a.png"]


def test_files_without_a_partner_are_named(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1])), "a\nb")
    save(tmp_path / "images" / "train" / "lonely.png", picture())
    save(tmp_path / "images" / "train" / "a.jpg", picture())
    save(tmp_path / "masks" / "train" / "orphan.png", stripes([0, 1]))
    (tmp_path / "masks" / "train" / "notes.txt").write_text("x")
    skipped = {note.path.name: note.problem for note in CustomDataset(tmp_path, "train").skipped}
    assert skipped == {
        "lonely.png": "image without a mask",
        "orphan.png": "mask without an image",
        "notes.txt": "not an image",
        "a.png": "a second file of the same name",
    }


def test_nothing_matches_and_the_first_file_is_named(tmp_path):
    save(tmp_path / "images" / "train" / "cat.png", picture())
    save(tmp_path / "masks" / "train" / "dog.png", stripes([0, 1]))
    refused(tmp_path, "no labelled image", "cat.png: image without a mask", "masks/train/cat.*")


def test_two_valued_jpeg_masks_are_cut_and_others_refused(tmp_path):
    for number, name in enumerate(NAMES):
        save(tmp_path / "images" / name, picture(number, 64, 64))
        save((tmp_path / "masks" / name).with_suffix(".jpg"), stripes([0, 255], 64, 64), quality=60)
    dataset = CustomDataset(tmp_path, "train")
    assert np.unique(dataset.mask(0)).tolist() == [0, 1]
    np.testing.assert_array_equal(dataset.mask(0), stripes([0, 1], 64, 64))
    assert "JPEG" in dataset.remarks[0]
    (tmp_path / "classes.txt").write_text("a\nb\nc")
    refused(tmp_path, "is a JPEG", "export it as PNG")


def test_a_jpeg_among_png_masks_is_refused_with_its_name(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1, 2])), "a\nb\nc")
    (tmp_path / "masks" / "train" / "b.png").unlink()
    save(tmp_path / "masks" / "train" / "b.jpg", stripes([0, 1, 2]))
    refused(tmp_path, "b.jpg is a JPEG")


def test_a_jpeg_that_a_sample_of_many_masks_would_miss_is_refused_too(tmp_path):
    names = [f"train/{number:03}.png" for number in range(200)]
    write_custom(tmp_path, dict.fromkeys(names, stripes([0, 1, 2])), "a\nb\nc")
    (tmp_path / "masks" / "train" / "101.png").unlink()
    save(tmp_path / "masks" / "train" / "101.jpg", stripes([0, 1, 2]))
    refused(tmp_path, "101.jpg is a JPEG", "export it as PNG")


def test_two_valued_masks_with_smooth_edges_are_cut(tmp_path):
    smooth = np.full((64, 64), 0)
    smooth[:, 32:] = 255
    smooth[0, 24:40] = np.linspace(0, 255, 16)
    write_custom(tmp_path, same_masks(smooth), None)
    dataset = CustomDataset(tmp_path, "train")
    assert dataset.classes == ("background", "foreground")
    np.testing.assert_array_equal(dataset.mask(0), smooth >= 128)
    assert dataset.remarks == ("blurred masks of 0 and 255, cut at 128",)


def test_many_ids_beside_255_are_not_taken_for_blurred_edges(tmp_path):
    write_custom(tmp_path, same_masks(stripes([*range(12), 255], 12, 26)), None)
    dataset = CustomDataset(tmp_path, "train")
    assert dataset.num_classes == 12
    assert row(dataset) == [*range(12), 255]


def test_a_mask_of_another_size_is_scaled_and_of_another_shape_is_skipped(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1, 2, 1])), "a\nb\nc")
    save(tmp_path / "masks" / "train" / "a.png", stripes([0, 1, 2, 1], 6, 8))
    dataset = CustomDataset(tmp_path, "train")
    np.testing.assert_array_equal(dataset.mask(0), stripes([0, 1, 2, 1]))
    assert [note.path.name for note in dataset.notes] == ["a.png"]
    assert "image 16 x 12, mask 8 x 6" in dataset.notes[0].detail
    save(tmp_path / "masks" / "train" / "a.png", stripes([0, 1], 16, 12))
    save(tmp_path / "masks" / "train" / "b.png", stripes([0, 1], 10, 16))
    with pytest.raises(UserError, match="turned against its image"):
        CustomDataset(tmp_path, "train")
    save(tmp_path / "masks" / "train" / "a.png", stripes([0, 1]))
    assert [note.problem for note in CustomDataset(tmp_path, "train").skipped] == [
        "the mask has another shape than its image"
    ]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photograph_is_turned_as_its_mask_is(tmp_path, orientation):
    stored = picture(3, 20, 30)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.png", stored, exif=exif)
    upright = read_image(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png", stripes([0, 1], *upright.shape[:2]))
    save(tmp_path / "masks" / "b.png", stripes([0, 1], *stored.shape[:2]))
    found = {}
    for split in ("train", "val"):
        dataset = CustomDataset(tmp_path, split)
        found[dataset.image_path(0).stem] = dataset
        assert dataset[0].mask.shape == dataset[0].image.shape[1:]
        assert [note.problem.split(",")[0] for note in dataset.notes] == ["EXIF rotation"] * (orientation > 1)
    np.testing.assert_array_equal(found["a"].image(0), upright)
    np.testing.assert_array_equal(found["b"].image(0), stored if orientation >= 5 else upright)


def test_files_of_sixteen_bits(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1, 65_535])), "a\nb")
    save(tmp_path / "images" / "train" / "a.png", np.full((12, 16), 0x8000))
    dataset = CustomDataset(tmp_path, "train")
    assert row(dataset) == [0, 1, IGNORE]
    assert (dataset.image(0) == 128).all()
    assert {note.problem.split(";")[0] for note in dataset.notes} == {"a mask of 16 bits", "an image of 16 bits"}
    write_custom(tmp_path, same_masks(stripes([0, 1000, 2000])), "a = 0\nb = 1000\nc = 2000")
    coded = CustomDataset(tmp_path, "train")
    assert row(coded) == [0, 1, 2]
    np.testing.assert_array_equal(coded.labels.decode(coded.mask(0)), stripes([0, 1000, 2000]))


@pytest.mark.parametrize(("greatest", "shift"), [(255, 0), (1023, 2), (4095, 4), (16_383, 6), (65_535, 8)])
def test_deep_images_use_all_grey_levels_and_are_brightened_alike(tmp_path, greatest, shift):
    write_custom(tmp_path, same_masks(stripes([0, 1])), "a\nb")
    (tmp_path / "images" / "train" / "a.png").unlink()
    (tmp_path / "images" / "train" / "b.png").unlink()
    dark, bright = np.full((12, 16), 200), stripes([0, greatest])
    for name, pixels in (("a", dark), ("b", bright)):
        Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / "images" / "train" / f"{name}.tif")
    dataset = CustomDataset(tmp_path, "train")
    np.testing.assert_array_equal(dataset.image(0), np.full((12, 16, 3), 200 >> shift))
    assert np.unique(dataset.image(1)).tolist() == [0, 255]
    assert "8 highest of those in use" in dataset.notes[0].problem


def test_a_file_of_several_pages_is_said(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1])), "a\nb")
    (tmp_path / "images" / "train" / "a.png").unlink()
    first, second = (Image.fromarray(picture(seed)) for seed in (1, 2))
    first.save(tmp_path / "images" / "train" / "a.tif", save_all=True, append_images=[second])
    dataset = CustomDataset(tmp_path, "train")
    assert [str(note).rpartition("/")[2] for note in dataset.notes] == [
        "a.tif: a file of several pages; the first is used (2 pages)"
    ]
    np.testing.assert_array_equal(dataset.image(0), picture(1))


@pytest.mark.shared_data
def test_a_microscopes_images_keep_their_grey_levels(shared_cases):
    dataset = CustomDataset(shared_cases / "microscope12", "train")
    assert len(np.unique(dataset.image(0))) > 100


def test_ids_out_of_range_are_named_with_the_file(tmp_path):
    write_custom(tmp_path, {**same_masks(stripes([0, 1])), "train/b.png": stripes([0, 7])}, "a\nb")
    dataset = CustomDataset(tmp_path, "train")
    with pytest.raises(UserError, match=r"b.png holds the ids 7, .* none of the 2 classes; .*'ignore = 7'"):
        dataset.mask(1)
    (tmp_path / "classes.txt").write_text("a = 0\nb = 1\nignore = 7")
    assert row(CustomDataset(tmp_path, "train"), 1) == [0, IGNORE]


def test_ids_from_one_to_the_number_of_names_are_not_shifted(tmp_path):
    write_custom(tmp_path, {**same_masks(stripes([1, 2])), "val/c.png": stripes([3, 255])}, "road\ntree\nsky")
    dataset, validation = CustomDataset(tmp_path, "train"), CustomDataset(tmp_path, "val")
    assert (row(dataset), row(validation)) == ([0, 1], [2, IGNORE])
    assert dataset.remarks == ("ids run from 1: id 1 is the first line of classes.txt",)
    np.testing.assert_array_equal(dataset.labels.decode(dataset.mask(0)), stripes([1, 2]))


def test_the_highest_id_counts_wherever_it_is(tmp_path):
    names = [f"train/{number:03}.png" for number in range(200)]
    write_custom(
        tmp_path,
        {**dict.fromkeys(names, stripes([1, 2])), "train/101.png": stripes([1, 3]), "val/z.png": stripes([1])},
        "a\nb\nc",
    )
    assert row(CustomDataset(tmp_path, "train"), 101) == [0, 2]


def test_ids_that_may_count_from_zero_or_from_one_are_asked_about(tmp_path):
    write_custom(tmp_path, same_masks(stripes([1, 2])), "road\ntree\nsky")
    refused(tmp_path, "no mask holds the id 0", "3 classes", "'road = 1' if ids count from 1", "'road = 0' if from 0")
    (tmp_path / "classes.txt").write_text("background\ntree\nsky")
    assert row(CustomDataset(tmp_path, "train")) == [1, 2], "background may well be nowhere"
    write_custom(tmp_path, same_masks(stripes([0, 1, 3])), "road\ntree\nsky")
    refused(
        tmp_path, "the ids 0 to 3", "names 3 classes", "the first line is 0, the last 3", "'ignore = 0'", "'road = 1'"
    )
    (tmp_path / "classes.txt").write_text("road = 1\ntree = 2\nsky = 3\nignore = 0\n")
    assert row(CustomDataset(tmp_path, "train")) == [IGNORE, 0, 2]


def test_the_advice_for_an_id_beyond_the_sample_names_both_ways(tmp_path):
    names = [f"train/{number:03}.png" for number in range(200)]
    write_custom(
        tmp_path,
        {**dict.fromkeys(names, stripes([0, 1])), "train/101.png": stripes([1, 2]), "val/z.png": stripes([1])},
        "a\nb",
    )
    with pytest.raises(UserError, match=r"101.png holds the ids 2, .*; if ids count from 1, write 'a = 1' and so on"):
        CustomDataset(tmp_path, "train").mask(101)


def test_grey_levels_are_refused_with_the_line_to_write(tmp_path):
    write_custom(tmp_path, same_masks(stripes([1, 2])), "road = 1\ntree = 2\n")
    assert row(CustomDataset(tmp_path, "train")) == [0, 1]
    write_custom(tmp_path, same_masks(stripes([0, 100, 200])), "a\nb\nc")
    refused(tmp_path, "hold the ids 0, 100, 200", "names 3 classes, 0 to 2", "'a = 0'")
    (tmp_path / "classes.txt").unlink()
    refused(tmp_path, "0, 100, 200", "do not run from 0", "classes.txt")


@pytest.mark.shared_data
def test_ids_from_one_that_users_report_are_read_or_asked_about(shared_cases):
    assert np.unique(CustomDataset(shared_cases / "onebased5", "train").mask(0)).tolist() == [0, 1, 4]
    refused(shared_cases / "onebased", "no mask holds the id 0", "'wall = 1'")


def test_a_mask_of_another_palette_is_found_wherever_it_is(tmp_path):
    names = [f"train/{number:03}.png" for number in range(200)]
    colours = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]])
    masks = dict.fromkeys([*names, "val/z.png"], stripes([0, 1, 2]))
    write_custom(tmp_path, masks, "a\nb\nc", palette=colours)
    save(tmp_path / "masks" / "train" / "101.png", stripes([0, 2, 1]), colours[[0, 2, 1]])
    dataset = CustomDataset(tmp_path, "train")
    assert row(dataset, 100) == [0, 1, 2]
    with pytest.raises(
        UserError, match=r"101.png does not fit: its palette gives index 2 the colour 200 0 0, other ma"
    ):
        dataset.mask(101)


def test_indices_that_the_list_gives_count_whatever_their_colours(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1])), "a = 0\nb = 1\n")
    for seed, name in enumerate(("a", "b")):
        colours = picture(seed).reshape(-1, 3)[:2]
        save(tmp_path / "masks" / "train" / f"{name}.png", stripes([0, 1]), colours)
    dataset = CustomDataset(tmp_path, "train")
    assert (row(dataset, 0), row(dataset, 1)) == ([0, 1], [0, 1])
    (tmp_path / "classes.txt").write_text("a\nb\n")
    refused(tmp_path, "colours", "'road = 1'")


@pytest.mark.shared_data
def test_random_palettes_that_users_report_are_read_by_index(shared_cases):
    dataset = CustomDataset(shared_cases / "palette_random", "train")
    assert np.unique(dataset.mask(0)).tolist() == [0, 1, 2]


def test_ids_are_named_after_their_number_where_no_list_names_them(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 2, 1, 255])), None)
    dataset = CustomDataset(tmp_path, "train")
    assert dataset.classes == ("class_0", "class_1", "class_2")
    assert row(dataset) == [0, 2, 1, 255]


def test_training_and_validation_have_the_same_classes_even_if_one_lacks_some(tmp_path):
    write_custom(tmp_path, {**same_masks(stripes([0, 1])), "val/c.png": stripes([2])}, None)
    assert CustomDataset(tmp_path, "train").classes == CustomDataset(tmp_path, "val").classes


@pytest.mark.parametrize("spoilt", NAMES)
def test_a_mask_that_is_skipped_names_no_class_in_either_split(tmp_path, spoilt):
    root = write_custom(tmp_path / "x", same_masks(stripes([0, 255])), None)
    save(root / "masks" / spoilt, stripes([0, 1, 2, 3], 16, 12))  # turned against its image
    others = write_custom(tmp_path / "y", {"train/0.png": stripes([0, 255]), "val/0.png": stripes([0, 255])}, None)
    for number, split in enumerate(("train", "val")):
        (others / "masks" / split / "0.png").rename(root / "masks" / split / f"{number}.png")
        (others / "images" / split / "0.png").rename(root / "images" / split / f"{number}.png")
    for split in ("train", "val"):
        assert CustomDataset(root, split).classes == ("background", "foreground")


def test_unreadable_files_are_skipped_with_the_reason(tmp_path):
    write_custom(tmp_path, same_masks(stripes([0, 1])), "a\nb")
    (tmp_path / "images" / "train" / "a.png").write_bytes(b"not an image")
    skipped = CustomDataset(tmp_path, "train").skipped
    assert [note.path.name for note in skipped] == ["a.png"]
    assert "cannot be read" in skipped[0].problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no class"),
        ("a\na\n", "names 'a' twice"),
        ("a = 1\nb\n", "'b' has no value"),
        ("a = 1\nb = 1 2 3\n", "values to some classes and colours to others"),
        ("a = 1 2\n", "line 1"),
        ("a\nb = x\n", "line 2"),
        ("a = 256 0 0\n", "line 1"),
        ("a =\n", "line 1"),
        ("a\nignore\n", "ignore = VALUE"),
        ("a\nb\nignore = 0\n", "'a' has no value"),
        ("a\nb\nignore = 0 0 0\n", "'a' has no value or colour"),
        ("a = 1\nb = 1\n", "'a' has no value"),
        ("\n".join(f"c{number}" for number in range(256)), "255 is the most"),
    ],
)
def test_a_list_of_classes_that_cannot_be_meant_is_refused(tmp_path, text, said):
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_class_list(path)


@pytest.mark.parametrize("number", [255, 65_535])
def test_ids_that_are_ignored_anyway_may_be_named_so(tmp_path, number):
    plain = write_custom(tmp_path / "plain", same_masks(stripes([0, 1, 255])), "a\nb")
    named = write_custom(tmp_path / "named", same_masks(stripes([0, 1, 255])), f"a\nb\nignore = {number}\n")
    for split in ("train", "val"):
        one, other = CustomDataset(plain, split), CustomDataset(named, split)
        assert (one.classes, row(one)) == (other.classes, row(other))


def test_images_of_every_mode_become_rgb(tmp_path):
    pixels = picture()
    for mode in ("L", "LA", "RGBA", "CMYK", "P", "1"):
        path = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.fromarray(pixels).convert(mode).save(path)
        assert read_image(path).shape == (12, 16, 3)
    Image.fromarray(pixels.astype(np.float32)[..., 0]).save(tmp_path / "float.tif")
    with pytest.raises(UserError, match="floating-point"):
        read_image(tmp_path / "float.tif")
    with pytest.raises(UserError, match="floating-point"):
        read_mask(tmp_path / "float.tif")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_a_mask_survives_the_file(tmp_path_factory, values, height, width):
    mask = stripes(values, height, width)
    path = save(tmp_path_factory.mktemp("mask") / "m.png", mask, voc_palette(256))
    np.testing.assert_array_equal(read_mask(path).values, mask)
    np.testing.assert_array_equal(read_mask(path).colours, voc_palette(256)[mask])
