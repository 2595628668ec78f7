"""How far made pictures are from real ones as sets, without a network: the sliced Wasserstein distance of patches.

Karras, Aila, Laine, Lehtinen, ICLR 2018, section 5 (and their code): patches of 7 x 7 pixels of each level of a
Laplacian pyramid, from the picture's size down to 16 pixels, as vectors whose channels are normalised; their
distribution is compared along random directions, where the Wasserstein distance is that of sorted numbers. 1000 times
the mean over directions and levels. Each level says what it is of: the finest of texture, the coarsest of structure.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint import rng

SIDE = 7  # pixels of a patch
PATCHES = 32  # of each picture and level (published: 128, of 16 384 pictures)
COARSEST = 16  # pixels a side of the last level
DIRECTIONS, AT_ONCE = 128, 16  # (published: 4 times 128); so many at a time
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def pyramid(image: Tensor) -> list[Tensor]:
    """Levels of a Laplacian pyramid: ``(B, C, H, W)`` to the same and halves of it, the last one the picture's mean.

    Enlarged by `enlarged` and added up from the last to the first, they are the picture.
    """
    levels = []
    while min(image.shape[2:]) >= 2 * COARSEST:
        smaller = _filtered(image)[..., ::2, ::2]
        levels.append(image - enlarged(smaller, image))
        image = smaller
    return [*levels, image]


def enlarged(image: Tensor, like: Tensor) -> Tensor:
    """Twice the pixels a side, in the size of `like`."""
    zeros = like.new_zeros(*image.shape[:2], *like.shape[2:])
    zeros[..., ::2, ::2] = image
    return 4 * _filtered(zeros)


def _filtered(image: Tensor) -> Tensor:
    """Smoothed by binomial weights over 5 x 5 pixels; beyond the border the picture is mirrored."""
    weights = image.new_tensor(BINOMIAL)
    x = F.pad(image.flatten(0, 1)[:, None], (2, 2, 2, 2), mode="reflect")
    return F.conv2d(F.conv2d(x, weights.view(1, 1, 1, 5)), weights.view(1, 1, 5, 1)).view_as(image)


def patches(image: Tensor, index: Tensor) -> list[Tensor]:
    """Patches of each level at places that the pictures' numbers decide, float16 ``(B, PATCHES, C, 7, 7)`` each.

    Args:
        image: float32 ``(B, C, H, W)`` in [-1, 1]; no level where a side is below 7.
        index: int64 ``(B,)``.
    """
    found = []
    for number, level in enumerate(pyramid(image)):
        rows, columns = (side - SIDE + 1 for side in level.shape[2:])
        if min(rows, columns) < 1:
            break
        draws = rng.uniform(rng.fold(index, f"patches {number}").to(level.device), 2 * PATCHES).view(-1, 2, PATCHES)
        y, x = ((draws[:, axis] * places).long()[..., None, None] for axis, places in enumerate((rows, columns)))
        step, each = torch.arange(SIDE, device=level.device), torch.arange(len(level), device=level.device)
        chosen = level[each[:, None, None, None], :, y + step[:, None], x + step]
        found.append(chosen.permute(0, 1, 4, 2, 3).half())
    return found


def sliced_wasserstein(real: Sequence[Tensor], fake: Sequence[Tensor], counts: Tensor) -> Tensor:
    """The distance of each of many draws of the pictures, times 1000, mean over the levels.

    Both sets are normalised by mean and deviation of the real one, so that wrong colours and contrasts count; the
    published code takes each set's own.

    Args:
        real, fake: `patches` of N pictures each, a tensor a level.
        counts: ``(R, N)``, how often each draw has each picture.

    Returns:
        float64 ``(R,)``, at least 0; NaN where pictures have no level or are not finite.
    """
    if not real or not all(level.isfinite().all() for level in (*real, *fake)):
        return torch.full((len(counts),), math.nan, dtype=torch.float64)
    return torch.stack([_distances(*level, counts) for level in zip(real, fake, strict=True)]).mean(dim=0)


def _distances(real: Tensor, fake: Tensor, counts: Tensor) -> Tensor:
    real, fake = real.float(), fake.float()
    mean = real.mean(dim=(0, 1, 3, 4), keepdim=True)
    deviation = real.std(dim=(0, 1, 3, 4), keepdim=True).clamp_min(1e-6)
    rows = [((x - mean) / deviation).flatten(2).flatten(0, 1) for x in (real, fake)]
    size = rows[0].shape[1]
    directions = rng.normal(torch.arange(DIRECTIONS, device=real.device), size)
    directions = directions / directions.norm(dim=1, keepdim=True)
    shares = (counts / counts.sum(dim=1, keepdim=True)).to(real.device, torch.float64)
    shares = shares.repeat_interleave(real.shape[1], dim=1) / real.shape[1]
    weights = torch.cat([shares, -shares], dim=1)  # of each number: above 0 real, below 0 made
    total = torch.zeros(len(counts), dtype=torch.float64)
    for some in directions.split(AT_ONCE):
        values, order = torch.cat([x @ some.T for x in rows]).sort(dim=0)
        gaps = values.diff(dim=0).double()
        for draw, weight in enumerate(weights):
            # In one dimension the distance is the area between the two distribution functions.
            total[draw] += (weight[order].cumsum(dim=0)[:-1].abs() * gaps).sum().cpu()
    return 1000 * total / DIRECTIONS
