"""Holes as old photographs have them."""

import pytest
import torch
from torch import Tensor

from inpaint.masks import Scratches
from inpaint.masks.scratches import STEPS
from tests.masks.kinds import areas, assert_uniform, keys, kind

SIZE = (256, 320)
CURVES, BRANCHES, SAMPLES = 3, 2, 2000


def curves(masks: Scratches) -> tuple[Tensor, Tensor]:
    """Capsules of trunks ``(SAMPLES, CURVES, STEPS, 5)`` and branches ``(SAMPLES, BRANCHES, CURVES, STEPS, 5)``."""
    capsules = masks.draw(keys(SAMPLES), SIZE).capsules.view(SAMPLES, -1, STEPS, 5)
    return capsules[:, :CURVES], capsules[:, CURVES:].view(SAMPLES, BRANCHES, CURVES, STEPS, 5)


def vectors(capsules: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths and angles (degrees clockwise from rightwards) of segments."""
    step = capsules[..., 2:4] - capsules[..., :2]
    return step.norm(dim=-1), torch.atan2(step[..., 1], step[..., 0]).rad2deg()


def apart(angle: Tensor, other: Tensor | float) -> Tensor:
    return ((angle - other + 180) % 360 - 180).abs()


def test_curves_and_their_branches() -> None:
    masks = Scratches(count=(1, CURVES), branches=(0, BRANCHES), length=(60, 120), width=(4, 8), wander=20)
    trunks, branches = curves(masks)
    on, branch_on = trunks[:, :, 0, 4] > 0, branches[..., 0, 4] > 0
    assert (on.sum(1).bincount()[1:] / SAMPLES - 1 / 3).abs().max() < 0.04
    assert (branch_on.sum(1)[on].bincount() / on.sum() - 1 / 3).abs().max() < 0.04
    assert not (branch_on & ~on[:, None]).any(), "a branch of nothing"
    for part in (trunks[on], branches[branch_on]):
        assert torch.equal(part[:, :-1, 2:4], part[:, 1:, :2]), "a step begins elsewhere than the last one ended"
    assert_uniform((trunks[on][:, 0, 0] + 0.5) / SIZE[1])
    assert_uniform((trunks[on][:, 0, 1] + 0.5) / SIZE[0])
    assert_uniform((trunks[on][:, 0, 4].mul(2) - 4) / 4)
    assert trunks[on][..., 4].max() <= 4 and branches[branch_on][..., 4].max() <= 3
    step, angle = vectors(trunks)
    assert_uniform((step[on].sum(1) - 60).clamp(min=0) / 60.1)
    whole = vectors(branches)[0].sum(3)
    assert torch.allclose(whole[branch_on], (step.sum(2)[:, None] / 2).expand_as(whole)[branch_on], rtol=0.01)
    # A branch begins where a step of its trunk does, 30 to 90 degrees off the trunk's way (which each is 20 off).
    begins = branches[..., 0, :2]
    gap = (begins[..., None, :] - trunks[:, None, :, :, :2]).norm(dim=-1)
    assert gap.amin(-1)[branch_on].max() < 1e-4
    left = gap.argmin(-1)
    assert (left[branch_on].bincount(minlength=STEPS) / branch_on.sum() - 1 / STEPS).abs().max() < 0.01
    way = angle[:, None].expand(-1, BRANCHES, -1, -1).gather(3, left[..., None])[..., 0]
    fork = apart(vectors(branches)[1][..., 0], way)[branch_on]
    assert fork.min() > 30 - 41 and fork.max() < 90 + 41 and 55 < fork.mean() < 65


@pytest.mark.parametrize(("direction", "spread"), [(90.0, 3.0), (0.0, 20.0), (45.0, 90.0)])
def test_directions(direction: float, spread: float) -> None:
    masks = Scratches(count=(3, 3), branches=(2, 2), direction=direction, spread=spread, wander=0)
    angle = vectors(curves(masks)[0])[1]
    assert (apart(angle, angle[:, :, :1]) < 0.5).all(), "a curve that does not wander is straight"
    first = angle[:, :, 0].flatten()
    off = torch.minimum(apart(first, direction), apart(first, direction + 180))
    assert off.max() < spread + 0.2 and abs(off.mean() - spread / 2) < 0.03 * spread + 0.05
    assert abs((apart(first, direction) < 90).float().mean() - 0.5) < 0.03, "as often to either side"


def test_wander_is_kept_in_part() -> None:
    """A step is at most `wander` off the heading, of which the heading keeps a third."""
    angle = vectors(curves(Scratches(count=(3, 3), branches=(2, 2), wander=30))[0])[1]
    turn = apart(angle[:, :, 1:], angle[:, :, :-1])
    assert 44 < turn.max() < 50.3  # 30 + 30 * 2 / 3
    end = apart(angle[:, :, -1], angle[:, :, 0])
    assert 15 < end.mean() < 45


@pytest.mark.parametrize(
    ("name", "low", "high"), [("scratches", 0.01, 0.05), ("film_scratches", 0.004, 0.02), ("old_photo", 0.015, 0.06)]
)
def test_scratches_are_thin(name: str, low: float, high: float) -> None:
    area = areas(kind(name)(keys(200), (256, 256)))
    assert low < area.mean() < high and area.max() < 0.15


def test_film_scratches_are_upright() -> None:
    mask = kind("film_scratches").kinds["scratches"](keys(200), (128, 128)) > 0.5
    along, across = (mask[..., 1:, :] & mask[..., :-1, :]).sum(), (mask[..., 1:] & mask[..., :-1]).sum()
    assert along > 1.5 * across
