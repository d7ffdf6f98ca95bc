"""A training state that does not fit its run is refused in one line, before a step is taken."""

import copy
from pathlib import Path

import pytest
import torch
from content_mutations import mutated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from wavenet_app.core.content import OptimizerState
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.resume import load_optimizer, load_weights
from wavenet_app.core.soap import Soap

OPTIMIZERS = {
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.1),
    "fused": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, fused=True),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "plain": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "soap": lambda parameters: Soap(parameters, lr=0.1, turn_every=2),
}


def stepped(name: str, steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    optimizer = OPTIMIZERS[name](model.parameters())
    for _ in range(steps):
        take_step(model, optimizer)
    return model, optimizer


def take_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 2])
def test_what_an_optimizer_says_is_taken_back(name, steps):
    through, first = stepped(name, steps)
    later, second = stepped(name, 0)
    load_weights(later, through.state_dict())
    load_optimizer(second, copy.deepcopy(first.state_dict()))
    for model, optimizer in ((through, first), (later, second)):
        take_step(model, optimizer)
    for one, other in zip(through.parameters(), later.parameters(), strict=True):
        assert torch.equal(one, other)


@given(st.integers(0, 2**32), st.sampled_from(sorted(OPTIMIZERS)))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_takes_a_step_or_is_refused_in_one_line(seed, name):
    model, optimizer = stepped(name, 0)
    try:
        state = mutated(state_of(name), seed)
        OptimizerState.model_validate(state)
        load_optimizer(optimizer, state)
    except ValidationError:  # which reading a checkpoint refuses
        return
    except UserError as error:
        text = str(error)
    else:
        take_step(model, optimizer)
        return
    assert len(text.splitlines()) == 1
    assert "begin a new run" in text


@pytest.mark.parametrize(
    "odd", [torch.zeros(2, 3, device="meta"), torch.zeros(2, 3).to_sparse()], ids=["meta", "sparse"]
)
def test_a_tensor_without_its_numbers_is_refused_in_one_line(odd: torch.Tensor) -> None:
    optimizer = stepped("adamw", 0)[1]
    state = state_of("adamw")
    state["state"][0]["exp_avg"] = odd
    with pytest.raises(UserError, match="exp_avg of parameter 0 is no tensor of the shape"):
        load_optimizer(optimizer, state)


@pytest.mark.parametrize("steps", [-1.0, 1e30])
@pytest.mark.parametrize("name", ["adamw", "soap"])
def test_a_count_of_steps_that_cannot_be_is_refused(name: str, steps: float) -> None:
    optimizer, state = stepped(name, 0)[1], state_of(name)
    state["state"][0]["step"] = torch.tensor(steps)
    with pytest.raises(UserError, match="step of parameter 0 is no count of steps"):
        load_optimizer(optimizer, state)


def test_numbers_of_eight_bits_are_refused() -> None:
    optimizer, state = stepped("soap", 0)[1], state_of("soap")
    state["state"][0]["mean"] = state["state"][0]["mean"].to(torch.float8_e4m3fn)
    with pytest.raises(UserError, match="mean of parameter 0 is no tensor of the shape"):
        load_optimizer(optimizer, state)


def state_of(name: str) -> dict:
    return copy.deepcopy(stepped(name)[1].state_dict())


def test_weights_of_another_model_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"weight has the shape \(2, 3\), not \(3, 3\)"):
        load_weights(nn.Linear(3, 3), nn.Linear(3, 2).state_dict())


@pytest.mark.parametrize("numbers", [torch.zeros(2), [torch.zeros(2)], None, "0", [True]])
def test_parameters_that_are_not_numbered_are_one_line(numbers):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    state = optimizer.state_dict()
    state["param_groups"][0]["params"] = numbers
    with pytest.raises(UserError, match=r"\(other parameters\)"):
        load_optimizer(optimizer, state)
