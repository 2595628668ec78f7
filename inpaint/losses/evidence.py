"""The two terms of a VAE's evidence bound, in nats a picture: their sum at weight 1 is the negative ELBO.

Both are sums over what a picture has, pixels or numbers of noise, and means over the batch. A mean over pixels beside a
sum over the noise is the usual mistake: the noise then costs thousands of times too much, and is not used.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.batch import Batch, Outputs
from inpaint.losses.term import Term, Weight
from inpaint.settings import Refused, choice

LEAST = -6.0  # of the logarithm of a scale: a third of a level of 8 bits, which is 2 / 255 in [-1, 1]

Kind = Literal["gaussian", "laplace", "bernoulli"]


class Likelihood(Term):
    """The negative logarithm of how likely the truth is, given what was painted, over the hole's pixels and RGB.

    Sees the output. Sum over values, mean over pictures, in nats; densities are of pictures in [-1, 1].

    | kind | of a value | scale |
    |---|---|---|
    | gaussian | ``d^2 / (2 s^2) + ln s + ln(2 pi) / 2`` | learnt by the generator, one for all |
    | laplace | ``abs(d) / s + ln(2 s)`` | likewise |
    | bernoulli | cross entropy of both as shares of white, in [0, 1] | none; for pictures of black and white |

    With d the difference and s the scale. A learnt scale is the best weight of the term beside `KL` (sigma-VAE, Rybkin,
    Daniilidis, Levine 2021), and it falls as pictures get better; it stays above a third of a level of 8 bits.

    Args:
        weight: factor in the generator's total loss; 1 is the evidence bound.
        kind: see above.

    Raises:
        Refused: a choice that does not exist.
    """

    def __init__(self, weight: Weight = 1.0, kind: Kind = "gaussian") -> None:
        super().__init__(weight, {"output", "posterior"})
        self.kind = choice("losses.likelihood.kind", kind, ("gaussian", "laplace", "bernoulli"))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32, not yet multiplied by `weight`."""
        assert outputs.posterior is not None
        output, image = outputs.output.float(), batch["image"].float()
        with torch.autocast(image.device.type, enabled=False):
            if self.kind == "bernoulli":
                each = F.binary_cross_entropy((output + 1) / 2, (image + 1) / 2, reduction="none")
            else:
                log_scale = LEAST + F.softplus(outputs.posterior.log_scale.float() - LEAST)
                error = (output - image) / log_scale.exp()
                if self.kind == "gaussian":
                    each = error.square() / 2 + log_scale + math.log(2 * math.pi) / 2
                else:
                    each = error.abs() + log_scale + math.log(2)
            return (each * batch["mask"]).sum(dim=(1, 2, 3)).mean()


class KL(Term):
    """How far the noise that the truth asks for is from the noise that pictures are painted from, in nats a picture.

    ``(mean^2 + variance - 1 - ln variance) / 2``, summed over the numbers of noise, mean over pictures. A weight that
    rises from 0 (`Ramp`) is the warm-up that keeps the noise in use at first; below 1 it makes a beta-VAE.

    Args:
        weight: factor in the generator's total loss; 1 is the evidence bound.
        free_bits: nats of each number, as a mean over the batch, that cost nothing less if they are fewer (Kingma et
            al. 2016), so that no number is given up; 0 is none. The mean is that of one part of a batch on one rank,
            and the fewer its pictures, the more is paid: `module.accumulate` and the number of ranks change it.

    Raises:
        Refused: a negative number.
    """

    def __init__(self, weight: Weight = 1.0, free_bits: float = 0.0) -> None:
        super().__init__(weight, {"posterior"})
        if free_bits < 0:
            raise Refused(f"losses.kl.free_bits: {free_bits} is negative")
        self.free_bits = free_bits

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32, not yet multiplied by `weight`."""
        assert outputs.posterior is not None
        each = outputs.posterior.divergences().mean(dim=0)
        return each.clamp_min(self.free_bits).sum()
