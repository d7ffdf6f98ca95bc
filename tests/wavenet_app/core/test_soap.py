"""The stacked SOAP is the paper's algorithm, matrix by matrix; without a basis it is Adam."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wavenet_app.core.soap import Soap, matrix_shape

BETA1, BETA2, EPS, GRAM_DECAY = 0.9, 0.99, 1e-8, 0.95
SHAPES = [(5, 3), (3, 5), (5, 3), (1, 4), (4, 1), (7,), (), (2, 3, 2), (3, 2, 1), (11, 2), (1, 1)]


class PaperSoap:
    """Algorithm 3 of Vyas et al. 2024 for one matrix, except that a gradient is in the means before it is turned.

    The running mean of the gradient stays in its own basis.

    The first bases are given: where eigenvalues are equal, as those of the null space of one gradient, any will do.
    """

    def __init__(self, rows: int, columns: int, turn_every: int, greatest_side: int) -> None:
        self.turn_every, self.steps = turn_every, 0
        longest = min(greatest_side, 2 * rows, 2 * columns)
        self.turned = [1 not in (rows, columns) and side <= longest for side in (rows, columns)]
        self.grams = [torch.zeros(side, side, dtype=torch.float64) for side in (rows, columns)]
        self.bases = [torch.eye(side, dtype=torch.float64) for side in (rows, columns)]
        self.mean = torch.zeros(rows, columns, dtype=torch.float64)
        self.square = torch.zeros(rows, columns, dtype=torch.float64)

    def change(self, gradient: Tensor, first_bases: dict[int, Tensor]) -> Tensor:
        """Returns the direction of a step, to be multiplied with the learning rate."""
        for side, product in enumerate((gradient @ gradient.T, gradient.T @ gradient)):
            self.grams[side] = GRAM_DECAY * self.grams[side] + (1 - GRAM_DECAY) * product
            if self.turned[side] and self.steps == 0:
                self.bases[side] = first_bases[side]
            elif self.turned[side] and self.steps % self.turn_every == 0:
                self.refine(side)
        self.steps += 1
        left, right = self.bases
        self.mean = BETA1 * self.mean + (1 - BETA1) * gradient
        turned = left.T @ gradient @ right
        self.square = BETA2 * self.square + (1 - BETA2) * turned**2
        mean = (left.T @ self.mean @ right) / (1 - BETA1**self.steps)
        return left @ (mean / ((self.square / (1 - BETA2**self.steps)).sqrt() + EPS)) @ right.T

    def refine(self, side: int) -> None:
        gram, basis = self.grams[side], self.bases[side]
        order = torch.tensor([column @ gram @ column for column in basis.T]).argsort(descending=True)
        self.square = self.square[order] if side == 0 else self.square[:, order]
        self.bases[side] = torch.linalg.qr(gram @ basis[:, order])[0]


def weights(shapes: list[tuple[int, ...]], seed: int = 0) -> list[torch.nn.Parameter]:
    random = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=random, dtype=torch.float64)) for shape in shapes]


def give_gradients(parameters: list[torch.nn.Parameter], random: torch.Generator) -> None:
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=random, dtype=torch.float64)


def soap(parameters, turn_every: int = 3, greatest_side: int = 8, rate: float = 0.1) -> Soap:
    return Soap(parameters, rate, (BETA1, BETA2), EPS, GRAM_DECAY, turn_every, greatest_side)


@pytest.mark.parametrize("turn_every", [1, 3, 100])
@pytest.mark.parametrize("greatest_side", [0, 3, 100])
def test_stacks_take_the_steps_of_the_paper(turn_every, greatest_side):
    own, expected = weights(SHAPES), weights(SHAPES)
    references = [PaperSoap(*matrix_shape(one.shape), turn_every, greatest_side) for one in expected]
    optimizer, random = soap(own, turn_every, greatest_side), torch.Generator().manual_seed(1)
    for step in range(13):
        give_gradients(own, random)
        rate = optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
        optimizer.step()
        for parameter, mine, reference in zip(expected, own, references, strict=True):
            rows, columns = matrix_shape(parameter.shape)
            bases = {
                side: optimizer.state[mine][name].clone()
                for side, name in enumerate(("left_basis", "right_basis"))
                if name in optimizer.state[mine]
            }
            assert [side in bases for side in (0, 1)] == reference.turned
            change = reference.change(mine.grad.reshape(rows, columns), bases)
            parameter.data -= rate * change.reshape(parameter.shape)
            # the null space of the first gradient is noise that only eps keeps small
            torch.testing.assert_close(mine, parameter, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 6)])
def test_the_first_bases_are_the_eigenvectors_of_the_first_products(shape):
    (weight,) = weights([shape])
    optimizer = soap([weight])
    give_gradients([weight], torch.Generator().manual_seed(5))
    optimizer.step()
    state = optimizer.state[weight]
    for side, product in (("left", weight.grad @ weight.grad.T), ("right", weight.grad.T @ weight.grad)):
        basis = state[f"{side}_basis"]
        torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis), dtype=torch.float64))
        sizes = basis.T @ product @ basis
        torch.testing.assert_close(sizes, torch.diag(sizes.diagonal()))
        assert (sizes.diagonal().diff() < 1e-9).all()
        torch.testing.assert_close(state[f"{side}_gram"], (1 - GRAM_DECAY) * product)


def test_a_basis_begins_with_the_first_gradient_that_is_not_zero():
    """The last layer of a WaveNet begins at zero, so all others have no gradient in the first step."""
    zero_first, fresh, other = weights([(3, 3), (3, 3), (3, 3)])
    fresh.data.copy_(zero_first.data)
    together, alone = soap([zero_first, other], turn_every=2), soap([fresh], turn_every=2)
    random = torch.Generator().manual_seed(6)
    for step in range(5):
        give_gradients([zero_first, other], random)
        if step < 3:
            zero_first.grad.zero_()
        together.step()
    assert torch.equal(together.state[other]["step"], together.state[zero_first]["step"])
    random = torch.Generator().manual_seed(6)
    for step in range(5):
        give_gradients([fresh, other], random)
        if step == 3:
            first = fresh.grad.clone()
            alone.step()
    for side, product in (("left", first @ first.T), ("right", first.T @ first)):
        begun = alone.state[fresh][f"{side}_basis"]
        torch.testing.assert_close(begun.T @ product @ begun, torch.diag((begun.T @ product @ begun).diagonal()))
        kept = together.state[zero_first][f"{side}_basis"]
        torch.testing.assert_close(kept.T @ kept, torch.eye(3, dtype=torch.float64))
        assert (kept.abs().amax(0) < 0.9999).any(), "turned at once, not at the next change of the bases"


def test_copies_and_pickles_step_on():
    (weight,) = weights([(4, 3)])
    optimizer, random = soap([weight]), torch.Generator().manual_seed(7)
    give_gradients([weight], random)
    optimizer.step()
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):  # noqa: S301
        (copied,) = other.param_groups[0]["params"]
        copied.grad = torch.ones(4, 3, dtype=torch.float64)
        before = copied.detach().clone()
        other.step()
        assert not torch.equal(copied, before)


def test_a_state_replaces_that_of_an_optimizer_that_has_stepped():
    first, second = weights([(4, 3), (4, 3)])
    one, other, random = soap([first]), soap([second]), torch.Generator().manual_seed(8)
    for optimizer, weight in ((one, first), (other, second), (other, second)):
        give_gradients([weight], random)
        optimizer.step()
    second.data.copy_(first.data)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    give_gradients([first], random)
    second.grad = first.grad
    one.step()
    other.step()
    assert torch.equal(first, second)


def test_a_closure_gives_the_loss_and_the_gradients():
    (weight,) = weights([(2, 2)])

    def closure() -> Tensor:
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert float(soap([weight]).step(closure).detach()) > 0
    assert weight.grad is not None


def test_a_weight_that_lost_its_gradient_keeps_a_state_of_its_own():
    both = weights([(4, 3), (4, 3)])
    optimizer, random = soap(both), torch.Generator().manual_seed(9)
    give_gradients(both, random)
    optimizer.step()
    both[1].grad = None
    before = {name: value.clone() for name, value in optimizer.state[both[1]].items()}
    weight = both[1].detach().clone()
    optimizer.step()
    assert torch.equal(both[1], weight)
    for name, value in optimizer.state[both[1]].items():
        assert torch.equal(value, before[name])
        assert value.untyped_storage().nbytes() == value.numel() * value.element_size()


def test_float32_weights_have_orthogonal_bases():
    random = torch.Generator().manual_seed(10)
    weight = torch.nn.Parameter(torch.randn(24, 20, generator=random))
    optimizer = Soap([weight], lr=0.01)
    for _ in range(25):
        weight.grad = 1e-3 * torch.randn(24, 20, generator=random)
        optimizer.step()
    for side in ("left", "right"):
        basis = optimizer.state[weight][f"{side}_basis"]
        torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis)), rtol=0, atol=1e-5)


def test_without_bases_it_is_adam():
    own, expected = weights(SHAPES), weights(SHAPES)
    optimizer, adam = soap(own, greatest_side=0), torch.optim.Adam(expected, lr=0.1, betas=(BETA1, BETA2), eps=EPS)
    random = torch.Generator().manual_seed(1)
    for _ in range(5):
        give_gradients(own, random)
        for mine, other in zip(own, expected, strict=True):
            other.grad = mine.grad
        optimizer.step()
        adam.step()
    for mine, other in zip(own, expected, strict=True):
        torch.testing.assert_close(mine, other)


@given(st.integers(2, 7), st.integers(0, 2**20))
@settings(deadline=None, max_examples=30)
def test_a_turned_problem_has_turned_steps(side, seed):
    """Adam depends on the basis that weights are written in, SOAP does not."""
    random = torch.Generator().manual_seed(seed)
    left, right = (torch.linalg.qr(torch.randn(side, side, generator=random, dtype=torch.float64))[0] for _ in range(2))
    plain, turned = (torch.nn.Parameter(torch.zeros(side, side, dtype=torch.float64)) for _ in range(2))
    optimizers = [soap([plain], turn_every=2), soap([turned], turn_every=2)]
    for step in range(12):
        gradient = torch.randn(side, side, generator=random, dtype=torch.float64)
        if step == 0:  # eigenvalues that lie apart: the basis of equal ones is arbitrary
            gradient = 9 * torch.diag(torch.arange(1.0, side + 1, dtype=torch.float64)) + gradient
        plain.grad, turned.grad = gradient, left @ gradient @ right.T
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(turned.detach(), left @ plain.detach() @ right.T, rtol=1e-5, atol=1e-6)


def test_a_resumed_optimizer_takes_the_same_steps_to_the_bit():
    through, random = weights(SHAPES), torch.Generator().manual_seed(2)
    first = soap(through)
    for _ in range(7):
        give_gradients(through, random)
        first.step()
    later = [torch.nn.Parameter(one.detach().clone()) for one in through]
    second = soap(later, rate=0.5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(7):
        give_gradients(through, random)
        for one, other in zip(through, later, strict=True):
            other.grad = one.grad
        first.step()
        second.step()
    for one, other in zip(through, later, strict=True):
        assert torch.equal(one, other)
    state, expected = second.state[later[0]], first.state[through[0]]
    assert {name: tuple(value.shape) for name, value in state.items()} == second.state_shapes(later[0])
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


def test_a_weight_without_a_gradient_stays_and_may_join_later():
    shapes, random = [(4, 3), (4, 3)], torch.Generator().manual_seed(3)
    both, alone = weights(shapes), weights(shapes)
    optimizer, of_first, of_second = soap(both), soap(alone[:1]), soap(alone[1:])
    before = both[1].detach().clone()
    for step in range(9):
        give_gradients(alone, random)
        for mine, other in zip(both, alone, strict=True):
            mine.grad = other.grad
        of_first.step()
        if step < 4:
            both[1].grad = None
        else:
            of_second.step()
        optimizer.step()
        if step < 4:
            assert torch.equal(both[1], before)
    for mine, other in zip(both, alone, strict=True):
        torch.testing.assert_close(mine, other)


def test_groups_have_rates_of_their_own():
    first, second = weights([(3, 3), (3, 3)])
    second.data.copy_(first.data)
    start = first.detach().clone()
    optimizer = Soap([{"params": [first]}, {"params": [second], "lr": 0.02}], lr=0.01)
    first.grad = second.grad = torch.ones(3, 3, dtype=torch.float64)
    optimizer.step()
    torch.testing.assert_close(second - start, 2 * (first - start))


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200, 0.0])
def test_gradients_that_are_no_use_do_not_stop_the_program(value):
    (weight,) = weights([(3, 2)])
    optimizer = soap([weight], turn_every=2)
    for one in (0.0, value, value, value):  # the bases begin in a step that turns none
        weight.grad = torch.full((3, 2), one, dtype=torch.float64)
        optimizer.step()
    assert bool(weight.isfinite().all()) == (value == 0.0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("lr", -1.0),
        ("lr", math.nan),
        ("eps", -1e-9),
        ("betas", (1.0, 0.9)),
        ("betas", (0.9, -0.1)),
        ("gram_decay", 1.0),
        ("turn_every", 0),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        Soap(weights([(2, 2)]), **{"lr": 0.1, setting: value})
