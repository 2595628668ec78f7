"""The page's example of a task: a figure of one's own that reads QR codes before and after a repair."""

import csv
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inpaint import evaluate, parts
from inpaint.metrics.columns import COLUMNS

PAGE = (Path(__file__).parents[2] / "inpaint" / "evaluation" / "README.md").read_text()


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The file of the page, where Python finds it."""
    (source,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "qr.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(parts.VARIABLE, "qr")
    parts.parts.cache_clear()
    yield
    parts.parts.cache_clear()
    sys.modules.pop("qr", None)
    COLUMNS.pop("read", None)


def test_codes_are_read_before_and_after_the_repair(command, example, tmp_path):
    """Codes under a box that a mean cannot restore, and one picture in which there is none to read."""
    for folder in ("truths", "masks", "damaged", "restored"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        code = cv2.copyMakeBorder(cv2.QRCodeEncoder.create().encode(f"number {number}"), *[4] * 4, 0, value=255)
        truth = np.repeat(code.repeat(4, 0).repeat(4, 1)[..., None], 3, axis=2)
        truth = np.full_like(truth, 90) if number == 2 else truth
        mask = np.zeros(truth.shape[:2], np.uint8)
        mask[12:60, 12:60] = 255  # one of the marks by which a code is found
        damaged = np.where(mask[..., None] > 0, np.uint8(130), truth)
        pictures = {"truths": truth, "masks": mask, "damaged": damaged, "restored": truth}
        for folder, pixels in pictures.items():
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    printed = command(
        evaluate, "+figures.read={_target_: qr.Read}", "images=truths", "holes=masks", "baselines=[mean]",
        "results={before: damaged, after: restored}", "hydra.run.dir=out", "pictures=0",
    )  # fmt: skip
    with Path("out/results.csv").open(newline="") as file:
        read = {row["method"]: float(row["read"]) for row in csv.DictReader(file) if row["area"] == "all"}
    assert read == {"before": 0, "after": 100, "mean": 0}
    assert "read" in printed and "OpenCV reads the same QR code as of the truth" in " ".join(printed.split())


def test_the_command_of_the_page_is_the_one_tried_here():
    assert "inpaint-evaluate '+figures.read={_target_: qr.Read}' images=TRUTHS holes=MASKS" in PAGE
