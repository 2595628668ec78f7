"""Warping error and tOF: what they are of the truth, of flicker and of what stands still."""

import math

import cv2
import numpy as np
import pytest
import torch

from inpaint.batch import from_uint8
from inpaint.metrics.columns import COLUMNS
from inpaint.metrics.video import FIGURES, Steadiness, warping_error
from inpaint.pictures.motion import Motion
from tests.predict.video.clips import photograph

FRAMES, SIDE = 4, 64


def shifted(step, frames=FRAMES):
    """A camera that goes by whole pixels, right and down: uint8 ``(H, W, 3)`` each."""
    picture = np.ascontiguousarray(photograph(0))
    places = [(20 + step[1] * number, 30 + step[0] * number) for number in range(frames)]
    return [picture[top : top + SIDE, left : left + SIDE] for top, left in places]


def batch_of(*clips, hole=None):
    frames = [frame for clip in clips for frame in clip]
    image = from_uint8(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2))
    mask = torch.ones(len(image), 1, *image.shape[2:]) if hole is None else hole.expand(len(image), 1, -1, -1).clone()
    return {"image": image, "mask": mask, "index": torch.arange(len(image)), "frames": len(clips[0])}


def test_every_figure_has_its_column():
    assert {*FIGURES} <= COLUMNS.keys() and not any(COLUMNS[name].higher_is_better for name in FIGURES)


def test_along_an_exact_flow_by_whole_pixels_nothing_differs():
    before, after = shifted((3, -2), 2)
    back = np.zeros((SIDE, SIDE, 2), np.float32) + np.array([3, -2], np.float32)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[2:, : SIDE - 3] = True
    exact = Motion(-back, back, inside, inside)
    everywhere = np.ones((SIDE, SIDE), bool)
    assert warping_error(before, after, exact, everywhere) == 0
    wrong = exact._replace(backward=-back)
    assert warping_error(before, after, wrong, everywhere) > 5
    assert warping_error(before, after + 7, exact, everywhere) == pytest.approx(7, abs=0.2), "of 255 levels"
    assert math.isnan(warping_error(before, after, exact, ~inside)), "no pixel that both show"


def test_a_truth_that_stands_still_has_no_error_and_one_that_moves_hardly_any():
    batch = batch_of(shifted((0, 0)), shifted((2, 1)))
    figures = Steadiness(batch)(batch["image"])
    error = figures["warping_error"].view(2, FRAMES)
    assert error[:, 0].isnan().all() and (error[0, 1:] == 0).all() and (error[1, 1:] < 1).all()
    assert torch.equal(figures["tof"].isnan(), error.flatten().isnan()) and figures["tof"].nansum() == 0


def test_flicker_is_an_error_beside_the_truths_own():
    batch = batch_of(shifted((2, 1)), shifted((0, 0)))
    flicker = torch.tensor([8.0, -8.0, 8.0, -8.0]).repeat(2).view(-1, 1, 1, 1) * 2 / 255
    figures = Steadiness(batch)(batch["image"] * 0.8 + flicker)
    found, own = (figures[name].view(2, FRAMES)[:, 1:] for name in FIGURES[:2])
    assert torch.allclose(found, torch.tensor(16.0, dtype=torch.float64), atol=0.7) and (own < 1).all()


def test_only_the_hole_counts_for_the_warping_error():
    hole = torch.zeros(1, 1, SIDE, SIDE)
    hole[..., 10:30, 10:30] = 1
    batch = batch_of(shifted((0, 0)), hole=hole)
    painted = batch["image"].clone()
    painted[1, :, 40:60, 40:60] = 0
    assert Steadiness(batch)(painted)["warping_error"][1:].eq(0).all()
    painted[2, :, 10:30, 10:30] *= 0.5
    assert Steadiness(batch)(painted)["warping_error"][2] > 1


def test_tof_is_the_distance_of_flows():
    batch = batch_of(shifted((2, 1)))
    still = batch["image"][:1].expand_as(batch["image"])
    found = Steadiness(batch)(still)["tof"][1:]
    lengths = []
    for before, after in zip(shifted((2, 1))[:-1], shifted((2, 1))[1:], strict=True):
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
        flow = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        lengths.append(float(np.sqrt((flow**2).sum(2)).mean()))
    assert found.tolist() == pytest.approx(lengths, rel=0.05) and 1 < found.mean() < 3
    blurred = torch.nn.functional.avg_pool2d(batch["image"], 3, 1, 1)
    assert Steadiness(batch)(blurred)["tof"][1:].mean() < 0.5 * found.mean()


def test_no_figure_goes_from_one_clip_to_the_next_or_over_what_is_no_number():
    batch = batch_of(shifted((0, 0)), [frame[::-1] for frame in shifted((0, 0))])
    painted = batch["image"].clone()
    painted[5, 0, 3, 3] = torch.nan
    figures = Steadiness(batch)(painted)
    wanted = [True, False, False, False, True, True, True, False]
    assert all(figures[name].isnan().tolist() == wanted for name in FIGURES)
    assert figures["warping_error"].nansum() == 0
