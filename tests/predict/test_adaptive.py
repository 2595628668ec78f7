"""`holes=auto`: what is measured in the pictures is said, repaired and stored."""

import csv

import numpy as np
import pytest
from PIL import Image

from inpaint import predict
from tests.damage.test_scratches import ASTRONAUT, scratched

COMMON = ("generator=mean", "images=images", "holes=auto", "output=out")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A scratched picture, a clean one, and one with a transparent corner."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images/deep").mkdir(parents=True)
    damaged, _ = scratched(ASTRONAUT, 245)
    Image.fromarray(damaged).save("images/scratched.png")
    Image.fromarray(ASTRONAUT).save("images/clean.png")
    alpha = np.full((320, 320), 255, np.uint8)
    alpha[:20, :30] = 0
    Image.fromarray(np.dstack([ASTRONAUT, alpha])).save("images/deep/corner.png")
    return tmp_path


def test_what_is_damaged_is_repaired_and_the_rest_is_left(place, command):
    said = command(predict, *COMMON)
    assert "1 of 3 pictures have nothing to repair and are left out" in said
    assert "clean.png: holes 0 % of the picture (limit 0): no; scratches" in said
    assert "2 pictures repaired, in out" in said and not (place / "out/clean.png").exists()
    damaged, truth = scratched(ASTRONAUT, 245)
    hole = np.array(Image.open("out/holes/scratched.png")) > 127
    result = np.array(Image.open("out/scratched.png"))
    assert hole.ndim == 2 and (hole & truth).sum() > 0.6 * truth.sum()
    assert np.array_equal(result[~hole], damaged[~hole]) and (result[hole] != damaged[hole]).any(1).mean() > 0.9
    corner = np.array(Image.open("out/deep/corner.png"))
    assert (corner[..., 3] == 255).all() and np.array_equal(corner[20:, 30:, :3], ASTRONAUT[20:, 30:])

    with (place / "out/damage.csv").open(newline="") as file:
        rows = {(line["picture"], line["kind"]): line for line in csv.DictReader(file)}
    assert len(rows) == 3 * 5
    line = rows["images/scratched.png", "scratches"]
    assert line["damaged"] == "yes" and float(line["figure"]) > float(line["limit"])
    assert float(line["share"]) == pytest.approx(hole.mean(), abs=1e-5) and "is repaired" in line["reason"]
    assert rows["images/clean.png", "scratches"]["damaged"] == rows["images/clean.png", "noise"]["damaged"] == "no"

    assert "2 pictures were done before" in command(predict, *COMMON)


def test_a_plan_is_printed_and_nothing_is_written(place, command):
    said = command(predict, *COMMON, "plan=true")
    assert said.count("% of the picture is repaired") == 2 and "1 of 3 pictures have nothing" in said
    assert not (place / "out").exists()


def test_scratches_are_repaired_always_or_never(place, command):
    said = command(predict, *COMMON, "auto.scratches=never")
    assert "2 of 3 pictures have nothing to repair" in said and not (place / "out/scratched.png").exists()
    message = "auto.scratches: give one of auto, always, never; got 'often'"
    assert message in command(predict, *COMMON, "auto.scratches=often", code=2)


def test_a_folder_of_clean_pictures_is_left_as_it_is(place, command):
    said = command(predict, *COMMON[:1], "images=images/clean.png", *COMMON[2:])
    assert "1 of 1 pictures have nothing to repair" in said and not (place / "out").exists()


def test_a_picture_that_cannot_be_read_stops_no_other(place, command):
    data = (place / "images/clean.png").read_bytes()
    (place / "images/clean.png").write_bytes(data[: len(data) // 2])
    said = command(predict, *COMMON, code=1)
    assert "1 of 3 pictures are not written" in said and (place / "out/scratched.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["holes=mask.png", "plan=true"], "plan: says what holes=auto measures"),
        (
            ["holes=auto", "mask_channel=red"],
            "mask_channel: says how files of masks are read, and holes=auto reads none",
        ),
        (["holes=auto", "auto.text=yes please"], "auto.text: give true or false"),
    ],
)
def test_settings_that_mean_nothing(arguments, message, place, command):
    assert message in command(predict, *COMMON[:2], "output=out", *arguments, code=2)
    assert not (place / "out").exists()
