"""The effective receptive field: how much of an output's gradient falls on which inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Spread(NamedTuple):
    """How the energy grows with the distance.

    Attributes:
        distances: from the output's place, in samples or pixels, each once, ascending.
        shares: of the energy, 0 to 1, that lie within each distance.
    """

    distances: NDArray[np.float64]
    shares: NDArray[np.float64]


def effective_field(
    function: Callable[[Tensor], Tensor], inputs: Iterable[Tensor], generator: torch.Generator
) -> NDArray[np.float64]:
    """Returns the energy of the gradient of an output with respect to each place of the input.

    That is the mean over the inputs of the sum, over all channels in and out, of the squared derivatives; squared, so
    that signs do not cancel. The sum over the channels out is estimated from one gradient for each input: that of the
    channels added up with random signs (Hutchinson 1990).

    Source: Luo et al. 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
    section 2.

    Args:
        function: (1, channels, *space) -> the outputs of one place, of any shape.
        inputs: each of shape (channels, *space), at least one.
        generator: draws the signs.

    Returns:
        Energies of shape `space`.

    >>> field = effective_field(lambda inputs: 3 * inputs[..., 1], [torch.zeros(1, 3)], torch.Generator())
    >>> field.tolist()
    [0.0, 9.0, 0.0]
    """
    energies = []
    for single in inputs:
        probe = single.detach()[None].requires_grad_()
        outputs = function(probe).flatten()
        signs = 2 * torch.randint(2, outputs.shape, generator=generator) - 1
        (gradient,) = torch.autograd.grad((outputs * signs).sum(), probe)
        energies.append(gradient[0].double().square().sum(0).numpy())
    return np.mean(energies, axis=0)


def spread(energy: NDArray[np.float64], place: tuple[int, ...]) -> Spread:
    """Returns which share of the energy lies within which straight distance of a place.

    Args:
        energy: of each place of the input, not zero everywhere.
        place: that the output stands at.
    """
    offsets = np.meshgrid(*(np.arange(size) - at for size, at in zip(energy.shape, place, strict=True)), indexing="ij")
    squares, rings = np.unique(sum(offset**2 for offset in offsets), return_inverse=True)
    by_ring = np.bincount(rings.ravel(), weights=energy.ravel())
    return Spread(np.sqrt(squares), np.cumsum(by_ring) / by_ring.sum())


def radius(energy: NDArray[np.float64], place: tuple[int, ...], share: float) -> float | None:
    """Returns the least distance from a place within which a share of the energy lies; None where there is no energy.

    Args:
        energy: of each place of the input.
        place: that the output stands at.
        share: 0 to 1.

    >>> radius(np.array([1.0, 0.0, 2.0, 5.0]), (3,), 0.8)
    1.0
    """
    if not energy.any():
        return None
    distances, shares = spread(energy, place)
    # Rounding may leave the last share a little below one.
    return float(distances[min(int(np.searchsorted(shares, share - 1e-12)), len(distances) - 1)])
