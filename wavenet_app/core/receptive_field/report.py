"""The request and the report of `wavegen receptive-field`, for a net of one or two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.receptive_field.effective import radius

SHARES = (0.5, 0.95)
"""Shares of the gradient's energy, for each of which the report has a radius."""


@dataclass(frozen=True)
class FieldRequest:
    """What to measure.

    Attributes:
        name: a checkpoint, a run's name or a preset.
        inputs: audio or a data set of images to average over; None for the default.
        count: how many inputs; None for 16 clips or 4 images.
        size: pixels along a side of the images; None for 512.
        output_stride: of the last features in pixels, for a DeepLab; None for what its file or preset says.
        seed: of the untrained weights and of the choices.
    """

    name: str
    inputs: str | None = None
    count: int | None = None
    size: int | None = None
    output_stride: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class FieldReport:
    """The receptive field of one place of a net's output.

    Attributes:
        name: of the run or preset.
        unit: "samples", for one dimension, or "pixels", for two.
        field: extent of the theoretical field along each axis, in that unit.
        reach: how far it goes before and after the output's place, along each axis of the maps.
        sees_everything: kinds of layers that look at the whole input, which `field` does not count; mostly none.
        place: of the output, in the maps.
        touched: which inputs the output depends on at all, not counting `sees_everything`; shape (*space).
        energies: "untrained" and, for a checkpoint, "trained" -> energy of the gradient, shape (*space).
        inputs: description of the inputs.
        sample_rate: in Hz, for one dimension.
    """

    name: str
    unit: str
    field: tuple[int, ...]
    reach: tuple[tuple[int, int], ...]
    sees_everything: tuple[str, ...]
    place: tuple[int, ...]
    touched: NDArray[np.bool_]
    energies: dict[str, NDArray[np.float64]]
    inputs: str
    sample_rate: int | None = None

    @property
    def box(self) -> tuple[slice, ...]:
        """The part of the theoretical field that lies on the maps."""
        return tuple(
            slice(max(0, at - before), min(size, at + after + 1))
            for at, (before, after), size in zip(self.place, self.reach, self.touched.shape, strict=True)
        )

    @property
    def is_cut(self) -> bool:
        """Whether the theoretical field is greater than the maps."""
        return any(
            after + before + 1 > part.stop - part.start
            for (before, after), part in zip(self.reach, self.box, strict=True)
        )

    @cached_property
    def touched_share(self) -> float:
        """Share of the inputs in the box that are touched, 0 to 1."""
        return float(self.touched[self.box].mean())

    @cached_property
    def radii(self) -> dict[str, tuple[float | None, ...]]:
        """For each net the distances that hold each of `SHARES`, in the unit; None where there is no gradient."""
        return {
            net: tuple(radius(energy, self.place, share) for share in SHARES) for net, energy in self.energies.items()
        }

    def milliseconds(self, samples: float) -> float:
        """Returns a length in milliseconds, for a net that has a sample rate."""
        assert self.sample_rate is not None
        return 1000 * samples / self.sample_rate

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures, without the maps, as plain values."""
        return {
            "name": self.name,
            "unit": self.unit,
            "sample_rate": self.sample_rate,
            "field": list(self.field),
            "sees_everything": list(self.sees_everything),
            "maps": list(self.touched.shape),
            "is_cut": self.is_cut,
            "touched_share": self.touched_share,
            "inputs": self.inputs,
            "radii": {
                net: {f"{share:.0%}": found for share, found in zip(SHARES, radii, strict=True)}
                for net, radii in self.radii.items()
            },
        }
