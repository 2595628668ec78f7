"""A U-Net Based Discriminator for Generative Adversarial Networks (Schonfeld, Schiele, Khoreva, CVPR 2020)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from inpaint.batch import Verdict
from inpaint.networks.layers import crop, pad_to_multiple
from inpaint.settings import whole_numbers


class _Residual(nn.Module):
    """``shortcut(x) + conv(relu(conv(relu(x))))`` with a change of resolution, as in BigGAN's discriminator."""

    def __init__(self, before: int, after: int, resize: nn.Module, activated: bool = True) -> None:
        super().__init__()
        self.shortcut = spectral_norm(nn.Conv2d(before, after, 1))
        self.first = spectral_norm(nn.Conv2d(before, after, 3, padding=1))
        self.second = spectral_norm(nn.Conv2d(after, after, 3, padding=1))
        self.resize, self.activated = resize, activated


class _Down(_Residual):
    """Half the resolution, at the end."""

    def __init__(self, before: int, after: int, activated: bool = True) -> None:
        super().__init__(before, after, nn.AvgPool2d(2), activated)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, before, H, W)`` to ``(B, after, H / 2, W / 2)``."""
        y = self.first(F.relu(x) if self.activated else x)
        return self.resize(self.shortcut(x) + self.second(F.relu(y)))


class _Up(_Residual):
    """Twice the resolution, at the start."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, nn.Upsample(scale_factor=2.0, mode="nearest"))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, before, H, W)`` to ``(B, after, 2 * H, 2 * W)``."""
        y = self.first(self.resize(F.relu(x)))
        return self.resize(self.shortcut(x)) + self.second(F.relu(y))


class UNet(nn.Module):
    """An encoder judges the whole picture, a decoder with skip connections judges every pixel.

    Residual blocks with spectral norm on every layer. After the encoder ReLU, a sum over the places and a linear layer
    give one logit; after the decoder a 1 x 1 convolution gives a logit for each pixel. The paper adds the losses of the
    two; here they are two maps, of which the adversarial losses take the mean, so a weight of 1 there is one of 2 here.
    Left out: the class projection, and the consistency loss over CutMix pictures (section 3.2).

    Args:
        width: channels of the first block; they double up to 8 times that, 16 times in the last.
        levels: halvings of the resolution (published: 6 for 256 px).
        sees_mask: the mask is a fourth input channel (not in the paper, which does not paint holes).

    Raises:
        Refused: a number that is not whole or below 1.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; two maps of logits, ``(B, 1, 1, 1)`` for the
    picture and ``(B, 1, H, W)`` for its pixels, with the outputs of the encoder's and of the decoder's blocks.
    """

    def __init__(self, width: int = 64, levels: int = 6, sees_mask: bool = False) -> None:
        super().__init__()
        whole_numbers("discriminator", width=width, levels=levels)
        self.sees_mask, self.multiple = sees_mask, 2**levels
        widths = [width * 2 ** min(level, 3 if level < levels - 1 else 4) for level in range(levels)]
        inputs = [3 + int(sees_mask), *widths]
        self.down = nn.ModuleList(
            _Down(before, after, activated=level > 0) for level, (before, after) in enumerate(pairwise(inputs))
        )
        self.up = nn.ModuleList()
        before = widths[-1]
        for skip in widths[-2::-1]:
            self.up.append(_Up(before, skip))
            before = 2 * skip
        self.up.append(_Up(before, width))
        self.of_picture = spectral_norm(nn.Linear(widths[-1], 1))
        self.of_pixel = spectral_norm(nn.Conv2d(width, 1, 1))

    def forward(self, image: Tensor, mask: Tensor) -> Verdict:
        """Judge the picture and its pixels."""
        x, hole = pad_to_multiple(image, mask, self.multiple)
        x = torch.cat([x, hole], dim=1) if self.sees_mask else x
        encoded = []
        for block in self.down:
            x = block(x)
            encoded.append(x)
        picture = self.of_picture(F.relu(x).sum(dim=(2, 3)))[:, :, None, None]
        decoded = []
        for block, skip in zip(self.up, [*encoded[-2::-1], None], strict=True):
            x = block(x)
            decoded.append(x)
            x = x if skip is None else torch.cat([x, skip], dim=1)
        pixels = crop(self.of_pixel(F.relu(x)), image)
        return Verdict((picture, pixels), (tuple(encoded), tuple(decoded)))
