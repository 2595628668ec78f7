"""Runs put side by side: seeds averaged, sets of pictures apart, what differs, which differences are real."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from inpaint.compare.choices import Choice, choices, choices_made
from inpaint.compare.configs import Settings, differences, shortest, without_storage
from inpaint.compare.folds import pooled
from inpaint.compare.paired import paired_differences
from inpaint.compare.runs import Run, expand, read
from inpaint.evaluation.intervals import ALL, TIMES, Difference, said_of_intervals
from inpaint.evaluation.table import COUNTED
from inpaint.files.folder import inside
from inpaint.files.untrusted import read_json
from inpaint.metrics.columns import COLUMNS
from inpaint.progress import track
from inpaint.settings import Refused

COUNTS = ("parameters", "updates", "train_seconds")


@dataclass(frozen=True)
class Entry:
    """One line of a leaderboard: a run, or runs that differ by nothing but their seed.

    name: the fewest last parts of its folder that tell it from the others.
    found: what sets its config apart from those of the other entries of the report.
    """

    name: str
    runs: list[Run]
    found: Settings

    @property
    def trained(self) -> bool:
        """Whether it is the model of a run folder."""
        return self.runs[0].trained

    @cached_property
    def figures(self) -> dict[str, float]:
        """Averages over all pictures, then over seeds, and the counts; NaN where some seed has none."""
        names = dict.fromkeys(name for run in self.runs for name in run.figures)
        return {name: fmean(run.figures.get(name, math.nan) for run in self.runs) for name in names}

    @cached_property
    def deviations(self) -> dict[str, float]:
        """Standard deviation of each figure over the seeds (n - 1); empty where there is one seed."""
        if len(self.runs) < 2:
            return {}
        values = {name: [run.figures.get(name, math.nan) for run in self.runs] for name in self.figures}
        return {name: stdev(v) for name, v in values.items() if all(map(math.isfinite, v))}

    def intervals(self, area: str = ALL) -> dict[str, tuple[float, float]]:
        """95 % intervals over pictures of one hole area, by figure; empty where several runs are averaged."""
        row = self.runs[0].rows.get(area)
        return {name: (low, row.high[name]) for name, low in row.low.items()} if row and len(self.runs) == 1 else {}

    def means(self, area: str) -> dict[str, float]:
        """Averages over the pictures of one hole area, then over seeds; empty where a run has no such picture."""
        rows = [run.rows[area] for run in self.runs if area in run.rows]
        if len(rows) < len(self.runs):
            return {}
        return {name: fmean(row.means.get(name, math.nan) for row in rows) for name in rows[0].means}

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each kind of `table.COUNTED`, of all its runs."""
        return {name: sum(getattr(run.rows[ALL], name) for run in self.runs) for name in COUNTED}

    @cached_property
    def records(self) -> dict[int, dict[str, float]]:
        """Figures of the pictures that all its runs have, averaged over the seeds."""
        records = [run.records for run in self.runs]
        shared = [index for index in records[0] if all(index in other for other in records)]
        return {
            index: {name: fmean(other[index].get(name, math.nan) for other in records) for name in records[0][index]}
            for index in shared
        }


@dataclass(frozen=True)
class Block:
    """What was measured on the same pictures under the same holes; only these figures may be compared.

    manifest: digest of crops and holes; None where the runs, of an older version, do not say.
    entries: best first.
    fills: classical fills that run folders measured beside their models, each once.
    """

    manifest: str | None
    images: int
    entries: list[Entry]
    fills: list[Entry]

    @property
    def title(self) -> str:
        """What it was measured on."""
        known = f"manifest {self.manifest[:8]}" if self.manifest else "which ones is not known: no validation.csv"
        return f"{self.images} pictures, {known}"

    @property
    def lines(self) -> list[Entry]:
        """Entries and fills."""
        return [*self.entries, *self.fills]

    @cached_property
    def best(self) -> dict[str, int]:
        """For each figure of single pictures that several of `lines` have, the place of the best of them.

        Empty for pictures that are not known to be the same. Times of single pictures are those of their batch, so
        they are not compared.
        """
        if self.manifest is None:
            return {}
        records = [line.records for line in self.lines]
        best = {}
        for name, column in COLUMNS.items():
            having = [
                place
                for place, line in enumerate(self.lines)
                if math.isfinite(line.figures.get(name, math.nan))
                and any(math.isfinite(record.get(name, math.nan)) for record in records[place].values())
            ]
            if name not in TIMES and len(having) > 1:
                sign = -1 if column.higher_is_better else 1
                best[name] = min(having, key=lambda place: sign * self.lines[place].figures[name])
        return best

    @cached_property
    def differences(self) -> dict[str, list[Difference]]:
        """For each figure of `best`, the paired difference of each of `lines` to that one."""
        return paired_differences([line.records for line in self.lines], self.best, self._photographs)

    def winners(self, sort: str) -> list[Entry]:
        """The trained runs with the best figure `sort`: several where it is a tie, none where nobody has the figure."""
        trained = [
            entry for entry in self.entries if entry.trained and math.isfinite(entry.figures.get(sort, math.nan))
        ]
        return [entry for entry in trained if entry.figures[sort] == trained[0].figures[sort]]

    @property
    def interval(self) -> str:
        """What the intervals are, for the reader."""
        return f"95 % interval: {said_of_intervals([*self._photographs.values()] or range(self.images))}"

    @property
    def _photographs(self) -> dict[int, str]:
        """What each picture is a crop of, by its index: the same in all folders, as their manifests are."""
        return self.lines[0].runs[0].photographs

    def choices(self, figure: str) -> list[Choice]:
        """What each option of a grid is worth."""
        return choices([run for entry in self.entries for run in entry.runs if run.trained], figure)


@dataclass(frozen=True)
class Report:
    """A comparison: `blocks` must not be mixed, `left_out` says in a line each what could not be read."""

    blocks: list[Block]
    left_out: list[str]
    sort: str
    study: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def entries(self) -> list[Entry]:
        """The entries of all blocks."""
        return [entry for block in self.blocks for entry in block.entries]


def compare(
    paths: Iterable[str | Path],
    *,
    sort: str = "hole_psnr",
    seeds: Literal["average", "separate"] = "average",
    study: Path | None = None,
) -> Report:
    """Read and compare what stands in and below some folders.

    Args:
        paths: run folders, evaluation folders, folders that hold some, or glob patterns.
        sort: figure that ranks: a column of the runs' tables, or one of `COUNTS`.
        seeds: whether runs that differ by nothing but their seed are averaged.
        study: folder of a study with the `report.json` of `inpaint-study report`.

    Raises:
        Refused: there is no finished run, no such figure, or no report of a study.
    """
    preferences = _read_study(study) if study else None
    runs, fills, left_out, notes = _read_all(list(paths))
    known = (*COLUMNS, *COUNTS)  # with the runs' own figures, once they are read
    if sort not in known:
        raise Refused(f"--sort: {sort} is none of {', '.join(known)}")
    entries = _entries(group_by_seed(runs) if seeds == "average" else [[run] for run in runs])
    blocks = _blocks(entries, fills, sort)
    return Report(blocks, left_out, sort, preferences, notes + _careful(blocks))


def _read_all(paths: Sequence[str | Path]) -> tuple[list[Run], list[Run], list[str], list[str]]:
    """What is compared, the fills that stand beside it, a line about each thing that is left out, and notes."""
    folders, left_out = expand(paths)
    measured: list[list[Run]] = []
    unfinished = []
    for folder in track(folders, "reading", "folders"):
        if not (folder / "results.csv").is_file():
            unfinished.append(folder)
            continue
        try:
            measured.append(read(folder))
        except Refused as error:
            left_out.append(f"{folder}: {error}")
    measured, notes = pooled(measured)
    runs, fills = [], []
    for found in measured:
        own = 1 if found[0].trained else len(found)
        runs += found[:own]
        fills += found[own:]
    if unfinished:
        left_out.append(f"unfinished (no results.csv): {', '.join(map(str, unfinished))}")
    if not runs:
        raise Refused("; ".join([f"no finished run in {', '.join(map(str, paths))}", *left_out]))
    return runs, fills, left_out, notes


def _blocks(entries: Sequence[Entry], fills: Sequence[Run], sort: str) -> list[Block]:
    """A block for each set of pictures, the one with most entries first."""
    blocks = []
    for pictures in dict.fromkeys(_measured_on(entry.runs[0]) for entry in entries):
        here = [entry for entry in entries if _measured_on(entry.runs[0]) == pictures]
        measured = {entry.runs[0].method for entry in here if not entry.trained}
        beside: dict[str, Entry] = {}
        for run in fills:
            if _measured_on(run) == pictures and run.method not in measured:
                beside.setdefault(run.method, Entry(run.method, [run], {}))
        blocks.append(Block(*pictures, ranked(here, sort), list(beside.values())))
    return sorted(blocks, key=lambda block: -len(block.entries))


def _careful(blocks: Sequence[Block]) -> list[str]:
    """What must not be compared."""
    notes = []
    if len(blocks) > 1:
        notes.append(
            f"careful: the runs were measured on {len(blocks)} different sets of pictures; "
            "figures of different sets say nothing about each other, so each set has its own table"
        )
        notes += _way_out(blocks)
    for block in blocks:
        runs = [run for line in block.lines for run in line.runs]
        for role in dict.fromkeys(role for run in runs for role in run.networks):
            networks = {run.networks[role] for run in runs if role in run.networks}
            if len(networks) > 1:
                notes.append(
                    f"careful: on {block.title}, {role} means different networks, whose figures cannot be compared: "
                    f"{'; '.join(sorted(networks))}"
                )
        notes += _by_precision(block)
    return notes


def _by_precision(block: Block) -> list[str]:
    """A line where the models of a block were trained with products of different precision."""
    trained = [(entry.name, entry.runs[0].config.get("trainer")) for entry in block.entries if entry.trained]
    names: dict[str, list[str]] = {}
    for name, trainer in trained:
        if isinstance(trainer, dict) and "precision" in trainer:
            precision = f"{trainer['precision']}{' with tf32' if trainer.get('tf32') else ''}"
            names.setdefault(precision, []).append(name)
    if len(names) < 2:
        return []
    groups = "; ".join(f"{precision}: {' | '.join(group)}" for precision, group in names.items())
    return [f"careful: on {block.title}, the models were trained in different precision ({groups})"]


def _way_out(blocks: Sequence[Block]) -> list[str]:
    """The command that measures the trained models of all blocks on the same pictures."""
    folders = [entry.runs[0].folder for block in blocks for entry in block.entries if entry.trained]
    if len({block.manifest for block in blocks for entry in block.entries if entry.trained}) < 2:
        return []
    from inpaint.cli.typed import line, several

    return [f"all on the crops and holes of the first: {line('inpaint-evaluate', several('checkpoint', folders))}"]


def _measured_on(run: Run) -> tuple[str | None, int]:
    return run.manifest, run.images


def group_by_seed(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ by nothing but their seed, together; each run appears once.

    Two runs with one seed are no sample of seeds: they, and what is like them, stay apart.
    """
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        config = without_storage(run.config)
        config.pop("seed", None)
        alike = (json.dumps(config, sort_keys=True, default=str), run.method, run.updates, *_measured_on(run))
        groups.setdefault(alike if run.trained else (run.folder, run.method), []).append(run)
    together = []
    for group in groups.values():
        different = len({json.dumps(run.config.get("seed")) for run in group}) == len(group)
        together += [group] if different else [[run] for run in group]
    return together


def _entries(groups: Sequence[Sequence[Run]]) -> list[Entry]:
    """Named, with what sets their configs apart; a seed says nothing where all runs but averaged ones share it."""
    configs = {place: without_storage(group[0].config) for place, group in enumerate(groups) if group[0].trained}
    single = {json.dumps(configs[place].get("seed")) for place in configs if len(groups[place]) == 1}
    for place, config in configs.items():
        if len(groups[place]) > 1 or len(single) == 1:
            config.pop("seed", None)
    found = dict(zip(configs, differences(list(configs.values())), strict=True))
    folders = [run.folder for group in groups for run in group]
    paths, more = [], []
    for group in groups:
        common = Path(os.path.commonpath([run.folder for run in group]))
        alone = sum(folder.is_relative_to(common) for folder in folders) == len(group)
        paths.append(str((common if alone else group[0].folder) if group[0].trained else common / group[0].method))
        more.append(f" and {len(group) - 1} more" if len(group) > 1 and not alone else "")
    names = _of_jobs(groups) or [name + suffix for name, suffix in zip(shortest(paths), more, strict=True)]
    return [
        Entry(name, list(group), found.get(place, {}))
        for place, (name, group) in enumerate(zip(names, groups, strict=True))
    ]


def _of_jobs(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Names by what each job of a sweep set, as ``hinge, l1.weight=10``: the number of its folder says nothing.

    Empty where the runs are no such jobs, or these names would not tell them apart.
    """
    runs = [group[0] for group in groups]
    jobs = (run.trained and run.folder.name.isdigit() for group in groups for run in group)
    if len(runs) < 2 or not all(jobs):
        return []
    settings = choices_made(runs)
    names = [
        ", ".join(
            f"{'.'.join(key.split('.')[-2:])}={options[place]}" if options[place][0].isdigit() else options[place]
            for key, options in settings.items()
        )
        for place in range(len(runs))
    ]
    return names if len(set(names)) == len(names) else []


def ranked(entries: Sequence[Entry], sort: str) -> list[Entry]:
    """Best first by figure `sort`; those without the figure come last, equal ones stay in their order."""
    sign = -1 if sort in COLUMNS and COLUMNS[sort].higher_is_better else 1

    def place(entry: Entry) -> tuple[bool, float]:
        value = sign * entry.figures.get(sort, math.nan)
        return math.isnan(value), value

    return sorted(entries, key=place)


def _read_study(folder: Path) -> dict[str, Any]:
    from inpaint.study.report import FORMAT, notes

    try:
        report = read_json(inside(folder, "report.json"))
    except FileNotFoundError:
        raise Refused(f"--study: {folder} has no report.json; inpaint-study report {folder} writes it") from None
    except (OSError, ValueError) as error:  # `Refused` too
        raise Refused(f"--study: {folder / 'report.json'} cannot be read: {error}") from error
    try:
        if report["format"] != FORMAT:
            raise ValueError
        notes(report)
        dict.fromkeys(row["method"] for row in report["scores"] or [])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused(f"--study: {folder / 'report.json'} is not a report of inpaint-study report") from None
    return report
