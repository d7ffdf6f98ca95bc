"""A CUDA graph's stand-in on the CPU: it records operations on memory, and repeats exactly these on that memory.

As on a GPU, recording runs nothing, and what Python computed meanwhile, such as a number, stays what it was.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        for argument, value in zip(function._schema.arguments, args, strict=False):
            # batch norm's own schema does not say that it changes its statistics
            if "running" in argument.name or (argument.alias_info is not None and argument.alias_info.is_write):
                self.before += [(one, one.clone()) for one in tree_flatten(value)[0] if isinstance(one, Tensor)]
        result = function(*args, **kwargs)
        outputs = [one for one in tree_flatten(result)[0] if isinstance(one, Tensor)]
        self.operations.append((function, args, kwargs, outputs))
        return result


class FakeRecorder:
    """Takes the place of `CudaRecorder`.

    Attributes:
        replays: number of replays of all graphs.
        broken: what to do in a replay beside the graph, to make it wrong.
    """

    def __init__(self, broken: Callable[[], None] = lambda: None) -> None:
        self.recorded = self.replays = 0
        self.broken = broken

    def run(self, work: Callable[[], Tensor]) -> Tensor:
        return work()

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1
        state = torch.get_rng_state()
        recording = _Recording()
        with recording:
            result = work()
        with torch.no_grad():
            for tensor, value in reversed(recording.before):
                tensor.detach().copy_(value)
        torch.set_rng_state(state)

        @torch.no_grad()
        def replay() -> Tensor:
            self.replays += 1
            for function, args, kwargs, outputs in recording.operations:
                again = [one for one in tree_flatten(function(*args, **kwargs))[0] if isinstance(one, Tensor)]
                for place, value in zip(outputs, again, strict=True):
                    if place is not value:
                        place.detach().copy_(value)
            self.broken()
            return result

        return replay
