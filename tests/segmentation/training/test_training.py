"""`wavegen seg-train` learns, keeps what using the model needs, resumes to the bit, and has one-line errors."""

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brute_force import brute_force
from image_sets import picture, save, stripes, write_custom
from tiny_segmentation import TINY_DEEPLAB
from torch import nn

import segmentation.training.task
from segmentation.checking.check import quick_check
from segmentation.checkpoints.names import find_segmenter
from segmentation.checkpoints.segmenter import load_segmenter
from segmentation.config import SegmentationConfig, SegmentationModelConfig, SegmentationTrainingConfig
from segmentation.datasets.formats.custom.dataset import CustomDataset
from segmentation.datasets.formats.shapes import CLASSES, ShapesDataset
from segmentation.datasets.labels import IGNORE
from segmentation.network.deeplab import build_model
from segmentation.network.norm import BatchNorm, StatisticsWarmUp
from segmentation.training.loss import balanced_weights, cross_entropy
from segmentation.training.options import SegmentationOptions
from segmentation.training.recipe import fit_to_budget, fit_to_images, fit_to_start
from segmentation.training.run import auto_preset, prepare_run
from segmentation.training.task import SegmentationTask, fit_precision, pictures, train
from wavenet_app.core.checkpoint import read_checkpoint, write_checkpoint
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.dilated import ResidualBlock
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.scoring import score_of

ASSIGNMENTS = tuple(option.removeprefix("--set=") for option in TINY_DEEPLAB)


def prepared(folder: Path, *assignments: str, device: str = "cpu", **options):
    chosen = SegmentationOptions(assignments=(*ASSIGNMENTS, *assignments), logger="none", **options)
    return prepare_run(chosen, DataFolder(folder), device=device)


def test_several_processes_on_a_gpu_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"training\.processes=2 would share one GPU"):
        prepared(tmp_path, "training.processes=2", device="cuda")


def test_no_argument_trains_on_shapes_and_leaves_all_that_use_needs(wavegen, tmp_path):
    code, out, err = wavegen("seg-train", "--max-steps", 3, *TINY_DEEPLAB)
    assert code == 0, err
    for part in ("200 images of shapes", "mIoU", "background", "wavegen seg-eval shapes shapes"):
        assert part in out
    run = tmp_path / "data" / "checkpoints" / "segmentation" / "shapes"
    written = ["best.pth", "config.json", "last.previous.pth", "last.pth", "metrics.csv"]
    assert sorted(path.name for path in run.iterdir()) == written
    content = read_checkpoint(run / "best.pth", "segmentation")
    assert content["classes"] == list(CLASSES)
    assert content["palette"] == ShapesDataset("train").palette.tolist()
    assert content["raw_ids"] == [0, 1, 2, 3]
    assert content["normalisation"]["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert content["output_stride"] == 16
    with (run / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[-1]["validation"]) == content["history"][-1]["validation"] == content["training"]["best"]
    assert list((tmp_path / "data" / "tensorboard" / "segmentation" / "shapes").glob("events.*"))
    segmenter = load_segmenter(find_segmenter("shapes", DataFolder(tmp_path / "data")))
    assert segmenter.table.names == CLASSES
    assert segmenter.pad_to == 16
    assert segmenter.config.model.num_classes == 4


def test_a_stopped_run_resumes_to_the_same_bits(tmp_path):
    """With dropout, the auxiliary head, momentum and batch norm's statistics."""
    more = ("model.auxiliary_head=true", "model.dropout=0.5", "training.max_steps=6")

    def trained(name, resume=None, stop_at=None):
        if resume:
            run = prepare_run(SegmentationOptions(resume=resume, logger="none"), DataFolder(tmp_path), device="cpu")
        else:
            run = prepared(tmp_path, *more, name=name)
        torch.manual_seed(hash((name, resume)) % 1000)  # whatever the caller's generator stands at

        def on_step(status):
            if status.step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)

        return train(run.task, run.plan, on_step=on_step, on_validation=lambda _status: None, resume=run.resume)

    trained("through")
    assert trained("halted", stop_at=3).status.interrupted == "Ctrl-C"
    assert trained("halted", resume="halted").status.step == 6
    through, halted = (
        read_checkpoint(tmp_path / "checkpoints" / "segmentation" / name / "last.pth", "segmentation")
        for name in ("through", "halted")
    )
    for one, other in (
        (through["weights"], halted["weights"]),
        (through["training"]["weights"], halted["training"]["weights"]),
    ):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    for name, buffer in through["weights"].items():
        if "running" in name or "num_batches" in name:
            assert torch.equal(buffer, through["training"]["weights"][name]), "averaged nets have the raw statistics"


def test_dropout_leaves_the_callers_randomness_alone(tmp_path):
    task = prepared(tmp_path, "model.dropout=0.5").task
    batch = next(iter(task.training_batches(5, 0, 1)))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = task.loss(batch)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(task.loss(batch), first)
    assert not torch.equal(task.loss((6, batch[1])), first)


def test_processes_share_the_batches_out(tmp_path):
    task = prepared(tmp_path).task
    one = [next(iter(task.training_batches(step, 0, 1)))[1] for step in range(4)]
    for rank in (0, 1):
        batches = iter(task.training_batches(0, rank, 2))
        for step in (rank, rank + 2):
            number, batch = next(batches)
            assert number == step
            assert torch.equal(batch["image"], one[step]["image"])


def test_the_score_is_the_mean_iou_of_an_independent_scorer(tmp_path):
    task = prepared(tmp_path, "training.validation_images=5").task
    task.model.eval()
    score = score_of(task, task.model, task.validation_batches())
    pairs = []
    for batch in task.validation_batches():
        scores = task.model(_normalised(batch["image"]))["out"][0]
        pairs.append((scores.argmax(0).numpy(), batch["mask"].numpy()))
    assert score == pytest.approx(brute_force(pairs, 4)[1], abs=1e-12)
    assert task.scores.mean_iou == score


def _normalised(image):
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return ((image / 255 - mean) / std)[None]


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_the_loss_is_torchs_own_wherever_pixels_count(weights):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 5, 7, generator=generator)
    mask = torch.randint(3, (2, 5, 7), generator=generator)
    mask[0, :2] = IGNORE
    given = None if weights is None else torch.tensor(weights)
    expected = F.cross_entropy(scores, mask, given, ignore_index=IGNORE)
    torch.testing.assert_close(cross_entropy(scores, mask, given), expected)
    nothing = cross_entropy(scores.requires_grad_(), torch.full_like(mask, IGNORE), given)
    nothing.backward()
    assert nothing.item() == 0
    assert (scores.grad == 0).all()


def test_without_a_preset_the_dilated_backbone_trains_unless_imagenet_weights_are_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    data = DataFolder(tmp_path / "data")
    assert [auto_preset("auto", data, device) for device in ("cpu", "cuda")] == ["dilated", "dilated"]
    assert auto_preset("imagenet", data, "cpu") == "small"
    options = SegmentationOptions(logger="none", max_steps=1)
    run = prepare_run(options, data, device="cpu")
    assert any(isinstance(module, ResidualBlock) for module in run.task.model.modules())
    for place in (data.pretrained, tmp_path / "torch" / "hub" / "checkpoints"):
        weights = place / "mobilenet_v3_large-8738ca79.pth"
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.touch()
        assert [auto_preset("auto", data, device) for device in ("cpu", "cuda")] == ["small", "mobilenet"]
        assert auto_preset("none", data, "cpu") == "dilated"
        weights.unlink()


@pytest.mark.parametrize(
    ("backbone", "preset"),
    [("dilated", "dilated"), ("resnet50", "resnet50"), ("mobilenet_v3_large", "small"), ("mobilenet_v2", "dilated")],
)
def test_without_a_preset_a_run_has_the_backbone_of_the_file_that_it_starts_from(backbone, preset, tmp_path):
    model = build_model(SegmentationModelConfig(backbone=backbone, aspp_channels=8, num_classes=3))
    torch.save(model.state_dict(), tmp_path / "theirs.pth")
    assert auto_preset(str(tmp_path / "theirs.pth"), DataFolder(tmp_path), "cpu") == preset


def test_balanced_weights_are_enets(tmp_path):
    root = write_custom(tmp_path / "set", {"train/a.png": stripes([0, 0, 0, 1])}, "a\nb\nc")
    write_custom(root, {"val/b.png": stripes([0, 1])}, None)
    weights = balanced_weights(CustomDataset(root, "train"), lambda _done, _total: None)
    assert weights == pytest.approx([1 / np.log(1.77), 1 / np.log(1.27), 1 / np.log(1.02)])


def test_balanced_weights_reach_the_loss_and_the_checkpoint(tmp_path):
    task = prepared(tmp_path, "training.class_weights=balanced").task
    assert task.content()["class_weights"] == pytest.approx(
        balanced_weights(task.training, lambda _done, _total: None), rel=1e-6
    )
    plain = prepared(tmp_path, "training.class_weights=none").task
    plain.model.load_state_dict(task.model.state_dict())
    batch = next(iter(task.training_batches(0, 0, 1)))
    assert task.loss(batch) != plain.loss(batch)


def test_the_head_learns_faster_and_the_rate_falls_by_the_power(tmp_path):
    task = prepared(tmp_path, "training.head_factor=7", "training.learning_rate=0.5", "training.warmup_steps=3").task
    optimizer = task.optimizer()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 3.5]
    held = sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"])
    assert held == sum(parameter.numel() for parameter in task.model.parameters())
    assert task.learning_rate_share(0, 0.0) == 0.25
    assert task.learning_rate_share(100, 0.5) == pytest.approx(0.5**0.9)
    assert task.learning_rate_share(100, 1.0) == 0


def test_random_weights_learn_by_adamw_and_trained_ones_by_gradient_descent(tmp_path):
    task = prepared(tmp_path).task
    optimizer = task.optimizer()
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["lr"] for group in optimizer.param_groups] == [0.001, 0.001]
    trained_alone = fit_to_start(SegmentationTrainingConfig(weight_decay=0.5), from_scratch=False)
    assert trained_alone == {
        "scale_range": (0.5, 2.0),
        "class_weights": "none",
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "head_factor": 10.0,
    }
    write_checkpoint(
        tmp_path / "own.pth", "segmentation", {**task.content(), "weights": task.model.state_dict(), "history": []}
    )
    later = prepared(tmp_path, f"training.start_from={tmp_path / 'own.pth'}").task
    assert isinstance(later.optimizer(), torch.optim.SGD)


@pytest.mark.parametrize("earlier", [0, 3, 500])
def test_young_statistics_are_the_mean_of_all_batches(earlier):
    norm = BatchNorm(2, momentum=0.01)
    norm.num_batches_tracked.fill_(earlier)
    norm.running_mean.fill_(7.0)
    warm_up = StatisticsWarmUp(nn.Sequential(norm))
    batches = torch.randn(4, 3, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.full((2,), 7.0)
    for number, batch in enumerate(batches, start=earlier + 1):
        warm_up.before_batch()
        norm(batch)
        expected.lerp_(batch.mean((0, 2, 3)), max(0.01, 1 / number))
    torch.testing.assert_close(norm.running_mean, expected)
    if not earlier:
        torch.testing.assert_close(norm.running_mean, batches.mean((0, 1, 3, 4)))


def test_no_setting_of_training_is_left_unread():
    root = Path(__file__).parents[3] / "segmentation" / "training"
    source = "".join((root / name).read_text() for name in ("task.py", "run.py", "command.py"))
    unread = [name for name in SegmentationTrainingConfig.model_fields if f".{name}" not in source]
    assert unread == []


def test_the_crop_follows_the_images_and_the_budget_the_data(tmp_path):
    options = SegmentationOptions(assignments=("training.start_from=none",), logger="none")
    settings = prepare_run(options, DataFolder(tmp_path), device="cpu").config.training
    assert (settings.crop_size, settings.minutes) == ((96, 96), 3.0)
    assert settings.validate_seconds == 60


@pytest.mark.parametrize(
    ("sizes", "device", "scale", "crop"),
    [
        ([(360, 480), (350, 470)], "cpu", 256 / 480, (192, 256)),
        ([(360, 480), (350, 470)], "cuda", 1.0, (368, 480)),
        ([(480, 360), (360, 480)], "cpu", 256 / 480, (256, 256)),
        ([(1024, 2048)], "cpu", 0.25, (256, 256)),
        ([(20, 1000)], "cpu", 0.256, (16, 256)),
        ([(100, 90)], "cpu", 1.0, (112, 96)),
    ],
)
def test_scale_and_crop_follow_images_and_device(tmp_path, sizes, device, scale, crop):
    masks = {f"train/{number}.png": stripes([0, 1], *size) for number, size in enumerate(sizes)}
    root = write_custom(tmp_path / "set", {**masks, "val/v.png": stripes([0, 1])}, "a\nb")
    report = quick_check([CustomDataset(root, "train")]).splits[0]
    config = fit_to_images(SegmentationConfig(), report, device)
    assert config.data.image_scale == pytest.approx(scale)
    assert config.training.crop_size == crop
    kept = SegmentationConfig.model_validate({"data": {"image_scale": 0.7}, "training": {"crop_size": 33}})
    assert fit_to_images(kept, report, device) == kept


def test_validations_are_spread_over_the_budget():
    config = SegmentationConfig(data={"dataset": "set"})
    assert fit_to_budget(config).training.minutes == 30
    assert fit_to_budget(config).training.validate_seconds == 60
    hours = SegmentationConfig.model_validate({"training": {"minutes": 120}})
    assert fit_to_budget(hours).training.validate_seconds == 240
    steps = fit_to_budget(SegmentationConfig.model_validate({"training": {"max_steps": 5}})).training
    assert (steps.minutes, steps.max_steps, steps.validate_seconds) == (None, 5, 60)


def test_overlays_show_image_mask_and_prediction_side_by_side(tmp_path):
    task = prepared(tmp_path).task
    task.model.eval()
    made = pictures(task, task.model)
    assert [picture.shape for picture in made] == [(96, 3 * 96, 3)] * 3
    assert np.array_equal(made[0][:, :96], task.validation.image(6))
    assert not np.array_equal(made[0][:, 96:192], made[0][:, :96])


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bfloat16_on_a_gpu_that_multiplies_it(monkeypatch, native):
    monkeypatch.setattr(segmentation.training.task, "bfloat16_is_faster", lambda _device: native)
    assert fit_precision("auto", "cuda") == ("bf16-mixed" if native else "32-true")
    assert fit_precision("auto", "cpu") == "32-true"
    assert fit_precision("bfloat16", "cpu") == "bf16-mixed"
    assert fit_precision("float32", "cuda") == "32-true"


def test_bfloat16_trains(wavegen, tmp_path):
    code, out, err = wavegen(
        "seg-train", "--max-steps", 2, *TINY_DEEPLAB, "--set=training.precision=bfloat16", "--logger=none"
    )
    assert code == 0, err
    assert "in bfloat16" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no data set 'nowhere'"),
        (["--set", "model.num_classes=7"], "model.num_classes = 7, but shapes has 4 classes"),
        (["--resume", "none"], "no segmentation run 'none' to resume"),
        (["--logger", "paper"], "--logger takes tensorboard, wandb, none, not 'paper'"),
        (["--preset", "vgg"], "no preset is called 'vgg'"),
        (["--coco-classes", "all", "."], "holds nothing, which is no data set"),
        (["--set", "training.start_from=nothing"], "no trained DeepLab is called 'nothing'"),
        (
            ["--set", "training.start_from=none", "--set", "model.norm=frozen"],
            "but the model starts from random weights; or take --set model.norm=batch",
        ),
    ],
)
def test_a_bad_option_is_one_line(wavegen, arguments, message):
    code, _, err = wavegen("seg-train", "--max-steps", 1, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_run_is_not_overwritten_and_resume_takes_nothing_twice(wavegen):
    assert wavegen("seg-train", "--max-steps", 1, *TINY_DEEPLAB, "--name=one", "--logger=none")[0] == 0
    code, _, err = wavegen("seg-train", "--max-steps", 1, *TINY_DEEPLAB, "--name=one")
    assert (code, "resume it with --resume one" in err) == (2, True)
    code, _, err = wavegen("seg-train", "shapes", "--resume=one")
    assert (code, "leave out the data set" in err) == (2, True)
    code, _, err = wavegen("seg-train", "--resume=one", "--set=model.output_stride=8")
    assert (code, "keeps the model as it is" in err) == (2, True)
    code, out, _ = wavegen("seg-train", "--resume=one", "--logger=none")
    assert (code, "nothing is left to train of 1 step; --minutes and --max-steps count from" in out) == (0, True)
    assert wavegen("seg-train", "--resume=one", "--max-steps=2", "--logger=none")[0] == 0
    assert wavegen("export", "one")[0] == 0
    code, _, err = wavegen("seg-train", "--resume=data/pretrained/deeplab_v3plus_one.pth")
    assert (code, "exported without its training state" in err) == (2, True)


def test_broken_masks_are_reported_before_the_training(wavegen, tmp_path):
    write_custom(tmp_path / "set", {"train/a.png": stripes([0, 9]), "val/b.png": stripes([0, 1])}, "a\nb")
    code, _, err = wavegen("seg-train", "set", *TINY_DEEPLAB)
    assert code == 2
    assert "a.png" in err
    assert not (tmp_path / "data").exists()


def test_a_run_resumes_from_any_current_folder_and_its_exported_file_names_none(wavegen, tmp_path, monkeypatch):
    write_custom(tmp_path / "set", {"train/a.png": stripes([0, 1]), "val/b.png": stripes([0, 1])}, "a\nb")
    assert wavegen("seg-train", "set", "--max-steps=1", *TINY_DEEPLAB, "--logger=none")[0] == 0
    data = tmp_path / "data"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = wavegen("seg-train", "--resume=set", "--max-steps=2", "--logger=none", "--data-dir", data)
    assert code == 0, err
    assert wavegen("export", "set", "--data-dir", data)[0] == 0
    exported = (data / "pretrained" / "deeplab_v3plus_set.pth").read_bytes()
    assert str(tmp_path).encode() not in exported


def test_the_header_is_in_plain_words(wavegen, monkeypatch):
    def no_batches(*_):
        raise UserError("no batches")

    monkeypatch.setattr(SegmentationTask, "training_batches", no_batches)
    said = wavegen("seg-train", "--minutes", 1, "--set=data.image_scale=0.5", *TINY_DEEPLAB, "--logger=none").out
    assert " parameters, on cpu in float32\n" in said
    assert "\neach step takes 2 crops of 32 x 32 pixels from images scaled to 50% of their size\n" in said
    assert "\ntrains for 1 minute; Ctrl-C stops early and keeps the model\n" in said


def test_skipped_and_repaired_files_are_named_before_training(wavegen, tmp_path):
    root = write_custom(tmp_path / "set", {"train/a.png": stripes([0, 1]), "val/b.png": stripes([0, 1])}, "a\nb")
    for name in ("lonely", "lost"):
        save(root / "images" / "train" / f"{name}.png", picture())
    save(root / "masks" / "val" / "b.png", stripes([0, 1], 6, 8))
    code, out, err = wavegen("seg-train", "set", "--max-steps=1", *TINY_DEEPLAB, "--logger=none")
    assert code == 0, err
    for part in (
        "train: 2 files are skipped, such as lonely.png: image without a mask",
        "val: 1 file is repaired or odd, b.png: the mask has another size than its image and is scaled to it",
        "wavegen seg-check set",
    ):
        assert part in " ".join(out.split())


@pytest.mark.slow
def test_two_processes_train_and_the_score_is_that_of_the_checkpoint(wavegen, tmp_path):
    code, out, err = wavegen(
        "seg-train", "--max-steps", 3, *TINY_DEEPLAB, "--set=training.processes=2", "--name=both", "--logger=none"
    )
    assert code == 0, err
    assert "4 crops of 32 x 32" in out
    options = SegmentationOptions(resume="both", max_steps=4, logger="none")
    run = prepare_run(options, DataFolder(tmp_path / "data"), device="cpu")
    assert run.plan.processes == 2
    segmenter = load_segmenter(find_segmenter("both", DataFolder(tmp_path / "data")))
    score = score_of(run.task, segmenter.model, run.task.validation_batches())
    assert score == pytest.approx(segmenter.content["history"][-1]["validation"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_shapes_are_learnt(wavegen, tmp_path, precision):
    """With no argument but a budget of half a minute; guessing background everywhere scores 0.22."""
    options = ["--set=training.start_from=none", f"--set=training.precision={precision}"]
    code, _, err = wavegen("seg-train", "--max-steps=120", "--name=learned", *options)
    assert code == 0, err
    history = (tmp_path / "data" / "checkpoints" / "segmentation" / "learned" / "metrics.csv").read_text()
    assert max(float(row["validation"]) for row in csv.DictReader(history.splitlines())) > 0.4, history
