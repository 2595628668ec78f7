"""The leaderboard of made-up run folders."""

import csv
import json
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from inpaint.compare import compare, main
from inpaint.compare.leaderboard import ranks
from inpaint.compare.paired import paired_differences
from inpaint.metrics.columns import BUILT_IN, COLUMNS, Column
from inpaint.sweep.end import _winner
from tests.compare.folders import add_records, add_validation, changed, make_evaluation, make_run, ranking


def test_best_first_and_everything_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, psnr in (("poor", 19.0), ("good", 24.125), ("fair", 21.0)):
        make_run(tmp_path / "runs" / name, psnr)
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert ranking(text) == ["good", "fair", "poor"]
    for shown in ("24.12", "34.12", "0.8000", "5.00", "4.0", "7.04", "12,000", "hole PSNR", "params"):
        assert shown in text
    assert "99.0" not in text  # the classical method's
    assert "differs in" not in text


def test_sort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "a", 20.0, ssim=0.9)
    make_run(tmp_path / "b", math.nan, ssim=0.8)
    make_run(tmp_path / "c", 24.0, ssim=0.7)
    for column, order in (("ssim", ["a", "b", "c"]), ("hole_psnr", ["c", "a", "b"])):
        main([str(tmp_path), "--sort", column])
        assert ranking(capsys.readouterr().out) == order
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path), "--sort", "beauty"])
    assert stop.value.code == 2
    assert "beauty" in capsys.readouterr().err


SHIFT = {
    "title": "colour shift",
    "unit": "%",
    "digits": 1,
    "higher_is_better": False,
    "definition": "mean colour, painted to true",
    "per": "picture",
}


@pytest.fixture
def columns() -> Iterator[dict[str, Column]]:
    before = dict(COLUMNS)
    yield COLUMNS
    COLUMNS.clear()
    COLUMNS.update(before)


def with_figure(folder: Path, value: float, name: str = "colour_shift", **other: object) -> Path:
    """A run's folder whose tables have a figure of one's own, as `inpaint.evaluation.results` writes it."""
    header, *lines = (folder / "results.csv").read_text().splitlines()
    table = [f"{header},{name},{name}_low,{name}_high", *(f"{line},{value},{value - 1},{value + 1}" for line in lines)]
    (folder / "results.csv").write_text("\n".join(table) + "\n")
    (folder / "results.json").write_text(json.dumps({"definitions": {name: SHIFT | other}, "measured": {}}))
    return folder


def test_figures_of_ones_own_have_their_columns_and_rank(tmp_path, capsys, columns) -> None:
    with_figure(make_run(tmp_path / "a", 24.0), 7.25)
    with_figure(make_run(tmp_path / "b", 20.0), 3.25)
    make_run(tmp_path / "without", 30.0)
    main([str(tmp_path), "--sort", "colour_shift"])
    text = capsys.readouterr().out
    assert ranking(text) == ["b", "a", "without"], "less is better"
    assert "colour shift" in text and " 3.2 " in text and "mean colour, painted to true" in text
    assert "colour shift" in (tmp_path / "comparison.html").read_text()
    assert columns["colour_shift"] == Column(**SHIFT)


@pytest.mark.parametrize(
    ("name", "other", "reason"),
    [
        ("colour_shift", {"higher_is_better": True}, "another figure is called colour_shift"),
        ("colour_shift", {"digits": 400}, "is none of a figure"),
        ("colour_shift", {"title": "\x1b[2J"}, "is none of a figure"),
        ("colour_shift", {"per": "wish"}, "is none of a figure"),
        ("method", {}, "no name for a column"),
        ("<b>", {}, "no name for a column"),
    ],
)
def test_a_figure_that_is_none_leaves_its_run_out(tmp_path, capsys, columns, name, other, reason) -> None:
    with_figure(make_run(tmp_path / "a", 24.0), 7.25)
    with_figure(make_run(tmp_path / "b", 20.0), 3.25, name, **other)
    main([str(tmp_path), "--html", "none"])
    text = capsys.readouterr().out
    assert ranking(text) == ["a"] and reason in text.partition("left out: ")[2]
    assert {*columns} - BUILT_IN <= {"colour_shift"}


def test_differences_are_shown_and_bookkeeping_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "0", 20.0)
    make_run(tmp_path / "1", 21.0, changed(losses__l1__weight=6.0, name="other", paths__run="/somewhere/1"))
    main([str(tmp_path / "0"), str(tmp_path / "1")])
    text = capsys.readouterr().out
    assert "losses.l1.weight=1.0" in text
    assert "losses.l1.weight=6.0" in text
    for unsaid in ("somewhere", "other", "_target_", "seed", "width"):
        assert unsaid not in text


def test_where_much_differs_the_usual_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = [{}, {"seed": 2}, {"generator__width": 64}, {"discriminator": None}, {"losses__l1__weight": 6.0}]
    for name, change in enumerate(changes):
        make_run(tmp_path / str(name), 20.0 + name, changed(**change))
    main([str(tmp_path), "--seeds", "separate"])
    text = capsys.readouterr().out
    for usual in ("seed=1", "generator.width=32", "discriminator=Patch", "losses.l1.weight=1.0"):
        assert text.count(usual) == 1
    assert text.index("discriminator=none") < text.index("otherwise") < text.index("discriminator=Patch")


def test_unfinished_runs_are_named_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "done", 20.0)
    for name in ("stopped", "waiting"):
        for folder in (tmp_path / name, tmp_path / name / "record"):  # one folder is one run, whatever it holds
            folder.mkdir()
            (folder / "config.yaml").write_text("seed: 1\n")
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert ranking(text) == ["done"]
    (line,) = [line for line in text.splitlines() if line.startswith("left out: unfinished")]
    assert line.endswith(f"{tmp_path / 'stopped'}, {tmp_path / 'waiting'}")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("summary.json", '{"method": "unet"}'),
        ("summary.json", None),
        ("config.yaml", "a: [\n"),
        ("config.yaml", "just words"),
        ("results.csv", ""),
        ("results.csv", "area,method,images,perfect,psnr\nall,unet,4\n"),
        ("results.csv", "area,method,images,perfect,psnr\nall,somebody,4,0,20\n"),
        ("results.csv", "area,method\nall,unet\n"),
        ("results.csv", b"\xff\xfe\x00"),
    ],
)
def test_a_broken_run_is_named_and_left_out(
    file: str, content: str | bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "good", 20.0)
    broken = make_run(tmp_path / "broken", 25.0) / file
    if content is None:
        broken.unlink()
    else:
        broken.write_bytes(content if isinstance(content, bytes) else content.encode())
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert ranking(text) == ["good"]
    (line,) = [line for line in text.splitlines() if line.startswith("left out")]
    assert f"{tmp_path / 'broken'}: {file}: " in line

    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "broken")])
    assert stop.value.code == 2
    assert file in capsys.readouterr().err


def test_no_run_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped" / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path), str(tmp_path / "nowhere")])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    for said in ("no finished run", "nowhere: no such folder", "stopped"):
        assert said in err


def test_a_run_given_twice_counts_once_and_files_are_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "0", 20.0)
    make_run(tmp_path / "1", 21.0)
    (tmp_path / "multirun.yaml").write_text("")
    monkeypatch.chdir(tmp_path / "1")
    main([".", *(str(path) for path in sorted(tmp_path.iterdir())), str(tmp_path)])  # as a shell expands *
    text = capsys.readouterr().out
    assert ranking(text) == ["1", "0"]
    assert "left out" not in text


def test_different_pictures_have_tables_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "0", 20.0, images=9)
    make_run(tmp_path / "1", 21.0, images=100)
    add_validation(make_run(tmp_path / "2", 22.0, images=9), seed=1)
    add_validation(make_run(tmp_path / "3", 23.0, images=9), seed=2)
    add_validation(make_run(tmp_path / "4", 24.0, images=9), seed=2)
    main([str(tmp_path), "--html", "none"])
    text = capsys.readouterr().out
    tables = text.split("careful")[0].split("measured on ")[1:]
    assert sorted("".join(ranking(table.partition("\n")[2])) for table in tables) == ["0", "1", "2", "43"]
    assert "careful: the runs were measured on 4 different sets of pictures" in text
    assert [table.split(":")[0].split(",")[0] for table in tables].count("9 pictures") == 3

    main([str(tmp_path / "3"), str(tmp_path / "4"), "--html", "none"])
    text = capsys.readouterr().out
    assert ranking(text) == ["4", "3"] and "careful" not in text and "measured on" not in text


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"trainer__precision": "bf16-mixed"}, "in different precision (bf16-mixed: 2; 32-true: 1 | 0)"),
        ({"trainer__tf32": True}, "in different precision (32-true with tf32: 2; 32-true: 1 | 0)"),
        ({"trainer__memory_format": "channels_last"}, None),
    ],
)
def test_models_of_different_precision_are_said_to_be(tmp_path, capsys, other, line) -> None:
    exact = {"trainer__precision": "32-true", "trainer__tf32": False}
    for name, psnr, settings in (("0", 20.0, exact), ("1", 21.0, exact), ("2", 22.0, exact | other)):
        add_validation(make_run(tmp_path / name, psnr, changed(seed=int(name), **settings)))
    main([str(tmp_path), "--html", "none", "--seeds", "separate"])
    careful = [found for found in capsys.readouterr().out.splitlines() if "careful" in found]
    assert len(careful) == bool(line) and all(line in found for found in careful)


def test_seeds_are_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, psnr in ((1, 20.0), (2, 22.0), (3, 21.0)):
        make_run(tmp_path / "wide" / str(seed), psnr, changed(seed=seed, generator__width=64))
    make_run(tmp_path / "narrow", 20.5, changed(seed=1))
    main([str(tmp_path), "--html", "none"])
    text = capsys.readouterr().out
    assert ranking(text) == ["wide", "narrow"]
    assert "21.00 +- 1.00" in text and "20.50 +-" not in text and "seed=" not in text
    main([str(tmp_path), "--html", "none", "--seeds", "separate"])
    text = capsys.readouterr().out
    assert ranking(text) == ["2", "3", "narrow", "1"]
    assert "seed=3" in text and "data.seed" not in text and "+-" not in text


def test_seeds_measured_on_different_pictures_are_not_averaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (1, 2):
        add_validation(make_run(tmp_path / str(seed), 20.0, changed(seed=seed)), seed=seed)
    main([str(tmp_path), "--html", "none"])
    text = capsys.readouterr().out
    assert text.count("measured on 9 pictures") == 2 and "+-" not in text


def test_the_same_run_twice_is_no_sample_of_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 2)):
        make_run(tmp_path / name, 20.0, changed(seed=seed))
    main([str(tmp_path), "--html", "none"])
    assert ranking(capsys.readouterr().out) == ["a", "b", "c"]


def test_differences_to_the_best_and_which_are_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scores vary by 10 dB over pictures; one run is 0.5 dB below the best on each, one no different on average."""
    spread = [10.0 * (n % 5) for n in range(20)]
    scores = {
        "best": [20 + s for s in spread],
        "below": [19.5 + s + 0.01 * (n % 2) for n, s in enumerate(spread)],
        "alike": [19.95 + s + 2.0 * (-1) ** n for n, s in enumerate(spread)],
    }
    for name, values in scores.items():
        folder = make_run(tmp_path / name, sum(values) / 20, images=20)
        add_validation(folder)
        add_records(folder, {"unet": values})
    main([str(tmp_path), "--html", "none"])
    best, alike, below = (line for line in capsys.readouterr().out.splitlines() if line.strip()[:1].isdigit())
    assert "best" in best.split()[2:] and "[" not in best
    assert "-0.50 [-0.50, -0.49]" in below and "~" not in below
    assert "~ -0.05 [-" in alike and ", +0." in alike


def test_an_evaluation_folder_is_compared_method_by_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_evaluation(tmp_path / "evaluated", {"lama": 25.0, "telea": 20.0})
    make_run(tmp_path / "mine", 24.0)
    main([str(tmp_path), "--html", "none"])
    assert ranking(capsys.readouterr().out) == ["lama", "mine", "telea"]


def test_patterns_are_expanded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a_l1", "a_l2", "b_l1", "c[1]"):
        make_run(tmp_path / "runs" / name, 20.0)
    monkeypatch.chdir(tmp_path)
    for pattern, expected in (
        ("runs/*_l1", ["a_l1", "b_l1"]),
        (f"{tmp_path}/**/a_*", ["a_l1", "a_l2"]),
        ("runs/c[1]", ["c[1]"]),
    ):
        main([pattern, "--html", "none"])
        assert ranking(capsys.readouterr().out) == expected
    with pytest.raises(SystemExit) as stop:
        main(["runs/*_l3"])
    assert stop.value.code == 2 and "runs/*_l3: no such folder" in capsys.readouterr().err


def test_csv(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a", 20.0)
    make_run(tmp_path / "runs" / "b" / "0", 100 / 3, changed(discriminator=None))
    make_run(tmp_path / "runs" / "b" / "1", 100 / 3 + 2, changed(discriminator=None, seed=2))
    main([str(tmp_path), "--html", "none", "--csv", str(tmp_path / "leaderboard.csv")])
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["rank"], line["run"], line["seeds"], line["discriminator"]) for line in lines] == [
        ("1", "b", "2", "none"),
        ("2", "a", "1", "Patch"),
    ]
    assert float(lines[0]["hole_psnr"]) == pytest.approx(100 / 3 + 1, abs=1e-12)
    assert float(lines[0]["hole_psnr_deviation"]) == pytest.approx(2**0.5) and lines[1]["hole_psnr_deviation"] == ""
    assert float(lines[1]["hole_psnr_low"]) == 19.0 and lines[0]["hole_psnr_low"] == ""
    assert lines[0]["parameters"] == "7040000"
    assert lines[1]["folder"] == str(tmp_path / "runs" / "a")


def test_a_perfect_average_prints_as_a_dash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "0", math.nan)
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert " - " in text
    assert "nan" not in text


def test_torch_is_not_imported() -> None:
    code = "import sys, inpaint.compare; sys.exit(bool({'torch', 'lightning', 'hydra'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_crops_of_one_photograph_are_drawn_together(tmp_path: Path) -> None:
    """As the manifest names them: the intervals are those of the photographs, and the reader is told."""
    for name, shift in (("0", 0.0), ("1", 1.0)):
        folder = make_run(tmp_path / name, 20.0 + shift, changed(generator__width=8 + int(shift)), images=18)
        add_validation(folder, 18)
        add_records(folder, {"unet": [20 + shift * (index // 3) for index in range(18)]})
        path = folder / "validation.csv"
        path.write_text(re.sub(r"photo (\d+)", lambda found: f"photo {int(found[1]) // 3}", path.read_text()))
    (block,) = compare([tmp_path]).blocks
    assert "of the 6 photographs, each with its crops" in block.interval
    alone = paired_differences(
        [{index: {"hole_psnr": 20.0 + shift * index} for index in range(6)} for shift in (1.0, 0.0)],
        {"hole_psnr": 0},
        {},
    )["hole_psnr"][1]
    found = block.differences["hole_psnr"][1]
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))


def test_a_tie_has_no_winner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, weight in (("a", 1.0), ("b", 6.0)):
        folder = make_run(tmp_path / name, 20.0, changed(losses__l1__weight=weight))
        add_validation(folder)
        add_records(folder, {"unet": [20.0] * 9, "telea": [20.0] * 9})
    report = compare([tmp_path])
    assert [entry.name for entry in report.blocks[0].winners("hole_psnr")] == ["a", "b"]
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if re.match(r" *\d+ +[ab] ", line)] == ["1", "1"]
    assert "best" not in text.split("to the best")[-1].splitlines()[2] and _winner(report) == [
        "no winner: a, b reached the same hole PSNR"
    ]


def test_one_best_run_is_the_winner_and_a_third_is_third(tmp_path: Path) -> None:
    for name, psnr in (("a", 21.0), ("b", 20.0), ("c", 20.0), ("d", 19.0)):
        make_run(tmp_path / name, psnr)
    (block,) = compare([tmp_path], seeds="separate").blocks
    assert ranks(block.entries, "hole_psnr") == [1, 2, 2, 4] and len(block.winners("hole_psnr")) == 1


def test_runs_of_two_crops_name_the_command_that_compares_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "crop=64", tmp_path / "b"]
    for seed, folder in enumerate(folders):
        add_validation(make_run(folder, 20.0 + seed), seed=seed)
    main([str(tmp_path)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "inpaint-evaluate" in line]
    name, checkpoint = shlex.split(line.partition("first: ")[2])
    value = OverridesParser.create().parse_override(checkpoint).value()
    assert name == "inpaint-evaluate" and {getattr(item, "text", item) for item in value} == {*map(str, folders)}
