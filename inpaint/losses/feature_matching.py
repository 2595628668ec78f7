"""A loss on what the discriminator itself sees in painted and in real pictures."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from inpaint.batch import Batch, Outputs
from inpaint.losses.term import Term, Weight
from inpaint.settings import Refused, choice


class FeatureMatching(Term):
    """Mean difference of the discriminator's features (Salimans et al. 2016; pix2pixHD, Wang et al. 2018, eq. 6).

    The discriminator only measures: no gradient goes to it, nor through the real picture's features. The term is left
    out as long as no discriminator plays. Its default weight was measured beside `L1` and a game of weight 0.1
    (experiments/007-balance).

    | paper | error | total | weight |
    |---|---|---|---|
    | pix2pixHD: 4 / (layers + 1) for each of the layers + 1 activations | l1 | 4 | 10 |
    | EdgeConnect, edges: 1 for each activation, and for the logits, which are left out here | l1 | 4 | 10 |
    | LaMa: mean over 5 activations | l2 | 1 | 100 |

    Args:
        weight: factor in the generator's total loss.
        error: `l1` or `l2`, averaged over all values of a layer.
        total: what the weights of the layers of a scale add up to; all layers count alike.
        scale_weights: what each scale of the discriminator counts; null is 1 / scales each (pix2pixHD).

    Raises:
        Refused: a choice that does not exist; at the first batch, a discriminator without features, or with another
            number of scales than of weights.
    """

    def __init__(
        self,
        weight: Weight = 4.0,
        error: Literal["l1", "l2"] = "l1",
        total: float = 4.0,
        scale_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(weight, {"real", "fake"})
        self.error = choice("losses.feature_matching.error", error, ("l1", "l2"))
        self.total = total
        self.scale_weights = None if scale_weights is None else tuple(scale_weights)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32, not yet multiplied by `weight`."""
        assert outputs.real is not None and outputs.fake is not None
        scales = len(outputs.fake.features)
        if scales == 0:
            raise Refused(
                "losses.feature_matching: this discriminator gives no features; choose another, or leave the loss out "
                "(~losses.feature_matching)"
            )
        weights = self.scale_weights or (1 / scales,) * scales
        if len(weights) != scales:
            raise Refused(f"losses.feature_matching.scale_weights: {len(weights)} for a discriminator of {scales}")
        sums = []
        for weight, fake, real in zip(weights, outputs.fake.features, outputs.real.features, strict=True):
            differences = [mine.float() - true.detach().float() for mine, true in zip(fake, real, strict=True)]
            errors = [d.abs().mean() if self.error == "l1" else d.square().mean() for d in differences]
            sums.append(weight * self.total * torch.stack(errors).mean())
        return torch.stack(sums).sum()
