"""Averages of the pair metrics over many pairs: against the reference, and against the quantised reference.

Codes limit the signal-to-noise ratio, so even a perfect vocoder differs from the original. Three comparisons separate
the model from its codes: test against reference, test against quantised reference, and quantised reference against
reference, which is the quantisation floor.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavenet_app.coding import Coding
from wavenet_app.evaluation.pair_metrics import PAIR_METRICS, Measure

Pair = tuple[NDArray[np.floating], NDArray[np.floating]]
"""(reference, test), both of shape (samples,)."""


@dataclass(frozen=True)
class Average:
    """The mean of a metric over the pairs that have a value.

    Attributes:
        value: the mean; NaN if no pair has a value.
        pairs: number of pairs with a value.
        missing: why the other pairs have none, with counts, or None.
    """

    value: float
    pairs: int
    missing: str | None


@dataclass(frozen=True)
class PairTable:
    """The metrics of one set of pairs.

    Attributes:
        against_reference: label -> average of test against reference.
        against_quantised: label -> average of test against the quantised reference.
        floor: label -> average of the quantised reference against the reference.
    """

    against_reference: Mapping[str, Average]
    against_quantised: Mapping[str, Average]
    floor: Mapping[str, Average]


@dataclass(frozen=True)
class PairMeasures:
    """The metrics of one pair.

    Attributes:
        against_reference: label -> test against reference.
        against_quantised: label -> test against the quantised reference.
        floor: label -> the quantised reference against the reference.
    """

    against_reference: Mapping[str, Measure]
    against_quantised: Mapping[str, Measure]
    floor: Mapping[str, Measure]


def pair_table(pairs: Iterable[Pair], *, sample_rate: int, coding: Coding) -> PairTable:
    """Returns all metrics of all pairs, in three comparisons.

    Args:
        pairs: (reference, test), each of shape (samples,) and at the gain of the run; consumed one at a time.
        sample_rate: in Hz.
        coding: coding of the model, which sets the quantisation floor.

    Raises:
        ValueError: the waveforms of a pair differ in length.
    """
    return averaged([pair_measures(pair, as_coded(pair[0], coding), sample_rate=sample_rate) for pair in pairs])


def pair_measures(
    pair: Pair, coded: NDArray[np.floating], *, sample_rate: int, floor: Mapping[str, Measure] | None = None
) -> PairMeasures:
    """Returns all metrics of one pair; takes and raises what `pair_table` does.

    Args:
        pair: (reference, test), each of shape (samples,).
        coded: the reference as the model's codes keep it, which sets the quantisation floor.
        sample_rate: in Hz.
        floor: floor of another pair with the same reference; None to compute it.
    """
    reference, test = pair
    return PairMeasures(
        measures(reference, test, sample_rate),
        measures(coded, test, sample_rate),
        measures(reference, coded, sample_rate) if floor is None else floor,
    )


def averaged(rows: Sequence[PairMeasures]) -> PairTable:
    """Returns the averages of the metrics of some pairs."""
    return PairTable(
        averages([row.against_reference for row in rows]),
        averages([row.against_quantised for row in rows]),
        averages([row.floor for row in rows]),
    )


def measures(reference: NDArray[np.floating], test: NDArray[np.floating], sample_rate: int) -> dict[str, Measure]:
    """Returns all metrics of one pair."""
    found: dict[str, Measure] = {}
    for label, metric in PAIR_METRICS.items():
        value = metric(reference, test, sample_rate)
        found[label] = value if isinstance(value, Measure) else Measure(value)
    return found


def averages(rows: Sequence[Mapping[str, Measure]]) -> dict[str, Average]:
    """Returns the mean of each metric over the pairs that have a value for it.

    >>> averages([{"a": Measure(1.0)}, {"a": Measure(3.0)}, {"a": Measure(math.nan, "too short")}])
    {'a': Average(value=2.0, pairs=2, missing='1 of 3: too short')}
    """
    result = {}
    for label in PAIR_METRICS if not rows else rows[0]:
        values = [row[label].value for row in rows if row[label].missing is None]
        reasons = Counter(row[label].missing for row in rows if row[label].missing is not None)
        missing = "; ".join(f"{count} of {len(rows)}: {reason}" for reason, count in reasons.items()) or None
        result[label] = Average(float(np.mean(values)) if values else math.nan, len(values), missing)
    return result


def as_coded(waveform: NDArray[np.floating], coding: Coding) -> NDArray[np.float32]:
    """Returns a waveform after encoding and decoding, shape (samples,)."""
    return coding.decode(coding.encode(waveform))
