"""Context Encoders: Feature Learning by Inpainting (Pathak, Krahenbuhl, Donahue, Darrell, Efros, CVPR 2016)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import normal_init, pad_to_multiple

# 8-bit colour that fills the hole in the input: the mean of ImageNet, in RGB.
MEAN_COLOUR = (123.0, 117.0, 104.0)


class ContextEncoder(nn.Module):
    """The encoder-decoder that started the field, in its random-region form: it paints the whole picture.

    A strided encoder without pooling (4 x 4 convolutions, batch norm, leaky ReLU 0.2) down to a 4 x 4 map, a bottleneck
    that sees all of it, and a decoder of transposed convolutions (batch norm, ReLU) up to a tanh. The mask is not an
    input: as published, the hole is told by its fill of mean colour. With ``levels=4`` the bottleneck sees
    64 x 64 pixels; larger pictures work, each bottleneck position then seeing one window.

    Args:
        width: channels of the first layer; they double at each level up to 8 times that (published: 64).
        levels: strided convolutions before the bottleneck; the picture's natural size is ``4 * 2 ** levels``.
        bottleneck: channels of the bottleneck (published: 4000 for 128 px).

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple` and `minimum`).
    """

    hole_colour: Tensor

    def __init__(self, width: int = 64, levels: int = 4, bottleneck: int = 512) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"generator.levels: {levels} strided convolutions, at least 1 is needed")
        self.multiple = 2**levels
        self.minimum = 4 * self.multiple
        widths = [min(width * 2**level, width * 8) for level in range(levels)]

        encoder: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in pairwise(widths):
            encoder += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
        encoder += [nn.Conv2d(widths[-1], bottleneck, 4), nn.BatchNorm2d(bottleneck), nn.LeakyReLU(0.2, inplace=True)]

        decoder: list[nn.Module] = [nn.ConvTranspose2d(bottleneck, widths[-1], 4)]
        for before, after in pairwise(widths[::-1]):
            decoder += [nn.BatchNorm2d(before), nn.ReLU(inplace=True), nn.ConvTranspose2d(before, after, 4, 2, 1)]
        decoder += [nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh()]

        self.encoder = nn.Sequential(*encoder)
        self.decoder = nn.Sequential(*decoder)
        self.register_buffer("hole_colour", torch.tensor(MEAN_COLOUR).div(127.5).sub(1).view(1, 3, 1, 1))
        normal_init(self)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        height, width = image.shape[-2:]
        known, hole = pad_to_multiple(image, mask, self.multiple, self.minimum)
        output = self.decoder(self.encoder(torch.where(hole > 0.5, self.hole_colour, known)))
        return compose(output[..., :height, :width], image, mask)
