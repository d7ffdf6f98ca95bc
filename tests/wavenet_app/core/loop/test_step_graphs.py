"""Steps in graphs are the steps without them, to the bit; a graph that is not is refused in words."""

from contextlib import contextmanager

import pytest
import torch
from line_task import Line, plan
from recorded_operations import FakeRecorder

import wavenet_app.core.loop.graphed_training as graphed_training
from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.loop import fit
from wavenet_app.core.loop.plan import Watcher


class Graphable(Line):
    """A line with dropout and a buffer, whose batches have two shapes and whose optimizer reads its rate in memory."""

    def __init__(self, least_rows: int = 4) -> None:
        super().__init__()
        self.model = torch.nn.Sequential(
            torch.nn.Linear(1, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.3), torch.nn.Linear(6, 1)
        )
        with torch.no_grad():
            for number, parameter in enumerate(self.model.parameters()):
                parameter.copy_(torch.linspace(-0.5, 0.7, parameter.numel()).view_as(parameter) + 0.1 * number)
        self.least_rows = least_rows
        self.losses: list[float] = []

    def _batch(self, number: int):
        rows = 8 if number % 3 else self.least_rows
        inputs = torch.randn(rows, 1, generator=torch.Generator().manual_seed(number))
        return number, {"inputs": inputs, "targets": 3 * inputs + 1}

    def optimizer(self):
        return torch.optim.AdamW(self.model.parameters(), lr=self.rate, fused=True)

    def randomness(self, batch):
        return seeded(batch[0])

    def loss(self, batch):
        with self.randomness(batch):
            return self.device_loss(batch)

    def device_loss(self, batch):
        return torch.nn.functional.mse_loss(self.model(batch[1]["inputs"]), batch[1]["targets"])

    def tally(self, model, batch):
        return super().tally(model, (batch[1]["inputs"], batch[1]["targets"]))

    def work(self, batch):
        return len(batch[1]["inputs"])

    def weight(self, batch):
        return torch.tensor(self.work(batch))


@contextmanager
def seeded(seed: int):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class Stuck(Graphable):
    """Its loss reads a number of the device in each step, which a graph cannot."""

    def device_loss(self, batch):
        loss = super().device_loss(batch)
        return loss * (1 if loss.item() > 0 else 2)


def trained(task, folder, monkeypatch, recorder, **changes):
    """Returns weights, losses by step, and notes of a run in graphs that `recorder` records."""
    losses, notes = [], []

    class Watched(graphed_training.GraphedTraining):
        def step(self, batch):
            losses.append(super().step(batch).item())
            return torch.tensor(losses[-1])

    monkeypatch.setattr(graphed_training, "CudaRecorder", lambda: recorder)
    monkeypatch.setattr("wavenet_app.core.loop.loop.GraphedTraining", Watched)
    settings = plan(folder, max_steps=24, cuda_graphs=True, validate_seconds=1e6, **changes)
    fit(task, settings, watcher=Watcher(on_note=notes.append))
    return read_checkpoint(folder / "last.pth", "line"), losses, notes


class Refusing(FakeRecorder):
    def record(self, work):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 TB\nmore")


def test_the_loss_curve_and_the_weights_are_those_without_graphs_to_the_bit(tmp_path, monkeypatch):
    recorder, task = FakeRecorder(), Graphable()
    state = torch.get_rng_state()
    with_graphs, losses, notes = trained(task, tmp_path / "graphs", monkeypatch, recorder)
    assert torch.equal(torch.get_rng_state(), state), "the callers' random numbers are left alone"
    assert notes == []
    assert recorder.recorded == 2, "a graph for each shape"
    assert recorder.replays == 2 * 2 + 24 - 2 * 2, "two to check each graph, then all steps after the warm-up"
    without, eager, notes = trained(Graphable(), tmp_path / "eager", monkeypatch, Refusing())
    assert notes == [
        "the training continues without CUDA graphs, which is slower: CUDA out of memory. Tried to allocate 3 TB"
    ]
    assert losses == eager
    for part in ("weights", "training"):
        one, other = with_graphs[part], without[part]
        one, other = (content if part == "weights" else content["weights"] for content in (one, other))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_run_in_graphs_learns_what_the_usual_loop_learns(tmp_path, monkeypatch):
    content, _, _ = trained(Graphable(), tmp_path / "graphs", monkeypatch, FakeRecorder())
    fit(Graphable(), plan(tmp_path / "usual", max_steps=24, validate_seconds=1e6), watcher=Watcher())
    usual = read_checkpoint(tmp_path / "usual" / "last.pth", "line")
    groups = content["training"]["optimizer"]["param_groups"]
    assert type(groups[0]["lr"]) is float
    assert content["training"]["loss"] == pytest.approx(usual["training"]["loss"], rel=1e-3)


def test_a_run_in_graphs_resumes_without_them(tmp_path, monkeypatch):
    content, _, _ = trained(Graphable(), tmp_path / "run", monkeypatch, FakeRecorder())
    longer = plan(tmp_path / "run", max_steps=30)
    assert fit(Graphable(), longer, watcher=Watcher(), resume=content).step == 30


def test_a_graph_that_does_something_else_is_refused(tmp_path, monkeypatch):
    task = Graphable()

    def spoil():
        with torch.no_grad():
            task.model[3].bias.add_(0.3)

    spoilt, losses, notes = trained(task, tmp_path / "spoilt", monkeypatch, FakeRecorder(spoil))
    assert notes == [
        "the training continues without CUDA graphs, which is slower: its first steps differ from those without it"
    ]
    _, eager, _ = trained(Graphable(), tmp_path / "eager", monkeypatch, Refusing())
    assert losses == eager, "what the check did is undone"
    assert spoilt["training"]["step"] == 24


def test_a_step_that_waits_for_the_device_is_refused(tmp_path, monkeypatch):
    _, losses, notes = trained(Stuck(), tmp_path / "stuck", monkeypatch, FakeRecorder())
    assert notes == [
        "the training continues without CUDA graphs, which is slower: "
        "CUDA error: operation not permitted when stream is capturing"
    ]
    assert len(losses) == 24


def test_a_number_that_python_put_into_the_graph_is_found(tmp_path, monkeypatch):
    """A rate that is a number stays what it was at the recording."""

    class Forgetful(graphed_training.GraphedTraining):
        def _whole_step(self, batch):
            rates = [group["lr"] for group in self._optimizer.param_groups]
            for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
                group["lr"] = rate.numpy().item()
            try:
                return super()._whole_step(batch)
            finally:
                for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate

    monkeypatch.setattr(graphed_training, "GraphedTraining", Forgetful)
    _, _, notes = trained(Graphable(), tmp_path / "run", monkeypatch, FakeRecorder())
    assert "differ from those without it" in notes[0]


def test_graphs_need_room_for_no_more_than_a_few_shapes(tmp_path, monkeypatch):
    monkeypatch.setattr("wavenet_app.core.loop.step_graphs.MOST_GRAPHS", 1)
    recorder = FakeRecorder()
    _, losses, notes = trained(Graphable(), tmp_path / "run", monkeypatch, recorder)
    assert (recorder.recorded, len(losses), notes) == (1, 24, [])


def test_a_full_gpu_is_an_error_of_the_run_where_the_step_itself_does_not_fit(tmp_path, monkeypatch):
    class TooLarge(Graphable):
        def device_loss(self, batch):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="not enough memory"):
        trained(TooLarge(), tmp_path / "run", monkeypatch, FakeRecorder())
