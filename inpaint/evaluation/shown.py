"""Pictures of an evaluation for people to look at: some, spread evenly over hole area, with what each method made."""

from bisect import bisect_left, insort
from collections.abc import Mapping

import torch
from torch import Tensor

from inpaint.batch import Batch, to_uint8

GIVEN = ("input", "truth", "mask")  # what is kept beside the composites of the methods
HOLE = 128  # grey level of the hole in `input`
MANY = 8  # candidates for each picture that will be shown, at most
PIXELS = (
    2**25
)  # of all candidates, at most, if they are more than will be shown; each takes 3 bytes a method and 4 more


class Shown:
    """Chooses pictures while they are measured, each of which is seen once.

    The chosen ones are spread evenly over the ranks of hole area, smallest and largest included. A rank is known when
    all pictures have been seen, so candidates are kept until then. Where they become more than ``MANY * number``, or
    hold more than `PIXELS`, half of them stay, those nearest to evenly spread ranks of what has been seen; in the end
    each even rank gets the candidate nearest to it. Of fewer pictures the choice is exact; it never depends on methods.

    Args:
        number: how many pictures to show.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.order: list[tuple[float, int]] = []  # hole area and index of every picture, rising
        self.areas: dict[int, float] = {}  # of the candidates, by index
        self.truths: dict[int, Tensor] = {}
        self.holes: dict[int, Tensor] = {}
        self.composites: dict[str, dict[int, Tensor]] = {}

    def take(self, batch: Batch, areas: list[float], composites: Mapping[str, Tensor]) -> None:
        """See a batch, with the hole area of each of its pictures in [0, 1] and each method's composites."""
        if not self.number:
            return
        for row, index in enumerate(batch["index"].tolist()):
            insort(self.order, (areas[row], index))
            self.areas[index] = areas[row]
            # In 8 bits, and a copy of its own: a view would keep the batch.
            self.truths[index] = to_uint8(batch["image"][row]).cpu()
            self.holes[index] = (batch["mask"][row] > 0.5).cpu()
            for method, composite in composites.items():
                self.composites.setdefault(method, {})[index] = to_uint8(composite[row]).cpu()
        pixels = sum(hole.numel() for hole in self.holes.values())
        if len(self.areas) > MANY * self.number or (pixels > PIXELS and len(self.areas) > self.number):
            self._keep(self._nearest(max(self.number, len(self.areas) // 2)))

    def choose(self) -> None:
        """Keep the chosen pictures alone, in the order in which they were seen."""
        self._keep(self._nearest(self.number))

    @property
    def given(self) -> dict[str, dict[int, Tensor]]:
        """What the methods were given, uint8 ``(3 or 1, H, W)`` by the picture's index for each of `GIVEN`."""
        inputs = {i: torch.where(hole, HOLE, self.truths[i]).to(torch.uint8) for i, hole in self.holes.items()}
        masks = {i: hole.to(torch.uint8) * 255 for i, hole in self.holes.items()}
        return dict(zip(GIVEN, (inputs, self.truths, masks), strict=True))

    def _nearest(self, number: int) -> set[int]:
        """The candidates nearest to `number` evenly spread ranks; the two ends have the first choice."""
        ranks = {index: bisect_left(self.order, (area, index)) for index, area in self.areas.items()}
        number = min(number, len(self.order))
        places = [round(place * (len(self.order) - 1) / max(number - 1, 1)) for place in range(number)]
        chosen: set[int] = set()
        for place in dict.fromkeys([*places[:1], *places[-1:], *places]):
            free = (index for index in ranks if index not in chosen)
            chosen.add(min(free, key=lambda index: (abs(ranks[index] - place), ranks[index])))
        return chosen

    def _keep(self, chosen: set[int]) -> None:
        for index in self.areas.keys() - chosen:
            del self.areas[index], self.truths[index], self.holes[index]
            for composites in self.composites.values():
                del composites[index]
