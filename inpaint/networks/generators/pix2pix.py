"""pix2pix: Image-to-Image Translation with Conditional Adversarial Networks (Isola, Zhu, Zhou, Efros, CVPR 2017)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Outputs, compose
from inpaint.networks.layers import NORMS, crop, normal_init, pad_to_multiple
from inpaint.settings import Refused, choice, whole_numbers

DEEP = 3  # levels of the decoder, the lowest ones, that drop features


class Pix2Pix(nn.Module):
    """A U-Net that makes one picture of another, as of edges or a map of labels (section 6.1.1 and the code).

    Strided 4 x 4 convolutions behind leaky ReLU (0.2) halve the picture `levels` times, transposed ones behind ReLU
    double it again, each beside the features of its size; a tanh ends it. The first layer and the lowest have no norm.

    What is dropped in the decoder is its only noise, and stays in evaluation, as published: a picture has several
    translations. Each sample has numbers of its own (`inpaint.rng.of_samples`).

    Args:
        width: channels of the first layer; each further one has twice as many, up to 8 times that (published: 64).
        levels: halvings (published: 8, 256 px; 54.4 M parameters with batch norm).
        norm: as in `layers.NORMS`. Published is batch norm over batches of one picture, which `instance` is.
        dropout: share of the features that the lowest three doublings drop (published: 0.5).

    Raises:
        Refused: a number that is not whole or below 1, fewer than two levels, an unknown norm, or a share outside
            [0, 1).

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], the picture that is translated, all of which is read; mask
    ``(B, 1, H, W)``; any H, W (padded to `multiple`).
    """

    def __init__(self, width: int = 64, levels: int = 8, norm: str = "instance", dropout: float = 0.5) -> None:
        super().__init__()
        whole_numbers("generator", width=width, levels=levels)
        if levels < 2:
            raise Refused("generator.levels: give 2 or more")
        if not (isinstance(dropout, int | float) and 0 <= dropout < 1):
            raise Refused(f"generator.dropout: {dropout} is not at least 0 and below 1")
        normed = NORMS[choice("generator.norm", norm, NORMS)]
        self.multiple, self.dropout = 2**levels, dropout
        widths = [min(width * 2**level, 8 * width) for level in range(levels)]
        plain = norm in ("none", "group")  # batch norm and instance norm take the mean of what a bias adds
        self.down, self.up = nn.ModuleList([nn.Conv2d(3, width, 4, 2, 1)]), nn.ModuleList()
        for level, (before, after) in enumerate(pairwise(widths), 2):
            last = [normed(after)] if level < levels else []
            convolution = nn.Conv2d(before, after, 4, 2, 1, bias=plain or not last)
            self.down.append(nn.Sequential(nn.LeakyReLU(0.2), convolution, *last))
        for level, (below, beside) in enumerate(pairwise(widths[::-1])):
            doubled = nn.ConvTranspose2d(below * (2 if level else 1), beside, 4, 2, 1, bias=plain)
            self.up.append(nn.Sequential(nn.ReLU(), doubled, normed(beside)))
        self.last = nn.ConvTranspose2d(2 * width, 3, 4, 2, 1)
        normal_init(self)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Translate the picture."""
        levels = [pad_to_multiple(image, mask, self.multiple)[0]]
        for layer in self.down:
            levels.append(layer(levels[-1]))
        x = levels.pop()
        for level, layer in enumerate(self.up):
            x = layer(x)
            if level < DEEP and self.dropout:
                kept = rng.uniform_for(x, *x.shape[1:]) >= self.dropout
                x = x * kept / (1 - self.dropout)
            x = torch.cat([x, levels.pop()], dim=1)
        return compose(crop(torch.tanh(self.last(torch.relu(x))), image), image, mask)
