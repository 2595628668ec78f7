"""Holes of no particular form."""

from collections.abc import Sequence

import torch
from torch import Tensor

from inpaint.masks.kind import Pixelwise, scalar
from inpaint.masks.shapes import Size
from inpaint.rng import fold, uniform


class Blobs(Pixelwise):
    """Low-frequency noise below a threshold: the random regions of Context Encoders (Pathak et al. 2016).

    There, uniform noise of 600 x 600 is scaled to 10000 x 10000 pixels with a bicubic filter, the region is where it is
    below 0.25, and crops of 128 pixels are taken whose hole covers 20 to 30 % (one a batch; here each sample has its
    own). A crop is 128 / (10000 / 600) = 7.68 spacings of the lattice wide, hence `spacing`. The filter pulls the noise
    towards its mean, so 0.25 leaves 17 % below it, and a quarter of the draws within the limits. `threshold` is where
    25 % lie below (measured over 2000 masks): then 63 % of the draws are within the limits.

    Args:
        spacing: distance of the lattice's points, a fraction of the picture's shorter side.
        threshold: the noise, uniform in 0..1 on the lattice, is hole below this; 0.5: half of the picture.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(self, spacing: float = 0.13, threshold: float = 0.32, area: Sequence[float] = (0.2, 0.3)) -> None:
        super().__init__(area)
        self.spacing = scalar("spacing", spacing, 0.01, 10, "a fraction of the shorter side")
        self.threshold = scalar("threshold", threshold, 0, 1, "a value of the noise")

    def inside(self, keys: Tensor, size: Size) -> Tensor:
        """A lattice of its own for each sample, at a place of its own, stretched over the columns, then the rows."""
        step = self.spacing * min(size)  # pixels
        rows, columns = (int(extent / step) + 6 for extent in size)  # four points about every pixel, wherever it is
        noise = uniform(fold(keys, "noise"), rows * columns).view(-1, rows, columns)
        offset = uniform(fold(keys, "offset"), 2)
        y, x = (torch.arange(n, device=keys.device) * (1 / step) + offset[:, [k]] for k, n in enumerate(size))
        noise = _stretch(_stretch(noise.transpose(1, 2), x).transpose(1, 2), y)
        return noise < self.threshold


def _stretch(values: Tensor, places: Tensor) -> Tensor:
    """Values ``(B, n, m)`` between those at 0, 1, .. n - 1: at 1 + places ``(B, N)`` by Catmull-Rom, ``(B, N, m)``.

    Four products, summed in order: a matrix product would round differently from device to device.
    """
    batch, points, others = values.shape
    before = places.floor()
    t = (places - before)[..., None]
    weights = (
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    )
    rows = (before.long() + torch.arange(batch, device=values.device)[:, None] * points).flatten()
    flat = values.reshape(-1, others)
    total = torch.zeros(batch, places.shape[1], others, device=values.device)
    for k, weight in enumerate(weights):
        total += flat.index_select(0, rows + k).view_as(total).mul_(weight)
    return total
