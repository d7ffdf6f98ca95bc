"""What a training does on a GPU, as far as it shows without one: copies, waits, graphs, batches and words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from recorded_operations import FakeRecorder

import wavenet_app.core.loop.graphed_training as graphed_training
import wavenet_app.training.command as command
from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.batch_search import Found
from wavenet_app.core.loop.loading import Loader
from wavenet_app.core.loop.loop import fit
from wavenet_app.core.loop.plan import Watcher
from wavenet_app.corpus.baseline import Baseline
from wavenet_app.network.stack import skip_sum
from wavenet_app.training.options import RunOptions
from wavenet_app.training.run import prepare_run
from wavenet_app.training.task import WaveNetTask

SHAPE = (
    "model.residual_channels=4",
    "model.dilation_channels=4",
    "model.skip_channels=8",
    "model.dilations=[1, 2, 4]",
    "training.window=256",
    "training.batch_size=3",
    "training.max_steps=12",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sounds = tmp_path / "sounds"
    for speaker in ("ann", "bob"):
        (sounds / speaker).mkdir(parents=True)
        for number in range(4):
            noise = np.random.default_rng(number).normal(scale=0.1, size=2_900 + 700 * number)
            soundfile.write(sounds / speaker / f"{number}.wav", noise, 8_000)
    return sounds


def run_of(tmp_path: Path, folder: Path, *assignments: str, device: str = "cuda", **options):
    chosen = RunOptions(
        paths=(str(folder),), assignments=(*SHAPE, *assignments), logger="none", start_from="none", **options
    )
    return prepare_run(chosen, DataFolder(tmp_path / "data"), device=device)


def task_of(run, device: str = "cpu") -> WaveNetTask:
    return WaveNetTask(run.config, run.corpus, Baseline(8.0, 7.0, 6.0, 100), device)


def test_batches_for_a_gpu_are_pinned_and_made_by_processes_of_their_own(tmp_path, folder):
    run = run_of(tmp_path, folder)
    for device, pins, workers in (("cuda", True, True), ("cpu", False, False)):
        task = task_of(run, device)
        loader = task.training_batches(0, 0, 1)
        assert (loader.pins, loader.workers > 0) == (pins, workers)
        assert (task.validation_batches().pins, task.validation_batches().workers) == (pins, 0)
    task.config = run_of(tmp_path, folder, "training.workers=3").config
    assert task.training_batches(0, 0, 1).workers == 3


def test_batches_are_the_same_with_processes_of_their_own(tmp_path, folder):
    alone = iter(task_of(run_of(tmp_path, folder, "training.workers=0")).training_batches(2, 0, 1))
    helped = iter(task_of(run_of(tmp_path, folder, "training.workers=2")).training_batches(2, 0, 1))
    for _ in range(5):
        one, other = next(alone), next(helped)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("assignments", "options"),
    [
        ((), {}),
        (("model.head=gaussian",), {}),
        (("model.head=logistics", "training.precision=bfloat16"), {}),
        (("model.prediction={}",), {"speakers": "folder"}),
        (("training.window=1024",), {"condition": "mel"}),
    ],
)
def test_a_step_on_the_device_neither_waits_nor_copies(tmp_path, folder, monkeypatch, assignments, options):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    from training_kernels import DEVICE, counted

    task = task_of(run_of(tmp_path, folder, *assignments, **options))
    batch = {name: tensor.to(DEVICE) for name, tensor in next(iter(task.training_batches(0, 0, 1))).items()}
    task.model.to(DEVICE)

    operations = counted(lambda: task.loss(batch).backward())
    assert not operations.copies
    assert operations.total > 50


def test_a_wait_in_a_step_would_be_found(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    from training_kernels import DEVICE, counted

    with pytest.raises((RuntimeError, NotImplementedError)):
        counted(lambda: torch.zeros(2, device=DEVICE).sum().item())
    assert counted(lambda: torch.zeros(2).to(DEVICE)).copies["_to_copy"] == 1


def test_only_a_gpu_of_one_process_gets_graphs(tmp_path, folder):
    assert run_of(tmp_path, folder).plan.cuda_graphs
    assert not run_of(tmp_path, folder, "training.cuda_graphs=off").plan.cuda_graphs
    assert not run_of(tmp_path, folder, device="cpu").plan.cuda_graphs


@pytest.mark.parametrize("options", [{}, {"condition": "mel", "speakers": "folder"}])
def test_a_net_trains_in_graphs_as_it_does_without(tmp_path, folder, monkeypatch, options):
    monkeypatch.setattr(skip_sum, "missing_kernels", lambda *_: "they are for the CPU, not for a GPU")
    notes: list[str] = []
    recorders = [FakeRecorder(), FakeRecorder()]

    def refuse(_work):
        raise RuntimeError("no graph")

    recorders[1].record = refuse
    window = ("training.window=1024",) if options else ()
    run = run_of(tmp_path, folder, "training.max_steps=16", *window, **options)
    results = []
    for number, recorder in enumerate(recorders):
        monkeypatch.setattr(graphed_training, "CudaRecorder", lambda recorder=recorder: recorder)
        plan = replace(run.plan, run_dir=tmp_path / str(number), accelerator="cpu", validate_seconds=1e6)
        fit(task_of(run), plan, watcher=Watcher(on_note=notes.append))
        results.append(read_checkpoint(plan.run_dir / "last.pth", "wavenet"))
    assert recorders[0].replays > 4
    assert notes == ["the training continues without CUDA graphs, which is slower: no graph"]
    one, other = (result["training"] for result in results)
    assert one["loss"] == other["loss"]
    assert all(torch.equal(value, other["weights"][name]) for name, value in one["weights"].items())


def test_a_full_gpu_is_told_in_windows(tmp_path, folder):
    size = task_of(run_of(tmp_path, folder)).batch_size()
    assert size.text == "3 windows of 256 samples after 9 of context"
    assert size.smaller == "--set training.batch_size=1"
    one = task_of(run_of(tmp_path, folder, "training.batch_size=1")).batch_size()
    assert one.smaller == "--set training.window=128"
    assert size.available > 20


def test_the_batch_that_fits_becomes_a_setting_of_the_run(tmp_path, folder, monkeypatch):
    from rich.console import Console

    monkeypatch.setattr(command, "training_device", lambda: "cpu")
    monkeypatch.setattr(command, "fitting_batch", lambda *_: Found(5, 5, (1, 2, 4, 8, 6, 5)))
    options = RunOptions(
        paths=(str(folder),),
        assignments=(*SHAPE, "training.max_steps=1", "training.fit_batch=true", "training.processes=1"),
        logger="none",
        start_from="none",
        name="fitted",
    )
    console = Console(record=True, width=200)
    command.run_training(options, DataFolder(tmp_path / "data"), console=console, preview=None, judge=None)
    said = console.export_text()
    assert "note: training.batch_size=5: 5 was the most that fitted (tried 1, 2, 4, 8, 6, 5)" in said
    content = read_checkpoint(tmp_path / "data" / "checkpoints" / "fitted" / "last.pth", "wavenet")
    assert content["config"]["training"]["batch_size"] == 5
    assert content["config"]["training"]["fit_batch"] is False


def test_a_cpu_has_no_batch_that_fits(wavegen, folder):
    sets = [f"--set={one}" for one in (*SHAPE, "training.fit_batch=true")]
    code, _, err = wavegen("train", folder, "--start-from", "none", "--max-steps", 1, *sets)
    assert code == 2
    assert err.strip().startswith("error: training.fit_batch asks what fits a GPU")


def test_kernels_that_do_not_suit_are_refused_by_name(tmp_path, folder):
    asked = "training.layer_kernels=triton"
    wide = ("model.residual_channels=16", "model.dilation_channels=32")
    with pytest.raises(UserError, match=r"layer_kernels=triton: .*NVIDIA GPU, and this training is on cpu; drop that"):
        run_of(tmp_path, folder, asked, *wide, device="cpu")
    with pytest.raises(UserError, match=r"layer_kernels=triton: .*model\.residual_channels is 4; drop that setting"):
        run_of(tmp_path, folder, asked)
    run = run_of(tmp_path, folder, asked, *wide)
    assert task_of(run, "cuda").model.in_triton
    assert not task_of(run, "cpu").model.in_triton
    assert not task_of(run_of(tmp_path, folder), "cuda").model.in_triton


class Lost(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield 1
        raise UserError("the recording a.wav is gone; put it back")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_process_that_makes_batches_is_one_line(workers):
    with pytest.raises(UserError) as error:
        list(Loader(Lost(), workers=workers, pins=False))
    assert str(error.value) == "the recording a.wav is gone; put it back"
