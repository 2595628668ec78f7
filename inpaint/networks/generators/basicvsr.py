"""A recurrent network for clips: what it remembers of other frames follows their motion (BasicVSR, small)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs, compose, to_uint8
from inpaint.degradations.tone import luma
from inpaint.fills import harmonic
from inpaint.networks.generators.super_resolution import shuffled
from inpaint.networks.layers import exact
from inpaint.restoration import enlarged
from inpaint.settings import Refused, choice, whole_numbers

SLOPE = 0.1  # of the leaky ReLUs, as published


class BasicVSR(nn.Module):
    """Features that go backward, then forward through a clip, warped by its flow (Chan et al. 2021, arXiv 2012.02181).

    ``h_t = blocks([x_t, warp(h_t+1)])`` from the last frame to the first, likewise from the first to the last, and what
    is added to frame t is made of both. A frame alone is a clip of one, which remembers nothing.

    The flow is not learnt: OpenCV's DIS (Kroeger et al. 2016) looks for it in what is given, on the CPU. Published is a
    SPyNet whose weights are trained elsewhere; without them it would have to be learnt from the clips.

    Args:
        scale: how many times more pixels a side gets: 1, 2, 3, 4 or 8.
        width: channels, 64 as published.
        blocks: residual blocks of each direction, 30 as published.
        start: what is added to: ``given``, as large as the truth by bicubic interpolation, as published but for its
            being bilinear there; or ``harmonic``, for clips with holes, inside of which nothing is read then.
        flow: ``dis``, or ``none``: features stay where they are, for cameras that stand still.

    Raises:
        Refused: a number out of its range, or a word that stands for nothing.

    Shapes: image ``(N, 3, h, w)`` in [-1, 1], mask ``(N, 1, scale * h, scale * w)``, of which `frames` in a row are a
    clip; output ``(N, 3, H, W)``.
    """

    needs = ("frames",)
    multiple = 1

    def __init__(
        self, scale: int = 1, width: int = 32, blocks: int = 5, start: str = "given", flow: str = "dis"
    ) -> None:
        super().__init__()
        whole_numbers("generator", width=width, blocks=blocks)
        self.scale, self.width = scale, width
        self.start = choice("generator.start", start, ("given", "harmonic"))
        if start == "harmonic" and scale > 1:
            raise Refused("generator.start: harmonic fills holes, and generator.scale enlarges; give one of the two")
        self.flow = choice("generator.flow", flow, ("dis", "none"))
        self.backward_in_time, self.forward_in_time = (
            nn.Sequential(
                nn.Conv2d(4 + width, width, 3, padding=1),
                nn.LeakyReLU(SLOPE),
                *(_Block(width) for _ in range(blocks)),
            )
            for _ in range(2)
        )
        self.fuse = nn.Sequential(nn.Conv2d(2 * width, width, 1), nn.LeakyReLU(SLOPE))
        last = nn.Conv2d(width, 3, 3, padding=1)
        self.last = nn.Sequential(
            *shuffled(width, scale, lambda: nn.LeakyReLU(SLOPE)),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            last,
        )
        nn.init.zeros_(last.weight)  # so that it begins as what it adds to
        assert last.bias is not None
        nn.init.zeros_(last.bias)

    def forward(self, image: Tensor, mask: Tensor, frames: int = 1) -> Outputs:
        """Restore clips of so many frames each."""
        base = self.initial_fill(image, mask)
        seen = image if image.shape[2:] != mask.shape[2:] else base
        shown = torch.cat([seen, F.interpolate(mask, size=seen.shape[2:], mode="nearest")], dim=1)
        clips = shown.unflatten(0, (-1, frames)).unbind(dim=1)
        there, back = self._flows(seen, frames)
        # What a frame takes over from the next, where that one shows the same; and from the one before.
        later = _recurrent(self.backward_in_time, clips[::-1], there[::-1])[::-1]
        earlier = _recurrent(self.forward_in_time, clips, back)
        both = torch.stack([torch.cat(pair, dim=1) for pair in zip(later, earlier, strict=True)], dim=1)
        detail = self.last(self.fuse(both.flatten(0, 1)))
        if self.start == "harmonic":
            detail = mask * detail
        return compose(base + detail, image, mask)

    def initial_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """What it adds to, ``(N, 3, H, W)``."""
        return harmonic(image, mask) if self.start == "harmonic" else enlarged(image, mask)

    def _flows(self, seen: Tensor, frames: int) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """From each frame of the clips to the next, and from each to the one before: ``(B, 2, h, w)``, or None."""
        if frames == 1 or self.flow == "none":
            return [None] * (frames - 1), [None] * (frames - 1)
        there, back = _dis(seen, frames)
        return [*there.to(seen.device).unbind(dim=1)], [*back.to(seen.device).unbind(dim=1)]


class _Block(nn.Module):
    """``x + conv(relu(conv(x)))``, 3 x 3, small at the start, as published."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        for layer in (first, second):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data.mul_(0.1)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.inner = nn.Sequential(first, nn.ReLU(), second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def _recurrent(layers: nn.Sequential, frames: tuple[Tensor, ...], flows: list[Tensor | None]) -> list[Tensor]:
    """Features of each frame in turn, ``(B, C, h, w)``, which see those of the one before where the flow leads."""
    first: nn.Conv2d = layers[0]  # type: ignore[assignment]
    batch, inputs, height, width = frames[0].shape
    memory = frames[0].new_zeros(batch, first.in_channels - inputs, height, width)
    made: list[Tensor] = []
    for number, frame in enumerate(frames):
        if number:
            flow = flows[number - 1]
            memory = made[-1] if flow is None else warped(made[-1], flow)
        made.append(layers(torch.cat([frame, memory.to(frame.dtype)], dim=1)))
    return made


def warped(values: Tensor, flow: Tensor) -> Tensor:
    """Values of another frame, ``(B, C, H, W)``, where a flow leads, ``(B, 2, H, W)`` in pixels to the right and down.

    Bilinear; beyond the border they are 0. They have a gradient, the flow has none.
    """
    with exact(values):
        height, width = values.shape[2:]
        columns = 2 * (flow[:, 0] + torch.arange(width, device=flow.device) + 0.5) / width - 1
        rows = 2 * (flow[:, 1] + torch.arange(height, device=flow.device)[:, None] + 0.5) / height - 1
        grid = torch.stack([columns, rows], dim=-1)
        return F.grid_sample(values.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@torch.compiler.disable
@torch.no_grad()
def _dis(seen: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """The flow from each frame to the next, and back, on the CPU: float32 ``(B, frames - 1, 2, h, w)``."""
    from inpaint.pictures.motion import dense

    grey = to_uint8(luma(seen.float()).clamp(-1, 1))[:, 0].cpu().numpy()
    pairs = [number for number in range(len(grey) - 1) if (number + 1) % frames]
    ways = ([dense(grey[n], grey[n + 1]) for n in pairs], [dense(grey[n + 1], grey[n]) for n in pairs])
    there, back = (
        torch.stack([torch.from_numpy(flow).permute(2, 0, 1) for flow in way]).unflatten(0, (-1, frames - 1))
        for way in ways
    )
    return there, back
