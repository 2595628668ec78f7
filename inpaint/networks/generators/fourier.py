"""LaMa: Resolution-robust Large Mask Inpainting with Fourier Convolutions (Suvorov et al., WACV 2022)."""

import torch
from torch import Tensor, nn

from inpaint import portable
from inpaint.batch import Outputs, compose
from inpaint.networks.layers import checkpointed, crop, directly, exact, pad_to_multiple, picture_decoder
from inpaint.settings import Refused, whole_numbers

MOST_CHANNELS = 1024
Parts = dict[str, Tensor]  # the "local" and the "global" channels of a map; a part without channels is not there


class _FourierUnit(nn.Module):
    """A 1 x 1 convolution on the spectrum, so that every position sees the whole map; ``(B, C, h, w)`` to the same.

    ``rfft2``, each channel's real and imaginary part beside each other as ``2 C`` channels, 1 x 1 convolution without
    bias, batch norm, ReLU, and back. All in float32 whatever the autocast: half precision has FFTs for powers of two at
    most, and the mean of a map is so much larger than its other coefficients that rounding it would drown them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, 1, bias=False), nn.BatchNorm2d(2 * channels), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        with exact(x):
            if torch.compiler.is_exporting():
                real, imaginary = portable.rfft2(x.float())
                mixed = self.mix(torch.stack([real, imaginary], dim=2).flatten(1, 2))
                return portable.irfft2(mixed[:, ::2], mixed[:, 1::2], x.shape[3])
            spectrum = torch.view_as_real(torch.fft.rfft2(x.float(), norm="ortho"))
            mixed = self.mix(spectrum.movedim(-1, 2).flatten(1, 2)).unflatten(1, (-1, 2)).movedim(2, -1)
            return torch.fft.irfft2(torch.view_as_complex(mixed.contiguous()), s=x.shape[-2:], norm="ortho")


class _SpectralTransform(nn.Module):
    """1 x 1 to half the channels, batch norm, ReLU; the Fourier unit added to that; 1 x 1. No biases."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        half = after // 2
        self.reduce = nn.Sequential(nn.Conv2d(before, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True))
        self.fourier = _FourierUnit(half)
        self.expand = nn.Conv2d(half, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        return self.expand(x + self.fourier(x))


class _FFC(nn.Module):
    """Fast Fourier convolution (Chi et al. 2020) with batch norm and ReLU.

    Four paths between the local and the global channels, summed at each target: global to global is the spectral
    transform, the others are k x k convolutions with reflect padding and without bias.
    """

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, ratio_in: float = 0.0, ratio_out: float = 0.0
    ) -> None:
        super().__init__()
        sources, targets = _split(before, ratio_in), _split(after, ratio_out)
        self.paths = nn.ModuleDict()
        for source, c_in in sources.items():
            for target, c_out in targets.items():
                self.paths[f"{source} to {target}"] = (
                    _SpectralTransform(c_in, c_out)
                    if source == target == "global"
                    else nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False, padding_mode="reflect")
                )
        self.ends = nn.ModuleDict(
            {target: nn.Sequential(nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)) for target, c_out in targets.items()}
        )

    def forward(self, x: Parts) -> Parts:
        sums: Parts = {}
        for name, path in self.paths.items():
            source, target = name.split(" to ")
            sums[target] = sums[target] + path(x[source]) if target in sums else path(x[source])
        return {target: self.ends[target](value) for target, value in sums.items()}


def _split(channels: int, ratio: float) -> dict[str, int]:
    """How many channels are local and global; a part without any is left out."""
    beyond = int(channels * ratio)
    return {name: count for name, count in (("local", channels - beyond), ("global", beyond)) if count}


class _ResidualBlock(nn.Module):
    """Two fast Fourier convolutions around which the input is added, part by part."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        self.first = _FFC(channels, channels, 3, ratio_in=ratio, ratio_out=ratio)
        self.second = _FFC(channels, channels, 3, ratio_in=ratio, ratio_out=ratio)

    def forward(self, x: Parts) -> Parts:
        return {part: x[part] + value for part, value in self.second(self.first(x)).items()}


class LaMa(nn.Module):
    """LaMa-Fourier (9 blocks, 27,048,835 parameters) and Big-LaMa (18 blocks, 50,975,875).

    Fast Fourier convolutions give each residual block the whole picture as its receptive field, which is why a network
    trained on small crops repairs large pictures. 7 x 7 and three strided 3 x 3 convolutions, the blocks, three
    transposed convolutions, 7 x 7 and a sigmoid; batch norm and ReLU throughout, torch's own initial weights.

    As published the input is the picture in [0, 1] with 0 (black) in its hole, and the mask. The sigmoid's [0, 1] is
    mapped to the [-1, 1] of this package, where an L1 loss is twice and an L2 loss four times the published figure.

    Args:
        blocks: residual blocks, at an eighth of the resolution.
        width: channels of the first layer; they double at each halving (published: 64).
        ratio: share of the channels that are global in the blocks, 0 (none: a plain ResNet) to 1 (published: 0.75).
        checkpointing: what a layer or block computes is computed once more on the way back and not kept, which takes
            more time and less memory; the figures stay the same.

    Raises:
        Refused: a number out of its range.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple` and `minimum`).
    """

    multiple = 8
    memory_format = "contiguous"  # faster than channels_last on a processor (experiments/benchmarks)
    minimum = 16  # reflect padding needs two positions

    def __init__(self, blocks: int = 9, width: int = 64, ratio: float = 0.75, checkpointing: bool = False) -> None:
        super().__init__()
        whole_numbers("generator", blocks=blocks, width=width)
        widths = [min(width * 2**level, MOST_CHANNELS) for level in range(4)]
        if not 0 <= ratio <= 1 or int(widths[-1] * ratio) == 1:
            raise Refused(f"generator.ratio: {ratio} of {widths[-1]} channels; give 0 to 1, and 2 global channels")
        self.encoder = nn.Sequential(
            _FFC(4, widths[0], 7),
            _FFC(widths[0], widths[1], 3, stride=2),
            _FFC(widths[1], widths[2], 3, stride=2),
            _FFC(widths[2], widths[3], 3, stride=2, ratio_out=ratio),
        )
        self.middle = nn.Sequential(*(_ResidualBlock(widths[-1], ratio) for _ in range(blocks)))
        self.decoder = picture_decoder(widths[::-1])
        self.checkpointing = checkpointing

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        return compose(crop(self.rear(self.front(image, mask)), image), image, mask)

    def features(self, image: Tensor, mask: Tensor) -> Tensor:
        """What the decoder paints from: ``(B, C, h, w)`` at an eighth of the resolution, local channels first."""
        return self._joined(self.front(image, mask))

    def front(self, image: Tensor, mask: Tensor) -> Parts:
        """What the residual blocks begin with: the local and the global channels ``(B, C, h, w)``."""
        known, hole = pad_to_multiple(image, mask, self.multiple, self.minimum)
        black = torch.where(hole > 0.5, 0, (known + 1) / 2)
        return self._through(self.encoder, {"local": torch.cat([black, hole], dim=1)})

    def rear(self, features: Parts) -> Tensor:
        """What is painted from them: ``(B, 3, H', W')`` in [-1, 1], the padded picture."""
        run = checkpointed if self.checkpointing else directly
        return 2 * run(self.decoder, self._joined(features)) - 1

    def _joined(self, features: Parts) -> Tensor:
        return torch.cat(list(self._through(self.middle, features).values()), dim=1)

    def _through(self, layers: nn.Sequential, features: Parts) -> Parts:
        if not self.checkpointing:
            return layers(features)
        for layer in layers:
            features = checkpointed(layer, features)
        return features
