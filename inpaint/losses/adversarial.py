"""What the discriminator and the generator play for, and the gradient penalty that calms the discriminator.

A game has two sides, `discriminator(real, fake, mask)` and `generator(real, fake, mask)`: verdicts in, a scalar float32
out, a mean over a discriminator's maps of the mean over all logits of a map. A subclass writes both sides for one map.
`weight` multiplies the generator's side only. `of` says whether the discriminator judges the generator's raw `output`
or the `composite`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Verdict


class Adversarial(nn.Module, ABC):
    """The contract of this file; see above.

    Attributes:
        needs_real: the generator's side looks at the verdict on real pictures too.
    """

    needs_real = False

    def __init__(self, weight: float = 1.0, of: str = "composite") -> None:
        super().__init__()
        if of not in ("output", "composite"):
            raise ValueError(f"adversarial.of: {of!r} is none of ('output', 'composite')")
        self.weight, self.of = weight, of

    def discriminator(self, real: Verdict, fake: Verdict, mask: Tensor) -> Tensor:
        """What the discriminator minimises; mask ``(B, 1, H, W)``."""
        return _mean(self.judge, real, fake, mask)

    def generator(self, real: Verdict | None, fake: Verdict, mask: Tensor) -> Tensor:
        """What the generator minimises; `real` may be None unless `needs_real`."""
        return _mean(self.fool, real, fake, mask)

    def penalty(self, discriminator: nn.Module, image: Tensor, fake: Tensor, mask: Tensor) -> Tensor | None:
        """What is added to the discriminator's side, given the pictures ``(B, 3, H, W)`` that it judges."""
        return None

    @abstractmethod
    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """The discriminator's side for one map of logits ``(B, C, h, w)``, float32."""

    @abstractmethod
    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """The generator's side for one map of logits ``(B, C, h, w)``, float32."""


def _mean(side: Callable[..., Tensor], real: Verdict | None, fake: Verdict, mask: Tensor) -> Tensor:
    """Mean over the maps, in float32 whatever the autocast."""
    with torch.autocast(mask.device.type, enabled=False):
        others = [None] * len(fake.logits) if real is None else [logits.float() for logits in real.logits]
        maps = [side(other, logits.float(), mask) for other, logits in zip(others, fake.logits, strict=True)]
        return torch.stack(maps).mean()


class NonSaturating(Adversarial):
    """Cross entropy with the generator's flipped labels (Goodfellow et al. 2014, section 3).

    Discriminator: ``softplus(-real) + softplus(fake)``; generator: ``softplus(-fake)``.
    """

    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``softplus(-real)`` plus mean of ``softplus(fake)``; 2 ln 2 where it knows nothing."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``softplus(-fake)``."""
        return F.softplus(-fake).mean()


class Hinge(Adversarial):
    """Hinge loss (Lim and Ye 2017; SAGAN, DeepFill v2).

    Discriminator: ``relu(1 - real) + relu(1 + fake)``; generator: ``-fake``.
    """

    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``relu(1 - real)`` plus mean of ``relu(1 + fake)``; 2 where it knows nothing."""
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``-fake``."""
        return -fake.mean()


class LeastSquares(Adversarial):
    """LSGAN (Mao et al. 2017, equation 9): labels 1 and 0, the generator aims at 1.

    Discriminator: ``((real - 1)^2 + fake^2) / 2``; generator: ``(fake - 1)^2 / 2``.
    """

    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """Half the mean of ``(real - 1)^2`` plus half the mean of ``fake^2``."""
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """Half the mean of ``(fake - 1)^2``."""
        return (fake - 1).square().mean() / 2


def r1_penalty(discriminator: nn.Module, image: Tensor, mask: Tensor) -> Tensor:
    """Squared norm of the gradient of the summed logits at real pictures, mean over the batch (Mescheder et al. 2018).

    In float32 whatever the autocast, since half precision overflows here. The caller multiplies by gamma / 2.

    image ``(B, 3, H, W)``, mask ``(B, 1, H, W)``; returns a scalar.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = image.detach().float().requires_grad_(True)
        logits = torch.stack([part.sum() for part in discriminator(image, mask).logits])
        (gradient,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()
