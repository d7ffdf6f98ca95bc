"""The loop learns, writes its checkpoints, stops at a signal and resumes to the bit."""

import csv
import errno
import itertools
import math
import os
import signal
from pathlib import Path

import pytest
import torch
from line_task import Line, plan, stop_at, weights
from torch.utils._python_dispatch import TorchDispatchMode

from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.loop import fit
from wavenet_app.core.loop.plan import FitStatus, Watcher
from wavenet_app.core.runs import Resumed, read_resumed


def test_it_learns_and_leaves_checkpoints_and_metrics(tmp_path):
    status = fit(Line(), plan(tmp_path, max_steps=300), watcher=Watcher())
    assert (status.step, status.interrupted) == (300, None)
    assert status.loss < 0.1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.pth",
        "last.previous.pth",
        "last.pth",
        "metrics.csv",
    ]
    content = read_checkpoint(tmp_path / "last.pth", "line")
    assert content["config"] == {"slope": 3}
    assert content["training"]["step"] == 300
    with (tmp_path / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["validation"]) for row in rows] == [row["validation"] for row in status.history]
    assert min(float(row["validation"]) for row in rows) == status.best


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_cleanly_and_resuming_gives_the_same_bits(tmp_path, number):
    before = signal.getsignal(number)
    fit(Line(), plan(tmp_path / "through"), watcher=Watcher())
    halted = fit(Line(), plan(tmp_path / "halted"), watcher=stop_at(23, number))
    assert (halted.step, halted.interrupted) == (23, "Ctrl-C" if number == signal.SIGINT else number.name)
    assert signal.getsignal(number) == before
    resume = read_checkpoint(tmp_path / "halted" / "last.pth", "line")
    assert resume["training"]["step"] == 23
    resumed = fit(Line(), plan(tmp_path / "halted"), watcher=Watcher(), resume=resume)
    assert resumed.step == 60
    for one, other in zip(
        itertools.chain(*weights(tmp_path / "through" / "last.pth")),
        itertools.chain(*weights(tmp_path / "halted" / "last.pth")),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_history_continues_over_a_resume(tmp_path):
    first = fit(Line(), plan(tmp_path, max_steps=40), watcher=Watcher())
    resume = read_checkpoint(tmp_path / "last.pth", "line")
    second = fit(Line(), plan(tmp_path, max_steps=80), watcher=Watcher(), resume=resume)
    assert second.history[: len(first.history)] == first.history
    assert second.seconds > first.seconds


class Noisy(Line):
    """Every other loss is ten times the one before, so that a mean that begins anew shows."""

    def loss(self, batch):
        self.count = getattr(self, "count", 0) + 1
        return super().loss(batch) * 0 + (10.0 if self.count % 2 else 1.0)


def test_the_mean_loss_of_the_first_steps_is_plain_and_goes_on_over_a_resume(tmp_path):
    seen = []
    rare = {"validate_seconds": 60, "checkpoint_seconds": 60}
    watcher = Watcher(on_step=lambda status: seen.append((status.step, status.loss)))
    fit(Noisy(), plan(tmp_path, max_steps=30, **rare), watcher=watcher)
    assert dict(seen)[10] == pytest.approx(5.5)
    resume = read_checkpoint(tmp_path / "last.pth", "line")
    before = resume["training"]["loss"]
    fit(Noisy(), plan(tmp_path, max_steps=40, **rare), watcher=watcher, resume=resume)
    assert dict(seen)[40] == pytest.approx(before, abs=0.5)


def test_a_spent_budget_trains_no_further(tmp_path):
    fit(Line(), plan(tmp_path, max_steps=5), watcher=Watcher())
    resume = read_checkpoint(tmp_path / "last.pth", "line")
    assert fit(Line(), plan(tmp_path, max_steps=5), watcher=Watcher(), resume=resume).step == 5


def test_the_clock_ends_a_run_and_leads_the_learning_rate(tmp_path):
    rates = []

    def on_step(status: FitStatus) -> None:
        rates.append(status.progress)

    status = fit(Line(), plan(tmp_path, max_steps=None, minutes=0.5 / 60), watcher=Watcher(on_step=on_step))
    assert 0.5 <= status.seconds < 5
    assert rates == sorted(rates)
    assert rates[-1] == 1


class Ruined(Line):
    """Its gradient at a step is infinite, while its loss is still a number."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.steps = at, 0

    def loss(self, batch):
        self.steps += 1
        if self.steps == self.at:
            self.model.weight.register_hook(lambda gradient: gradient * math.inf)
        return super().loss(batch)


@pytest.mark.parametrize("validate_seconds", [0.0001, 60.0])
def test_a_step_that_ruins_the_weights_is_never_written(tmp_path, validate_seconds):
    settings = {"max_steps": 40, "validate_seconds": validate_seconds, "checkpoint_seconds": 0.0}
    with pytest.raises(
        UserError, match=r"diverged: .* at step 1\d, at a learning rate of 0\.0\d+; .*last\.pth is from"
    ):
        fit(Ruined(at=13), plan(tmp_path, **settings), watcher=Watcher())
    last = read_checkpoint(tmp_path / "last.pth", "line")
    assert last["training"]["step"] == 12
    assert all(tensor.isfinite().all() for pair in weights(tmp_path / "last.pth") for tensor in pair)


def test_ruined_before_the_first_checkpoint_says_that_there_is_none(tmp_path):
    with pytest.raises(UserError, match="no checkpoint has been written yet"):
        fit(Ruined(at=1), plan(tmp_path, max_steps=40), watcher=Watcher())
    assert not list(tmp_path.glob("*.pth"))


class Exploding(Line):
    """Its loss is a number, but one that nothing comes back from."""

    def loss(self, batch):
        return super().loss(batch) + 1e13


def test_an_enormous_loss_is_divergence(tmp_path):
    with pytest.raises(UserError, match=r"the loss is 1e\+13 at step 1, at a learning rate of 0\.0"):
        fit(Exploding(), plan(tmp_path), watcher=Watcher())
    assert not list(tmp_path.glob("*.pth"))


class Slope(Line):
    """Scored by how steep the line is: the steeper the better, though that is less and less what is learned."""

    higher_is_better = True

    def tally(self, model, batch):
        return torch.stack([model.weight.detach().squeeze(), torch.tensor(1.0)])


def test_where_higher_is_better_the_best_is_the_highest(tmp_path):
    status = fit(Slope(), plan(tmp_path, max_steps=100), watcher=Watcher())
    scores = [row["validation"] for row in status.history]
    assert status.best == max(scores) > 0
    assert read_checkpoint(tmp_path / "best.pth", "line")["training"]["best"] == status.best


def test_averaged_weights_are_the_warmed_up_average_of_the_raw_ones(tmp_path):
    task = Line()
    average = torch.zeros(1, 1)  # the weight that a line starts from

    def on_step(status: FitStatus) -> None:
        kept = min(0.4, (1 + status.step) / (10 + status.step))
        average.mul_(kept).add_((1 - kept) * task.model.weight.detach())

    fit(task, plan(tmp_path, max_steps=10, ema_decay=0.4), watcher=Watcher(on_step=on_step))
    averaged, raw = weights(tmp_path / "last.pth")
    torch.testing.assert_close(averaged[0], average, rtol=1e-5, atol=0)
    assert torch.equal(raw[0], task.model.weight)
    assert average.item() < 0.99 * raw[0].item()


def test_neither_the_seed_nor_the_thread_count_is_touched(tmp_path):
    task = Line()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(task, plan(tmp_path, max_steps=5), watcher=Watcher())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def resumed(path: Path) -> Resumed:
    return read_resumed(str(path), path.parent, "line", called="run", otherwise="")


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path):
    fit(Line(), plan(tmp_path / "through", max_steps=20), watcher=Watcher())
    fit(Line(), plan(tmp_path, max_steps=20, validate_seconds=1e-9), watcher=stop_at(9, signal.SIGTERM))
    last = tmp_path / "last.pth"
    whole = bytearray(last.read_bytes())
    assert resumed(last).notes == []
    previous = read_checkpoint(tmp_path / "last.previous.pth", "line")["training"]["step"]
    whole[whole.index(b"slope")] ^= 1
    last.write_bytes(whole)
    content, notes = resumed(last)
    assert content["training"]["step"] == previous >= 8
    assert len(notes) == 1
    assert "last.pth cannot be read" in notes[0]
    assert "last.previous.pth" in notes[0]
    fit(Line(), plan(tmp_path, max_steps=20), watcher=Watcher(), resume=content)
    for name in ("last.pth", "last.previous.pth"):
        assert all(tensor.isfinite().all() for tensor in weights(tmp_path / name)[0])
    for one, other in zip(weights(tmp_path / "through" / "last.pth")[1], weights(last)[1], strict=True):
        assert torch.equal(one, other)
    last.write_bytes(b"")
    (tmp_path / "last.previous.pth").unlink()
    with pytest.raises(UserError, match=r"last\.pth cannot be read"):
        resumed(last)


def test_the_first_checkpoint_of_a_resumed_run_does_not_replace_the_one_before(tmp_path):
    fit(Line(), plan(tmp_path, max_steps=20, validate_seconds=1e-9), watcher=stop_at(9, signal.SIGTERM))
    content = read_checkpoint(tmp_path / "last.previous.pth", "line")
    before = (tmp_path / "last.previous.pth").read_bytes()
    (tmp_path / "last.pth").write_bytes(b"damaged")

    def look(status: FitStatus, *_):
        assert (tmp_path / "last.previous.pth").read_bytes() == before

    fit(
        Line(),
        plan(tmp_path, max_steps=content["training"]["step"] + 1),
        watcher=Watcher(on_validation=look),
        resume=content,
    )


class Cut(Line):
    """Its batches end with an error, as when the audio cache is deleted."""

    @staticmethod
    def _batch(number):
        if number == 30:
            raise UserError("the decoded audio has been removed")
        return Line._batch(number)


def test_an_error_of_the_data_loses_no_step(tmp_path):
    rare = {"validate_seconds": 60.0, "checkpoint_seconds": 60.0}
    fit(Line(), plan(tmp_path / "through", max_steps=40, **rare), watcher=Watcher())
    with pytest.raises(UserError, match=r"^the decoded audio has been removed$"):
        fit(Cut(), plan(tmp_path / "cut", max_steps=40, **rare), watcher=Watcher())
    content = read_checkpoint(tmp_path / "cut" / "last.pth", "line")
    assert 25 <= content["training"]["step"] <= 30  # batches are fetched ahead
    fit(Line(), plan(tmp_path / "cut", max_steps=40, **rare), watcher=Watcher(), resume=content)
    through, cut = (weights(tmp_path / name / "last.pth")[1] for name in ("through", "cut"))
    for one, other in zip(through, cut, strict=True):
        assert torch.equal(one, other)


def test_a_full_disk_under_the_curves_is_one_line_and_loses_no_step(tmp_path, monkeypatch):
    from lightning.pytorch.loggers import TensorBoardLogger

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TensorBoardLogger, "log_metrics", full)
    settings = {"tensorboard_dir": tmp_path / "curves" / "x", "validate_seconds": 1e-9, "checkpoint_seconds": 60.0}
    with pytest.raises(UserError, match=r"stopped at step 1: cannot write .*x: No space left.*--resume run$"):
        fit(Line(), plan(tmp_path / "run", **settings), watcher=Watcher())
    assert read_checkpoint(tmp_path / "run" / "last.pth", "line")["training"]["step"] == 1


def test_a_second_ctrl_c_ends_at_once_as_an_interrupt(tmp_path, monkeypatch):
    monkeypatch.setattr("wavenet_app.core.loop.interrupts.ONE_PRESS", 0.0)

    def again(*_):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(Line(), plan(tmp_path, validate_seconds=60), watcher=Watcher(stop_at(5, signal.SIGINT).on_step, again))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nohup_is_respected(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        status = fit(Line(), plan(tmp_path, max_steps=20), watcher=stop_at(5, signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (status.step, status.interrupted) == (20, None)


class TooLarge(Line):
    """Fills a GPU that is not there in its third step."""

    steps = 0

    def loss(self, batch):
        self.steps += 1
        if self.steps == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 TB")
        return super().loss(batch)


@pytest.mark.parametrize("free", [2_500_000_000, None])
def test_a_full_gpu_is_one_line_that_names_the_batch(tmp_path, monkeypatch, free):
    def asked():
        if free is None:
            raise RuntimeError("CUDA error: out of memory")
        return free, 80_000_000_000

    monkeypatch.setattr(torch.cuda, "mem_get_info", asked)
    with pytest.raises(UserError, match=r"--set training\.batch_size=N") as raised:
        fit(TooLarge(), plan(tmp_path / "run"), watcher=Watcher())
    said = " (2.5 GB of 80.0 are free)" if free else ""
    assert str(raised.value).startswith(
        f"the training stopped at step 2: the GPU has not enough memory for a batch{said}; take a smaller one with"
    )
    assert "\n" not in str(raised.value)


class Reads(TorchDispatchMode):
    """Counts how often the host asks for a number of the device, for which it waits on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


class OnDevice(Line):
    """Its optimizer counts steps where the weights are, as those of both halves do."""

    def optimizer(self):
        return torch.optim.AdamW(self.model.parameters(), lr=self.rate, fused=True)


def test_the_loop_asks_for_one_number_in_ten_steps(tmp_path):
    quiet = {"validate_seconds": 1e6, "checkpoint_seconds": 1e6}
    counts = []
    for steps in (20, 60):
        with Reads() as reads:
            fit(OnDevice(), plan(tmp_path / str(steps), max_steps=steps, **quiet), watcher=Watcher())
        counts.append(reads.count)
    assert counts[1] - counts[0] == (60 - 20) // 10
