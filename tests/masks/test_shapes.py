"""The painter: exact pixels against brute force, and memory."""

import pytest
import torch
import torch._dynamo  # meta tensors import it at their first use, and it sets an environment variable, as no test may
from torch import Tensor

from inpaint.masks import Shapes, Size, paint, shapes
from tests.masks.memory import PeakBytes


def points(size: Size) -> tuple[Tensor, Tensor]:
    """Pixel centres, x ``(1, W)`` and y ``(H, 1)``, in float64."""
    return torch.arange(size[1], dtype=torch.float64), torch.arange(size[0], dtype=torch.float64)[:, None]


def edge_distance(capsules: Tensor, size: Size) -> Tensor:
    """Pixel centres to the edges of capsules ``(B, 5)``: segment distance - radius, ``(B, H, W)``, < 0 inside."""
    x, y = points(size)
    x0, y0, x1, y1, radius = capsules.double()[..., None, None].unbind(1)
    dx, dy = x1 - x0, y1 - y0
    t = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)).nan_to_num(0).clamp(0, 1)  # 0 / 0 for a disc
    return ((x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2).sqrt() - radius


def painted(size: Size, **kind: Tensor) -> Tensor:
    """`paint`, one shape a sample, shapes ``(B, 4)`` or ``(B, 5)``: bool ``(B, H, W)``."""
    mask = paint(Shapes(**{name: shapes[:, None] for name, shapes in kind.items()}), size)[:, 0]
    assert ((mask == 0) | (mask == 1)).all()
    return mask > 0.5


def segments(count: int) -> Tensor:
    """Random capsules or bars ``(count, 5)`` about a picture of 40 x 56, many of them partly or wholly off it, thin,
    steep, level, upright, or almost so."""
    u = torch.rand(count, 5, generator=torch.Generator().manual_seed(0))
    drawn = u * torch.tensor([96.0, 80.0, 96.0, 80.0, 12.0]) - torch.tensor([20.0, 20.0, 20.0, 20.0, 0.0])
    drawn[:60, 4] *= 0.05  # thinner than a pixel
    drawn[60:120, 3] = drawn[60:120, 1]  # level
    drawn[120:180, 2] = drawn[120:180, 0]  # upright
    for place, tiny in enumerate((1e-7, -1e-6, 1e-5, -1e-4, 1e-3, -1e-2)):
        rows = slice(240 + 20 * place, 260 + 20 * place)
        drawn[rows, 3] = drawn[rows, 1] + tiny
        rows = slice(360 + 20 * place, 380 + 20 * place)
        drawn[rows, 2] = drawn[rows, 0] + tiny
    drawn[340:360, 1] = drawn[340:360, 1].round()  # almost level, with an edge that crosses a row of centres
    drawn[340:360, 3] = drawn[340:360, 1] + 0.008
    drawn[340:360, 4] = drawn[340:360, 4].ceil() - 0.004
    return drawn


def test_capsules_equal_point_to_segment_distance() -> None:
    size, capsules = (40, 56), segments(600)
    capsules[180:240, 2:4] = capsules[180:240, :2]  # discs
    for place, tiny in enumerate((1e-7, -1e-6, 1e-5, -1e-4, 1e-3, -1e-2)):  # almost discs
        rows = slice(480 + 5 * place, 485 + 5 * place)
        capsules[rows, 2:4] = capsules[rows, :2] + tiny
    distance = edge_distance(capsules, size)
    decided = distance.abs() > 2e-5  # px; nearer to the edge than float32 can tell
    assert (~decided).sum() < 100
    assert torch.equal(painted(size, capsules=capsules)[decided], (distance <= 0)[decided])
    assert 0.05 < (distance <= 0).float().mean() < 0.5, "the comparison would be of nothing"


def test_capsule_edges_belong_to_it() -> None:
    """Ties: level, upright and point capsules of whole and half numbers, whose distances are exact, edge included."""
    size = (12, 14)
    x, y = points(size)
    for x0, y0, length, radius in [
        (3, 4, 5, 2),
        (3, 4, 5, 0),
        (3.5, 4.5, 5, 1.5),
        (-2, 6, 4, 3),
        (11, 10, 6, 1),
        (5, 5, 0, 4),
    ]:
        ends = [(x0 + length, y0), (x0 - length, y0), (x0, y0 + length), (x0, y0 - length)]
        capsules = torch.tensor([(x0, y0, x1, y1, radius) for x1, y1 in ends], dtype=torch.float32)
        for (x1, y1), mask in zip(ends, painted(size, capsules=capsules), strict=True):
            dx = (min(x0, x1) - x).clamp(min=0) + (x - max(x0, x1)).clamp(min=0)
            dy = (min(y0, y1) - y).clamp(min=0) + (y - max(y0, y1)).clamp(min=0)
            assert torch.equal(mask, dx * dx + dy * dy <= radius * radius)


def test_a_brush_stroke_has_no_gaps_between_its_segments() -> None:
    path = torch.tensor([[8.0, 8.0], [30.3, 11.7], [20.1, 35.2], [50.9, 40.4]])
    capsules = torch.cat([path[:-1], path[1:], torch.full((3, 1), 4.0)], 1)
    whole = paint(Shapes(torch.zeros(1, 0, 4), capsules[None]), (48, 64))[0, 0] > 0.5
    assert torch.equal(whole, painted((48, 64), capsules=capsules).any(0))
    corners = torch.cat([path, path, torch.full((4, 1), 4.0)], 1)
    assert not (painted((48, 64), capsules=corners).any(0) & ~whole).any()


def test_bars_equal_distances_along_and_across() -> None:
    size, bars = (40, 56), segments(480)
    x, y = points(size)
    x0, y0, x1, y1, half = bars.double()[..., None, None].unbind(1)
    dx, dy = x1 - x0, y1 - y0
    length = (dx * dx + dy * dy).sqrt()
    along, across = ((x - x0) * dx + (y - y0) * dy) / length, ((x - x0) * dy - (y - y0) * dx) / length
    beyond = torch.stack((across.abs() - half, -along, along - length)).amax(0)
    decided = beyond.abs() > 3e-5  # px; nearer to the edge than float32 can tell
    # Level and upright bars that begin in a row or column of centres: at their ends nothing is undecided.
    assert (~decided).sum() < 100
    assert torch.equal(painted(size, bars=bars)[decided], (beyond <= 0)[decided])
    assert 0.05 < (beyond <= 0).float().mean() < 0.5, "the comparison would be of nothing"


def test_bar_edges_belong_to_it() -> None:
    bars = torch.tensor([[3.0, 4, 8, 4, 2], [8, 4, 3, 4, 2], [3, 2, 3, 8, 1], [3, 8, 3, 2, 1], [5, 5, 5, 5, 3]])
    for mask, (top, bottom, left, right) in zip(
        painted((12, 14), bars=bars),
        [(2, 6, 3, 8), (2, 6, 3, 8), (2, 8, 2, 4), (2, 8, 2, 4), (5, 5, 5, 5)],
        strict=True,
    ):
        expected = torch.zeros(12, 14, dtype=torch.bool)
        expected[top : bottom + 1, left : right + 1] = True
        assert torch.equal(mask, expected)


def test_boxes_equal_slices() -> None:
    size = (20, 30)
    x, y = points(size)
    boxes = torch.rand(300, 4, generator=torch.Generator().manual_seed(0)) * 50 - 10
    boxes[:100] = boxes[:100].round()  # whole numbers: exactly half of the edges is included
    boxes[100:120, 2:] = boxes[100:120, :2]  # no width
    boxes = torch.cat([boxes, torch.tensor([[0, 0, 30, 20], [-1e6, -1e6, 1e6, 1e6], [30, 0, 40, 20], [3, 4, 5, 6]])])
    for (x0, y0, x1, y1), mask in zip(boxes.double(), painted(size, boxes=boxes), strict=True):
        assert torch.equal(mask, (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1))
    assert painted(size, boxes=torch.tensor([[3.0, 4.0, 5.0, 6.0]]))[0, 4:6, 3:5].all()


def test_switched_off_and_far_shapes_leave_nothing() -> None:
    capsules = torch.tensor([[-1.0] * 5, [1e6, 1e6, 2e6, 1e6, 50], [-90, 5, -60, 5, 20], [5, 90, 6, 99, 60]])
    assert not painted((16, 16), capsules=capsules).any()
    assert not painted((16, 16), boxes=torch.full((1, 4), -1.0)).any()


@pytest.mark.parametrize("count", [127, 128, 255, 256, 300, 65_535, 65_536])
def test_counters_do_not_overflow(count: int) -> None:
    boxes = torch.tensor([1.0, 1, 3, 3]).expand(1, count, 4)
    assert torch.equal(paint(Shapes(boxes), (4, 4))[0, 0].nonzero(), torch.tensor([[1, 1], [1, 2], [2, 1], [2, 2]]))


def test_all_shapes_of_a_sample_are_painted_together() -> None:
    size = (40, 56)
    drawn = {"boxes": segments(480)[:, :4].sort(1).values, "capsules": segments(480), "bars": segments(480).flip(0)}
    each = [painted(size, **{name: shapes}) for name, shapes in drawn.items()]
    assert torch.equal(painted(size, **drawn), each[0] | each[1] | each[2])
    parts = [Shapes(**{name: shapes[:, None]}) for name, shapes in drawn.items()]
    on = torch.arange(480) % 2 == 0
    mask = paint(shapes.together([parts[0], parts[1].only(on), parts[1].only(~on), parts[2]]), size)[:, 0] > 0.5
    assert torch.equal(mask, painted(size, **drawn))
    assert torch.equal(paint(parts[1].only(on), size)[:, 0] > 0.5, each[1] & on[:, None, None])


def test_groups_of_samples_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Shapes(capsules=segments(480).view(48, 10, 5))
    whole = paint(drawn, (40, 56))
    monkeypatch.setattr(shapes, "BYTES", 5 * 40 * 56)
    monkeypatch.setattr(shapes, "NUMBERS", 1)
    assert torch.equal(whole, paint(drawn, (40, 56)))
    assert paint(Shapes(capsules=torch.zeros(0, 10, 5)), (40, 56)).shape == (0, 1, 40, 56)


@pytest.mark.parametrize("count", [1, 2**23])
def test_new_memory_is_float32(count: int) -> None:
    """From 32 MiB on it is NumPy's."""
    new = shapes.empty((count, 1), torch.device("cpu"))
    assert new.dtype == torch.float32 and new.shape == (count, 1)
    assert shapes.empty((2**23, 1), torch.device("meta")).device.type == "meta"


@pytest.mark.parametrize("device", ["cpu", "meta"])  # meta goes the way of a GPU, without the numbers
def test_memory_grows_with_the_pixels_not_with_the_shapes(device: str) -> None:
    batch, size = 64, (128, 128)
    peaks = []
    for count in (250, 500):
        capsules = torch.rand(batch, count, 5, generator=torch.Generator().manual_seed(0)) * 128
        capsules[..., 4] /= 16
        with PeakBytes() as memory:
            paint(Shapes(capsules=capsules.to(device)), size)
        peaks.append(memory.peak / batch)
    assert 5 * 128**2 < peaks[0] < 25 * 128**2, "bytes a sample; one for each pixel and shape would be 250 * 128^2"
    assert peaks[1] - peaks[0] < 250 * 200, "only the shapes themselves may take more"
