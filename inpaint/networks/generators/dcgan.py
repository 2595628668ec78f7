"""DCGAN: Unsupervised Representation Learning with Deep Convolutional GANs (Radford, Metz, Chintala, ICLR 2016)."""

from collections.abc import Mapping
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Outputs, compose
from inpaint.networks.conditions import Conditions, FiLM
from inpaint.networks.layers import normal_init
from inpaint.settings import Refused, whole_numbers

WIDTH = 128  # numbers of a condition


class DCGAN(nn.Module):
    """Pictures from noise alone: what is known of a picture and where its hole is are not looked at.

    A transposed convolution makes 4 x 4 places of the noise, each further one (4 x 4, stride 2) doubles the side and
    halves the channels. Batch norm and ReLU after each but the last, which ends in tanh; no biases. Weights start as
    N(0, 0.02), scales of batch norm as N(1, 0.02). The noise is normal, as in most code (published: uniform).

    Args:
        width: channels of the layer before the last; each one before has twice as many (published: 128).
        levels: doublings of the side; pictures have ``4 * 2 ** levels`` pixels a side (published: 4, 64 px).
        latent: numbers of noise that a picture is made of (published: 100).
        slope: of the rectifiers below zero (published: 0).
        condition: what is said of a picture, by kind (`Conditions`), as ``{label: 10}``. Each batch norm is then one of
            it (`FiLM`; Dumoulin et al. 2017); without one nothing is different.

    Raises:
        Refused: a number that is not whole or below 1, or a slope outside [0, 1).

    Shapes: image ``(B, 3, H, W)``, mask ``(B, 1, H, W)``, of which only H and W count: the picture is resized to them.
    latent ``(B, latent)``, standard normal; without one the noise is the sample's own (`inpaint.rng.of_samples`).
    label, words, embedding as in `Conditions`.
    """

    def __init__(
        self,
        width: int = 64,
        levels: int = 4,
        latent: int = 100,
        slope: float = 0.0,
        condition: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        whole_numbers("generator", width=width, levels=levels, latent=latent)
        if not 0 <= slope < 1:
            raise Refused(f"generator.slope: {slope} is not at least 0 and below 1")
        self.latent, self.multiple = latent, 1
        widths = [width * 2**level for level in range(levels)][::-1]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], 4, bias=False)]
        for before, after in pairwise([*widths, 3]):
            layers += [nn.BatchNorm2d(before), nn.LeakyReLU(slope, inplace=True)]
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        normal_init(self)
        # After everything else, so that with and without it the other weights start alike.
        self.condition = Conditions(condition, WIDTH, "generator")
        self.films = nn.ModuleList(FiLM(WIDTH, channels) for channels in widths if condition)
        self.needs = ("latent", *self.condition.kinds)

    def forward(self, image: Tensor, mask: Tensor, latent: Tensor | None = None, **said: Tensor | None) -> Outputs:
        """Make pictures, and put them into the holes."""
        if latent is None:
            latent = rng.normal_for(image, self.latent)
        made, films = latent[:, :, None, None], iter(self.films)
        condition = self.condition(image, said)
        for layer in self.layers:
            made = layer(made)
            if isinstance(layer, nn.BatchNorm2d) and self.condition.kinds:
                made = next(films)(made, condition)
        if made.shape[2:] != image.shape[2:]:  # antialias has no bfloat16 on a CPU
            made = F.interpolate(made.float(), image.shape[2:], mode="bilinear", antialias=True)
        return compose(made, image, mask)
