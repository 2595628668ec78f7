"""Scratches and cracks on pictures with known ones."""

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from inpaint.damage import scratches
from inpaint.damage.candidates import FEATURES, candidates, top_hats
from inpaint.masks import Scratches

ASTRONAUT = cv2.resize(data.astronaut(), (320, 320), interpolation=cv2.INTER_AREA)
CAMERA = cv2.cvtColor(cv2.resize(data.camera(), (320, 320), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)


def scratched(picture, level):
    """Scratches of one level, drawn by the kind of masks of that name, antialiased."""
    hole = Scratches(count=(6, 6))(torch.tensor([4]), picture.shape[:2])[0, 0].numpy()
    cover = (0.95 * cv2.GaussianBlur(hole, (0, 0), 0.5))[..., None]
    return (picture * (1 - cover) + level * cover).round().astype(np.uint8), hole > 0


@pytest.mark.parametrize("picture", [ASTRONAUT, CAMERA], ids=["colour", "grey"])
@pytest.mark.parametrize("level", [245, 5], ids=["light", "dark"])
def test_scratches_of_both_polarities_are_found_on_colour_and_grey(picture, level):
    damaged, truth = scratched(picture, level)
    found, clean = scratches.find(damaged), scratches.find(picture)
    assert found.evidence > scratches.LIMIT > clean.evidence
    near = cv2.dilate(truth.astype(np.uint8), np.ones((5, 5))) > 0
    assert (found.hole & truth).sum() > 0.6 * truth.sum()
    assert (found.hole & near).sum() > 0.6 * found.hole.sum()


def test_an_edge_between_two_surfaces_is_not_thin_and_a_line_is():
    picture = np.full((100, 100), 60, np.uint8)
    picture[:, 50:] = 200
    assert all(hat.max() == 0 for hat in top_hats(picture).values())
    picture[40:42] = 255
    hats = top_hats(picture)
    assert hats[1][40, 10] == 195 and hats[1][40, 80] == 55
    assert all(hat[:30].max() == 0 and hat[60:].max() == 0 for hat in hats.values())


def test_candidates_are_measured_as_drawn():
    picture = np.full((120, 200, 3), (90, 100, 110), np.uint8)
    picture[60:62, 30:130] = (240, 230, 220)
    (found,) = [some for some in candidates(picture) if some.features[0, FEATURES.index("threshold")] == 3]
    values = dict(zip(FEATURES, found.features[0], strict=True))
    assert found.polarity == 1 and len(found.numbers) == 1
    assert np.exp(values["length"]) == pytest.approx(100, abs=4) and values["width"] == pytest.approx(2, abs=0.1)
    assert values["level_deviation"] == pytest.approx(0, abs=0.1) and values["alike"] == 1
    assert values["chroma"] == pytest.approx(20) and values["upright"] == pytest.approx(np.log(2 / 100))
    assert values["extremeness"] == pytest.approx(0.2989 * 240 / 255 + 0.587 * 230 / 255 + 0.114 * 220 / 255, abs=0.01)


def test_what_is_hole_already_is_passed_over():
    damaged, truth = scratched(ASTRONAUT, 245)
    beside = cv2.dilate(truth.astype(np.uint8), np.ones((9, 9))) > 0
    found = scratches.find(damaged, beside)
    assert found.evidence < scratches.LIMIT and not (found.hole & truth).any()


def test_large_pictures_are_shrunk_and_their_holes_are_not():
    damaged, truth = scratched(ASTRONAUT, 245)
    large = cv2.resize(damaged, (1440, 1440), interpolation=cv2.INTER_CUBIC)
    found = scratches.find(large)
    truth = cv2.resize(truth.astype(np.uint8), (1440, 1440), interpolation=cv2.INTER_NEAREST) > 0
    assert found.hole.shape == (1440, 1440) and found.evidence > scratches.LIMIT
    assert (found.hole & truth).sum() > 0.3 * truth.sum()


def test_sums_of_both_polarities():
    one = (1, np.array([0.5, 1.0]), np.array([16.0, 9.0]))
    other = (-1, np.array([1.0]), np.array([4.0]))
    assert scratches.evidence([one, other, one]) == 8 - 2 / 2
    assert scratches.evidence([]) == 0


def test_nothing_is_found_in_tiny_flat_and_extreme_pictures():
    for size in ((1, 1), (8, 300), (64, 64)):
        for level in (0, 128, 255):
            found = scratches.find(np.full((*size, 3), level, np.uint8))
            assert found.evidence == 0 and not found.hole.any()
