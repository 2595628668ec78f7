"""Padding, medians, Fourier transforms and the harmonic fill for other programs: nothing in place, any size.

`fills.harmonic` works in memory that it lays out for one size, inside a `torch.autograd.Function`. Neither TorchScript
nor ONNX can hold that, and a trace would unroll the grids of one size. Here are the same grids, the same sweeps and the
same steps as plain arithmetic. TorchScript keeps the loop over the grids (`laplace`, scripted). An exported graph has
no loop whose length depends on the size, so `laplace_exported` has as many grids as the largest picture needs; a
smaller one has nothing to correct on those that it does not need.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST, LARGEST = 64, 4096  # pixels a side of a picture that an exported graph takes
FINE = 5  # grids of an exported graph whose size follows the picture's
FIXED = LARGEST // 2**FINE + 2  # pixels a side of the next one, which a picture's coarse grid never has


def around(x: Tensor) -> Tensor:
    """The sum of each pixel's four neighbours, 0 beyond the border: ``(B, C, H, W)``."""
    padded = F.pad(x, [1, 1, 1, 1])
    across = padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
    return across + padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1]


def gather(fine: Tensor) -> Tensor:
    """Sums over blocks of 2 x 2: ``(B, C, H, W)``, both even, to half of it."""
    return F.avg_pool2d(fine, 2) * 4


def spread(coarse: Tensor, fine: Tensor) -> Tensor:
    """Every coarse pixel over its block of 2 x 2, in the size of `fine`; what is beyond that is left out."""
    height, width = fine.shape[2] // 2, fine.shape[3] // 2
    return F.interpolate(coarse[:, :, :height, :width], scale_factor=2.0, mode="nearest")


def smooth(x: Tensor, rhs: Tensor, degree: Tensor, step: Tensor, weights: list[float]) -> Tensor:
    """One Jacobi sweep over the hole for each weight."""
    for weight in weights:
        x = x + (rhs + around(x) - degree * x) * (step * weight)
    return x


def quotient(a: Tensor, b: Tensor) -> Tensor:
    """``a / b``, and `a` where b is 0, or denormal and taken for 0."""
    return a / torch.where(b == 0, torch.ones_like(b), b)


def even(x: Tensor) -> Tensor:
    """With zeros below and right until both sides are even."""
    return F.pad(x, [0, x.shape[3] % 2, 0, x.shape[2] % 2])


def extended(x: Tensor, multiple: int, minimum: int = 1) -> Tensor:
    """By its border pixels, below and right, until both sides are multiples and at least `minimum`, which is one.

    A gather, which no size makes a special case: ``(B, C, H, W)``, any H and W, to ``(B, C, H', W')``.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        larger = (size + multiple - 1) // multiple * multiple
        if minimum > SMALLEST:
            larger = torch.sym_max(larger, minimum)
        x = x.index_select(axis, torch.arange(larger, device=x.device).clamp(max=size - 1))
    return x


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """The upper left ``height x width`` of ``(B, C, H, W)``, likewise."""
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    return x.index_select(2, rows).index_select(3, columns)


def median(x: Tensor) -> Tensor:
    """``torch.median`` of each row, ``(B, N)`` to ``(B,)``: by sorting, which ONNX has."""
    middle = torch.full((1,), (x.shape[1] - 1) // 2, device=x.device)
    return x.sort(dim=1).values.index_select(1, middle).squeeze(1)


def turns(rows: int, columns: int, length: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(B, C, rows, columns)`` of a Fourier transform of `length` places, for the maps of `x`.

    They are divided by the root of `length`. Angles are reduced while they are whole numbers of steps, so that large
    pictures lose nothing. Each map has its own, as an export takes products of all with one for special cases of sizes.
    """
    places = torch.full((1,), length, device=x.device)
    steps = torch.arange(rows, device=x.device)[:, None] * torch.arange(columns, device=x.device)
    angles = torch.remainder(steps, places).to(torch.float32) * (2 * math.pi / places)
    angles, scale = angles.expand(x.shape[0], x.shape[1], rows, columns), places.to(torch.float32).rsqrt()
    return angles.cos() * scale, angles.sin() * scale


def rfft2(x: Tensor) -> tuple[Tensor, Tensor]:
    """The real and the imaginary part of ``torch.fft.rfft2(x, norm="ortho")``, as products of matrices.

    ``(B, C, H, W)`` to ``(B, C, H, W // 2 + 1)`` each. No exporter's transform takes every size, and maps are small.
    """
    height, width = x.shape[2], x.shape[3]
    cos, sin = turns(width, width // 2 + 1, width, x)
    real, imaginary = x @ cos, -(x @ sin)
    cos, sin = turns(height, height, height, x)
    return cos @ real + sin @ imaginary, cos @ imaginary - sin @ real


def irfft2(real: Tensor, imaginary: Tensor, width: int) -> Tensor:
    """``torch.fft.irfft2(real + 1j * imaginary, s=(H, width), norm="ortho")``, likewise."""
    height = real.shape[2]
    cos, sin = turns(height, height, height, real)
    real, imaginary = cos @ real - sin @ imaginary, cos @ imaginary + sin @ real
    frequencies = torch.arange(width // 2 + 1, device=real.device)
    # All but the first, and the last of an even width, stand for two.
    twice = 2 - ((frequencies == 0) | (2 * frequencies == width)).to(real.dtype)
    cos, sin = turns(width // 2 + 1, width, width, real)
    return (real * twice) @ cos - (imaginary * twice) @ sin


def solve(
    values: Tensor,
    holes: list[Tensor],
    degrees: list[Tensor],
    knowns: list[Tensor],
    cycles: int,
    start: list[float],
    weights: list[float],
) -> Tensor:
    """Laplace's equation on the grids, finest first, as `fills.harmonic` solves it: ``(B, C, H, W)`` of the finest.

    values: ``(B, C, H, W)``, 0 in the hole and beyond the picture. holes, knowns: 1 at the pixels of the hole, and at
    the known ones; a pixel beyond the picture is neither. degrees: numbers of neighbours inside the picture, at least
    1. start, weights: of the sweeps of the first fill and of a cycle.
    """
    count = len(holes)
    steps = [hole / degree for hole, degree in zip(holes, degrees)]  # noqa: B905 - TorchScript has no strict
    # The first fill: the known colours averaged down to one pixel, smoothed on the way up.
    pyramid = [values]
    for level in range(count - 1):
        mean = gather(pyramid[level]) / gather(knowns[level]).clamp(min=1)
        below, right = holes[level + 1].shape[2] - mean.shape[2], holes[level + 1].shape[3] - mean.shape[3]
        pyramid.append(F.pad(mean, [0, right, 0, below]))
    x = pyramid[count - 1]
    for up in range(count - 1):
        level = count - 2 - up
        x = spread(x, holes[level]) * holes[level] + pyramid[level]
        x = smooth(x, torch.zeros_like(x), degrees[level], steps[level], start)

    # Conjugate gradients, one V-cycle a step as the preconditioner.
    rhs = (around(x) - degrees[0] * x) * holes[0]
    direction = torch.zeros_like(x)
    before = torch.ones_like(x[:, :, :1, :1])
    last = max(count - 2, 0)  # the single pixel of the last grid has nothing to correct
    for cycle in range(cycles):
        corrections: list[Tensor] = []
        rights = [rhs]
        for level in range(last + 1):
            right_side = rights[level]
            z = smooth(right_side * steps[level] * weights[0], right_side, degrees[level], steps[level], weights[1:])
            corrections.append(z)
            if level < last:
                coarse = gather((right_side + around(z) - degrees[level] * z) * holes[level])
                below, right = holes[level + 1].shape[2] - coarse.shape[2], holes[level + 1].shape[3] - coarse.shape[3]
                rights.append(F.pad(coarse, [0, right, 0, below]))
        z = corrections[last]
        for up in range(last + 1):
            level = last - up
            if up > 0:
                z = corrections[level] + spread(z, holes[level]) * holes[level]
            z = smooth(z, rights[level], degrees[level], steps[level], weights[::-1])
        now = (rhs * z).sum(dim=[2, 3], keepdim=True)
        direction = z if cycle == 0 else direction * quotient(now, before) + z
        change = around(direction) - degrees[0] * direction
        length = quotient(now, -(direction * change).sum(dim=[2, 3], keepdim=True))
        x = x + direction * length
        rhs = (rhs + change * length) * holes[0]
        before = now
    return x


def laplace(known: Tensor, mask: Tensor, cycles: int, start: list[float], weights: list[float]) -> Tensor:
    """The harmonic fill, for TorchScript: as many grids as the picture needs.

    known: ``(B, C, H, W)``, 0 in the hole. mask: ``(B, 1, H, W)``, 1 = hole. The rest as in `solve`.
    """
    height, width = known.shape[2], known.shape[3]
    values, hole, inside = even(known), even(mask), even(torch.ones_like(mask))
    holes, degrees, knowns = [hole], [around(inside).clamp(min=1)], [inside - hole]
    while max(height, width) > 1:
        height, width = (height + 1) // 2, (width + 1) // 2
        inside = even(gather(inside).clamp(max=1))
        here = even(gather(knowns[len(knowns) - 1]).clamp(max=1))
        holes.append(inside - here)
        knowns.append(here)
        degrees.append(around(inside).clamp(min=1))
    return solve(values, holes, degrees, knowns, cycles, start, weights)[:, :, : known.shape[2], : known.shape[3]]


def laplace_exported(known: Tensor, mask: Tensor, cycles: int, start: list[float], weights: list[float]) -> Tensor:
    """The harmonic fill, for exported graphs: grids for `LARGEST` pixels a side, whatever the picture's size.

    Arguments as in `laplace`.
    """
    height, width = known.shape[2], known.shape[3]
    values, hole = extended(known, 2**FINE), extended(mask, 2**FINE)
    rows = torch.arange(hole.shape[2], device=mask.device)[:, None] < height
    columns = torch.arange(hole.shape[3], device=mask.device) < width
    inside = (rows & columns).to(mask.dtype).expand_as(hole)
    values, hole = values * inside, hole * inside
    holes, degrees, knowns = [hole], [around(inside).clamp(min=1)], [inside - hole]
    for level in range(LARGEST.bit_length() - 1):
        inside = gather(inside).clamp(max=1)
        here = gather(knowns[level]).clamp(max=1)
        if level == FINE - 1:
            fixed = [0, FIXED - inside.shape[3], 0, FIXED - inside.shape[2]]
            inside, here = F.pad(inside, fixed), F.pad(here, fixed)
        elif level >= FINE:
            inside, here = even(inside), even(here)
        holes.append(inside - here)
        knowns.append(here)
        degrees.append(around(inside).clamp(min=1))
    return cropped(solve(values, holes, degrees, knowns, cycles, start, weights), height, width)


def fill(known: Tensor, mask: Tensor, cycles: int, start: list[float], weights: list[float]) -> Tensor:
    """The one of the two that whoever is recording can hold: a trace or an export. Arguments as in `laplace`."""
    if torch.compiler.is_exporting():
        return laplace_exported(known, mask, cycles, start, weights)
    return torch.jit.script(laplace)(known, mask, cycles, start, weights)
