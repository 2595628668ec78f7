"""Photographs with everything that their files hold beside pixels, and files written as these were.

A file is read once, as bytes, and all of it is taken from these: what a picture's pixels, profile and tables are worked
out from is one state of the file, and a file that changes meanwhile is refused.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, PngImagePlugin

from inpaint.files.folder import replacing
from inpaint.files.untrusted import Unreadable, measure
from inpaint.pictures.names import SUFFIXES_OF
from inpaint.pictures.reading import (
    LARGEST_FILE,
    SIDEWAYS,
    BadImage,
    Encoded,
    decode,
    has_alpha,
    is_deep,
    open_image,
    turn_of,
)
from inpaint.settings import choice

DEEP = ("PNG",)  # the formats whose encoder here takes 16 bits a channel
OPAQUE = ("JPEG", "BMP")  # that hold no transparency
XMP_IN_PNG = "XML:com.adobe.xmp"  # the keyword of an XMP packet (XMP specification, part 3, 1.1.5)
LOSSY = 95  # quality of JPEGs that were none, and of lossy WebP, whose quality a file does not tell
LONGEST_EXIF = 65_000  # bytes that fit into a segment of a JPEG
TURNED = {  # numpy's way of what Pillow calls a transposition: whether rows and columns change places, then flips
    Image.Transpose.FLIP_LEFT_RIGHT: (False, (1,)),
    Image.Transpose.ROTATE_180: (False, (0, 1)),
    Image.Transpose.FLIP_TOP_BOTTOM: (False, (0,)),
    Image.Transpose.TRANSPOSE: (True, ()),
    Image.Transpose.ROTATE_270: (True, (1,)),
    Image.Transpose.TRANSVERSE: (True, (0, 1)),
    Image.Transpose.ROTATE_90: (True, (0,)),
}


@dataclass(frozen=True)
class Header:
    """What a file's header says.

    format: of `names.SUFFIXES_OF`, the one in which it is written again.
    size: height and width, upright.
    deep: whether it has 16 bits a channel.
    transparent: whether pixels may be transparent.
    """

    format: str
    size: tuple[int, int]
    deep: bool
    transparent: bool


@dataclass(frozen=True)
class Photograph:
    """A picture, upright, and what its file holds beside the pixels.

    pixels: RGB ``(H, W, 3)``, uint8 or uint16.
    alpha: ``(H, W)`` of the same type, or None.
    grey: whether the file has one channel of colour.
    format: of `names.SUFFIXES_OF`.
    encoding: how that format's encoder makes a file like this one: tables, subsampling, compression, dots an inch.
    exif: its EXIF data without orientation, as the pixels are upright, and without the thumbnail, which shows the
        picture before.
    profile: its ICC profile.
    xmp: an XMP packet that is written; those of files are not read.
    remarks: what of the file is not kept.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    format: str = "PNG"
    encoding: dict[str, Any] = field(default_factory=dict)
    exif: bytes | None = None
    profile: bytes | None = None
    xmp: bytes | None = None
    remarks: tuple[str, ...] = ()

    def painted(self, pixels: np.ndarray, opaque: np.ndarray | None = None) -> "Photograph":
        """The same with other pixels, maybe more; what was transparent shows at `opaque`, bool ``(H, W)``."""
        alpha = None if self.alpha is None else resized_alpha(self.alpha, pixels.shape[:2])
        if alpha is not None and opaque is not None:
            alpha = np.where(opaque, np.iinfo(alpha.dtype).max, alpha).astype(alpha.dtype)
        return replace(self, pixels=pixels, alpha=alpha)


def read_header(path: Path) -> Header:
    """What a file's header says.

    Raises:
        BadImage: as `read_photograph`, as far as a header tells.
    """
    with open_image(path, deep=True) as picture:
        width, height = picture.size
        upright = (width, height) if turn_of(picture) in SIDEWAYS else (height, width)
        return Header(_format(picture), upright, is_deep(picture), has_alpha(picture))


def read_photograph(path: Path) -> Photograph:
    """A picture of 8 or 16 bits, grey, coloured or of a palette, transparent or not.

    CMYK becomes RGB, through the file's own profile where it has one.

    Raises:
        BadImage: it cannot be read, is damaged, or changes while it is read.
    """
    data = _stable_bytes(path)
    with open_image(Encoded(BytesIO(data), str(path)), deep=True) as picture:
        remarks = []
        transparent, profile = has_alpha(picture), picture.info.get("icc_profile")
        if is_deep(picture):
            pixels, alpha = _deep_pixels(data, picture)
        else:
            source = picture
            if picture.mode == "CMYK":
                source, profile = _from_cmyk(picture, profile), None
                remarks.append("CMYK is written as RGB")
            bands = decode(source, "RGBA" if transparent else "RGB")
            pixels, alpha = np.ascontiguousarray(bands[..., :3]), bands[..., 3].copy() if transparent else None
        if picture.mode in ("P", "PA"):
            remarks.append("a palette is written as colours")
        grey = picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith("I;16")
        exif, kept = _exif(picture)
        if not kept:
            remarks.append("EXIF data is damaged and left out")
        return Photograph(
            pixels, alpha, grey, _format(picture), _encoding(picture, data), exif, profile, remarks=tuple(remarks)
        )


def written_format(header: Header, wanted: str | None) -> str:
    """The format in which a picture is written.

    Args:
        header: of the picture's file.
        wanted: a format in small letters; None is the picture's own, or PNG for 16 bits in a format whose encoder has
            8 bits only.

    Raises:
        Refused: naming ``format``: no such format, or one that would cut 16 bits to 8 or lose transparency.
    """
    if wanted is None:
        return "PNG" if header.deep and header.format not in DEEP else header.format
    name = choice("format", str(wanted).lower().replace("jpg", "jpeg"), [key.lower() for key in SUFFIXES_OF]).upper()
    if header.deep and name not in DEEP:
        raise BadImage(f"format: {name.lower()} would cut 16 bits to 8; format=png keeps them")
    if header.transparent and name in OPAQUE:
        raise BadImage(f"format: {name.lower()} has no transparency; format=png keeps it")
    return name


def named(path: Path, format: str) -> Path:
    """The path with a suffix of the format: its own, where that is one."""
    return path if path.suffix.lower() in SUFFIXES_OF[format] else path.with_suffix(SUFFIXES_OF[format][0])


def write_photograph(path: Path, photograph: Photograph, format: str | None = None) -> None:
    """Write a picture, whole or not at all; its folder is made.

    PNG, TIFF, BMP and WebP that was lossless hold every pixel as it is. A JPEG is coded again with its own tables and
    subsampling. What was no JPEG and becomes one has quality 95 without subsampling, and new WebP files are lossless.

    Args:
        path: the file.
        photograph: what is written.
        format: of `names.SUFFIXES_OF`; None is the photograph's own.

    Raises:
        OSError: the disk refuses it.
    """
    format = format or photograph.format
    path.parent.mkdir(parents=True, exist_ok=True)
    deep = photograph.pixels.dtype == np.uint16
    with replacing(path) as scratch:
        if deep:
            assert format in DEEP
            scratch.write_bytes(_deep_png(photograph))
            return
        bands = [luminance(photograph.pixels)[..., None] if photograph.grey else photograph.pixels]
        if photograph.alpha is not None and format not in OPAQUE:
            bands.append(photograph.alpha[..., None])
        stacked = np.concatenate(bands, axis=2)
        picture = Image.fromarray(stacked[..., 0] if stacked.shape[2] == 1 else np.ascontiguousarray(stacked))
        settings = photograph.encoding if format == photograph.format else _encoding_of_new(format, photograph.encoding)
        beside: dict[str, Any] = {"icc_profile": photograph.profile, "exif": photograph.exif}
        if photograph.xmp:
            beside |= _with_xmp(photograph.xmp, format)
        if format == "JPEG" and len(photograph.exif or b"") > LONGEST_EXIF:
            beside.pop("exif")
        if format in ("TIFF", "BMP"):  # TIFF's own tags and EXIF's are one list; a BMP has neither
            beside.pop("exif")
        picture.save(scratch, format=format, **settings, **{key: value for key, value in beside.items() if value})


def resized_alpha(alpha: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The alpha of a picture, ``(H, W)``, for one of another size: bilinear, as edges that ring would shimmer."""
    if alpha.shape == size:
        return alpha
    return cv2.resize(alpha, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Grey of colours ``(H, W, 3)`` (ITU-R BT.601), in whole numbers: three equal channels give their own value."""
    weights = np.array([299, 587, 114], np.uint32)
    return ((pixels.astype(np.uint32) @ weights + 500) // 1000).astype(pixels.dtype)


# ---- how files are read ---------------------------------------------------------------------------------------------


def _stable_bytes(path: Path) -> bytes:
    """A file's bytes, all of one state.

    Raises:
        BadImage: it is not there or too large, or was changed meanwhile.
    """
    try:
        measure(path, LARGEST_FILE)
        before = path.stat()
        data = path.read_bytes()
        after = path.stat()
    except (OSError, Unreadable) as error:
        raise BadImage(f"{path}: cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, len(data)):
        raise BadImage(f"{path}: was changed while it was read")
    return data


def _format(picture: Image.Image) -> str:
    """A JPEG of several pictures (MPO) is written as the JPEG of its first."""
    return "JPEG" if picture.format == "MPO" else str(picture.format)


def _deep_pixels(data: bytes, picture: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Colour and alpha of 16 bits, which Pillow would cut to 8, upright.

    Raises:
        BadImage: damaged.
    """
    try:
        bands = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        bands = None
    if bands is None or bands.dtype != np.uint16 or bands.shape[:2] != (picture.height, picture.width):
        raise BadImage(f"{picture.filename}: broken picture of 16 bits")  # type: ignore[attr-defined]
    bands = bands[..., None].repeat(3, axis=2) if bands.ndim == 2 else bands[..., [2, 1, 0, 3][: bands.shape[2]]]
    if (turn := turn_of(picture)) is not None:
        change, flips = TURNED[turn]
        bands = np.flip(bands.swapaxes(0, 1) if change else bands, flips)
    return np.ascontiguousarray(bands[..., :3]), bands[..., 3].copy() if bands.shape[2] == 4 else None


def _from_cmyk(picture: Any, profile: bytes | None) -> Image.Image:
    """In sRGB, through the profile where there is one that can be used."""
    converted: Any = None
    if profile:
        try:
            own, screen = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, own, screen, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
    if converted is None:
        return picture
    converted.info = {key: value for key, value in picture.info.items() if key != "icc_profile"}
    converted.filename = picture.filename
    return converted


def _exif(picture: Image.Image) -> tuple[bytes | None, bool]:
    """EXIF data for a picture that is upright, and whether what there is was kept."""
    bare = Image.Image()  # not the picture's own `getexif`, which takes orientation from elsewhere too
    bare.info = picture.info
    try:
        exif = bare.getexif()
        exif.pop(ExifTags.Base.Orientation, None)
        return (exif.tobytes() if len(exif) else None), True
    except Exception:  # damaged data can make Pillow raise nearly anything
        return None, False


# ---- how files are written ------------------------------------------------------------------------------------------


def _encoding(picture: Image.Image, data: bytes) -> dict[str, Any]:
    """How an encoder makes a file like this one."""
    dots = {"dpi": picture.info["dpi"]} if "dpi" in picture.info else {}
    if _format(picture) == "JPEG":
        tables = picture.quantization  # type: ignore[attr-defined]
        subsampling = JpegImagePlugin.get_sampling(picture)
        known = {"subsampling": subsampling} if subsampling >= 0 else {}
        progressive = {"progressive": True} if picture.info.get("progressive") else {}
        fits = all(max(table) < 256 for table in tables.values())
        return {"qtables": tables, **known, **progressive, **dots} if fits else _encoding_of_new("JPEG", dots)
    if _format(picture) == "WEBP":
        lossless = any(kind == b"VP8L" for kind in _webp_chunks(data))
        return {"lossless": True, "exact": True} if lossless else {"quality": LOSSY, "exact": True}
    if _format(picture) == "TIFF":
        return {"compression": "tiff_adobe_deflate", **dots}
    return dots


def _encoding_of_new(format: str, before: dict[str, Any]) -> dict[str, Any]:
    """The same for a picture that comes from another format."""
    dots = {"dpi": before["dpi"]} if "dpi" in before and format != "WEBP" else {}
    if format == "JPEG":
        return {"quality": LOSSY, "subsampling": 0, **dots}
    if format == "WEBP":
        return {"lossless": True, "exact": True}
    return {"compression": "tiff_adobe_deflate", **dots} if format == "TIFF" else dots


def _with_xmp(packet: bytes, format: str) -> dict[str, Any]:
    """What makes Pillow write an XMP packet; a BMP has no place for one."""
    if format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt(XMP_IN_PNG, packet.decode())
        return {"pnginfo": info}
    if format == "TIFF":
        return {"tiffinfo": {ExifTags.Base.XMLPacket: packet}}
    return {"xmp": packet} if format in ("JPEG", "WEBP") else {}


def _webp_chunks(data: bytes) -> Iterator[bytes]:
    """The kinds of the chunks of a WebP file."""
    place = 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        yield kind
        place += 8 + size + size % 2


def _deep_png(photograph: Photograph) -> bytes:
    """A PNG of 16 bits a channel, with profile and EXIF data, which OpenCV's encoder does not take."""
    bands = photograph.pixels[..., ::-1]
    if photograph.alpha is not None:
        bands = np.concatenate([bands, photograph.alpha[..., None]], axis=2)
    elif photograph.grey:
        bands = luminance(photograph.pixels)
    whole, encoded = cv2.imencode(".png", np.ascontiguousarray(bands))
    assert whole
    data = encoded.tobytes()
    chunks = b""
    if photograph.profile:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(photograph.profile))
    if photograph.exif:
        chunks += _chunk(b"eXIf", photograph.exif.removeprefix(b"Exif\0\0"))
    if photograph.xmp:
        chunks += _chunk(b"iTXt", XMP_IN_PNG.encode() + b"\0" * 5 + photograph.xmp)
    header = 33  # the signature's 8 bytes and IHDR's 25
    return data[:header] + chunks + data[header:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file (W3C PNG, 5.3)."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
