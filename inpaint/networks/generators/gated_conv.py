"""Free-Form Image Inpainting with Gated Convolution (Yu, Lin, Yang, Shen, Lu, Huang, ICCV 2019): DeepFill v2."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.networks.layers import asked_for, crop, exact, pad_to_multiple
from inpaint.settings import Refused, whole_numbers

PATCH = 3  # side of the patches that attention compares, at half the resolution of the features
RATE = 2  # it pastes patches of twice this side, which overlap by half


class DeepFillV2(nn.Module):
    """Coarse network, then refinement with contextual attention, all of gated convolutions.

    The coarse network sees the picture with its hole at 0, a channel of ones and the mask. Its tanh picture is pasted
    into the hole, and of that alone the refinement sees two copies: a branch with a dilated middle and a branch with
    `ContextualAttention` meet in one decoder, tanh again. A gated convolution gives half the channels that its
    convolution has, so the features are half as wide as the numbers say. 4,052,478 parameters at the published width,
    of which the coarse network has 1,631,151. Weights start as in Glorot and Bengio 2010, which is TensorFlow's default
    and thereby the authors'. Padding is symmetric, where TensorFlow's "same" puts the odd pixel below and right.

    Args:
        width: channels of the first convolution, a multiple of 4 (published: 48).
        rates: dilations of both dilated middles (published: 2, 4, 8, 16).
        softmax_scale: sharpness of the attention (published: 10).

    Raises:
        Refused: a width that cannot be halved twice, a number that is not whole or below 1.

    Shapes: image ``(B, 3, H, W)`` in [-1, 1], mask ``(B, 1, H, W)``; any H, W (padded to `multiple`). `Outputs.coarse`
    is the picture of the first network.
    """

    returns = ("coarse",)
    multiple = 8
    memory_format = "contiguous"  # faster than channels_last on a processor (experiments/benchmarks)

    def __init__(self, width: int = 48, rates: Sequence[int] = (2, 4, 8, 16), softmax_scale: float = 10.0) -> None:
        super().__init__()
        whole_numbers("generator", width=width, rates=rates)
        if width % 4:
            raise Refused(f"generator.width: give a multiple of 4 channels; got {width}")
        c = width

        def encoder(seen: int, *channels: int) -> list[nn.Module]:
            """Down to a quarter of the resolution in six layers."""
            inputs = [seen, *(number // 2 for number in channels)]
            kernels, strides = (5, 3, 3, 3, 3, 3), (1, 2, 1, 2, 1, 1)
            return [GatedConv(*layer) for layer in zip(inputs, channels, kernels, strides, strict=False)]

        def dilated() -> list[nn.Module]:
            return [GatedConv(2 * c, 4 * c, rate=rate) for rate in rates]

        def decoder(seen: int) -> list[nn.Module]:
            """Back to the full resolution and to a picture."""
            return [
                *(GatedConv(seen, 4 * c), GatedConv(2 * c, 4 * c)),
                *(nn.Upsample(scale_factor=2.0), GatedConv(2 * c, 2 * c), GatedConv(c, 2 * c)),
                *(nn.Upsample(scale_factor=2.0), GatedConv(c, c), GatedConv(c // 2, c // 2)),
                *(nn.Conv2d(c // 4, 3, 3, padding=1), nn.Tanh()),
            ]

        self.coarse = nn.Sequential(*encoder(5, c, 2 * c, 2 * c, 4 * c, 4 * c, 4 * c), *dilated(), *decoder(2 * c))
        self.dilated_branch = nn.Sequential(*encoder(3, c, c, 2 * c, 2 * c, 4 * c, 4 * c), *dilated())
        self.before_attention = nn.Sequential(
            *encoder(3, c, c, 2 * c, 4 * c, 4 * c), GatedConv(2 * c, 4 * c, activation=nn.ReLU())
        )
        self.attention = ContextualAttention(softmax_scale)
        self.after_attention = nn.Sequential(GatedConv(2 * c, 4 * c), GatedConv(2 * c, 4 * c))
        self.decoder = nn.Sequential(*decoder(4 * c))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture twice: the pixels of `image` inside the hole are not read."""
        known, hole = pad_to_multiple(image, mask, self.multiple)
        known = torch.where(hole > 0.5, 0.0, known)
        coarse = self.coarse(torch.cat([known, torch.ones_like(hole), hole], dim=1))

        pasted = torch.where(hole > 0.5, coarse.to(known.dtype), known)
        attended = self.attention(self.before_attention(pasted), F.max_pool2d(hole, 4))
        branches = [self.dilated_branch(pasted), self.after_attention(attended)]
        output = self.decoder(torch.cat(branches, dim=1))
        return compose(crop(output, image), image, mask, crop(coarse, image))


class GatedConv(nn.Module):
    """One convolution, half of whose channels gate the other half: ``activation(a) * sigmoid(b)``.

    `channels` counts both halves, as the paper's numbers do: half as many come out.
    """

    def __init__(
        self,
        seen: int,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        rate: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(seen, channels, kernel, stride, rate * (kernel // 2), rate)
        self.activation = activation or nn.ELU()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, seen, H, W)`` to ``(B, channels / 2, H / stride, W / stride)``."""
        features, gate = self.conv(x).chunk(2, dim=1)
        return self.activation(features) * gate.sigmoid()


class ContextualAttention(nn.Module):
    """Rebuild features from known patches of the same picture (Yu et al. 2018, section 4.1, as DeepFill v2 uses it).

    Every place is compared with every known patch: 3 x 3 at half the resolution, the inner product over the norm of the
    known patch. Scores are summed along the diagonal of neighbouring places and neighbouring patches, first along rows,
    then along columns, so that neighbours tend to be copied together. A softmax over the patches weighs the raw
    patches, 4 x 4 at full resolution, which are pasted over each other and averaged. A patch is known if no cell of it
    holds a hole pixel; others have score 0 in the softmax, the least that features of a ReLU have, and weight 0 after
    it. Each sample has its own mask and its own patches. Scores and softmax are float32 under mixed precision. N places
    cost N^2 numbers a sample: 4 MB for 64 x 64 features, 16 times that for twice the side.

    Departures from the released code: it takes the mask of the smaller map from every second place, so that thin
    strokes on the others are lost and their patches count as known (a hole of one odd row leaves 384 known there, 312
    here); and it divides the sum of pasted patches by 4 everywhere, also in the outermost ring, where fewer overlap.

    Args:
        scale: factor of the scores in the softmax.

    Shapes: features ``(B, C, H, W)``, mask ``(B, 1, H, W)`` with 1 = hole; H and W even; returns ``(B, C, H, W)``.
    """

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Every place as a mean of known patches, by how alike they are."""
        with exact(features):
            return self._rebuild(features.float(), mask.float()).to(features.dtype)

    def _rebuild(self, features: Tensor, mask: Tensor) -> Tensor:
        weights = self._weights(features, mask)
        layout = {"kernel_size": 2 * RATE, "stride": RATE, "padding": RATE // 2}
        pasted = F.fold(F.unfold(features, **layout) @ weights, features.shape[-2:], **layout)
        times = F.fold(F.unfold(torch.ones_like(features[:1, :1]), **layout), features.shape[-2:], **layout)
        return pasted / times

    def _weights(self, features: Tensor, mask: Tensor) -> Tensor:
        """How much of each patch goes to each place, at half the resolution: ``(B, N patches, N places)``."""
        small = features[..., ::RATE, ::RATE]
        patches = F.unfold(small, PATCH, padding=PATCH // 2)
        unit = patches / patches.norm(dim=1, keepdim=True).clamp_min(1e-4)
        scores = _fuse(unit.transpose(1, 2) @ patches, small.shape[-2:])

        touched = F.max_pool2d(F.max_pool2d(mask, RATE), PATCH, 1, PATCH // 2)
        known = (touched < 0.5).to(scores.dtype).flatten(1)[:, :, None]
        return torch.softmax(scores * known * self.scale, dim=1) * known

    def attended(self, features: Tensor, mask: Tensor, asking: Tensor) -> Tensor:
        """What each place gets of the attention of those in `asking`, as in `inpaint.evaluation.dependence`.

        Where no patch is known, as where all of a picture is hole, that is nothing.
        """
        with exact(features):
            weights = self._weights(features.float(), mask.float())
            share = asked_for(asking, features[..., ::RATE, ::RATE])
            found = (weights @ share.flatten(2).mT).mT.unflatten(2, share.shape[-2:])
            return found / found.sum((2, 3), keepdim=True).clamp_min(1e-12)


def _fuse(scores: Tensor, size: Sequence[int]) -> Tensor:
    """Add what neighbouring places score with neighbouring patches: ``(B, N patches, N places)`` to the same."""
    batch, (rows, columns) = len(scores), size
    by_columns = _diagonal(scores).view(batch, rows, columns, rows, columns).permute(0, 2, 1, 4, 3)
    fused = _diagonal(by_columns.reshape(batch, rows * columns, -1)).view(batch, columns, rows, columns, rows)
    return fused.permute(0, 2, 1, 4, 3).reshape(batch, rows * columns, -1)


def _diagonal(scores: Tensor) -> Tensor:
    padded = F.pad(scores, (1, 1, 1, 1))
    return padded[:, :-2, :-2] + scores + padded[:, 2:, 2:]
