"""Which differences are real: bootstrap of paired differences.

Pictures differ far more than methods do, so two averages with overlapping intervals may still be told apart: the
difference on the same picture under the same hole has a much narrower interval (Efron and Tibshirani, An Introduction
to the Bootstrap, 1993, sections 8.3 and 13.3: percentile intervals of a paired statistic). The interval speaks of other
pictures of the same kind, not of other seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox

RESAMPLES = 2000
CONFIDENCE = 0.95
KEY = 0x696E7061696E74  # the same draws on every machine


@dataclass(frozen=True)
class Difference:
    """Mean over pictures of (method - reference), and its 95 % interval; NaN where no picture has both figures.

    reference: place of the method that was subtracted.
    pictures: how many have both figures, finite.
    """

    reference: int
    mean: float
    low: float
    high: float
    pictures: int

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def paired_differences(
    methods: Sequence[Mapping[int, Mapping[str, float]]], references: Mapping[str, int]
) -> dict[str, list[Difference]]:
    """Differences of all methods to one of them, picture by picture.

    Args:
        methods: for each, the figures of each picture by its index.
        references: for each figure, the place in `methods` of the one to subtract.

    Returns:
        For each figure a difference a method; that of the reference itself is zero.
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
    differences = values - subtracted
    drawn = _bootstrap(differences.swapaxes(0, 1).reshape(len(indices), -1))
    means, lows, highs = (each.reshape(len(methods), len(figures)).tolist() for each in drawn)
    counts = np.isfinite(differences).sum(axis=1).tolist()
    return {
        name: [
            Difference(references[name], means[place][column], lows[place][column], highs[place][column],
                       counts[place][column])
            for place in range(len(methods))
        ]
        for column, name in enumerate(figures)
    }  # fmt: skip


def _bootstrap(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over rows and their percentile intervals: float64 ``(N, C)``, NaN left out, to three ``(C,)``.

    All columns share the draws of rows. With few pictures the interval is too narrow; with one it has no width, hence
    is none.
    """
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    generator, rows = Generator(Philox(key=KEY)), len(values)
    means, part = [], max(1, 4_000_000 // rows)  # draws held at once
    with np.errstate(invalid="ignore", divide="ignore"):
        for first in range(0, RESAMPLES, part):
            counts = generator.multinomial(rows, np.full(rows, 1 / rows), size=min(part, RESAMPLES - first))
            means.append((counts @ filled) / (counts @ finite))
        mean = filled.sum(axis=0) / finite.sum(axis=0)
    drawn = np.concatenate(means)
    low, high = np.full_like(mean, math.nan), np.full_like(mean, math.nan)
    enough = finite.sum(axis=0) > 1
    if enough.any():
        tail = (1 - CONFIDENCE) / 2
        low[enough], high[enough] = np.nanquantile(drawn[:, enough], (tail, 1 - tail), axis=0)
    return mean, low, high
