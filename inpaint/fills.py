"""Classical ways to fill a hole: baselines that take a generator's place, and the initial fill of a network.

Every class is an `nn.Module` without parameters, called as a generator is: ``fill(image, mask) -> Outputs``.

* image: float32 ``(B, 3, H, W)`` in [-1, 1], any H and W from 1 up.
* mask: float32 ``(B, 1, H, W)``, exactly 0 or 1, 1 = hole.
* output and composite: equal, ``(B, 3, H, W)``; the image outside the hole bit for bit, the fill inside.

What the image holds inside the hole is never read: it may be the truth, or NaN. A picture without a hole comes back as
it is; a picture that is all hole becomes mid grey, 0. Each picture is filled by itself, whatever else is in its batch.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from inpaint import portable
from inpaint.batch import Outputs, compose, from_uint8, to_uint8
from inpaint.settings import Refused, whole


def _clear(image: Tensor, mask: Tensor) -> Tensor:
    """The image with 0 in its hole; a selection, because 0 times NaN is NaN."""
    return torch.where(mask > 0.5, 0, image)


class Mean(nn.Module):
    """The mean colour of each picture's known pixels: the floor that every other method has to beat."""

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in the module's docstring."""
        known = _clear(image, mask)
        count = (1 - mask).sum((2, 3), keepdim=True).clamp_min(1)
        mean = known.sum((2, 3), keepdim=True) / count
        return compose(torch.where(mask > 0.5, mean, image), image, mask)


# Harmonic: the discrete Laplace equation, degree * x = sum of the neighbours, on the pixels of the hole.


class _Field:
    """A batch of pictures stored flat, with zeros all around, so that the neighbours of all pixels are four shifts.

    A row is followed by one zero and the whole is between two rows of zeros: `values` is ``(B, C, H * (W + 1))``,
    `pixels` the same memory as ``(B, C, H, W)``, and `neighbours` are `values` one to the left, right, up and down.
    Views made once, of contiguous memory: a sweep over slices of pictures took half again as long.
    """

    def __init__(self, like: Tensor, height: int, width: int) -> None:
        row = width + 1
        store = like.new_zeros(*like.shape[:2], (height + 2) * row)
        end = store.shape[-1]
        self.values = store[..., row : end - row]
        self.pixels = self.values.unflatten(-1, (height, row))[..., :width]
        shifts = (row - 1, row + 1, 0, 2 * row)
        self.neighbours = [store[..., shift : shift + height * row] for shift in shifts]


class _Grid:
    """One grid of the multigrid, from the picture itself to a single pixel, with the memory that its sweeps work in.

    A pixel of a coarser grid stands for 2 x 2 of the finer one, and is in the hole only if none of them is known: so a
    correction from a coarser grid is zero on the known pixels without being masked.
    """

    def __init__(self, known: Tensor, like: Tensor) -> None:
        height, width = known.shape[-2:]
        row = width + 1
        self.known = known
        self.hole = F.pad(1 - known, (0, 1)).flatten(2)
        degree = known.new_full((height, row), 4)  # neighbours inside the picture: no flow across its border
        for edge in (degree[0], degree[-1], degree[:, 0], degree[:, width - 1]):
            edge -= 1
        self.degree = degree.clamp_min_(1).flatten()
        self.step = self.hole / self.degree
        self.x = _Field(like, height, width)
        self.work = torch.empty_like(self.x.values, memory_format=torch.contiguous_format)

    def pixels(self, values: Tensor) -> Tensor:
        """Flat values ``(B, C, H * (W + 1))`` as pixels ``(B, C, H, W)``, a view."""
        height, width = self.known.shape[-2:]
        return values.unflatten(-1, (height, width + 1))[..., :width]

    def residual(self, x: _Field, rhs: Tensor | None) -> Tensor:
        """rhs + sum of the neighbours - degree * x, in `work`; it means nothing outside the hole."""
        left, right, up, down = x.neighbours
        work = torch.add(left, right, out=self.work).add_(up).add_(down)
        if rhs is not None:
            work.add_(rhs)
        return work.addcmul_(x.values, self.degree, value=-1)

    def smooth(self, rhs: Tensor | None, weights: list[float]) -> None:
        """One Jacobi sweep over the hole for each weight."""
        for weight in weights:
            self.x.values.addcmul_(self.residual(self.x, rhs), self.step, value=weight)


def _chebyshev(sweeps: int, lowest: float) -> list[float]:
    """Weights with which `sweeps` Jacobi sweeps damp best all errors of eigenvalue `lowest` to 2 (the highest)."""
    middle, radius = (2 + lowest) / 2, (2 - lowest) / 2
    return [1 / (middle + radius * math.cos(math.pi * (k + 0.5) / sweeps)) for k in range(sweeps)]


def _gather(fine: Tensor) -> Tensor:
    """Sums over 2 x 2 blocks, ``(B, C, H, W)`` to half of it rounded up; what is beyond an odd edge counts as 0."""
    height, width = fine.shape[-2:]
    if height % 2 or width % 2:
        fine = F.pad(fine, (0, width % 2, 0, height % 2))
    rows = fine[..., ::2, :] + fine[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]


def _spread(coarse: Tensor, fine: Tensor) -> None:
    """Add every coarse pixel to its 2 x 2 block of `fine`; the transpose of `_gather` keeps the cycle symmetric."""
    height, width = fine.shape[-2:]
    rows = coarse.new_empty(*coarse.shape[:-1], width)
    rows[..., ::2] = coarse
    rows[..., 1::2] = coarse[..., : width // 2]
    fine[..., ::2, :] += rows
    fine[..., 1::2, :] += rows[..., : height // 2, :]


def _grids(mask: Tensor, like: Tensor) -> list[_Grid]:
    """All grids, finest first."""
    grids = [_Grid(1 - mask, like)]
    while max(grids[-1].known.shape[-2:]) > 1:
        grids.append(_Grid(_gather(grids[-1].known).clamp_max_(1), like))
    return grids


def _start(known: Tensor, grids: list[_Grid], weights: list[float]) -> None:
    """A first fill, in `x` of the finest grid: the known colours averaged down to one pixel, smoothed on the way up."""
    pyramid = [known]
    for grid in grids[:-1]:
        pyramid.append(_gather(pyramid[-1]).div_(_gather(grid.known).clamp_min_(1)))
    grids[-1].x.pixels.copy_(pyramid[-1])
    for level in range(len(grids) - 2, -1, -1):
        grid = grids[level]
        _spread(grids[level + 1].x.pixels, grid.x.pixels)
        grid.x.values.mul_(grid.hole)
        grid.x.pixels.add_(pyramid[level])
        grid.smooth(None, weights)


def _cycle(grids: list[_Grid], rhs: Tensor, weights: list[float]) -> Tensor:
    """One symmetric V-cycle for ``A x = rhs`` from zero on the finest of `grids`; flat values, in its `x`."""
    grid = grids[0]
    torch.mul(rhs, grid.step, out=grid.x.values).mul_(weights[0])
    grid.smooth(rhs, weights[1:])
    if len(grids) > 1:
        coarse = F.pad(_gather(grid.pixels(grid.residual(grid.x, rhs))), (0, 1)).flatten(2)
        _cycle(grids[1:], coarse, weights)
        _spread(grids[1].x.pixels, grid.x.pixels)
    grid.smooth(rhs, weights[::-1])
    return grid.x.values


def _solve(grids: list[_Grid], x: Tensor, rhs: Tensor, cycles: int, weights: list[float]) -> None:
    """Improve x in place by conjugate gradients, with one V-cycle a step as the preconditioner.

    x: flat values ``(B, C, H * (W + 1))``. rhs: its residual in the hole, anything outside, overwritten.
    """
    grid = grids[0]
    direction = _Field(rhs, *grid.known.shape[-2:])
    before = None
    tiny = torch.finfo(x.dtype).tiny  # keeps 0 / 0 out where nothing is left to correct
    for _ in range(cycles):
        z = _cycle(grids[:-1] or grids, rhs, weights)  # the single pixel of the last grid has nothing to correct
        now = (rhs * z).sum(-1, keepdim=True)
        if before is not None:
            direction.values.mul_(now / (before + tiny))
        direction.values.add_(z)
        change = grid.residual(direction, None)
        length = now / (tiny - (direction.values * change).sum(-1, keepdim=True))
        x.addcmul_(direction.values, length)
        rhs.addcmul_(change, length)
        before = now


class _Laplace(torch.autograd.Function):
    """The solution of Laplace's equation in the hole as one differentiable step.

    The system is symmetric, so its gradient is one more solve with the same matrix: no sweep has to be recorded, and
    all of them may work in place.
    """

    @staticmethod
    def forward(ctx: Any, known: Tensor, mask: Tensor, cycles: int, sweeps: int) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.cycles, ctx.sweeps = cycles, sweeps
        grids = _grids(mask, known)
        _start(known, grids, _chebyshev(2 * sweeps, 0.2))
        x = grids[0].x.values.clone()
        rhs = grids[0].residual(grids[0].x, None).clone()
        _solve(grids, x, rhs, cycles, _chebyshev(sweeps, 0.5))
        return grids[0].pixels(x).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (mask,) = ctx.saved_tensors
        grids = _grids(mask, gradient)
        rhs = F.pad(gradient, (0, 1)).flatten(2)
        adjoint = torch.zeros_like(rhs)
        # From zero instead of a first fill: three more cycles make up for it.
        _solve(grids, adjoint, rhs, ctx.cycles + 3, _chebyshev(ctx.sweeps, 0.5))
        grids[0].x.values.copy_(adjoint)
        return gradient + grids[0].pixels(grids[0].residual(grids[0].x, None)), None, None, None


def harmonic(image: Tensor, mask: Tensor, cycles: int = 2, sweeps: int = 2) -> Tensor:
    """The smoothest fill: each hole pixel is the mean of its neighbours, and nothing flows across the picture's border.

    Laplace's equation with the known pixels as Dirichlet data, solved by conjugate gradients preconditioned with
    multigrid (Tatebe 1993) from a coarse-to-fine first fill. Everything is batched tensor arithmetic of fixed length:
    any device, no host synchronisation, no loop over pictures.

    image: ``(B, C, H, W)``, floating point, any range. mask: ``(B, 1, H, W)``, 1 = hole. cycles: conjugate gradient
    steps of one V-cycle each. sweeps: Jacobi sweeps before and after each coarser grid. Returns ``(B, C, H, W)``, equal
    to `image` where known; differentiable once with respect to `image` (zero in the hole).

    Root mean square difference to the exact solution, on 102 pairs of a hard mask (boxes, strokes, outpainting, combs,
    10 % and 1 % of scattered pixels) and a photograph, noise or two tones in [-1, 1]; ms for ``(16, 3, 64, 64)`` on one
    CPU thread. The worst mask leaves only a corner of 3 x 3 pixels; without it the worst at 2 cycles is 0.011. At 256
    px 3 cycles stand where 2 do at 64, and a picture takes 6 to 8 ms.

    ======  ============  ===========  =============  ====
    cycles  mean, 64 px   worst 64 px  mean, 128 px   ms
    ======  ============  ===========  =============  ====
    0       0.052         0.199        0.051          2.6
    1       0.012         0.112        0.014          4.2
    2       0.0038        0.060        0.0054         6.0
    3       0.0009        0.012        0.0015         7.7
    4       0.0002        0.001        0.0003         9.5
    ======  ============  ===========  =============  ====

    >>> picture = torch.tensor([[[[0.0, 9.0, 9.0, 0.75]]]])
    >>> harmonic(picture, torch.tensor([[[[0.0, 1.0, 1.0, 0.0]]]]), cycles=4)
    tensor([[[[0.0000, 0.2500, 0.5000, 0.7500]]]])
    """
    known = _clear(image, mask).contiguous()
    if torch.jit.is_tracing() or torch.compiler.is_exporting():
        return portable.fill(known, mask.to(image.dtype), cycles, _chebyshev(2 * sweeps, 0.2), _chebyshev(sweeps, 0.5))
    return _Laplace.apply(known, mask.to(image.dtype), cycles, sweeps)


class Harmonic(nn.Module):
    """Laplace's equation in the hole, see `harmonic`: the initial fill of the default network.

    cycles: multigrid cycles, 0 (only the first fill) or more. sweeps: Jacobi sweeps, at least 1.
    """

    def __init__(self, cycles: int = 2, sweeps: int = 2) -> None:
        super().__init__()
        self.cycles, self.sweeps = whole("generator.cycles", cycles, 0), whole("generator.sweeps", sweeps, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in the module's docstring."""
        return compose(harmonic(image, mask, self.cycles, self.sweeps), image, mask)


# The remaining fills take one picture at a time on the CPU and have no gradient.


def _one_by_one(image: Tensor, mask: Tensor, fill: Callable[[Tensor, Tensor], Tensor]) -> Outputs:
    """Fill every picture that has both a hole and known pixels with `fill(picture, hole)`.

    picture: float32 ``(3, H, W)`` with 0 in its hole. hole: bool ``(H, W)``. `fill` returns ``(3, H, W)``, of which
    only the hole is used.
    """
    pictures = _clear(image.detach(), mask).float().cpu()
    for picture, hole in zip(pictures, mask[:, 0].cpu() > 0.5, strict=True):
        if hole.any() and not hole.all():
            picture[:, hole] = fill(picture, hole)[:, hole]
    return compose(pictures.to(image), image, mask)


def _opencv(picture: Tensor, hole: Tensor, radius: float, method: str) -> Tensor:
    """`cv2.inpaint` on 8-bit RGB; the colour channels are filled one by one, so their order does not matter.

    OpenCV (5.0) reads a hole's own pixels where it touches the top or left edge of the picture: called on the truth, it
    gives some of it away. Here they are mid grey.
    """
    import cv2

    rgb = to_uint8(picture).permute(1, 2, 0).contiguous().numpy()
    filled = cv2.inpaint(rgb, hole.to(torch.uint8).numpy(), radius, getattr(cv2, method))
    return from_uint8(torch.from_numpy(filled)).permute(2, 0, 1)


class Telea(nn.Module):
    """Fast marching: each pixel, from the rim inwards, is a weighted mean of the known ones near it (Telea 2004).

    OpenCV's version, which works on 8-bit pixels. radius: of the neighbourhood, in pixels.
    """

    def __init__(self, radius: float = 3) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in the module's docstring."""
        return _one_by_one(image, mask, lambda picture, hole: _opencv(picture, hole, self.radius, "INPAINT_TELEA"))


class NavierStokes(nn.Module):
    """Continues the lines of equal brightness into the hole as a fluid's stream lines (Bertalmio et al. 2001).

    OpenCV's version, which works on 8-bit pixels. radius: of the neighbourhood, in pixels.
    """

    def __init__(self, radius: float = 3) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in the module's docstring."""
        return _one_by_one(image, mask, lambda picture, hole: _opencv(picture, hole, self.radius, "INPAINT_NS"))


class Biharmonic(nn.Module):
    """The biharmonic equation in the hole, which continues slopes as well as colours (Damelin and Hoang 2018).

    scikit-image's version, an exact sparse solve in double precision. split_regions: solve each connected hole alone.
    """

    def __init__(self, split_regions: bool = False) -> None:
        super().__init__()
        self.split_regions = split_regions

    def _fill(self, picture: Tensor, hole: Tensor) -> Tensor:
        from skimage.restoration import inpaint_biharmonic

        rgb = picture.permute(1, 2, 0).double().numpy()
        filled = inpaint_biharmonic(rgb, hole.numpy(), split_into_regions=self.split_regions, channel_axis=-1)
        return torch.from_numpy(filled).permute(2, 0, 1).float().clamp(-1, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in the module's docstring."""
        return _one_by_one(image, mask, self._fill)


class NearestPatch(nn.Module):
    """Copy and paste within one picture: what Context Encoders (Pathak et al. 2016) compare with as nearest neighbour.

    The hole is filled from its rim inwards. The hole pixel with the most known pixels in the patch around it comes
    first (Efros and Leung 1999); of all patches of the picture that are wholly known, the one with the least sum of
    squared differences over those pixels is found, and the rest of the patch is copied from it (Criminisi et al. 2004,
    without the gradient term). Ties go to the topmost, then leftmost pixel or patch.

    patch: side in pixels, odd, at least 3. Where a picture has no wholly known patch, the next smaller size is tried,
    and at last `harmonic`. Time grows as hole times known pixels: 20 ms for 64 x 64 with a quarter missing, 14 s for
    256 x 256.
    """

    def __init__(self, patch: int = 7) -> None:
        super().__init__()
        if whole("generator.patch", patch, 3) % 2 == 0:
            raise Refused(f"generator.patch: give an odd number of pixels; got {patch}")
        self.patch = patch

    def _fill(self, picture: Tensor, hole: Tensor) -> Tensor:
        for patch in range(self.patch, 1, -2):
            if min(hole.shape) >= patch:
                known = F.unfold((~hole).float()[None, None], patch)[0].amin(0) > 0.5
                if known.any():
                    return _copy_patches(picture, hole, F.unfold(picture[None], patch)[0].T[known], patch)
        return harmonic(picture[None], hole[None, None].float())[0]

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in the module's docstring."""
        return _one_by_one(image, mask, self._fill)


def _copy_patches(picture: Tensor, hole: Tensor, sources: Tensor, patch: int) -> Tensor:
    """Fill ``(3, H, W)`` from `sources` ``(N, 3 * patch * patch)``; the loop of `NearestPatch`."""
    height, width = hole.shape
    half = patch // 2
    # A margin that is neither known nor to be filled lets a patch stick out of the picture.
    canvas = F.pad(picture, (half,) * 4)
    known = F.pad((~hole).float(), (half,) * 4)
    todo = F.pad(hole, (half,) * 4)
    middle = todo[half : half + height, half : half + width]
    # Sum of w * (s - t)^2 over a patch is w . s^2 - 2 (w t) . s and a constant: one product finds the best of all s.
    table = torch.cat([sources.square(), -2 * sources], dim=1)
    while middle.any():
        support = F.avg_pool2d(known[None], patch, stride=1, divisor_override=1)[0]
        row, column = divmod(int(torch.where(middle, support, -1).argmax()), width)
        window = (..., slice(row, row + patch), slice(column, column + patch))
        weight = known[window].expand(3, patch, patch)
        best = (table @ torch.cat([weight.flatten(), (weight * canvas[window]).flatten()])).argmin()
        canvas[window] = torch.where(todo[window], sources[best].view(3, patch, patch), canvas[window])
        known[window] += todo[window]
        todo[window] = False
    return canvas[:, half : half + height, half : half + width]
