"""The sliced Wasserstein distance against scipy's in one dimension, by draws, and of what it should notice."""

import math

import pytest
import torch
from scipy.stats import wasserstein_distance

from inpaint import rng
from inpaint.metrics import sliced
from inpaint.metrics.sliced import enlarged, patches, pyramid, sliced_wasserstein


def pictures(seed=0, count=24, side=32):
    """Smooth random pictures, no two alike."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 6, 6, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(-1, 1)


def distance(real, fake, counts=None):
    index = torch.arange(len(real))
    counts = torch.ones(1, len(real)) if counts is None else counts
    return sliced_wasserstein(patches(real, index), patches(fake, index), counts)


@pytest.mark.parametrize(("size", "levels"), [((64, 64), 3), ((37, 50), 2), ((32, 33), 2), ((16, 16), 1), ((8, 8), 1)])
def test_a_pyramid_adds_up_to_its_picture(size, levels):
    image = rng.uniform(torch.arange(2), 3 * size[0] * size[1]).view(2, 3, *size)
    found = pyramid(image)
    assert len(found) == levels and found[0].shape == image.shape
    total = found[-1]
    for level in found[-2::-1]:
        total = level + enlarged(total, level)
    assert torch.allclose(total, image, atol=1e-5)
    flat = pyramid(torch.full((1, 1, 64, 64), 0.25))
    assert max(level.abs().max() for level in flat[:-1]) < 1e-6 and torch.allclose(flat[-1], torch.tensor(0.25))


def test_patches_are_cut_from_the_picture_at_places_of_their_own():
    image = pictures(count=3, side=16)
    (level,) = patches(image, torch.tensor([5, 9, 5]))
    assert level.shape == (3, sliced.PATCHES, 3, 7, 7)
    windows = image.unfold(2, 7, 1).unfold(3, 7, 1).flatten(2, 3).transpose(1, 2).half()
    places = [[(windows[n] == patch).flatten(1).all(1).nonzero().item() for patch in level[n]] for n in range(3)]
    assert places[0] == places[2] != places[1] and len({*places[0]}) > 10
    assert patches(pictures(count=1, side=16)[..., :6], torch.arange(1)) == []


@pytest.mark.parametrize("counts", [[1] * 8, [0, 2, 1, 0, 3, 0, 1, 1]])
@pytest.mark.parametrize("side", [16, 32])
def test_it_is_the_mean_of_scipys_distances(side, counts, monkeypatch):
    """Of a draw as well: pictures that weigh as often as they were drawn, normalised by the whole real set."""
    monkeypatch.setattr(sliced, "DIRECTIONS", 5)
    real, fake = pictures(0, 8, side), pictures(1, 8, side) * 0.7 + 0.2
    found, index = [], torch.arange(8)
    weights = [count for count in counts for _ in range(sliced.PATCHES)]
    for a, b in zip(patches(real, index), patches(fake, index), strict=True):
        a, b = a.double(), b.double()
        mean, deviation = a.mean(dim=(0, 1, 3, 4), keepdim=True), a.std(dim=(0, 1, 3, 4), keepdim=True)
        a, b = (((x - mean) / deviation).reshape(-1, 147).numpy() for x in (a, b))
        directions = rng.normal(torch.arange(5), 147).double()
        directions = (directions / directions.norm(dim=1, keepdim=True)).numpy()
        found.append(sum(wasserstein_distance(a @ each, b @ each, weights, weights) for each in directions) / 5)
    others = torch.tensor([[3.0] + [1.0] * 7, counts])
    assert distance(real, fake, others)[1].item() == pytest.approx(1000 * sum(found) / len(found), rel=1e-4)


def test_a_set_is_at_no_distance_from_itself():
    real = pictures(0, 6)
    assert distance(real, real).item() == pytest.approx(0, abs=1e-6) and distance(real, pictures(1, 6)).item() > 10


def test_it_sees_blur_colour_contrast_and_collapse():
    real, other = pictures(0), pictures(1)
    near = distance(real, other).item()
    blurred = torch.nn.functional.avg_pool2d(other, 9, 1, 4)
    for worse in (blurred, other + 0.3, 0.4 * other, other[:1].expand_as(other)):
        assert distance(real, worse).item() > 1.3 * near
    assert math.isnan(distance(real, torch.full_like(real, torch.nan)).item())
