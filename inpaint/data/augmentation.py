"""Training crops out of tiles: one window of each, moved, scaled, turned, tilted, mirrored, recoloured on the device.

Every number is keyed by the sample, as the masks are. All geometry is one map from the crop's pixels to the tile's, so
a picture is resampled once, whatever is switched on. kornia's `AugmentationSequential` would resample it once for each
step, draws from the global generator (hence other numbers for another batch size, rank or resume point), and makes the
host wait for a GPU to count the samples that a step applies to.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation_with_gray_subtraction,
)
from torch import Tensor

from inpaint import rng
from inpaint.settings import Refused


class Augmentation:
    """What is done to training crops, each sample with its own numbers, uniform between the limits.

    Args:
        zoom: a crop shows a window `zoom` times as many pixels a side as it has itself, between the two, from 1 up.
        flip: mirror half of the crops.
        rotate: greatest angle to either side, degrees, 0..180.
        shear: greatest angle by which upright lines lean to either side, degrees, below 45.
        perspective: greatest tilt: how much nearer one edge of the window is than its middle, 0..0.5.
        brightness: greatest relative change of brightness, 0..1; of 0.2, a factor of 0.8 to 1.2.
        contrast: greatest relative change of the distances to the mean, 0..1.
        saturation: greatest relative change of the distances to grey, 0..1.
        hue: greatest turn of the colours to either side, as a share of a full turn, 0..0.5.

    Raises:
        Refused: a number outside these ranges.
    """

    def __init__(
        self,
        zoom: Sequence[float] = (1.0, 1.5),
        flip: bool = True,
        rotate: float = 0.0,
        shear: float = 0.0,
        perspective: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
    ) -> None:
        if not isinstance(zoom, list | tuple) or len(zoom) != 2 or not 1 <= zoom[0] <= zoom[1]:
            raise Refused(f"data.augmentation.zoom: {zoom!r} is not [smallest, largest] with 1 <= smallest <= largest")
        for name, value, most in (
            ("rotate", rotate, 180),
            ("shear", shear, 44),
            ("perspective", perspective, 0.5),
            ("brightness", brightness, 1),
            ("contrast", contrast, 1),
            ("saturation", saturation, 1),
            ("hue", hue, 0.5),
        ):
            if not 0 <= value <= most:
                raise Refused(f"data.augmentation.{name}: {value} is not between 0 and {most:g}")
        self.zoom, self.flip = (zoom[0], zoom[1]), flip
        self.rotate, self.lean, self.perspective = math.radians(rotate), math.tan(math.radians(shear)), perspective
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue
        # How many times its side the upright box around a turned and sheared window measures at most.
        turn = min(self.rotate, math.pi / 4)
        self.spread = (math.cos(turn) + math.sin(turn)) * (1 + self.lean)

    @property
    def is_plain(self) -> bool:
        """Whether a crop has pixels of the picture as they are, at most mirrored."""
        return self.zoom == (1, 1) and not (self.rotate or self.lean or self.perspective)

    def tile(self, crop: int) -> int:
        """Side of the tile that holds the largest window of a crop, in pixels."""
        return math.ceil(round(crop * self.zoom[1]) * self.spread)

    def __call__(self, tiles: Tensor, extent: Tensor, keys: Tensor, crop: int, side: int) -> tuple[Tensor, Tensor]:
        """One window of each tile.

        Args:
            tiles: uint8 ``(B, C, tile, tile)``: RGB, of a clip that of each frame in turn, RGB of a degraded picture
                and a mask of 0 and 1, as far as there are such.
            extent: int64 ``(B, 2)``, height and width of the part of each tile that holds picture, at least `crop`.
            keys: int64 ``(B,)``.
            crop: pixels a side that a window of zoom 1 shows.
            side: of the result in pixels; `crop`, or less early in a resolution ramp.

        Returns:
            Crops, float32 ``(B, 3 n, side, side)`` in [-1, 1], and their masks, still exactly 0 or 1, float32
            ``(B, 1, side, side)``, or ``(B, 0, side, side)`` without. What is done to a sample is done to all its n
            pictures, the frames of a clip.
        """
        # A window of more than 1.5 times the result's pixels is sampled finer and averaged, or fine detail would alias.
        finer = max(1, round(crop * self.zoom[1] / side / 1.5))
        points, tile = side * finer, tiles.shape[-1]
        # grid_sample's coordinates: -1 and 1 are the outer edges of the outermost pixels.
        columns, rows = ((2 * places + 1) / tile - 1 for places in self._sources(extent, keys, crop, points))
        grid = torch.stack([columns.expand(-1, points, points), rows.expand(-1, points, points)], dim=-1)
        colours = tiles.shape[1] // 3 * 3
        image = F.grid_sample(
            tiles[:, :colours].float(), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        image = F.avg_pool2d(image, finer) if finer > 1 else image
        image = self._recolour(image.div_(127.5).sub_(1), keys)
        mask = tiles[:, colours:].float()
        if not mask.shape[1]:
            return image, mask.new_zeros(len(mask), 0, side, side)
        middle = grid[:, finer // 2 :: finer, finer // 2 :: finer]
        return image, F.grid_sample(mask, middle, mode="nearest", padding_mode="border", align_corners=False)

    def _sources(self, extent: Tensor, keys: Tensor, crop: int, points: int) -> tuple[Tensor, Tensor]:
        """Columns and rows, in pixels, of ``points x points`` places in each window; where one does not depend on the
        other, ``(B, 1, points)`` and ``(B, points, 1)``.
        """
        zoom, across, down, mirror, turn, lean, tilt_x, tilt_y = rng.uniform(rng.fold(keys, "geometry"), 8).T
        height, width = extent.T
        window = (crop * (self.zoom[0] + zoom * (self.zoom[1] - self.zoom[0]))).round().minimum(extent.amin(dim=1))

        def first(place: Tensor, room: Tensor) -> Tensor:  # the window's first column or row
            # As far from the edge as a turned window needs, where the picture is large enough.
            margin = (window * (self.spread - 1) / 2).ceil().minimum(((room - window) / 2).floor())
            return margin + (place * (room - window - 2 * margin + 1)).floor()

        left, top = first(across, width), first(down, height)
        steps = (torch.arange(points, device=keys.device) + 0.5) * (2 / points) - 1
        u, v = steps.view(1, 1, -1), steps.view(1, -1, 1)  # the window is [-1, 1] x [-1, 1]
        if self.flip:
            u = u * torch.where(mirror < 0.5, 1.0, -1.0).view(-1, 1, 1)
        if self.perspective:
            a, b = (self.perspective * (tilt.view(-1, 1, 1) - 0.5) for tilt in (tilt_x, tilt_y))
            depth = (1 + a * u + b * v) / (1 - a.abs() - b.abs())  # at least 1, so nothing leaves the window
            u, v = u / depth, v / depth
        if self.lean:
            u = u + self.lean * (2 * lean.view(-1, 1, 1) - 1) * v
        if self.rotate:
            angle = self.rotate * (2 * turn.view(-1, 1, 1) - 1)
            u, v = angle.cos() * u - angle.sin() * v, angle.sin() * u + angle.cos() * v

        def source(unit: Tensor, begin: Tensor, room: Tensor) -> Tensor:
            begin, half, room = (part.view(-1, 1, 1) for part in (begin, window / 2, room))
            place = torch.remainder(begin + half * (unit + 1), 2 * room)
            # Beyond the picture's edge it is mirrored; the outermost half pixel repeats.
            return (room - (place - room).abs() - 0.5).clamp(min=0).minimum(room - 1.0)

        return source(u, left, width), source(v, top, height)

    def _recolour(self, image: Tensor, keys: Tensor) -> Tensor:
        """Brightness, contrast, saturation, hue, in this order; each clips."""
        if not (self.brightness or self.contrast or self.saturation or self.hue):
            return image
        brightness, contrast, saturation, hue = (2 * rng.uniform(rng.fold(keys, "colour"), 4) - 1).T
        shape, frames = image.shape, image.shape[1] // 3
        factors = (brightness, contrast, saturation, hue)
        brightness, contrast, saturation, hue = (factor.repeat_interleave(frames) for factor in factors)
        image = ((image.reshape(-1, 3, *shape[2:]) + 1) / 2).clamp(0, 1)  # as kornia wants it
        if self.brightness:
            image = adjust_brightness_accumulative(image, 1 + self.brightness * brightness)
        if self.contrast:
            image = adjust_contrast_with_mean_subtraction(image, 1 + self.contrast * contrast)
        if self.saturation:
            image = adjust_saturation_with_gray_subtraction(image, 1 + self.saturation * saturation)
        if self.hue:
            image = adjust_hue(image, 2 * math.pi * self.hue * hue)
        return (2 * image - 1).reshape(shape)


def checked_ramp(ramp: Sequence[tuple[int, int]], crop: int) -> list[tuple[int, int]]:
    """Pairs [until which update, side in pixels], if they mean something.

    Raises:
        Refused: they are no pairs, do not rise, or are larger than the crop.
    """
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else (pair,) for pair in ramp]
    valid = all(len(pair) == 2 and all(isinstance(number, int) for number in pair) for pair in pairs)
    steps = [(0, 1), *(pairs if valid else []), (1 << 62, crop + 1)]
    if not valid or any(a >= c or b >= d for (a, b), (c, d) in pairwise(steps)):
        raise Refused(f"data.ramp: {list(ramp)} is not [[until update, side], ...], both rising, side <= crop")
    return [(until, side) for until, side in steps[1:-1]]
