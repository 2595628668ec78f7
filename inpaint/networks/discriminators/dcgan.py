"""The discriminator of DCGAN (Radford, Metz, Chintala, ICLR 2016)."""

from collections.abc import Mapping
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Verdict
from inpaint.networks.conditions import Conditions
from inpaint.networks.layers import normal_init
from inpaint.settings import whole_numbers


class DCGAN(nn.Module):
    """Strided 4 x 4 convolutions down to 4 x 4 places, and one over all of these: one logit for the picture.

    Batch norm on each but the first and the last, leaky ReLU (0.2) after each but the last, no biases. Real and fake
    pictures are judged apart, since batch norm is over each kind of them. Weights start as N(0, 0.02).

    Args:
        width: channels of the first layer; each further one has twice as many.
        levels: strided convolutions; pictures that are not ``4 * 2 ** levels`` pixels a side are first resized to it
            (published: 4, 64 px).
        condition: what is said of a picture, by kind (`Conditions`), as ``{label: 10}``. The logit then has a second
            part, the inner product of that vector and the last features, summed over their places (the projection
            discriminator, Miyato and Koyama 2018): how well the picture fits what is said of it.

    Raises:
        Refused: a number that is not whole or below 1.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``, which is not looked at; logits ``(B, 1, 1, 1)``,
    and the activations of the strided convolutions. label, words, embedding as in `Conditions`.
    """

    def __init__(self, width: int = 64, levels: int = 4, condition: Mapping[str, int] | None = None) -> None:
        super().__init__()
        whole_numbers("discriminator", width=width, levels=levels)
        self.side = 4 * 2**levels
        self.layers = nn.ModuleList()
        for level, (before, after) in enumerate(pairwise([3, *(width * 2**level for level in range(levels))])):
            norm = [nn.BatchNorm2d(after)] if level else []
            convolution = nn.Conv2d(before, after, 4, 2, 1, bias=False)
            self.layers.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True)))
        self.last = nn.Conv2d(width * 2 ** (levels - 1), 1, 4, bias=False)
        normal_init(self)
        self.condition = Conditions(condition, width * 2 ** (levels - 1), "discriminator")
        self.needs = self.condition.kinds

    def forward(self, image: Tensor, mask: Tensor, **said: Tensor | None) -> Verdict:
        """Judge each picture as a whole."""
        x = image
        if x.shape[2:] != (self.side, self.side):  # antialias has no bfloat16 on a CPU
            x = F.interpolate(x.float(), (self.side, self.side), mode="bilinear", antialias=True)
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        logit = self.last(x)
        if self.needs:
            fits = (self.condition(image, said) * x.float().mean(dim=(2, 3))).sum(dim=1)
            logit = logit + fits[:, None, None, None]
        return Verdict((logit,), (tuple(features),))
