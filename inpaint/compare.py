"""One leaderboard of many runs, and what their configs differ in.

    inpaint-compare runs/                       # every finished run below runs/
    inpaint-compare multirun/2026-03-01/*       # the jobs of a Hydra sweep
    inpaint-compare runs --sort ssim --csv leaderboard.csv

A finished run is a folder with `config.yaml` (the resolved config), `results.csv` (`inpaint.table`) and `summary.json`
(`method`, `parameters`, `updates`, `train_seconds`, `overrides`); its figures are those of `method` over all pictures.
Exit code 2 when there is none. Imports no torch, so that it answers at once.
"""

import argparse
import csv
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from inpaint.metrics.columns import COLUMNS
from inpaint.table import ALL, PERFECT, Cell, figure_cells, print_blocks, read_csv

# Config groups where the choice itself, a class or a list of parts, is what a reader wants to see first.
GROUPS = ("generator", "discriminator", "adversarial", "losses", "masks", "data")
# How a run is stored and watched explains no result: sections of the config, and keys anywhere in it.
STORAGE = {"hydra", "paths", "callbacks", "logger", "wandb", "name", "resume", "run_dir", "output_dir"}
IMPLIED = {"_target_", "_partial_", "default_root_dir", "save_dir", "log_dir", "dirpath"}
SORTS = (*COLUMNS, "parameters", "updates", "train_seconds")

Found = dict[str, str]  # what sets one config apart: dotted key to readable value


@dataclass(frozen=True)
class Run:
    """A finished run; `figures` are its averages over all pictures by column of `inpaint.table`, and its counts."""

    folder: Path
    config: dict[str, Any]
    figures: dict[str, float]


def find(path: Path) -> Iterator[Path]:
    """Folders at or below `path` with a `config.yaml`; not those inside one, where Hydra and wandb keep their own."""
    for folder, children, files in os.walk(path):
        children[:] = sorted(child for child in children if not child.startswith(".") and child != "wandb")
        if "config.yaml" in files:
            children.clear()
            yield Path(folder)


def read(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        ValueError: one line that names the file that is missing, cut short or something else.
    """
    file = "summary.json"
    try:
        summary = json.loads((folder / file).read_text(encoding="utf-8"))
        method = summary["method"]
        counts: dict[str, float] = {name: int(summary[name]) for name in ("parameters", "updates")}
        counts["train_seconds"] = float(summary["train_seconds"])
        file = "config.yaml"
        config = yaml.safe_load((folder / file).read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("not a mapping")
        file = "results.csv"
        rows = [row for row in read_csv(folder / file) if row.area == ALL and row.method == method]
        if len(rows) != 1:
            raise ValueError(f"{len(rows)} rows of method {method!r} over all pictures, not one")
    except (OSError, ValueError, KeyError, TypeError, csv.Error, yaml.YAMLError) as error:
        raise ValueError(f"{file}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    counts |= {"images": rows[0].images, "perfect": rows[0].perfect}
    return Run(folder, config, rows[0].means | counts)


def shortest(names: Sequence[str], separator: str = os.sep) -> list[str]:
    """The fewest last parts that keep different names different: runs/a/0, runs/b/0 become a/0, b/0."""
    parts = [name.strip(separator).split(separator) for name in names]
    for count in range(1, max(map(len, parts), default=0)):
        tails = [separator.join(part[-count:]) for part in parts]
        if len(set(tails)) == len(set(names)):
            return tails
    return list(names)


def differences(configs: Sequence[Mapping[str, Any]]) -> list[Found]:
    """What sets each config apart.

    A group shows its class (``generator=GatedUNet``, ``discriminator=none``) or its parts (``losses=l1 + style``), and
    a key inside it only where configs with the same class differ (``losses.l1.weight=6``).
    """
    found: list[Found] = [{} for _ in configs]

    def compare(key: str, nodes: dict[int, Any]) -> None:
        """Note the differences between `nodes`: number of a config to what it has under `key`."""
        values = list(nodes.values())
        if all(value == values[0] for value in values):
            return
        if not all(value is None or _is_branch(value) for value in values):
            show(key, nodes)
            return
        kinds = {run: _kind(node) for run, node in nodes.items()}
        parts_shown = key in GROUPS and len({_label(key, node) for node in values}) > 1
        if len(set(kinds.values())) > 1 or parts_shown:
            show(key, nodes)
        for kind in dict.fromkeys(kinds.values()):
            alike = {run: _branches(node) for run, node in nodes.items() if kinds[run] == kind}
            for child in dict.fromkeys(child for branches in alike.values() for child in branches):
                if child in IMPLIED or (not key and child in STORAGE):
                    continue
                having = {run: branches[child] for run, branches in alike.items() if child in branches}
                path = f"{key}.{child}" if key else child
                if len(having) < len(alike) and not parts_shown:
                    show(path, having)
                compare(path, having)

    def show(key: str, nodes: dict[int, Any]) -> None:
        labels = [_label(key, node) for node in nodes.values()]
        if any("/" in label for label in labels):
            labels = shortest(labels, "/")
        for run, label in zip(nodes, labels, strict=True):
            found[run][key] = label

    compare("", dict(enumerate(configs)))
    return found


def _is_branch(node: Any) -> bool:
    """A mapping, or a list of mappings (mask kinds, augmentations), which is compared place by place."""
    return isinstance(node, dict) or (isinstance(node, list) and any(isinstance(item, dict) for item in node))


def _branches(node: Any) -> dict[str, Any]:
    if isinstance(node, list):
        return {str(place): item for place, item in enumerate(node)}
    return {str(child): value for child, value in (node or {}).items()}


def _kind(node: Any) -> str:
    """The class a node builds, `none` for an empty node, nothing for a mapping that only holds others."""
    return "none" if not node else str(_branches(node).get("_target_", ""))


def _label(key: str, node: Any) -> str:
    """A node in a few characters."""
    if node is None or node == {}:
        return "none"
    if not _is_branch(node):
        return json.dumps(node, default=str, ensure_ascii=False).replace('"', "")
    if kind := _kind(node):
        name, group = kind.rpartition(".")[2], re.escape(key.rpartition(".")[2])
        return re.sub(f"{group}$", "", name, flags=re.IGNORECASE) or name  # PatchDiscriminator is Patch
    return " + ".join(node if isinstance(node, dict) else (_label("", item) for item in node))


def ranked(runs: Sequence[Run], sort: str) -> list[Run]:
    """The runs, best first by figure `sort`; those without the figure come last, equal ones stay in their order."""
    sign = -1 if sort in COLUMNS and COLUMNS[sort].higher_is_better else 1
    places = {run.folder: sign * run.figures.get(sort, math.nan) for run in runs}
    return sorted(runs, key=lambda run: (math.isnan(places[run.folder]), places[run.folder]))


def print_leaderboard(runs: Sequence[Run], names: Sequence[str], differing: Sequence[Found]) -> None:
    """Print ranked runs, the best figure of each column in bold.

    Where more than three config keys differ, a value that most runs share is said once, below.
    """
    figures = [name for name in COLUMNS if any(name in run.figures for run in runs)]
    definitions = {COLUMNS[name].title: COLUMNS[name].definition for name in figures}
    headings = ["#", "run", *(COLUMNS[name].heading for name in figures), "params (M)", "updates"]
    columns = [[Cell(str(rank)) for rank in range(1, len(runs) + 1)], [Cell(name) for name in names]]
    if any(differing):
        counts = Counter(item for found in differing for item in found.items() if all(item[0] in f for f in differing))
        many = len({key for found in differing for key in found}) > 3
        usual = {key: value for (key, value), count in counts.items() if many and count > len(runs) / 2}
        unusual = [[f"{key}={value}" for key, value in found.items() if usual.get(key) != value] for found in differing]
        headings.insert(2, "differs in")
        columns.append([Cell("\n".join(lines) or "-") for lines in unusual])
        if usual:
            definitions = {"otherwise": ", ".join(f"{key}={value}" for key, value in usual.items())} | definitions
    labels = len(columns)
    for name in figures:
        columns.append(figure_cells(COLUMNS[name], [run.figures.get(name, math.nan) for run in runs]))
    columns.append([Cell(f"{run.figures['parameters'] / 1e6:.2f}") for run in runs])
    columns.append([Cell(f"{run.figures['updates']:,}") for run in runs])
    if any(run.figures["perfect"] for run in runs):
        headings.append("perfect")
        columns.append([Cell(str(run.figures["perfect"] or "")) for run in runs])
        definitions["perfect"] = PERFECT
    print_blocks(headings, [list(zip(*columns, strict=True))], definitions, labels=labels)


def write_leaderboard(path: Path, runs: Sequence[Run], names: Sequence[str], differing: Sequence[Found]) -> None:
    """Write ranked runs as CSV, every digit kept: one column a figure and one a differing config key."""
    lines: list[dict[str, Any]] = []
    for rank, (run, name, found) in enumerate(zip(runs, names, differing, strict=True), start=1):
        figures = {figure: value for figure, value in run.figures.items() if not math.isnan(value)}
        lines.append({"rank": rank, "run": name, "folder": run.folder, **figures, **found})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for line in lines for key in line)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="inpaint-compare", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="run folder, or folder that holds some")
    parser.add_argument("--sort", choices=SORTS, default="hole_psnr", help="best first by this (default: %(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the leaderboard, every digit kept, here too")
    arguments = parser.parse_args(argv)

    runs, unfinished = [], []
    left_out = [f"{path}: no such folder" for path in arguments.paths if not path.exists()]
    for folder in dict.fromkeys(folder.resolve() for path in arguments.paths for folder in find(path)):
        if not (folder / "results.csv").is_file():
            unfinished.append(folder)
            continue
        try:
            runs.append(read(folder))
        except ValueError as error:
            left_out.append(f"{folder}: {error}")
    if unfinished:
        left_out.append(f"unfinished (no results.csv): {', '.join(map(str, unfinished))}")
    if not runs:
        print("no finished run in", "; ".join([", ".join(map(str, arguments.paths)), *left_out]), file=sys.stderr)
        raise SystemExit(2)

    runs = ranked(runs, arguments.sort)
    names = shortest([str(run.folder) for run in runs])
    differing = differences([run.config for run in runs])
    print_leaderboard(runs, names, differing)
    if len(counts := {run.figures["images"] for run in runs}) > 1:
        print(f"careful: the runs were measured on different numbers of pictures, {min(counts)} to {max(counts)}")
    for line in left_out:
        print(f"left out: {line}")
    if arguments.csv:
        write_leaderboard(arguments.csv, runs, names, differing)


if __name__ == "__main__":
    main()
