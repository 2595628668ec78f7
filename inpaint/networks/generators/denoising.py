"""Networks that take noise off a picture: DnCNN and FFDNet. They look at all of what is given."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import PRELU, crop, he_init, pad_to_multiple
from inpaint.restoration.denoising import checked_sigma, sigma_of
from inpaint.settings import whole_numbers


class DnCNN(nn.Module):
    """Layers that learn the noise, which is taken off (Zhang et al. 2017, arXiv 1608.03981).

    Args:
        width: channels, 64 in the paper.
        depth: layers, 20 in the paper for colour: 670,531 parameters.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1] or beyond, mask ``(B, 1, H, W)``.
    """

    def __init__(self, width: int = 64, depth: int = 20) -> None:
        super().__init__()
        whole_numbers("generator", width=width)
        whole_numbers("generator", least=2, depth=depth)
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        last = nn.Conv2d(width, 3, 3, padding=1)
        self.layers = nn.Sequential(*layers, last)
        he_init(self.layers, PRELU)
        nn.init.zeros_(last.weight)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Take off what is learnt to be noise; fresh, nothing."""
        return compose(image - self.layers(image), image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What the noise is taken off: the given picture."""
        return image


class FFDNet(nn.Module):
    """A fast denoiser on blocks of 2 x 2 pixels that is told how strong the noise is (Zhang et al. 2018, 1710.04026).

    The published network has batch norm while it trains and none afterwards; this one has none. It starts from the
    given picture, where the published one paints anew.

    Args:
        width: channels, 96 in the paper for colour.
        depth: layers, 12 in the paper for colour: 852,108 parameters.
        sigma: of the noise in 8-bit levels; None measures it in each picture (`noise_level`).

    Shapes: image ``(B, 3, H, W)`` in [-1, 1] or beyond, mask ``(B, 1, H, W)``; any H, W.
    """

    def __init__(self, width: int = 96, depth: int = 12, sigma: float | None = None) -> None:
        super().__init__()
        whole_numbers("generator", width=width)
        whole_numbers("generator", least=2, depth=depth)
        self.sigma = checked_sigma(sigma)
        layers: list[nn.Module] = [nn.Conv2d(13, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        last = nn.Conv2d(width, 12, 3, padding=1)
        self.layers = nn.Sequential(*layers, last)
        he_init(self.layers, PRELU)
        nn.init.zeros_(last.weight)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Take the noise off."""
        blocks = F.pixel_unshuffle(pad_to_multiple(image, mask, 2)[0], 2)
        level = (sigma_of(image, self.sigma) / 255).view(-1, 1, 1, 1)
        level_map = level.expand(-1, 1, *blocks.shape[2:]).to(blocks.dtype)
        noise = F.pixel_shuffle(self.layers(torch.cat([blocks, level_map], dim=1)), 2)
        return compose(image - crop(noise, image), image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What the noise is taken off: the given picture."""
        return image
