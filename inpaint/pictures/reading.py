"""Pictures: checked by their header, read as 8-bit RGB or refused by name. `mask_files` reads masks."""

import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from kornia_rs.io import decode_image_jpegturbo
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.Image import Resampling, Transpose
from torch import Tensor

from inpaint.files.untrusted import measure
from inpaint.pictures.names import FORMATS, LAYERED, READ
from inpaint.settings import Refused

LARGEST = 89_000_000  # pixels, where Pillow begins to warn; refused from the header, as a file can claim any size
LARGEST_FILE = 1 << 30  # bytes; that many pixels take a third of it, uncompressed
GAP = 3.0  # before Lanczos, pictures are reduced by whole numbers to this many times the size: Pillow's `reducing_gap`

# What turns a picture upright, by the Orientation tag of its EXIF data (CIPA DC-008, 4.6.4).
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
SIDEWAYS = {TURNS[orientation] for orientation in (5, 6, 7, 8)}
SEVERAL = {
    "PNG": "an animated PNG of {} frames",
    "WEBP": "an animated WEBP of {} frames",
    "TIFF": "a TIFF of {} pages",
}
# What else a file may be, by its first bytes.
INSTEAD = {
    b"GIF8": " but a GIF; save the frame you want as png",
    b"8BPS": " but a PSD, of which masks are read and no pictures; save the picture as png",
}
MOST_SCANS = 100  # of a JPEG
MOST_CHUNKS = 1_000_000  # of a PNG, which has one for each 8 kB
# Pillow warns of notes about a picture that viewers pass over, such as damaged EXIF data, once for every picture.
NO_WARNINGS = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)


class BadImage(Refused):
    """A picture or mask that cannot be read or is refused; the message begins with its name."""


class Encoded(NamedTuple):
    """A picture that is no file of its own but inside a shard or a table.

    stream: its bytes, from the beginning.
    name: what messages call it.
    """

    stream: BinaryIO
    name: str

    def __str__(self) -> str:
        return self.name


File = Path | Encoded
SizeOf = Callable[[Any], tuple[int, int]]  # height and width of a file, upright


def open_image(file: File, deep: bool = False, layered: bool = False) -> Image.Image:
    """Open a picture without decoding it; its header is checked.

    Args:
        file: the picture.
        deep: whether 16 bits a channel are welcome; `decode` would cut them to 8.
        layered: whether PSD files and a TIFF of several pages are welcome, of which `layers.open_layer` takes one.

    Raises:
        BadImage: it is missing, no jpg, png, webp, tif or bmp, has several frames, is too large, or has more than 8
            bits a channel.
    """
    if NO_WARNINGS not in warnings.filters:  # whoever kept the filters and put them back has taken it away
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    source = file.stream if isinstance(file, Encoded) else file
    try:
        if isinstance(file, Path):
            measure(file, LARGEST_FILE)
        picture = Image.open(source, formats=(*FORMATS, LAYERED) if layered else FORMATS)
    except UnidentifiedImageError:
        raise BadImage(f"{file}: not a readable picture ({READ}){_found_instead(file)}") from None
    except Exception as error:  # a broken header can make Pillow raise nearly anything
        raise BadImage(f"{file}: cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    if reason := refusal(picture, deep, layered):
        picture.close()
        raise BadImage(f"{file}: {reason}")
    picture.filename = str(file)
    return picture


def _found_instead(file: File) -> str:
    stream = file.stream if isinstance(file, Encoded) else file.open("rb")
    stream.seek(0)
    instead = INSTEAD.get(stream.read(4), "")
    if isinstance(file, Path):
        stream.close()
    return instead


def refusal(picture: Image.Image, deep: bool, layered: bool = False) -> str | None:
    """What speaks against a picture, by its header; `deep` and `layered` as in `open_image`."""
    if picture.width * picture.height > LARGEST:
        return f"{picture.width} x {picture.height} pixels, more than {LARGEST // 10**6} million"
    # Pillow shows 16-bit colour as mode RGB and would cut it to 8 bits; only the decoder's name for it tells.
    if picture.mode in ("I", "F") or (is_deep(picture) and not deep):
        return f"{picture.mode} pixels with more than 8 bits a channel; convert it to 8 bits first"
    # A JPEG of several pictures (MPO) is a photograph with previews or a second view: the first one is read.
    may_be_several = layered and picture.format == "TIFF"
    if picture.format in SEVERAL and getattr(picture, "is_animated", False) and not may_be_several:
        return f"{SEVERAL[picture.format].format(picture.n_frames)}; save the one you want"  # type: ignore[attr-defined]
    return None


def is_deep(picture: Image.Image) -> bool:
    """Whether an opened picture has 16 bits a channel."""
    return picture.mode.startswith("I;16") or any(";16" in str(tile) for tile in picture.tile)  # type: ignore[attr-defined]


def has_alpha(picture: Image.Image) -> bool:
    """Whether a picture's pixels may be transparent."""
    return picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info


def fit(size: tuple[int, int], resize: int | None) -> tuple[int, int]:
    """`size` with its shorter side shrunk to `resize` pixels, in proportion; never enlarged."""
    short = min(size)
    if resize is None or short <= resize:
        return size
    first, second = (max(1, round(side * resize / short)) for side in size)
    return first, second


def image_size(file: File, resize: int | None = None) -> tuple[int, int]:
    """Height and width as `read_image` gives it (upright, shrunk), from the header alone.

    Raises:
        BadImage: as `open_image`.
    """
    with open_image(file) as picture:
        return upright_size(picture, resize)


def upright_size(picture: Image.Image, resize: int | None = None) -> tuple[int, int]:
    """Height and width of an opened picture as `decode` gives it."""
    width, height = fit(picture.size, resize)
    return (width, height) if turn_of(picture) in SIDEWAYS else (height, width)


def paired_size(file: File, mask: File | None, mask_size_of: SizeOf, size_of: SizeOf = image_size) -> tuple[int, int]:
    """Height and width of a picture and its mask, if it has one, as the two functions say them.

    Raises:
        BadImage: they differ, or one cannot be opened.
    """
    size = size_of(file)
    if mask is not None and (mask_size := mask_size_of(mask)) != size:
        raise BadImage(
            f"{mask}: the mask has {mask_size[1]} x {mask_size[0]} pixels, its picture {file} has {size[1]} x {size[0]}"
        )
    return size


def read_image(file: File, resize: int | None = None) -> Tensor:
    """uint8 ``(3, H, W)`` RGB, upright; transparency is dropped, grey becomes three equal channels.

    A view of ``(H, W, 3)`` in memory: what only cuts a part of it need not wait for a copy of all.

    Args:
        file: the picture.
        resize: the shorter side is shrunk to this many pixels (Lanczos, antialiased); never enlarged.

    Raises:
        BadImage: it cannot be read.
    """
    with open_image(file) as picture:
        return torch.from_numpy(decode(picture, "RGB", resize)).permute(2, 0, 1)


def decode(
    picture: Image.Image, mode: str, resize: int | None = None, resample: Resampling = Resampling.LANCZOS
) -> np.ndarray:
    """The pixels of an opened picture in `mode`: uint8 ``(H, W, channels)``, upright, shrunk to `resize`.

    Raises:
        BadImage: its data is broken. A truncated file is refused, not padded.
    """
    with broken_is_refused(picture):
        turn, size, given = turn_of(picture), fit(picture.size, resize), picture.size
        if size != given and resample is Resampling.LANCZOS:
            # A JPEG that is shrunk to less than a sixth is decoded at an eighth, a quarter or half of its size.
            picture.draft(None, (int(GAP * size[0]), int(GAP * size[1])))
        _refuse_many_scans(picture)
        pixels = None
        if mode == "RGB" and picture.size == given:
            pixels = _decode_jpeg(picture) if picture.format == "JPEG" else _plain_pixels(picture)
        if pixels is not None and turn is None and size == given:
            return pixels
        image = picture.convert(mode) if pixels is None else Image.fromarray(pixels)
        if size != image.size:
            image = image.resize(size, resample, reducing_gap=GAP)
        return np.array(image if turn is None else image.transpose(turn))


def _refuse_many_scans(picture: Image.Image) -> None:
    """A JPEG is decoded once more for each of its scans, of which cameras and libjpeg write ten or so.

    Raises:
        ValueError: it has more than anybody would write, those of its previews included.
    """
    stream = getattr(picture, "fp", None)
    if picture.format not in ("JPEG", "MPO") or stream is None or _has_one_scan(picture):
        return
    if (scans := _scans(stream)) > MOST_SCANS:
        raise ValueError(f"{scans} scans, more than {MOST_SCANS}")


def _scans(stream: BinaryIO) -> int:
    """How many scans begin in a JPEG; within a scan's own data, a zero follows each 255."""
    place = stream.tell()
    stream.seek(0)
    scans = stream.read().count(b"\xff\xda")
    stream.seek(place)
    return scans


def _has_one_scan(picture: Image.Image) -> bool:
    """Whether an opened JPEG is not progressive and its first scan has all channels: libjpeg takes no other then.

    Pillow stops behind the head of that scan: its mark, its length, the number of channels, and two bytes for each.
    """
    stream, channels = picture.fp, getattr(picture, "layers", 0)  # type: ignore[attr-defined]
    if picture.format != "JPEG" or "progressive" in picture.info:
        return False
    place, length = stream.tell(), 6 + 2 * channels
    stream.seek(place - length - 2)
    head = stream.read(5)
    stream.seek(place)
    return head == bytes((0xFF, 0xDA, 0, length, channels))


def _decode_jpeg(picture: Image.Image) -> np.ndarray | None:
    """The pixels of a grey or RGB JPEG by libjpeg-turbo itself, which takes half of Pillow's time.

    The values are Pillow's (it uses the same library), and every truncated file is refused. None for what is no such
    JPEG, or is damaged: Pillow decides about those.
    """
    stream = getattr(picture, "fp", None)
    if picture.mode not in ("L", "RGB") or stream is None:
        return None
    place = stream.tell()
    stream.seek(0)
    try:
        pixels = decode_image_jpegturbo(stream.read(), "rgb")
    except Exception:
        pixels = None
    stream.seek(place)
    return pixels if pixels is not None and pixels.shape == (picture.height, picture.width, 3) else None


def _plain_pixels(picture: Image.Image) -> np.ndarray | None:
    """The pixels of a file that holds them as they are, as a TIFF may; None for any other, which Pillow decodes."""
    stream, tiles, (width, height) = getattr(picture, "fp", None), picture.tile, picture.size  # type: ignore[attr-defined]
    if picture.format != "TIFF" or picture.mode != "RGB" or stream is None or len(tiles) != 1:
        return None
    codec, extents, offset, arguments = tiles[0]
    turned = picture.tag_v2.get(ExifTags.Base.Orientation, 1) != 1  # type: ignore[attr-defined]
    if turned or codec != "raw" or extents != (0, 0, width, height) or arguments != ("RGB", 0, 1):
        return None
    place = stream.tell()
    stream.seek(offset)
    data = bytearray(stream.read(3 * width * height))
    stream.seek(place)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3) if len(data) == 3 * width * height else None


def turn_of(picture: Image.Image) -> Transpose | None:
    """What turns a picture upright, by its EXIF data or XMP; damaged data says nothing, as in every viewer."""
    if picture.format == "TIFF":  # Pillow turns it
        return None
    bare = Image.Image()  # not the picture's own `getexif`, which decodes a PNG to look for more
    bare.info = picture.info
    if picture.format == "PNG" and "exif" not in picture.info and (late := _late_exif(picture)) is not None:
        bare.info = {**picture.info, "exif": late}
    try:
        return TURNS.get(bare.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises whatever is at hand
        return None


def _late_exif(picture: Image.Image) -> bytes | None:
    """The EXIF data of a PNG that stands behind its pixels, found without decoding them; None where there is none."""
    stream = getattr(picture, "fp", None)
    if stream is None:
        return None
    place = stream.tell()
    try:
        stream.seek(8)
        for _ in range(MOST_CHUNKS):
            if len(head := stream.read(8)) < 8:
                break
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return b"Exif\0\0" + stream.read(min(length, 1 << 16))
            stream.seek(length + 4, 1)
        return None
    finally:
        stream.seek(place)


@contextmanager
def broken_is_refused(picture: Image.Image) -> Iterator[None]:
    """Whatever a decoder raises about a broken picture, as BadImage."""
    try:
        yield
    except Exception as error:
        raise BadImage(f"{getattr(picture, 'filename', 'picture')}: broken picture ({error})") from None
