"""What a generator painted, made better for the one picture at hand by optimisation: features of a large picture.

Windows are refined one by one, in float32 whatever the network's precision; what is known stays as it was to the bit.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Batch, Outputs, compose, given, paint, split
from inpaint.optimise import optimise
from inpaint.settings import Refused, whole

AS_PAINTED = "left as painted"  # begins every reason in `done` why nothing was refined


class Refinement(ABC):
    """A way to let a generator paint windows: a `Predictor` calls it in place of `batch.paint`.

    done: how many windows came to what end, in words.
    """

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    @property
    @abstractmethod
    def about(self) -> str:
        """What is done, in a line: with which network."""

    @abstractmethod
    def check(self, generator: nn.Module, largest: int | None) -> None:
        """Whether it can refine what this generator paints.

        Args:
            generator: it.
            largest: pixels of a window's side, at most; None if whole pictures are painted.

        Raises:
            Refused: it cannot.
        """

    def __call__(self, generator: nn.Module, batch: Batch) -> Outputs:
        """Paint the holes of a batch, window after window."""
        first = paint(generator, batch)
        refined = []
        device = batch["image"].device.type
        with torch.inference_mode(False), torch.autocast(device, enabled=False):
            for window, output in zip(split(batch, len(batch["index"])), first.output, strict=True):
                # Clones, as tensors that were made in inference mode take part in no gradient.
                output, reason = self.refine(
                    generator, given(window).clone(), window["mask"].clone(), output[None].clone()
                )
                self.done[reason] += 1
                refined.append(output.detach())
        return compose(torch.cat(refined), batch["image"], batch["mask"])

    @abstractmethod
    def refine(self, generator: nn.Module, image: Tensor, mask: Tensor, output: Tensor) -> tuple[Tensor, str]:
        """Make better what was painted in one window.

        Args:
            generator: whose parameters ask for no gradient.
            image: ``(1, 3, H, W)`` in [-1, 1] with its hole emptied, 0.
            mask: ``(1, 1, H, W)``.
            output: what the generator painted, ``(1, 3, H, W)``.

        Returns:
            The better output, and what came of it in words: a key of `done`.
        """


class Pyramid(Refinement):
    """Features of a large picture are optimised until what is painted, shrunk, is what was painted of it when small.

    A network is at its best at the sizes that it was trained on. From the smallest of a few scales, each half of the
    next, on: the features in the middle of the generator are changed by Adam so that the output agrees with the known
    pixels and, halved, with the result of the scale before, L1 each (Kulshreshtha et al. 2022, as in LaMa's code). The
    second only in the hole less 7 pixels all around, as the seam of the coarser scale is not to be copied. A picture
    that has one scale only is left as the generator paints it.

    It needs a generator that is cut in two: ``front(image, mask)``, a dict of features, and ``rear(features)``, the
    output ``(1, 3, H', W')`` in [-1, 1], which may be larger below and to the right. Memory follows the pixels of a
    window; as they are bounded by `most_pixels`, so is it.

    Args:
        smallest: pixels that the shorter side of the smallest scale has, about: what the network is good at.
        scales: at most.
        steps, rate: of Adam at each scale but the first.
        most_pixels: of a window; larger ones are refined shrunk to it, and what is painted is enlarged again.

    Raises:
        Refused: a number out of its range.
    """

    def __init__(
        self, smallest: int = 512, scales: int = 3, steps: int = 15, rate: float = 0.002, most_pixels: int = 1_800_000
    ) -> None:
        super().__init__()
        for name, value in (("smallest", smallest), ("scales", scales), ("steps", steps), ("most_pixels", most_pixels)):
            whole(f"refine.{name}", value, 1)
        if rate <= 0:
            raise Refused(f"refine.rate: {rate} is not positive")
        self.smallest, self.scales, self.steps, self.rate = smallest, scales, steps, rate
        self.most_pixels = most_pixels

    @property
    def about(self) -> str:
        """The settings that count."""
        return f"pyramid: {self.steps} steps at each of at most {self.scales} scales, from {self.smallest} pixels on"

    def check(self, generator: nn.Module, largest: int | None) -> None:
        """A generator without the two halves is refused by its name, and windows that have one scale only."""
        if not (hasattr(generator, "front") and hasattr(generator, "rear")):
            raise Refused(
                f"refine: pyramid needs a generator that is cut in two (front and rear, as LaMa and Pix2PixHDGlobal "
                f"are), and {type(generator).__name__} is not; refine=texture takes any"
            )
        if largest is not None and self._count(largest, largest) == 1:
            raise Refused(
                f"refine: pyramid begins at smallest={self.smallest} pixels, and windows of {largest} have no second "
                f"scale; give tile={2 * self.smallest} or more, strategy=full, or refine.smallest={largest // 2}"
            )

    def refine(self, generator: nn.Module, image: Tensor, mask: Tensor, output: Tensor) -> tuple[Tensor, str]:
        """As of `Refinement`."""
        levels = self._levels(image, mask)
        if len(levels) == 1:
            return output, f"{AS_PAINTED}: one scale"
        with torch.no_grad():
            painted = generator(*levels[0]).composite
        for picture, hole in levels[1:]:
            finer, stopped = self._fit(generator, picture, hole, painted)
            if stopped and picture is not levels[-1][0]:
                return output, f"{AS_PAINTED}: stopped"
            painted = compose(finer, picture, hole).composite
        size = image.shape[-2:]
        if finer.shape[-2:] != size:
            finer = F.interpolate(finer, size, mode="bicubic", align_corners=False).clamp(-1, 1)
        return finer, "stopped" if stopped else f"{len(levels)} scales"

    def _fit(self, generator: nn.Module, image: Tensor, mask: Tensor, coarser: Tensor) -> tuple[Tensor, bool]:
        """What is painted at one scale once it agrees with the coarser one, and whether that was stopped."""
        height, width = image.shape[-2:]
        with torch.no_grad():
            features = {name: value.clone().requires_grad_() for name, value in generator.front(image, mask).items()}  # type: ignore[operator]
        small = F.interpolate(mask, coarser.shape[-2:], mode="bilinear", align_corners=False) >= 1 - 1e-8
        inner = _eroded(small.float())

        def output() -> Tensor:
            return generator.rear(features)[..., :height, :width].float()  # type: ignore[operator]

        def energy() -> Tensor:
            now = output()
            of_known = mean_over(1 - mask, (now - image).abs())
            return of_known + mean_over(inner, (_halved(now, coarser.shape[-2:]) - coarser).abs())

        label = f"refining {width} x {height}"
        course = optimise([*features.values()], energy, self.steps, method="adam", rate=self.rate, label=label)
        with torch.no_grad():
            return output(), course.stopped

    def _levels(self, image: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Picture and hole at each scale, the smallest first; every pixel that has anything of the hole is hole."""
        height, width = image.shape[-2:]
        if height * width > self.most_pixels:
            scale = math.sqrt(self.most_pixels / (height * width))
            height, width = max(1, int(height * scale)), max(1, int(width * scale))
            image, mask = (
                F.interpolate(x, (height, width), mode="bilinear", align_corners=False, antialias=True)
                for x in (image, mask)
            )
            mask = (mask > 1e-6).float()
        levels = [(image, mask)]
        for _ in range(self._count(height, width) - 1):
            image, mask = (_halved(x, (x.shape[-2] // 2, x.shape[-1] // 2)) for x in levels[-1])
            levels.append((image, (mask > 1e-6).float()))
        return [(picture * (1 - hole), hole) for picture, hole in reversed(levels)]

    def _count(self, height: int, width: int) -> int:
        """How many scales a size has."""
        return min(1 + max(0, round(math.log2(max(1, min(height, width)) / self.smallest))), self.scales)


def _halved(x: Tensor, size: Sequence[int]) -> Tensor:
    """Blurred (Gaussian, 5 x 5, deviation 1) and taken at another size."""
    from kornia.filters import gaussian_blur2d

    blurred = gaussian_blur2d(x, (5, 5), (1.0, 1.0))
    return F.interpolate(blurred, tuple(size), mode="bilinear", align_corners=False)


def _eroded(hole: Tensor) -> Tensor:
    """The hole less 7 pixels all around, as far as the picture goes."""
    place = torch.arange(-7, 8, device=hole.device)
    disc = (place[:, None] ** 2 + place**2 <= 7.5**2).float()
    return (F.conv2d(1 - hole, disc[None, None], padding=7) < 0.5).float()


def mean_over(where: Tensor, values: Tensor) -> Tensor:
    """The mean over the places where `where` is 1, ``(1, 1, h, w)``, and all channels; 0 if there is none."""
    return (where * values).sum() / (where.sum() * values.shape[1]).clamp_min(1)
