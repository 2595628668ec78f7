"""What the HTML holds: the data in it, the limits, and that nothing of a name is markup."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from inpaint.compare import compare, main, write_html
from inpaint.compare.html import POINTS
from tests.compare.folders import (
    CURVES,
    EVIL,
    STUDY,
    add_pictures,
    add_records,
    add_validation,
    changed,
    make_evaluation,
    make_run,
    ranking,
    rich_run,
)


def embedded(page: Path) -> dict[str, Any]:
    """The data of a report."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(text)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number in range(3):
        config = changed(seed=number, generator__width=(32, 64, 64)[number])
        rich_run(tmp_path / "runs" / str(number), [20.0 + number + n % 3 for n in range(9)], config)
    return tmp_path / "runs"


def test_what_the_page_holds(runs: Path, tmp_path: Path) -> None:
    said = write_html(compare([runs]), tmp_path / "report.html")
    assert said == [f"report: {tmp_path / 'report.html'} ({(tmp_path / 'report.html').stat().st_size / 1e6:.1f} MB)"]
    data = embedded(tmp_path / "report.html")
    (block,) = data["blocks"]
    lines = block["lines"]
    assert [(line["name"], line["seeds"], line["trained"]) for line in lines] == [
        ("1 and 1 more", ["1", "2"], True), ("0", ["0"], True), ("telea", ["None"], False),
    ]  # fmt: skip
    assert lines[0]["figures"]["hole_psnr"] == pytest.approx(22.5) and lines[0]["intervals"] == {}
    assert lines[0]["deviations"]["hole_psnr"] == pytest.approx(0.5**0.5)
    assert lines[1]["intervals"]["hole_psnr"] == [20.0, 22.0]
    assert block["areas"] == ["0-10 %", "10-20 %"] and block["lines"][2]["areas"] == {}

    differences = block["differences"]["hole_psnr"]
    assert block["best"]["hole_psnr"] == 2  # telea's average is 99 dB
    assert differences[1]["mean"] == pytest.approx(1.0) and differences[1]["is_real"]
    assert [(row["key"], row["values"]) for row in data["configs"]["rows"]] == [("generator.width", ["64", "32"])]

    assert [curve["run"] for curve in block["curves"]] == ["1", "2", "0"]
    series = block["curves"][0]["series"]
    assert list(series) == [*CURVES] and len(series["val/hole_psnr"]) == 200
    assert len(series["train/l1"]) <= POINTS
    first = [1 / (row + 1) for row in range(2000) if row % 10 != 9][:5]
    assert series["train/l1"][0] == [5, pytest.approx(sum(first) / 5)]

    assert [hole["index"] for hole in block["pictures"]] == [0, 1, 2, 3]
    hole = block["pictures"][2]
    for kind, uri in (("input", hole["input"]), ("truth", hole["truth"]), ("unet", hole["results"][0])):
        content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
        assert content == (runs / "1" / "pictures" / kind / "00002.png").read_bytes()
    assert hole["area"] == 0.02 and hole["figures"][1] == {"hole_psnr": 22.0}


def test_a_run_of_an_older_version_has_what_is_there(tmp_path: Path) -> None:
    make_run(tmp_path / "old", 20.0)
    make_run(tmp_path / "older", 21.0)
    write_html(compare([tmp_path]), tmp_path / "report.html")
    (block,) = embedded(tmp_path / "report.html")["blocks"]
    assert "no validation.csv" in block["title"]
    assert block["pictures"] == [] and block["differences"] == {} and block["curves"][0]["series"] == {}
    assert [line["name"] for line in block["lines"]] == ["older", "old", "telea"]


def test_pictures_stay_below_their_limit_and_it_is_said(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "0", 20.0)
    add_validation(folder)
    add_pictures(folder, ("input", "truth", "unet"), range(9), side=64)
    hole = sum((folder / "pictures" / kind / "00000.png").stat().st_size for kind in ("input", "truth", "unet")) * 4 / 3
    said = write_html(compare([folder]), tmp_path / "report.html", max_bytes=int(5.5 * hole))
    (block,) = embedded(tmp_path / "report.html")["blocks"]
    assert [hole["index"] for hole in block["pictures"]] == [0, 2, 4, 6, 8] and block["holes"] == 9
    assert said[0].startswith("pictures of 5 of 9 holes")
    assert sum(len(p[k]) for p in block["pictures"] for k in ("input", "truth")) < 5.5 * hole
    write_html(compare([folder]), tmp_path / "report.html", max_bytes=0)
    assert embedded(tmp_path / "report.html")["blocks"][0]["pictures"] == []


def test_where_the_page_goes(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(runs)])
    assert (runs / "comparison.html").is_file()
    main([str(runs), "--output", str(tmp_path / "elsewhere")])
    assert (tmp_path / "elsewhere" / "comparison.html").is_file()
    main([str(runs), "--html", str(tmp_path / "here.html")])
    assert f"report: {tmp_path / 'here.html'}" in capsys.readouterr().out
    (runs / "comparison.html").unlink()
    main([str(runs), "--html", "none"])
    assert not (runs / "comparison.html").exists() and "report:" not in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([str(runs), "--max-mb", "-1"])
    assert stop.value.code == 2 and "--max-mb: give a number of megabytes" in capsys.readouterr().err


def test_no_name_is_markup_and_the_policy_allows_this_page_alone(tmp_path: Path) -> None:
    config = changed(losses__l1__weight="</script><script>alert(1)</script><!--")
    make_run(tmp_path / EVIL, 20.0, config)
    make_run(tmp_path / "plain", 21.0)
    make_evaluation(tmp_path / "evaluation", {f"{EVIL}2": 3.0})
    page = tmp_path / "report.html"
    write_html(compare([tmp_path]), page)
    text = page.read_text()
    assert "<img" not in text and text.count("</script>") == 2 and "<!--" not in text.replace("<!doctype", "")
    assert {line["name"] for line in embedded(page)["blocks"][0]["lines"]} == {EVIL, f"{EVIL}2", "plain", "telea"}

    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    for tag in ("style", "script"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_what_is_no_picture_is_not_embedded(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "0", 20.0)
    add_pictures(folder, ("input", "unet"), [0])
    (folder / "pictures" / "unet" / "00000.png").write_text("secret")
    write_html(compare([folder]), tmp_path / "report.html")
    (hole,) = embedded(tmp_path / "report.html")["blocks"][0]["pictures"]
    assert hole["results"] == [None, None] and hole["truth"] is None


def test_folders_of_pictures_are_those_that_the_evaluation_names(tmp_path: Path) -> None:
    folder = make_evaluation(tmp_path / "0", {"a/b": 20.0})
    add_pictures(folder, ("input", "a_b"), [0])
    measured = {"folders": {"a/b": "a_b"}, "networks": {"features": "inception", "lpips_alex": "alexnet"}}
    (folder / "results.json").write_text(json.dumps({"measured": measured}))
    other = make_evaluation(tmp_path / "1", {"c": 20.0})
    (other / "results.json").write_text(json.dumps({"measured": {"networks": {"features": "vgg16"}}}))
    report = compare([tmp_path])
    write_html(report, tmp_path / "report.html")
    (hole,) = embedded(tmp_path / "report.html")["blocks"][0]["pictures"]
    assert hole["results"][0].startswith("data:image/png")
    (note,) = report.notes
    assert "features means different networks" in note and note.endswith("inception; vgg16")
    (other / "results.json").write_text(json.dumps({"measured": {"networks": {"features": "inception"}}}))
    assert not compare([tmp_path]).notes  # LPIPS in one of them alone contradicts nothing


def test_preferences_join(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "runs" / "ours", 20.0)
    study = tmp_path / "study"
    study.mkdir()
    for content, said in ((None, "inpaint-study report"), ("{", "cannot be read"), ("{}", "is not a report")):
        if content:
            (study / "report.json").write_text(content)
        with pytest.raises(SystemExit) as stop:
            main([str(tmp_path / "runs"), "--study", str(study)])
        assert stop.value.code == 2 and said in capsys.readouterr().err
    (study / "report.json").write_text(json.dumps(STUDY))
    main([str(tmp_path / "runs"), "--study", str(study)])
    data = embedded(tmp_path / "runs" / "ours" / "comparison.html")
    assert [line["preference"]["score"] for line in data["blocks"][0]["lines"]] == [0.5, -0.5]
    assert data["study"]["pairs"] == STUDY["pairs"] and "4 participants" in data["study"]["notes"][0]


def test_broken_records_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "good", 20.0)
    add_records(make_run(tmp_path / "bad", 21.0), {"unet": [20.0]})
    (tmp_path / "bad" / "records.csv").write_text("method,index,area,hole_psnr\nunet,0\n")
    main([str(tmp_path), "--html", "none"])
    text = capsys.readouterr().out
    assert ranking(text) == ["good"] and f"{tmp_path / 'bad'}: records.csv: " in text
