"""Ranks that step together agree, learn what one process learns, and all end."""

import functools
import itertools
import math
import multiprocessing
import signal
import time

import pytest
import torch
from line_task import Line, plan, stop_at, weights
from rank_work import exchange, fail, fail_late, vanish
from torch import nn

from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.loop import fit
from wavenet_app.core.loop.plan import FitStatus, Watcher
from wavenet_app.core.loop.process_group import explained, process_group
from wavenet_app.core.loop.scoring import score_of


def test_all_ranks_get_the_mean_the_sum_and_the_values_of_rank_0(tmp_path):
    threads = torch.get_num_threads()
    with process_group(3, functools.partial(exchange, tmp_path)) as group:
        exchange(tmp_path, group)
    mean = (0 * 1 + 10 * 2 + 20 * 3) / 6
    expected = repr(
        (
            torch.tensor(mean).item(),
            [[torch.tensor(80 / 6).item()], [torch.tensor(83 / 6).item()]],
            [100.0, 0.5],
            [3.0, 3.0],
        )
    )
    assert [(tmp_path / str(rank)).read_text() for rank in range(3)] == [expected] * 3
    assert torch.get_num_threads() == threads
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("run", "reason"), [(fail, "no such clip on 1"), (vanish, "exit code -9")])
def test_a_rank_that_fails_is_an_error_with_its_reason(run, reason):
    with pytest.raises(UserError, match=reason), process_group(2, run) as group:
        group.sum([1.0])


def test_rank_0_waits_for_the_reason_of_a_closed_connection(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=fail_late, args=(tmp_path,))
    process.start()
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    error = explained(RuntimeError("connection closed by peer"), [process], tmp_path)
    assert "no such clip" in str(error)


def test_an_error_of_rank_0_ends_the_other_ranks(tmp_path):
    before = time.monotonic()
    with pytest.raises(KeyError), process_group(2, functools.partial(exchange, tmp_path)):
        raise KeyError
    assert time.monotonic() - before < 30


class Parts(Line):
    """The batch of `Line`, divided among the ranks of a group."""

    def training_batches(self, start_step, rank, world_size):
        whole = super().training_batches(start_step, 0, 1)
        whole.batch = functools.partial(self._part, rank, world_size)
        return whole

    @classmethod
    def _part(cls, rank, world_size, number):
        inputs, outputs = cls._batch(number)
        own = slice(0, 3) if rank == 0 else slice(3, None)  # parts that are not equal
        return (inputs, outputs) if world_size == 1 else (inputs[own], outputs[own])


def test_two_ranks_learn_what_one_learns_from_the_batch_of_both(tmp_path):
    alone = fit(Parts(), plan(tmp_path / "alone", validate_seconds=60), watcher=Watcher())
    both = fit(Parts(), plan(tmp_path / "both", validate_seconds=60, processes=2), watcher=Watcher())
    assert both.step == alone.step
    assert both.history[-1]["validation"] == pytest.approx(alone.history[-1]["validation"], rel=1e-4)
    for one, other in zip(
        itertools.chain(*weights(tmp_path / "alone" / "last.pth")),
        itertools.chain(*weights(tmp_path / "both" / "last.pth")),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


class RuinedOnRankOne(Parts):
    """Only rank 1 has a loss that is no number."""

    @classmethod
    def _part(cls, rank, world_size, number):
        inputs, outputs = super()._part(rank, world_size, number)
        return inputs * (math.nan if rank == 1 and number >= 20 else 1.0), outputs


def test_divergence_on_another_rank_is_said_in_the_same_words(tmp_path):
    with pytest.raises(UserError, match=r"^the training diverged: .* at step [23]\d, at a learning rate of"):
        fit(
            RuinedOnRankOne(),
            plan(tmp_path, validate_seconds=60, checkpoint_seconds=60, processes=2),
            watcher=Watcher(),
        )
    assert not list(tmp_path.glob("*.pth"))


class Normed(Line):
    """A line behind batch norm, whose statistics differ from rank to rank."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.BatchNorm1d(1), self.model)


def test_the_score_is_that_of_the_checkpoint_of_rank_0(tmp_path):
    both = fit(Normed(), plan(tmp_path, max_steps=5, validate_seconds=60, processes=2), watcher=Watcher())
    task = Normed()
    content = read_checkpoint(tmp_path / "last.pth", "line")
    task.model.load_state_dict(content["weights"])
    assert score_of(task, task.model.eval(), task.validation_batches()) == pytest.approx(
        both.history[-1]["validation"], rel=1e-6
    )


class OneBatch(Line):
    """Has a single batch to validate on, so rank 1 gets none."""

    def validation_batches(self):
        return list(super().validation_batches())[:1]


def test_a_rank_without_a_validation_batch_adds_nothing(tmp_path):
    alone = fit(OneBatch(), plan(tmp_path / "alone", max_steps=1), watcher=Watcher())
    both = fit(OneBatch(), plan(tmp_path / "both", max_steps=1, processes=2), watcher=Watcher())
    assert both.history[-1]["validation"] == pytest.approx(alone.history[-1]["validation"], rel=0.2)


@pytest.mark.slow
def test_two_ranks_stop_at_a_signal_and_resume_to_the_same_bits(tmp_path):
    fit(Line(), plan(tmp_path / "through", processes=2), watcher=Watcher())
    halted = fit(Line(), plan(tmp_path / "halted", processes=2), watcher=stop_at(23, signal.SIGINT))
    assert (halted.step, halted.interrupted) == (23, "Ctrl-C")
    resume = read_checkpoint(tmp_path / "halted" / "last.pth", "line")
    fit(Line(), plan(tmp_path / "halted", processes=2), watcher=Watcher(), resume=resume)
    for one, other in zip(
        itertools.chain(*weights(tmp_path / "through" / "last.pth")),
        itertools.chain(*weights(tmp_path / "halted" / "last.pth")),
        strict=True,
    ):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_the_clock_of_rank_0_ends_all_ranks(tmp_path):
    seen: list[FitStatus] = []
    status = fit(
        Line(), plan(tmp_path, max_steps=None, minutes=0.5 / 60, processes=2), watcher=Watcher(on_step=seen.append)
    )
    assert status.seconds >= 0.5
    assert status.progress == 1
    assert read_checkpoint(tmp_path / "last.pth", "line")["training"]["step"] == status.step
