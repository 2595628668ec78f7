"""Holes with straight, upright edges."""

import torch

from inpaint.masks import Boxes, Full, Grid, Outpainting
from tests.masks.kinds import areas, assert_uniform, draw, keys, kind


def test_centre_is_exact() -> None:
    mask = kind("centre")(keys(3), (64, 64))
    assert mask[:, :, 16:48, 16:48].all() and (mask.mean((1, 2, 3)) == 0.25).all()
    assert kind("centre")(keys(3), (64, 96))[:, :, 16:48, 32:64].all(), "also in the middle of an oblong picture"
    corner = Boxes(count=(1, 1), side=(0.5, 0.5), margin=0.125, position=(1, 1)).draw(keys(1), (64, 96)).boxes
    assert corner.tolist() == [[[56, 24, 88, 56]]]


def test_boxes_are_uniform_and_keep_the_margin() -> None:
    size, margin = (100, 160), 12
    boxes = Boxes(count=(1, 3), side=(0.2, 0.5), margin=0.12).draw(keys(4000), size).boxes
    drawn = boxes[..., 2] > boxes[..., 0]
    assert torch.equal(drawn.sum(1).bincount() > 1200, torch.tensor([False, True, True, True]))
    x0, y0, x1, y1 = boxes[drawn].unbind(1)
    assert x0.min() == margin and x1.max() == 160 - margin and y0.min() == margin and y1.max() == 100 - margin
    for length, place, room in [(x1 - x0, x0 - margin, 160 - 24), (y1 - y0, y0 - margin, 100 - 24)]:
        assert length.min() == 20 and length.max() == 50 and abs(length.mean() - 35) < 0.5
        assert_uniform((place + 0.5) / (room - length + 1))
    assert abs(torch.corrcoef(torch.stack((x1 - x0, y1 - y0, x0, y0)))[0, 1]) < 0.05


def test_global_local_is_one_box_of_96_to_128_pixels() -> None:
    drawn = kind("global_local").draw(keys(2000), (256, 256)).boxes
    assert drawn.shape[1] == 1
    x0, y0, x1, y1 = drawn[:, 0].unbind(1)
    for length in (x1 - x0, y1 - y0):
        assert length.min() == 96 and length.max() == 128
        assert_uniform((length - 96 + 0.5) / 33)
    assert x0.min() == 0 and x1.max() == 256


def test_lengths_in_pixels_are_fractions_of_their_resolution() -> None:
    pixels, fractions = (
        Boxes(side=(30, 150), margin=10, resolution=256),
        Boxes(side=(30 / 256, 150 / 256), margin=10 / 256),
    )
    assert torch.equal(pixels(keys(50), (64, 80)), fractions(keys(50), (64, 80)))


# ------------------------------------------------------------------------------------------------------ outpainting


def test_outpainting_has_the_published_areas_and_at_least_one_side() -> None:
    """LaMa's code gives a mean area of 0.272, between 0.039 and 0.612."""
    mask = draw(kind("outpainting"), 4000, side=128)
    area = areas(mask)
    assert abs(area.mean() - 0.272) < 0.01 and 0.035 < area.min() < 0.05 and 0.5 < area.max() < 0.75
    sides = torch.stack((mask[:, 0, 64, 0], mask[:, 0, 0, 64], mask[:, 0, 64, -1], mask[:, 0, -1, 64]), 1)
    assert sides.any(1).all() and not mask[:, 0, 40:88, 40:88].any()
    # Each side half of the time, and a quarter of the times that none is drawn.
    assert (sides.float().mean(0) - (1 / 2 + 1 / 64)).abs().max() < 0.03
    assert abs((sides.sum(1) == 1).float().mean() - 5 / 16) < 0.03


def test_strips_are_shares_of_their_own_side() -> None:
    for side, expected in {
        "left": (0, 0, 40, 100),
        "top": (0, 0, 160, 25),
        "right": (120, 0, 160, 100),
        "bottom": (0, 75, 160, 100),
    }.items():
        boxes = Outpainting(sides=[side], probability=0, width=(0.25, 0.25)).draw(keys(2), (100, 160)).boxes
        assert boxes.tolist() == [[list(expected)]] * 2
    assert Outpainting(probability=1)(keys(20), (64, 64))[:, 0, [0, -1]].all()


# ------------------------------------------------------------------------------------------------- grid, everything


def test_grid_knows_one_pixel_of_step_by_step() -> None:
    """Against slices; every step and offset occurs."""
    known = 1 - Grid(step=(2, 4))(keys(500), (24, 36))
    found = set()
    for sample in known[:, 0]:
        rows, columns = sample.any(1).nonzero()[:, 0], sample.any(0).nonzero()[:, 0]
        step = int(rows[1] - rows[0])
        expected = torch.zeros(24, 36)
        expected[int(rows[0]) :: step, int(columns[0]) :: step] = 1
        assert torch.equal(sample, expected) and max(rows[0], columns[0]) < step
        found.add((step, int(rows[0]), int(columns[0])))
    assert found == {(step, y, x) for step in (2, 3, 4) for y in range(step) for x in range(step)}


def test_full_knows_nothing() -> None:
    assert torch.equal(Full()(keys(3), (5, 7)), torch.ones(3, 1, 5, 7))
