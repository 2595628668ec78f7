"""The evaluation table: figures of single pictures averaged by hole area and method, as CSV, Markdown or in a terminal.

Hole area decides how hard a picture is, so a mean over all pictures says more about the masks than about the method:
the table has one block for each tenth of hole area and one for all pictures. Imports no torch, so that
`inpaint-compare` starts at once.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inpaint.metrics.columns import COLUMNS, Column

IMAGES = "pictures, rounded to 8 bits, each counted once; averages leave infinite PSNRs out"
PERFECT = "pictures equal to the truth in every 8-bit pixel, hence of infinite PSNR"
ALL = "all"


@dataclass(frozen=True)
class Row:
    """The averages of one method over the pictures of one hole area.

    area: the tenth of hole area, as ``10-20 %``, or ``all``.
    images: how many pictures.
    perfect: how many of them equal the truth (their PSNR is infinite).
    means: the average of each figure of `COLUMNS` over the pictures where it is finite; NaN where it is for none.
    """

    area: str
    method: str
    images: int
    perfect: int
    means: dict[str, float]


def bucket(area: float) -> str:
    """The tenth a hole area in [0, 1] belongs to, lower edge included: 0.1 is in ``10-20 %``, 1 in ``90-100 %``."""
    # The tolerance is less than a pixel and more than float32's error: 0.7 in float32 is 0.69999999.
    tenth = min(int(area * 10 + 1e-6), 9)
    return f"{10 * tenth}-{10 * tenth + 10} %"


def aggregate(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Average single pictures by hole area and method.

    Args:
        records: one mapping a method and picture: `method`, `index` (row in the data set), `area` (in [0, 1]) and any
            figures of `COLUMNS`. Of records with the same method and index the first counts: a distributed sampler
            repeats some samples to give every rank as many.

    Returns:
        Rows by rising hole area, then ``all``; within each, the methods in the order of their first record.
    """
    unique = list({(record["method"], record["index"]): record for record in reversed(list(records))}.values())[::-1]
    figures = [name for name in COLUMNS if any(name in record for record in unique)]
    methods = list(dict.fromkeys(record["method"] for record in unique))
    found = {bucket(record["area"]) for record in unique}
    areas = [area for area in (bucket(tenth / 10) for tenth in range(10)) if area in found]
    rows = []
    for area in [*areas, ALL] if areas else []:
        for method in methods:
            group = [r for r in unique if r["method"] == method and area in (ALL, bucket(r["area"]))]
            if group:
                perfect = sum(r.get("psnr") == math.inf for r in group)
                means = {name: _mean([r.get(name, math.nan) for r in group]) for name in figures}
                rows.append(Row(area, method, len(group), perfect, means))
    return rows


def _mean(values: Sequence[float]) -> float:
    finite = [float(value) for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line for each hole area and method, every digit kept; an average over nothing is an empty field."""
    names = list(rows[0].means) if rows else []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["area", "method", "images", "perfect", *names])
        for row in rows:
            means = ["" if math.isnan(row.means[name]) else row.means[name] for name in names]
            writer.writerow([row.area, row.method, row.images, row.perfect, *means])


def read_csv(path: Path) -> list[Row]:
    """What `write_csv` wrote.

    Raises:
        ValueError, KeyError, csv.Error: the file is something else, or cut short.
    """
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file, strict=True))
    if any(None in line.values() for line in lines):
        raise ValueError("a line is cut short")
    return [
        Row(
            area=line["area"],
            method=line["method"],
            images=int(line["images"]),
            perfect=int(line["perfect"]),
            means={name: float(line[name] or math.nan) for name in COLUMNS if name in line},
        )
        for line in lines
    ]


@dataclass(frozen=True)
class Cell:
    """A printed value, and whether it is the best of its column."""

    text: str
    best: bool = False


def figure_cells(column: Column, values: Sequence[float]) -> list[Cell]:
    """The values as printed, ``-`` for NaN; best are those that print as the best one does, if there is any choice."""
    texts = [f"{value:.{column.digits}f}" if math.isfinite(value) else "-" for value in values]
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return [Cell(text) for text in texts]
    best = max(finite) if column.higher_is_better else min(finite)
    return [Cell(text, best=text == f"{best:.{column.digits}f}") for text in texts]


def _layout(rows: Sequence[Row]) -> tuple[list[str], list[list[list[Cell]]], dict[str, str]]:
    """Headings, blocks of lines of cells (a block for each hole area) and the definitions below."""
    names = [name for name in COLUMNS if rows and name in rows[0].means]
    headings = ["hole area", "method", "images", *(COLUMNS[name].heading for name in names)]
    definitions = {"images": IMAGES} | {COLUMNS[name].title: COLUMNS[name].definition for name in names}
    if any_perfect := any(row.perfect for row in rows):
        headings.append("perfect")
        definitions["perfect"] = PERFECT
    blocks = []
    for area in dict.fromkeys(row.area for row in rows):
        block = [row for row in rows if row.area == area]
        columns = [[Cell(row.area) for row in block], [Cell(row.method) for row in block]]
        columns += [[Cell(str(row.images)) for row in block]]
        columns += [figure_cells(COLUMNS[name], [row.means[name] for row in block]) for name in names]
        if any_perfect:
            columns += [[Cell(str(row.perfect or "")) for row in block]]
        blocks.append([list(line) for line in zip(*columns, strict=True)])
    return headings, blocks, definitions


def markdown(rows: Sequence[Row]) -> str:
    """The table as GitHub Markdown, the best of each hole area in bold, the definitions below it."""
    headings, blocks, definitions = _layout(rows)
    lines = [headings, ["---", "---", *["---:"] * (len(headings) - 2)]]
    for block in blocks:
        for line in block:
            texts = [cell.text.replace("|", "\\|") for cell in line]
            lines.append([f"**{text}**" if cell.best else text for text, cell in zip(texts, line, strict=True)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n" + "".join(f"- {title}: {definition}\n" for title, definition in definitions.items())


def print_table(rows: Sequence[Row], file: TextIO | None = None) -> None:
    """Print the table (to standard output if no file is given), the best of each hole area in bold."""
    headings, blocks, definitions = _layout(rows)
    for block in blocks:
        for line in block[1:]:
            line[0] = Cell("")  # the hole area stands once, beside the first method
    print_blocks(headings, blocks, definitions, labels=2, file=file)


def print_blocks(
    headings: Sequence[str],
    blocks: Sequence[Sequence[Sequence[Cell]]],
    definitions: Mapping[str, str],
    *,
    labels: int,
    file: TextIO | None = None,
) -> None:
    """Print blocks of lines, apart from each other, and the definitions dimmed below.

    The first `labels` columns are words and may break into lines; the others are numbers and never do. Nothing is ever
    cut: a file is as wide as the table needs, and a terminal too narrow for the numbers breaks the lines itself.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for position, heading in enumerate(headings):
        two_lines = heading.replace(" (", "\n(").replace(" per ", " per\n")
        if position < labels:
            table.add_column(two_lines, overflow="fold")
        else:
            texts = [*two_lines.split("\n"), *(line[position].text for block in blocks for line in block)]
            table.add_column(two_lines, justify="right", min_width=max(map(len, texts)))
    for block in blocks:
        for line in block:
            table.add_row(*(Text(cell.text, style="bold green" if cell.best else "") for cell in line))
        table.add_section()
    console = Console(file=file, highlight=False)
    needed = console.measure(table, options=console.options.update(max_width=10_000))
    console.width = max(console.width, needed.minimum) if console.is_terminal else max(100, needed.maximum)
    console.print(table)
    console.print()
    footer = Table.grid(padding=(0, 2))
    for title, definition in definitions.items():
        footer.add_row(Text(title), Text(definition), style="dim")
    console.print(footer)
