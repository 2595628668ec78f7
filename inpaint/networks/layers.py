"""Pieces that several networks share."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

from inpaint import portable, rng

LEAST_CONTRAST = 0.01  # of the range [-1, 1]
MEAN_COLOUR = (123.0, 117.0, 104.0)  # of ImageNet, 8-bit RGB
PRELU = 0.25  # slope below zero that torch begins with


def mean_colour() -> Tensor:
    """The mean colour of ImageNet as a picture of one pixel, ``(1, 3, 1, 1)`` in [-1, 1]."""
    return torch.tensor(MEAN_COLOUR).div(127.5).sub(1).view(1, 3, 1, 1)


def exact(x: Tensor) -> AbstractContextManager[Any]:
    """Computes in the precision of what it is given, whatever the autocast; an exported graph has none."""
    return nullcontext() if torch.compiler.is_exporting() else torch.autocast(x.device.type, enabled=False)


def pad_to_multiple(image: Tensor, mask: Tensor, multiple: int, minimum: int = 1) -> tuple[Tensor, Tensor]:
    """Extend both by their border pixels, right and below, until each side is a multiple and at least `minimum`.

    The mask is extended with the image, so a hole at the border stays a hole and no invented pixel counts as known.

    image ``(B, C, H, W)``, mask ``(B, 1, H, W)``; returns both at ``(H', W')``. `crop` takes it off the result.
    """
    if torch.jit.is_tracing():  # a trace would keep the border of one size
        return torch.jit.script(_pad_to_multiple)(image, mask, multiple, minimum)
    if torch.compiler.is_exporting():
        return portable.extended(image, multiple, minimum), portable.extended(mask, multiple, minimum)
    if any(side % multiple or side < minimum for side in image.shape[-2:]):
        return _pad_to_multiple(image, mask, multiple, minimum)
    return image, mask


def crop(x: Tensor, like: Tensor) -> Tensor:
    """The upper left of ``(B, C, H', W')`` in the size of `like`: what `pad_to_multiple` added is off."""
    height, width = like.shape[-2:]
    if torch.compiler.is_exporting():
        return portable.cropped(x, height, width)
    return x[..., :height, :width]


def _pad_to_multiple(image: Tensor, mask: Tensor, multiple: int, minimum: int) -> tuple[Tensor, Tensor]:
    height, width = image.shape[2], image.shape[3]
    below = max((multiple - height % multiple) % multiple, minimum - height)
    right = max((multiple - width % multiple) % multiple, minimum - width)
    border = [0, right, 0, below]
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


def torch_init(network: nn.Module) -> None:
    """The weights as torch makes them: uniform within the root of 1 / fan in, biases too."""


def he_init(network: nn.Module, slope: float = 0.0) -> None:
    """Convolutions N(0, 2 / ((1 + slope^2) fan in)), biases 0 (He, Zhang, Ren, Sun, ICCV 2015, section 2.2).

    Networks without normalisation need it: with torch's own start the features of eight layers hardly vary over a
    picture, and a last layer that starts at zero learns nothing from them.

    Args:
        network: whose layers start anew.
        slope: of the rectifiers below zero.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # A transposed convolution of stride s has its kernel at 1 / s^2 of the places that an output sees.
            fan = layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else layer.weight[:, 0].numel()
            fan //= layer.stride[0] * layer.stride[1] if isinstance(layer, nn.ConvTranspose2d) else 1
            nn.init.normal_(layer.weight, 0.0, (2 / (1 + slope**2) / max(fan, 1)) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


# ---- memory against time --------------------------------------------------------------------------------------------


def directly(layer: nn.Module, *inputs: Any) -> Any:
    """``layer(*inputs)``; what its backward pass reads is kept until then."""
    return layer(*inputs)


def checkpointed(layer: nn.Module, *inputs: Any) -> Any:
    """``layer(*inputs)``, of which only the inputs are kept: the backward pass computes the rest once more.

    The gradients and the layer's buffers are those of `directly`: the second time, running statistics are copies that
    are thrown away, and noise is drawn as it was the first time (Chen et al. 2016, section 3).
    """
    if not torch.is_grad_enabled():
        return layer(*inputs)
    noise = rng.repeating()

    @contextmanager
    def again() -> Iterator[None]:
        with noise, _on_copies(layer):
            yield

    return checkpoint(layer, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), again()))


@contextmanager
def _on_copies(network: nn.Module) -> Iterator[None]:
    """Inside, the buffers of a network are copies."""
    kept = [(layer._buffers, name, b) for layer in network.modules() for name, b in layer._buffers.items()]
    try:
        for buffers, name, buffer in kept:
            buffers[name] = buffer.clone() if buffer is not None else None
        yield
    finally:
        for buffers, name, buffer in kept:
            buffers[name] = buffer


class ChannelwiseLinear(nn.Module):
    """Fully connected within each channel and not between channels (Context Encoders, Pathak et al. 2016, section 3.1).

    m channels of n x n have m n^4 weights, where a fully connected layer has m^2 n^4.

    Args:
        channels: m.
        side: n.

    Shapes: ``(B, m, n, n)`` to the same.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, side**2, side**2))  # channel, from, to
        self.bias = nn.Parameter(torch.zeros(channels, side**2))
        nn.init.normal_(self.weight, 0.0, 2**0.5 / side)

    def forward(self, x: Tensor) -> Tensor:
        """Every place of a channel to every place of the same channel."""
        mixed = torch.einsum("bmi,mij->bmj", x.flatten(2), self.weight)
        return (mixed + self.bias).view_as(x)


class PartialConv(nn.Conv2d):
    """Convolution over valid pixels only (Liu et al. 2018, equations 1 and 2); arguments of `nn.Conv2d`, no dilation.

    ``conv(x * valid) * window / sum(valid) + bias`` where the window has a valid entry, which is where the new mask is
    valid, else 0. The window counts kernel height x kernel width x channels. Where all of it is valid this is an
    ordinary convolution; padding counts as missing, as in the authors' code. The ratio is float32 under mixed
    precision.

    Shapes: x ``(B, C, H, W)``, valid bool ``(B, C, H, W)`` or ``(B, 1, H, W)``; returns the features
    ``(B, C', H', W')`` and the new mask ``(B, 1, H', W')``, which is the same for all of them.
    """

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Convolve, renormalise, and say where the result is valid."""
        sums = F.conv2d(torch.where(valid, x, 0.0), self.weight, None, self.stride, self.padding)
        share = valid.mean(1, keepdim=True, dtype=torch.float32)
        share = F.avg_pool2d(share, self.kernel_size, self.stride, self.padding)  # type: ignore[arg-type]
        reached = share > 0
        result = sums.float() / torch.where(reached, share, 1.0)
        if self.bias is not None:
            result = result + self.bias.float().view(1, -1, 1, 1)
        return torch.where(reached, result, 0.0).to(sums.dtype), reached


# ---- words for layers -----------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "gelu": nn.GELU,
}

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,  # without scale and shift, as in pix2pixHD
    "group": lambda channels: nn.GroupNorm(math.gcd(32, channels), channels),
}


INITS: dict[str, Callable[[nn.Module], None]] = {"normal": normal_init, "torch": torch_init}


# ---- what generators share ------------------------------------------------------------------------------------------


def white_noise(like: Tensor) -> Tensor:
    """White noise of unit variance, a function of the pixel's place alone: ``(B, 1, H, W)`` as `like`."""
    batch, _, height, width = like.shape
    rows = rng.fold(torch.arange(height, device=like.device), "noise")
    return (rng.uniform(rows, width) - 0.5).mul(12**0.5).expand(batch, 1, height, width)


def asked_for(asking: Tensor, like: Tensor) -> Tensor:
    """Shares ``(B, 1, H, W)`` at the size of features, with a sum of 1 for each sample, or of 0 where there is none."""
    share = F.adaptive_avg_pool2d(asking.float(), (like.shape[2], like.shape[3]))
    return share / share.sum((2, 3), keepdim=True).clamp_min(1e-12)


class SelfAttention(nn.Module):
    """Every position looks at every other one: ``x + gamma * out(attend(query(x), key(x), value(x)))``.

    SAGAN (Zhang et al. 2019, section 3): 1 x 1 convolutions without bias to ``C / 8`` channels for queries and keys and
    to ``C / 2`` for values (as in the authors' code; the paper has C / 8), a softmax over all positions, not divided by
    the root of the channels, and a last 1 x 1 back to C. gamma starts at 0, where the layer does nothing. The softmax
    is in float32 whatever the autocast. Memory grows with the square of ``H * W`` unless torch has a fused kernel.

    Args:
        channels: C, at least 1.
        spectral: spectral norm on the four convolutions, as published.

    Shapes: ``(B, C, H, W)`` to the same.
    """

    def __init__(self, channels: int, spectral: bool = True) -> None:
        super().__init__()
        inner, values = max(channels // 8, 1), max(channels // 2, 1)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, values, 1, bias=False)
        self.out = nn.Conv2d(values, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            if spectral:
                spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        query, key, value = (
            layer(x).flatten(2).mT.unsqueeze(1).float() for layer in (self.query, self.key, self.value)
        )
        with exact(x):
            attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gamma * self.out(attended.squeeze(1).mT.unflatten(2, x.shape[-2:]))

    def attended(self, x: Tensor, asking: Tensor) -> Tensor:
        """What each place gets of the attention of those in `asking`, as in `inpaint.evaluation.dependence`."""
        query, key = (layer(x).flatten(2).float() for layer in (self.query, self.key))
        with exact(x):
            share = asked_for(asking, x)
            return (share.flatten(2) @ torch.softmax(query.mT @ key, dim=2)).unflatten(2, x.shape[-2:])


class ResidualBlock(nn.Module):
    """``x + norm(conv(relu(norm(conv(x)))))``, 3 x 3 with reflect padding (Johnson et al. 2016).

    Shapes: ``(B, C, h, w)`` to the same.
    """

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            NORMS[norm](channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            NORMS[norm](channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add to what comes in."""
        return x + self.inner(x)


def picture_decoder(widths: list[int], norm: str = "batch") -> nn.Sequential:
    """What the ResNets of Johnson et al. 2016 end with, as LaMa has it: ``(B, widths[0], h, w)`` to RGB in [0, 1].

    A transposed 3 x 3 convolution of stride 2 with a norm and ReLU for each of the further widths, then 7 x 7 with
    reflect padding to three channels and a sigmoid.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1), NORMS[norm](after), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 7, padding=3, padding_mode="reflect"), nn.Sigmoid())


# ---- pieces of discriminators ---------------------------------------------------------------------------------------


def around_hole(picture: Tensor, mask: Tensor, side: int) -> Tensor:
    """A square of each sample with its hole in the middle: ``(B, C, H, W)`` to ``(B, C, side, side)``.

    Its centre is the centre of mass of the hole ``(B, 1, H, W)``, which may have soft edges; of the picture where there
    is no hole. It is moved inwards where it would leave the picture, whose sides are at least `side`.
    """
    for axis in (2, 3):
        length = picture.shape[axis]
        places = torch.arange(length, device=mask.device, dtype=torch.float32)
        profile = mask.float().sum(dim=5 - axis).squeeze(1)
        total = profile.sum(dim=1)
        centre = torch.where(total > 0, (profile * places).sum(dim=1) / total.clamp_min(1e-6), (length - 1) / 2)
        start = (centre - (side - 1) / 2).add(0.5).floor().long().clamp(0, length - side)
        taken = start[:, None] + torch.arange(side, device=mask.device)
        picture = picture.take_along_dim(taken.view(len(taken), 1, *((-1, 1) if axis == 2 else (1, -1))), dim=axis)
    return picture
