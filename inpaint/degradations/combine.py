"""One degradation of several."""

from collections.abc import Mapping
from math import prod
from typing import Literal

import torch
from torch import Tensor

from inpaint.degradations.kind import Degradation, each, happens, share
from inpaint.rng import fold, uniform
from inpaint.settings import Refused, choice, relative_weights

Kinds = Mapping[str, Degradation]


class Sequence(Degradation):
    """Several degradations, one after the other.

    Args:
        kinds: degradations by name, first to last; what one of them draws depends on its name, not on the others.
        probabilities: for some of the names, the share of the pictures that it happens to; the others happen to all.
        order: ``written``, or ``random``: every order is equally likely, and each picture has its own.
        stored: as in `Degradation`.
    """

    def __init__(
        self,
        kinds: Kinds,
        probabilities: Mapping[str, float] | None = None,
        order: Literal["written", "random"] = "written",
        stored: bool = True,
    ) -> None:
        super().__init__(stored)
        self.kinds, self.order = _named(kinds), choice("degradation.order", order, ("written", "random"))
        chances = dict(probabilities or {})
        if odd := sorted(chances.keys() - kinds.keys()):
            raise Refused(f"degradation.probabilities: {odd} are none of kinds ({', '.join(kinds)})")
        self.probabilities = {name: share(f"probabilities.{name}", chances.get(name, 1.0)) for name in kinds}
        for name, kind in kinds.items():
            if kind.scale > 1 and (self.order == "random" or self.probabilities[name] < 1):
                raise Refused(
                    f"degradation.kinds.{name}: it makes pictures smaller, so it happens to all of them "
                    "(probability 1) and has its place (order=written)"
                )
        self.scale = prod(kind.scale for kind in kinds.values())

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Step by step."""
        if self.order == "written":
            for name in self.kinds:
                image = self._step(name, image, keys, happens(keys, f"whether {name}", self.probabilities[name]))
            return image
        turns = uniform(fold(keys, "order"), len(self.kinds)).argsort(dim=1)
        for turn in range(len(self.kinds)):
            for number, name in enumerate(self.kinds):
                chosen = happens(keys, f"whether {name}", self.probabilities[name])
                image = self._step(name, image, keys, chosen & (turns[:, turn] == number))
        return image

    def _step(self, name: str, image: Tensor, keys: Tensor, chosen: Tensor) -> Tensor:
        kind, own = self.kinds[name], fold(keys, f"kind {name}")
        return kind(image, own) if kind.scale > 1 else applied(kind, image, own, chosen)


class OneOf(Degradation):
    """One degradation a picture, chosen by probability.

    Args:
        kinds: degradations by name, which make pictures of one size.
        probabilities: a number from 0 up for each name, relative to one another; null: alike.
        stored: as in `Degradation`.
    """

    def __init__(self, kinds: Kinds, probabilities: Mapping[str, float] | None = None, stored: bool = False) -> None:
        super().__init__(stored)
        self.kinds = _named(kinds)
        self.probabilities = relative_weights("degradation.probabilities", kinds, probabilities)
        if any(kind.scale > 1 for kind in kinds.values()):
            raise Refused("degradation.kinds: a choice of degradations keeps the pictures' size; put resize behind it")

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Each sample by its own."""
        place, begin = uniform(fold(keys, "kind"), 1)[:, 0], 0.0
        for name, kind in self.kinds.items():
            end = begin + self.probabilities[name]
            image = applied(kind, image, fold(keys, f"kind {name}"), (place >= begin) & (place < end))
            begin = end
        return image


def applied(kind: Degradation, image: Tensor, keys: Tensor, chosen: Tensor) -> Tensor:
    """A degradation of the `chosen` samples, bool ``(B,)``: on a CPU of those alone, on a GPU of all, to select from.

    So the host waits for nothing.
    """
    if keys.device.type != "cpu":
        return torch.where(each(chosen), kind(image, keys), image)
    rows = chosen.nonzero()[:, 0]
    if not len(rows):
        return image
    return image.index_copy(0, rows, kind(image[rows], keys[rows]))


def _named(kinds: Kinds) -> dict[str, Degradation]:
    if not kinds:
        raise Refused("degradation.kinds: give at least one degradation by name, as in kinds.noise")
    return dict(kinds)
