"""The pool against loops over pixels, dilation against distances to every pixel of the hole."""

import numpy as np
import pytest
import torch
import torch._dynamo  # meta tensors import it at their first use, and it sets an environment variable, as no test may

from inpaint.masks import pool as pools
from inpaint.masks.pool import Pool, dilated, from_centre, grown, reduced

SIZES = [(1, 1), (5, 8), (8, 5), (13, 17), (40, 9), (3, 64)]


def pictures():
    generator = np.random.default_rng(0)
    return [generator.random(size) < 0.5 for size in SIZES]


def test_points_find_the_pixel_they_lie_in():
    stored, generator = pictures(), np.random.default_rng(1)
    which = np.arange(600) % len(stored)
    x, y = (generator.uniform(-40, 40, (600, 7, 6)).astype(np.float32) for _ in "xy")
    x[:50], y[:50] = x[:50].round(), y[:50].round()  # edges of pixels, or their centres
    found = Pool(stored).look(torch.from_numpy(which), torch.from_numpy(x), torch.from_numpy(y)).numpy()
    inside = 0
    for sample, row, column in np.ndindex(found.shape):
        picture = stored[which[sample]]
        i = int(np.floor(y[sample, row, column] + picture.shape[0] / 2))
        j = int(np.floor(x[sample, row, column] + picture.shape[1] / 2))
        within = 0 <= i < picture.shape[0] and 0 <= j < picture.shape[1]
        inside += within
        assert found[sample, row, column] == (within and picture[i, j])
    assert inside > 500


@pytest.mark.parametrize("place", range(len(SIZES)))
def test_a_picture_comes_back_pixel_by_pixel(place):
    x, y = from_centre(SIZES[place], torch.device("cpu"))
    assert np.array_equal(Pool(pictures()).look(torch.tensor([place]), x, y)[0], pictures()[place])


def test_inversion_exchanges_the_picture_and_leaves_the_outside():
    pool = Pool(pictures())
    pool.invert()
    x, y = from_centre((60, 70), torch.device("cpu"))
    found = pool.look(torch.arange(len(SIZES)), x, y)
    for mask, picture in zip(found, pictures(), strict=True):
        assert mask.sum() == (~picture).sum()


def test_a_pixel_takes_a_bit_and_what_is_too_much_is_refused(monkeypatch):
    pool = Pool(np.zeros((64, 64), bool) for _ in range(10))
    (bits,) = pool._bits(torch.device("cpu"))
    assert len(pool) == 10 and bits.numel() == 10 * 64 * 64 // 8
    monkeypatch.setattr(pools, "MOST", 1000)
    with pytest.raises(ValueError, match=r"^masks\.side: .* give a smaller side"):
        Pool(np.zeros((64, 64), bool) for _ in range(2))


def test_another_device_gets_the_pool_once():
    pool, meta = Pool(pictures()), torch.device("meta")
    assert pool._bits(meta)[0] is pool._bits(meta)[0]
    assert pool.look(torch.zeros(3, dtype=torch.long, device=meta), *from_centre((4, 5), meta)).shape == (3, 4, 5)


@pytest.mark.parametrize("size", [(4, 4), (7, 3), (1, 1), (13, 17), (26, 51)])
def test_reduction_takes_the_nearest_pixels(size):
    picture = pictures()[3]
    small = reduced(picture, size)
    assert small.shape == size
    for i, j in np.ndindex(size):
        assert small[i, j] == picture[int((i + 0.5) * 13 / size[0]), int((j + 0.5) * 17 / size[1])]


def test_dilation_is_by_discs():
    generator = np.random.default_rng(0)
    holes = generator.random((40, 14, 19)) < np.linspace(0, 0.1, 40)[:, None, None]  # the first has none
    radius = generator.uniform(0, 6, 40).astype(np.float32)
    radius[:14] = np.repeat([0, 1, 2, 5, 3, 4, 6], 2)  # whole: the edge belongs to the disc
    rows, columns = np.mgrid[:14, :19]
    found = dilated(torch.from_numpy(holes), torch.from_numpy(radius), 6)
    for hole, r, mask in zip(holes, radius, found, strict=True):
        expected = np.zeros_like(hole)
        for i, j in np.argwhere(hole):
            expected |= (rows - i) ** 2 + (columns - j) ** 2 <= np.float64(r) ** 2
        assert np.array_equal(mask, expected)
    assert 0.2 < found.float().mean() < 0.9 and not found[0].any()


def test_growth_is_keyed_and_a_fraction_of_the_shorter_side():
    hole = torch.zeros(400, 60, 80, dtype=torch.bool)
    hole[:, 30, 40] = True
    grew = grown(hole, torch.arange(400), (0.1, 0.2))
    assert grew.shape == (400, 1, 60, 80) and grew.dtype == torch.float32
    radius = (grew[:, 0, 30].sum(1) - 1) / 2
    assert radius.min() == 6 and radius.max() == 11 and len(radius.unique()) == 6
    assert torch.equal(grown(hole, torch.arange(400), (0, 0))[:, 0] > 0.5, hole)
