"""The global generator of pix2pixHD (Wang et al., CVPR 2018), as LaMa uses it for comparison (Suvorov et al. 2022)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import INITS, NORMS, ResidualBlock, crop, pad_to_multiple, picture_decoder
from inpaint.settings import choice, whole_numbers

MOST_CHANNELS = 1024


class Pix2PixHDGlobal(nn.Module):
    """LaMa-Regular: the skeleton of LaMa with ordinary convolutions in place of Fourier ones; 45,617,731 parameters.

    7 x 7 and strided 3 x 3 convolutions, residual blocks, transposed convolutions, 7 x 7 and a sigmoid; norm and ReLU,
    biases. The defaults are LaMa's; pix2pixHD itself has ``levels=4, norm="instance", init="normal"`` (182 M
    parameters) and a tanh, which is the sigmoid of twice its input.

    As published the input is the picture in [0, 1] with 0 (black) in its hole, and the mask. The sigmoid's [0, 1] is
    mapped to the [-1, 1] of this package, where an L1 loss is twice and an L2 loss four times the published figure.

    Args:
        blocks: residual blocks at the lowest resolution (published: 9; 15 for Big-LaMa-Regular).
        width: channels of the first layer; they double at each halving, to 1024 at most (published: 64).
        levels: halvings (LaMa: 3, pix2pixHD: 4).
        norm: `batch` (LaMa), `instance` (pix2pixHD, which trains one picture at a time), `group` or `none`.
        init: the initial weights: `torch`, torch's own (LaMa), or `normal`, N(0, 0.02) (pix2pixHD).

    Raises:
        Refused: a number that is not whole or below 1, or a norm or `init` that does not exist.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple` and `minimum`).
    """

    def __init__(
        self, blocks: int = 9, width: int = 64, levels: int = 3, norm: str = "batch", init: str = "torch"
    ) -> None:
        super().__init__()
        whole_numbers("generator", blocks=blocks, width=width, levels=levels)
        choice("generator.norm", norm, NORMS)
        choice("generator.init", init, INITS)
        self.blocks, self.multiple = blocks, 2**levels
        self.minimum = 2 * self.multiple  # reflect padding needs two positions
        widths = [min(width * 2**level, MOST_CHANNELS) for level in range(levels + 1)]
        layers: list[nn.Module] = [nn.Conv2d(4, widths[0], 7, padding=3, padding_mode="reflect")]
        layers += [NORMS[norm](widths[0]), nn.ReLU(inplace=True)]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), NORMS[norm](after), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(widths[-1], norm) for _ in range(blocks)]
        self.encoder = nn.Sequential(*layers)
        self.decoder = picture_decoder(widths[::-1], norm)
        INITS[init](self)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        return compose(crop(self.rear(self.front(image, mask)), image), image, mask)

    def features(self, image: Tensor, mask: Tensor) -> Tensor:
        """What the decoder paints from: ``(B, C, h, w)`` at the lowest resolution."""
        return self.encoder[-self.blocks :](self.front(image, mask)["all"])

    def front(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """What the residual blocks begin with: ``(B, C, h, w)``."""
        known, hole = pad_to_multiple(image, mask, self.multiple, self.minimum)
        black = torch.where(hole > 0.5, 0, (known + 1) / 2)
        return {"all": self.encoder[: -self.blocks](torch.cat([black, hole], dim=1))}

    def rear(self, features: dict[str, Tensor]) -> Tensor:
        """What is painted from them: ``(B, 3, H', W')`` in [-1, 1], the padded picture."""
        return 2 * self.decoder(self.encoder[-self.blocks :](features["all"])) - 1
