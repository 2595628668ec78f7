"""The one contract of every exported graph, which is LaMa's, and networks that come in it.

``(image, mask) -> composite``: image float32 ``(1, 3, H, W)`` in [0, 1], mask ``(1, 1, H, W)``, of which more than 0.5
is hole, composite ``(1, 3, H, W)`` in [0, 1], whose known pixels are the image's, to the bit. The padding to the sizes
that a network needs is inside. TorchScript files of LaMa, as IOPaint loads them, keep it too.
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
    """A generator of this project, ``[-1, 1]`` to ``[-1, 1]``, behind the contract."""

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


class Exported(nn.Module):
    """A graph that keeps the contract, as a generator: ``(image in [-1, 1], mask) -> Outputs``, any batch.

    Args:
        graph: the contract's function.
        file: for messages.
        smallest, largest: pixels a side of the pictures that it takes; smaller ones are extended by their borders.

    Raises:
        Refused: by a call, a picture is larger, or the graph fails or makes something else of it than a picture.
    """

    def __init__(
        self, graph: Callable[[Tensor, Tensor], Tensor], file: str, smallest: int = 1, largest: int | None = None
    ) -> None:
        super().__init__()
        self.graph, self.file, self.smallest, self.largest = graph, file, smallest, largest

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Paint the picture: the pixels of `image` inside the hole are not read."""
        if self.largest is not None and max(image.shape[-2:]) > self.largest:
            raise Refused(
                f"checkpoint: {self.file} takes pictures of at most {self.largest} pixels a side, and one has "
                f"{max(image.shape[-2:])}; show it parts (strategy=crop or strategy=tile), or take model.safetensors"
            )
        seen, hole = pad_to_multiple(image, mask, 1, self.smallest)
        seen = (seen + 1) / 2 * (1 - hole)
        height, width = seen.shape[-2:]
        with refused_if_it_fails(f"checkpoint: {self.file} cannot paint a picture of {width} x {height} pixels"):
            # Copies: a program may write into what it is given, and the mask is that of all other methods too.
            painted = [self.graph(*pair) for pair in zip(seen.split(1), hole.clone().split(1), strict=True)]
        for each in painted:
            is_picture = isinstance(each, Tensor) and each.is_floating_point() and each.shape == (1, 3, height, width)
            if not is_picture:
                made = f"{each.dtype} {tuple(each.shape)}" if isinstance(each, Tensor) else type(each).__name__
                raise Refused(
                    f"checkpoint: {self.file} makes {made} of a picture of {width} x {height} pixels; what is needed "
                    f"is float32 (1, 3, {height}, {width})"
                )
        return compose(crop(torch.cat(painted).to(image.dtype) * 2 - 1, image), image, mask)


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


def draws_noise(generator: nn.Module, device: str = "cpu") -> bool:
    """Whether a generator, which is on `device`, paints two samples of one picture differently."""
    image, mask = (x.to(device) for x in example(SMALLEST, SMALLEST))
    painted = []
    for key in (1, 2):
        with torch.inference_mode(), rng.of_samples(torch.tensor([key], device=device)):
            painted.append(generator((image * 2 - 1) * (1 - mask), mask).composite)
    first, second = painted
    return not torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)
