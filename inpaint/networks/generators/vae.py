"""A variational autoencoder that paints holes, or whole pictures (Kingma and Welling 2014; Sohn, Lee, Yan 2015)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Outputs, Posterior, compose
from inpaint.networks.layers import crop, exact, pad_to_multiple
from inpaint.settings import whole_numbers

PLACES = 4  # a side of the map that the noise makes


class VAE(nn.Module):
    """What is known of a picture and some noise make one of the many pictures that it may be.

    In training a second encoder looks at the truth and says which noise would make it: a normal distribution for each
    number, from which the noise is drawn (`Outputs.posterior`). `losses.likelihood` asks that the truth comes of it,
    `losses.kl` that it is like the noise of `paint`, standard normal, so that the truth reaches a picture by few nats
    alone, and in validation and every command not at all. Where all is hole (``masks=full``) this is the unconditional
    autoencoder; elsewhere the noise says what the known pixels leave open, and several noises fill a hole in several
    ways (a conditional VAE, whose prior does not look at what is known).

    Each encoder is strided 4 x 4 convolutions with batch norm and leaky ReLU (0.2), channels doubling; the decoder
    enlarges by nearest pixels, sees the maps of what is known, and convolves 3 x 3, to a tanh.

    Args:
        width: channels at half the picture's resolution.
        levels: halvings; the natural size is ``4 * 2 ** levels`` pixels. In other sizes the map that the noise makes is
            stretched to the picture.
        latent: numbers of noise.

    Raises:
        Refused: a number that is not whole or below 1.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple`). latent
    ``(B, latent)``, standard normal; without one it is the sample's own (`inpaint.rng.of_samples`). truth
    ``(B, 3, H, W)``, in training.
    """

    returns = ("posterior",)
    needs = ("latent", "truth")

    def __init__(self, width: int = 32, levels: int = 4, latent: int = 128) -> None:
        super().__init__()
        whole_numbers("generator", width=width, levels=levels, latent=latent)
        self.latent, self.multiple = latent, 2**levels
        widths = [4, *(width * 2**level for level in range(levels))]
        self.known, self.seen = (nn.ModuleList(_halving(*pair) for pair in pairwise(widths)) for _ in range(2))
        self.to_posterior = nn.Linear(widths[-1] * PLACES**2, 2 * latent)
        self.from_latent = nn.Linear(latent, widths[-1] * PLACES**2)
        self.join = _convolution(2 * widths[-1], widths[-1])
        self.decoder = nn.ModuleList(
            _convolution(below + above, max(above, width)) for above, below in list(pairwise(widths))[::-1]
        )
        self.last = nn.Conv2d(width, 3, 3, padding=1)
        self.log_scale = nn.Parameter(torch.zeros(()))  # of the likelihood: how far the truth is from what is painted

    def forward(
        self, image: Tensor, mask: Tensor, latent: Tensor | None = None, truth: Tensor | None = None
    ) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        known, hole = pad_to_multiple(image, mask, self.multiple)
        maps = [torch.cat([torch.where(hole > 0.5, 0, known), hole], dim=1)]
        for stage in self.known:
            maps.append(stage(maps[-1]))
        posterior = None
        if truth is not None:
            posterior = self._posterior(pad_to_multiple(truth, mask, self.multiple)[0], hole)
            latent = posterior.mean + (posterior.log_variance / 2).exp() * rng.normal_for(image, self.latent)
        elif latent is None:
            latent = rng.normal_for(image, self.latent)
        x = self.from_latent(latent).view(len(image), -1, PLACES, PLACES)
        if x.shape[2:] != maps[-1].shape[2:]:
            x = F.interpolate(x.float(), maps[-1].shape[2:], mode="bilinear")
        x = self.join(torch.cat([x, maps[-1]], dim=1))
        for stage, skip in zip(self.decoder, maps[-2::-1], strict=True):
            x = stage(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1))
        return compose(crop(torch.tanh(self.last(x)), image), image, mask, posterior=posterior)

    def _posterior(self, truth: Tensor, hole: Tensor) -> Posterior:
        """Which noise makes the truth, in float32 whatever the autocast."""
        x = torch.cat([truth, hole], dim=1)
        for stage in self.seen:
            x = stage(x)
        with exact(x):
            places = F.adaptive_avg_pool2d(x.float(), PLACES).flatten(1)
            mean, log_variance = self.to_posterior(places).chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(-15, 15), self.log_scale)


def _halving(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True))


def _convolution(before: int, after: int) -> nn.Module:
    layer = nn.Conv2d(before, after, 3, padding=1)
    return nn.Sequential(layer, nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True))
