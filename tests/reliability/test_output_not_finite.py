"""Pixels that are NaN or infinite are refused, named and counted; no file, figure or panel makes black of them."""

import csv
import json
import logging
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from inpaint import predict
from inpaint.batch import compose, finite, stored, to_uint8
from inpaint.evaluation.intervals import ALL, aggregate
from inpaint.evaluation.judges import Judges
from inpaint.evaluation.measuring import evaluate
from inpaint.evaluation.results import publish
from inpaint.evaluation.table import read_csv
from inpaint.metrics.foreign import Foreign
from inpaint.metrics.image import MEASURES, measure
from inpaint.pictures.sheet import panel
from inpaint.training.validation import Validation
from tests.evaluation.pictures import Grey, Pictures

MAGENTA = [255, 0, 255]


class Breaks(nn.Module):
    """Paints grey and, in bright pictures or in all, one pixel that is no number."""

    def __init__(self, value=math.nan, above=-1.0, pixel=(0, 0)):
        super().__init__()
        self.value, self.above, self.pixel = value, above, pixel

    def forward(self, image, mask):
        output = torch.zeros_like(image)
        breaks = image.mean(dim=(1, 2, 3)) > self.above
        output[breaks, 0, self.pixel[0], self.pixel[1]] = self.value
        return compose(output, image, mask)


@pytest.fixture
def pictures(tmp_path):
    """Two pictures, the second of which is bright, and their mask."""
    mask = np.zeros((24, 24), np.uint8)
    mask[:12, :12] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "images").mkdir()
    for name, level in (("dark", 20), ("light", 220)):
        Image.fromarray(np.full((24, 24, 3), level, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_prediction_writes_what_is_a_picture_and_names_what_is_not(value, pictures, command, monkeypatch):
    monkeypatch.setattr(predict.command, "build_fill", lambda node: Breaks(value, above=0.2))
    arguments = ["generator=mean", "images=images", "holes=mask.png", "output=out"]
    said = command(predict, *arguments, code=1)
    assert said.count("\n") == 1 and "1 of 2 pictures are not written" in said and "images/light.png" in said
    assert [path.name for path in (pictures / "out").glob("*.png")] == ["dark.png"]


def test_prediction_does_not_mind_what_the_picture_covers(pictures, command, monkeypatch):
    monkeypatch.setattr(predict.command, "build_fill", lambda node: Breaks(pixel=(20, 20)))
    assert "2 pictures repaired" in command(predict, "generator=mean", "images=images", "holes=mask.png", "output=out")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_figure_of_a_broken_picture(value, batch):
    outputs = Breaks(value)(batch["image"], torch.ones_like(batch["mask"]))
    figures = measure(outputs, batch["image"], torch.ones_like(batch["mask"]))
    assert all(values.isnan().all() for values in figures.values())


def test_outside_the_hole_it_is_the_raw_output_that_has_no_figures(batch):
    outputs = Breaks(pixel=(15, 15))(batch["image"], batch["mask"])
    figures = measure(outputs, batch["image"], batch["mask"], ["hole_l1", "psnr", "raw_l1", "band_psnr"])
    assert {name: bool(values.isnan().all()) for name, values in figures.items()} == {
        "hole_l1": False, "psnr": False, "raw_l1": True, "band_psnr": True,
    }  # fmt: skip
    (note,) = evaluate({"odd": Breaks(pixel=(23, 23))}, Pictures()).notes
    assert "6 of 6 pictures" in note and "outside the hole alone" in note


def test_an_evaluation_names_and_counts(tmp_path, capsys):
    """The method that breaks at what is hard has no average, so it cannot lead."""
    methods = {"breaks": Breaks(above=-0.01), "grey": Grey()}
    measured = evaluate(methods, Pictures())
    broken = [record["index"] for record in measured.records if record["broken"]]
    assert 0 < len(broken) < 6
    published = publish(tmp_path, methods, Pictures(), "cpu", {})
    published.print()
    names = ", ".join(f"picture {index}" for index in broken)
    assert published.notes[0].startswith(f"breaks: {len(broken)} of 6 pictures have NaN or infinite pixels ({names})")
    breaks, grey = (row for row in published.results.rows if row.area == ALL)
    assert breaks.broken == len(broken) and grey.broken == 0
    assert all(math.isnan(breaks.means[name]) for name in MEASURES) and math.isfinite(breaks.means["ms"])
    assert math.isfinite(grey.means["hole_l1"]) and not breaks.low
    assert not any(contrast.figure in MEASURES for contrast in published.results.differences)
    assert "broken" in capsys.readouterr().out and "broken" in (tmp_path / "results.md").read_text()
    assert {(row.area, row.method): row.broken for row in read_csv(tmp_path / "results.csv")} == {
        (row.area, row.method): row.broken for row in published.results.rows
    }
    assert json.loads((tmp_path / "results.json").read_text())["rows"][-2]["broken"] == len(broken)
    with (tmp_path / "records.csv").open(newline="") as file:
        empty = {int(line["index"]) for line in csv.DictReader(file) if not line["hole_l1"]}
    assert empty == set(broken)


def test_a_hole_area_without_broken_pictures_has_its_averages():
    records = [
        {"method": "a", "index": index, "area": area, "hole_l1": math.nan if broken else 3.0, "broken": broken}
        for index, (area, broken) in enumerate([(0.15, False), (0.15, False), (0.35, False), (0.35, True)])
    ]
    means = {row.area: row.means["hole_l1"] for row in aggregate(records).rows}
    assert means["10-20 %"] == 3.0 and math.isnan(means["30-40 %"]) and math.isnan(means[ALL])


def test_networks_do_not_judge_what_is_no_picture(tmp_path):
    """A network of the ReLU kind says something of black, of NaN and of magenta alike."""

    class Means(nn.Module):
        def forward(self, x):
            return x.mean(dim=(2, 3))

    file = tmp_path / "means.pt"
    torch.jit.trace(Means(), torch.zeros(1, 3, 8, 8)).save(str(file))
    pictures = torch.tensor([0.0, math.nan, math.inf]).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    found = Foreign(file, "features", size=8)(pictures)
    assert found.isfinite().tolist() == [[True] * 3, [False] * 3, [False] * 3]
    judges = Judges(recogniser=str(file))
    image = torch.zeros(2, 3, 8, 8)
    composite = image.clone()
    composite[1, 2, 3, 3] = math.nan
    batch = {"image": image, "mask": torch.ones(2, 1, 8, 8), "index": torch.arange(2)}
    recognised = judges.of_pictures("a", composite, batch)["recognised"]
    assert recognised[0] == 100 and recognised[1].isnan()


def test_validation_has_no_figures_of_a_model_that_breaks(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("inpaint.training.validation"), "disabled", False)  # as a prediction does it
    pictures, validation = Pictures(), Validation()

    def validated(generator):
        validation.start()
        for part in pictures.parts():
            batch = pictures.batch(part, "cpu")
            validation.update(generator(batch["image"] * (1 - batch["mask"]), batch["mask"]), batch)
        return validation.compute()

    found = validated(Breaks(above=-0.01))
    assert math.isnan(found["hole_l1"]) and math.isnan(found["ssim"]) and math.isfinite(found["harmonic_hole_l1"])
    assert "of 6 composites have NaN or infinite pixels" in caplog.text
    caplog.clear()
    assert math.isfinite(validated(Grey())["hole_l1"]) and not caplog.text


def test_whoever_looks_sees_it():
    """Panels, previews, the pictures of an evaluation and those sent to a logger are made by one function."""
    image = torch.zeros(1, 3, 4, 4)
    image[0, 1, 0, 0], image[0, 2, 0, 1] = math.nan, math.inf
    assert finite(image).tolist() == [False]
    levels = to_uint8(image)[0]
    assert levels[:, 0, 0].tolist() == levels[:, 0, 1].tolist() == MAGENTA and levels[:, 1, 1].tolist() == [128] * 3
    page = np.asarray(panel({"output": image}, scale=1))
    assert (page == MAGENTA).all(axis=2).sum() == 2
    assert to_uint8(torch.tensor([math.nan, math.inf, -math.inf, -1.0])).tolist() == [255, 255, 255, 0]
    measured = evaluate({"breaks": Breaks()}, Pictures(), figures=["psnr"], shown=2)
    assert all(kept[:, 0, 0].tolist() == MAGENTA for kept in measured.composites["breaks"].values())
    assert stored(image).isnan().sum() == 2
