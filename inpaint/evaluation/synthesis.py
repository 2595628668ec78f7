"""What is measured of methods that paint from noise: several fills of a hole, and made pictures as a set."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Batch, is_blank, noise_of, paint, stored, with_noise
from inpaint.evaluation.intervals import LEAST, SetFigure, blocks, drawn_units, photographs_of, times_drawn
from inpaint.metrics.image import measure
from inpaint.metrics.sliced import patches, sliced_wasserstein

DRAWS = 100  # of the pictures, for intervals
MOST = 2048  # pictures that draws are made of; more need no interval


def of_fills(
    method: nn.Module, batch: Batch, keys: Tensor, samples: int, seen: Mapping[str, nn.Module] | None = None
) -> dict[str, Tensor]:
    """How far several fills of each hole differ, and the best of them: ``(B,)`` each.

    Each has noise of its own. What a method paints when it is given none is not among them: for some, as MAT, that is
    no draw but a mean picture, which lies nearer to all draws than they do to each other.

    Args:
        method: a generator.
        batch: what it fills.
        keys: of the noise, int64 ``(B,)``.
        samples: how many fills; below two, or for a method that takes no noise, nothing is measured.
        seen: distances of two batches of pictures, by name, which are measured of each fill and the next.
    """
    if samples < 2 or noise_of(method) is None:
        return {}
    fills = []
    for sample in range(1, samples + 1):
        own = rng.fold(keys, f"sample {sample}")
        with rng.of_samples(own):
            fills.append(paint(method, with_noise(method, batch, own)))
    squares = torch.stack([stored(fill.composite) for fill in fills]).var(dim=0)  # half of the mean between two
    mask = batch["mask"]
    between = 2 * (squares * mask).sum(dim=(1, 2, 3)) / (3 * mask.sum(dim=(1, 2, 3)))
    best = [measure(fill, batch["image"], mask, ["hole_psnr"])["hole_psnr"] for fill in fills]
    apart = {
        f"diversity_{name}": torch.stack([network(a.composite, b.composite) for a, b in pairwise(fills)]).mean(dim=0)
        for name, network in (seen or {}).items()
    }
    return {"diversity": 50 * between.sqrt(), "best_hole_psnr": torch.stack(best).amax(dim=0)} | apart


class MadeOfNothing:
    """Patches of the pictures of each method of which nothing was known, and the figures of these sets."""

    def __init__(self) -> None:
        self.real: dict[int, list[Tensor]] = {}
        self.made: dict[str, dict[int, list[Tensor]]] = {}

    def look(self, method: str, composite: Tensor, batch: Batch) -> None:
        """Keep patches of a batch ``(B, 3, H, W)``, if nothing was known of it."""
        if not is_blank(batch):
            return
        index = batch["index"]
        for pictures, kept in ((batch["image"], self.real), (composite, self.made.setdefault(method, {}))):
            if kept is not self.real or index[0].item() not in self.real:
                levels = [level.cpu() for level in patches(stored(pictures), index)]
                kept |= {row: [level[n] for level in levels] for n, row in enumerate(index.tolist())}

    def figures(self, records: Sequence[Mapping[str, Any]]) -> list[SetFigure]:
        """Sliced Wasserstein distances; `records` as `intervals.aggregate` takes them."""
        order = list(dict.fromkeys(record["index"] for record in records))
        if set(order) != {*self.real} or len(order) < 2:  # of some pictures something was known
            return []
        areas, units = {record["index"]: record["area"] for record in records}, drawn_units(photographs_of(records))
        draws = DRAWS if len(np.unique(units)) >= LEAST and len(order) <= MOST else 0
        counts = np.concatenate([np.ones((1, len(order))), times_drawn(np.arange(draws), units)])
        real = _levels([self.real[index] for index in order])
        found = []
        for method, kept in self.made.items():
            made = _levels([kept[index] for index in order])
            value, *drawn = sliced_wasserstein(real, made, torch.from_numpy(counts)).tolist()
            found += [
                SetFigure(area, method, "swd", value, np.array(drawn)) for area in blocks([areas[i] for i in order])
            ]
        return found


def _levels(pictures: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The patches of all pictures, level by level."""
    return [torch.stack(level) for level in zip(*pictures, strict=True)]
