"""Holes drawn with a brush: as the papers' code draws them."""

import math

import cv2
import numpy
import pytest
import torch
from torch import Tensor

from inpaint.masks import DeepFillStrokes, LamaStrokes, Shapes, Strokes, paint
from inpaint.masks.strokes import _lines
from tests.masks.kinds import areas, assert_uniform, draw, keys, kind, many, option


def test_brushare_polylines_inside_the_picture() -> None:
    size, strokes, segments = (100, 160), 3, 4
    brush = Strokes(count=(2, strokes), segments=(1, segments), length=(0.1, 0.3), width=(0.04, 0.1), turn=(20, 60))
    drawn = brush.draw(keys(3000), size).capsules
    x0, y0, x1, y1, radius = drawn.view(3000, segments, strokes, 5).unbind(3)
    on = radius > 0
    assert set(on[:, 0].sum(1).tolist()) == {2, 3} and set(on[:, :, 0].sum(1).tolist()) == {1, 2, 3, 4}
    assert not (on[:, 1:] & ~on[:, :-1]).any(), "a stroke goes on after its end"
    assert torch.equal(x1[:, :-1][on[:, 1:]], x0[:, 1:][on[:, 1:]]), (
        "a segment begins elsewhere than the last one ended"
    )
    assert (radius[on].min() >= 2) and radius[on].max() <= 5 and not (radius[:, 1:] != radius[:, :1])[on[:, 1:]].any()
    for low, high, side in [(x0, x1, 160), (y0, y1, 100)]:
        assert min(low[on].min(), high[on].min()) >= -0.5 and max(low[on].max(), high[on].max()) <= side - 0.5
        assert_uniform((low[:, 0][on[:, 0]] + 0.5) / side)
    inside = on & (x1.sub(79.5).abs() < 79) & (y1.sub(49.5).abs() < 49)  # no bounce
    length, heading = torch.hypot(x1 - x0, y1 - y0), torch.atan2(y1 - y0, x1 - x0)
    assert length[inside].min() > 9.9 and length[inside].max() < 30.1
    turn = ((heading[:, 1:] - heading[:, :-1]).rad2deg() + 180) % 360 - 180
    turn = turn[inside[:, 1:] & inside[:, :-1]]
    assert turn.abs().min() > 19.5 and turn.abs().max() < 60.5 and abs(turn.mean()) < 2
    far = (
        on[:, 0] & (x0[:, 0].sub(79.5).abs() < 49) & (y0[:, 0].sub(49.5).abs() < 19)
    )  # whose first segment cannot bounce
    assert_uniform(heading[:, 0][far] / (2 * math.pi) % 1)


def test_brushdo_not_pile_up_at_the_edges() -> None:
    cover = many("strokes").float().mean((0, 1))
    blocks = cover.view(8, 8, 8, 8).mean((1, 3)) / cover.mean()
    assert blocks.min() > 0.65 and blocks.max() < 1.3


# ------------------------------------------------------------------------------------------------------------- LaMa

# Mean and deviation of the hole's area that LaMa's code gives, and its mean among the masks of at most 0.5, of 1800
# masks of each kind (540 of the thin ones).
LAMA = {
    "lama_thin": (0.298, 0.137, 0.288),
    "lama_medium": (0.242, 0.137, 0.239),
    "lama_thick": (0.402, 0.217, 0.270),
    "lama_thin_512": (0.291, 0.134, 0.284),
    "lama_medium_512": (0.306, 0.160, 0.277),
    "lama_thick_512": (0.465, 0.249, 0.266),
}


def brush(name: str) -> LamaStrokes:
    masks = kind(name)
    return masks if isinstance(masks, LamaStrokes) else masks.kinds["strokes"]


def opencv(lines: Tensor, thickness: Tensor, size: tuple[int, int]) -> Tensor:
    """What ``cv2.line`` paints of lines ``(N, 4)`` of whole pixels, all into one picture: bool ``(H, W)``."""
    picture = numpy.zeros(size, numpy.float32)
    for (x0, y0, x1, y1), width in zip(lines.int().tolist(), thickness.int().tolist(), strict=True):
        cv2.line(picture, (x0, y0), (x1, y1), 1.0, width)
    return torch.from_numpy(picture) > 0


def test_lines_are_opencvs_but_for_few_pixels() -> None:
    """Every thickness of LaMa's masks, between any two points, near ones and far ones and one and the same."""
    size, each = (256, 256), 4
    thickness = torch.arange(5, 106).repeat_interleave(each).float()
    u = torch.rand(len(thickness), 4, generator=torch.Generator().manual_seed(0))
    lines = (u * 256).floor()
    lines[::8, 2:] = (lines[::8, :2] + u[::8, 2:] * 20 - 10).floor()
    lines[1::16, 2] = lines[1::16, 0]
    lines[3::16, 3] = lines[3::16, 1]
    lines[5::32, 2:] = lines[5::32, :2]
    capsules, bars = _lines(lines[:, None], thickness[:, None])
    mask = paint(Shapes(capsules=capsules, bars=bars), size)[:, 0] > 0.5
    expected = torch.stack([opencv(lines[[k]], thickness[[k]], size) for k in range(len(lines))])
    wrong = (mask != expected).sum((1, 2))
    assert wrong.sum() / expected.sum() < 0.0012 and (wrong / expected.sum((1, 2))).max() < 0.03
    assert wrong[lines[:, 0] == lines[:, 2]].max() <= 2 and not wrong[(lines[:, :2] == lines[:, 2:]).all(1)].any()


@pytest.mark.parametrize("name", LAMA)
def test_lama_masks_are_opencvs_for_the_same_strokes(name: str) -> None:
    side = 512 if name.endswith("512") else 256
    shapes = brush(name).draw(keys(30), (side, side))
    mask = paint(shapes, (side, side))[:, 0] > 0.5
    expected = [
        opencv(drawn[on, :4], 2 * drawn[on, 4], (side, side)) for drawn in shapes.capsules if len(on := drawn[:, 4] > 0)
    ]
    agreement = (mask == torch.stack(expected)).float().mean((1, 2))
    assert agreement.min() > 0.997 and agreement.mean() > 0.9985, agreement


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name.endswith("512") else name for name in LAMA]
)
def test_lama_masks_have_the_published_areas(name: str) -> None:
    mean, deviation, limited = LAMA[name]
    area = areas(draw(option(name, "area=[0,1]"), side=256))
    assert abs(area.mean() - mean) < 0.02 and abs(area.std() - deviation) < 0.02
    area = areas(draw(option(name), 750, side=256))
    assert abs(area.mean() - limited) < 0.02
    assert (area <= 0.5).float().mean() > 0.997 and area.max() < 0.6


@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("lama_train", 0.356, 0.205), ("lama_train_thin", 0.227, 0.157)]
)
def test_lama_training_masks_have_the_published_areas(name: str, mean: float, deviation: float) -> None:
    area = areas(draw(option(name), side=256))
    assert abs(area.mean() - mean) < 0.02 and abs(area.std() - deviation) < 0.02


@pytest.mark.parametrize(
    ("name", "count", "mean"),
    [
        ("lama_train", 2000, 0.355),
        ("lama_thin", 750, 0.289),
        ("lama_medium", 2000, 0.238),
        ("lama_thick", 2000, 0.265),
    ],
)
def test_lama_masks_are_as_large_as_the_released_codes(name: str, count: int, mean: float) -> None:
    """Means of 3000 masks of its code; without the stroke that it draws too many, 0.328 and 0.222 in two of them."""
    assert areas(draw(option(name), count, side=256)).mean().item() == pytest.approx(mean, abs=0.01)


@pytest.mark.parametrize("compat", [False, True])
def test_lama_strokes_are_drawn_as_published(compat: bool) -> None:
    strokes = LamaStrokes(times=(2, 3), max_width=20, max_length=60, lama_compat=compat)
    most, side = 4 if compat else 3, 256
    capsules = strokes.draw(keys(3000), (side, side)).capsules.view(3000, 5, most, 5)
    x0, y0, x1, y1, radius = capsules.unbind(3)
    on = radius > 0
    assert not (on[:, 1:] & ~on[:, :-1]).any(), "a stroke goes on after its end"
    times, segments = on[:, 0].sum(1), on.sum(1)
    shares = times.bincount(minlength=5)[2 : most + 1] / 3000
    assert times.min() == 2 and times.max() == most and (shares - 1 / len(shares)).abs().max() < 0.03
    shares = segments[on[:, 0]].bincount(minlength=6)[1:] / on[:, 0].sum()
    assert (shares - 0.2).abs().max() < 0.03
    for place in (x0, y0, x1, y1):
        assert torch.equal(place[on], place[on].round()) and place[on].min() == 0 and place[on].max() <= side
    assert_uniform((x0[:, 0][on[:, 0]] + 0.5) / side)
    assert_uniform((y0[:, 0][on[:, 0]] + 0.5) / side)
    for end, start in ((x1, x0), (y1, y0)):
        assert torch.equal(end[:, :-1][on[:, 1:]], start[:, 1:][on[:, 1:]]), "a segment begins elsewhere"
    # thickness 5..24: radius 3 twice (5, 6), and so on
    assert (radius[on].int().bincount()[3:13] / on.sum() - 0.1).abs().max() < 0.01 and radius[on].max() == 12
    free = on & (x1 > 0) & (x1 < side) & (y1 > 0) & (y1 < side)
    length = torch.hypot(x1 - x0, y1 - y0)
    assert 8.5 < length[free].min() < 10.5 and 67.5 < length[free].max() < 70.5  # of 10 .. 69, truncated
    for stroke in range(most):
        rows = free[:, :, stroke] & (length[:, :, stroke] > 30)
        angle = torch.atan2((x1 - x0)[:, :, stroke][rows], (y1 - y0)[:, :, stroke][rows])  # from downwards
        published = torch.tensor([0.01, 1.01, 2.01, 3.01]) * (-1 if stroke % 2 == 0 else 1)
        nearest = (angle[:, None] - published).abs().min(1)
        assert nearest.values.max() < 0.06, "but for the truncation to whole pixels"
        assert (nearest.indices.bincount() / len(angle) - 0.25).abs().max() < 0.05


def test_lama_strokes_at_another_size_are_the_same_magnified() -> None:
    small, large = (LamaStrokes().draw(keys(50), (side, side)) for side in (256, 512))
    for one, other in ((small.capsules, large.capsules), (small.bars, large.bars)):
        on = one[..., 4] > 0
        assert torch.allclose((one[on][:, :4] + 0.5) * 2 - 0.5, other[on][:, :4]) and torch.equal(on, other[..., 4] > 0)
        assert torch.allclose(one[on][:, 4] * 2, other[on][:, 4])


# --------------------------------------------------------------------------------------------------------- DeepFill


def test_deepfill_strokes_are_drawn_as_published() -> None:
    size, scale = (300, 400), 300 / 256  # the diagonal is 500
    capsules = DeepFillStrokes().draw(keys(4000), size).capsules.view(4000, 11, 3, 5)
    x0, y0, x1, y1, radius = capsules.unbind(3)
    on = radius > 0
    assert not (on[:, 1:] & ~on[:, :-1]).any(), "a stroke goes on after its end"
    assert (on[:, 0].sum(1).bincount()[1:] / 4000 - 1 / 3).abs().max() < 0.03
    shares = on.sum(1)[on[:, 0]].bincount(minlength=12)[4:] / on[:, 0].sum()
    assert len(shares) == 8 and (shares - 1 / 8).abs().max() < 0.02
    assert_uniform((2 * radius[:, 0][on[:, 0]] / scale - 12) / 28)
    assert_uniform((x0[:, 0][on[:, 0]] + 0.5) / 400)
    assert_uniform((y0[:, 0][on[:, 0]] + 0.5) / 300)
    for end, start in ((x1, x0), (y1, y0)):
        assert torch.equal(end[:, :-1][on[:, 1:]], start[:, 1:][on[:, 1:]]), "a segment begins elsewhere"
    # First segments from where none can reach an edge: two to the upper right, then one to the lower right, ...
    length = torch.hypot(x1 - x0, y1 - y0)[:, 0]
    free = on[:, 0] & (x0[:, 0] < 400 - 126) & (y0[:, 0] > 126)
    values = length[free].sort().values.double()
    normal = 0.5 * (1 + torch.erf((values / (500 / 16) - 2) / math.sqrt(2)))
    inner = (values > 0.1) & (values < 124.9)
    distance = (torch.linspace(0, 1, len(values), dtype=torch.float64) - normal)[inner].abs().max()
    assert distance < 0.01 + 2 / math.sqrt(len(values)) and values.max() < 125.2
    assert 0.01 < (values < 0.1).double().mean() < 0.035 and 0.01 < (values > 124.5).double().mean() < 0.035
    for k in range(4):
        free = (
            on[:, k] & (x1[:, k] < 399) & (y1[:, k] > 0) & (y1[:, k] < 299) & (torch.hypot(x1 - x0, y1 - y0)[:, k] > 5)
        )
        angle = torch.atan2((y1 - y0)[:, k], (x1 - x0)[:, k])[free].rad2deg() * (-1 if k % 2 == 0 else 1)
        assert 47.8 < angle.min() < 52 and 92 < angle.max() < 96.2 and abs(angle.mean() - 72) < 1


def test_deepfill_v2_is_a_box_and_the_brush() -> None:
    union = kind("deepfill_v2")
    drawn = union.draw(keys(1000), (256, 256))
    x0, y0, x1, y1 = drawn.boxes[:, 0].unbind(1)
    assert drawn.boxes.shape[1] == 1 and drawn.capsules.shape[1] == 33
    assert (x1 - x0).min() == 96 and (y1 - y0).max() == 128
    area = areas(draw(union, 500))
    assert area.min() > 0.13 and 0.25 < area.mean() < 0.35


# ------------------------------------------------------------------------------------------------------------ PConv


@pytest.mark.parametrize("low", [1, 10, 20, 30, 40, 50])
def test_pconv_masks_are_in_their_bucket(low: int) -> None:
    high = 10 * (low // 10) + 10
    area = areas(draw(kind(f"pconv_{low:02d}_{high}"), 1000, side=128))
    assert ((area >= low / 100) & (area <= high / 100)).float().mean() > 0.99
    assert area.std() > 0.015, "all at one end"


def test_pconv_has_every_bucket_as_often() -> None:
    shares = torch.histc(areas(many("pconv")), bins=6, min=0, max=0.6) / 2000
    assert (shares - 1 / 6).abs().max() < 0.03
