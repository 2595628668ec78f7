"""What the discriminator and the generator play for, and the gradient penalty that calms the discriminator.

Each loss has `discriminator(real, fake)` and `generator(fake)`: logits of any shape in, scalar float32 out, a mean over
all logits. `weight` multiplies the generator's side only. `of` says whether the discriminator judges the generator's
raw `output` or the `composite`.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Adversarial(nn.Module, ABC):
    """The contract of this file; see above."""

    def __init__(self, weight: float = 1.0, of: str = "composite") -> None:
        super().__init__()
        if of not in ("output", "composite"):
            raise ValueError(f"adversarial.of: {of!r} is none of ('output', 'composite')")
        self.weight, self.of = weight, of

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises."""

    @abstractmethod
    def generator(self, fake: Tensor) -> Tensor:
        """What the generator minimises."""


class NonSaturating(Adversarial):
    """Cross entropy with the generator's flipped labels (Goodfellow et al. 2014, section 3).

    Discriminator: ``softplus(-real) + softplus(fake)``; generator: ``softplus(-fake)``.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean of ``softplus(-real)`` plus mean of ``softplus(fake)``; 2 ln 2 where it knows nothing."""
        return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """Mean of ``softplus(-fake)``."""
        return F.softplus(-fake.float()).mean()


class Hinge(Adversarial):
    """Hinge loss (Lim and Ye 2017; SAGAN, DeepFill v2).

    Discriminator: ``relu(1 - real) + relu(1 + fake)``; generator: ``-fake``.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean of ``relu(1 - real)`` plus mean of ``relu(1 + fake)``; 2 where it knows nothing."""
        return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """Mean of ``-fake``."""
        return -fake.float().mean()


class LeastSquares(Adversarial):
    """LSGAN (Mao et al. 2017, equation 9): labels 1 and 0, the generator aims at 1.

    Discriminator: ``((real - 1)^2 + fake^2) / 2``; generator: ``(fake - 1)^2 / 2``.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the mean of ``(real - 1)^2`` plus half the mean of ``fake^2``."""
        return ((real.float() - 1).square().mean() + fake.float().square().mean()) / 2

    def generator(self, fake: Tensor) -> Tensor:
        """Half the mean of ``(fake - 1)^2``."""
        return (fake.float() - 1).square().mean() / 2


def r1_penalty(discriminator: nn.Module, image: Tensor, mask: Tensor) -> Tensor:
    """Squared norm of the gradient of the summed logits at real pictures, mean over the batch (Mescheder et al. 2018).

    In float32 whatever the autocast, since half precision overflows here. The caller multiplies by gamma / 2.

    image ``(B, 3, H, W)``, mask ``(B, 1, H, W)``; returns a scalar.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = image.detach().float().requires_grad_(True)
        logits = discriminator(image, mask)
        (gradient,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()
