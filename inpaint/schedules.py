"""Learning rates and loss weights over a run, as functions of the step alone.

torch's own schedules store their length in a checkpoint, so a run that is continued with a larger `max_steps` would
follow the old one; a plain function is not stored.
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from inpaint.settings import Refused


def cosine(optimizer: Optimizer, steps: int) -> LambdaLR:
    """From the full learning rate to zero along half a cosine over `steps` updates, zero afterwards.

    Raises:
        Refused: the run has no length.
    """
    if steps < 1:
        raise Refused(f"scheduler: cosine needs the length of the run, trainer.max_steps is {steps}")
    return LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * min(step / steps, 1))) / 2)


def linear(optimizer: Optimizer, steps: int, constant: float = 0.5) -> LambdaLR:
    """The full learning rate for a share `constant` of `steps` updates, then in a straight line to zero (pix2pixHD).

    Raises:
        Refused: the run has no length, or the share is not at least 0 and below 1.
    """
    if steps < 1:
        raise Refused(f"scheduler: linear needs the length of the run, trainer.max_steps is {steps}")
    if not 0 <= constant < 1:
        raise Refused(f"scheduler.constant: {constant} is not at least 0 and below 1")
    return LambdaLR(optimizer, lambda step: min(1.0, max(0.0, (1 - step / steps) / (1 - constant))))


class Ramp:
    """A weight that goes from one value to another in a straight line: `losses.style.weight` may be one.

    Args:
        first: weight before update `begin`.
        last: weight from update `end` on.
        begin, end: updates, begin < end.

    Raises:
        Refused: it ends before it begins.
    """

    def __init__(self, first: float, last: float, begin: int, end: int) -> None:
        if not 0 <= begin < end:
            raise Refused(f"weight: a ramp from update {begin} to {end}; begin must be at least 0 and less than end")
        self.first, self.last, self.begin, self.end = first, last, begin, end

    def __call__(self, update: int) -> float:
        """The weight at an update."""
        done = min(max((update - self.begin) / (self.end - self.begin), 0), 1)
        return self.first + done * (self.last - self.first)


def checked_weight(what: str, weight: float | Callable[[int], float]) -> float | Callable[[int], float]:
    """`weight`, a number or a function of the update.

    Raises:
        Refused: it is neither; the message begins with `what`.
    """
    if not (callable(weight) or isinstance(weight, int | float)):
        raise Refused(f"{what}: {weight!r} is neither a number nor a ramp (inpaint.schedules.Ramp)")
    return weight


def weight_at(weight: float | Callable[[int], float], update: int) -> float:
    """A weight that is a number, or a function of the update."""
    return weight(update) if callable(weight) else weight
