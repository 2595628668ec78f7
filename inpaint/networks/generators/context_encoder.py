"""Context Encoders: Feature Learning by Inpainting (Pathak, Krahenbuhl, Donahue, Darrell, Efros, CVPR 2016)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Outputs, compose
from inpaint.networks.layers import ChannelwiseLinear, crop, he_init, mean_colour, normal_init, pad_to_multiple
from inpaint.settings import Refused, choice, whole, whole_numbers


def widths_of(width: int, levels: int) -> list[int]:
    """Channels of the strided layers: doubled at each of the last four, the ones before keep `width`."""
    return [width * 2 ** max(0, level - max(0, levels - 4)) for level in range(levels)]


class ContextEncoder(nn.Module):
    """The encoder-decoder that started the field.

    A strided encoder without pooling (4 x 4 convolutions, batch norm, leaky ReLU 0.2) down to a 4 x 4 map, a bottleneck
    that sees all of it, and a decoder of transposed convolutions (batch norm, ReLU) up to a tanh. The mask is not an
    input: as published, the hole is told by its fill of mean colour (in RGB order; the authors' code permutes the
    channels). Biases are learnt, which the authors' code sets to 0 before each step. Weights start as N(0, 0.02).

    Published for 128 px, both with ``width=64, levels=5, bottleneck=4000``: the random-region network paints the whole
    picture, the centre network the middle 64 x 64 (71.1 M parameters: encoder 35.6 M, decoder 35.5 M).

    Args:
        width: channels of the first layer, up to 8 times that before the bottleneck (published: 64).
        levels: strided convolutions before the bottleneck; the natural size is ``4 * 2 ** levels``. Beyond 4, levels
            of plain `width` come first (published: 5).
        bottleneck: channels of the bottleneck (published: 4000).
        paints: ``picture`` or ``centre``. The centre is a square of half the natural size. The network then looks at
            the window of natural size in the middle of the picture, and the square is pasted there; the rest of the
            output is the picture itself. Every hole must lie in the square: masks=centre with data.crop at the
            natural size.
        noise: channels of normal noise beside the bottleneck, through a 1 x 1 convolution; 0 is none (published: 100
            as an option). Drawn anew in training; in evaluation a function of the place alone, so the network repeats
            itself.

    Raises:
        Refused: an impossible number or word; with ``paints="centre"``, a hole outside the centre.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W. A picture is padded to `multiple` and
    at least the natural size `minimum`; in larger ones each place of the bottleneck sees one window of natural size.
    """

    hole_colour: Tensor

    def __init__(
        self, width: int = 64, levels: int = 4, bottleneck: int = 512, paints: str = "picture", noise: int = 0
    ) -> None:
        super().__init__()
        whole_numbers("generator", width=width, levels=levels, bottleneck=bottleneck)
        if paints == "centre" and levels < 2:
            raise Refused("generator.levels: 1 strided convolution, paints=centre needs at least 2")
        whole("generator.noise", noise, 0)
        self.paints, self.noise = choice("generator.paints", paints, ("picture", "centre")), noise
        self.multiple = 2**levels
        self.minimum = 4 * self.multiple

        down = widths_of(width, levels)
        encoder: list[nn.Module] = [nn.Conv2d(3, down[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in pairwise(down):
            encoder += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
        encoder += [nn.Conv2d(down[-1], bottleneck, 4)]

        up = widths_of(width, levels - (paints == "centre"))[::-1]
        seen = bottleneck + noise
        decoder = [nn.BatchNorm2d(seen), nn.LeakyReLU(0.2, inplace=True), nn.ConvTranspose2d(seen, up[0], 4)]
        for before, after in pairwise([*up, 3]):
            decoder += [nn.BatchNorm2d(before), nn.ReLU(inplace=True), nn.ConvTranspose2d(before, after, 4, 2, 1)]

        self.encoder = nn.Sequential(*encoder)
        self.noise_mixer = nn.Conv2d(noise, noise, 1) if noise else None
        self.decoder = nn.Sequential(*decoder, nn.Tanh())
        self.register_buffer("hole_colour", mean_colour())
        normal_init(self)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture or its centre: the pixels of `image` inside the hole are not read."""
        height, width = image.shape[-2:]
        if self.paints == "picture":
            known, hole = pad_to_multiple(image, mask, self.multiple, self.minimum)
            return compose(crop(self._paint(known, hole), image), image, mask)
        rows, columns = self._window(height, image), self._window(width, image)
        patch = self._paint(image[..., rows[:, None], columns], mask[..., rows[:, None], columns])
        border = self._border(width) + self._border(height)
        inside = F.pad(torch.ones_like(patch[:1, :1]), border) > 0
        self._refuse_holes_outside(inside, mask)
        return compose(torch.where(inside, F.pad(patch, border).to(image.dtype), image), image, mask)

    def features(self, image: Tensor, mask: Tensor) -> Tensor:
        """The bottleneck, without noise: ``(B, bottleneck, h, w)``, a place for each window of natural size."""
        return self._encode(*pad_to_multiple(image, mask, self.multiple, self.minimum))

    def _encode(self, known: Tensor, hole: Tensor) -> Tensor:
        return self.encoder(torch.where(hole > 0.5, self.hole_colour, known))

    def _paint(self, known: Tensor, hole: Tensor) -> Tensor:
        """Of a picture at a size that fits, the whole or the centre."""
        x = self._encode(known, hole)
        if self.noise_mixer is not None:
            x = torch.cat([x, self.noise_mixer(self._noise(x))], dim=1)
        return self.decoder(x)

    def _noise(self, x: Tensor) -> Tensor:
        """Standard normal: ``(B, noise, h, w)`` for the places of `x`."""
        batch, _, height, width = x.shape
        if self.training:
            return rng.normal_for(x, self.noise, height, width)
        rows = rng.fold(torch.arange(height, device=x.device), "bottleneck")
        drawn = rng.normal(rows, width * self.noise).view(height, width, self.noise)
        return drawn.permute(2, 0, 1).expand(batch, -1, -1, -1)

    def _window(self, length: int, like: Tensor) -> Tensor:
        """Indices of the natural size around the middle of `length` pixels, repeating the border pixels."""
        start = (length - self.minimum) // 2
        return torch.arange(start, start + self.minimum, device=like.device).clamp(0, length - 1)

    def _border(self, length: int) -> tuple[int, int]:
        """Pixels before and after the centre in `length` pixels; negative where it stands out."""
        start = (length - self.minimum // 2) // 2
        return start, length - self.minimum // 2 - start

    def _refuse_holes_outside(self, inside: Tensor, mask: Tensor) -> None:
        if torch.compiler.is_compiling() or not (mask > 0.5).logical_and(~inside).any():
            return
        side = self.minimum // 2
        raise Refused(
            f"generator.paints: centre paints the middle {side} x {side} pixels, and a mask has its hole elsewhere; "
            f"use masks=centre data.crop={self.minimum}, or generator.paints=picture for holes anywhere"
        )


class FeatureContextEncoder(nn.Module):
    """The form that the paper learns features with: AlexNet, a channel-wise fully connected layer, up-convolutions.

    The encoder is AlexNet (Krizhevsky et al. 2012) up to pool5, two groups and response normalisation included: 227 px
    to 256 maps of 6 x 6. In place of AlexNet's fully connected layers stands one matrix a channel, 256 x 6^4 weights,
    and a 1 x 1 convolution that mixes the channels. The decoder is five up-convolutions with ReLU between them; the
    paper gives no sizes: here 5 x 5 of stride 2 (6, 11, 21, 41, 81, 161 px; 128, 64, 64, 32, 3 channels), then a
    bilinear resize. The output is linear. Trained with L2 alone. The mask is not an input: the hole is filled with the
    mean colour. Weights start as in He et al. 2015, which trains without batch norm.

    Args:
        width: the channels of conv1 to conv5 are 3, 8, 12, 12 and 8 times this, even (published: 32).
        side: pixels that a picture is resized to, whatever its shape, 99 or more (published: 227).

    Raises:
        Refused: a number below its least or an odd width.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W.
    """

    hole_colour: Tensor
    multiple = 1

    def __init__(self, width: int = 32, side: int = 227) -> None:
        super().__init__()
        if whole("generator.width", width, 1) % 2:
            raise Refused(f"generator.width: give an even number of channels for two groups; got {width}")
        if whole("generator.side", side, 1) < 99:
            raise Refused(f"generator.side: {side} pixels, and AlexNet's strides leave 2 x 2 places of 99 at least")
        self.side = side
        places = side
        for kernel, stride in ((11, 4), (3, 2), (3, 2), (3, 2)):  # conv1 and the three pools
            places = (places - kernel) // stride + 1

        def relu() -> nn.Module:
            return nn.ReLU(inplace=True)

        one, two, three = 3 * width, 8 * width, 12 * width
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, one, 11, 4), relu(), _response_norm(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(one, two, 5, 1, 2, groups=2), relu(), _response_norm(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(two, three, 3, 1, 1), relu()),
            *(nn.Conv2d(three, three, 3, 1, 1, groups=2), relu()),
            *(nn.Conv2d(three, two, 3, 1, 1, groups=2), relu(), nn.MaxPool2d(3, 2)),
        )
        self.bottleneck = nn.Sequential(ChannelwiseLinear(two, places), relu(), nn.Conv2d(two, two, 1), relu())
        decoder: list[nn.Module] = []
        for before, after in pairwise([two, 4 * width, 2 * width, 2 * width, width, 3]):
            decoder += [nn.ConvTranspose2d(before, after, 5, 2, 2), relu()]
        self.decoder = nn.Sequential(*decoder[:-1])
        self.register_buffer("hole_colour", mean_colour())
        he_init(self)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        x = self.decoder(self.bottleneck(self.features(image, mask)))
        return compose(F.interpolate(x, image.shape[-2:], mode="bilinear"), image, mask)

    def features(self, image: Tensor, mask: Tensor) -> Tensor:
        """AlexNet's pool5: ``(B, 8 * width, h, w)``."""
        x = torch.where(mask > 0.5, self.hole_colour, image)
        return self.encoder(F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True))


def _response_norm() -> nn.Module:
    """Krizhevsky et al. 2012, section 3.3; torch divides alpha by the size."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
