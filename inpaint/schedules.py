"""Learning rates over a run, as functions of the step alone.

torch's own schedules store their length in a checkpoint, so a run that is continued with a larger `max_steps` would
follow the old one; a plain function is not stored.
"""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def cosine(optimizer: Optimizer, steps: int) -> LambdaLR:
    """From the full learning rate to zero along half a cosine over `steps` steps of the optimizer, zero afterwards.

    Raises:
        ValueError: the run has no length.
    """
    if steps < 1:
        raise ValueError(f"scheduler: cosine needs the length of the run, trainer.max_steps is {steps}")
    return LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * min(step / steps, 1))) / 2)
