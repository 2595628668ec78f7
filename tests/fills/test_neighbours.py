"""Copy and paste from a collection: what is found, what it looks like, and how it is blended."""

import cv2
import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import spsolve
from skimage import data
from skimage.feature import hog as reference_hog
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from inpaint.batch import from_uint8, to_uint8
from inpaint.fills import Harmonic, NearestNeighbour
from inpaint.fills.neighbours import SIZES, _distances, blended, hog
from inpaint.settings import Refused

CENTRE = (slice(20, 44), slice(20, 44))


def noise(count, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def windows_of_photographs(side=64):
    """Nine parts of photographs that look unlike each other, uint8 ``(9, 3, side, side)``."""
    pictures = [data.astronaut(), data.chelsea(), data.coffee()]
    found = [picture[y : y + side, x : x + side] for picture in pictures for y, x in ((0, 0), (100, 200), (200, 100))]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


def centre_hole(count=1, side=64):
    mask = torch.zeros(count, 1, side, side)
    mask[:, :, *CENTRE] = 1
    return mask


def dimmed(pixels):
    """The same scene under another light: other pixels with nearly the same directions of gradients."""
    return from_uint8(pixels) * 0.7 - 0.2


# ---- what is alike --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (50, 83), (9, 31)])
def test_hog_of_a_known_picture_is_that_of_scikit_image(size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    blocks, share = hog(image, torch.ones(2, 1, *size), 8)
    for picture, found in zip(image, blocks, strict=True):
        cell = tuple(side // 8 for side in size)
        expected = reference_hog(picture.double().numpy(), pixels_per_cell=cell, cells_per_block=(2, 2),
                                 feature_vector=False, channel_axis=0)  # fmt: skip
        expected = expected[:7, :7]  # it has further cells where more than 8 fit
        expected = torch.from_numpy(expected).permute(4, 2, 3, 0, 1).flatten(0, 2).float()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (share == 1).all()


def test_a_block_counts_by_the_least_known_of_its_cells_and_no_gradient_reads_the_hole():
    image, hole = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)), torch.zeros(1, 1, 64, 64)
    hole[..., 30:43, 17:29] = 1
    usable = np.ones((64, 64))
    usable[29:44, 16:30] = 0  # whatever has the hole among its neighbours
    cells = usable.reshape(8, 8, 8, 8).mean((1, 3))
    least = np.minimum.reduce([cells[:-1, :-1], cells[1:, :-1], cells[:-1, 1:], cells[1:, 1:]])
    blocks, share = hog(image, 1 - hole, 8)
    np.testing.assert_allclose(share[0, 0].numpy(), least, atol=1e-6)
    other, _ = hog(torch.where(hole > 0.5, -0.9, image), 1 - hole, 8)
    assert torch.equal(other, blocks)


def test_the_window_that_looks_alike_is_found_and_pasted():
    """Under another light, so that no known pixel is the same."""
    collection, mask = windows_of_photographs(), centre_hole(9)
    fill = NearestNeighbour(blend=False).copy_from(collection)
    composite = fill(dimmed(collection), mask).composite
    assert torch.equal(composite[:, :, *CENTRE], from_uint8(collection)[:, :, *CENTRE])


@pytest.mark.parametrize("size", [(64, 64), (40, 90)])
def test_the_nearest_window_is_the_one_with_the_least_distance(size):
    """All windows of all photographs, compared one by one in float64."""
    photographs = [picture for picture in noise(2, 100, 130, seed=3)]
    picture, hole = from_uint8(noise(1, *size, seed=4))[0], torch.zeros(*size)
    hole[10:25, 12:35] = 1
    fill = NearestNeighbour(blend=False).copy_from(photographs)
    found = fill(picture[None], hole[None, None]).composite[0]

    looks, share = hog((picture * (1 - hole))[None], 1 - hole[None, None], 8)
    best, nearest = None, np.inf
    rows, columns = ({round(p * (full - side) / max(1, n - 1)) for p in range(n)}
                     for full, side in zip((100, 130), size, strict=True)
                     for n in [1 + -(-2 * (full - side) // side)])  # fmt: skip
    for photograph in photographs:
        for top in sorted(rows):
            for left in sorted(columns):
                window = from_uint8(photograph[:, top : top + size[0], left : left + size[1]])
                own, _ = hog(window[None], torch.ones(1, 1, *size), 8)
                distance = ((looks - own).double().square() * share).sum().item()
                if distance < nearest - 1e-3:
                    best, nearest = window, distance
    assert torch.equal(found, torch.where(hole > 0.5, best, picture))


def test_the_picture_itself_is_no_neighbour():
    collection, mask = windows_of_photographs(), centre_hole()
    fill = NearestNeighbour(blend=False).copy_from(collection)
    changed = collection[:1].clone()
    changed[:, :, *CENTRE] = 77  # the truth is hidden: whatever it is, this one is the same outside the hole
    composite = fill(from_uint8(changed), mask).composite
    assert not torch.equal(composite[0], from_uint8(collection[0]))
    assert torch.equal(fill(dimmed(collection[:1]), mask).composite[0, :, *CENTRE],
                       from_uint8(collection[0])[:, *CENTRE])  # fmt: skip


@pytest.mark.parametrize("change", ["one pixel", "a block", "coded anew"])
def test_nor_is_the_picture_whose_known_pixels_changed_a_little(change):
    """As `inpaint-preview explain=` changes a block of them, and as JPEG does: its truth is not handed out."""
    collection, mask = windows_of_photographs(), centre_hole()
    given = collection[0].clone()
    if change == "one pixel":
        given[:, 3, 5] ^= 255
    elif change == "a block":
        given[:, :8, :8] = torch.where(given[:, :8, :8] > 127, given[:, :8, :8] - 64, given[:, :8, :8] + 64)
    else:
        coded = cv2.imencode(".jpg", given.permute(1, 2, 0).numpy(), [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
        given = torch.from_numpy(cv2.imdecode(coded, cv2.IMREAD_COLOR)).permute(2, 0, 1)
    fill = NearestNeighbour(blend=False)
    composite = fill.copy_from(collection)(from_uint8(given)[None], mask).composite
    pasted = to_uint8(composite[0, :, *CENTRE])
    assert not torch.equal(pasted, collection[0, :, *CENTRE])
    assert any(torch.equal(pasted, other[:, *CENTRE]) for other in collection[1:])
    alone = fill.copy_from(collection[:1])(from_uint8(given)[None], mask).composite
    assert torch.equal(alone, Harmonic()(from_uint8(given)[None], mask).composite)  # nothing else to copy


class Encoder(nn.Module):
    """The mean colour of each of 4 x 4 places, which the hole has no part in."""

    def features(self, image, mask):
        known = nn.functional.adaptive_avg_pool2d(1 - mask, 4).clamp_min(1e-6)
        return nn.functional.adaptive_avg_pool2d(image * (1 - mask), 4) / known


def test_features_of_an_encoder_find_what_hog_does_not():
    """Flat pictures have no gradients, and differ in the direction of their colour."""
    colours = torch.tensor([[250, 130, 120], [120, 250, 130], [130, 120, 250]], dtype=torch.uint8)
    collection = colours[:, :, None, None].expand(-1, -1, 64, 64)
    picture = from_uint8(torch.tensor([140, 130, 230], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 64, 64))
    fill = NearestNeighbour(blend=False)
    composite = fill.copy_from(collection, Encoder())(picture, centre_hole()).composite
    assert torch.equal(composite[0, :, 30, 30], from_uint8(colours[2]))
    assert torch.equal(fill.copy_from(collection)(picture, centre_hole()).composite[0, :, 30, 30],
                       from_uint8(colours[0]))  # fmt: skip
    with pytest.raises(Refused, match=r"^generator\.features: Linear declares no features"):
        fill.copy_from(collection, nn.Linear(1, 1))


class Fine(nn.Module):
    """Two features at each of a quarter of the pixels, of the first and second channel."""

    def features(self, image, mask):
        return nn.functional.avg_pool2d(image[:, :2] * (1 - mask) + 1, 2)


def test_fine_features_are_averaged_within_cells_over_what_is_known():
    fill = NearestNeighbour(cells=4).copy_from(noise(1, 64, 48), Fine())
    image, mask = from_uint8(noise(1, 64, 48, seed=8)), torch.zeros(1, 1, 64, 48)
    mask[..., 9:41, 6:27] = 1
    looks, share = fill._looks(image * (1 - mask), 1 - mask)
    features = Fine().features(image, mask)[0].double().numpy()
    features /= np.sqrt((features**2).sum(0))
    known = (1 - mask[0, 0]).double().numpy().reshape(32, 2, 24, 2).mean((1, 3))
    for row in range(4):
        for column in range(4):
            place = (slice(8 * row, 8 * row + 8), slice(6 * column, 6 * column + 6))
            total = known[place].sum()
            expected = (features[:, *place] * known[place]).sum((1, 2)) / total if total else np.zeros(2)
            np.testing.assert_allclose(looks[0, :, row, column], expected, atol=1e-5)
            assert share[0, 0, row, column].item() == pytest.approx(total / 48, abs=1e-6)
    assert (share == 0).any() and (share == 1).any()
    fill.prepare((64, 48))
    assert fill._described[64, 48].table.shape == (1, 2 * 4 * 4)
    coarse, _ = NearestNeighbour().copy_from(noise(1, 64, 64), Encoder())._looks(image, 1 - mask)
    assert coarse.shape[2:] == (4, 4)  # as they are


# ---- what is pasted -------------------------------------------------------------------------------------------------


def poisson(source, picture, hole):
    """The blend of one channel by a direct sparse solve, from the equation: sums over neighbours inside the picture."""
    height, width = hole.shape
    number = {place: row for row, place in enumerate(zip(*np.nonzero(hole), strict=True))}
    matrix, right = sparse.lil_matrix((len(number), len(number))), np.zeros(len(number))
    for (y, x), row in number.items():
        for other in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= other[0] < height and 0 <= other[1] < width:
                matrix[row, row] += 1
                right[row] += source[y, x] - source[other]
                if other in number:
                    matrix[row, number[other]] -= 1
                else:
                    right[row] += picture[other]
    solved = picture.copy()
    solved[tuple(np.array([*number]).T)] = spsolve(matrix.tocsr(), right)
    return solved


@pytest.mark.parametrize("place", ["inside", "at the border"])
def test_the_blend_solves_the_poisson_equation(place):
    source, picture = (from_uint8(windows_of_photographs(48))[number] * 0.5 for number in (0, 5))
    hole = torch.zeros(48, 48, dtype=torch.bool)
    hole[(slice(8, 40), slice(10, 33)) if place == "inside" else (slice(0, 25), slice(20, 48))] = True
    found = blended(source, picture, hole)
    for channel in range(3):
        expected = poisson(source[channel].double().numpy(), picture[channel].double().numpy(), hole.numpy())
        expected = torch.from_numpy(expected).clamp(-1, 1).float()
        torch.testing.assert_close(found[channel][hole], expected[hole], rtol=0, atol=5e-4)


def test_the_blend_keeps_the_picture_where_the_source_is_the_same_but_for_a_level():
    picture = from_uint8(windows_of_photographs())[1] * 0.6
    hole = centre_hole()[0, 0] > 0.5
    torch.testing.assert_close(blended(picture - 0.3, picture, hole), picture, rtol=0, atol=1e-4)


# ---- the collection -------------------------------------------------------------------------------------------------


class Counted(list):
    """A collection that knows what was read of it."""

    def __init__(self, photographs):
        super().__init__(photographs)
        self.read = []

    def __getitem__(self, row):
        self.read.append(row)
        return super().__getitem__(row)


def test_windows_are_bounded_and_descriptors_alone_are_kept():
    collection = Counted(noise(7, 200, 300))
    fill = NearestNeighbour(windows=20).copy_from(collection)
    fill.prepare((64, 64))
    windows, table = fill._described[64, 64]
    assert collection.read == [*range(7)] and len(windows) == 14 == len(table)
    assert table.dtype == torch.float16 and table.shape[1] == 36 * 49
    assert {window.photograph for window in windows} == {*range(7)}
    fill.prepare((64, 64))
    assert len(collection.read) == 7
    fill(from_uint8(noise(2, 64, 64, seed=9)), centre_hole(2))
    assert len(collection.read) == 9  # one for each picture that is filled

    few = NearestNeighbour(windows=3).copy_from(collection)
    few.prepare((64, 64))
    assert [window.photograph for window in few._described[64, 64].windows] == [0, 2, 4]
    for side in range(10, 20):
        few.prepare((side, side))
    assert len(few._described) == SIZES and (19, 19) in few._described


def test_of_photographs_smaller_than_the_picture_parts_are_enlarged():
    photograph = noise(1, 20, 31)
    fill = NearestNeighbour(blend=False).copy_from(photograph)
    composite = fill(from_uint8(noise(1, 64, 64, seed=5)), centre_hole()).composite
    assert [(window.top, window.left) for window in fill._described[64, 64].windows] == [(0, 0), (0, 6), (0, 11)]
    pasted = to_uint8(composite[0, :, *CENTRE])
    parts = [photograph[..., left : left + 20].float() for left in range(12)]
    larger = [nn.functional.interpolate(part, (64, 64), mode="bilinear").round().byte()[0] for part in parts]
    assert [left for left in (0, 6, 11) if torch.equal(pasted, larger[left][:, *CENTRE])]


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor has that is made inside."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.numbers = max([self.numbers, *(x.numel() for x in (made if isinstance(made, tuple) else (made,))
                                            if isinstance(x, torch.Tensor))])  # fmt: skip
        return made


@pytest.mark.parametrize("height", [1, 2, 3])
def test_a_thin_photograph_takes_no_more_memory_than_its_windows(height):
    """As a whole it would have a thousand times its pixels, 64 x 64000 and more."""
    fill = NearestNeighbour(windows=8).copy_from(noise(1, height, 3000))
    with Largest() as largest:
        composite = fill(from_uint8(noise(1, 64, 64, seed=5)), centre_hole()).composite
    windows, _ = fill._described[64, 64]
    assert composite.isfinite().all() and len(set(windows)) == 8
    assert largest.numbers <= 8 * 64 * 64 * 9


def test_long_descriptors_are_compared_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("inpaint.fills.neighbours.COMPARED", 1000)
    generator = torch.Generator().manual_seed(3)
    table, looks = (torch.randn(*shape, generator=generator) for shape in ((50, 300), (3, 10, 10)))
    share, table = torch.rand(1, 10, 10, generator=generator), table.half()
    with Largest() as largest:
        found = _distances(looks, share, table)
    assert largest.numbers <= 1000
    away = ((looks - table.double().view(50, 3, 10, 10)).square() * share).sum((1, 2, 3))
    constant = (looks.double().square() * share).sum()
    torch.testing.assert_close(found.double() + constant, away, rtol=1e-4, atol=1e-3)


def test_where_no_place_is_known_it_is_the_harmonic_fill():
    mask = torch.ones(1, 1, 64, 64)
    mask[..., 30:32, 30:32] = 0  # no pixel has only known neighbours
    image = from_uint8(noise(1, 64, 64))
    fill = NearestNeighbour().copy_from(noise(3, 64, 64, seed=6))
    assert torch.equal(fill(image, mask).composite, Harmonic()(image, mask).composite)


def test_without_a_collection_it_is_refused():
    with pytest.raises(Refused, match=r"^generator\.collection: nearest_neighbour copies from photographs"):
        NearestNeighbour()(torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8))
    for name in ("windows", "cells"):
        with pytest.raises(Refused, match=rf"^generator\.{name}: 0 is no whole number from 1 up$"):
            NearestNeighbour(**{name: 0})
