"""Which differences are real: the same pictures under the same holes by two methods of different folders.

Pictures differ far more than methods do, so two averages with overlapping intervals may still be told apart: the
difference on the same picture has a much narrower interval. It speaks of other pictures of the same kind, not of other
seeds. The bootstrap is that of `inpaint.evaluation.intervals`.
"""

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from inpaint.evaluation.intervals import Difference, drawn_units, interval, leaves_out_zero, resampled_means

FINEST = 6  # digits after the point


def shown_digits(low: float, high: float, usual: int) -> int:
    """Digits after the point of a difference with its interval: `usual`, or more where an end would read as the zero
    that the interval leaves out."""
    nearest = min(abs(low), abs(high)) if leaves_out_zero(low, high) else math.inf
    return next((digits for digits in range(usual, FINEST) if round(nearest, digits)), FINEST)


def paired_differences(
    methods: Sequence[Mapping[int, Mapping[str, float]]],
    references: Mapping[str, int],
    photographs: Mapping[int, Hashable],
) -> dict[str, list[Difference]]:
    """Differences of all methods to one of them, picture by picture.

    Args:
        methods: for each, the figures of each picture by its index.
        references: for each figure, the place in `methods` of the one to subtract.
        photographs: what each picture is a crop of, by its index; itself where it is not there.

    Returns:
        For each figure a difference a method, over the pictures where it and the reference have the figure; that of
        the reference itself is zero.
    """
    indices = sorted({index for records in methods for index in records})
    if not indices or not references:
        return {}
    figures = list(references)
    values = np.array(
        [
            [[records.get(index, {}).get(name, math.nan) for name in figures] for index in indices]
            for records in methods
        ],
        dtype=np.float64,
    )  # (methods, pictures, figures)
    values[~np.isfinite(values)] = math.nan
    subtracted = np.stack([values[place, :, column] for column, place in enumerate(references.values())], axis=-1)
    differences = (values - subtracted).swapaxes(0, 1)  # (pictures, methods, figures)
    finite = np.isfinite(differences)
    counts = finite.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = np.where(finite, differences, 0).sum(axis=0) / counts
        units = drawn_units([photographs.get(index, index) for index in indices])
        low, high = interval(resampled_means(differences, units))

    def difference(place: int, column: int) -> Difference:
        mean, *ends = (float(each[place, column]) for each in (means, low, high))
        return Difference(int(counts[place, column]), mean, *ends)

    return {name: [difference(place, column) for place in range(len(methods))] for column, name in enumerate(figures)}
