"""Layers of MAT (Li et al. 2022): learning rates equalised as in StyleGAN, tokens that know whether they are valid."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import rng
from inpaint.networks.layers import asked_for, exact, white_noise

GAIN = 2**0.5  # keeps the variance through a leaky ReLU, and divided by, through a sum of two


def leaky(x: Tensor) -> Tensor:
    """With slope 0.2 below zero, at the variance of its input."""
    return F.leaky_relu(x, 0.2) * GAIN


def scaled_sum(x: Tensor, y: Tensor) -> Tensor:
    """With the variance of either."""
    return (x + y) / GAIN


class EqualLinear(nn.Module):
    """Fully connected, with the learning rate equalised (StyleGAN): weights N(0, 1), scaled as they are used."""

    def __init__(self, before: int, after: int, bias: float = 0.0, speed: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / speed)
        self.bias = nn.Parameter(torch.full((after,), bias / speed))
        self.scale, self.speed = speed / before**0.5, speed

    def forward(self, x: Tensor) -> Tensor:
        """``(..., before)`` to ``(..., after)``."""
        return F.linear(x, self.weight * self.scale, self.bias * self.speed)


class EqualConv(nn.Module):
    """Convolution with zero padding, leaky ReLU, the learning rate equalised (StyleGAN)."""

    def __init__(self, before: int, after: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after, 1, 1))
        self.scale, self.stride, self.padding = 1 / (before * kernel**2) ** 0.5, stride, kernel // 2

    def linear(self, x: Tensor) -> Tensor:
        """Without bias and activation; over one position a stride makes oneDNN's bfloat16 gradient garbage (AMX)."""
        stride = self.stride if x.shape[-2:].numel() > 1 else 1
        return F.conv2d(x, self.weight * self.scale, None, stride, self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, before, H, W)`` to ``(B, after, h, w)``."""
        return leaky(self.linear(x) + self.bias)


class EqualPartialConv(nn.Module):
    """`EqualConv` over the valid positions alone, scaled up by their share of the window (Liu et al. 2018, equation 1).

    ``(B, C, H, W)`` and validity ``(B, 1, H, W)`` to the same; a position is valid if any in its window was, and 0
    otherwise. What lies beyond the border counts as missing. MAT's code scales behind bias and activation and reads
    missing positions too, which is the same while biases are 0.
    """

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = EqualConv(before, after, stride=stride)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve, scale up, and say where the result is valid."""
        with exact(x):
            count = F.conv2d(valid, valid.new_ones(1, 1, 3, 3), stride=self.conv.stride, padding=1)
        after = (count > 0.5).to(valid.dtype)
        x = self.conv.linear(x * valid) * (9 / count.clamp(min=1))
        return leaky(x + self.conv.bias) * after, after


# ---- the transformer ------------------------------------------------------------------------------------------------


class WindowAttention(nn.Module):
    """Multi-head contextual attention (section 3.2): within windows, to the valid tokens alone.

    Queries and keys come from tokens of length 1, values from the tokens themselves. A window that has a valid token
    makes all of its tokens valid; one that has none gives 0, where the published code, which adds -100 to the scores of
    invalid tokens, averages them. Windows that are shifted stand half a window up and left, and what they cover
    beyond the map is invalid. The softmax is in float32 whatever the autocast.

    Tokens ``(B, H, W, C)`` and validity ``(B, H, W, 1)``, to the same.
    """

    def __init__(self, width: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.window, self.shifted = heads, window, shifted
        self.query, self.key, self.value, self.out = (EqualLinear(width, width) for _ in range(4))

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Attend, and say which tokens hold something."""
        windows = _Windows(x, self.window, self.shifted)
        query, key, value, seen = self._projected(x, valid, windows)
        any_seen = seen.any(dim=-1, keepdim=True)
        with exact(x):
            # A softmax over nothing is NaN: a window without valid tokens looks at all of them, and is emptied after.
            allowed = (seen | ~any_seen).expand(-1, 1, query.shape[2], -1)
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed) * any_seen
        after = any_seen[:, 0].to(valid.dtype).expand(-1, query.shape[2], -1)
        return windows.join(self.out(attended.transpose(1, 2).flatten(2))), windows.join(after)

    def _projected(self, x: Tensor, valid: Tensor, windows: "_Windows") -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries, keys and values, ``(windows, heads, size^2, C / heads)``, and which keys are valid."""
        tokens, seen = windows.split(x), windows.split(valid).mT.unsqueeze(1) > 0.5  # (windows, 1 head, 1 query, keys)
        with exact(x):
            unit = tokens.float() * (tokens.float().square().sum(-1, keepdim=True) + 1e-8).rsqrt()
        query, key, value = (
            layer(source).unflatten(-1, (self.heads, -1)).transpose(1, 2).float()
            for layer, source in ((self.query, unit), (self.key, unit), (self.value, tokens))
        )
        return query, key, value, seen

    def attended(self, x: Tensor, valid: Tensor, asking: Tensor) -> Tensor:
        """What each token gets of the attention of those in `asking`, as in `inpaint.evaluation.dependence`.

        The mean of the heads; nothing from windows without a valid token.
        """
        windows = _Windows(x, self.window, self.shifted)
        query, key, _, seen = self._projected(x, valid, windows)
        with exact(x):
            scores = query @ key.mT / query.shape[-1] ** 0.5
            weights = torch.softmax(scores.masked_fill(~seen, -1e9), dim=-1) * seen.any(dim=-1, keepdim=True)
            share = windows.split(asked_for(asking, x.movedim(3, 1)).movedim(1, 3))
            found = windows.join(weights.mean(1).mT @ share).movedim(3, 1)
            return found / found.sum((2, 3), keepdim=True).clamp_min(1e-12)


class _Windows:
    """Tokens ``(B, H, W, C)`` in squares, which stand half a square up and left where they are shifted.

    x: of the shape that is cut. window: side of a square, in tokens.
    """

    def __init__(self, x: Tensor, window: int, shifted: bool) -> None:
        self.height, self.width = x.shape[1:3]
        height, width = self.height, self.width
        self.size = size = min(window, max(height, width))
        self.shift = shift = size // 2 if shifted and size < max(height, width) else 0
        self.borders = (0, 0, shift, -(width + shift) % size, shift, -(height + shift) % size)
        self.rows = (height + self.borders[4] + self.borders[5]) // size
        self.columns = (width + self.borders[2] + self.borders[3]) // size

    def split(self, tokens: Tensor) -> Tensor:
        """``(B, H, W, C)`` to ``(B * windows, size^2, C)``."""
        padded = F.pad(tokens, self.borders)
        tiles = padded.unflatten(2, (self.columns, self.size)).unflatten(1, (self.rows, self.size))
        return tiles.transpose(2, 3).flatten(3, 4).flatten(0, 2)

    def join(self, tokens: Tensor) -> Tensor:
        """The reverse."""
        tiles = tokens.unflatten(1, (self.size, self.size)).unflatten(0, (-1, self.rows, self.columns)).transpose(2, 3)
        whole, shift = tiles.flatten(3, 4).flatten(1, 2), self.shift
        return whole[:, shift : shift + self.height, shift : shift + self.width]


class Block(nn.Module):
    """Adjusted transformer block (section 3.2): no layer norm, and a fully connected fusion in place of the sum."""

    def __init__(self, width: int, heads: int, window: int, shifted: bool, expansion: int) -> None:
        super().__init__()
        self.attention = WindowAttention(width, heads, window, shifted)
        self.fuse = EqualLinear(2 * width, width)
        self.expand, self.reduce = EqualLinear(width, expansion * width), EqualLinear(expansion * width, width)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens ``(B, H, W, C)`` and validity ``(B, H, W, 1)``, to the same."""
        x = x * valid  # what a missing token holds is read by nobody, not even by itself
        attended, after = self.attention(x, valid)
        x = leaky(self.fuse(torch.cat([x, attended], dim=-1)))
        return self.reduce(leaky(self.expand(x))), after


class Stage(nn.Module):
    """Change of resolution by `factor`, blocks, a partial convolution, and a skip around the blocks.

    ``(B, C, H, W)`` and validity ``(B, 1, H, W)``, to the same times `factor`.
    """

    def __init__(self, width: int, heads: int, depth: int, window: int, expansion: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.resize = EqualPartialConv(width, width, stride=2 if factor < 1 else 1) if factor != 1 else None
        self.blocks = nn.ModuleList(Block(width, heads, window, bool(i % 2), expansion) for i in range(depth))
        self.last = EqualPartialConv(width, width)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Resize, attend, convolve."""
        if self.factor > 1:
            x, valid = (F.interpolate(part, scale_factor=self.factor, mode="nearest") for part in (x, valid))
        if self.resize is not None:
            x, valid = self.resize(x, valid)
        start = x * valid
        x, valid = x.movedim(1, -1), valid.movedim(1, -1)
        for block in self.blocks:
            x, valid = block(x, valid)
        x, valid = self.last(x.movedim(-1, 1), valid.movedim(-1, 1))
        return scaled_sum(start, x), valid


# ---- styles ---------------------------------------------------------------------------------------------------------


class StyledConv(nn.Module):
    """Modulated convolution (StyleGAN2, Karras et al. 2020, section 2.2), enlarged two times first if `up`.

    Each sample's style scales the input channels, and each output channel is divided by the norm of its weights thus
    scaled. Scaling inputs and outputs is the same as scaling weights, and needs one convolution for the whole batch.
    With `noise`, noise of a learnt strength is added.
    """

    def __init__(self, before: int, after: int, style: int, up: bool = False, noise: bool = True) -> None:
        super().__init__()
        self.conv, self.up = EqualConv(before, after), up
        self.affine = EqualLinear(style, before, bias=1.0)
        self.noise = nn.Parameter(torch.zeros(())) if noise else None

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
        """``(B, before, H, W)`` and ``(B, style)`` to ``(B, after, H, W)``, twice the sides if `up`, plus `skip`."""
        if self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        scale = self.affine(style)[:, :, None, None]
        with exact(x):
            power = F.conv2d(scale.float().square(), (self.conv.weight * self.conv.scale).square().sum((2, 3), True))
        x = self.conv.linear(x * scale) * (power + 1e-8).rsqrt().to(x.dtype)
        if self.noise is not None:
            noise = rng.normal_for(x, 1, *x.shape[2:]).to(x.dtype) if self.training else white_noise(x)
            x = x + self.noise * noise
        x = leaky(x + self.conv.bias)
        return x if skip is None else scaled_sum(x, skip)


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to three channels, not demodulated."""

    def __init__(self, before: int, style: int) -> None:
        super().__init__()
        self.conv, self.affine = EqualConv(before, 3, kernel=1), EqualLinear(style, before, bias=1.0)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """``(B, before, H, W)`` and style ``(B, style)`` to a picture ``(B, 3, H, W)``."""
        return self.conv.linear(x * self.affine(style)[:, :, None, None]) + self.conv.bias
