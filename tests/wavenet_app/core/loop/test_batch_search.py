"""The largest batch that fits is found by trying, in an order that depends on the answers alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from line_task import Line, plan

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop import batch_search
from wavenet_app.core.loop.batch_search import MARGIN, fitting_batch, largest_batch, of_rows


@given(room=st.integers(0, 5_000), largest=st.integers(1, 4_096))
def test_the_search_finds_what_fits_less_a_margin(room, largest):
    asked = []

    def fits(size: int) -> bool:
        asked.append(size)
        return size <= room

    found = largest_batch(fits, largest=largest)
    most = min(room, largest)
    if most == 0:
        assert found is None
        return
    assert found is not None
    assert found.fitted == most
    assert found.size == max(1, most - most // MARGIN)
    assert list(found.tried) == asked
    assert len(asked) == len(set(asked)) <= 26
    assert max(asked) <= largest


class Growing(Line):
    """Has room for 21 rows with an optimizer's state and a second copy of the weights."""

    asked: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.steps = [], 0
        self.model = torch.nn.Sequential(torch.nn.Dropout(0.5), self.model)

    def optimizer(self):
        self.steps = 0
        return super().optimizer()

    def loss(self, batch):
        self.steps += 1
        rows = len(batch[0])
        if self.steps == 1:
            self.asked.append(rows)
        if rows > 21 and self.steps == 2:  # the first step has no state yet, so memory ends in the second
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 TB")
        return super().loss(batch)


def test_steps_are_tried_and_nothing_of_them_stays(tmp_path, monkeypatch):
    task = Growing()
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, _device: module)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, _device: tensor)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    model = task.model
    found = fitting_batch(task, plan(tmp_path), "cuda")
    assert (found.size, found.fitted) == (19, 21)
    assert task.asked == [1, 2, 4, 8, 16, 32, 24, 20, 22, 21]
    assert str(found) == (
        "training.batch_size=19: 21 was the most that fitted (tried 1, 2, 4, 8, 16, 32, 24, 20, 22, 21), "
        "less a margin of 1 in 8"
    )
    assert task.model is model
    assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())
    assert all(parameter.grad is None for parameter in task.model.parameters())


def test_a_gpu_too_small_for_one_row_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_search, "_fits", lambda *_: False)
    with pytest.raises(UserError, match="not enough memory for a batch of one; take a smaller one"):
        fitting_batch(Line(), plan(tmp_path), "cuda")


def test_without_a_gpu_there_is_nothing_to_fit(tmp_path):
    with pytest.raises(UserError, match=r"fit_batch asks what fits a GPU.*on cpu; .*training\.batch_size=N"):
        fitting_batch(Line(), plan(tmp_path), "cpu")


def test_rows_are_repeated_or_left_out():
    batch = (3, [torch.tensor([[1, 2], [3, 4]])])
    assert of_rows(batch, 1)[1][0].tolist() == [[1, 2]]
    assert of_rows(batch, 3)[1][0].tolist() == [[1, 2], [3, 4], [1, 2]]
