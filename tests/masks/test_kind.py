"""What holds for every kind of mask: form, purity, other devices, limits on the area, memory, wrong arguments."""

import hashlib
import math

import pytest
import torch
import torch._dynamo  # meta tensors import it at their first use, and it sets an environment variable, as no test may

from inpaint import masks, rng
from inpaint.masks import (
    Blobs,
    Boxes,
    DeepFillStrokes,
    Grid,
    LamaStrokes,
    Mixture,
    Outpainting,
    Scratches,
    Strokes,
    Text,
    shapes,
)
from inpaint.masks.kind import TRIES, Drawn, sine
from tests.masks.kinds import KINDS, OPTIONS, areas, draw, keys, kind, many
from tests.masks.memory import PeakBytes

# Where pictures are a few pixels wide.
MAY_BE_EMPTY = {"damage", "text", "superres", "blobs", "inverted", "mixed", "joined"}

# ------------------------------------------------------------------------------------------------ form and purity


@pytest.mark.parametrize("name", KINDS)
def test_form(name: str) -> None:
    for size in [(64, 64), (48, 80), (37, 5), (2, 3), (1, 1)]:
        mask = kind(name)(keys(40), size)
        assert mask.shape == (40, 1, *size) and mask.dtype == torch.float32 and mask.is_contiguous()
        assert not mask.requires_grad
        assert ((mask == 0) | (mask == 1)).all()
        if name not in MAY_BE_EMPTY or size == (64, 64):
            assert (mask.sum((1, 2, 3)) > 0).all(), f"an empty mask of {size}"
    assert kind(name)(keys(0), (8, 8)).shape == (0, 1, 8, 8)


@pytest.mark.parametrize("name", KINDS)
def test_mask_depends_on_its_key_alone(name: str) -> None:
    size, each = (48, 64), keys(64)
    whole = kind(name)(each, size)
    assert torch.equal(whole[:16], torch.cat([kind(name)(key, size) for key in each[:16].split(1)]))
    assert torch.equal(whole, torch.cat([kind(name)(part, size) for part in each.split(7)]))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(whole[order], kind(name)(each[order], size))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        assert torch.equal(whole, kind(name)(each, size)), "the global generator plays a part"


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("centre", "full", "superres", "mixed")])
def test_keys_give_different_masks(name: str) -> None:
    mask = kind(name)(keys(300), (64, 64)).to(torch.uint8)
    assert len({sample.numpy().tobytes() for sample in mask}) >= (150 if name == "outpainting" else 299)


def test_masks_are_the_same_on_every_machine() -> None:
    """Pinned pixels: if this fails, masks of finished experiments cannot be drawn again. Change it knowingly."""
    boxes = Boxes(count=(1, 4), side=(0.1, 0.6), margin=0.05)
    strokes = Strokes(count=(1, 5), segments=(1, 6), length=(0.1, 0.4), width=(0.04, 0.25), turn=(0, 90))
    mask = Mixture({"boxes": boxes, "strokes": strokes}, {"boxes": 1, "strokes": 2})(keys(256), (96, 128))
    digest = hashlib.sha256(mask.to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest[:16] == "9d3e5a49c274dd7e"


# ---------------------------------------------------------------------------------------------------- other devices


@pytest.mark.parametrize("name", KINDS)
def test_other_devices_never_wait(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meta tensors have no numbers: whatever needs one (.item, nonzero, boolean indexing) raises on them. They go the
    way of a GPU, so its memory is measured on them."""
    monkeypatch.setattr(masks.kind, "TRIES", 2)  # operations on them are slow
    with PeakBytes() as memory:
        mask = kind(name)(keys(32).to("meta"), (128, 128))
    assert mask.device.type == "meta" and mask.shape == (32, 1, 128, 128) and mask.dtype == torch.float32
    if name in OPTIONS:
        assert memory.peak / (32 * 128 * 128) < (70 if name in ("text", "damage") else 35)


@pytest.mark.parametrize("name", KINDS)
def test_other_devices_paint_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the CPU leaves out empty shapes, untouched rows and masks that fit; here it goes the long way of a GPU."""
    pruned = kind(name)(keys(24), (48, 40))
    monkeypatch.setattr(shapes, "HOST", "no device")
    assert torch.equal(pruned, kind(name)(keys(24), (48, 40)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", KINDS)
def test_gpu_paints_the_same_bits_without_waiting(name: str) -> None:
    device_keys = keys(64).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        mask = kind(name)(device_keys, (64, 96))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(mask.cpu(), kind(name)(keys(64), (64, 96)))


def test_sines() -> None:
    turns = torch.linspace(-3, 3, 100_001, dtype=torch.float64)
    assert (sine(turns.float()).double() - torch.sin(2 * math.pi * turns)).abs().max() < 1.1e-3
    assert sine(torch.tensor([0, 0.25, 0.5, 0.75, 1])).tolist() == [0, 1, 0, -1, 0]


# -------------------------------------------------------------------------------------------------- limits on areas


@pytest.mark.parametrize("limits", [(0.2, 0.3), (0.45, 1), (0, 0.05)])
def test_the_first_draw_within_the_limits_is_taken_or_the_nearest(limits: tuple[float, float]) -> None:
    """By going through the draws one by one; nearly all fit the first limits at last, some never the others."""
    boxes, size, each = Boxes(area=limits), (40, 56), keys(100)
    draws = [boxes.make(each if k == 0 else rng.fold(each, f"draw {k}"), size) for k in range(TRIES)]
    area = torch.stack([areas(draw) for draw in draws])
    misfit = (limits[0] - area).clamp(min=0) + (area - limits[1]).clamp(min=0)
    taken = misfit.argmin(0)  # the first of the nearest
    assert taken.unique().numel() > 5, "the test would be of nothing"
    expected = torch.stack([draws[k][sample] for sample, k in enumerate(taken)])
    assert torch.equal(boxes(each, size), expected)
    within = (misfit.amin(0) == 0).sum()
    assert within > 95 if limits == (0.2, 0.3) else 5 < within < 95


@pytest.mark.parametrize("name", [name for name in KINDS if kind(name).area != (0, 1)])
def test_areas_are_within_the_limits(name: str) -> None:
    low, high = kind(name).area
    area = areas(draw(kind(name), 1000))
    assert ((area >= low) & (area <= high)).float().mean() > (0.97 if name == "limited" else 0.99)
    assert area.min() > low - 0.05 and area.max() < high + 0.05, "the nearest is far off"


@pytest.mark.parametrize(
    ("name", "mean", "least", "most"),
    [
        ("boxes", 0.255, 0.008, 0.75),
        ("strokes", 0.277, 0.002, 0.85),
        ("mixture", 0.266, 0.002, 0.85),
        ("damage", 0.072, 0.0, 0.25),
    ],
)
def test_areas(name: str, mean: float, least: float, most: float) -> None:
    area = areas(many(name))
    assert abs(area.mean() - mean) < 0.015
    assert least < area.min() and area.max() < most


def test_default_mixture_spreads_the_areas() -> None:
    share = torch.histc(area := areas(many("mixture")), bins=10, min=0, max=1) / 2000
    assert (share[:5] > 0.08).all() and share[5] > 0.02, share
    assert (area > 0.7).float().mean() < 0.02


# At 64 px their brushes would be thinner than the thinnest there is.
THIN = {"damage", "scribbles", "lama_thin_512", "scratches", "film_scratches", "old_photo", "joined"}


@pytest.mark.parametrize("name", [name for name in KINDS if name != "mixed"])
def test_areas_hardly_depend_on_the_resolution(name: str) -> None:
    sides = (256, 512) if name in THIN else (64, 256)
    small, large = (areas(kind(name)(keys(40), (side, side))) for side in sides)
    # Where areas are limited, a draw that fits one size by a pixel may not fit the other, and another is taken.
    limited = kind(name).area != (0, 1) or name == "pconv"
    assert ((small - large).abs() < 0.03).float().mean() > (0.8 if limited else 0.97)
    assert abs((small - large).mean()) < (0.02 if limited else 0.01)


# ----------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("name", OPTIONS)
def test_memory_grows_with_the_pixels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks.kind, "TRIES", 2)
    with PeakBytes() as memory:
        kind(name)(keys(32), (128, 128))
    assert memory.peak / (32 * 128 * 128) < 35


# -------------------------------------------------------------------------------------------------------- arguments

COMMON: list[tuple[type, str, list]] = [
    (Boxes, "count", [(4, 1), (0, 1), (1, 2.5), 3, (1, 10**9)]),
    (Boxes, "side", [(0.5, 0.2), (0.5, 1.2), (-0.1, 0.2), (0.1, 0.2, 0.3), (float("nan"), 0.2), "ab"]),
    (Boxes, "margin", [0.5, -0.1, None]),
    (Boxes, "position", [(0, 2)]),
    (Boxes, "resolution", [0, None, "256", float("nan")]),
    (Boxes, "area", [(0.5, 0.2), (0, 1.1), (-0.1, 1), 0.5, None]),
    (Outpainting, "sides", [[], "left", ["middle"]]),
    (Outpainting, "probability", [-0.1, 1.1, None]),
    (Outpainting, "width", [(0.5, 0.2), (0, 1.2)]),
    (Grid, "step", [(1, 4), (2, 2.5), 4]),
    (Strokes, "count", [(0, 3)]),
    (Strokes, "segments", [(0, 3), (5, 3)]),
    (Strokes, "length", [(-1, 0.2), (0.1, float("inf"))]),
    (Strokes, "width", [(0.3, 0.2), None]),
    (Strokes, "turn", [(0, 270)]),
    (LamaStrokes, "times", [(0, 5), (5, 1), 5]),
    (LamaStrokes, "max_width", [0, "thick", 9.5]),
    (LamaStrokes, "max_length", [0, None]),
    (LamaStrokes, "max_angle", [0, 101]),
    (LamaStrokes, "resolution", [0]),
    (DeepFillStrokes, "count", [(0, 3)]),
    (DeepFillStrokes, "vertices", [(0, 3)]),
    (DeepFillStrokes, "angle", [400, None]),
    (DeepFillStrokes, "spread", [-1, 200]),
    (DeepFillStrokes, "width", [(40, 12), (1, 1000)]),
    (DeepFillStrokes, "resolution", [0]),
    (Blobs, "spacing", [0, 11, None]),
    (Blobs, "threshold", [-0.1, 2]),
    (Blobs, "area", [(0.3, 0.2)]),
    (Scratches, "count", [(0, 3)]),
    (Scratches, "branches", [(-1, 3), (0, 0.5)]),
    (Scratches, "length", [(-1, 10), (10, 5)]),
    (Scratches, "width", [(3, 1), (0, 1000)]),
    (Scratches, "wander", [-1, 181]),
    (Scratches, "direction", [None, 720]),
    (Scratches, "spread", [-1, 91]),
    (Scratches, "resolution", [0]),
    (Text, "lines", [(0, 1)]),
    (Text, "letters", [(0, 10)]),
    (Text, "height", [(0, 0.1), (0.2, 0.1)]),
    (Text, "rotation", [-1, "much"]),
]


@pytest.mark.parametrize(("made", "key", "values"), COMMON, ids=[f"{m.__name__}.{key}" for m, key, _ in COMMON])
def test_wrong_arguments_name_their_key(made: type, key: str, values: list) -> None:
    for value in values:
        with pytest.raises(ValueError, match=rf"^masks\.{key}: give .*; got "):
            made(**{key: value})


def test_every_kind_that_is_drawn_says_how() -> None:
    """Mixtures and unions of them are painted at once."""
    for name in ("boxes", "strokes", "mixture", "union", "lama_thick", "deepfill_v2", "old_photo", "nested"):
        assert kind(name).draw(keys(2), (8, 8)) is not None, name
    for name in ("text", "blobs", "mixed", "joined", "pconv"):
        assert kind(name).draw(keys(2), (8, 8)) is None, name
    assert isinstance(kind("lama_strokes"), Drawn)
