"""Cross-validation: runs that differ by nothing but their fold are one run, measured on every photograph once."""

import copy
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from statistics import fmean
from typing import Any

from inpaint.compare.configs import without_storage
from inpaint.compare.runs import Run
from inpaint.evaluation.intervals import aggregate

KEY = "data.fold"


def pooled(folders: Sequence[Sequence[Run]]) -> tuple[list[list[Run]], list[str]]:
    """What folders measured, those of the folds of one cross-validation together, in the place of the first of them.

    The pictures of all folds are the pictures of the pooled run, and its averages and intervals are of all of them; it
    keeps the curves and pictures of its first fold. Counts and seconds are means over the folds.

    Args:
        folders: of each folder its runs, the trained one first.

    Returns:
        The same, and a line for each cross-validation of which folds are missing, whose runs stay apart.
    """
    groups: dict[Any, list[Sequence[Run]]] = {}
    for place, runs in enumerate(folders):
        groups.setdefault(_alike(runs[0]) or place, []).append(runs)
    found, notes = [], []
    for key, group in groups.items():
        if isinstance(key, int):
            found += [list(runs) for runs in group]
            continue
        folds, by_fold = int(_data(group[0][0])["folds"]), {_data(runs[0])["fold"]: runs for runs in group}
        if sorted(by_fold) == list(range(folds)) and len(group) == folds:
            found.append(_together([by_fold[fold] for fold in range(folds)]))
        else:
            found += [list(runs) for runs in group]
            notes.append(
                f"careful: {group[0][0].folder} and {len(group) - 1} more are folds of a cross-validation of which "
                f"there are {len(by_fold)} of {folds}, each once, so they stay apart"
            )
    return found, notes


def _data(run: Run) -> dict[str, Any]:
    data = run.config.get("data")
    return data if isinstance(data, dict) else {}


def _alike(run: Run) -> str | None:
    """What the folds of one cross-validation have in common; None for a run of none."""
    data = _data(run)
    numbered = isinstance(data.get("folds"), int) and isinstance(data.get("fold"), int)
    if not (run.trained and numbered and run.records and run.areas):
        return None
    return json.dumps(
        [_without_fold(without_storage(run.config)), run.method, run.updates], sort_keys=True, default=str
    )


def _without_fold(config: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(config)
    del config["data"]["fold"]
    return config


def _together(folds: Sequence[Sequence[Run]]) -> list[Run]:
    """The runs of all folds' folders, method by method; a fill that one folder lacks is left out."""
    by_method = [{run.method: run for run in runs} for runs in folds]
    shared = [method for method in by_method[0] if all(method in methods for methods in by_method)]
    return [_one([methods[method] for methods in by_method]) for method in shared]


def _one(runs: Sequence[Run]) -> Run:
    """One method as all folds measured it; the pictures of the first keep their indices."""
    first, begins = runs[0], [*accumulate((1 + max(run.areas) for run in runs), initial=0)]
    records = _joined([run.records for run in runs], begins)
    areas = _joined([run.areas for run in runs], begins)
    photographs = _joined([run.photographs for run in runs], begins)
    lines = [
        {"method": first.method, "index": index, "area": areas[index], "photograph": photographs[index], **figures}
        | {"broken": all(map(math.isnan, figures.values()))}
        for index, figures in records.items()
        if index in areas
    ]
    manifests = [run.manifest for run in runs]
    known = None if None in manifests else hashlib.sha256(json.dumps(manifests).encode()).hexdigest()
    return replace(
        first,
        config=_without_fold(first.config) if first.trained else first.config,
        command=[line for line in first.command if line.partition("=")[0].lstrip("+") != KEY],
        rows={row.area: row for row in aggregate(lines).rows},
        records=records,
        areas=areas,
        photographs=photographs,
        manifest=known,
        parameters=fmean(run.parameters for run in runs),
        updates=fmean(run.updates for run in runs),
        train_seconds=fmean(run.train_seconds for run in runs),
    )


def _joined(parts: Sequence[dict[int, Any]], begins: Sequence[int]) -> dict[int, Any]:
    """What there is of single pictures, those of each fold behind those of the fold before."""
    return {
        begin + index: value
        for begin, part in zip(begins, parts, strict=False)  # there is one end more
        for index, value in part.items()
    }
