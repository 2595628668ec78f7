"""What a terminal of any width gets: numbers and names whole, as many columns as fit, and the names of the others."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from inpaint.evaluation import terminal
from inpaint.evaluation.intervals import aggregate
from inpaint.evaluation.table import print_table
from inpaint.evaluation.terminal import Cell, print_blocks
from tests.evaluation.records import RECORDS, record

NAME = "runs/2026-03-01/10-00-00"
HEADINGS = ["run", "hole L1 (%)", "hole PSNR (dB)", "", "ms per image", "updates"]
LINES = [[Cell(text) for text in (NAME, "12.34", "20.00", "±1.50", "123.4", "12,000")]] * 2
DEFINITIONS = {"hole L1": "lower is better", "ms per image": "time", "updates": "batches"}


def shown(width: int, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> str:
    monkeypatch.setattr(terminal, "Console", lambda **options: Console(**options, force_terminal=True, width=width))
    file = io.StringIO()
    print_blocks(HEADINGS, [LINES], DEFINITIONS, labels=1, file=file, **settings)
    return re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())


@pytest.mark.parametrize("width", [50, 60, 80, 200])
def test_a_terminal_gets_whole_names_and_numbers_and_as_many_columns_as_fit(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(width, monkeypatch)
    table = text.partition("\n\n")[0]
    assert all(len(line.rstrip()) <= width for line in text.splitlines()) and "…" not in text
    assert table.count(NAME) == table.count("12.34") == 2
    for heading, value in (("hole PSNR (dB)", "±1.50"), ("ms per image", "123.4"), ("updates", "12,000")):
        is_named = heading in " ".join(text.partition("not shown")[2].split())
        assert (value in table) != is_named and (value in table or width < 80), heading
    assert ("time" in text) == ("123.4" in table), "no definition of what is not there"


def test_what_ranks_is_left_out_last(monkeypatch: pytest.MonkeyPatch) -> None:
    table = shown(50, monkeypatch, keep=["updates"]).partition("\n\n")[0]
    assert "12,000" in table and "±1.50" not in table


def test_a_name_that_is_wider_than_the_terminal_is_broken_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(20, monkeypatch)
    assert "12.34" in text and NAME in re.sub(r"\s|12\.34", "", text)


def test_the_best_is_bold_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"force_terminal": True, "color_system": "standard", "width": 80}
    monkeypatch.setattr(terminal, "Console", lambda **given: Console(**given, **options))
    file = io.StringIO()
    print_table(aggregate(RECORDS), file=file)
    assert re.search(r"\x1b\[1;32m *24\.50\x1b", file.getvalue())
    assert not re.search(r"\x1b\[1;32m *20\.00\x1b", file.getvalue())


def test_columns_is_obeyed_where_there_is_no_terminal_and_a_file_has_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = aggregate(
        record(f"a_method_of_some_length_{n}", i, 0.05, psnr=20.0 + n) for n in (0, 1) for i in range(9)
    )

    def printed() -> list[str]:
        file = io.StringIO()
        print_table(results, file=file)
        return [line.rstrip() for line in file.getvalue().splitlines()]

    monkeypatch.delenv("COLUMNS", raising=False)
    whole = printed()
    assert max(map(len, whole)) > 80 and not any("not shown" in line for line in whole)
    monkeypatch.setenv("COLUMNS", "80")
    narrow = printed()
    assert max(map(len, narrow)) <= 80 and any("not shown" in line for line in narrow)
    assert sum("a_method_of_some_length_1" in line for line in narrow) == 2
