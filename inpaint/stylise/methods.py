"""What it means that a picture has the style of another: energies of its pixels, and their optimisation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint import rng
from inpaint.losses.mrf import matched, nearest
from inpaint.losses.perceptual import gram
from inpaint.networks.backbones import preferred
from inpaint.optimise import optimise
from inpaint.settings import Refused, whole

SMALLEST = 64  # pixels that the shorter side has at all scales but the last, at least
LEAST = 32  # pixels of the shorter side of any picture: VGG's fifth block sees 2 x 2 places there

Start = Literal["content", "style", "noise"]
Target = Callable[[Tensor], Tensor]  # how far features ``(1, C, h, w)`` are from what they are to become
# The layers of style and of content: the published ones; those of VGG files that end before; of other networks.
OF_GRAM = (
    ([f"relu{block}_1" for block in (1, 2, 3, 4, 5)], ["relu4_2"]),
    (["relu1_1", "relu2_1", "relu3_1"], ["relu3_3"]),
    (["relu1", "relu2", "relu3", "relu4", "relu5"], ["relu3"]),
    (["relu1", "fire3", "fire5", "fire7", "fire9"], ["fire5"]),
)
OF_PATCHES = (
    (["relu3_1", "relu4_1"], ["relu4_2"]),
    (["relu2_1", "relu3_1"], ["relu3_3"]),
    (["relu2", "relu3"], ["relu3"]),
    (["fire3", "fire5"], ["fire5"]),
)


class View(NamedTuple):
    """A picture, and which of its parts are alike.

    pixels: ``(1, 3, H, W)`` in [-1, 1].
    parts: the number of the part that a pixel belongs to, int64 ``(1, 1, H, W)``, -1 for what stays as it is at first
        and is no example; None: all is of one part.
    """

    pixels: Tensor
    parts: Tensor | None = None

    def resized(self, size: tuple[int, int]) -> "View":
        """Antialiased; parts keep their numbers."""
        if self.pixels.shape[-2:] == size:
            return self
        return View(_resized(self.pixels, size), None if self.parts is None else of_parts(self.parts, size))


def of_parts(parts: Tensor, size: Sequence[int]) -> Tensor:
    """The parts in the middle of the cells of another size: int64 ``(1, 1, h, w)``."""
    return F.interpolate(parts.float(), list(size), mode="nearest-exact").long()


class Method(ABC):
    """An energy of pixels: how far their features are from the style, and how far from the content.

    Each distance is divided by the mean square of what it compares with, so that weights mean the same for any network
    and any layer, even for random weights; published weights do not carry over.

    Args:
        layers: the possible layers of style and of content, see `preferred`.
        backbone: `vgg16`, `vgg19`, `alexnet` or `squeezenet1_1`.
        weights: a file; None is torchvision's, from torch's hub cache or else downloaded; or `random`.
        convention: how the network sees a picture: `torchvision` (its own file), `caffe`, `signed` or `unit`.
        style_layers, content_layers: whose features are compared; None are the first of `layers` that the file has.
        style: what the distance to the style counts; the strength of a call multiplies it.
        content: what the distance to the content counts.
        smoothness: what the mean squared difference of neighbouring pixels counts.

    Raises:
        Refused: a choice that does not exist, a number out of its range, or weights that are nowhere to be found.
    """

    scales = 2  # where nobody says how many
    rounds = 1  # of optimisation at each scale, before each of which the targets are made anew

    def __init__(
        self,
        layers: Sequence[tuple[list[str], list[str]]],
        backbone: str,
        weights: str | None,
        convention: str,
        style_layers: Sequence[str] | None,
        content_layers: Sequence[str] | None,
        style: float,
        content: float,
        smoothness: float,
    ) -> None:
        self.weights = {"style": style, "content": content, "smoothness": smoothness}
        for name, value in self.weights.items():
            if not (isinstance(value, int | float) and 0 <= value < float("inf")):
                raise Refused(f"method.{name}: give a number from 0 up; got {value!r}")
        wishes = [(list(style_layers or first), list(content_layers or second)) for first, second in layers]
        self.backbone, wish = preferred(backbone, weights, convention, wishes, "method")
        self.style_layers, self.content_layers = wish
        self.convention = convention

    @property
    def about(self) -> str:
        """Which network's features are compared."""
        source = self.backbone.file or "random weights"
        return (
            f"style by {', '.join(self.style_layers)}, content by {', '.join(self.content_layers)}, "
            f"{self.backbone.network} with {source} ({self.convention})"
        )

    @abstractmethod
    def targets(self, now: Tensor, content: View, style: View) -> list[Target]:
        """For each of `style_layers` how far features are from the style.

        Args:
            now: what the picture is at the beginning, ``(1, 3, H, W)``.
            content: the picture of that size that is painted anew.
            style: the picture whose style it gets.
        """

    def energy(self, now: Tensor, content: View, style: View, strength: float) -> Callable[[Tensor], Tensor]:
        """The energy of pixels ``(1, 3, H, W)``, a sum over them, as `optimise` wants it; arguments as of `targets`."""
        with torch.no_grad():
            targets = self.targets(now, content, style)
            kept = self.backbone(content.pixels, self.content_layers)
            units = [wanted.square().mean().clamp_min(1e-12) for wanted in kept]

        def energy(pixels: Tensor) -> Tensor:
            found = self.backbone(pixels, [*self.style_layers, *self.content_layers])
            of_style = torch.stack([target(values) for target, values in zip(targets, found, strict=False)]).mean()
            of_content = torch.stack(
                [
                    (values - wanted).square().mean() / unit
                    for values, wanted, unit in zip(found[len(targets) :], kept, units, strict=True)
                ]
            ).mean()
            rough = sum((pixels.diff(dim=axis).square().mean() for axis in (-2, -1)), pixels.new_zeros(()))
            total = strength * self.weights["style"] * of_style + self.weights["content"] * of_content
            return (total + self.weights["smoothness"] * rough) * pixels.shape[-2] * pixels.shape[-1]

        return energy


class Gram(Method):
    """Which features occur together, wherever that is: the Gram matrices of five layers (Gatys et al. 2016).

    relu1_1 to relu5_1 of VGG19 for the style and relu4_2 for the content as published; of a file that ends before,
    relu1_1, relu2_1, relu3_1 and relu3_3. The distance is the mean squared difference of the matrices, each divided by
    its places. Departures: torchvision's weights where the authors rescale theirs to a mean activation of 1, which the
    division of each distance stands for; largest pooling where they prefer the mean.

    Args:
        backbone, weights, convention, style_layers, content_layers, style, content, smoothness: as of `Method`.
    """

    def __init__(
        self,
        backbone: str = "vgg19",
        weights: str | None = None,
        convention: str = "torchvision",
        style_layers: Sequence[str] | None = None,
        content_layers: Sequence[str] | None = None,
        style: float = 1.0,
        content: float = 0.005,
        smoothness: float = 0.002,
    ) -> None:
        super().__init__(
            OF_GRAM, backbone, weights, convention, style_layers, content_layers, style, content, smoothness
        )

    def targets(self, now: Tensor, content: View, style: View) -> list[Target]:
        """As of `Method`; parts have no part in it."""

        def target(values: Tensor) -> Target:
            wanted = gram(values, "hw")
            unit = wanted.square().mean().clamp_min(1e-12)
            return lambda features: (gram(features, "hw") - wanted).square().mean() / unit

        return [target(values) for values in self.backbone(style.pixels, self.style_layers)]


class Patches(Method):
    """Each patch of features becomes the patch of the style that is most like it (CNNMRF, Li and Wand 2016).

    Patches of 3 x 3 features of relu3_1 and relu4_1 of VGG19, by their cosine, and relu4_2 for the content as
    published; of a file that ends before, relu2_1, relu3_1 and relu3_3. Which patch is most like it is decided at the
    beginning of each round. Departures: so rather than anew in each step, which makes it one energy; the picture begins
    as its content, where the authors begin with noise; no turned or enlarged copies of the style.

    Args:
        backbone, weights, convention, style_layers, content_layers, style, content, smoothness: as of `Method`.
        stride: between patches of the style.
        rounds: at each scale.
    """

    patch = 3

    def __init__(
        self,
        backbone: str = "vgg19",
        weights: str | None = None,
        convention: str = "torchvision",
        style_layers: Sequence[str] | None = None,
        content_layers: Sequence[str] | None = None,
        style: float = 1.0,
        content: float = 0.1,
        smoothness: float = 0.02,
        stride: int = 2,
        rounds: int = 2,
    ) -> None:
        super().__init__(
            OF_PATCHES, backbone, weights, convention, style_layers, content_layers, style, content, smoothness
        )
        self.stride, self.rounds = whole("method.stride", stride, 1), whole("method.rounds", rounds, 1)

    def targets(self, now: Tensor, content: View, style: View) -> list[Target]:
        """As of `Method`: patches of a part become patches of that part alone."""
        found = (self.backbone(pixels, self.style_layers) for pixels in (now, style.pixels))
        targets: list[Target] = []
        for layer, mine, theirs in zip(self.style_layers, *found, strict=True):
            if min(*mine.shape[2:], *theirs.shape[2:]) < self.patch:
                raise Refused(
                    f"method.style_layers: {layer} of so small pictures has fewer than {self.patch} positions a side; "
                    "give a larger size, fewer scales, or earlier layers"
                )
            chosen = self.chosen(mine, content.parts, theirs, style.parts)
            targets.append(matched(self._cut(theirs), chosen, (mine.shape[2], mine.shape[3]), self.patch).energy)
        return targets

    def chosen(self, mine: Tensor, parts: Tensor | None, theirs: Tensor, their_parts: Tensor | None) -> Tensor:
        """Which patch of the style each patch of the picture becomes: int64 ``(N,)``, -1 where it stays as it is.

        mine, theirs: features ``(1, C, h, w)``. parts, their_parts: as of `View`, of the pixels.
        """
        asking, offered = self._middles(mine, parts, 1), self._middles(theirs, their_parts, self.stride)
        patches, references = F.unfold(mine, self.patch)[0], self._cut(theirs)
        chosen = torch.full_like(asking, -1)
        for part in asking.unique().tolist():
            ours, of_part = asking == part, (offered == part).nonzero()[:, 0]
            if part >= 0 and len(of_part):
                chosen[ours] = of_part[nearest(patches[:, ours], references[:, of_part])]
        return chosen

    def _cut(self, features: Tensor) -> Tensor:
        return F.unfold(features, self.patch, stride=self.stride)[0]

    def _middles(self, features: Tensor, parts: Tensor | None, stride: int) -> Tensor:
        """The part that the middle of each patch of features belongs to: int64 ``(N,)``."""
        height, width = features.shape[-2:]
        cells = features.new_zeros(1, 1, height, width).long() if parts is None else of_parts(parts, (height, width))
        return cells[0, 0, 1 : height - 1 : stride, 1 : width - 1 : stride].flatten()


def stylise(
    method: Method,
    content: View,
    style: View,
    strength: float = 1.0,
    scales: int = 2,
    steps: int = 100,
    start: Start = "content",
    style_scale: float = 1.0,
    seed: int = 0,
) -> tuple[Tensor, bool]:
    """A picture in the style of another, from the smallest scale on, each twice the one before.

    Args:
        method: what style is.
        content: the picture.
        style: the other one.
        strength: multiplies what the style counts.
        scales: at most; fewer where a side would have less than 64 pixels.
        steps: of L-BFGS at each scale.
        start: what the picture is at first: the `content`; the `style`, whose size must be the content's; or `noise`.
        style_scale: the style's longer side as a share of the content's, at each scale.
        seed: of the noise.

    Returns:
        The picture, ``(1, 3, H, W)`` in [-1, 1], and whether somebody stopped it, which ends it with what there is.

    Raises:
        Refused: a side of a picture has fewer than 32 pixels.
    """
    picture, stopped = None, False
    for size in _sizes(content.pixels.shape[-2:], scales):
        view = content.resized(size)
        alike = style.pixels.shape == content.pixels.shape and style_scale == 1  # to the pixel, whatever is rounded
        near = size if alike else _within(style.pixels.shape[-2:], max(size) * style_scale)
        example = style.resized(near)
        for name, seen in (("content", view), ("style", example)):
            if min(seen.pixels.shape[-2:]) < LEAST:
                height, width = seen.pixels.shape[-2:]
                raise Refused(f"{name}: {width} x {height} pixels at this scale; {LEAST} a side are the least")
        first = _first(start, view, example, seed)
        picture = first if picture is None else _resized(picture, size)
        if view.parts is not None:
            picture = torch.where(view.parts >= 0, picture, first)
        for _ in range(method.rounds):
            picture, stopped = _optimised(method, picture, view, example, strength, -(-steps // method.rounds))
            if stopped:
                break
        if stopped:
            break
    assert picture is not None
    return _resized(picture, content.pixels.shape[-2:]).clamp(-1, 1), stopped


def _optimised(
    method: Method, picture: Tensor, content: View, style: View, strength: float, steps: int
) -> tuple[Tensor, bool]:
    """One round: the picture, and whether that was stopped."""
    energy = method.energy(picture, content, style, strength)
    pixels = picture.clone(memory_format=torch.contiguous_format).requires_grad_()  # as L-BFGS takes it
    free = None if content.parts is None else content.parts >= 0

    def now() -> Tensor:
        return pixels if free is None else torch.where(free, pixels, picture)

    label = f"stylising {picture.shape[-1]} x {picture.shape[-2]}"
    course = optimise([pixels], lambda: energy(now()), steps, method="lbfgs", label=label)
    return now().detach().clamp(-1, 1), course.stopped


def _first(start: Start, content: View, style: View, seed: int) -> Tensor:
    """What the smallest picture is at first."""
    if start == "content":
        return content.pixels
    if start == "style":
        return style.pixels
    shape = content.pixels.shape
    noise = rng.normal(torch.tensor([rng.key(seed, "stylise")]), shape[1:].numel()).view(shape)
    return (0.3 * noise).clamp(-1, 1).to(content.pixels.device)


def _sizes(size: Sequence[int], scales: int) -> Iterator[tuple[int, int]]:
    """Height and width of each scale, the smallest first."""
    for halvings in reversed(range(scales)):
        if halvings == 0 or min(size) >> halvings >= SMALLEST:
            yield size[0] >> halvings, size[1] >> halvings


def _within(size: Sequence[int], longer: float) -> tuple[int, int]:
    """The size in proportion, with a longer side of so many pixels."""
    factor = longer / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _resized(pixels: Tensor, size: Sequence[int]) -> Tensor:
    if pixels.shape[-2:] == tuple(size):
        return pixels
    return F.interpolate(pixels, list(size), mode="bicubic", align_corners=False, antialias=True).clamp(-1, 1)
