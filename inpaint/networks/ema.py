"""The exponential moving average of a network, used wherever results are looked at."""

import copy

import torch
from torch import Tensor, nn

from inpaint.settings import Refused


class MovingAverage(nn.Module):
    """A frozen copy of `network` whose parameters follow it; validation, prediction and export use this copy.

    It exists from update 0, so the keys of a checkpoint never change. Buffers (batch-norm statistics) are copied,
    since an average of parameters with the statistics of other parameters is no network at all.

    Args:
        network: what is averaged.
        decay: weight of the past at each update; 0 makes it a plain copy. The first updates use
            ``(1 + n) / (10 + n)`` while that is smaller, so that the random start is forgotten (as in Tensor2Tensor).

    Raises:
        Refused: decay outside [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise Refused(f"module.ema_decay: {decay} is outside [0, 1)")
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "MovingAverage":
        """Stays in evaluation mode whatever its parent does."""
        return super().train(False)

    @torch.no_grad()
    def update(self, network: nn.Module, updates: int) -> None:
        """Move towards `network` after its update number `updates` (counted from 0)."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        averages: list[Tensor] = list(self.network.parameters())
        values: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(averages, values, 1 - decay)
        for average, value in zip(self.network.buffers(), network.buffers(), strict=True):
            average.copy_(value)
