"""Holes of no particular form."""

import cv2
import torch

from inpaint.masks import Blobs
from inpaint.masks.blobs import _stretch
from tests.masks.kinds import areas, draw, keys, kind, many


def test_noise_is_stretched_by_catmull_roms_spline() -> None:
    """Against its definition: a cubic with the points' values, and slopes half the difference of their neighbours."""
    values = torch.rand(3, 9, 5, generator=torch.Generator().manual_seed(0))
    places = torch.rand(3, 40, generator=torch.Generator().manual_seed(1)) * 6
    p = values.double()[torch.arange(3)[:, None, None], (places.long()[..., None] + torch.arange(4))]  # (3, 40, 4, 5)
    t = (places % 1).double()[..., None]
    slope, next_slope = (p[:, :, 2] - p[:, :, 0]) / 2, (p[:, :, 3] - p[:, :, 1]) / 2
    rise = p[:, :, 2] - p[:, :, 1]
    expected = p[:, :, 1] + t * (slope + t * (3 * rise - 2 * slope - next_slope + t * (slope + next_slope - 2 * rise)))
    assert torch.allclose(_stretch(values, places).double(), expected, atol=1e-6)
    assert torch.equal(_stretch(values, torch.arange(6.0).expand(3, 6)), values[:, 1:7])


def test_most_draws_have_the_published_area_at_once() -> None:
    area = areas(torch.cat([Blobs().make(part, (128, 128)) for part in keys(2000).split(250)]))
    assert abs(area.mean() - 0.25) < 0.01
    assert abs(((area > 0.2) & (area < 0.3)).float().mean() - 0.63) < 0.03


def test_blobs_are_anywhere() -> None:
    cover = many("blobs").float().mean((0, 1)).view(8, 8, 8, 8).mean((1, 3))
    assert (cover - 0.25).abs().max() < 0.04


def test_spacing_is_the_size_of_a_blob() -> None:
    def number(masks: Blobs) -> float:
        return sum(cv2.connectedComponents(mask[0].byte().numpy())[0] - 1 for mask in draw(masks, 40, side=128)) / 40

    fine, coarse = number(Blobs(spacing=0.065)), number(Blobs(spacing=0.26))
    assert 6 < fine / coarse < 12, "a quarter of the spacing, sixteen times as many, but fewer cut off by the edges"
    assert 8 < number(kind("blobs")) < 18
