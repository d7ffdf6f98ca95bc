"""What a segmentation run does on a GPU, as far as it shows without one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from recorded_operations import FakeRecorder
from tiny_segmentation import TINY_DEEPLAB
from torch.utils._python_dispatch import TorchDispatchMode

import segmentation.training.command as command
import wavenet_app.core.loop.graphed_training as graphed_training
from segmentation.network.aspp import ImagePooling
from segmentation.network.norm import make_norm
from segmentation.training.options import SegmentationOptions
from segmentation.training.run import prepare_run
from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.loop.batch_search import Found
from wavenet_app.core.loop.loop import fit
from wavenet_app.core.loop.plan import Watcher

ASSIGNMENTS = tuple(option.removeprefix("--set=") for option in TINY_DEEPLAB)


def run_of(folder: Path, *assignments: str, device: str = "cpu"):
    chosen = SegmentationOptions(assignments=(*ASSIGNMENTS, "training.workers=0", *assignments), logger="none")
    return prepare_run(chosen, DataFolder(folder), device=device)


def test_batches_for_a_gpu_are_pinned(tmp_path):
    task = run_of(tmp_path).task
    for device in ("cuda", "cpu"):
        task.device = device
        assert task.validation_batches()._batches.pins == (device == "cuda")


def test_only_a_gpu_gets_graphs(tmp_path):
    plans = {device: run_of(tmp_path / device, device=device).plan for device in ("cpu",)}
    assert not plans["cpu"].cuda_graphs


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_deeplab_trains_in_graphs_as_it_does_without(tmp_path, monkeypatch, optimizer):
    """With dropout, and batch norm whose share of each batch falls in the first steps."""
    changes = (f"training.optimizer={optimizer}", "model.dropout=0.5", "model.auxiliary_head=true")
    recorders = [FakeRecorder(), FakeRecorder()]
    notes: list[str] = []

    def refuse(_work):
        raise RuntimeError("no graph")

    recorders[1].record = refuse
    results = []
    for number, recorder in enumerate(recorders):
        monkeypatch.setattr(graphed_training, "CudaRecorder", lambda recorder=recorder: recorder)
        run = run_of(tmp_path / str(number), *changes, "training.max_steps=15")
        fused = lambda task=run.task: _fused(task)  # noqa: E731
        monkeypatch.setattr(run.task, "optimizer", fused)
        plan = replace(run.plan, cuda_graphs=True, validate_seconds=1e6)
        fit(run.task, plan, watcher=Watcher(on_note=notes.append))
        results.append(read_checkpoint(plan.run_dir / "last.pth", "segmentation")["training"])
    assert recorders[0].recorded == 1, "once the share of a batch has stopped to fall"
    assert recorders[0].replays == 2 + 15 - (10 + 1)
    assert notes == ["the training continues without CUDA graphs, which is slower: no graph"]
    one, other = results
    assert one["loss"] == other["loss"]
    assert all(torch.equal(value, other["weights"][name]) for name, value in one["weights"].items())


def _fused(task):
    """Returns the optimizer of a GPU."""
    task.device = "cuda"
    try:
        return type(task).optimizer(task)
    finally:
        task.device = "cpu"


class Convolutions(TorchDispatchMode):
    """Notes in which order convolutions' inputs lie, and of which type they are."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()
        self.last = self.all = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution.default and args[0].shape[2:].numel() > 1:
            self.all += 1
            self.types.add(args[0].dtype)
            self.last += args[0].is_contiguous(memory_format=torch.channels_last)
        return function(*args, **(kwargs or {}))


def test_convolutions_get_channels_last_and_bfloat16_under_autocast(tmp_path):
    task = run_of(tmp_path).task
    batch = next(iter(task.training_batches(0, 0, 1)))
    with Convolutions() as plain:
        task.loss(batch)
    assert plain.all > 5
    assert plain.all - plain.last <= 1, "but for the pyramid's projection, where a CPU keeps the order that it had"
    with Convolutions() as narrow, torch.autocast("cpu", torch.bfloat16):
        task.loss(batch)
    assert narrow.types == {torch.bfloat16}


def test_the_pooled_branch_lies_as_the_others_do_on_a_gpu():
    pooling = ImagePooling(8, 4, make_norm("batch")).to("meta").train()
    features = torch.zeros(2, 8, 3, 2, device="meta").contiguous(memory_format=torch.channels_last)
    assert pooling(features).is_contiguous(memory_format=torch.channels_last)


def test_a_step_on_the_device_neither_waits_nor_copies(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    from training_kernels import DEVICE, counted

    task = run_of(tmp_path, "model.auxiliary_head=true").task
    number, crops = next(iter(task.training_batches(0, 0, 1)))
    task.model.to(DEVICE)
    assert task.class_weights is not None
    task.class_weights = task.class_weights.to(DEVICE)
    batch = number, {name: tensor.to(DEVICE) for name, tensor in crops.items()}
    task._normaliser(batch[1]["image"], batch[1]["inside"])  # which sends its constants once
    operations = counted(lambda: task.device_loss(batch).backward())
    assert not operations.copies
    assert operations.total > 100


def test_a_full_gpu_is_told_in_crops(tmp_path):
    size = run_of(tmp_path).task.batch_size()
    assert (size.text, size.smaller) == ("2 crops of 32 x 32", "--set training.batch_size=1")
    one = run_of(tmp_path, "training.batch_size=1", "training.crop_size=[64, 48]").task.batch_size()
    assert (one.text, one.smaller) == ("1 crop of 64 x 48", "--set training.crop_size=[32,24]")


def test_the_batch_that_fits_becomes_a_setting_of_the_run(tmp_path, monkeypatch):
    from rich.console import Console

    monkeypatch.setattr(command, "training_device", lambda: "cpu")
    monkeypatch.setattr(command, "fitting_batch", lambda *_: Found(3, 3, (1, 2, 4, 3)))
    options = SegmentationOptions(
        assignments=(*ASSIGNMENTS, "training.fit_batch=true", "training.max_steps=1"), logger="none", name="fitted"
    )
    console = Console(record=True, width=200)
    command.run_training(options, DataFolder(tmp_path), console=console)
    assert "note: training.batch_size=3: 3 was the most that fitted (tried 1, 2, 4, 3)" in console.export_text()
    content = read_checkpoint(tmp_path / "checkpoints" / "segmentation" / "fitted" / "last.pth", "segmentation")
    assert content["config"]["training"]["batch_size"] == 3
    assert content["config"]["training"]["fit_batch"] is False
