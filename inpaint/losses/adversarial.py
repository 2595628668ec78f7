"""What the discriminator and the generator play for, and the gradient penalties that calm the discriminator.

A game has two sides, `discriminator(real, fake, mask)` and `generator(real, fake, mask)`: verdicts in, a scalar float32
out, a mean over a discriminator's maps of the mean over all logits of a map. A subclass writes both sides for one map.
`weight` multiplies the generator's side only. `of` says whether the discriminator judges the generator's raw `output`
or the `composite`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import ranks, rng
from inpaint.batch import Verdict
from inpaint.losses.blur import gaussian_blur
from inpaint.losses.term import Weight
from inpaint.schedules import checked_weight
from inpaint.settings import Refused, choice

Judge = Callable[[Tensor, Tensor], Verdict]  # a discriminator, of (image, mask)


class Adversarial(nn.Module, ABC):
    """The contract of this file; see above.

    Attributes:
        needs_real: the generator's side looks at the verdict on real pictures too.
        blind: what the discriminator pays if it has no opinion, giving the middle verdict to everything; None where
            the game has no middle.
    """

    needs_real = False
    blind: float | None = None

    def __init__(self, weight: Weight = 1.0, of: str = "composite") -> None:
        super().__init__()
        self.weight = checked_weight("adversarial.weight", weight)
        self.of = choice("adversarial.of", of, ("output", "composite"))

    def discriminator(self, real: Verdict, fake: Verdict, mask: Tensor) -> Tensor:
        """What the discriminator minimises; mask ``(B, 1, H, W)``."""
        return _mean(self.judge, real, fake, mask)

    def generator(self, real: Verdict | None, fake: Verdict, mask: Tensor) -> Tensor:
        """What the generator minimises; `real` may be None unless `needs_real`."""
        return _mean(self.fool, real, fake, mask)

    def penalty(self, discriminator: Judge, image: Tensor, fake: Tensor, mask: Tensor) -> Tensor | None:
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

    blind = 2 * math.log(2)

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

    blind = 2.0

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

    blind = 0.25

    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """Half the mean of ``(real - 1)^2`` plus half the mean of ``fake^2``."""
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """Half the mean of ``(fake - 1)^2``."""
        return (fake - 1).square().mean() / 2


class RelativisticAverage(Adversarial):
    """Relativistic average GAN with cross entropy (Jolicoeur-Martineau 2019, section 4.4; ESRGAN).

    Is a real picture more real than fake ones are on average, and the reverse? Discriminator:
    ``softplus(-(real - mean fake)) + softplus(fake - mean real)``; generator: the same with real and fake exchanged.
    The means are over the batch of all ranks and over all logits of a map.
    """

    needs_real = True
    blind = 2 * math.log(2)

    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean over the real ones plus mean over the fake ones; 2 ln 2 where it knows nothing."""
        mean_real, mean_fake = ranks.mean(real.mean()), ranks.mean(fake.mean())
        return F.softplus(mean_fake - real).mean() + F.softplus(fake - mean_real).mean()

    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """The discriminator's side with real and fake exchanged."""
        assert real is not None
        return self.judge(fake, real, mask)


class MaskAsFakeTarget(Adversarial):
    """LaMa's non-saturating loss (Suvorov et al. 2022, section 2.3): known patches of a fake picture count as real.

    Discriminator: ``softplus(-real)``, and for fake pictures ``softplus(fake)`` in the hole and ``softplus(-fake)``
    outside; generator: ``softplus(-fake)`` everywhere. The mask is resized to the logits by its nearest pixels; a map
    of one logit sees all of the picture and belongs to the hole if there is one. LaMa judges the raw output, with a
    weight of 10 and R1 at every update (`r1_penalty`).
    """

    blind = 2 * math.log(2)

    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean over all logits of real pictures plus mean over those of fake ones; 2 ln 2 where it knows nothing."""
        if fake.shape[-2:] == (1, 1):
            hole = mask.amax(dim=(2, 3), keepdim=True)
        else:
            hole = F.interpolate(mask.float(), fake.shape[-2:], mode="nearest")
        labelled = F.softplus(fake) * hole + F.softplus(-fake) * (1 - hole)
        return F.softplus(-real).mean() + labelled.mean()

    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``softplus(-fake)``."""
        return F.softplus(-fake).mean()


class SoftMask(Adversarial):
    """AOT-GAN's soft mask-guided least squares (Zeng et al. 2021, section 3.3), with the labels of the paper.

    Discriminator: ``(real - 1)^2`` and ``(fake - known)^2``, where `known` is one minus the mask, blurred by a Gaussian
    and averaged to the size of the logits: 1 outside the hole, 0 inside, soft at its border. Generator:
    ``(fake - 1)^2``, mean over the hole (logits weighed by their share of it), so its strength does not depend on the
    size of the hole. The published code teaches the discriminator the inverse, real 0 and hole 1, and then asks the
    generator for 1: it is paid for looking fake (researchmm/AOT-GAN-for-Inpainting, issue 2).

    Args:
        weight: factor in the generator's total loss (published: 0.01).
        of: `composite` (published) or `output`.
        kernel: side of the Gaussian's window in pixels of the picture, odd (the authors' code: 71 for 512 px). Beyond
            the picture the mask goes on as it is at the border.
        sigma: deviation of the Gaussian in pixels (the authors' code: 10).

    Raises:
        Refused: a choice that does not exist, an even kernel, or a sigma that is not positive.
    """

    blind = 0.5

    def __init__(self, weight: Weight = 0.01, of: str = "composite", kernel: int = 71, sigma: float = 10.0) -> None:
        super().__init__(weight, of)
        if kernel % 2 != 1 or kernel < 1:
            raise Refused(f"adversarial.kernel: {kernel} is not odd and positive")
        if sigma <= 0:
            raise Refused(f"adversarial.sigma: {sigma} pixels; take a small one for labels of 0 and 1")
        self.kernel, self.sigma = kernel, sigma

    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``(real - 1)^2`` plus mean of ``(fake - known)^2``."""
        known = gaussian_blur(1 - mask.float(), self.kernel, self.sigma, "replicate")
        label = F.interpolate(known, fake.shape[-2:], mode="area")
        return (real - 1).square().mean() + (fake - label).square().mean()

    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``(fake - 1)^2`` over the hole; 0 where there is none."""
        hole = F.interpolate(mask.float(), fake.shape[-2:], mode="area").expand_as(fake)
        return ((fake - 1).square() * hole).sum() / ranks.mean(hole.sum()).clamp_min(1e-6)


class Wasserstein(Adversarial):
    """Wasserstein distance with gradient penalty (Gulrajani et al. 2017, equation 3; DeepFill v1).

    Discriminator: ``fake - real``, and `gp_weight` times ``(|gradient| - 1)^2`` at pictures between real and fake ones;
    generator: ``-fake``. The gradient is that of the score which the losses use: the mean of a sample's logits. It is
    taken in float32 whatever the autocast. A discriminator without batch norm is meant to play this, and several of its
    steps for each of the generator's (``module.generator_every=5``).

    Args:
        weight: factor in the generator's total loss (DeepFill v1: 0.001).
        of: `composite` or `output`.
        gp_weight: of the penalty (published: 10).
        masked: only the gradient at pixels of the hole counts (DeepFill v1; Yu et al. 2018, section 3.1), since real
            and composite are equal elsewhere.
        drift: times the mean of ``real^2`` keeps scores near 0 (Karras et al. 2018: 0.001); 0 is off.
    """

    def __init__(
        self,
        weight: Weight = 1.0,
        of: str = "composite",
        gp_weight: float = 10.0,
        masked: bool = False,
        drift: float = 0.0,
    ) -> None:
        super().__init__(weight, of)
        for name, value in (("gp_weight", gp_weight), ("drift", drift)):
            if value < 0:
                raise Refused(f"adversarial.{name}: {value} is negative")
        self.gp_weight, self.masked, self.drift = gp_weight, masked, drift

    def judge(self, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``fake`` less mean of ``real``, and the drift."""
        return fake.mean() - real.mean() + self.drift * real.square().mean()

    def fool(self, real: Tensor | None, fake: Tensor, mask: Tensor) -> Tensor:
        """Mean of ``-fake``."""
        return -fake.mean()

    def penalty(self, discriminator: Judge, image: Tensor, fake: Tensor, mask: Tensor) -> Tensor | None:
        """`gp_weight` times the mean of ``(|gradient| - 1)^2`` over the samples.

        Where between real and fake is drawn for each sample.
        """
        if self.gp_weight == 0:
            return None
        with torch.autocast(image.device.type, enabled=False):
            share = rng.uniform_for(image, 1, 1, 1)
            between = torch.lerp(fake.detach().float(), image.float(), share).requires_grad_(True)
            scores = discriminator(between, mask).scores()
            (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
            if self.masked:
                gradient = gradient * mask
            # The norm has no slope at 0, where a gradient that is masked away is exactly.
            norm = gradient.square().sum(dim=(1, 2, 3)).add(1e-12).sqrt()
            return self.gp_weight * (norm - 1).square().mean()


def judge_for_r1(discriminator: Judge, image: Tensor, mask: Tensor) -> tuple[Verdict, Tensor]:
    """The verdict on real pictures, and the pictures that it can be differentiated by, for `r1_penalty`.

    In float32 whatever the autocast, since the penalty overflows in half precision.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = image.detach().float().requires_grad_(True)
        return discriminator(image, mask), image


def r1_penalty(verdict: Verdict, image: Tensor, of: Literal["mean", "sum"] = "mean") -> Tensor:
    """Squared norm of the gradient of a real picture's score, mean over the batch (Mescheder et al. 2018, equation 9).

    The score is what the games judge, the `mean` of its logits, so one gamma means the same for a discriminator of one
    logit (StyleGAN2, MAT: gamma 10) and for maps of any size. LaMa penalises the `sum` of all logits, 0.001 times its
    squared gradient on [0, 1] pictures: ``gamma = 0.008``, 0.002 for its factor and 4 for the scale. For n logits, of
    which larger crops have more, the sum is n^2 times as strong as the mean.

    The two arguments come from `judge_for_r1`; the caller multiplies by gamma / 2.

    image ``(B, 3, H, W)``; returns a scalar.
    """
    with torch.autocast(image.device.type, enabled=False):
        scores = verdict.scores() if of == "mean" else torch.stack([part.float().sum() for part in verdict.logits])
        (gradient,) = torch.autograd.grad(scores.sum(), image, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()
