"""`wavegen seg-eval` and `seg-predict`: figures that an independent scorer agrees with, and files for images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from brute_force import brute_force
from image_sets import box, picture, save, stripes, write_cityscapes, write_coco, write_custom
from PIL import Image
from tiny_segmentation import TINY_DEEPLAB

from segmentation.checkpoints.segmenter import ClassTable, load_segmenter
from segmentation.config import SegmentationConfig, SegmentationDataConfig, SegmentationModelConfig
from segmentation.datasets.formats.shapes import ShapesDataset
from segmentation.datasets.labels import distinct_palette
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD, normalise
from segmentation.network.deeplab import build_model
from segmentation.prediction import inference
from segmentation.prediction.predict import find_images
from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.errors import UserError


def checkpoint(path: Path, table: ClassTable, seed: int = 0, image_scale: float = 1.0, **model) -> Path:
    """A net of lively random weights, in a checkpoint as training writes it."""
    shape = {"backbone": "dilated", "aspp_channels": 8, "num_classes": len(table.palette), **model}
    config = SegmentationConfig(
        name=path.stem,
        model=SegmentationModelConfig(**shape),
        data=SegmentationDataConfig(image_scale=image_scale),
    )
    net = build_model(config.model, torch.Generator().manual_seed(seed))
    torch.nn.init.normal_(net.classifier.classifier[3].weight, generator=torch.Generator().manual_seed(seed))
    content = {
        "config": config.model_dump(mode="json"),
        **table.to_plain(),
        "normalisation": {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        "weights": net.state_dict(),
    }
    write_checkpoint(path, "segmentation", content)
    return path


@pytest.fixture
def shapes_checkpoint(tmp_path) -> Path:
    return checkpoint(tmp_path / "net.pth", ClassTable.of_dataset(ShapesDataset("val")))


def test_eval_agrees_with_a_scorer_that_counts_pixel_by_pixel(wavegen, shapes_checkpoint):
    code, out, err = wavegen("seg-eval", shapes_checkpoint, "shapes", "--images", 3, "--json")
    assert code == 0, err
    report = json.loads(out)
    net, dataset = load_segmenter(shapes_checkpoint).model, ShapesDataset("val")
    pairs = []
    for index in (6, 20, 33):
        inputs = normalise(dataset[index].image, IMAGENET_MEAN, IMAGENET_STD)[None]
        with torch.inference_mode():
            pairs.append((net(inputs)["out"][0].argmax(0).numpy(), dataset.mask(index)))
    iou, mean, accuracy = brute_force(pairs, 4)
    assert len({int(value) for guess, _ in pairs for value in np.unique(guess)}) > 1
    assert [value if value is not None else np.nan for value in report["iou"].values()] == pytest.approx(
        iou, nan_ok=True
    )
    assert report["mean_iou"] == pytest.approx(mean, abs=1e-12)
    assert report["pixel_accuracy"] == pytest.approx(accuracy, abs=1e-12)
    assert (report["images"], report["images_in_split"]) == (3, 40)


def test_a_model_sees_images_at_the_scale_it_was_trained_at(wavegen, tmp_path):
    """Its masks are those of the same weights with that scale as an option, at the images' own sizes."""
    dataset = ShapesDataset("val")
    half = checkpoint(tmp_path / "half.pth", ClassTable.of_dataset(dataset), image_scale=0.5)
    whole = checkpoint(tmp_path / "whole.pth", ClassTable.of_dataset(dataset))
    reports = []
    for path, scales in ((half, "1,2"), (whole, "0.5,1")):
        code, out, err = wavegen("seg-eval", path, "shapes", "--images", 3, "--json", "--scales", scales)
        assert code == 0, err
        reports.append(json.loads(out))
    assert reports[0]["confusion"] == reports[1]["confusion"]
    assert sum(map(sum, reports[0]["confusion"])) == 3 * 96 * 96
    assert [report["protocol"]["image_scale"] for report in reports] == [0.5, 1.0]
    save(tmp_path / "a.png", picture(0, 31, 47))
    for command in (["seg-eval", half, "shapes", "--images", 1], ["seg-predict", half, "a.png"]):
        code, out, err = wavegen(*command)
        assert code == 0, err
        assert "seen at 0.5 of their size, as in training" in " ".join(out.split())
    with Image.open(tmp_path / "data" / "segmentation_results" / "half" / "masks" / "a.png") as mask:
        assert mask.size == (47, 31)


def cityscapes_scores(predictions: list[Path], masks: list[Path], folder: Path) -> dict[str, float]:
    """IoU of each class by the scorer of Cityscapes' authors, from files of raw ids; without NaN classes."""
    scorer = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling",
        reason="Cityscapes' own scorer is not installed: uv sync --group scorers",
    )
    scorer.args.quiet = True
    scorer.args.evalInstLevelScore = False
    scorer.args.exportFile = str(folder / "scores.json")
    result = scorer.evaluateImgLists([str(path) for path in predictions], [str(path) for path in masks], scorer.args)
    return {name: value for name, value in result["classScores"].items() if not np.isnan(value)}


def agrees_with_cityscapes_authors(wavegen, root: Path, folder: Path) -> dict[str, float]:
    from segmentation.datasets.formats.cityscapes import CityscapesDataset

    dataset = CityscapesDataset(root, "val")
    path = checkpoint(folder / "net.pth", ClassTable.of_dataset(dataset), image_scale=0.125)
    places = range(len(dataset))
    for place in places:
        assert wavegen("seg-predict", path, dataset.image_path(place), "--out", folder / "out")[0] == 0
    predictions = [folder / "out" / "raw_ids" / dataset.image_path(place).name for place in places]
    theirs = cityscapes_scores(predictions, [dataset.mask_path(place) for place in places], folder)
    code, out, err = wavegen("seg-eval", path, root, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert {name: value for name, value in report["iou"].items() if value is not None} == pytest.approx(theirs)
    assert report["mean_iou"] == pytest.approx(np.mean(list(theirs.values())))
    return theirs


def test_the_scorer_of_cityscapes_authors_agrees(wavegen, tmp_path):
    root = write_cityscapes(tmp_path / "city")
    # their scorer refuses 255, which their own masks do not hold
    save(root / "gtFine" / "val" / "aachen" / "aachen_000002_000019_gtFine_labelIds.png", stripes([0, 7, 26, 33]))
    assert agrees_with_cityscapes_authors(wavegen, root, tmp_path)


@pytest.mark.shared_data
def test_the_scorer_of_cityscapes_authors_agrees_on_real_frames(wavegen, tmp_path, shared_images):
    theirs = agrees_with_cityscapes_authors(wavegen, shared_images / "cityscapes", tmp_path)
    assert sum(value > 0 for value in theirs.values()) > 1


def test_eval_prints_the_protocol_and_the_absent_classes(wavegen, tmp_path):
    root = write_custom(
        tmp_path / "set", {"train/a.png": stripes([0, 1]), "val/b.png": stripes([0, 255])}, "ground\nwall\nsky"
    )
    from segmentation.datasets.formats.custom.dataset import CustomDataset

    path = checkpoint(tmp_path / "net.pth", ClassTable.of_dataset(CustomDataset(root, "val")))
    options = ["--scales", "0.5,1,1.5", "--flip", "--window", "16"]
    code, out, err = wavegen("seg-eval", path, root, *options)
    assert code == 0, err
    flat = " ".join(out.split())
    assert "windows of 16 x 16, overlap weighted; scales 0.5, 1, 1.5; mirrored too; output stride 16" in flat
    assert "255 ignored" in flat
    code, out, _ = wavegen("seg-eval", path, root, *options, "--json")
    report = json.loads(out)
    assert report["protocol"]["scales"] == [0.5, 1.0, 1.5]
    assert (report["protocol"]["flip"], report["protocol"]["window"]) == (True, 16)
    assert sum(map(sum, report["confusion"])) == stripes([0, 255]).size // 2
    for name in report["absent"]:
        assert report["iou"][name] is None
    assert set(report["only_predicted"]) <= {"wall", "sky"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "shapes"], "is called 'nothing'; none is there yet"),
        (["net.pth", "nowhere"], "no data set 'nowhere'"),
        (["net.pth", "shapes", "--scales", "0,1"], "--scales takes numbers"),
        (["net.pth", "shapes", "--scales", "big"], "--scales takes numbers"),
        (["net.pth", "shapes", "--window", "5"], "--window takes 16 pixels or more, not 5"),
        (["net.pth", "shapes", "--split", "test"], "--split takes train or val, not 'test'"),
        (["net.pth", "shapes", "--output-stride", "3"], "--output-stride takes 1, 2, 4, 8 or 16, not 3"),
        (["net.pth", "other"], "class 1 of net.pth is 'disc', but 'wall' in other"),
        (["net.pth", "fewer"], "net.pth has 4 classes, but fewer (custom) has 2"),
    ],
)
def test_what_does_not_fit_is_one_line(wavegen, tmp_path, shapes_checkpoint, arguments, message):
    masks = {"train/a.png": stripes([0, 1]), "val/b.png": stripes([0, 1])}
    write_custom(tmp_path / "other", masks, "background\nwall\nsky\nsea")
    write_custom(tmp_path / "fewer", masks, "background\nwall")
    code, _, err = wavegen("seg-eval", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_predict_mirrors_the_tree_and_writes_three_pictures_of_each(wavegen, tmp_path, shapes_checkpoint):
    save(tmp_path / "in" / "a.png", picture(0, 20, 30))
    save(tmp_path / "in" / "deep" / "b.jpg", picture(1, 33, 17))
    save(tmp_path / "in" / "deep" / "b.png", picture(2, 8, 8))
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    code, out, err = wavegen("seg-predict", shapes_checkpoint, "in", "--window", 16)
    assert code == 0, err
    results = tmp_path / "data" / "segmentation_results" / "net" / "in"
    for part in ("3 of 4 images labelled", "broken.jpg", "1 other file skipped (.txt)"):
        assert part in out
    for folder in ("masks", "overlays", "raw_ids"):
        written = sorted(
            str(path.relative_to(results / folder)) for path in (results / folder).rglob("*") if path.is_file()
        )
        assert written == ["a.png", "deep/b.jpg.png", "deep/b.png.png"]
    with Image.open(results / "masks" / "a.png") as mask:
        assert (mask.mode, mask.size) == ("P", (30, 20))
        ids = np.asarray(mask)
        assert mask.getpalette()[:12] == distinct_palette(4).ravel().tolist()
    with Image.open(results / "overlays" / "a.png") as laid_over:
        mixed = np.round(picture(0, 20, 30) * 0.45 + distinct_palette(4)[ids] * 0.55)
        expected = np.where((ids == 0)[..., None], picture(0, 20, 30), mixed)
        np.testing.assert_allclose(np.asarray(laid_over)[:20], expected, atol=1)
        assert laid_over.width == 30
        assert laid_over.height > 20, "a legend is below it"
    for folder in ("masks", "raw_ids"):
        for name, size in (("a.png", (30, 20)), ("deep/b.jpg.png", (17, 33)), ("deep/b.png.png", (8, 8))):
            with Image.open(results / folder / name) as written_picture:
                assert written_picture.size == size
    assert "overlays have a legend below the image" in out


@pytest.mark.parametrize(("bits", "suffix"), [(12, ".png"), (12, ".tif"), (16, ".png")])
def test_a_deep_image_alone_is_labelled_by_its_highest_8_bits_which_a_line_says(
    wavegen, tmp_path, shapes_checkpoint, bits, suffix
):
    grey = picture(0, 24, 30)[..., 0]
    grey[0, 0] = 255
    save(tmp_path / "plain.png", grey)
    Image.fromarray(grey.astype(np.uint16) << (bits - 8)).save(tmp_path / f"deep{suffix}")
    written = []
    for name in ("plain.png", f"deep{suffix}"):
        code, said, err = wavegen("seg-predict", shapes_checkpoint, name, "--out", "out")
        assert code == 0, err
        with Image.open((tmp_path / "out" / "raw_ids" / name).with_suffix(".png")) as ids:
            written.append(np.asarray(ids))
        noted = f"the greatest is below {2**bits:,}, so they were divided by {2 ** (bits - 8)}" in said
        assert noted == (name != "plain.png")
    np.testing.assert_array_equal(*written)


def test_raw_ids_are_those_of_the_data_set(wavegen, tmp_path):
    from segmentation.datasets.formats.cityscapes import CityscapesDataset

    dataset = CityscapesDataset(write_cityscapes(tmp_path / "city"), "val")
    path = checkpoint(tmp_path / "net.pth", ClassTable.of_dataset(dataset))
    assert wavegen("seg-predict", path, dataset.image_path(0), "--out", "out")[0] == 0
    name = dataset.image_path(0).name
    with Image.open(tmp_path / "out" / "masks" / name) as mask, Image.open(tmp_path / "out" / "raw_ids" / name) as raw:
        ids = np.asarray(mask)
        assert (np.asarray(raw) == np.array(dataset.labels.raw_ids)[ids]).all()
        assert set(np.unique(np.asarray(raw))) <= {
            7,
            8,
            11,
            12,
            13,
            17,
            19,
            20,
            21,
            22,
            23,
            24,
            25,
            26,
            27,
            28,
            31,
            32,
            33,
        }
        assert (dataset.labels.encode(np.asarray(raw)) == ids).all()


def test_it_is_said_which_images_were_cut_into_windows(wavegen, tmp_path, shapes_checkpoint, monkeypatch):
    monkeypatch.setattr(inference, "_MOST_PIXELS", 40 * 40)
    monkeypatch.setattr(inference, "LARGE_WINDOWS", (32, 32))
    save(tmp_path / "in" / "large.png", picture(0, 50, 60))
    save(tmp_path / "in" / "small.png", picture(1, 20, 30))
    for command, said in (
        (["seg-predict", "in"], "1 image was"),
        (["seg-eval", "shapes", "--images=2"], "2 images were"),
    ):
        code, out, err = wavegen(command[0], shapes_checkpoint, *command[1:])
        assert code == 0, err
        assert f"note: {said} too large to label whole, and cut into windows" in out


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (47, 3)])
def test_the_smallest_images_are_labelled(wavegen, tmp_path, shapes_checkpoint, size):
    save(tmp_path / "small.png", picture(0, *size))
    assert wavegen("seg-predict", shapes_checkpoint, "small.png", "--flip", "--scales", "0.5,2")[0] == 0
    with Image.open(tmp_path / "data" / "segmentation_results" / "net" / "masks" / "small.png") as mask:
        assert mask.size == size[::-1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.png", "there is no image or folder gone.png"),
        ("bad.png", "cannot read the image bad.png"),
        ("empty", "empty holds no image"),
    ],
)
def test_nothing_to_label_is_one_line_and_writes_nothing(wavegen, tmp_path, shapes_checkpoint, name, message):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty").mkdir()
    code, _, err = wavegen("seg-predict", shapes_checkpoint, name)
    assert (code, message in err) == (2, True)
    assert err.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_full_disk_leaves_no_half_file(wavegen, tmp_path, shapes_checkpoint, full_disk):
    save(tmp_path / "large.png", picture(0, 100, 100))
    with full_disk(2_000):
        code, _, err = wavegen("seg-predict", shapes_checkpoint, "large.png", "--out", "out")
    assert code == 2
    assert "cannot write" in err
    assert not list((tmp_path / "out").rglob("*.part"))
    for path in (tmp_path / "out").rglob("*.png"):
        Image.open(path).load()


def test_results_inside_the_folder_are_not_labelled_again(tmp_path):
    save(tmp_path / "in" / "a.png", picture())
    save(tmp_path / "in" / "out" / "masks" / "a.png", picture())
    inputs, _ = find_images(tmp_path / "in", tmp_path / "in" / "out")
    assert [str(one.target) for one in inputs] == ["a.png"]
    with pytest.raises(UserError, match="holds no image"):
        find_images(tmp_path / "in" / "out", tmp_path / "in" / "out")


def test_a_file_from_elsewhere_needs_a_stride_and_has_numbers_for_classes(wavegen, tmp_path):
    shape = {"backbone": "resnet50", "num_classes": 4, "aspp_channels": 256}
    torch.save(build_model(SegmentationModelConfig(**shape)).state_dict(), tmp_path / "theirs.pth")
    save(tmp_path / "small.png", picture())
    code, _, err = wavegen("seg-predict", "theirs.pth", "small.png")
    assert (code, "--output-stride 16 (or 8)" in err) == (2, True)
    code, out, err = wavegen("seg-predict", "theirs.pth", "small.png", "--output-stride", 16)
    assert code == 0, err
    assert "class " in out
    assert load_segmenter(tmp_path / "theirs.pth", 16).pad_to == 1


def test_info_describes_a_file_of_another_project(wavegen, tmp_path):
    from reference_deeplab import reference

    content = {"model_state": reference(plus=True).state_dict(), "best_score": np.float64(0.7)}
    torch.save(content, tmp_path / "best_deeplabv3plus_os16.pth")
    code, out, err = wavegen("info", "best_deeplabv3plus_os16.pth")
    assert code == 0, err
    for part in ("DeepLabV3Plus-Pytorch's", "deeplab_v3plus of resnet50", "8 or 16, the file does not store it"):
        assert part in out
    facts = json.loads(wavegen("info", "best_deeplabv3plus_os16.pth", "--json").out)
    assert facts["model"]["output_stride"] is None
    assert facts["classes"] is None


def test_a_run_is_shown_and_exported_without_its_training_state(wavegen, tmp_path):
    assert wavegen("seg-train", "--max-steps=2", *TINY_DEEPLAB, "--logger=none", "--name=mine")[0] == 0
    code, out, err = wavegen("info", "mine")
    assert code == 0, err
    for part in ("deeplab_v3plus of dilated", "16, rates of the pyramid 6, 12, 18", "4: background, disc", "2 steps"):
        assert part in out
    assert json.loads(wavegen("info", "mine", "--json").out)["best_mean_iou"] > 0
    code, out, err = wavegen("export", "mine", "--name", "shared")
    assert code == 0, err
    target = tmp_path / "data" / "pretrained" / "deeplab_v3plus_shared.pth"
    run = tmp_path / "data" / "checkpoints" / "segmentation" / "mine" / "best.pth"
    assert target.stat().st_size < run.stat().st_size
    scores = [
        json.loads(wavegen("seg-eval", name, "shapes", "--images=2", "--json").out) for name in ("mine", "shared")
    ]
    assert scores[0]["confusion"] == scores[1]["confusion"]
    code, _, err = wavegen("export", "mine", "--name", "a/b")
    assert (code, "plain name without folders" in err) == (2, True)


def test_coco_is_scored_with_the_classes_it_was_trained_with(wavegen, tmp_path):
    annotated = [
        {"category_id": 1, "area": 1500, "segmentation": box(0, 0, 30, 50)},
        {"category_id": 3, "area": 1500, "segmentation": box(30, 0, 60, 50)},
    ]
    for split in ("train", "val"):
        root = write_coco(tmp_path / "coco", [annotated], split=split, size=60)
    code, _, err = wavegen(
        "seg-train", root, "--coco-classes=all", "--max-steps=1", *TINY_DEEPLAB, "--logger=none", "--name=all"
    )
    assert code == 0, err
    code, out, err = wavegen("seg-eval", "all", root, "--json")
    assert code == 0, err
    assert list(json.loads(out)["iou"]) == ["background", "person", "car", "stop sign"]
    code, _, err = wavegen("seg-eval", "all", root, "--coco-classes=voc")
    assert (code, "but coco (COCO) has 21" in err) == (2, True)


TRAINED = {
    "pascal_voc": 21,
    "cityscapes": 19,
    "coco": 21,
    "ade20k": 150,
    "custom/camvid": None,
    "custom/membrane": None,
}


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("name", TRAINED)
def test_every_format_trains_and_is_scored(wavegen, shared_images, name):
    root = shared_images / name
    code, out, err = wavegen("seg-train", root, "--max-steps=2", *TINY_DEEPLAB, "--name=run", "--logger=none")
    assert code == 0, err
    code, out, err = wavegen("seg-eval", "run", root, "--images=2", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert TRAINED[name] in (None, len(report["iou"]))
    assert 0 <= report["mean_iou"] <= 1
    assert report["images"] == min(2, report["images_in_split"])
