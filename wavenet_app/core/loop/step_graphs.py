"""Training steps of fixed shapes as CUDA graphs: a step of thousands of short kernels then costs one call.

A graph is trusted only after it has done the same as the operations one by one, on two batches and at two learning
rates. That check, and the steps before it, leave the weights and the random numbers as they would be without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

Step = Callable[[Any], Tensor]
"""Trains on a batch, by operations of the device alone; returns the loss."""

WARM_UP = 2  # steps of each shape without a graph: libraries choose and compile their kernels in them
MOST_GRAPHS = 32
TOLERANCE = 0.05  # of the length of a step: sums of a GPU in another order change nearly zero gradients


class Recorder(Protocol):
    """What records a graph; on a GPU `CudaRecorder`."""

    def run(self, work: Callable[[], Tensor]) -> Tensor:
        """Runs operations where they can be recorded later."""

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Returns what repeats the operations of `work` on the same memory; does not run them."""


class CudaRecorder:
    """Records CUDA graphs that share their memory, as only one of them runs at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()

    def run(self, work: Callable[[], Tensor]) -> Tensor:
        """Runs operations on the stream that graphs are recorded on, where autograd then expects them."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = work()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Returns what replays the graph of `work`."""
        graph = torch.cuda.CUDAGraph()
        # other threads pin the next batches meanwhile, which the strictest mode takes for a mistake
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            result = work()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


class StepGraphs:
    """Runs training steps, each shape of batch at first one operation after another, then as a graph.

    Args:
        step: what to run.
        parameters: what a step trains.
        state: all else that a step changes, such as buffers and the optimizer's moments, as it is at the time; a list
            for each kind, as kinds differ in size.
        rates: learning rates, which lie on the device.
        recorder: records graphs.
        say: called with a line that says why there is no graph.
    """

    def __init__(
        self,
        step: Step,
        *,
        parameters: Sequence[Tensor],
        state: Callable[[], Sequence[Sequence[Tensor]]],
        rates: Sequence[Tensor],
        recorder: Recorder,
        say: Callable[[str], None],
    ) -> None:
        self._step, self._parameters, self._state, self._rates = step, list(parameters), state, list(rates)
        self._recorder, self._say = recorder, say
        self._seen: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, _Graph] = {}
        self.refused = False

    @property
    def count(self) -> int:
        """Graphs in use."""
        return len(self._graphs)

    def __call__(
        self, batch: Any, constants: Hashable, randomness: Callable[[], AbstractContextManager[Any]]
    ) -> Tensor:
        """Trains on a batch and returns the loss, which the next step may overwrite.

        Args:
            batch: tensors on the device, in dictionaries and sequences.
            constants: numbers of the host that the step depends on.
            randomness: gives the context of this step's random numbers.
        """
        key = (constants, tuple((tensor.shape, tensor.dtype) for tensor in tensors_of(batch)))
        graph = self._graphs.get(key)
        if graph is None and not self.refused:
            self._seen[key] += 1
            if self._seen[key] > WARM_UP and self.count < MOST_GRAPHS:
                graph = self._recorded(batch, randomness)
                if graph is not None:
                    self._graphs[key] = graph
        with randomness():
            return self._plain(batch) if graph is None else graph(batch)

    def _plain(self, batch: Any) -> Tensor:
        return self._recorder.run(lambda: self._step(batch))

    def _recorded(self, batch: Any, randomness: Callable[[], AbstractContextManager[Any]]) -> _Graph | None:
        """Returns a graph that does what the operations do one by one; None if there is none."""
        groups = self._groups()
        before: list[list[Tensor]] = []
        try:
            before = _copies(groups)
            held = changed(batch, Tensor.clone)

            def outcome(run: Step) -> tuple[list[Tensor], list[list[Tensor]]]:
                losses = []
                for shown in (batch, _mirrored(batch)):
                    with randomness():
                        losses.append(run(shown).detach().clone())
                    for rate in self._rates:
                        rate.mul_(0.5)
                after = _copies(groups)
                _put_back(groups, before)
                return losses, after

            expected_losses, expected = outcome(self._plain)
            with randomness():
                graph = _Graph(self._recorder.record(lambda: self._step(held)), held)
            losses, found = outcome(graph)
            same = all(_alike(*kind) for kind in zip(expected, found, before, strict=True))
            if same and _alike(expected_losses, losses, None):
                return graph
            reason = "its first steps differ from those without it"
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            reason = str(error).strip().partition("\n")[0]
            if before:
                _put_back(groups, before)
        self.refused = True
        self._graphs.clear()
        self._say(f"the training continues without CUDA graphs, which is slower: {reason}")
        return None

    def _groups(self) -> list[list[Tensor]]:
        """Returns all that a step changes, and the rates, which the check changes; what is of one kind together."""
        return [self._parameters, *(list(kind) for kind in self._state()), self._rates]


class _Graph:
    """A recorded step and the memory of its batch."""

    def __init__(self, replay: Callable[[], Tensor], held: Any) -> None:
        self._replay, self._held = replay, list(tensors_of(held))

    def __call__(self, batch: Any) -> Tensor:
        for place, tensor in zip(self._held, tensors_of(batch), strict=True):
            place.copy_(tensor, non_blocking=True)
        return self._replay()


def tensors_of(batch: Any) -> Iterator[Tensor]:
    """Yields the tensors of a batch, nested in dictionaries and sequences, in their order."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, dict | list | tuple):
        for value in batch.values() if isinstance(batch, dict) else batch:
            yield from tensors_of(value)


def changed(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Returns a batch with each of its tensors changed."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, dict):
        return {name: changed(value, change) for name, value in batch.items()}
    return type(batch)(changed(value, change) for value in batch) if isinstance(batch, list | tuple) else batch


def _copies(groups: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    return [[tensor.detach().clone() for tensor in group] for group in groups]


@torch.no_grad()
def _put_back(groups: Sequence[Sequence[Tensor]], before: Sequence[Sequence[Tensor]]) -> None:
    for group, values in zip(groups, before, strict=True):
        for tensor, value in zip(group, values, strict=True):
            tensor.copy_(value)


def _mirrored(batch: Any) -> Any:
    """Returns a batch of the same shapes, with its rows in reverse and pictures mirrored, that gives another loss."""
    return changed(batch, lambda tensor: tensor.flip((0, tensor.dim() - 1)) if tensor.dim() > 2 else tensor.flip(0))


def _alike(expected: Sequence[Tensor], found: Sequence[Tensor], before: Sequence[Tensor] | None) -> bool:
    """Returns whether tensors have gone the same way from `before`, or are nearly the same without one.

    An entry that is no number in both counts as the same: what is wrong with it is not the graph's doing.
    """
    apart = length = 0.0
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        start = torch.zeros_like(one) if before is None else before[place]
        difference = torch.nan_to_num(other.double() - one.double(), nan=0.0)
        if not torch.equal(one.isnan(), other.isnan()):
            return False
        apart += float(difference.square().sum())
        length += float(torch.nan_to_num(one.double() - start.double()).square().sum())
    return apart**0.5 <= TOLERANCE * length**0.5
