"""Dead leaves: synthetic pictures with the statistics of photographs, which nobody owns.

Opaque shapes lie over each other, so many of each size that a picture looks the same from any distance (Lee, Mumford
and Huang 2001, "Occlusion models for natural images"). Their edges, corners and flat parts are like those of
photographs, and so is their power spectrum, which falls about with the square of the frequency.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint import rng

FINER = 2  # points a pixel across, which are averaged in the end
SMALLEST = (0.7, 6.0)  # pixels between which the smallest radius of a picture's shapes lies
LARGEST = 0.4  # radius of a shape, as a share of the picture's side
COVERED = 2.5  # area of all shapes together, in pictures; what they leave bare shows the ground
STRETCH = 5.0  # how much longer than wide a shape is at most
PLANES, PLANE = 4, 256  # fields of noise that textures are cut from, and their side in points
PALETTE = 12  # colours that the shapes of a picture vary
ALIKE = 0.5  # share of the shapes whose colour follows from where they lie, as things come in heaps
BLURS = (0.0, 0.8, 1.6, 3.2)  # standard deviations in pixels between which a shape out of focus lies
# Axes of colour in logarithms of red, green and blue, and their standard deviations: brightness, blue to yellow, green
# to red. They are nearly independent in photographs (Ruderman, Cronin and Chiao 1998).
AXES = ((1.0, 1.0, 1.0), (0.4, 0.4, -0.8), (0.7, -0.7, 0.0))
SPREAD = (0.45, 0.16, 0.07)
EXPOSURE = 1.8  # steepness, in the middle, of the curve from logarithms of light to grey levels


def dead_leaves(key: int, side: int) -> Tensor:
    """One picture: uint8 ``(3, side, side)``, a function of its key alone, which continues over each edge at the other.

    Args:
        key: any 64-bit number.
        side: in pixels, 16 or more.
    """
    numbers = _Numbers(key)
    points = FINER * side
    shapes = _Shapes(numbers, points)
    topmost = shapes.topmost(points)
    image, blur = _painted(numbers, shapes, topmost, points)
    return _in_focus(F.avg_pool2d(image, FINER), F.avg_pool2d(blur, FINER)).mul(255).round().to(torch.uint8)


class _Numbers:
    """Numbers of one key, others with each call."""

    def __init__(self, key: int) -> None:
        self.key, self.calls = torch.tensor([key]), 0

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        self.calls += 1
        return low + (high - low) * rng.uniform(rng.fold(self.key, f"leaves {self.calls}"), count)[0]

    def one(self, low: float = 0.0, high: float = 1.0) -> float:
        return float(self.uniform(1, low, high))

    def laplace(self, count: int) -> Tensor:
        """Of variance 1, with the heavy tails of natural contrasts."""
        number = self.uniform(count, -1.0, 1.0)
        return -number.sign() * torch.log1p(-number.abs().clamp(max=1 - 1e-6)) / math.sqrt(2)


class _Shapes:
    """Where the shapes of a picture lie, the topmost last; tensors are float32 ``(N,)``, lengths in points.

    The density of radii is r^-3, so all octaves of size cover the same area. Discs and ellipses, rectangles, polygons
    and blobs are a quarter each.
    """

    def __init__(self, numbers: _Numbers, points: int) -> None:
        least, most = FINER * SMALLEST[0] * (SMALLEST[1] / SMALLEST[0]) ** numbers.one(), LARGEST * points
        area = 2 * math.pi * math.log(most / least) / (least**-2 - most**-2)  # the mean of such discs
        self.count = count = int(COVERED * points**2 / area)
        self.radius = (least**-2 - numbers.uniform(count) * (least**-2 - most**-2)) ** -0.5
        self.x, self.y = numbers.uniform(count, 0, points), numbers.uniform(count, 0, points)
        angle = numbers.uniform(count, 0, math.pi)
        self.cos, self.sin = angle.cos(), angle.sin()
        stretch = STRETCH ** (numbers.uniform(count) ** 2 / 2)
        self.length, self.width = self.radius * stretch, self.radius / stretch
        self.kind = numbers.uniform(count, 0, 4).long()
        self.corners = numbers.uniform(count, 3, 8).floor()
        self.waves = numbers.uniform(2 * count, -0.25, 0.25).view(2, -1)
        self.phase = numbers.uniform(count, 0, 2 * math.pi)

    def topmost(self, points: int) -> Tensor:
        """The number of the shape that is seen at each point, from 1 on, int64 ``(points * points,)``; 0: none."""
        seen = torch.zeros(points * points, dtype=torch.int64)
        reach = torch.maximum(self.length, self.width) * torch.tensor([1.0, math.sqrt(2), 1.0, 1.5])[self.kind]
        box = torch.exp2((2 * (2 * reach + 2).log2()).ceil() / 2).ceil().long()  # sides in steps of half an octave
        for side in box.unique().tolist():
            offset = torch.arange(side) - side // 2
            for kind, inside in enumerate((_ellipse, _rectangle, _polygon, _blob)):
                for chosen in ((box == side) & (self.kind == kind)).nonzero()[:, 0].split(max(1, 2**18 // side**2)):
                    column = self.x[chosen].long()[:, None] + offset
                    row = self.y[chosen].long()[:, None] + offset
                    u, v = self.local(chosen, (column + 0.5)[:, None, :], (row + 0.5)[:, :, None])
                    place = (row % points)[:, :, None] * points + (column % points)[:, None, :]
                    number = inside(self, chosen, u, v) * (chosen[:, None, None] + 1)
                    # The highest wins, whatever the order in which they are drawn.
                    seen.scatter_reduce_(0, place.flatten(), number.flatten(), "amax")
        return seen

    def local(self, chosen: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Points in the axes of shapes, 1 where a half axis ends: all ``(n, h, w)``."""
        x, y = x - _each(self.x[chosen]), y - _each(self.y[chosen])
        u = x * _each(self.cos[chosen] / self.length[chosen]) + y * _each(self.sin[chosen] / self.length[chosen])
        v = y * _each(self.cos[chosen] / self.width[chosen]) - x * _each(self.sin[chosen] / self.width[chosen])
        return u, v


def _each(numbers: Tensor) -> Tensor:
    return numbers[:, None, None]


def _ellipse(shapes: _Shapes, chosen: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return u * u + v * v < 1


def _rectangle(shapes: _Shapes, chosen: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return (u.abs() < 1) & (v.abs() < 1)


def _polygon(shapes: _Shapes, chosen: Tensor, u: Tensor, v: Tensor) -> Tensor:
    part = _each(2 * math.pi / shapes.corners[chosen])
    angle = torch.remainder(torch.atan2(v, u) + _each(shapes.phase[chosen]), part) - part / 2
    return (u * u + v * v).sqrt() * angle.cos() < (part / 2).cos()


def _blob(shapes: _Shapes, chosen: Tensor, u: Tensor, v: Tensor) -> Tensor:
    # Two waves around an ellipse, cos(2 a) and cos(3 a - phase) of the angle a: radius < 1 + two + three.
    two, three = (_each(wave[chosen]) for wave in shapes.waves)
    uu, vv = u * u, v * v
    square = uu + vv
    cos, sin = (three * _each(part) for part in (shapes.phase[chosen].cos(), shapes.phase[chosen].sin()))
    waves = two * (uu - vv) + (cos * (uu - 3 * vv) * u + sin * (3 * uu - vv) * v) / square.sqrt().clamp(min=1e-3)
    return square * square.sqrt() < square + waves


def _painted(numbers: _Numbers, shapes: _Shapes, topmost: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Colours in [0, 1], ``(3, points, points)``, and how far each point is out of focus, 0..1, ``(1, ...)``.

    Each shape, and the ground below them all, has a colour of the picture's palette, shading across and towards its
    edge, and either stripes or a part of a field of noise as its texture.
    """
    count = shapes.count + 1  # the ground comes first

    def of_ground(values: Tensor, ground: float) -> Tensor:
        return torch.cat([torch.tensor([ground]), values])

    radius = of_ground(shapes.radius, points / 2)
    palette = [spread * numbers.laplace(PALETTE) for spread in SPREAD]
    fields = _noise(numbers)
    plane = numbers.uniform(count, 0, PLANES).long()
    shift = numbers.uniform(2 * count, 0, PLANE).long().view(2, -1)
    member = numbers.uniform(count, 0, PALETTE).long()
    place = [(of_ground(centre, 0.0) * (PLANE / points)).long() % PLANE for centre in (shapes.y, shapes.x)]
    there = (_gaussian(fields[:1], 6.0)[0][*place] * 4).long() % PALETTE
    member = torch.where(numbers.uniform(count) < ALIKE, there, member)
    colour = [
        tone[member] + 0.4 * spread * numbers.laplace(count) for tone, spread in zip(palette, SPREAD, strict=True)
    ]
    bright = colour[0]

    slope = 0.25 * numbers.laplace(2 * count).view(2, -1) / radius
    rounded = numbers.uniform(count, -0.1, 0.35).clamp(min=0) / radius**2
    striped = numbers.uniform(count) < 0.2
    period = 4 * (radius.clamp(min=4) / 3) ** numbers.uniform(count)
    turn = numbers.uniform(count, 0, math.pi)
    wave = torch.stack([turn.cos(), turn.sin()]) * 2 * math.pi / period
    contrast = 0.12 * numbers.laplace(count).abs()

    steps = torch.arange(points)
    x, y = steps.repeat(points), steps.repeat_interleave(points)

    def from_centre(place: Tensor, centre: Tensor) -> Tensor:  # the shorter way round
        return torch.remainder(place + 0.5 - of_ground(centre, points / 2)[topmost] + points / 2, points) - points / 2

    across, down = from_centre(x, shapes.x), from_centre(y, shapes.y)
    noise = fields[plane[topmost], (y + shift[0][topmost]) % PLANE, (x + shift[1][topmost]) % PLANE]
    stripes = torch.tanh(2 * torch.sin(across * wave[0][topmost] + down * wave[1][topmost]))
    light = bright[topmost] + slope[0][topmost] * across + slope[1][topmost] * down
    light = light - rounded[topmost] * (across * across + down * down)
    light = light - light.mean() + numbers.one(-0.4, 0.2)
    light = light + contrast[topmost] * torch.where(striped[topmost], stripes, noise)
    logarithm = sum(
        torch.tensor(axis)[:, None] * (light if n == 0 else colour[n][topmost]) for n, axis in enumerate(AXES)
    )
    # As film does: proportional in the middle, with a soft end on either side.
    image = torch.sigmoid(EXPOSURE * logarithm)  # type: ignore

    # Half of the pictures are sharp throughout; in the others what lies far above or below the focus is not.
    depth, focus = torch.linspace(0, 1, count), numbers.one()
    blur = ((depth - focus).abs() * max(0.0, numbers.one(-1.5, 1.5))).clamp(max=1)
    return image.view(3, points, points), blur[topmost].view(1, points, points)


def _noise(numbers: _Numbers) -> Tensor:
    """Fields of variance 1 whose amplitudes fall as a power of the frequency, some more along one direction.

    Float32 ``(PLANES, PLANE, PLANE)``; each continues over its edges.
    """
    rows, columns = torch.fft.fftfreq(PLANE)[:, None], torch.fft.rfftfreq(PLANE)[None, :]
    fields = []
    for _ in range(PLANES):
        angle, stretch, power = numbers.one(0, math.pi), 8 ** numbers.one(), numbers.one(0.6, 1.6)
        u = (math.cos(angle) * columns + math.sin(angle) * rows) * stretch
        v = math.cos(angle) * rows - math.sin(angle) * columns
        frequency = (u * u + v * v).sqrt()
        frequency[0, 0] = math.inf
        phase = numbers.uniform(frequency.numel(), 0, 2 * math.pi).view_as(frequency)
        field = torch.fft.irfft2(torch.polar(frequency**-power, phase), s=(PLANE, PLANE))
        fields.append(field / field.std())
    return torch.stack(fields)


def _in_focus(image: Tensor, blur: Tensor) -> Tensor:
    """Blur each pixel by its share ``(1, H, W)`` of the largest of `BLURS`, between the two that are next to it."""
    if not blur.any():
        return image
    levels = [image] + [_gaussian(image, sigma) for sigma in BLURS[1:]]
    level = _gaussian(blur, 1.0) * (len(BLURS) - 1)
    return sum(picture * (1 - (level - n).abs()).clamp(min=0) for n, picture in enumerate(levels))  # type: ignore


def _gaussian(image: Tensor, sigma: float) -> Tensor:
    """``(C, H, W)``, continued over its edges."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], [reach] * 4, mode="circular")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]
