"""A training step as a function of the device alone, run by `StepGraphs`: forward, backward, clipping and optimizer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from wavenet_app.core.loop.plan import FitPlan
from wavenet_app.core.loop.step_graphs import CudaRecorder, StepGraphs
from wavenet_app.core.loop.task import Task


class GraphedTraining:
    """The steps of one run.

    Args:
        task: what to learn; its model is on the device.
        plan: with the precision and the norm that gradients are clipped to.
        optimizer: of the task's parameters; its learning rates move to the device.
        say: called with a line that says why there are no graphs.
    """

    def __init__(self, task: Task, plan: FitPlan, optimizer: torch.optim.Optimizer, say: Callable[[str], None]) -> None:
        self._task, self._plan, self._optimizer = task, plan, optimizer
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._device = self._parameters[0].device
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=self._device)
            if "capturable" in group:
                group["capturable"] = True
        # its first steps are
        optimizer._warned_capturable_if_run_uncaptured = True
        self.graphs = StepGraphs(
            self._whole_step,
            parameters=self._parameters,
            state=self._state,
            rates=[group["lr"] for group in optimizer.param_groups],
            recorder=CudaRecorder(),
            say=say,
        )

    def set_rate(self, share: float) -> None:
        """Sets the share of the greatest learning rates, by a number that goes to the device with its operation."""
        for group in self._optimizer.param_groups:
            group["lr"].fill_(group["greatest_lr"] * share)

    def step(self, batch: Any) -> Tensor:
        """Trains on a batch and returns the loss."""
        constants = self._task.begin_step()
        return self.graphs(batch, constants, lambda: self._task.randomness(batch))

    def _whole_step(self, batch: Any) -> Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        with self._autocast(is_forward=True):
            loss = self._task.device_loss(batch)
        with self._autocast(is_forward=False):
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._plan.gradient_clip)
        self._optimizer.step()
        return loss.detach()

    def _autocast(self, *, is_forward: bool) -> AbstractContextManager[Any]:
        if self._plan.precision != "bf16-mixed":
            return nullcontext()
        # weights narrowed once would go into a graph as they were then
        return torch.autocast(self._device.type, torch.bfloat16, enabled=is_forward, cache_enabled=False)

    def _state(self) -> list[list[Tensor]]:
        moments: dict[str, list[Tensor]] = {}
        for parameter in self._parameters:
            for name, value in self._optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    moments.setdefault(name, []).append(value)
        return [list(self._task.model.buffers()), *moments.values()]
