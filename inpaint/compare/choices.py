"""Which choice mattered: what each option of a grid is worth where all else is equal.

Runs of a grid differ in several settings at once. Two options of one setting are compared on *pairs*: runs with the
same other settings and the same seed. The mean over the pairs is the option's effect on average over what else was
tried, and its interval says whether it is one; a single winner of a leaderboard says neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from inpaint.compare.runs import Run
from inpaint.evaluation.intervals import leaves_out_zero
from inpaint.groups import NO_CHOICE
from inpaint.metrics.columns import COLUMNS

DEFAULT = "(default)"
TRIAL = "sweep.trial"  # set in each run of a search

DEFINITION = (
    "mean over pairs of runs that differ in nothing else, minus the option of the setting with the best mean, "
    "[95 % Student interval over the pairs]; ~ where it may be none"
)


@dataclass(frozen=True)
class Choice:
    """One option of a setting that the runs differ in.

    setting: its key; several, joined by commas, that only change together.
    runs: how many have it.
    mean: of the figure, over the combinations of other settings and seeds that every option was tried with.
    pairs: how many such combinations there are for this option and the best.
    difference, low, high: to the best option, over the pairs; 0 and NaN for the best itself, and NaN for the ends of
        fewer than two pairs.
    is_best: whether no option has a better mean and some have a worse one.
    """

    setting: str
    option: str
    runs: int
    mean: float
    pairs: int
    difference: float
    low: float
    high: float
    is_best: bool

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves zero out."""
        return leaves_out_zero(self.low, self.high)


def choices(runs: Sequence[Run], figure: str) -> list[Choice]:
    """The options of each setting that was crossed with the others, best first; empty where nothing was.

    So it is for a search, whose trials are where others were good: Optuna's importances say what mattered there.

    Args:
        runs: trained models, measured on the same pictures.
        figure: of `COLUMNS`.
    """
    runs = [run for run in runs if math.isfinite(run.figures.get(figure, math.nan)) and TRIAL not in run.overrides]
    sign = -1 if COLUMNS[figure].higher_is_better else 1
    found = []
    for setting, chosen in _settings(runs).items():
        cells: dict[tuple[str, ...], dict[str, list[float]]] = {}
        for run, option, others in zip(runs, chosen.options, chosen.others, strict=True):
            cells.setdefault(others, {}).setdefault(option, []).append(run.figures[figure])
        means = [{option: fmean(values) for option, values in cell.items()} for cell in cells.values()]
        options = list(dict.fromkeys(chosen.options))
        complete = [cell for cell in means if len(cell) == len(options)]
        if not complete:
            continue
        average = {option: fmean(cell[option] for cell in complete) for option in options}
        options.sort(key=lambda option: sign * average[option])
        best = [option for option in options if average[option] == average[options[0]]]
        best = [] if len(best) == len(options) else best
        for option in options:
            pairs = [cell[option] - cell[options[0]] for cell in means if option in cell and options[0] in cell]
            low, high = _student(pairs) if option != options[0] else (math.nan, math.nan)
            count = chosen.options.count(option)
            found.append(
                Choice(
                    setting=setting,
                    option=option,
                    runs=count,
                    mean=average[option],
                    pairs=len(pairs),
                    difference=fmean(pairs),
                    low=low,
                    high=high,
                    is_best=option in best,
                )
            )
    return found


@dataclass(frozen=True)
class _Setting:
    """Of each run: its option of one setting, and everything else that the runs differ in."""

    options: list[str]
    others: list[tuple[str, ...]]


def _settings(runs: Sequence[Run]) -> dict[str, _Setting]:
    """What the command lines differ in, by key; keys that only change together are one setting."""
    said = [run.overrides for run in runs]
    keys = dict.fromkeys(key for overrides in said for key in overrides)
    columns = {key: [overrides.get(key, DEFAULT) for overrides in said] for key in keys}
    varying = {key: values for key, values in columns.items() if len(set(values)) > 1}
    together: dict[tuple[int, ...], list[str]] = {}
    for key, values in varying.items():
        if not _no_choice(key):
            together.setdefault(tuple(map(values.index, values)), []).append(key)
    # Runs of one seed had the same holes and initial weights, so the seed pairs them too.
    pairing = {key: values for key, values in varying.items() if key == "seed" or not _no_choice(key)}
    settings = {}
    for group in together.values():
        options = [", ".join(values) for values in zip(*(varying[key] for key in group), strict=True)]
        rest = [values for key, values in pairing.items() if key not in group]
        others = [tuple(values[place] for values in rest) for place in range(len(runs))]
        settings[", ".join(group)] = _Setting(options, others)
    return settings


def choices_made(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The option of each run by setting."""
    return {key: chosen.options for key, chosen in _settings(runs).items()}


def _no_choice(key: str) -> bool:
    return key.partition(".")[0].partition("@")[0] in NO_CHOICE


def _student(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of a mean; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half
