"""The evaluation table as CSV, JSON, Markdown, LaTeX and in a terminal.

Imports no torch, so that `inpaint-compare` starts at once. The terminal shows some columns, `SHOWN` if
nothing else is asked for; the files have all of them.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from inpaint.evaluation.intervals import ALL, Results, Row
from inpaint.evaluation.terminal import Cell, print_blocks
from inpaint.files import untrusted
from inpaint.files.writing import write_table
from inpaint.metrics.columns import COLUMNS, Column
from inpaint.settings import Refused

COUNTS = ("area", "method", "images", "perfect", "broken")  # of a row, before its figures
SHOWN = ("hole_l1", "hole_psnr", "psnr", "ssim", "ms")
# Where there are any, of methods that paint from noise.
OF_NOISE = ("best_hole_psnr", "swd", "diversity", *(name for name in COLUMNS if name.startswith("diversity_")))
OF_CLIPS = ("warping_error", "warping_error_of_truth", "tof")  # likewise, of clips
IMAGES = "pictures, rounded to 8 bits, each counted once; averages leave infinite PSNRs out"
COUNTED = {  # columns of a table where any row has such pictures
    "perfect": "pictures equal to the truth in every 8-bit pixel, hence of infinite PSNR",
    "broken": "pictures with NaN or infinite pixels, which have no figures: a method has no average over a hole area "
    "with one",
}
HALF = "half of the 95 % interval"
REAL = "better than the second best: the 95 % interval of the paired difference leaves 0 out"
DAGGER = "†"


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line for each hole area and method, every digit kept; an average over nothing is an empty field.

    A figure that has intervals is followed by ``<figure>_low`` and ``<figure>_high``, the ends of its 95 % interval.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.means))
    having_intervals = {name for row in rows for name in row.low}
    columns = []
    for name in names:
        columns.append((name, "means"))
        if name in having_intervals:
            columns += [(name, "low"), (name, "high")]
    headings = [name if kind == "means" else f"{name}_{kind}" for name, kind in columns]

    def fields(row: Row) -> dict[str, Any]:
        values = [getattr(row, kind).get(name, math.nan) for name, kind in columns]
        shown = ["" if math.isnan(value) else value for value in values]
        return {name: getattr(row, name) for name in COUNTS} | dict(zip(headings, shown, strict=True))

    write_table(path, [*COUNTS, *headings], map(fields, rows))


def read_csv(path: Path) -> list[Row]:
    """What `write_csv` wrote, also when it knew no intervals and counted no broken pictures.

    Raises:
        ValueError, KeyError, csv.Error: the file is something else, or cut short.
    """
    lines = untrusted.read_table(path, untrusted.TEXT)
    if any(None in line.values() for line in lines):
        raise Refused("a line is cut short")

    def ends(line: Mapping[str, str], end: str) -> dict[str, float]:
        return {name: float(line[f"{name}_{end}"]) for name in COLUMNS if line.get(f"{name}_{end}")}

    return [
        Row(
            area=line["area"],
            method=line["method"],
            images=int(line["images"]),
            perfect=int(line["perfect"]),
            means={name: float(line[name] or math.nan) for name in COLUMNS if name in line},
            low=ends(line, "low"),
            high=ends(line, "high"),
            broken=int(line.get("broken") or 0),
        )
        for line in lines
    ]


def as_json(results: Results) -> dict[str, Any]:
    """Everything as plain lists and dicts: `definitions`, `interval`, `rows` and `differences`; null for NaN."""
    names = list(dict.fromkeys(name for row in results.rows for name in row.means))

    def plain(value: float) -> float | None:
        return value if math.isfinite(value) else None

    def figure(row: Row, name: str) -> dict[str, float | None]:
        ends = {"low": row.low[name], "high": row.high[name]} if name in row.low else {}
        return {"mean": plain(row.means[name]), **ends}

    rows = [
        {"area": row.area, "method": row.method, "images": row.images, "perfect": row.perfect, "broken": row.broken}
        | {name: figure(row, name) for name in row.means}
        for row in results.rows
    ]
    differences = [
        contrast._asdict()
        | {"images": found.images, "mean": plain(found.mean), "low": plain(found.low), "high": plain(found.high)}
        for contrast, found in results.differences.items()
    ]
    definitions = {name: asdict(COLUMNS[name]) for name in names}
    return {"definitions": definitions, "interval": results.interval, "rows": rows, "differences": differences}


# ---- cells ----------------------------------------------------------------------------------------------------------


def figure_cells(column: Column, values: Sequence[float]) -> list[Cell]:
    """The values as printed, ``-`` for NaN; best are those that print as the best one does, unless all of them do."""
    texts = [f"{value:.{column.digits}f}" if math.isfinite(value) else "-" for value in values]
    finite = [value for value in values if math.isfinite(value)]
    if len({text for text in texts if text != "-"}) < 2:
        return [Cell(text) for text in texts]
    best = max(finite) if column.higher_is_better else min(finite)
    return [Cell(text, best=text == f"{best:.{column.digits}f}") for text in texts]


@dataclass(frozen=True)
class Layout:
    """Headings, blocks of lines of cells (a block for each hole area) and the definitions below."""

    headings: list[str]
    blocks: list[list[list[Cell]]]
    definitions: dict[str, str]


def _layout(results: Results, columns: Sequence[str]) -> Layout:
    rows = results.rows
    names = [name for name in columns if any(name in row.means for row in rows)]
    headings = ["hole area", "method", "images", *(COLUMNS[name].heading for name in names)]
    definitions = {"images": IMAGES} | {COLUMNS[name].title: COLUMNS[name].definition for name in names}
    counts = {name: about for name, about in COUNTED.items() if any(getattr(row, name) for row in rows)}
    headings += counts
    definitions |= counts
    blocks = []
    for area in dict.fromkeys(row.area for row in rows):
        block = [row for row in rows if row.area == area]
        cells = [[Cell(row.area) for row in block], [Cell(row.method) for row in block]]
        cells += [[Cell(str(row.images)) for row in block]]
        cells += [_compared(results, block, name) for name in names]
        cells += [[Cell(str(getattr(row, name) or "")) for row in block] for name in counts]
        blocks.append([list(line) for line in zip(*cells, strict=True)])
    if any(cell.half for block in blocks for line in block for cell in line):
        definitions["±"] = f"{HALF}: {results.interval}"
    if any(cell.is_real for block in blocks for line in block for cell in line):
        definitions[DAGGER] = REAL
    return Layout(headings, blocks, definitions)


def _compared(results: Results, block: Sequence[Row], name: str) -> list[Cell]:
    """The cells of one figure in one block, with half intervals in the last, which has the most pictures."""
    column, values = COLUMNS[name], [row.means.get(name, math.nan) for row in block]
    cells = []
    winner = _really_best(results, block, name)
    for row, cell in zip(block, figure_cells(column, values), strict=True):
        half = (
            f"{(row.high[name] - row.low[name]) / 2:.{column.digits}f}" if row.area == ALL and name in row.low else ""
        )
        cells.append(Cell(cell.text, cell.best, row.method == winner, half))
    return cells


def _really_best(results: Results, block: Sequence[Row], name: str) -> str | None:
    """The method that is better than the second best by more than chance, if one is."""
    sign = -1 if COLUMNS[name].higher_is_better else 1
    ranked = sorted(
        (sign * row.means[name], row.method) for row in block if math.isfinite(row.means.get(name, math.nan))
    )
    if len(ranked) < 2:
        return None
    found = results.difference(block[0].area, name, ranked[0][1], ranked[1][1])
    return ranked[0][1] if found is not None and found.is_real and sign * found.mean < 0 else None


# ---- files ----------------------------------------------------------------------------------------------------------


def markdown(results: Results, columns: Sequence[str] = SHOWN, notes: Sequence[str] = ()) -> str:
    """The table as GitHub Markdown: best in bold, then every figure, differences to the first method, definitions."""
    layout = _layout(results, columns)
    parts = [grid(layout.headings, [[marked(cell) for cell in line] for block in layout.blocks for line in block], 2)]
    whole = [row for row in results.rows if row.area == ALL]
    found = [name for name in COLUMNS if any(math.isfinite(row.means.get(name, math.nan)) for row in whole)]
    others = [name for name in found if name not in columns]
    definitions = layout.definitions
    if others:
        lines = [[COLUMNS[name].heading, *map(marked, _compared(results, whole, name))] for name in others]
        parts += ["Further figures, over all pictures:", grid(["", *(_safe(row.method) for row in whole)], lines, 1)]
        definitions = definitions | {COLUMNS[name].title: COLUMNS[name].definition for name in others}
    compared = [name for name in columns if any(contrast.figure == name for contrast in results.differences)]
    if len(whole) > 1 and compared:
        reference = whole[0].method
        lines = [
            [_safe(row.method), *(_signed(results, row.method, reference, name) for name in compared)]
            for row in whole[1:]
        ]
        title = (
            f"Paired differences to {_safe(reference)} over all pictures, with 95 % intervals; bold where 0 is outside:"
        )
        parts += [title, grid(["method", *(COLUMNS[name].heading for name in compared)], lines, 1)]
    if notes:
        parts.append("".join(f"- {_safe(note)}\n" for note in notes))
    parts += ["".join(f"- {title}: {definition}\n" for title, definition in definitions.items())]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def grid(headings: Sequence[str], lines: Sequence[Sequence[str]], labels: int) -> str:
    """A Markdown table; all but the first `labels` columns are numbers."""
    rule = [*["---"] * labels, *["---:"] * (len(headings) - labels)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [headings, rule, *lines])


def _safe(text: str) -> str:
    """A text of anybody's in Markdown: no cell ends in it, and nothing of it is a link, a picture or HTML."""
    return re.sub(r"[|<\\]|\](?=[(\[:])", r"\\\g<0>", " ".join(text.splitlines()))


def marked(cell: Cell) -> str:
    """A cell in Markdown: bold for the best, with its half interval and the dagger."""
    text = _safe(f"{cell.text} ± {cell.half}" if cell.half else cell.text)
    return (f"**{text}**" if cell.best else text) + (f" {DAGGER}" if cell.is_real else "")


def _signed(results: Results, method: str, reference: str, name: str) -> str:
    """A difference with its interval, in bold if it is real."""
    found, digits = results.difference(ALL, name, method, reference), COLUMNS[name].digits
    if found is None:
        return "-"
    # Rounded first, and 0 added, as -0 is 0.
    mean, low, high = (f"{round(value, digits) + 0.0:+.{digits}f}" for value in (found.mean, found.low, found.high))
    text = f"{mean} [{low}, {high}]" if math.isfinite(found.low) else mean
    return f"**{text}**" if found.is_real else text


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def latex(results: Results, columns: Sequence[str] = SHOWN) -> str:
    """One row a method over all pictures, for a paper: a booktabs ``tabular``, the best in bold."""

    def escaped(text: str) -> str:
        return "".join(LATEX.get(letter, letter) for letter in " ".join(text.split()))

    rows = [row for row in results.rows if row.area == ALL]
    names = [name for name in columns if any(name in row.means for row in rows)]
    arrows = ["$\\uparrow$" if COLUMNS[name].higher_is_better else "$\\downarrow$" for name in names]
    headings = [f"{escaped(COLUMNS[name].heading)} {arrow}" for name, arrow in zip(names, arrows, strict=True)]
    cells = [_compared(results, rows, name) for name in names]
    lines = []
    for place, row in enumerate(rows):
        texts = []
        for cell in (column[place] for column in cells):
            text = f"\\textbf{{{cell.text}}}" if cell.best else cell.text
            text += f" $\\pm$ {cell.half}" if cell.half else ""
            texts.append(text + ("$^\\dagger$" if cell.is_real else ""))
        lines.append(" & ".join([escaped(row.method), *texts]))
    images = max((row.images for row in rows), default=0)
    said = [f"{images} {IMAGES}", f"+-: {HALF}: {results.interval}", f"dagger: {REAL}"]
    said += [f"{COLUMNS[name].title}: {COLUMNS[name].definition}" for name in names]
    return "\n".join(
        [
            *(f"% {line}" for line in said),
            f"\\begin{{tabular}}{{l{'r' * len(names)}}}",
            "\\toprule",
            " & ".join(["method", *headings]) + " \\\\",
            "\\midrule",
            *(f"{line} \\\\" for line in lines),
            "\\bottomrule",
            "\\end{tabular}",
            "",
        ]
    )


# ---- the terminal ---------------------------------------------------------------------------------------------------


def print_table(
    results: Results, columns: Sequence[str] = SHOWN, notes: Sequence[str] = (), file: TextIO | None = None
) -> None:
    """Print the table (to standard output if no file is given), the best of each hole area in bold, notes below it."""
    layout = _layout(results, columns)
    for block in layout.blocks:
        for line in block[1:]:
            line[0] = Cell("")  # the hole area stands once, beside the first method
    headings, blocks = layout.headings, layout.blocks
    # What follows a number is a column of its own, so that numbers stand below numbers.
    for place in reversed(range(len(headings))):
        tails = [[_tail(line[place]) for line in block] for block in blocks]
        if any(tail.text for block in tails for tail in block):
            headings = [*headings[: place + 1], "", *headings[place + 1 :]]
            blocks = [
                [[*line[: place + 1], tail, *line[place + 1 :]] for line, tail in zip(block, added, strict=True)]
                for block, added in zip(blocks, tails, strict=True)
            ]
    definitions = layout.definitions | {"note" if n == 0 else " " * n: note for n, note in enumerate(notes)}
    print_blocks(headings, blocks, definitions, labels=2, file=file)


def _tail(cell: Cell) -> Cell:
    """What stands behind a number: its half interval and the dagger."""
    marks = [f"±{cell.half}" if cell.half else "", DAGGER if cell.is_real else ""]
    return Cell(" ".join(filter(None, marks)), cell.best)
