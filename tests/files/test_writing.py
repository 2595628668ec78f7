"""Files that others read: no NaN in JSON, and names of any bytes in all of them."""

import ast
import csv
import json
import math
import os
from pathlib import Path

import pytest

import inpaint
from inpaint.cli.job import Job
from inpaint.files.folder import write_whole
from inpaint.files.untrusted import read_json, read_table
from inpaint.files.writing import json_lines, plain, write_json, write_table

LATIN = os.fsdecode(b"caf\xe9.png")  # the name of a file that is no UTF-8


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_null_for_what_is_no_number(tmp_path, value):
    write_json(tmp_path / "a.json", {"figures": {"psnr": value, "deep": [(value, 1.5)]}, 3: True})
    (tmp_path / "b.json").write_text(json_lines({"rows": [{"psnr": value}], "value": value}))

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    for name, expected in (
        ("a.json", {"figures": {"psnr": None, "deep": [[None, 1.5]]}, "3": True}),
        ("b.json", {"rows": [{"psnr": None}], "value": None}),
    ):
        assert json.loads((tmp_path / name).read_text(), parse_constant=refuse) == expected


def test_names_of_any_bytes_are_spelt_out_and_read_again(tmp_path):
    row = {"photograph": LATIN, "area": 0.25}
    write_table(tmp_path / "a.csv", ["photograph", "area"], [row])
    write_json(tmp_path / "a.json", {LATIN: [LATIN, "写真"]})
    write_whole(tmp_path / "a.md", f"left out: {LATIN}\n")
    assert read_table(tmp_path / "a.csv") == [{"photograph": r"caf\udce9.png", "area": "0.25"}]
    assert read_json(tmp_path / "a.json") == {r"caf\udce9.png": [r"caf\udce9.png", "写真"]}
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == "left out: caf\\udce9.png\n"
    assert plain(LATIN) == r"caf\udce9.png"


FORMULAS = ["=1+1", "+lama", "-mine", "@x", "=", "\t=1", "'=1", "''-x", '=HYPERLINK("http://x","a, b")']
TEXTS = ["lama", "it's", "'lama", "a=b", "-2.5", "+3", "-inf", "", "'", "1e-5"]


@pytest.mark.parametrize("text", [*FORMULAS, *TEXTS])
def test_no_text_is_a_formula_to_a_spreadsheet_and_all_are_read_as_they_were(tmp_path, text):
    write_table(tmp_path / "a.csv", ["method", text or "none"], [{"method": text, text or "none": -1.5}])
    with (tmp_path / "a.csv").open(newline="") as file:
        (names, fields) = csv.reader(file)
    for field in (names[1], fields[0]):
        assert not field.startswith(("=", "+", "-", "@", "\t", "\r")) or isinstance(float(field), float)
    assert (fields[0] != text) == (text in FORMULAS) and fields[1] == "-1.5"
    assert read_table(tmp_path / "a.csv") == [{"method": text, text or "none": "-1.5"}]


def test_there_is_one_writer_and_one_reader_of_tables():
    found = set()
    for path in Path(inpaint.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith(
                ("csv.writer", "csv.Dict", "csv.reader")
            ):
                found.add(path.relative_to(Path(inpaint.__file__).parent).as_posix())
    assert found == {"files/writing.py"}


def test_a_record_of_a_job_has_its_figures_back(tmp_path):
    job = Job(["a=1"], str(tmp_path), "finished", {"hole_psnr": 20.0, "lpips": math.nan})
    job.write()
    read = Job.read(tmp_path)
    assert read is not None and read.values["hole_psnr"] == 20.0 and math.isnan(read.values["lpips"])


def test_there_is_one_writer_of_json():
    """`json.dumps` elsewhere is for what no file keeps: hashes, messages between ranks, a page's script."""
    elsewhere = set()
    for path in Path(inpaint.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dump", "json.dumps"):
                elsewhere.add(path.relative_to(Path(inpaint.__file__).parent).as_posix())
    assert elsewhere == {
        "exchange/models.py",  # the config in a stamp, as a checkpoint has it
        "exchange/weights.py",
        "files/checkpoint.py",  # the config in it, whose numbers keep their NaN
        "compare/comparison.py",
        "compare/configs.py",
        "compare/folds.py",
        "compare/html.py",  # of `plain` data
        "compare/runs.py",
        "config/sent.py",
        "predict/jobs.py",
        "probe/command.py",
        "training/wandb_logger.py",
        "training/watch.py",
        "files/writing.py",
    }
