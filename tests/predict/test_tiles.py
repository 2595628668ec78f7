"""Windows: what is painted is all of the hole, once, at sizes that are bounded, without seams."""

import cv2
import numpy as np
import pytest

from inpaint.predict.predictor import Predictor
from inpaint.predict.tiles import Sizes, Window, back, plan, seen
from inpaint.settings import Refused
from tests.conftest import smooth_picture
from tests.predict.networks import Grain, Level


def holes(height, width, *boxes):
    hole = np.zeros((height, width), bool)
    for top, left, bottom, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


def scattered(seed, height=700, width=900):
    generator = np.random.default_rng(seed)
    hole = np.zeros((height, width), bool)
    for _ in range(generator.integers(1, 30)):
        top, left = generator.integers(0, height), generator.integers(0, width)
        hole[top : top + generator.integers(1, 200), left : left + generator.integers(1, 200)] = True
    return hole


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("strategy", ["auto", "crop", "tile"])
def test_every_pixel_of_the_hole_is_painted_and_no_window_is_larger_than_a_tile(seed, strategy):
    hole, sizes = scattered(seed), Sizes(strategy, tile=256, context=40, overlap=32)
    painted = np.zeros(hole.shape, float)
    for window in plan(hole, sizes).windows:
        assert max(window.seen) <= 256 and window.height > 0 and window.width > 0
        weight = window.weight()
        weight = np.ones((window.height, window.width)) if weight is None else weight[..., 0]
        mine = hole[window.place] if window.own is None else hole[window.place] & window.own
        assert mine.any()
        # How much of a pixel is painted, if each keeps what it does not take of what was there before.
        painted[window.place][mine] = (painted[window.place] * (1 - weight) + weight)[mine]
    assert np.abs(painted[hole] - 1).max() < 1e-5 and not painted[~hole].any()


def test_a_hole_is_seen_with_its_context_and_two_that_are_near_together():
    hole = holes(1000, 1000, (100, 100, 120, 130), (150, 100, 160, 110), (800, 800, 850, 850))
    first, second = plan(hole, Sizes("crop", tile=512, context=64)).windows
    assert first.place == (slice(32, 224), slice(32, 208)) and second.place == (slice(736, 928), slice(736, 928))
    assert plan(hole, Sizes("crop", tile=512, context=64)).taken == "2 crops"


def test_holes_whose_windows_cannot_be_joined_are_each_painted_by_one():
    hole = holes(300, 900, (100, 100, 200, 300), (100, 330, 200, 530))
    windows = plan(hole, Sizes("crop", tile=380, context=70, overlap=32)).windows
    assert len(windows) == 2
    painted = sum(np.count_nonzero(hole[window.place] & window.own) for window in windows)
    assert painted == hole.sum(), "no pixel is painted by two"


def test_what_is_taken_is_said():
    small, large = holes(200, 300, (10, 10, 20, 20)), holes(2000, 2000, (10, 10, 20, 20))
    wide, line = holes(2000, 2000, (200, 200, 1800, 1800)), holes(2000, 2000, (1000, 0, 1004, 2000))
    cases = (
        (small, "auto", "full"), (large, "auto", "1 crop"), (wide, "auto", "1 resized"), (line, "auto", "5 tiles"),
        (large, "full", "full"), (small, "pad", "pad"), (large, "resize", "resized to 512 x 512"),
        (large, "tile", "1 tile"), (np.zeros((9, 9), bool), "auto", "no hole"),
    )  # fmt: skip
    for hole, strategy, taken in cases:
        assert plan(hole, Sizes(strategy)).taken == taken


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "crops"}, "strategy: give one of auto, full.*did you mean crop"),
        ({"tile": 8}, "tile: 8 is no whole number from 16 up"),
        ({"tile": 100, "overlap": 40}, "overlap: 40 is more than a third of tile=100; overlap=20 is not"),
    ],
)
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(Refused, match=message):
        Sizes(**settings)


def test_a_shrunk_window_knows_nothing_of_the_hole():
    generator = np.random.default_rng(0)
    picture, hole = generator.random((90, 120, 3), np.float32), generator.random((90, 120)) < 0.1
    window = Window(0, 0, 90, 120, (30, 40))
    changed = np.where(hole[..., None], 9, picture).astype(np.float32)
    small, small_hole = seen(window, picture, hole)
    other, _ = seen(window, changed, hole)
    assert np.array_equal(small, other), "what is in the hole shows"
    blocks = hole.reshape(30, 3, 40, 3)
    assert np.array_equal(small_hole, blocks.any((1, 3)))
    whole = ~small_hole
    assert np.allclose(small[whole], picture.reshape(30, 3, 40, 3, 3).mean((1, 3))[whole], atol=1e-5)
    assert back(window, small).shape == (90, 120, 3)


def test_a_padded_window_is_reflected_with_its_hole():
    picture = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    hole = np.array([[True, False], [False, False]])
    shown, shown_hole = seen(Window(0, 0, 2, 2, (4, 4)), picture, hole)
    assert np.array_equal(shown[2:, 2:], picture[::-1, ::-1]) and shown_hole[3, 3] and shown_hole.sum() == 4
    assert np.array_equal(back(Window(0, 0, 2, 2, (4, 4)), shown), picture)


@pytest.mark.parametrize("strategy", ["full", "pad", "resize", "crop", "tile"])
def test_what_is_known_stays_and_what_is_a_hole_is_painted(strategy):
    picture, hole = smooth_picture(0, 300, 420), scattered(3, 300, 420)
    network = Level()
    (repaired,) = Predictor(network, strategy=strategy, tile=128, context=20, overlap=24).repair([picture], [hole])
    assert np.array_equal(repaired.pixels[~hole], picture[~hole])
    shrunk = strategy in ("resize", "crop")  # where enlarging what was painted mixes in some of what is beside it
    inside = cv2.erode(hole.astype(np.uint8), np.ones((41, 41))) > 0 if shrunk else hole
    assert inside.any() and (repaired.pixels[inside] == 191).all()
    if strategy not in ("full", "pad"):
        assert max(max(size[2:]) for size in network.sizes) <= 128
    if strategy == "pad":
        assert network.sizes == [(1, 3, 320, 448)]


@pytest.mark.parametrize("direction", ["across", "down"])
def test_no_seam_where_tiles_meet(direction):
    """The mean gradient across the borders of tiles, inside the hole, is at most 1.1 times that elsewhere in it."""
    y, x = np.mgrid[:480, :640]
    picture = np.stack([x * 0.35, y * 0.5, (x + y) * 0.2], axis=-1).astype(np.uint8)
    hole = holes(480, 640, (40, 40, 440, 600))
    sizes = {"strategy": "tile", "tile": 192, "overlap": 64}
    (repaired,) = Predictor(Grain(), **sizes).repair([picture], [hole])
    axis = 1 if direction == "across" else 0
    gradient = np.abs(np.diff(repaired.pixels.astype(float), axis=axis)).mean(2)[40:439, 40:599]
    windows = plan(hole, Sizes(**sizes)).windows
    starts = {window.left if axis else window.top for window in windows}
    ends = {window.left + window.width if axis else window.top + window.height for window in windows}
    size = hole.shape[axis]
    borders = np.array(sorted({place - 1 - 40 for place in starts | ends if 42 < place < size - 42}))
    borders = borders[(borders >= 0) & (borders < gradient.shape[axis])]
    inside = np.ones(gradient.shape[axis], bool)
    inside[borders] = False
    across, elsewhere = gradient.take(borders, axis).mean(), gradient.compress(inside, axis).mean()
    assert len(borders) >= 4 and across <= 1.1 * elsewhere, f"{across / elsewhere:.2f}"
