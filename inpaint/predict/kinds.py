"""What a notebook has in hand, pictures of Pillow, arrays and tensors, as the arrays that `Predictor` repairs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from inpaint.pictures.mask_files import MaskReader, mode_of
from inpaint.pictures.reading import has_alpha
from inpaint.pictures.writing import luminance, resized_alpha
from inpaint.settings import Refused


class Kind(NamedTuple):
    """Pictures, and how they become again what they were given as.

    pictures: ``(H, W, 3)`` of one size: uint8, uint16, or float32 in [-1, 1].
    back: from repaired ones and their holes; without holes all of them is new, and they may be larger.
    """

    pictures: list[np.ndarray]
    back: Callable[[Sequence[np.ndarray], Sequence[np.ndarray] | None], Any]


def kind_of(image: Any) -> Kind:
    """Pictures as `Predictor.__call__` takes them.

    Raises:
        Refused: another type, shape or range.
    """
    if isinstance(image, Image.Image):
        return _of_pillow(image)
    if isinstance(image, torch.Tensor):
        return _of_tensor(image.detach())
    if not isinstance(image, np.ndarray):
        raise Refused(f"image: give a picture of Pillow, an array of numpy or a tensor; got {type(image).__name__}")
    if image.ndim not in (3, 4) or image.shape[-1] != 3 or not image.size:
        raise Refused(f"image: give RGB, (H, W, 3) or (B, H, W, 3); got {image.shape}")
    return _of_array(image)


def holes_of(mask: Any, count: int, size: tuple[int, ...]) -> list[np.ndarray]:
    """bool ``(H, W)`` for each picture.

    Raises:
        Refused: another type or shape, values that are not two, or a picture of Pillow that is no mask.
    """
    if isinstance(mask, Image.Image):
        mask = MaskReader().of_pixels(np.asarray(mask.convert(mode_of(mask))), "mask").white
    elif isinstance(mask, torch.Tensor):
        mask = mask.detach().cpu().float().numpy() if mask.is_floating_point() else mask.detach().cpu().numpy()
    elif not isinstance(mask, np.ndarray):
        raise Refused(f"mask: give a picture of Pillow, an array of numpy or a tensor; got {type(mask).__name__}")
    if mask.dtype.kind not in "biuf":
        raise Refused(f"mask: an array of {mask.dtype} holds no pixels")
    height, width = size
    if mask.shape[-2:] != (height, width) or mask.size not in (height * width, count * height * width):
        raise Refused(f"mask: give one number for each pixel of {height} x {width}; got {tuple(mask.shape)}")
    values = {*np.unique(mask).tolist()}
    if not values <= {0, 1} and not values <= {0, 255}:
        raise Refused("mask: give true and false, 1 and 0, or 255 and 0; it has other values")
    holes = list((mask != 0).reshape(-1, height, width))
    return holes * count if len(holes) == 1 else holes


def _of_pillow(image: Image.Image) -> Kind:
    """8 bits, with alpha where it has some, or 16 bits of grey."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        return Kind([grey[..., None].repeat(3, axis=2)], lambda painted, _: Image.fromarray(luminance(painted[0])))
    if image.mode in ("I", "F"):
        raise Refused(f"image: a picture of Pillow's mode {image.mode} has no range of its own; give 8 or 16 bits")
    transparent, colourless = has_alpha(image), image.mode in ("1", "L", "LA", "La")
    bands = np.asarray(image.convert("RGBA" if transparent else "RGB"))

    def back(painted: Sequence[np.ndarray], holes: Sequence[np.ndarray] | None) -> Image.Image:
        pixels = luminance(painted[0])[..., None] if colourless else painted[0]
        if transparent:
            pixels = np.concatenate([pixels, resized_alpha(bands[..., 3], pixels.shape[:2])[..., None]], axis=2)
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)

    return Kind([np.ascontiguousarray(bands[..., :3])], back)


def _of_tensor(image: torch.Tensor) -> Kind:
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or not image.numel():
        raise Refused(f"image: give RGB, (3, H, W) or (B, 3, H, W); got {tuple(image.shape)}")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise Refused(f"image: give uint8 or floats; got {image.dtype}")
    batch = image.reshape(-1, *image.shape[-3:]).movedim(1, -1)
    pixels = batch.cpu().numpy() if image.dtype == torch.uint8 else batch.cpu().float().numpy()
    if image.is_floating_point():
        _check_range(pixels, -1)

    def back(painted: Sequence[np.ndarray], holes: Sequence[np.ndarray] | None) -> torch.Tensor:
        repaired = torch.from_numpy(np.stack(painted)).to(image.device, image.dtype)
        if holes is not None:
            hole = torch.from_numpy(np.stack(holes))[..., None].to(image.device)
            repaired = torch.where(hole, repaired, batch)
        return repaired.movedim(-1, 1).reshape(*image.shape[:-2], *repaired.shape[1:3])

    return Kind(list(pixels), back)


def _of_array(image: np.ndarray) -> Kind:
    if image.dtype not in (np.uint8, np.uint16) and image.dtype.kind != "f":
        raise Refused(f"image: give uint8, uint16 or floats; got {image.dtype}")
    batch = np.ascontiguousarray(image).reshape(-1, *image.shape[-3:])
    if image.dtype.kind == "f":
        _check_range(batch, 0)
    pixels = batch if image.dtype.kind == "u" else batch.astype(np.float32) * 2 - 1

    def back(painted: Sequence[np.ndarray], holes: Sequence[np.ndarray] | None) -> np.ndarray:
        repaired = np.stack(painted)
        if image.dtype.kind == "f":
            repaired = ((repaired + 1) / 2).astype(image.dtype)
        if holes is not None:
            repaired = np.where(np.stack(holes)[..., None], repaired, batch)
        return repaired.reshape(*image.shape[:-3], *repaired.shape[1:])

    return Kind(list(pixels), back)


def _check_range(pixels: np.ndarray, least: int) -> None:
    if not ((pixels >= least) & (pixels <= 1)).all():
        raise Refused(f"image: floats are in [{least}, 1]; they lie in [{pixels.min():.4g}, {pixels.max():.4g}]")
