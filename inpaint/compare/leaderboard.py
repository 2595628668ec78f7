"""The leaderboard in a terminal and as CSV."""

import math
from pathlib import Path
from typing import Any

from inpaint.compare.choices import DEFINITION, Choice
from inpaint.compare.comparison import Block, Entry, Report
from inpaint.compare.configs import unusual
from inpaint.compare.paired import shown_digits
from inpaint.evaluation import table
from inpaint.evaluation.intervals import Difference
from inpaint.evaluation.table import COUNTED, figure_cells
from inpaint.evaluation.terminal import Cell, print_blocks
from inpaint.files.writing import write_table
from inpaint.metrics.columns import BUILT_IN, COLUMNS
from inpaint.settings import printable

# What a terminal has room for, beside the figure that ranks; the report and the CSV have every figure.
SHOWN = (*table.SHOWN, *table.OF_NOISE, "lpips_alex", "fid")


def print_leaderboard(report: Report) -> None:
    """Print each set of pictures, best first, the best figure of each column in bold; then what is to be said."""
    for block in report.blocks:
        if len(report.blocks) > 1:
            print(f"measured on {block.title}:")
        _print_block(block, report.sort)
        print()
        _print_choices(block, report.sort)
    for note in report.notes:
        print(printable(note))
    for line in report.left_out:
        print(printable(f"left out: {line}"))


def _print_block(block: Block, sort: str) -> None:
    entries = block.entries
    figures = [
        name
        for name in COLUMNS
        if (name in (*SHOWN, sort) or name not in BUILT_IN)
        and any(math.isfinite(entry.figures.get(name, math.nan)) for entry in entries)
    ]
    definitions = {COLUMNS[name].title: COLUMNS[name].definition for name in figures}
    headings = ["#", "run"]
    columns = [[Cell(str(rank)) for rank in ranks(entries, sort)], [Cell(entry.name) for entry in entries]]
    differing = [entry.found for entry in entries]
    if any(differing):
        usual, apart = unusual(differing)
        headings.append("differs in")
        columns.append([Cell("\n".join(f"{k}={v}" for k, v in found.items()) or "-") for found in apart])
        if usual:
            definitions = {"otherwise": ", ".join(f"{key}={value}" for key, value in usual.items())} | definitions
    labels = len(columns)
    if any(entry.deviations for entry in entries):
        headings.append("seeds")
        columns.append([Cell(str(len(entry.runs))) for entry in entries])
        definitions["seeds"] = "runs that differ by nothing else, averaged; +- is their standard deviation (n - 1)"
    for name in figures:
        headings.append(COLUMNS[name].heading)
        columns.append(_with_deviations(entries, name))
    if sort in block.differences:
        unit = COLUMNS[sort].unit
        headings.append("to the best" + (f" ({unit})" if unit else ""))
        columns.append(_to_the_best(block, sort))
        definitions["to the best"] = (
            f"paired difference of {COLUMNS[sort].title} to the best of all, fills too; ~ where it may be none; in "
            f"brackets its {block.interval}"
        )
    for name, heading, scale, form in (("parameters", "params (M)", 1e-6, ".2f"), ("updates", "updates", 1, ",.0f")):
        if any(math.isfinite(entry.figures[name]) for entry in entries):
            headings.append(heading)
            columns.append([Cell(_count(scale * entry.figures[name], form)) for entry in entries])
    for name, definition in COUNTED.items():
        if any(counts := [entry.counts[name] for entry in entries]):
            headings.append(name)
            columns.append([Cell(str(count or "")) for count in counts])
            definitions[name] = definition
    keep = [COLUMNS[sort].heading, *(heading for heading in headings if heading.startswith("to the best"))]
    print_blocks(headings, [list(zip(*columns, strict=True))], definitions, labels=labels, keep=keep)


def _print_choices(block: Block, sort: str) -> None:
    """What each option of a grid is worth, in a block of lines a setting; nothing where there was no grid."""
    column, lines = COLUMNS.get(sort), block.choices(sort) if sort in COLUMNS else []
    if column is None or not lines:
        return
    digits, blocks = column.digits, []
    for setting in dict.fromkeys(line.setting for line in lines):
        rows: list[list[Cell]] = []
        same = [line for line in lines if line.setting == setting]
        for line in same:
            effect = "best" if line.is_best else _effect(line.difference, line, digits)
            effect = "equal" if not any(other.is_best for other in same) else effect
            numbers = [str(line.runs), f"{line.mean:.{digits}f}", effect, str(line.pairs)]
            words = [setting if not rows else "", line.option]
            rows.append([Cell(text, best=line.is_best and text == "best") for text in (*words, *numbers)])
        blocks.append(rows)
    print("which choice mattered:")
    headings = ["setting", "option", "runs", column.heading, "all else equal", "pairs"]
    print_blocks(headings, blocks, {"all else equal": DEFINITION}, labels=2)
    print()


def _with_deviations(entries: list[Entry], name: str) -> list[Cell]:
    cells = figure_cells(COLUMNS[name], [entry.figures.get(name, math.nan) for entry in entries])
    spread = [entry.deviations.get(name) for entry in entries]
    digits = COLUMNS[name].digits
    return [
        Cell(cell.text + ("" if deviation is None else f" +- {deviation:.{digits}f}"), cell.best)
        for cell, deviation in zip(cells, spread, strict=True)
    ]


def _to_the_best(block: Block, name: str) -> list[Cell]:
    digits = COLUMNS[name].digits
    cells = []
    best = block.lines[block.best[name]].figures[name]
    word = "equal" if all(line.figures.get(name) == best for line in block.lines) else "best"
    for place, difference in enumerate(block.differences[name][: len(block.entries)]):
        if block.lines[place].figures[name] == best:
            cells.append(Cell(word))
        elif not difference.images:
            cells.append(Cell("-"))
        else:
            cells.append(Cell(_effect(difference.mean, difference, digits)))
    return cells


def _effect(value: float, found: Choice | Difference, digits: int) -> str:
    """A difference and its interval, as ``-0.37 [-0.49, -0.28]``; ~ before it where the difference may be none."""
    digits = shown_digits(found.low, found.high, digits)
    bounds = f" [{found.low:+.{digits}f}, {found.high:+.{digits}f}]" if math.isfinite(found.low) else ""
    return f"{'' if found.is_real else '~ '}{value:+.{digits}f}{bounds}"


def ranks(entries: list[Entry], sort: str) -> list[int]:
    """1 for the best; entries with equal figures share a rank."""
    values = [entry.figures.get(sort, math.nan) for entry in entries]
    return [values.index(value) + 1 if math.isfinite(value) else place + 1 for place, value in enumerate(values)]


def _count(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def write_csv(report: Report, path: Path) -> None:
    """Write every entry, every digit kept: columns for figures, deviations over seeds, intervals, differing keys."""
    lines: list[dict[str, Any]] = []
    for block in report.blocks:
        for rank, entry in zip(ranks(block.entries, report.sort), block.entries, strict=True):
            line: dict[str, Any] = {"manifest": block.manifest or "", "rank": rank, "run": entry.name}
            line["folder"] = entry.runs[0].folder
            line |= {"seeds": len(entry.runs), "images": block.images, **entry.counts}
            for name, value in entry.figures.items():
                if not math.isnan(value):
                    line[name] = int(value) if name in ("parameters", "updates") else value
                if name in entry.deviations:
                    line[f"{name}_deviation"] = entry.deviations[name]
                if interval := entry.intervals().get(name):
                    line[f"{name}_low"], line[f"{name}_high"] = interval
            lines.append(line | entry.found)
    write_table(path, list(dict.fromkeys(key for line in lines for key in line)), lines)
