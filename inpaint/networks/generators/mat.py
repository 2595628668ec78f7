"""MAT: Mask-Aware Transformer for Large Hole Image Inpainting (Li, Lin, Zhou, Qi, Wang, Jia, CVPR 2022)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Outputs, compose
from inpaint.networks.layers import pad_to_multiple, white_noise
from inpaint.settings import Refused, whole

GAIN = 2**0.5  # keeps the variance through a leaky ReLU, and divided by, through a sum of two
MEMORY = 0.995  # of the running mean of the style codes


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2) * GAIN


def _sum(x: Tensor, y: Tensor) -> Tensor:
    """With the variance of either."""
    return (x + y) / GAIN


class _Linear(nn.Module):
    """Fully connected, with the learning rate equalised (StyleGAN): weights N(0, 1), scaled as they are used."""

    def __init__(self, before: int, after: int, bias: float = 0.0, speed: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / speed)
        self.bias = nn.Parameter(torch.full((after,), bias / speed))
        self.scale, self.speed = speed / before**0.5, speed

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.speed)


class _Conv(nn.Module):
    """Convolution with zero padding, leaky ReLU, the learning rate equalised."""

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
        return _leaky(self.linear(x) + self.bias)


class _PartialConv(nn.Module):
    """`_Conv` over the valid positions alone, scaled up by their share of the window (Liu et al. 2018, equation 1).

    ``(B, C, H, W)`` and validity ``(B, 1, H, W)`` to the same; a position is valid if any in its window was, and 0
    otherwise. What lies beyond the border counts as missing.
    """

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = _Conv(before, after, stride=stride)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            count = F.conv2d(valid, valid.new_ones(1, 1, 3, 3), stride=self.conv.stride, padding=1)
        after = (count > 0.5).to(valid.dtype)
        x = self.conv.linear(x * valid) * (9 / count.clamp(min=1))
        return _leaky(x + self.conv.bias) * after, after


# ---- the transformer ------------------------------------------------------------------------------------------------


class _WindowAttention(nn.Module):
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
        self.query, self.key, self.value, self.out = (_Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        height, width = x.shape[1:3]
        size = min(self.window, max(height, width))
        shift = size // 2 if self.shifted and size < max(height, width) else 0
        borders = (0, 0, shift, -(width + shift) % size, shift, -(height + shift) % size)
        rows, columns = (height + borders[4] + borders[5]) // size, (width + borders[2] + borders[3]) // size

        def split(tokens: Tensor) -> Tensor:
            """``(B, H, W, C)`` to ``(B * windows, size^2, C)``."""
            tiles = F.pad(tokens, borders).unflatten(2, (columns, size)).unflatten(1, (rows, size))
            return tiles.transpose(2, 3).flatten(3, 4).flatten(0, 2)

        def join(tokens: Tensor) -> Tensor:
            tiles = tokens.unflatten(1, (size, size)).unflatten(0, (-1, rows, columns)).transpose(2, 3)
            return tiles.flatten(3, 4).flatten(1, 2)[:, shift : shift + height, shift : shift + width]

        tokens, seen = split(x), split(valid).mT.unsqueeze(1) > 0.5  # seen: (windows, 1 head, 1 query, size^2 keys)
        any_seen = seen.any(dim=-1, keepdim=True)
        with torch.autocast(x.device.type, enabled=False):
            unit = tokens.float() * (tokens.float().square().sum(-1, keepdim=True) + 1e-8).rsqrt()
        query, key, value = (
            layer(source).unflatten(-1, (self.heads, -1)).transpose(1, 2).float()
            for layer, source in ((self.query, unit), (self.key, unit), (self.value, tokens))
        )
        with torch.autocast(x.device.type, enabled=False):
            # A softmax over nothing is NaN: a window without valid tokens looks at all of them, and is emptied after.
            allowed = (seen | ~any_seen).expand(-1, 1, tokens.shape[1], -1)
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed) * any_seen
        after = any_seen[:, 0].to(valid.dtype).expand(-1, tokens.shape[1], -1)
        return join(self.out(attended.transpose(1, 2).flatten(2))), join(after)


class _Block(nn.Module):
    """Adjusted transformer block (section 3.2): no layer norm, and a fully connected fusion in place of the sum."""

    def __init__(self, width: int, heads: int, window: int, shifted: bool, expansion: int) -> None:
        super().__init__()
        self.attention = _WindowAttention(width, heads, window, shifted)
        self.fuse = _Linear(2 * width, width)
        self.expand, self.reduce = _Linear(width, expansion * width), _Linear(expansion * width, width)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        x = x * valid  # what a missing token holds is read by nobody, not even by itself
        attended, after = self.attention(x, valid)
        x = _leaky(self.fuse(torch.cat([x, attended], dim=-1)))
        return self.reduce(_leaky(self.expand(x))), after


class _Stage(nn.Module):
    """Change of resolution by `factor`, blocks, a partial convolution, and a skip around the blocks.

    ``(B, C, H, W)`` and validity ``(B, 1, H, W)``, to the same times `factor`.
    """

    def __init__(self, width: int, heads: int, depth: int, window: int, expansion: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.resize = _PartialConv(width, width, stride=2 if factor < 1 else 1) if factor != 1 else None
        self.blocks = nn.ModuleList(_Block(width, heads, window, bool(i % 2), expansion) for i in range(depth))
        self.last = _PartialConv(width, width)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        if self.factor > 1:
            x, valid = (F.interpolate(part, scale_factor=self.factor, mode="nearest") for part in (x, valid))
        if self.resize is not None:
            x, valid = self.resize(x, valid)
        start = x * valid
        x, valid = x.movedim(1, -1), valid.movedim(1, -1)
        for block in self.blocks:
            x, valid = block(x, valid)
        x, valid = self.last(x.movedim(-1, 1), valid.movedim(-1, 1))
        return _sum(start, x), valid


# ---- styles ---------------------------------------------------------------------------------------------------------


class _StyledConv(nn.Module):
    """Modulated convolution (StyleGAN2, Karras et al. 2020, section 2.2), enlarged two times first if `up`.

    Each sample's style scales the input channels, and each output channel is divided by the norm of its weights thus
    scaled. Scaling inputs and outputs is the same as scaling weights, and needs one convolution for the whole batch.
    """

    def __init__(self, before: int, after: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.conv, self.up = _Conv(before, after), up
        self.affine = _Linear(style, before, bias=1.0)
        self.noise = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
        if self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        scale = self.affine(style)[:, :, None, None]
        with torch.autocast(x.device.type, enabled=False):
            power = F.conv2d(scale.float().square(), (self.conv.weight * self.conv.scale).square().sum((2, 3), True))
        x = self.conv.linear(x * scale) * (power + 1e-8).rsqrt().to(x.dtype)
        noise = rng.normal_for(x, 1, *x.shape[2:]).to(x.dtype) if self.training else white_noise(x)
        x = _leaky(x + self.noise * noise + self.conv.bias)
        return x if skip is None else _sum(x, skip)


class _ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to three channels, not demodulated."""

    def __init__(self, before: int, style: int) -> None:
        super().__init__()
        self.conv, self.affine = _Conv(before, 3, kernel=1), _Linear(style, before, bias=1.0)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.conv.linear(x * self.affine(style)[:, :, None, None]) + self.conv.bias


class _Decoder(nn.Module):
    """From the lowest map to a picture: styled convolutions, the encoder's maps added, pictures summed on the way up.

    Args:
        widths: channels from the lowest resolution to the picture's.
    """

    def __init__(self, widths: Sequence[int], style: int) -> None:
        super().__init__()
        self.first = _StyledConv(widths[0], widths[0], style)
        self.enlarge = nn.ModuleList(_StyledConv(before, after, style, up=True) for before, after in pairwise(widths))
        self.refine = nn.ModuleList(_StyledConv(channels, channels, style) for channels in widths[1:])
        self.pictures = nn.ModuleList(_ToRGB(channels, style) for channels in widths)

    def forward(self, x: Tensor, skips: Sequence[Tensor], style: Tensor) -> Tensor:
        x = self.first(x, style)
        picture = self.pictures[0](x, style)
        for enlarge, refine, to_rgb, skip in zip(self.enlarge, self.refine, self.pictures[1:], skips, strict=True):
            x = refine(enlarge(x, style, skip), style)
            picture = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False) + to_rgb(x, style)
        return picture


class _Manipulation(nn.Module):
    """Style manipulation (section 3.4): half of a map's elements, at random, give way to a map made of the style code.

    What remains is pooled to a second code, so a style knows both noise and picture. Evaluation takes the mean over
    the random choice, half of each, where the published code goes on drawing.
    """

    SIDE = 16  # of the map that the style code makes, resized to whatever is needed

    def __init__(self, width: int, latent: int, style: int) -> None:
        super().__init__()
        self.to_map = _Linear(latent, self.SIDE**2)
        self.shrink = nn.Sequential(*(_Conv(width, width, stride=2) for _ in range(3)))
        self.to_style = _Linear(width, style)

    def forward(self, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        made = _leaky(self.to_map(code)).view(-1, 1, self.SIDE, self.SIDE)
        made = F.interpolate(made, size=x.shape[-2:], mode="bilinear", align_corners=False)
        # Half of the places, of each channel its own; in evaluation half of each.
        keep = (rng.uniform_for(x, *x.shape[1:]) < 0.5).to(x.dtype) if self.training else 0.5
        x = keep * x + (1 - keep) * made
        pooled = _leaky(self.to_style(self.shrink(x).mean(dim=(2, 3))))
        return x, torch.cat([code, pooled], dim=1)


# ---- the network ----------------------------------------------------------------------------------------------------


class MAT(nn.Module):
    """Mask-aware transformer: a first stage whose tokens see valid tokens alone, and a convolutional second stage.

    First stage: partial convolutions down to tokens, five groups of window attention blocks down and up again, and a
    style-modulated decoder. Its picture, pasted into the hole, goes through the second: a strided encoder and a
    decoder like StyleGAN2's. In training every call draws latents and noise (from the global generators, which
    `InpaintingGAN` seeds for each update); in evaluation nothing is random, and the style code is the running mean of
    those seen unless a latent is given: different latents paint differently.

    As published the input is ``valid - 1/2`` (1 = known) and the picture in [-1, 1] with 0 in its hole; the output is
    not bounded; learning rates are equalised. The first stage's picture is `Outputs.coarse`.

    Departures from the published code: validity is exact (a window of missing tokens gives 0, there their mean) and
    holds until the style code has filled every token, after the middle group (there it is dropped before that group);
    partial convolutions do not read missing positions; sums of maps are divided by the root of 2, without which the
    first outputs are 30 times too large; nothing is random in evaluation; maps are enlarged bilinearly before a
    convolution and shrunk by its stride, where StyleGAN2 filters after and before it; windows are cut, not wrapped, at
    the borders; no truncation and no style mixing; any size.

    Args:
        width: channels of a token, divided by `heads`.
        heads: of the attention.
        depths: attention blocks in each group; an odd number of groups, which halve the resolution up to the middle
            one and double it after.
        windows: side of the attention windows in each group, in tokens.
        expansion: of the channels inside a block's perceptron.
        halvings: from the picture to the tokens (published: 3 for 512 px, 2 for 256 px).
        base, most: channels of the second stage at the picture's resolution, doubled at each halving up to `most`.
        latent: length of the latent and of the code that the mapping network makes of it.
        mapping: layers of the mapping network, whose learning rate is 0.01 of the others'.
        style: length of the codes pooled from the picture.

    Raises:
        Refused: a number that is not whole or below 1, heads that do not divide the width, or groups that do not match.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple`).
    """

    returns = ("coarse",)
    running = ("mean_code",)  # what training moves besides the parameters
    mean_code: Tensor

    def __init__(
        self,
        width: int = 180,
        heads: int = 6,
        depths: Sequence[int] = (2, 3, 4, 3, 2),
        windows: Sequence[int] = (8, 16, 16, 16, 8),
        expansion: int = 4,
        halvings: int = 3,
        base: int = 64,
        most: int = 512,
        latent: int = 512,
        mapping: int = 8,
        style: int = 1024,
    ) -> None:
        super().__init__()
        groups = [("depths", depth) for depth in depths] + [("windows", side) for side in windows]
        for name, value in (
            *(("width", width), ("heads", heads), ("expansion", expansion), ("halvings", halvings), ("base", base)),
            *(("most", most), ("latent", latent), ("mapping", mapping), ("style", style), *groups),
        ):
            whole(f"generator.{name}", value, 1)
        if width % heads:
            raise Refused(f"generator.heads: {heads} heads do not divide {width} channels (generator.width)")
        if len(depths) % 2 == 0 or len(depths) != len(windows):
            counts = f"{len(depths)} and {len(windows)}"
            raise Refused(f"generator.depths, generator.windows: {counts} groups; give the same odd number of both")
        self.middle = len(depths) // 2
        lowest = halvings + self.middle  # halvings from the picture to the smallest map
        self.multiple = 2**lowest
        self.latent = latent
        self.mapping = nn.ModuleList(_Linear(latent, latent, speed=0.01) for _ in range(mapping))
        self.register_buffer("mean_code", torch.zeros(latent))

        self.head = nn.ModuleList(
            [_PartialConv(4, width), *(_PartialConv(width, width, stride=2) for _ in range(halvings))]
        )
        factors = [1.0, *[0.5] * self.middle, *[2.0] * self.middle]
        self.body = nn.ModuleList(
            _Stage(width, heads, depth, window, expansion, factor)
            for depth, window, factor in zip(depths, windows, factors, strict=True)
        )
        self.coarse_style = _Manipulation(width, latent, style)
        self.coarse_decoder = _Decoder([width] * (halvings + 1), latent + style)

        widths = [min(base * 2**level, most) for level in range(lowest + 1)]
        self.encoder = nn.ModuleList([nn.Sequential(_Conv(7, widths[0], kernel=1), _Conv(widths[0], widths[0]))])
        for before, after in pairwise(widths):
            self.encoder.append(nn.Sequential(_Conv(before, after, stride=2), _Conv(after, after)))
        self.fine_style = _Manipulation(widths[-1], latent, style)
        self.fine_decoder = _Decoder(widths[::-1], latent + style)

    def forward(self, image: Tensor, mask: Tensor, latent: Tensor | None = None) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read.

        latent ``(B, latent)``, standard normal, chooses one of the many ways to fill a hole.
        """
        height, width = image.shape[-2:]
        known, hole = pad_to_multiple(image, mask, self.multiple)
        valid, known = 1 - hole, torch.where(hole > 0.5, 0, known)
        code = self._code(known, latent)
        coarse = self._first_stage(known, valid, code)
        pasted = torch.where(hole > 0.5, coarse, known)
        maps = [torch.cat([valid - 0.5, pasted, known], dim=1)]
        for layer in self.encoder:
            maps.append(layer(maps[-1]))
        lowest, style = self.fine_style(maps[-1], code)
        fine = self.fine_decoder(lowest, maps[-2:0:-1], style)
        return compose(fine[..., :height, :width], image, mask, coarse[..., :height, :width])

    def _first_stage(self, known: Tensor, valid: Tensor, code: Tensor) -> Tensor:
        x, seen, maps = torch.cat([valid - 0.5, known], dim=1), valid, []
        for layer in self.head:
            x, seen = layer(x, seen)
            maps.append(x)
        skips = []
        for place, stage in enumerate(self.body):
            x, seen = stage(x, seen)
            if place < self.middle:
                skips.append(x)
            elif place == self.middle:
                x, style = self.coarse_style(x, code)
                seen = torch.ones_like(seen)  # it has put something everywhere
            else:
                x = _sum(x, skips.pop())
        return self.coarse_decoder(x, maps[-2::-1], style)

    def _code(self, like: Tensor, latent: Tensor | None) -> Tensor:
        """A style code for each sample, ``(B, latent)``."""
        if latent is None and not self.training:
            return self.mean_code.expand(len(like), -1)
        code = latent if latent is not None else rng.normal_for(like, self.latent)
        code = code * (code.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            code = _leaky(layer(code))
        if self.training:
            self.mean_code.lerp_(code.detach().float().mean(dim=0), 1 - MEMORY)
        return code
