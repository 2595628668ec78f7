"""The long chains that stand for "any picture from anywhere" in blind super-resolution.

Each picture goes through sizes of its own, so the chains go picture by picture. Their choices are drawn on the host,
from the same keys; a GPU is waited for once a batch, when it hands the keys over.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.degradations import filters
from inpaint.degradations.compression import compressed
from inpaint.degradations.filters import filtered
from inpaint.degradations.kind import LEVEL, Degradation
from inpaint.degradations.noise import poisson
from inpaint.degradations.resampling import METHODS
from inpaint.degradations.tone import luma
from inpaint.rng import each_frame, fold, normal, permutation, uniform
from inpaint.settings import Refused, whole

Span = tuple[float, float]


class Draw:
    """The choices for one sample, each by its name.

    Args:
        host: its key on the host, int64 ``(1,)``.
        device: the same where the picture is; of a clip, each frame has its own, for noise.
    """

    def __init__(self, host: Tensor, device: Tensor) -> None:
        self.host, self.device = host, device

    def between(self, name: str, ends: Span) -> float:
        """A uniform number in [ends[0], ends[1])."""
        return ends[0] + (ends[1] - ends[0]) * uniform(fold(self.host, name), 1).item()

    def happens(self, name: str, probability: float) -> bool:
        """Whether something does."""
        return self.between(name, (0.0, 1.0)) < probability

    def one_of(self, name: str, weights: Mapping[str, float]) -> str:
        """One of several words, by relative weights."""
        place = self.between(name, (0.0, sum(weights.values())))
        for word, weight in weights.items():
            place -= weight
            if place < 0:
                return word
        return word

    def whole(self, name: str, ends: tuple[int, int]) -> int:
        """A whole number, both ends included."""
        return int(self.between(name, (ends[0], ends[1] + 1)))

    def order(self, name: str, length: int) -> list[int]:
        """0 .. length - 1 in some order."""
        return permutation(int(fold(self.host, name).item()), length)

    def normal(self, name: str, count: int) -> Tensor:
        """Standard normal numbers where the picture is, ``(count,)``."""
        return normal(fold(self.device, name), count)[0]


class _Chain(Degradation):
    """A chain that makes a picture `scale` times smaller, picture by picture."""

    def __init__(self, scale: int = 4, stored: bool = True) -> None:
        super().__init__(stored)
        self.scale = whole("degradation.scale", scale, 1)

    def apply(self, image: Tensor, keys: Tensor) -> Tensor:
        """Each picture by itself."""
        height, width = image.shape[2:]
        if height % self.scale or width % self.scale:
            raise Refused(f"degradation.scale: {self.scale} does not divide {width}x{height} pixels; see data.crop")
        size, host, noise = (height // self.scale, width // self.scale), keys.cpu(), each_frame(keys)
        made = [
            self.one(image[place : place + 1], size, Draw(host[place : place + 1], noise[place : place + 1]))
            for place in range(len(keys))
        ]
        return torch.cat(made)

    @abstractmethod
    def one(self, image: Tensor, size: tuple[int, int], draw: Draw) -> Tensor:
        """One picture ``(1, 3, H, W)`` at its final `size`."""


class Stage(NamedTuple):
    """One of Real-ESRGAN's two orders: blur, resize, noise; JPEG of quality 30 to 95 follows each.

    blurred: probability of the blur.
    sigma, beta_gaussian, beta_plateau: of its kernels, pixels and exponents.
    resize: weights of more pixels, fewer, and as many; factor: the least and greatest.
    gaussian: standard deviation in 8-bit levels; poisson: strength of Poisson noise; each for a half.
    """

    blurred: float
    sigma: Span
    beta_gaussian: Span
    beta_plateau: Span
    resize: tuple[float, float, float]
    factor: Span
    gaussian: Span
    poisson: Span


FIRST = Stage(1.0, (0.2, 3), (0.5, 4), (1, 2), (0.2, 0.7, 0.1), (0.15, 1.5), (1, 30), (0.05, 3))
SECOND = Stage(0.8, (0.2, 1.5), (0.5, 4), (1, 2), (0.3, 0.4, 0.3), (0.3, 1.2), (1, 25), (0.05, 2.5))
KERNELS = {
    "round": 0.45,
    "long": 0.25,
    "generalised round": 0.12,
    "generalised long": 0.03,
    "plateau round": 0.12,
    "plateau long": 0.03,
}
QUALITY = (30.0, 95.0)


class RealESRGAN(_Chain):
    """The second-order chain of Real-ESRGAN (Wang et al. 2021, section 3; its published settings).

    Twice blur, resize, noise, JPEG; at the end the final size with a ringing filter and the JPEG, in either order.
    Departures: every choice is drawn for each picture, where the published code draws the resize, the kind of noise and
    whether it is grey once a batch; the truth is not sharpened.

    Args:
        scale: how many times smaller a side gets, a whole number.
        stored: as in `Degradation`.
    """

    def one(self, image: Tensor, size: tuple[int, int], draw: Draw) -> Tensor:
        """One picture."""
        whole_size = (image.shape[2], image.shape[3])
        image = _stage(image, FIRST, whole_size, "first", draw)
        image = _compress(image, "first", draw)
        image = _stage(image, SECOND, size, "second", draw)
        ends = [
            lambda picture: _ring(_resized(picture, size, "end", draw), "end", 0.8, (math.pi / 3, math.pi), draw),
            lambda picture: _compress(picture, "second", draw),
        ]
        for step in ends if draw.happens("order of the end", 0.5) else reversed(ends):
            image = step(image)
        return image


class BSRGAN(_Chain):
    """The shuffled chain of BSRGAN (Zhang et al. 2021, section 3; its published settings).

    Two blurs, two steps of down-sampling, Gaussian noise and JPEG in random order, the second down-sampling behind the
    first; for a scale of 4 a quarter of the pictures are halved before. A JPEG ends it. Departure: the noise of a
    camera's own processing (probability 0.25) is left out, as it needs measured cameras.

    Args:
        scale: how many times smaller a side gets, a whole number.
        stored: as in `Degradation`.
    """

    def one(self, image: Tensor, size: tuple[int, int], draw: Draw) -> Tensor:
        """One picture."""
        scale = self.scale
        if scale == 4 and draw.happens("halved before", 0.25):
            halved = (max(1, image.shape[2] // 2), max(1, image.shape[3] // 2))
            image, scale = _resized(image, halved, "halved before", draw), 2
        steps: list[Callable[[Tensor], Tensor]] = [
            lambda picture: self._blur(picture, scale, "first blur", draw),
            lambda picture: self._blur(picture, scale, "second blur", draw),
            lambda picture: self._down(picture, scale, draw),
            lambda picture: _resized(picture, size, "size", draw),
            lambda picture: self._noise(picture, draw),
            lambda picture: _compress(picture, "first", draw) if draw.happens("whether JPEG", 0.9) else picture,
        ]
        order = draw.order("order", len(steps))
        first, second = sorted((order.index(2), order.index(3)))
        order[first], order[second] = 2, 3
        for number in order:
            image = steps[number](image)
        return _compress(image, "second", draw)

    def _blur(self, image: Tensor, scale: int, name: str, draw: Draw) -> Tensor:
        side = 2 * draw.whole(f"{name} side", (3, 12)) + 1
        if draw.happens(f"{name} long", 0.5):
            # The published draws are the eigenvalues of the covariance.
            sigma, short = (
                math.sqrt(draw.between(f"{name} {axis}", (0.01, 4.0 + scale))) for axis in ("sigma", "short")
            )
            axes = _axes(sigma, short, draw.between(f"{name} angle", (0, 0.5)), image)
            return filtered(image, filters.gaussian(*axes, side))
        width = draw.between(f"{name} width", (0.1, 2 + 0.2 * scale))
        return filtered(image, filters.gaussian(*_axes(width, width, 0.0, image), side))

    def _down(self, image: Tensor, scale: int, draw: Draw) -> Tensor:
        if draw.happens("resize", 0.75):
            factor = draw.between("factor", (1.0, 2.0 * scale))
            size = (max(1, round(image.shape[2] / factor)), max(1, round(image.shape[3] / factor)))
            return _resized(image, size, "factor", draw)
        width = draw.between("kernel", (0.1, 0.6 * scale))
        kernel = filters.gaussian(*_axes(width, width, 0.0, image), side=25, centre=(scale - 1) / 2)
        return filtered(image, kernel)[..., ::scale, ::scale]

    def _noise(self, image: Tensor, draw: Draw) -> Tensor:
        least, most = 2 * LEVEL, 25 * LEVEL
        sigma = draw.between("sigma", (least, most))
        noise = draw.normal("noise", image.numel()).view_as(image)
        kind = draw.one_of("noise of channels", {"colour": 0.4, "grey": 0.4, "correlated": 0.2})
        if kind == "grey":
            noise = noise[:, :1]
        elif kind == "correlated":
            # A random rotation of channels with random strengths: what a covariance of the published kind looks like.
            turn = torch.linalg.qr(normal(fold(draw.host, "directions"), 9).view(3, 3)).Q.to(image.device)
            strength = torch.tensor([draw.between(f"strength {axis}", (0, 1)) for axis in range(3)]).to(image.device)
            noise = torch.einsum("cd,bdhw->bchw", turn * strength.sqrt(), noise)
            sigma = most  # whatever was drawn, as published
        return (image + sigma * noise).clamp(-1, 1)


def _stage(image: Tensor, stage: Stage, base: tuple[int, int], name: str, draw: Draw) -> Tensor:
    """Blur, resize, noise. `base`: the size that its factors are of."""
    if draw.happens(f"{name} blur", stage.blurred):
        image = filtered(image, _kernel(stage, name, draw, image))
    more, fewer, same = stage.resize
    change = draw.one_of(f"{name} resize", {"more": more, "fewer": fewer, "same": same})
    ends = {"more": (1.0, stage.factor[1]), "fewer": (stage.factor[0], 1.0), "same": (1.0, 1.0)}[change]
    factor = draw.between(f"{name} factor", ends)
    image = _resized(image, (max(1, round(base[0] * factor)), max(1, round(base[1] * factor))), name, draw)
    grey = draw.happens(f"{name} grey", 0.4)
    if draw.happens(f"{name} gaussian", 0.5):
        noise = draw.normal(f"{name} noise", image.numel()).view_as(image)
        sigma = draw.between(f"{name} sigma", stage.gaussian) * LEVEL
        return (image + sigma * (noise[:, :1] if grey else noise)).clamp(-1, 1)
    light = ((image + 1) / 2).clamp(0, 1)
    clean = luma(light) if grey else light
    levels = 2.0 ** math.ceil(math.log2(len((clean * 255).round().unique())))
    strength = draw.between(f"{name} poisson", stage.poisson)
    noise = poisson(clean * levels, fold(draw.device, f"{name} photons")) / levels - clean
    return (image + 2 * strength * noise).clamp(-1, 1)


def _kernel(stage: Stage, name: str, draw: Draw, image: Tensor) -> Tensor:
    side = 2 * draw.whole(f"{name} side", (3, 10)) + 1
    if draw.happens(f"{name} sinc", 0.1):
        cutoff = draw.between(f"{name} cutoff", (math.pi / (3 if side < 13 else 5), math.pi))
        return filters.sinc(image.new_tensor([cutoff]), side)
    kind = draw.one_of(f"{name} kernel", KERNELS)
    sigma = draw.between(f"{name} width", stage.sigma)
    short, angle = sigma, 0.0
    if kind.endswith("long"):
        short, angle = draw.between(f"{name} short", stage.sigma), draw.between(f"{name} angle", (-0.5, 0.5))
    axes = _axes(sigma, short, angle, image)
    if kind.startswith("generalised"):
        beta = image.new_tensor([draw.between(f"{name} beta", stage.beta_gaussian)])
        return filters.generalised_gaussian(*axes, beta, side)
    if kind.startswith("plateau"):
        return filters.plateau(*axes, image.new_tensor([draw.between(f"{name} beta", stage.beta_plateau)]), side)
    return filters.gaussian(*axes, side)


def _axes(sigma: float, short: float, angle: float, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of one kernel, where the picture is."""
    return image.new_tensor([sigma]), image.new_tensor([short]), image.new_tensor([angle])


def _ring(image: Tensor, name: str, probability: float, cutoff: Span, draw: Draw) -> Tensor:
    if not draw.happens(f"{name} sinc", probability):
        return image
    side = 2 * draw.whole(f"{name} side", (3, 10)) + 1
    return filtered(image, filters.sinc(image.new_tensor([draw.between(f"{name} cutoff", cutoff)]), side))


def _compress(image: Tensor, name: str, draw: Draw) -> Tensor:
    return compressed(image, image.new_tensor([draw.between(f"{name} quality", QUALITY)]))


def _resized(image: Tensor, size: tuple[int, int], name: str, draw: Draw) -> Tensor:
    """Another size by one of three methods, which alias, as torch's and OpenCV's do in the published chains."""
    method = draw.one_of(f"{name} method", dict.fromkeys(METHODS, 1.0))
    return F.interpolate(image, size, mode=method)
