"""Masks made of other masks."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Masks
from inpaint.masks.shapes import Shapes, Size, on_host, paint, together
from inpaint.rng import fold, uniform
from inpaint.settings import Refused, relative_weights


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
        shares = relative_weights("masks.probabilities", kinds, probabilities)
        self.kinds = {name: kind for name, kind in kinds.items() if shares[name] > 0}
        self.probabilities = {name: shares[name] for name in self.kinds}

    @property
    def whole(self) -> bool:
        """Where all kinds are."""
        return all(kind.whole for kind in self.kinds.values())

    def draw(self, keys: Tensor, size: Size) -> Shapes | None:
        """Each sample's shapes of the kind that it takes, where all kinds have shapes."""
        if (parts := _shapes(self.kinds, keys, size)) is None:
            return None
        taken = self._taken(keys)
        return together([part.only(taken == k) for k, part in enumerate(parts)])

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """Paint, or have the kinds make masks: on a CPU each of its own samples, on a GPU of all, to select from."""
        if (shapes := self.draw(keys, size)) is not None:
            return paint(shapes, size)
        taken = self._taken(keys)
        mask = torch.empty(len(keys), 1, *size, dtype=torch.float32, device=keys.device)
        for k, (name, kind) in enumerate(self.kinds.items()):
            own = fold(keys, f"kind {name}")
            if not on_host(keys):
                mask = torch.where((taken == k)[:, None, None, None], kind(own, size), mask)
            elif len(rows := (taken == k).nonzero()[:, 0]):
                mask.index_copy_(0, rows, kind(own[rows], size))
        return mask

    def _taken(self, keys: Tensor) -> Tensor:
        """Which kind each sample takes: int64 ``(B,)``."""
        edges = [0.0, *accumulate(self.probabilities.values())][:-1]  # where each kind's share of [0, 1) begins
        return torch.stack([uniform(fold(keys, "kind"), 1)[:, 0] >= edge for edge in edges]).sum(0) - 1


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

    @property
    def whole(self) -> bool:
        """Where any kind is."""
        return any(kind.whole for kind in self.kinds.values())

    def draw(self, keys: Tensor, size: Size) -> Shapes | None:
        """The shapes of all kinds, where all have shapes."""
        parts = _shapes(self.kinds, keys, size)
        return None if parts is None else together(parts)

    def make(self, keys: Tensor, size: Size) -> Tensor:
        """Paint, or have every kind make its masks."""
        if (shapes := self.draw(keys, size)) is not None:
            return paint(shapes, size)
        mask = torch.zeros(len(keys), 1, *size, dtype=torch.float32, device=keys.device)
        for name, kind in self.kinds.items():
            mask = torch.maximum(mask, kind(fold(keys, f"kind {name}"), size), out=mask)
        return mask


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
        raise Refused("masks.kinds: give at least one mask generator by name, as in kinds.boxes")


def _shapes(kinds: Mapping[str, Masks], keys: Tensor, size: Size) -> list[Shapes] | None:
    """What each kind draws, where all are made of shapes and none limits its area, which takes painting."""
    parts = []
    for name, kind in kinds.items():
        shapes = kind.draw(fold(keys, f"kind {name}"), size) if kind.area == EVERY_AREA else None
        if shapes is None:
            return None
        parts.append(shapes)
    return parts
