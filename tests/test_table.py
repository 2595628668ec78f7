"""Averages by hole area and method, against sums by hand, and the three ways they are written."""

import io
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from inpaint import table
from inpaint.metrics.columns import COLUMNS
from inpaint.table import ALL, Row, aggregate, bucket, figure_cells, markdown, print_table, read_csv, write_csv


def record(method: str, index: int, area: float, **figures: float) -> dict[str, Any]:
    """One picture; figures that are not given are 1."""
    return {"method": method, "index": index, "area": area, **dict.fromkeys(COLUMNS, 1.0), **figures}


RECORDS = [
    record("telea", 0, 0.05, hole_psnr=20.0, psnr=30.0, hole_l1=8.0),
    record("telea", 1, 0.08, hole_psnr=math.inf, psnr=math.inf, hole_l1=0.0),
    record("telea", 2, 0.10, hole_psnr=18.0, psnr=28.0, hole_l1=9.0),
    record("gan [l1,style]", 0, 0.05, hole_psnr=24.0, psnr=34.0, hole_l1=6.0),
    record("gan [l1,style]", 1, 0.08, hole_psnr=25.0, psnr=35.0, hole_l1=5.0),
    record("gan [l1,style]", 2, 0.10, hole_psnr=23.0, psnr=33.0, hole_l1=7.0),
]


@pytest.mark.parametrize(
    ("area", "name"),
    [(0.0, "0-10 %"), (0.0999, "0-10 %"), (0.1, "10-20 %"), (0.999, "90-100 %"), (1.0, "90-100 %")],
)
def test_bucket_edges(area: float, name: str) -> None:
    assert bucket(area) == name


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_exact_tenth_opens_its_bucket_in_any_precision(tenth: int, dtype: type) -> None:
    assert bucket(float(dtype(tenth / 10))) == f"{10 * tenth}-{10 * tenth + 10} %"
    if tenth:  # one pixel less of a picture of 1024 x 1024
        assert bucket(float(dtype(tenth / 10 - 2**-20))) == f"{10 * tenth - 10}-{10 * tenth} %"


def test_averages_by_hand() -> None:
    rows = aggregate(RECORDS)
    assert [(row.area, row.method, row.images, row.perfect) for row in rows] == [
        ("0-10 %", "telea", 2, 1),
        ("0-10 %", "gan [l1,style]", 2, 0),
        ("10-20 %", "telea", 1, 0),
        ("10-20 %", "gan [l1,style]", 1, 0),
        (ALL, "telea", 3, 1),
        (ALL, "gan [l1,style]", 3, 0),
    ]
    assert rows[0].means["hole_l1"] == pytest.approx(4)  # the perfect picture counts,
    assert rows[0].means["hole_psnr"] == pytest.approx(20)  # except in decibels
    assert rows[1].means["hole_psnr"] == pytest.approx(24.5)
    assert rows[4].means == pytest.approx({"hole_l1": 17 / 3, "hole_psnr": 19, "psnr": 29, "ssim": 1, "ms": 1})


def test_buckets_go_up_in_number_and_only_those_with_pictures() -> None:
    rows = aggregate([record("a", i, area) for i, area in enumerate((0.95, 0.31, 0.05))])
    assert [row.area for row in rows] == ["0-10 %", "30-40 %", "90-100 %", ALL]


def test_nan_and_infinity_are_in_no_average() -> None:
    empty = record("a", 0, 0.0, hole_l1=math.nan, hole_psnr=math.nan, psnr=math.inf, ssim=1.0)
    rows = aggregate([empty, record("a", 1, 0.05, hole_l1=3.0, hole_psnr=20.0, psnr=30.0, ssim=0.5)])
    assert rows[0].means == pytest.approx({"hole_l1": 3, "hole_psnr": 20, "psnr": 30, "ssim": 0.75, "ms": 1})


def test_a_sample_counts_once_and_the_first_counts() -> None:
    rows = aggregate([record("a", 0, 0.05, psnr=30.0), record("a", 1, 0.05, psnr=20.0), record("a", 0, 0.05, psnr=0.0)])
    assert rows[0].images == 2
    assert rows[0].means["psnr"] == pytest.approx(25)


def test_no_records_no_rows(tmp_path: Path) -> None:
    assert aggregate([]) == []
    write_csv([], tmp_path / "results.csv")
    assert read_csv(tmp_path / "results.csv") == []
    print_table([], io.StringIO())


def test_csv_gives_every_digit_back(tmp_path: Path) -> None:
    rows = aggregate([record('method, "quoted"', i, i / 7, psnr=1 / (i + 3)) for i in range(5)])
    write_csv(rows, tmp_path / "results.csv")
    assert read_csv(tmp_path / "results.csv") == rows
    header = (tmp_path / "results.csv").read_text().splitlines()[0]
    assert header == "area,method,images,perfect,hole_l1,hole_psnr,psnr,ssim,ms"


def all_perfect() -> list[Row]:
    """Rows whose PSNRs are averages over nothing."""
    return aggregate([record("copy", i, 0.05, hole_psnr=math.inf, psnr=math.inf) for i in range(2)])


def test_an_average_over_nothing_is_an_empty_field(tmp_path: Path) -> None:
    write_csv(all_perfect(), tmp_path / "results.csv")
    assert "copy,2,2,1.0,,,1.0,1.0" in (tmp_path / "results.csv").read_text()
    assert math.isnan(read_csv(tmp_path / "results.csv")[0].means["psnr"])


def test_a_csv_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_csv(aggregate(RECORDS), path)
    path.write_text(path.read_text().rpartition(",")[0])
    with pytest.raises(ValueError, match="cut short"):
        read_csv(path)


def printed(rows: list[Row]) -> str:
    """What a file gets."""
    file = io.StringIO()
    print_table(rows, file)
    return file.getvalue()


@pytest.mark.parametrize("write", [markdown, printed])
def test_no_inf_and_no_nan_is_ever_shown(write: Any) -> None:
    text = write(all_perfect())
    assert not re.search(r"\b(inf|nan)\b", text)
    assert len(re.findall(r" - ", text)) >= 4  # two PSNRs in two rows
    assert "perfect" in text


@pytest.mark.parametrize("write", [markdown, printed])
def test_definitions_stand_below(write: Any) -> None:
    text = write(aggregate(RECORDS))
    for column in COLUMNS.values():
        assert " ".join(column.definition.split()) in " ".join(text.split())
    assert text.index("hole area") < text.index(COLUMNS["hole_l1"].definition)


def test_perfect_is_a_column_only_where_there_are_any() -> None:
    assert "perfect" in markdown(aggregate(RECORDS))
    assert "perfect" not in markdown(aggregate([record("a", 0, 0.05)]))


def test_markdown() -> None:
    lines = markdown(aggregate(RECORDS)).splitlines()
    assert lines[0] == (
        "| hole area | method | images | hole L1 (%) | hole PSNR (dB) | PSNR (dB) | SSIM | ms per image | perfect |"
    )
    assert lines[2] == "| 0-10 % | telea | 2 | **4.00** | 20.00 | 30.00 | **1.0000** | **1.0** | 1 |"
    assert lines[3] == "| 0-10 % | gan [l1,style] | 2 | 5.50 | **24.50** | **34.50** | **1.0000** | **1.0** |  |"
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_markdown_keeps_a_bar_inside_its_cell() -> None:
    assert r"| a\|b |" in markdown(aggregate([record("a|b", 0, 0.05)]))


def test_best_is_what_prints_as_the_best_where_there_is_a_choice() -> None:
    psnr, l1 = COLUMNS["psnr"], COLUMNS["hole_l1"]
    assert [cell.best for cell in figure_cells(psnr, [20.001, 20.004, 19.0, math.nan])] == [True, True, False, False]
    assert [cell.best for cell in figure_cells(l1, [2.0, 1.0, 3.0])] == [False, True, False]
    assert [cell.best for cell in figure_cells(psnr, [20.0, math.nan])] == [False, False]


def test_a_file_gets_every_cell_whole() -> None:
    long = "a method with a name far longer than anybody would give it [l1,style,perceptual,feature_matching]"
    text = printed(aggregate([*RECORDS, record(long, 0, 0.05)]))
    assert long in text
    assert "gan [l1,style]" in text  # not taken for rich's markup
    assert "…" not in text
    assert "\x1b" not in text


def test_a_usual_table_is_at_most_100_columns_wide() -> None:
    assert max(len(line.rstrip()) for line in printed(aggregate(RECORDS)).splitlines()) <= 100


@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_terminal_gets_every_number_whole_and_the_best_in_bold(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminal(**options: Any) -> Console:
        return Console(**options, force_terminal=True, color_system="standard", width=width)

    monkeypatch.setattr(table, "Console", terminal)
    text = printed(aggregate(RECORDS))
    for number in ("20.00", "24.50", "29.00", "1.0000"):
        assert number in text
    assert "…" not in text
    assert re.search(r"\x1b\[1;32m *24\.50\x1b", text)
    assert not re.search(r"\x1b\[1;32m *20\.00\x1b", text)


def test_each_bucket_is_named_once() -> None:
    assert len(re.findall(r"10-20 %", printed(aggregate(RECORDS)))) == 1


def test_torch_is_not_imported() -> None:
    code = "import sys, inpaint.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[1]).returncode == 0
