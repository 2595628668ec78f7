"""MAT: Mask-Aware Transformer for Large Hole Image Inpainting (Li, Lin, Zhou, Qi, Wang, Jia, CVPR 2022)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Outputs, compose
from inpaint.networks.layers import checkpointed, crop, directly, pad_to_multiple
from inpaint.networks.mat_layers import (
    EqualConv,
    EqualLinear,
    EqualPartialConv,
    Stage,
    StyledConv,
    ToRGB,
    leaky,
    scaled_sum,
)
from inpaint.settings import Refused, whole, whole_numbers

MEMORY = 0.995  # of the running mean of the style codes


class _Manipulation(nn.Module):
    """Style manipulation (section 3.4): half of a map's elements, at random, give way to a map made of the style code.

    What remains is pooled to a second code, so a style knows both noise and picture. Evaluation takes the mean over
    the random choice, half of each, where the published code goes on drawing.

    Args:
        width: channels of the map.
        code: length of the style code.
        pooled: length of the second code.
        narrow: the style code is first made as long as the map has channels.
        shrinks: halvings of the map before it is pooled.

    ``(B, width, H, W)`` and ``(B, code)`` to the map and the style ``(B, length)``, both codes in a row.
    """

    SIDE = 16  # of the map that the style code makes, resized to whatever is needed

    def __init__(self, width: int, code: int, pooled: int, narrow: bool, shrinks: int) -> None:
        super().__init__()
        self.narrow = EqualLinear(code, width) if narrow else None
        code = width if narrow else code
        self.to_map = EqualLinear(code, self.SIDE**2)
        self.shrink = nn.Sequential(*(EqualConv(width, width, stride=2) for _ in range(shrinks)))
        self.to_style = EqualLinear(width, pooled)
        self.length = code + pooled

    def forward(self, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        if self.narrow is not None:
            code = leaky(self.narrow(code))
        made = leaky(self.to_map(code)).view(-1, 1, self.SIDE, self.SIDE)
        made = F.interpolate(made, size=x.shape[-2:], mode="bilinear", align_corners=False)
        # Half of the places, of each channel its own; in evaluation half of each.
        keep = (rng.uniform_for(x, *x.shape[1:]) < 0.5).to(x.dtype) if self.training else 0.5
        x = keep * x + (1 - keep) * made
        pooled = leaky(self.to_style(self.shrink(x).mean(dim=(2, 3))))
        return x, torch.cat([code, pooled], dim=1)


class _Decoder(nn.Module):
    """From the lowest map to a picture: enlarged by styled convolutions, the encoder's maps added, pictures summed.

    Args:
        widths: channels from the lowest resolution to the picture's.
        style: length of the style.
        noise: what the styled convolutions add.
    """

    checkpointing = False  # as of `MAT`, which sets it

    def __init__(self, widths: Sequence[int], style: int, noise: bool = True) -> None:
        super().__init__()
        self.enlarge = nn.ModuleList(
            StyledConv(before, after, style, up=True, noise=noise) for before, after in pairwise(widths)
        )
        self.refine = nn.ModuleList(StyledConv(channels, channels, style, noise=noise) for channels in widths[1:])
        self.pictures = nn.ModuleList(ToRGB(channels, style) for channels in widths[1:])

    def start(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor | None]:
        """The lowest map, and the picture there if it has one."""
        return x, None

    def forward(self, x: Tensor, skips: Sequence[Tensor], style: Tensor) -> Tensor:
        run = checkpointed if self.checkpointing else directly
        x, picture = self.start(x, style)
        upper = self.pictures[-len(self.enlarge) :]
        for enlarge, refine, to_rgb, skip in zip(self.enlarge, self.refine, upper, skips, strict=True):
            x = run(refine, run(enlarge, x, style, skip), style)
            finer = to_rgb(x, style)
            if picture is not None:
                finer = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False) + finer
            picture = finer
        assert picture is not None
        return picture


class _FineDecoder(_Decoder):
    """The second stage's: a convolution and its input, then a styled one, with a picture of the lowest map."""

    def __init__(self, widths: Sequence[int], style: int) -> None:
        super().__init__(widths, style)
        self.plain = EqualConv(widths[0], widths[0])
        self.first = StyledConv(widths[0], widths[0], style)
        self.pictures.insert(0, ToRGB(widths[0], style))

    def start(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.first(scaled_sum(self.plain(x), x), style)
        return x, self.pictures[0](x, style)


class MAT(nn.Module):
    """Mask-aware transformer: a first stage whose tokens see valid tokens alone, and a convolutional second stage.

    First stage: partial convolutions down to tokens, five groups of window attention blocks down and up again, and a
    style-modulated decoder. Its picture, pasted into the hole, goes through the second: a strided encoder and a
    decoder like StyleGAN2's. In training every call draws latents and noise (from the global generators, which
    `InpaintingGAN` seeds for each update); in evaluation nothing is random, and the style code is the running mean of
    those seen unless a latent is given: different latents paint differently.

    As published the input is ``valid - 1/2`` (1 = known) and the picture in [-1, 1] with 0 in its hole; the output is
    not bounded; learning rates are equalised; the defaults have the 61,562,518 parameters of the released generator for
    512 px. The first stage's picture is `Outputs.coarse`. `UniformMAT` is a variant whose stages are alike.

    Departures from the released code: validity is exact (a window of missing tokens gives 0, there their mean) and
    holds until the style code has filled every token, after the middle group (there it is dropped before that group);
    partial convolutions are those of Liu et al. 2018, see `EqualPartialConv`; sums of maps are divided by the root of
    2, without which the first outputs are 30 times too large; the first stage's style map is square, which differs
    where its lowest map is not 16 x 16; nothing is random in evaluation; maps are enlarged bilinearly before a
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
        checkpointing: what a layer or group computes is computed once more on the way back and not kept, which takes
            more time and less memory; the figures stay the same.

    Raises:
        Refused: a number that is not whole or below 1, heads that do not divide the width, or groups that do not match.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple`).
    """

    returns = ("coarse",)
    needs = ("latent",)
    running = ("mean_code",)  # what training moves besides the parameters
    mean_code: Tensor

    def __init__(
        self,
        width: int = 180,
        heads: int = 6,
        depths: Sequence[int] = (2, 3, 4, 3, 2),
        windows: Sequence[int] = (8, 16, 16, 16, 8),
        expansion: int = 2,
        halvings: int = 3,
        base: int = 64,
        most: int = 512,
        latent: int = 512,
        mapping: int = 8,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        whole_numbers("generator", width=width, heads=heads, depths=depths, windows=windows, expansion=expansion)
        whole_numbers("generator", halvings=halvings, base=base, most=most, latent=latent, mapping=mapping)
        if width % heads:
            raise Refused(f"generator.heads: {heads} heads do not divide {width} channels (generator.width)")
        if len(depths) % 2 == 0 or len(depths) != len(windows):
            counts = f"{len(depths)} and {len(windows)}"
            raise Refused(f"generator.depths, generator.windows: {counts} groups; give the same odd number of both")
        self.middle = len(depths) // 2
        lowest = halvings + self.middle  # halvings from the picture to the smallest map
        self.multiple = 2**lowest
        self.latent = latent
        self.mapping = nn.ModuleList(EqualLinear(latent, latent, speed=0.01) for _ in range(mapping))
        self.register_buffer("mean_code", torch.zeros(latent))

        self.head = nn.ModuleList(
            [EqualPartialConv(4, width), *(EqualPartialConv(width, width, stride=2) for _ in range(halvings))]
        )
        factors = [1.0, *[0.5] * self.middle, *[2.0] * self.middle]
        self.body = nn.ModuleList(
            Stage(width, heads, depth, window, expansion, factor)
            for depth, window, factor in zip(depths, windows, factors, strict=True)
        )
        widths = [min(base * 2**level, most) for level in range(lowest + 1)]
        first = nn.Sequential(EqualConv(7, widths[0], kernel=1), EqualConv(widths[0], widths[0]))
        self.encoder = nn.ModuleList([first])
        for before, after in pairwise(widths):
            self.encoder.append(nn.Sequential(EqualConv(before, after, stride=2), EqualConv(after, after)))
        self._make_styled([width] * (halvings + 1), widths[::-1], latent)
        self.checkpointing = self.coarse_decoder.checkpointing = self.fine_decoder.checkpointing = checkpointing

    def _make_styled(self, coarse: Sequence[int], fine: Sequence[int], latent: int) -> None:
        """Make what the style code controls.

        Args:
            coarse, fine: channels of both decoders, from the lowest resolution to the picture's.
            latent: length of the style code.
        """
        width = coarse[0]
        self.coarse_style = _Manipulation(width, latent, 2 * width, narrow=True, shrinks=4)
        self.coarse_decoder = _Decoder(coarse, self.coarse_style.length, noise=False)
        self.fine_style = _Manipulation(fine[0], latent, 2 * fine[0], narrow=False, shrinks=3)
        self.fine_decoder: _Decoder = _FineDecoder(fine, self.fine_style.length)

    def forward(self, image: Tensor, mask: Tensor, latent: Tensor | None = None) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read.

        latent ``(B, latent)``, standard normal, chooses one of the many ways to fill a hole.
        """
        known, hole = pad_to_multiple(image, mask, self.multiple)
        valid, known = 1 - hole, torch.where(hole > 0.5, 0, known)
        code = self._code(known, latent)
        coarse = self._first_stage(known, valid, code)
        pasted = torch.where(hole > 0.5, coarse, known)
        maps = [torch.cat([valid - 0.5, pasted, known], dim=1)]
        run = checkpointed if self.checkpointing else directly
        for layer in self.encoder:
            maps.append(run(layer, maps[-1]))
        lowest, style = self.fine_style(maps[-1], code)
        fine = self.fine_decoder(lowest, maps[-2:0:-1], style)
        return compose(crop(fine, image), image, mask, crop(coarse, image))

    def _first_stage(self, known: Tensor, valid: Tensor, code: Tensor) -> Tensor:
        run = checkpointed if self.checkpointing else directly
        x, seen, maps = torch.cat([valid - 0.5, known], dim=1), valid, []
        for layer in self.head:
            x, seen = run(layer, x, seen)
            maps.append(x)
        skips = []
        for place, stage in enumerate(self.body):
            x, seen = run(stage, x, seen)
            if place < self.middle:
                skips.append(x)
            elif place == self.middle:
                x, style = self.coarse_style(x, code)
                seen = torch.ones_like(seen)  # it has put something everywhere
            else:
                x = scaled_sum(x, skips.pop())
        return self.coarse_decoder(x, maps[-2::-1], style)

    def _code(self, like: Tensor, latent: Tensor | None) -> Tensor:
        """A style code for each sample, ``(B, latent)``."""
        if latent is None and not self.training:
            return self.mean_code.expand(len(like), -1)
        code = latent if latent is not None else rng.normal_for(like, self.latent)
        code = code * (code.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            code = leaky(layer(code))
        if self.training:
            self.mean_code.lerp_(code.detach().float().mean(dim=0), 1 - MEMORY)
        return code


class _UniformDecoder(_Decoder):
    """Both stages' in `UniformMAT`: a styled convolution and a picture of the lowest map."""

    def __init__(self, widths: Sequence[int], style: int) -> None:
        super().__init__(widths, style)
        self.first = StyledConv(widths[0], widths[0], style)
        self.pictures.insert(0, ToRGB(widths[0], style))

    def start(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.first(x, style)
        return x, self.pictures[0](x, style)


class UniformMAT(MAT):
    """MAT with the style manipulation and the decoder of its second stage in the first as well, and wider perceptrons.

    63,302,376 parameters at the published widths. It is what `MAT` was in checkpoints that have `style`, which are
    loaded as this one.

    Args:
        expansion: of the channels inside a block's perceptron.
        style: length of the codes pooled from the picture.
        settings: the others of `MAT`.

    Raises:
        Refused: as `MAT`.
    """

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
        checkpointing: bool = False,
    ) -> None:
        self.pooled = whole("generator.style", style, 1)
        super().__init__(width, heads, depths, windows, expansion, halvings, base, most, latent, mapping, checkpointing)

    def _make_styled(self, coarse: Sequence[int], fine: Sequence[int], latent: int) -> None:
        """Make what the style code controls."""
        length = latent + self.pooled
        self.coarse_style = _Manipulation(coarse[0], latent, self.pooled, narrow=False, shrinks=3)
        self.coarse_decoder: _Decoder = _UniformDecoder(coarse, length)
        self.fine_style = _Manipulation(fine[0], latent, self.pooled, narrow=False, shrinks=3)
        self.fine_decoder = _UniformDecoder(fine, length)
