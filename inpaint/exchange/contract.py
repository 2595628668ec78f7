"""The contracts of exported graphs, and networks that come in them.

One that fills holes keeps LaMa's, ``(image, mask) -> composite``: image float32 ``(1, 3, H, W)`` in [0, 1], mask
``(1, 1, H, W)``, of which more than 0.5 is hole, composite ``(1, 3, H, W)`` in [0, 1], whose known pixels are the
image's, to the bit. TorchScript files of LaMa, as IOPaint loads them, keep it too. One that restores whole pictures has
no mask, ``image -> restored``: ``(1, 3, H, W)`` to ``(1, 3, scale * H, scale * W)``, both in [0, 1]. The padding to the
sizes that a network needs is inside.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Outputs, compose
from inpaint.metrics.foreign import refused_if_it_fails
from inpaint.networks.layers import crop, pad_to_multiple
from inpaint.portable import LARGEST, SMALLEST
from inpaint.settings import Refused


class Contract(nn.Module):
    """A generator of this project that fills holes, ``[-1, 1]`` to ``[-1, 1]``, behind the contract."""

    inputs = ("image", "mask")

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """The composite, ``(1, 3, H, W)`` in [0, 1]."""
        if torch.compiler.is_exporting():
            for axis in (2, 3):
                torch._check(mask.shape[axis] == image.shape[axis])
        hole = (mask > 0.5).to(image.dtype)
        output = (self.generator((image * 2 - 1) * (1 - hole), hole).composite + 1) / 2
        return torch.where(hole > 0.5, output.clamp(0, 1), image)


class Restoring(nn.Module):
    """One that restores whole pictures, likewise.

    Args:
        generator: it.
        scale: how many times more pixels a side it makes.
    """

    inputs = ("image",)

    def __init__(self, generator: nn.Module, scale: int) -> None:
        super().__init__()
        self.generator, self.scale = generator, scale

    def forward(self, image: Tensor) -> Tensor:
        """The restored picture, ``(1, 3, scale * H, scale * W)`` in [0, 1]."""
        height, width = (self.scale * side for side in image.shape[2:])
        return (self.generator(image * 2 - 1, image.new_ones(1, 1, height, width)).output.clamp(-1, 1) + 1) / 2


class Exported(nn.Module):
    """A graph that keeps a contract, as a generator: ``(image in [-1, 1], mask) -> Outputs``, any batch.

    Args:
        graph: the contract's function.
        file: for messages.
        smallest, largest: pixels a side of the pictures that it takes; smaller ones are extended by their borders.
        scale: of one that restores whole pictures, how many times more pixels a side it makes; None fills holes.

    Raises:
        Refused: by a call, a picture is larger, or the graph fails or makes something else of it than a picture.
    """

    def __init__(
        self,
        graph: Callable[..., Tensor],
        file: str,
        smallest: int = 1,
        largest: int | None = None,
        scale: int | None = None,
    ) -> None:
        super().__init__()
        self.graph, self.file, self.smallest, self.largest, self.scale = graph, file, smallest, largest, scale

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: where holes are filled, the pixels of `image` inside them are not read."""
        if self.largest is not None and max(image.shape[-2:]) > self.largest:
            raise Refused(
                f"checkpoint: {self.file} takes pictures of at most {self.largest} pixels a side, and one has "
                f"{max(image.shape[-2:])}; show it parts (strategy=crop or strategy=tile), or take model.safetensors"
            )
        seen, hole = pad_to_multiple(image, mask if self.scale is None else image[:, :1], 1, self.smallest)
        height, width = seen.shape[-2:]
        # Copies: a program may write into what it is given, and the mask is that of all other methods too.
        inputs = [(seen + 1) / 2] if self.scale is not None else [(seen + 1) / 2 * (1 - hole), hole.clone()]
        with refused_if_it_fails(f"checkpoint: {self.file} cannot paint a picture of {width} x {height} pixels"):
            painted = [self.graph(*sample) for sample in zip(*(x.split(1) for x in inputs), strict=True)]
        wanted = (1, 3, (self.scale or 1) * height, (self.scale or 1) * width)
        for each in painted:
            if not (isinstance(each, Tensor) and each.is_floating_point() and each.shape == wanted):
                made = f"{each.dtype} {tuple(each.shape)}" if isinstance(each, Tensor) else type(each).__name__
                raise Refused(
                    f"checkpoint: {self.file} makes {made} of a picture of {width} x {height} pixels; what is needed "
                    f"is float32 {wanted}"
                )
        return compose(crop(torch.cat(painted).to(image.dtype) * 2 - 1, mask), image, mask)


def graph_sizes() -> tuple[int, int]:
    """Pixels a side of the pictures that graphs without loops take."""
    return SMALLEST, LARGEST


def example(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A picture of noise and waves with a hole inside and one at the border, as the contract wants them."""
    keys = torch.tensor([rng.key(height, width)])
    noise = rng.uniform(keys, 3 * height * width).view(1, 3, height, width)
    waves = torch.sin(torch.arange(height)[:, None] * 0.2) * torch.cos(torch.arange(width) * 0.1) / 2 + 0.5
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 4 : height // 2, width // 4 : width // 2] = 1
    mask[..., height // 3 :, -(width // 5) :] = 1
    return (waves + noise) / 2, mask


def draws_noise(generator: nn.Module, device: str = "cpu", scale: int | None = None) -> bool:
    """Whether a generator, which is on `device`, paints two samples of one picture differently.

    Args:
        generator: it.
        device: where it is.
        scale: as of `Exported`.
    """
    image, mask = (x.to(device) for x in example(SMALLEST, SMALLEST))
    if scale is not None:
        mask = image.new_ones(1, 1, scale * SMALLEST, scale * SMALLEST)
    shown = image * 2 - 1 if scale is not None else (image * 2 - 1) * (1 - mask)
    painted = []
    for key in (1, 2):
        with torch.inference_mode(), rng.of_samples(torch.tensor([key], device=device)):
            painted.append(generator(shown, mask).composite)
    first, second = painted
    return not torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)
