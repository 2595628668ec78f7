"""Masks made of other masks."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Masks
from inpaint.masks.shapes import Size, on_host
from inpaint.rng import fold, uniform


class Mixture(Masks):
    """One kind of mask a sample, chosen by probability.

    Args:
        kinds: mask generators by name, mixtures among them. A kind's masks depend on its name, not on the other kinds.
        probabilities: a number from 0 up for each name, relative to one another (3 and 1: 75 % and 25 %); null: alike.
        area: least and greatest share of the picture, see `Masks`; another draw may be of another kind.
    """

    def __init__(
        self,
        kinds: Mapping[str, Masks],
        probabilities: Mapping[str, float] | None = None,
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        _named(kinds)
        weights = dict.fromkeys(kinds, 1.0) if probabilities is None else dict(probabilities)
        if odd := sorted(weights.keys() ^ kinds.keys()):
            raise ValueError(f"masks.probabilities: give one for each name in kinds ({', '.join(kinds)}); see to {odd}")
        valid = all(isinstance(weight, int | float) and 0 <= weight < float("inf") for weight in weights.values())
        if not valid or not any(weights.values()):
            raise ValueError(f"masks.probabilities: give numbers from 0 up, and not all of them 0; got {weights}")
        self.kinds = {name: kind for name, kind in kinds.items() if weights[name] > 0}
        self.probabilities = {name: weights[name] / sum(weights.values()) for name in self.kinds}

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """On the CPU a kind makes the masks of its own samples only; a GPU makes all and selects, without looking."""
        edges = [0.0, *accumulate(self.probabilities.values())][:-1]  # where each kind's share of [0, 1) begins
        taken = torch.stack([uniform(fold(keys, "kind"), 1)[:, 0] >= edge for edge in edges]).sum(0) - 1
        mask = torch.zeros(len(keys), 1, *size, device=keys.device)
        for place, (name, kind) in enumerate(self.kinds.items()):
            own = fold(keys, f"kind {name}")
            if on_host(keys):
                rows = (taken == place).nonzero()[:, 0]
                if len(rows):
                    mask[rows] = kind(own[rows], size)
            else:
                mask = torch.where((taken == place)[:, None, None, None], kind(own, size), mask)
        return mask


class Union(Masks):
    """A hole wherever any of several kinds has one, each drawn for every sample: scratches and stains, say.

    Args:
        kinds: mask generators by name. A kind's masks depend on its name, not on the other kinds.
        area: least and greatest share of the picture, see `Masks`.
    """

    def __init__(self, kinds: Mapping[str, Masks], area: Sequence[float] = EVERY_AREA) -> None:
        super().__init__(area)
        _named(kinds)
        self.kinds = dict(kinds)

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """All kinds, one after another."""
        made = [kind(fold(keys, f"kind {name}"), size) for name, kind in self.kinds.items()]
        return torch.stack(made).amax(0)


class Inverted(Masks):
    """Hole and known part of another kind exchanged: boxes become the only known places.

    Args:
        kind: a mask generator.
        area: least and greatest share of the picture, see `Masks`.
    """

    def __init__(self, kind: Masks, area: Sequence[float] = EVERY_AREA) -> None:
        super().__init__(area)
        self.kind = kind

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """1 - mask."""
        return 1 - self.kind(keys, size)


def _named(kinds: Mapping[str, Masks]) -> None:
    if not kinds:
        raise ValueError("masks.kinds: give at least one mask generator by name, as in kinds.boxes")
