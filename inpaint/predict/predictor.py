"""A network with everything that it needs to repair pictures: what the command does to one, for a notebook as well."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inpaint.config import choose_device, load_generator
from inpaint.settings import ConfigError, Refused

if TYPE_CHECKING:
    from torch import Tensor, nn


class NotFinite(ArithmeticError):
    """A network paints what is no picture."""


class Repairer:
    """Paints the holes of pictures with one network; whatever is known stays as it was, bit for bit.

    Args:
        generator: a generator or a fill in evaluation mode, ``(image, mask) -> Outputs``.
        device: where it works.

    Examples:
        >>> import numpy as np, inpaint
        >>> repair = inpaint.load(generator="mean")
        >>> picture = np.zeros((4, 6, 3), dtype=np.uint8)
        >>> picture[:, 3:] = 100
        >>> hole = np.zeros((4, 6), dtype=bool)
        >>> hole[1:3, 2:4] = True
        >>> repair(picture, hole)[1, :, 0].tolist()
        [0, 0, 50, 50, 100, 100]
    """

    def __init__(self, generator: "nn.Module", device: str = "cpu") -> None:
        self.generator, self.device = generator.to(device), device

    def __call__(self, image: Any, mask: Any) -> Any:
        """Repair one picture or, as a tensor, several of one size.

        Args:
            image: an array of numpy ``(H, W, 3)``, uint8 or floats in [0, 1]; or a tensor ``(3, H, W)`` or
                ``(B, 3, H, W)``, uint8 or floats in [-1, 1] as batches have them. RGB, of any size.
            mask: where the hole is: ``(H, W)``, of tensors also ``(1, H, W)`` or ``(B, 1, H, W)``; true and false, 1
                and 0, or 255 and 0.

        Returns:
            The same kind of array with the hole painted.

        Raises:
            Refused: other shapes, types or values.
            NotFinite: pixels of the hole came out NaN or infinite.
        """
        import torch

        from inpaint.batch import Batch, finite, from_uint8, paint, to_uint8

        array = not isinstance(image, torch.Tensor)
        pixels, holes = _tensor("image", image), _tensor("mask", mask)
        if array and pixels.ndim == 3:
            pixels = pixels.permute(2, 0, 1)
        if pixels.ndim not in ((3,) if array else (3, 4)) or pixels.shape[-3] != 3 or not pixels.numel():
            wanted = "(H, W, 3)" if array else "(3, H, W) or (B, 3, H, W)"
            raise Refused(f"image: give RGB, {wanted}; got {tuple(image.shape)}")
        height, width = pixels.shape[-2:]
        batch = pixels.reshape(-1, 3, height, width)
        if holes.shape[-2:] != (height, width) or holes.numel() not in (height * width, len(batch) * height * width):
            raise Refused(f"mask: give one number for each pixel of {height} x {width}; got {tuple(holes.shape)}")
        if not set(holes.unique().tolist()) <= {0, 1} and not set(holes.unique().tolist()) <= {0, 255}:
            raise Refused("mask: give true and false, 1 and 0, or 255 and 0; it has other values")
        hole = (holes != 0).reshape(-1, 1, height, width).expand(len(batch), 1, height, width).to(batch.device)
        least = 0 if array else -1
        if batch.dtype == torch.uint8:
            truth = from_uint8(batch)
        elif not batch.is_floating_point():
            raise Refused(f"image: give uint8 or floats; got {batch.dtype}")
        elif not bool(((batch >= least) & (batch <= 1)).all()):
            raise Refused(f"image: floats are in [{least}, 1]; they lie in [{batch.min():.4g}, {batch.max():.4g}]")
        else:
            truth = batch.float() * 2 - 1 if array else batch.float()
        with torch.inference_mode():
            index = torch.zeros(len(batch), dtype=torch.int64)
            given = Batch(image=truth.to(self.device), mask=hole.float().to(self.device), index=index)
            painted = paint(self.generator, given).composite.float().to(batch.device)
            if not finite(painted).all():
                raise NotFinite("pixels of the hole came out NaN or infinite")
            if batch.dtype == torch.uint8:
                painted = to_uint8(painted)
            else:
                painted = painted.clamp(-1, 1)
                painted = ((painted + 1) / 2 if array else painted).to(batch.dtype)
        # The hole is painted into the original pixels, so nothing outside it can change.
        result = torch.where(hole, painted, batch).reshape(pixels.shape)
        return result.permute(1, 2, 0).contiguous().numpy() if array else result


def _tensor(what: str, values: Any) -> "Tensor":
    """An array or a tensor as a tensor.

    Raises:
        Refused: it is neither, or not of numbers.
    """
    import numpy as np
    import torch

    if isinstance(values, torch.Tensor):
        return values.detach()
    if not isinstance(values, np.ndarray):
        raise Refused(f"{what}: give an array of numpy or a tensor; got {type(values).__name__}")
    try:
        return torch.from_numpy(np.ascontiguousarray(values))
    except TypeError:
        raise Refused(f"{what}: an array of {values.dtype} holds no pixels") from None


def load(checkpoint: str | Path | None, fill: "nn.Module | None", device: str, trust_paths: bool = False) -> Repairer:
    """A trained network from its checkpoint or run folder, or a fill; one of the two.

    Args:
        checkpoint: a checkpoint, or a run folder, of which the newest valid one is taken.
        fill: a generator without training (`config.build_fill`).
        device: where it works; ``auto`` is a GPU where there is one.
        trust_paths: whether files that the settings of the checkpoint's generator name may be opened.

    Raises:
        Refused: both or neither, no checkpoint that can be used, or no such device.
    """
    from inpaint import checkpoint as checkpoints

    if bool(checkpoint) == (fill is not None):
        raise ConfigError("checkpoint: give checkpoint=... or a fill (generator=harmonic), one of the two")
    device = choose_device(device)
    network = load_generator(checkpoints.load(checkpoint), trust_paths) if checkpoint else fill
    assert network is not None
    return Repairer(network, device)
