"""The files of an evaluation, read back."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.evaluation import intervals, table
from inpaint.evaluation.measuring import Measured
from inpaint.evaluation.results import manifest_sha256, publish, write
from inpaint.masks.frozen import described
from tests.evaluation.pictures import Grey, Pictures


def crops(areas, shift=0):
    for index, area in enumerate(areas):
        image = torch.full((3, 8, 8), index + shift, dtype=torch.uint8)
        mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
        mask[:, : index % 8] = 255
        yield described(index, f"photo {index}", area, image, mask)


@pytest.fixture
def measured():
    """Two methods on ten pictures, of which two are kept, one under a name that is no folder's."""
    generator = np.random.default_rng(0)
    found = Measured(crops=[*crops([index / 10 for index in range(10)])], notes=["something to know"])
    for method in ("../up/<b>", "truth"):
        for index in range(10):
            psnr = math.inf if index == 3 else float(np.float32(generator.normal(25, 3)))
            found.records.append({"method": method, "index": index, "area": index / 10, "psnr": psnr, "ssim": math.nan})
        found.composites[method] = {i: torch.full((3, 8, 8), 9, dtype=torch.uint8) for i in (2, 7)}
    for name, channels in (("input", 3), ("truth", 3), ("mask", 1)):
        found.given[name] = {i: torch.full((channels, 8, 8), i, dtype=torch.uint8) for i in (2, 7)}
    return found


@pytest.fixture
def folder(measured, tmp_path):
    results = intervals.aggregate(measured.records)
    write(tmp_path / "new" / "run", results, measured, {"images": "DIR"})
    return tmp_path / "new" / "run"


def test_every_file_is_there_and_nothing_outside(folder):
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    texts = {"results.csv", "results.json", "results.md", "results.tex", "records.csv", "validation.csv"}
    folders = ("input", "truth", "mask", "_up__b_", "truth_")
    assert files == texts | {f"pictures/{name}/{index:05d}.png" for name in folders for index in (2, 7)}
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


def test_pictures_are_as_they_were_measured(folder):
    mask, painted = (Image.open(folder / "pictures" / name / "00007.png") for name in ("mask", "truth_"))
    assert mask.mode == "L" and painted.mode == "RGB" and np.array(mask).max() == 7 and np.array(painted).max() == 9


def test_json_says_what_was_measured(folder, measured):
    content = json.loads((folder / "results.json").read_text())
    results = table.as_json(intervals.aggregate(measured.records))
    assert {name: content[name] for name in results} == results
    said = content["measured"]
    assert said["pictures"] == 10 and said["images"] == "DIR" and said["notes"] == ["something to know"]
    assert said["shown"] == [2, 7] and said["folders"] == {"../up/<b>": "_up__b_", "truth": "truth_"}
    assert {"python", "torch", "commit"} <= set(said["versions"])
    assert said["manifest_sha256"] == manifest_sha256(crops([0.0] * 10))  # of pixels and masks alone
    assert said["manifest_sha256"] != manifest_sha256(crops([0.0] * 10, shift=1))
    assert len((folder / "results.json").read_text().splitlines()) > len(content["differences"])


def test_records_can_be_joined(folder, measured):
    with (folder / "records.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["method", "index", "area", "psnr", "ssim"] and len(lines) == 20
    for line, record in zip(lines, measured.records, strict=True):
        assert (line["method"], int(line["index"]), line["ssim"]) == (record["method"], record["index"], "")
        assert np.float32(line["psnr"]) == np.float32(record["psnr"])  # to the bit, inf included


def test_the_other_files_are_the_tables(folder, measured):
    results = intervals.aggregate(measured.records)
    read = table.read_csv(folder / "results.csv")
    assert table.as_json(intervals.Results(read))["rows"] == table.as_json(results)["rows"]
    assert (folder / "results.md").read_text() == table.markdown(results, notes=measured.notes)
    assert (folder / "results.tex").read_text() == table.latex(results)
    with (folder / "validation.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["photograph"] for line in lines] == [f"photo {index}" for index in range(10)]


def test_what_is_published_is_what_was_measured(tmp_path, capsys):
    pictures = Pictures()
    found = publish(
        tmp_path, {"grey": Grey(), "tool": None}, pictures, "cpu", {"images": "DIR"}, shown=2, notes=["one"]
    )
    assert found.columns == [*table.SHOWN] and found.notes == ["one"]
    rows = [row for row in table.read_csv(tmp_path / "results.csv") if row.area == intervals.ALL]
    assert [(row.method, row.images) for row in rows] == [("grey", 6), ("tool", 6)]
    said = json.loads((tmp_path / "results.json").read_text())["measured"]
    assert [*said][:3] == ["pictures", "manifest_sha256", "notes"] and said["pictures"] == 6
    assert said["networks"] == {} and said["shown"] == [0, 5] and said["images"] == "DIR"
    found.print()
    assert "grey" in capsys.readouterr().out
