"""Arithmetic of dilated stacks: dilations and receptive fields. Imports no torch."""

from collections.abc import Sequence


def dilation_cycle(count: int, *, repeats: int = 1, base: int = 2) -> tuple[int, ...]:
    """Returns `repeats` cycles of the dilations 1, base, base^2, ... with `count` dilations a cycle.

    Source: van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio", section 2.1.

    >>> dilation_cycle(4, repeats=2)
    (1, 2, 4, 8, 1, 2, 4, 8)
    """
    return tuple(base**exponent for exponent in range(count)) * repeats


def receptive_field(kernel_size: int, dilations: Sequence[int]) -> int:
    """Returns the extent, in samples (or pixels along one axis), that one output of a stack can see.

    Each layer of spacing d widens the field by (kernel_size - 1) x d; the output's own position counts as one.
    Source: van den Oord et al. 2016, section 2.1; Yu and Koltun 2016, section 2, for two dimensions.

    Args:
        kernel_size: taps along one axis.
        dilations: spacing of the taps in each layer; for a strideless stack the order does not matter.

    >>> receptive_field(2, dilation_cycle(10))
    1024
    >>> receptive_field(3, [1, 1, 2, 4, 8, 16, 1])
    67
    """
    return 1 + (kernel_size - 1) * sum(dilations)
