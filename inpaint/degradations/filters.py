"""Kernels of blur, one for each sample, and how pictures are filtered with them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def filtered(image: Tensor, kernels: Tensor) -> Tensor:
    """Each picture ``(B, C, H, W)`` correlated with its own kernel, ``(B, K, K)``, K odd; the edges are mirrored."""
    samples, channels, height, width = image.shape
    radius = kernels.shape[-1] // 2
    edge = "reflect" if radius < min(height, width) else "replicate"
    padded = F.pad(image, (radius, radius, radius, radius), mode=edge)
    weights = kernels.repeat_interleave(channels, dim=0)[:, None]
    return F.conv2d(padded.flatten(0, 1)[None], weights, groups=samples * channels).view_as(image)


def odd_side(radius: float) -> int:
    """The side of a kernel that reaches so far from its centre."""
    return 2 * max(1, math.ceil(radius)) + 1


def gaussian(sigma: Tensor, short: Tensor, angle: Tensor, side: int, centre: float = 0.0) -> Tensor:
    """Anisotropic Gaussians: ``(B,)`` each to ``(B, side, side)``, sum 1.

    Args:
        sigma: standard deviation along one axis, pixels.
        short: along the other.
        angle: of the first axis, full turns.
        side: odd, pixels.
        centre: where they are, pixels right of and below the middle.
    """
    return normalised(torch.exp(-0.5 * quadratic(sigma, short, angle, side, centre)))


def generalised_gaussian(sigma: Tensor, short: Tensor, angle: Tensor, beta: Tensor, side: int) -> Tensor:
    """exp(-q^beta / 2) of the Gaussian's quadratic form q (Real-ESRGAN, section 3.1); beta 1 is the Gaussian."""
    form = quadratic(sigma, short, angle, side)
    return normalised(torch.exp(-0.5 * form ** beta.view(-1, 1, 1)))


def plateau(sigma: Tensor, short: Tensor, angle: Tensor, beta: Tensor, side: int) -> Tensor:
    """1 / (1 + q^beta) (Real-ESRGAN, section 3.1)."""
    return normalised(1 / (1 + quadratic(sigma, short, angle, side) ** beta.view(-1, 1, 1)))


def sinc(cutoff: Tensor, side: int) -> Tensor:
    """The ideal circular low pass, which rings (Real-ESRGAN, section 3.3): `cutoff` ``(B,)`` in radians a pixel."""
    row, column = _grid(side, cutoff.device)
    radius = torch.hypot(row, column)
    cutoff = cutoff.view(-1, 1, 1)
    away = radius.clamp(min=1.0)
    around = cutoff * torch.special.bessel_j1(cutoff * away) / (2 * math.pi * away)
    return normalised(torch.where(radius > 0, around, cutoff**2 / (4 * math.pi)))


def line(length: Tensor, angle: Tensor, side: int) -> Tensor:
    """Straight motion: a line of `length` pixels, ``(B,)``, at `angle`, full turns, through the centre."""
    row, column = _grid(side, length.device)
    turn = 2 * math.pi * angle.view(-1, 1, 1)
    along, across = column * turn.cos() + row * turn.sin(), row * turn.cos() - column * turn.sin()
    beyond = (along.abs() - length.view(-1, 1, 1) / 2).clamp(min=0)
    return normalised((1 - torch.hypot(across, beyond)).clamp(min=0))


def path(places: Tensor, side: int) -> Tensor:
    """Any motion: `places` ``(B, T, 2)``, rows and columns in pixels from the centre, each shared by four pixels."""
    axis = torch.arange(side, device=places.device) - side // 2
    rows, columns = (1 - (axis - places[..., place, None]).abs() for place in (0, 1))  # (B, T, side)
    return normalised(torch.einsum("btr,btc->brc", rows.clamp(min=0), columns.clamp(min=0)))


def normalised(kernels: Tensor) -> Tensor:
    """Sum 1 each."""
    return kernels / kernels.sum(dim=(1, 2), keepdim=True)


def quadratic(sigma: Tensor, short: Tensor, angle: Tensor, side: int, centre: float = 0.0) -> Tensor:
    """The squared distance from the centre in standard deviations, ``(B, side, side)``."""
    row, column = (axis - centre for axis in _grid(side, sigma.device))
    turn = 2 * math.pi * angle.view(-1, 1, 1)
    along, across = column * turn.cos() + row * turn.sin(), row * turn.cos() - column * turn.sin()
    return (along / sigma.view(-1, 1, 1)) ** 2 + (across / short.view(-1, 1, 1)) ** 2


def _grid(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns of a kernel's pixels from its centre, ``(side, 1)`` and ``(1, side)``."""
    axis = torch.arange(side, device=device, dtype=torch.float32) - side // 2
    return axis[:, None], axis[None, :]
