"""The base class of the generator's losses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from torch import Tensor, nn

from inpaint.batch import Batch, Outputs
from inpaint.schedules import checked_weight

Weight = float | Callable[[int], float]  # a number, or a function of the update (`schedules.Ramp`)


class Term(nn.Module, ABC):
    """One term of the generator's loss: called as ``term(outputs, batch)``, a scalar float32 not yet weighted.

    Args:
        weight: its factor in the total, or a function of the update (`schedules.Ramp`).
        needs: fields of `Outputs` that it reads. ``real`` and ``fake`` exist only while a discriminator plays; the term
            is left out before.
    """

    def __init__(self, weight: Weight, needs: Iterable[str]) -> None:
        super().__init__()
        self.weight = checked_weight(f"losses, the weight of {type(self).__name__}", weight)
        self.needs = frozenset(needs)

    @abstractmethod
    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The term for a batch."""
