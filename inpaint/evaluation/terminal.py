"""Tables in a terminal: as wide as it is, numbers and names whole, and what had no room is said.

Imports no torch, so that `inpaint-compare` starts at once.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inpaint.settings import printable

FILE_WIDTH = 100  # of what is no terminal, at least


@dataclass(frozen=True)
class Cell:
    """A printed value, whether it is the best of its column, and whether it is really better than the second best.

    half: half of its interval as printed, where that is shown.
    """

    text: str
    best: bool = False
    is_real: bool = False
    half: str = ""


Blocks = Sequence[Sequence[Sequence[Cell]]]


def print_blocks(
    headings: Sequence[str],
    blocks: Blocks,
    definitions: Mapping[str, str],
    *,
    labels: int,
    keep: Sequence[str] = (),
    file: TextIO | None = None,
) -> None:
    """Print blocks of lines, apart from each other, and the definitions dimmed below.

    The first `labels` columns are words and may break into lines between words; the others are numbers and never do;
    one without a heading continues the one before. A terminal, or ``COLUMNS`` where there is none, says how wide the
    table may be: the last columns of numbers that do not fit are left out with their definitions, and named below. A
    file without ``COLUMNS`` is as wide as the table needs.

    Args:
        keep: headings that are left out last.
        file: standard output if None.
    """
    console = Console(file=file, highlight=False)
    limited = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    figures = _figures(headings, labels)
    left_out: list[list[int]] = []

    def needed(whole_words: bool) -> Table:
        shown = [*range(labels), *(place for figure in figures if figure not in left_out for place in figure)]
        return _table(headings, blocks, labels, shown, whole_words)

    table = needed(True)
    if limited:
        order = sorted(figures[1:], key=lambda figure: (headings[figure[0]] not in keep, figure[0]))
        while order and _minimum(console, table) > console.width:
            left_out.append(order.pop())
            table = needed(True)
        if (minimum := _minimum(console, table)) > console.width:  # names that are wider than all of it
            table = needed(False)
            minimum = _minimum(console, table)
        console.width = max(console.width, minimum)
    else:
        maximum = console.measure(table, options=console.options.update(max_width=10_000)).maximum
        console.width = max(FILE_WIDTH, maximum)
    console.print(table)
    console.print()
    absent = [headings[figure[0]] for figure in figures if figure in left_out]
    footer = Table.grid(padding=(0, 2))
    for title, definition in definitions.items():
        if not any(heading == title or heading.startswith(f"{title} (") for heading in absent):
            footer.add_row(Text(printable(title)), Text(printable(definition), overflow="fold"), style="dim")
    if absent:
        text = f"{', '.join(absent)}: in {console.width} columns there is no room for them (COLUMNS=200 makes some)"
        footer.add_row(Text("not shown"), Text(printable(text), overflow="fold"), style="dim")
    console.print(footer)


def _figures(headings: Sequence[str], labels: int) -> list[list[int]]:
    """The columns of numbers, each with those that continue it."""
    figures: list[list[int]] = []
    for place in range(labels, len(headings)):
        if headings[place] or not figures:
            figures.append([place])
        else:
            figures[-1].append(place)
    return figures


def _table(headings: Sequence[str], blocks: Blocks, labels: int, shown: Sequence[int], whole_words: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for place in shown:
        heading = printable(headings[place].replace(" (", "\n(").replace(" per ", " per\n"))
        texts = [*heading.split("\n"), *(printable(line[place].text) for block in blocks for line in block)]
        if place >= labels:
            table.add_column(heading, justify="right" if headings[place] else "left", min_width=max(map(len, texts)))
        else:
            words = [len(word) for text in texts for word in text.split()]
            table.add_column(heading, overflow="fold", min_width=max(words, default=0) if whole_words else None)
    for block in blocks:
        for line in block:
            cells = (line[place] for place in shown)
            table.add_row(*(Text(printable(cell.text), style="bold green" if cell.best else "") for cell in cells))
        table.add_section()
    return table


def _minimum(console: Console, table: Table) -> int:
    return console.measure(table, options=console.options.update(max_width=10_000)).minimum
