"""SOAP: Adam in the basis in which Shampoo's preconditioner is diagonal, for all matrices of one shape at once.

Source: Vyas et al. 2024, "SOAP: Improving and Stabilizing Shampoo using Adam", algorithm 3. A matrix of weights with
the gradient G keeps running means of G G^T and of G^T G. Their eigenvectors, which one step of orthogonal iteration
refines every few steps, turn the gradient into a basis in which its entries are nearly uncorrelated. Adam (Kingma and
Ba 2015, algorithm 1) takes its step there, and the step is turned back. Unlike the paper's, a step takes its gradient
into the means, and changes the bases, before it turns the gradient.

A small net has dozens of small matrices of few shapes. Those of one shape are stacked, so that a step takes a few
batched products instead of some for each matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_SIDES = ("left", "right")
_GREATEST_RATIO = 2  # of a turned side to the other: turning longer ones costs time and gained nothing


class Soap(torch.optim.Optimizer):
    """SOAP without weight decay.

    Tensors of more than two dimensions are seen as matrices, as square as their shape allows. A side that is longer
    than `greatest_side`, or more than twice as long as the other, is not turned, and neither are vectors: where nothing
    is turned, this is Adam. Weights must be float32 or float64, on a device that has float64.

    Args:
        parameters: what to train, or groups of them, as any optimizer of PyTorch takes it.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the root of the mean square.
        gram_decay: decay of the running means of G G^T and G^T G.
        turn_every: steps from one change of the bases to the next.
        greatest_side: longest side of a matrix that gets a basis.

    Raises:
        ValueError: a setting is out of its range.

    >>> weight = torch.nn.Parameter(torch.ones(3, 2))
    >>> optimizer = Soap([weight], lr=0.1)
    >>> for _ in range(60):
    ...     optimizer.zero_grad()
    ...     weight.square().sum().backward()
    ...     optimizer.step()
    >>> bool(weight.abs().max() < 0.5)
    True
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        gram_decay: float = 0.99,
        turn_every: int = 10,
        greatest_side: int = 256,
    ) -> None:
        for name, decay in (("betas", betas[0]), ("betas", betas[1]), ("gram_decay", gram_decay)):
            if not 0 <= decay < 1:
                raise ValueError(f"{name} must be from 0 to below 1, not {decay}")
        for name, number, least in (("lr", lr, 0), ("eps", eps, 0), ("turn_every", turn_every, 1)):
            if not number >= least:
                raise ValueError(f"{name} must be at least {least}, not {number}")
        self._bases = _Bases(gram_decay, turn_every, greatest_side)
        self._stacks: list[_Stack] = []
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_bases": self._bases}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what `load_state_dict`, copying or unpickling gives; the stacks are made anew from it."""
        super().__setstate__(state)
        self._stacks = []

    def state_shapes(self, parameter: torch.nn.Parameter) -> dict[str, tuple[int, ...]]:
        """Returns the names and shapes of the tensors that the optimizer keeps of a parameter."""
        sides = matrix_shape(parameter.shape)
        shapes: dict[str, tuple[int, ...]] = {"step": (), "mean": sides, "square": sides}
        for side, length in self._bases.turned(sides).items():
            shapes |= {f"{side}_gram": (length, length), f"{side}_basis": (length, length)}
        return shapes

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Takes a step for every parameter that has a gradient; returns the loss of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with_gradient = [one for group in self.param_groups for one in group["params"] if one.grad is not None]
        stacked = {id(one) for stack in self._stacks for one in stack.parameters}
        if stacked != {id(one) for one in with_gradient}:
            self._stacks = self._stacked()
        for stack in self._stacks:
            stack.step()
        return loss

    def _stacked(self) -> list[_Stack]:
        """Returns the parameters that have a gradient, those of one group, shape and count of steps together.

        The state of each is from then on a view of the stack's, and that of the others is no longer one.
        """
        together: dict[tuple[int, int, int, int], list[torch.nn.Parameter]] = {}
        for number, group in enumerate(self.param_groups):
            for parameter in group["params"]:
                if parameter.grad is None:
                    kept = self.state.get(parameter, {})
                    kept.update({name: tensor.clone() for name, tensor in kept.items()})
                    continue
                if not self.state[parameter]:
                    shapes = self.state_shapes(parameter)
                    self.state[parameter] = {name: parameter.new_zeros(shape) for name, shape in shapes.items()}
                steps = int(self.state[parameter]["step"])
                together.setdefault((number, *matrix_shape(parameter.shape), steps), []).append(parameter)
        stacks = []
        for (number, *_shape, steps), parameters in together.items():
            states = [self.state[parameter] for parameter in parameters]
            tensors = {name: torch.stack([state[name] for state in states]) for name in states[0]}
            for place, state in enumerate(states):
                state.update({name: tensor[place] for name, tensor in tensors.items()})
            stacks.append(_Stack(self.param_groups[number], self._bases, parameters, tensors, steps))
        return stacks


@dataclass(frozen=True)
class _Bases:
    """How bases follow the gradients; see `Soap`."""

    gram_decay: float
    turn_every: int
    greatest_side: int

    def turned(self, sides: tuple[int, int]) -> dict[str, int]:
        """Returns the lengths of the sides of a matrix that are turned, by "left" and "right"."""
        longest = min(self.greatest_side, _GREATEST_RATIO * min(sides))
        lengths = zip(_SIDES, sides, strict=True)
        return {} if 1 in sides else {side: length for side, length in lengths if length <= longest}


@dataclass
class _Stack:
    """Parameters of one shape and what is known of them.

    Attributes:
        group: their settings, whose learning rate may change from step to step.
        bases: how bases follow the gradients.
        parameters: of one shape as matrices.
        tensors: the state: for K matrices of R rows and C columns, "mean" and "square" (K, R, C) in the turned basis,
            and for a side of length N "left_gram", "left_basis" and so on (K, N, N), the eigenvectors in columns; a
            basis is zero until the matrix has had a gradient that is not.
        steps: taken so far.
    """

    group: dict[str, Any]
    bases: _Bases
    parameters: Sequence[torch.nn.Parameter]
    tensors: dict[str, Tensor]
    steps: int

    def step(self) -> None:
        """Takes a step against the gradients."""
        mean, square = self.tensors["mean"], self.tensors["square"]
        gradients = torch.stack([_gradient(parameter).reshape(mean.shape[1:]) for parameter in self.parameters])
        self._follow(gradients)
        (beta1, beta2), self.steps = self.group["betas"], self.steps + 1
        self.tensors["step"].fill_(self.steps)
        turned = self._turned(gradients)
        mean.lerp_(turned, 1 - beta1)
        square.mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
        root = square.div(1 - beta2**self.steps).sqrt_().add_(self.group["eps"])
        steps = self._turned_back(mean.div(1 - beta1**self.steps).div_(root)).mul_(self.group["lr"])
        for parameter, step in zip(self.parameters, steps.unbind(), strict=True):
            parameter.sub_(step.view(parameter.shape))

    def _follow(self, gradients: Tensor) -> None:
        """Takes gradients (K, R, C) into the means of their products, and changes the bases when that is due."""
        for side in _SIDES:
            if f"{side}_gram" not in self.tensors:
                continue
            gram, basis = self.tensors[f"{side}_gram"], self.tensors[f"{side}_basis"]
            products = gradients @ gradients.mT if side == "left" else gradients.mT @ gradients
            gram.lerp_(products, 1 - self.bases.gram_decay)
            if self.steps % self.bases.turn_every == 0:
                self._turn(side)
            begins = (_exists(gram) & ~_exists(basis)).flatten()
            if begins.any():
                basis[begins] = _eigenvectors(gram[begins])

    def _turn(self, side: str) -> None:
        """Refines the basis of a side by one step of orthogonal iteration, and takes the running means along.

        The means of squares have no exact place in another basis: as in the paper, they stay with their eigenvectors,
        whose order may change.
        """
        basis, mean, square = self.tensors[f"{side}_basis"], self.tensors["mean"], self.tensors["square"]
        image = self.tensors[f"{side}_gram"] @ basis
        order = (basis * image).sum(-2).argsort(dim=-1, descending=True)
        new = torch.linalg.qr(image.gather(-1, order.unsqueeze(-2).expand_as(image)))[0] * _exists(basis)
        if side == "left":
            square.copy_(square.gather(-2, order.unsqueeze(-1).expand_as(square)))
            mean.copy_(new.mT @ (basis @ mean))
        else:
            square.copy_(square.gather(-1, order.unsqueeze(-2).expand_as(square)))
            mean.copy_((mean @ basis.mT) @ new)
        basis.copy_(new)

    def _turned(self, matrices: Tensor) -> Tensor:
        left, right = self.tensors.get("left_basis"), self.tensors.get("right_basis")
        turned = matrices if left is None else left.mT @ matrices
        return turned if right is None else turned @ right

    def _turned_back(self, matrices: Tensor) -> Tensor:
        left, right = self.tensors.get("left_basis"), self.tensors.get("right_basis")
        turned = matrices if left is None else left @ matrices
        return turned if right is None else turned @ right.mT


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Returns the rows and columns of a tensor seen as a matrix, as square as the order of its dimensions allows.

    >>> matrix_shape((64, 32, 2)), matrix_shape((2, 256, 32)), matrix_shape((128, 32, 1)), matrix_shape((7,))
    ((64, 64), (512, 32), (128, 32), (1, 7))
    """
    cuts = [(math.prod(shape[:cut]), math.prod(shape[cut:])) for cut in range(len(shape) + 1)]
    return min(cuts, key=max)


def _exists(matrices: Tensor) -> Tensor:
    """Returns which matrices (K, N, N) are not zero, (K, 1, 1)."""
    return matrices.any(-1, keepdim=True).any(-2, keepdim=True)


def _eigenvectors(grams: Tensor) -> Tensor:
    """Returns the eigenvectors of symmetric matrices (K, N, N) in columns, that of the greatest eigenvalue first."""
    # NaN and infinity, at which eigh would raise, are left to the check of the loss
    finite = torch.where(grams.isfinite().all(-1).all(-1)[:, None, None], grams, torch.eye(grams.shape[-1]).to(grams))
    # in float64: the products of one gradient have eigenvalues of zero, where float32 may not converge
    return torch.linalg.eigh(finite.double())[1].flip(-1).to(grams.dtype)


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
