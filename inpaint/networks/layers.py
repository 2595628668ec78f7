"""Pieces that several networks share."""

import torch.nn.functional as F
from torch import Tensor, nn

LEAST_CONTRAST = 0.01  # of the range [-1, 1]


def pad_to_multiple(image: Tensor, mask: Tensor, multiple: int, minimum: int = 1) -> tuple[Tensor, Tensor]:
    """Extend both by their border pixels, right and below, until each side is a multiple and at least `minimum`.

    The mask is extended with the image, so a hole at the border stays a hole and no invented pixel counts as known.

    image ``(B, C, H, W)``, mask ``(B, 1, H, W)``; returns both at ``(H', W')``. Crop the result with ``[..., :H, :W]``.
    """
    height, width = image.shape[-2:]
    below = max(-height % multiple, minimum - height)
    right = max(-width % multiple, minimum - width)
    if below == 0 and right == 0:
        return image, mask
    border = (0, right, 0, below)
    return F.pad(image, border, mode="replicate"), F.pad(mask, border, mode="replicate")


def standardise(image: Tensor) -> tuple[Tensor, Tensor]:
    """The picture with its mean colour taken off and divided by its contrast, and the contrast ``(B, 1, 1, 1)``.

    The contrast is the standard deviation over pixels and channels, at least about one 8-bit level, so that a picture
    of one colour is not blown up into noise.
    """
    centred = image - image.mean(dim=(2, 3), keepdim=True)
    contrast = centred.square().mean(dim=(1, 2, 3), keepdim=True).add(LEAST_CONTRAST**2).sqrt()
    return centred / contrast, contrast


def normal_init(network: nn.Module, deviation: float = 0.02) -> None:
    """Weights N(0, 0.02), batch-norm scales N(1, 0.02), biases 0 (DCGAN, Radford et al. 2016, section 4)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, deviation)
            nn.init.zeros_(layer.bias)
