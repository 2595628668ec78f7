"""Averages over pictures, and how sure they are: by hole area and method, with bootstrap intervals and differences.

Hole area decides how hard a picture is, so a mean over all pictures says more about the masks than about the method:
there is one block for each tenth of hole area and one for all pictures.

The interval of a figure is the percentile bootstrap's (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993,
section 13.3): the pictures of a block are drawn anew with replacement `RESAMPLES` times, the figure is computed of each
draw, and the middle 95 % of what comes out are the interval. All methods are measured on the same draws, so that the
difference of two is that of pairs: what makes a picture hard for both does not count. Crops of one photograph are
alike, so where pictures are crops it is photographs that are drawn, each with all its crops (the cluster bootstrap:
Davison and Hinkley, *Bootstrap Methods and their Application*, 1997, section 3.8). Imports no torch.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from inpaint.metrics.columns import COLUMNS, MEAN_OF

ALL = "all"
RESAMPLES = 2000
INTERVAL = (0.025, 0.975)  # quantiles
LEAST = 6  # units drawn: chance alone makes fewer differ all in one direction in more than 5 % (five of them: 2 / 2^5)
TIMES = {"ms"}  # no intervals: all pictures of a batch have the same value, so their number says nothing
AT_ONCE = 2**22  # drawn pictures that are held in memory at a time


@dataclass(frozen=True)
class Row:
    """The averages of one method over the pictures of one hole area.

    area: the tenth of hole area, as ``10-20 %``, or ``all``.
    images: how many pictures.
    perfect: how many of them equal the truth (their PSNR is infinite).
    means: the average of each figure over the pictures where it is finite; NaN where it is for none. All but times are
        NaN where a picture is broken: who fails at what is hard is not to be measured on what is easy.
    low, high: ends of its 95 % interval; nothing for a figure that has none.
    broken: how many of the pictures have pixels that are NaN or infinite.
    """

    area: str
    method: str
    images: int
    perfect: int
    means: dict[str, float]
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    broken: int = 0


def leaves_out_zero(low: float, high: float) -> bool:
    """Whether a difference with this interval is real; one without an interval (NaN) is not."""
    return low > 0 or high < 0


class Difference(NamedTuple):
    """How far one method's average is above another's, over the pictures where both have the figure.

    images: how many those are.
    mean: NaN where there are none.
    low, high: ends of its 95 % interval; NaN for fewer than `LEAST` pictures, or photographs where those are drawn.
    """

    images: int
    mean: float
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves zero out."""
        return leaves_out_zero(self.low, self.high)

    def reversed(self) -> "Difference":
        """The other method against the one."""
        return Difference(self.images, mean=-self.mean, low=-self.high, high=-self.low)


class Contrast(NamedTuple):
    """Which averages a difference is of: the method's less the reference's, of one figure in one hole area."""

    area: str
    figure: str
    method: str
    reference: str


class SetFigure(NamedTuple):
    """A figure of a set of pictures, which no picture has alone (FID).

    draws: the figure of pictures drawn with replacement (`times_drawn`), ``(R,)``, the same draws for all methods.
    """

    area: str
    method: str
    figure: str
    value: float
    draws: np.ndarray


@dataclass(frozen=True)
class Results:
    """Rows by rising hole area, then ``all``, within each the methods in order; and what was made of their pictures.

    differences: of every pair of methods, the earlier one less the later.
    interval: what the intervals are, for the reader of a table.
    """

    rows: list[Row]
    differences: dict[Contrast, Difference] = field(default_factory=dict)
    interval: str = ""

    def difference(self, area: str, figure: str, method: str, reference: str) -> Difference | None:
        """The difference of one pair of methods, whichever way round it is stored."""
        if found := self.differences.get(Contrast(area, figure, method, reference)):
            return found
        turned = self.differences.get(Contrast(area, figure, reference, method))
        return turned.reversed() if turned else None


def bucket(area: float) -> str:
    """The tenth a hole area in [0, 1] belongs to, lower edge included: 0.1 is in ``10-20 %``, 1 in ``90-100 %``."""
    # The tolerance is less than a pixel and more than float32's error: 0.7 in float32 is 0.69999999.
    tenth = min(int(area * 10 + 1e-6), 9)
    return f"{10 * tenth}-{10 * tenth + 10} %"


def blocks(areas: Sequence[float]) -> dict[str, np.ndarray]:
    """The pictures of each block, as places in `areas`: int64 by the name of the block, by rising hole area."""
    names = np.array([bucket(area) for area in areas])
    found = {name: np.flatnonzero(names == name) for name in (bucket(tenth / 10) for tenth in range(10))}
    return {name: places for name, places in found.items() if len(places)} | {ALL: np.arange(len(names))}


def aggregate(records: Iterable[Mapping[str, Any]], sets: Iterable[SetFigure] = ()) -> Results:
    """Average single pictures by hole area and method.

    Args:
        records: one mapping a method and picture: `method`, `index` (row in the data set), `area` (in [0, 1]), any
            figures of `COLUMNS`, `photograph`, of what the picture is a crop, if it is one, and `broken`, whether it
            has NaN or infinite pixels. Of records with the same method and index the first counts: a distributed
            sampler repeats some samples to give every rank as many.
        sets: figures of sets of pictures.

    Returns:
        Rows and differences; the methods in the order of their first record. `COLUMNS` that are computed of another's
        mean (`MEAN_OF`) are there where that is.
    """
    records = list(records)
    values, present, broken, areas, methods, figures = _cube(records)
    if not methods:
        return Results([])
    photographs = photographs_of(records)
    units = drawn_units(photographs)
    perfect = np.isposinf(values[..., figures.index("psnr")]) if "psnr" in figures else np.zeros_like(present)
    figures, values = _with_derived(figures, np.where(np.isfinite(values), values, np.nan))
    further: dict[str, list[SetFigure]] = {}
    for found in sets:
        further.setdefault(found.area, []).append(found)

    rows: list[Row] = []
    differences: dict[Contrast, Difference] = {}
    for area, places in blocks(areas).items():
        block = values[places]  # (pictures, methods, figures)
        timed = np.array([name in TIMES for name in figures], bool)
        block[:, broken[places].any(axis=0)[:, None] & ~timed] = np.nan
        means, low, high = _summary(block, figures, units[places])
        for m, method in enumerate(methods):
            if not (images := int(present[places, m].sum())):
                continue
            have = [f for f, name in enumerate(figures) if math.isfinite(low[m, f]) and name not in TIMES]
            row = Row(
                area=area,
                method=method,
                images=images,
                perfect=int(perfect[places, m].sum()),
                means={name: float(means[m, f]) for f, name in enumerate(figures)},
                low={figures[f]: float(low[m, f]) for f in have},
                high={figures[f]: float(high[m, f]) for f in have},
                broken=int(broken[places, m].sum()),
            )
            for found in further.get(area, []):
                if found.method == method:
                    row.means[found.figure] = found.value
                    ends = interval_around(found.value, found.draws)
                    if math.isfinite(ends[0]):
                        row.low[found.figure], row.high[found.figure] = ends
            rows.append(row)
        differences |= _differences(area, block, methods, figures, units[places])
        differences |= _set_differences(further.get(area, []), len(places))
    return Results(rows, differences, said_of_intervals(photographs))


def _cube(
    records: Iterable[Mapping[str, Any]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float], list[str], list[str]]:
    """Records as values ``(pictures, methods, figures)``, NaN for none, whether each is there, and whether broken."""
    unique: dict[tuple[str, int], Mapping[str, Any]] = {}
    for record in records:
        unique.setdefault((record["method"], record["index"]), record)
    methods = list(dict.fromkeys(method for method, _ in unique))
    areas: dict[int, float] = {}
    for (_, index), record in unique.items():
        areas.setdefault(index, record["area"])
    row, column = {index: n for n, index in enumerate(areas)}, {method: m for m, method in enumerate(methods)}
    figures = [name for name in COLUMNS if any(name in record for record in unique.values())]
    values = np.full((len(row), len(column), len(figures)), np.nan)
    present, broken = np.zeros(values.shape[:2], bool), np.zeros(values.shape[:2], bool)
    for (method, index), record in unique.items():
        place = row[index], column[method]
        present[place], broken[place] = True, record.get("broken", False)
        values[place] = [record.get(name, math.nan) for name in figures]
    return values, present, broken, list(areas.values()), methods, figures


def _with_derived(figures: list[str], values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Figures in the order of `COLUMNS`, those of a mean with the values that are averaged."""
    names = [name for name in COLUMNS if name in figures or MEAN_OF.get(name) in figures]
    return names, values[..., [figures.index(MEAN_OF.get(name, name)) for name in names]]


def _finished(means: np.ndarray, figures: Sequence[str]) -> np.ndarray:
    """Means ``(..., figures)``, those of squared errors (in % of 255^2) made decibels; NaN where the error is 0."""
    derived = [f for f, name in enumerate(figures) if name in MEAN_OF]
    if derived:
        means = means.copy()
        means[..., derived] = 10 * np.log10(100 / np.where(means[..., derived] > 0, means[..., derived], np.nan))
    return means


def _summary(block: np.ndarray, figures: Sequence[str], units: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Averages of ``(pictures, methods, figures)`` over the pictures, and the ends of their intervals."""
    counts = np.isfinite(block).sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = _finished(np.nansum(block, axis=0) / counts, figures)
    return means, *interval(_finished(resampled_means(block, units), figures))


def _differences(
    area: str, block: np.ndarray, methods: Sequence[str], figures: Sequence[str], units: np.ndarray
) -> dict[Contrast, Difference]:
    """Every pair of methods, the earlier one first, in every figure that both have.

    All differences of a figure are over the pictures where every method that has the figure has it.
    """
    finite = np.isfinite(block)
    having = finite.any(axis=0)  # (methods, figures)
    common = (finite | ~having).all(axis=1) & having.any(axis=0)  # (pictures, figures)
    paired = np.where(common[:, None], block, np.nan)
    counts = common.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = _finished(np.nansum(paired, axis=0) / counts, figures)
    replicates = _finished(resampled_means(paired, units), figures)
    found = {}
    for a, b in combinations(range(len(methods)), 2):
        low, high = interval(replicates[:, a] - replicates[:, b])
        for f, figure in enumerate(figures):
            both = figure not in TIMES and having[a, f] and having[b, f]
            if both and math.isfinite(difference := float(means[a, f] - means[b, f])):
                contrast = Contrast(area, figure, methods[a], methods[b])
                found[contrast] = Difference(int(counts[f]), difference, float(low[f]), float(high[f]))
    return found


def _set_differences(sets: Sequence[SetFigure], pictures: int) -> dict[Contrast, Difference]:
    """Every pair of methods in every figure of sets."""
    found = {}
    for first, second in combinations(sets, 2):
        if first.figure == second.figure and first.method != second.method:
            difference = first.value - second.value
            ends = interval_around(difference, first.draws - second.draws)
            contrast = Contrast(first.area, first.figure, first.method, second.method)
            found[contrast] = Difference(pictures, difference, *ends)
    return found


# ---- the bootstrap --------------------------------------------------------------------------------------------------


def photographs_of(records: Iterable[Mapping[str, Any]]) -> list[Hashable]:
    """What each picture is a crop of, in the order of their first records; itself where they do not say."""
    found: dict[int, Hashable] = {}
    for record in records:
        found.setdefault(record["index"], record.get("photograph", record["index"]))
    return list(found.values())


def drawn_units(photographs: Sequence[Hashable]) -> np.ndarray:
    """What is drawn with each picture, as numbers ``(pictures,)``: its photograph; itself if those are too few."""
    numbers = {photograph: number for number, photograph in enumerate(dict.fromkeys(photographs))}
    if len(numbers) < LEAST:
        return np.arange(len(photographs))
    return np.array([numbers[photograph] for photograph in photographs])


def said_of_intervals(photographs: Sequence[Hashable]) -> str:
    """What `drawn_units` makes of the intervals, for the reader of a table."""
    pictures, number = len(photographs), len(set(photographs))
    if number == pictures:
        drawn = f"the {pictures} pictures"
    elif number < LEAST:
        drawn = f"the {pictures} crops, of only {number} photographs: they say little about other photographs"
    else:
        drawn = f"the {number} photographs, each with its crops"
    return f"percentile bootstrap, {RESAMPLES} draws of {drawn}; none where there are fewer than {LEAST}"


def resampled_means(values: np.ndarray, units: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Averages over pictures drawn with replacement, the same draws for every column.

    Args:
        values: ``(pictures, ...)``; what is not finite is left out of the averages.
        units: ``(pictures,)``; pictures with the same number are drawn together.
        resamples: how many draws, each of as many units as there are.

    Returns:
        float64 ``(resamples, ...)``; NaN where a draw, or fewer than `LEAST` units, hold anything finite. The same at
        every call.
    """
    columns = values.reshape(len(values), -1)
    finite = np.isfinite(columns)
    sums, counts = (_by_unit(x, units) for x in (np.where(finite, columns, 0.0), finite))
    few = (counts > 0).sum(axis=0) < LEAST
    if finite.all():
        counts = counts[:, :1]  # alike for all columns, and so are their products
    means = np.empty((resamples, columns.shape[1]))
    step = max(1, AT_ONCE // len(sums))
    for first in range(0, resamples, step):
        draws = np.arange(first, min(first + step, resamples))
        times = drawn(draws, len(sums))
        with np.errstate(invalid="ignore"):
            means[draws] = times @ sums / (times @ counts)
    means[:, few] = np.nan
    return means.reshape(resamples, *values.shape[1:])


def _by_unit(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Sums of ``(pictures, columns)`` over the pictures of each unit: float64 ``(units, columns)``."""
    present, places = np.unique(units, return_inverse=True)
    sums = np.zeros((len(present), values.shape[1]))
    np.add.at(sums, places, values)
    return sums


def times_drawn(draws: np.ndarray, units: np.ndarray) -> np.ndarray:
    """How often each picture is in draws ``(R,)`` of units ``(pictures,)``: float64 ``(R, pictures)``."""
    present, places = np.unique(units, return_inverse=True)
    return drawn(draws, len(present))[:, places]


def drawn(draws: np.ndarray, count: int) -> np.ndarray:
    """How often each of `count` things is drawn in each of some draws ``(R,)`` of as many: float64 ``(R, count)``."""
    which = (uniform(draws, count) * count).astype(np.int64) + count * np.arange(len(draws))[:, None]
    return np.bincount(which.ravel(), minlength=which.size).reshape(which.shape).astype(np.float64)


def interval(replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of ``(resamples, ...)``: their two ends; NaN where a replicate is not finite."""
    low, high = np.quantile(replicates, INTERVAL, axis=0)
    return low, high


def interval_around(value: float, draws: np.ndarray) -> tuple[float, float]:
    """The interval of a figure of sets, or of a difference of two, from what it is of draws ``(R,)``; NaN for none.

    A draw has copies, hence fewer different pictures, which moves FID up, where pictures are as few as features by two
    thirds, so that plain percentiles need not even hold the figure. Their spread is that of other pictures (up to twice
    as wide where the figure is hardly more than chance), so the draws are moved to the figure: percentiles of
    ``draws - mean(draws) + value``. It is an interval for the figure **of this number of pictures**, which is what is
    printed and compared.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws) or not math.isfinite(value):
        return math.nan, math.nan
    low, high = interval(draws - draws.mean() + value)
    return float(low), float(high)


def uniform(draws: np.ndarray, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) for each draw: whole numbers ``(R,)`` to float64 ``(R, count)``.

    SplitMix64 on counters, as in `inpaint.rng`, whose torch takes a second to import: the same on every machine and
    with every version of numpy.
    """
    keys = _mixed(draws.astype(np.uint64))
    counter = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (_mixed(keys[:, None] + counter) >> np.uint64(11)) * 2.0**-53


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
