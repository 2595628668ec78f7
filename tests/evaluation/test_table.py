"""The ways a table is written: what is read back is what was written, and a reader sees what is real."""

import io
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from inpaint.evaluation.intervals import ALL, Results, aggregate
from inpaint.evaluation.table import (
    SHOWN,
    as_json,
    figure_cells,
    latex,
    markdown,
    print_table,
    read_csv,
    write_csv,
)
from inpaint.metrics.columns import COLUMNS
from tests.evaluation.records import RECORDS, record


def compared(pictures: int = 40, second: float = 0.5) -> Results:
    """Three methods of which b is `second` dB better than a on every picture but for noise, and c as good as a."""
    generator = random.Random(0)
    hard = [generator.gauss(25, 5) for _ in range(pictures)]
    return aggregate(
        record(method, i, 0.05 if i % 2 else 0.45, psnr=value + shift + generator.gauss(0, 0.1), l2=1.0 + i)
        for method, shift in (("a", 0.0), ("b", second), ("c", 0.0))
        for i, value in enumerate(hard)
    )


def test_no_rows_no_trouble(tmp_path: Path) -> None:
    write_csv([], tmp_path / "results.csv")
    assert read_csv(tmp_path / "results.csv") == []
    print_table(Results([]), file=io.StringIO())
    assert as_json(Results([]))["rows"] == as_json(Results([]))["differences"] == []
    latex(Results([]))
    markdown(Results([]))


@pytest.mark.parametrize("pictures", [5, 40])
def test_csv_gives_every_digit_back(pictures: int, tmp_path: Path) -> None:
    rows = aggregate([record('method, "quoted"', i, i / 41, psnr=1 / (i + 3)) for i in range(pictures)]).rows
    write_csv(rows, tmp_path / "results.csv")
    assert read_csv(tmp_path / "results.csv") == rows
    header = (tmp_path / "results.csv").read_text().splitlines()[0]
    if pictures == 5:  # too few for intervals
        assert header == "area,method,images,perfect,broken,hole_l1,hole_psnr,psnr,ssim,ms"
    else:
        assert ",psnr,psnr_low,psnr_high,ssim," in header and header.endswith(",ms")


def test_csv_of_the_format_without_intervals_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("area,method,images,perfect,hole_l1,hole_psnr,psnr,ssim,ms\nall,telea,3,1,4.5,20.0,,0.9,1.0\n")
    (row,) = read_csv(path)
    assert row.means["hole_l1"] == 4.5 and math.isnan(row.means["psnr"]) and row.low == row.high == {}


def test_json_has_everything() -> None:
    results = compared()
    content = json.loads(json.dumps(as_json(results), allow_nan=False))
    for row, line in zip(results.rows, content["rows"], strict=True):
        assert (line["area"], line["method"], line["images"]) == (row.area, row.method, row.images)
        for name, mean in row.means.items():
            ends = {"low": row.low[name], "high": row.high[name]} if name in row.low else {}
            assert line[name] == {"mean": mean} | ends
    for (contrast, found), line in zip(results.differences.items(), content["differences"], strict=True):
        assert [*line.values()] == [*contrast, *found]
    definitions = content["definitions"]
    assert definitions["psnr"]["definition"] == COLUMNS["psnr"].definition and definitions["psnr"]["unit"] == "dB"


def test_what_is_drawn_for_intervals_stands_with_the_table_and_is_stored() -> None:
    results = aggregate([record("a", i, 0.05, psnr=float(i)) | {"photograph": i // 4} for i in range(40)])
    said = "95 % interval: percentile bootstrap, 2000 draws of the 10 photographs, each with its crops"
    for text in (markdown(results), latex(results), " ".join(printed(results).split())):
        assert said in text
    assert as_json(results)["interval"] == results.interval and said.endswith(results.interval.partition(";")[0])


def test_a_difference_of_nothing_has_no_minus_sign() -> None:
    """100 - 100 the other way round is -0.0."""
    results = aggregate([record(method, i, 0.05, recognised=100.0) for method in "ab" for i in range(8)])
    assert "+0.0 [+0.0, +0.0]" in markdown(results, ["recognised"]) and "-0.0" not in markdown(results, ["recognised"])


def test_a_long_word_in_a_note_is_not_cut() -> None:
    address = f"https://example.org/{'x' * 150}/weights.pt"
    assert address in printed(aggregate(RECORDS), [f"put {address} there"]).replace("\n", "").replace(" ", "")


def test_json_has_the_differences_of_every_pair() -> None:
    pairs = {(found["method"], found["reference"]) for found in as_json(compared())["differences"]}
    assert pairs == {("a", "b"), ("a", "c"), ("b", "c")}


def test_json_has_null_for_what_is_no_number() -> None:
    content = json.loads(json.dumps(as_json(Results(all_perfect().rows)), allow_nan=False))
    assert content["rows"][0]["psnr"] == {"mean": None}


def all_perfect() -> Results:
    """Rows whose PSNRs are averages over nothing."""
    return aggregate([record("copy", i, 0.05, hole_psnr=math.inf, psnr=math.inf) for i in range(2)])


def test_an_average_over_nothing_is_an_empty_field(tmp_path: Path) -> None:
    write_csv(all_perfect().rows, tmp_path / "results.csv")
    assert "copy,2,2,0,1.0,,,1.0,1.0" in (tmp_path / "results.csv").read_text()
    assert math.isnan(read_csv(tmp_path / "results.csv")[0].means["psnr"])


def test_a_csv_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_csv(aggregate(RECORDS).rows, path)
    path.write_text(path.read_text().rpartition(",")[0])
    with pytest.raises(ValueError, match="cut short"):
        read_csv(path)


def printed(results: Results, notes: Sequence[str] = ()) -> str:
    """What a file gets."""
    file = io.StringIO()
    print_table(results, notes=notes, file=file)
    return file.getvalue()


@pytest.fixture(autouse=True)
def no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets tables of any width, unless COLUMNS says otherwise."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("write", [markdown, printed])
def test_no_inf_and_no_nan_is_ever_shown(write: Any) -> None:
    text = write(all_perfect())
    assert not re.search(r"\b(inf|nan)\b", text)
    assert len(re.findall(r" - ", text)) >= 4  # two PSNRs in two rows
    assert "perfect" in text


@pytest.mark.parametrize("write", [markdown, printed])
def test_definitions_stand_below(write: Any) -> None:
    text = write(aggregate(RECORDS))
    for name in SHOWN:
        assert " ".join(COLUMNS[name].definition.split()) in " ".join(text.split())
    assert text.index("hole area") < text.index(COLUMNS["hole_l1"].definition)


def test_perfect_is_a_column_only_where_there_are_any() -> None:
    assert "perfect" in markdown(aggregate(RECORDS))
    assert "perfect" not in markdown(aggregate([record("a", 0, 0.05)]))


def test_markdown() -> None:
    lines = markdown(aggregate(RECORDS)).splitlines()
    assert lines[0] == (
        "| hole area | method | images | hole L1 (%) | hole PSNR (dB) | PSNR (dB) | SSIM | ms per image | perfect |"
    )
    assert lines[2] == "| 0-10 % | telea | 2 | **4.00** | 20.00 | 30.00 | 1.0000 | 1.0 | 1 |"
    assert lines[3] == "| 0-10 % | gan [l1,style] | 2 | 5.50 | **24.50** | **34.50** | 1.0000 | 1.0 |  |"
    table_alone = "\n".join(lines).partition("\n\n")[0].splitlines()
    assert len({line.count("|") for line in table_alone}) == 1


def test_markdown_keeps_a_bar_inside_its_cell() -> None:
    assert r"| a\|b |" in markdown(aggregate([record("a|b", 0, 0.05)]))


def test_a_name_is_neither_a_link_nor_a_picture_nor_html_in_markdown() -> None:
    """As an editor shows it, which would ask the address."""
    name = "![x](http://h/i) [y](http://h) <img src=http://h/i> \\\n| z"
    text = markdown(aggregate([record(name, 0, 0.05)]), notes=[name])
    assert not re.search(r"(?<!\\)(\]\(|<)", text) and r"![x\](http" in text and "\n| z" not in text


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


def test_a_usual_table_is_at_most_120_columns_wide() -> None:
    results = aggregate(
        record(
            method,
            i,
            i / 50,
            hole_psnr=20 + i / 7,
            psnr=(30 + i / 7) if i else math.inf,
            hole_l1=i / 3,
            ssim=1 / i if i else 1,
        )
        for method in ("residual_unet", "nearest_patch")
        for i in range(40)
    )
    assert "±" in printed(results) and "perfect" in printed(results)
    assert max(len(line.rstrip()) for line in printed(results).splitlines()) <= 120


def test_intervals_stand_with_all_pictures_only() -> None:
    lines = printed(compared()).splitlines()
    whole = next(place for place, line in enumerate(lines) if line.startswith("all"))
    assert not any("±" in line for line in lines[:whole]) and all("±" in line for line in lines[whole : whole + 3])
    results = compared()
    row = next(row for row in results.rows if row.area == ALL and row.method == "b")
    half = (row.high["psnr"] - row.low["psnr"]) / 2
    assert re.search(rf"b +40 .* {row.means['psnr']:.2f} +±{half:.2f} †", printed(results))
    assert f"| b | 40 | 1.00 ± 0.00 | 1.00 ± 0.00 | **{row.means['psnr']:.2f} ± {half:.2f}** † |" in markdown(results)
    assert f"\\textbf{{{row.means['psnr']:.2f}}} $\\pm$ {half:.2f}$^\\dagger$" in latex(results)


@pytest.mark.parametrize("write", [markdown, printed, latex])
def test_the_best_is_marked_where_it_is_really_better_than_the_second(write: Any) -> None:
    mark = "dagger$" if write is latex else "†"
    real, unreal = write(compared(second=0.5)), write(compared(second=0.0))
    assert mark in real and mark not in unreal
    if write is printed:
        assert all(mark in line for line in real.splitlines() if re.match(r" +b ", line))
    assert "really" in real or "better than the second best" in real


def test_the_mark_says_of_lower_is_better_what_it_means() -> None:
    generator = random.Random(0)
    results = aggregate(
        record(method, i, 0.05, hole_l1=5 + i % 7 + shift + generator.gauss(0, 0.1))
        for method, shift in (("worse", 1.0), ("better", 0.0))
        for i in range(30)
    )
    lines = [line for line in markdown(results).splitlines() if line.startswith("| all |")]
    assert "†" not in lines[0] and "†" in lines[1]


def test_notes_stand_with_the_table() -> None:
    notes = ["missing=skip: 3 of 40 pictures are left out", "masks: c was trained with others"]
    for text in (printed(compared(), notes), markdown(compared(), notes=notes)):
        assert all(note in text for note in notes)


def test_markdown_has_further_figures_and_the_differences_to_the_first() -> None:
    results = compared()
    text = markdown(results)
    found = results.difference(ALL, "psnr", "b", "a")
    assert found is not None
    assert f"**{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]**" in text and "Paired differences to a" in text
    assert re.search(r"\| L2 \(%\) \| 20\.500 ± \d\.\d{3} ", text) or "| L2 (%) | **20.500" in text
    assert COLUMNS["l2"].definition in text
    assert "| MS-SSIM" not in text  # nobody has it


def test_columns_are_chosen() -> None:
    results = compared()
    for text in (latex(results, ["l2"]), markdown(results, ["l2"]).split("Further")[0]):
        assert "L2" in text and "SSIM" not in text
    file = io.StringIO()
    print_table(results, ["l2"], file=file)
    assert "L2" in file.getvalue() and "SSIM" not in file.getvalue()


def test_latex_has_a_row_a_method_between_rules() -> None:
    records = [record("a_b & 50% {x} \\y", i, i / 100, psnr=float(i + 1)) for i in range(20)]
    records += [record("other", i, i / 100, psnr=float(i)) for i in range(20)]
    lines = [line for line in latex(aggregate(records)).splitlines() if not line.startswith("%")]
    assert lines[0] == "\\begin{tabular}{lrrrrr}"
    assert (lines[1], lines[3], lines[-2], lines[-1]) == ("\\toprule", "\\midrule", "\\bottomrule", "\\end{tabular}")
    assert lines[4].startswith("a\\_b \\& 50\\% \\{x\\} \\textbackslash{}y & ") and lines[5].startswith("other & ")
    assert {line.replace("\\&", "").count("&") for line in lines[2:3] + lines[4:6]} == {5}
    assert "PSNR (dB) $\\uparrow$" in lines[2] and "hole L1 (\\%) $\\downarrow$" in lines[2]
    said = [line for line in latex(aggregate(records)).splitlines() if line.startswith("%")]
    assert any(COLUMNS["ssim"].definition in line for line in said)


def test_each_bucket_is_named_once() -> None:
    assert len(re.findall(r"10-20 %", printed(aggregate(RECORDS)))) == 1


def test_torch_is_not_imported() -> None:
    code = "import sys, inpaint.evaluation.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
