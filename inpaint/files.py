"""Pictures and masks on disk: found, checked by their header, read as 8-bit RGB or refused by name."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
FORMATS = ("JPEG", "PNG", "WEBP")
LARGEST = 89_000_000  # pixels, where Pillow begins to warn; refused from the header, as a file can claim any size


class BadImage(ValueError):
    """A picture that cannot be read, or is refused; names its file."""


def find_images(root: Path, setting: str) -> list[Path]:
    """All jpg, png and webp files below `root`, hidden ones left out, in the order of their names.

    Raises:
        ValueError: naming `setting`, if `root` is not a folder, holds none, or holds links that leave it.
    """
    if not root.is_dir():
        raise ValueError(f"{setting}: {root} is not a folder")
    found = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not _hidden(path.relative_to(root))
    )
    if not found:
        raise ValueError(f"{setting}: no images ({', '.join(sorted(SUFFIXES))}) in {root}")
    leaving = [path for path in found if not path.resolve().is_relative_to(root.resolve())]
    if leaving:
        raise ValueError(
            f"{setting}: {len(leaving)} links in {root} leave it or lead nowhere: {', '.join(map(str, leaving[:5]))}; "
            "copy the files into it, or give the folder that holds them"
        )
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def open_image(path: Path) -> Image.Image:
    """Open a picture without decoding it; its header is checked.

    Raises:
        ValueError: naming the file, if it is missing, no jpg, png or webp, too large, or has 16 bits a channel.
    """
    try:
        picture = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not a readable jpg, png or webp picture") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be opened ({error.strerror or error})") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: {error}") from None
    if picture.width * picture.height > LARGEST:
        raise ValueError(f"{path}: {picture.width} x {picture.height} pixels, more than {LARGEST // 10**6} million")
    # Pillow shows 16-bit colour as mode RGB and would cut it to 8 bits; only the decoder's name for it tells.
    if picture.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in picture.tile):
        raise ValueError(f"{path}: {picture.mode} pixels with more than 8 bits a channel; convert it to 8 bits first")
    return picture


def decode(picture: Image.Image, mode: str) -> np.ndarray:
    """The pixels of an opened picture in `mode`, turned upright by its EXIF orientation.

    Raises:
        ValueError: naming the file, if its data is broken. A truncated file is refused, not padded.
    """
    try:
        return np.array(ImageOps.exif_transpose(picture).convert(mode))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{getattr(picture, 'filename', 'picture')}: broken picture ({error})") from None


def image_size(path: Path) -> tuple[int, int]:
    """Height and width as shown (EXIF orientation applied), from the header alone."""
    with open_image(path) as picture:
        width, height = picture.size
        exif = Image.Exif()  # not `picture.getexif`, which decodes a PNG to look for more
        if "exif" in picture.info:
            exif.load(picture.info["exif"])
        turned = exif.get(0x0112, 1) >= 5
    return (width, height) if turned else (height, width)


def read_image(path: Path) -> Tensor:
    """uint8 ``(3, H, W)`` RGB; transparency is dropped, grey becomes three equal channels."""
    with open_image(path) as picture:
        return torch.from_numpy(decode(picture, "RGB")).permute(2, 0, 1).contiguous()


def read_mask(path: Path, threshold: int | None = None, setting: str = "mask_threshold") -> Tensor:
    """float32 ``(1, H, W)``, exactly 0 or 1, 1 = hole, from a picture that is white (255, or 1) where the hole is.

    Args:
        path: the mask's file.
        threshold: grey levels at or above it are hole; None demands a mask of two levels.
        setting: what the threshold is called where the user sets it.

    Raises:
        ValueError: naming the file and what was found in it, if it has more than two levels.
    """
    with open_image(path) as picture:
        levels = decode(picture, "L" if picture.mode != "1" else "1").astype(np.uint8)
    if threshold is not None:
        hole = levels >= threshold
    else:
        found = np.unique(levels)
        top = 255 if found[-1] > 1 else 1
        if not np.isin(found, (0, top)).all():
            raise ValueError(
                f"{path}: not a binary mask, it has {len(found)} grey levels from {found[0]} to {found[-1]}; a mask is "
                f"0 (known) and 255 (hole), saved without JPEG; {setting}=128 makes one of it"
            )
        hole = levels == top
    return torch.from_numpy(hole.astype(np.float32))[None]
