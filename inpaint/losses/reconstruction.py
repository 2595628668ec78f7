"""Losses that compare pixels with the truth."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from inpaint.batch import Batch, Outputs
from inpaint.losses.term import Term

Region = Literal["hole", "known", "all"]
Share = Literal["region", "image"]


class _Pixelwise(Term):
    """A mean of per-pixel errors over a region; `error` says which error."""

    error: Callable[[Tensor], Tensor]

    def __init__(self, weight: float = 1.0, region: Region = "all", per: Share = "region", of: str = "output") -> None:
        super().__init__(weight, {of})
        for name, value, choices in (
            ("region", region, ("hole", "known", "all")),
            ("per", per, ("region", "image")),
            ("of", of, ("output", "composite", "coarse")),
        ):
            if value not in choices:
                raise ValueError(f"losses.{type(self).__name__.lower()}.{name}: {value!r} is none of {choices}")
        self.region, self.per, self.of = region, per, of

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Scalar float32, not yet multiplied by `weight`; 0 where the batch has no pixel of the region."""
        error = self.error((getattr(outputs, self.of) - batch["image"]).float())
        if self.region == "all":
            return error.mean()
        region = batch["mask"] if self.region == "hole" else 1 - batch["mask"]
        # The count is over the batch, so that every pixel of the region weighs the same whatever hole it is in.
        count = region.sum() if self.per == "region" else torch.tensor(float(region.numel()), device=region.device)
        return (error * region).sum() / (count * error.shape[1]).clamp(min=1)


class L1(_Pixelwise):
    """Mean absolute difference, on the [-1, 1] scale (twice the figure on [0, 1]).

    Args:
        weight: factor in the generator's total loss.
        region: over which pixels the sum runs: the hole, the known ones, or all.
        per: what the sum is divided by: the pixels of the region in the batch (times 3 channels), or those of the whole
            batch, as in the partial-convolution paper (Liu et al. 2018, section 3.3), where 6 * hole + 1 * known is a
            weighted mean over the picture.
        of: the generator's raw `output`, the `composite`, whose known pixels are right by construction, or what the
            first of two stages painted, `coarse`.

    Raises:
        ValueError: a choice that does not exist.
    """

    error = staticmethod(torch.abs)


class L2(_Pixelwise):
    """Mean squared difference, on the [-1, 1] scale (four times the figure on [0, 1]); arguments as for `L1`.

    The Context Encoder's reconstruction loss (Pathak et al. 2016, equation 1) is this with weight 0.999 over the hole.
    """

    error = staticmethod(torch.square)
