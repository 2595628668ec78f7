"""Copy and paste: in the order that it says, from the patches that are nearest."""

import numpy as np
import pytest
import torch
from skimage import data

from inpaint.batch import from_uint8
from inpaint.fills import Harmonic, NearestPatch
from inpaint.fills.patches import _plan, _Sources
from inpaint.settings import Refused


def noise(height, width):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(4)) * 2 - 1


def texture(kind):
    row, column = torch.arange(48)[:, None], torch.arange(45)
    on = {"stripes": (row * 0 + column) % 6 < 3, "checkers": (row // 4 + column // 4) % 2 == 0}[kind]
    return torch.where(on, 0.7, -0.5).expand(1, 3, 48, 45) * torch.tensor([1.0, 0.5, -1.0])[:, None, None]


@pytest.mark.parametrize("patch", [7, 9])
@pytest.mark.parametrize("kind", ["stripes", "checkers"])
def test_nearest_patch_restores_a_periodic_texture(kind, patch):
    image = texture(kind)
    mask = torch.zeros(1, 1, 48, 45)
    mask[..., 14:34, 12:31] = 1
    mask[..., :6, 38:] = 1  # and a corner of the picture
    composite = NearestPatch(patch)(torch.where(mask > 0.5, torch.nan, image), mask).composite
    assert torch.equal(composite, image)


def test_nearest_patch_is_what_its_description_says():
    """Against the same method written out pixel by pixel."""
    image = noise(18, 16)
    mask = torch.zeros(1, 1, 18, 16)
    mask[..., 4:11, 0:6] = 1  # at the picture's border
    mask[..., 12:16, 7:13] = 1
    picture, hole, half = image[0].double().clone(), mask[0, 0] > 0.5, 2
    sources = [
        picture[:, row - half : row + half + 1, column - half : column + half + 1].clone()
        for row in range(half, 18 - half)
        for column in range(half, 16 - half)
        if not hole[row - half : row + half + 1, column - half : column + half + 1].any()
    ]

    def patch_around(row, column):
        """Pairs of a pixel of the picture and its place in the patch."""
        reach = range(-half, half + 1)
        pixels = [((row + r, column + c), (r + half, c + half)) for r in reach for c in reach]
        return [(at, place) for at, place in pixels if 0 <= at[0] < 18 and 0 <= at[1] < 16]

    while hole.any():
        row, column = max(hole.nonzero().tolist(), key=lambda at: sum(not hole[p] for p, _ in patch_around(*at)))
        patch = patch_around(row, column)
        known = [(at, place) for at, place in patch if not hole[at]]
        best = min(sources, key=lambda s: sum(((picture[:, *p] - s[:, *q]) ** 2).sum().item() for p, q in known))
        for at, place in patch:
            if hole[at]:
                picture[:, *at] = best[:, *place]
                hole[at] = False

    assert torch.equal(NearestPatch(5)(image, mask).composite[0], picture.float())


def test_nearest_patch_falls_back_to_smaller_patches_and_to_harmonic():
    image = noise(16, 16)
    mask = torch.ones(1, 1, 16, 16)
    mask[..., 5:10, 5:10] = 0  # room for 5 x 5 and not for 7 x 7
    assert torch.equal(NearestPatch(7)(image, mask).composite, NearestPatch(5)(image, mask).composite)
    mask[..., 7, 7] = 1  # and now not for 3 x 3
    assert torch.equal(NearestPatch(7)(image, mask).composite, Harmonic()(image, mask).composite)


@pytest.mark.parametrize("patch", [3, 7])
def test_the_plan_is_the_order_of_one_patch_after_another(patch):
    """What the next patch knows was filled in earlier turns, what it fills in its own, and it knows the most."""
    hole, half = torch.rand(23, 19, generator=torch.Generator().manual_seed(patch)) < 0.6, patch // 2
    places, turns, turn = _plan(hole.numpy(), patch)
    assert (np.diff(turns) >= 0).all() and (turn[half:-half, half:-half][~hole.numpy()] == 0).all()
    waiting = dict(zip(places.tolist(), turns.tolist(), strict=True))
    known, inside = np.pad(~hole.numpy(), half), np.pad(np.ones(hole.shape, bool), half)
    while (known < inside).any():
        sums = [
            (known[row : row + patch, column : column + patch].sum(), -row, -column)
            for row, column in (np.argwhere(inside & ~known) - half).tolist()
        ]
        row, column = (-place for place in max(sums)[1:])
        window = (slice(row, row + patch), slice(column, column + patch))
        now = waiting.pop(row * turn.shape[1] + column)
        assert (turn[window][known[window]] < now).all()
        assert (turn[window][inside[window] & ~known[window]] == now).all()
        known[window] |= inside[window]
    assert not waiting


def photograph(size):
    picture = torch.from_numpy(data.astronaut()[:size, 180 : 180 + size].copy())
    return from_uint8(picture.permute(2, 0, 1))


def test_candidates_are_nearly_as_near_as_the_nearest():
    """Distances of both searches for the same patches, known in part, by hand."""
    picture, patch = photograph(96), 7
    flat = picture.flatten(1).T.contiguous()
    index = torch.arange(96 * 96).view(96, 96)
    pixels, places = index[:patch, :patch], index[: 96 - patch, : 60 - patch].flatten()
    asked = index[: 96 - patch, 60 : 96 - patch].flatten()[::29]  # none of them overlaps a source
    to_the_right = torch.arange(patch) >= torch.arange(len(asked))[:, None] % 5 + 2
    known = (~to_the_right[:, None]).expand(-1, patch, -1).flatten(1).float()
    patches = flat[asked[:, None] + pixels.flatten()]

    def distances(of):
        found = flat[of[:, None] + pixels.flatten()]
        return ((found - patches).square().sum(2) * known).sum(1)

    exact = _Sources(flat, places, pixels, None).nearest(patches, known)
    sources = flat[places[:, None] + pixels.flatten()]
    least = torch.stack([((sources - one).square().sum(2) @ w).min() for one, w in zip(patches, known, strict=True)])
    torch.testing.assert_close(distances(exact), least)
    quick = _Sources(flat, places, pixels, 32)
    assert quick.candidates == 32 and quick.tiles.shape[1] == 16 + 16 + 8
    near = distances(quick.nearest(patches, known))
    assert 1 < near.mean() / least.mean() < 1.05
    few = distances(_Sources(flat, places, pixels, 1).nearest(patches, known))
    assert few.mean() > 1.05 * near.mean()  # so the test above could fail


def test_a_search_in_parts_is_the_same(monkeypatch):
    picture = photograph(48)[None]
    mask = torch.zeros(1, 1, 48, 48)
    mask[..., 10:30, 15:40] = 1
    for candidates in (None, 4):
        expected = NearestPatch(candidates=candidates)(picture, mask).composite
        with monkeypatch.context() as patched:
            patched.setattr("inpaint.fills.patches.AT_ONCE", 1)
            assert torch.equal(NearestPatch(candidates=candidates)(picture, mask).composite, expected)


@pytest.mark.parametrize("patch", [1, 6, -3])
def test_nearest_patch_refuses_an_even_or_tiny_patch(patch):
    with pytest.raises(Refused, match=r"^generator\.patch: "):
        NearestPatch(patch)


def test_nearest_patch_refuses_no_candidate():
    with pytest.raises(Refused, match=r"^generator\.candidates: 0 is no whole number from 1 up$"):
        NearestPatch(candidates=0)
