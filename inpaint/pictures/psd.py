"""Layers of Photoshop's files (Adobe Photoshop File Formats Specification, November 2019), of 8 bits a channel.

Pillow's own list of layers passes over those with more than four channels and loses its place behind them. Here each
channel is taken from where its length says that it lies; Pillow decodes it.
"""

import struct
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

from PIL import Image

ALPHA, OWN_MASK = -1, -2  # numbers of channels; colours have those from 0 up
MOST_LAYERS = 8000  # as Photoshop has them
MOST_CHANNELS = 60  # of a layer; Photoshop has 56
MOST_NOTES = 100  # on a layer, of which one is its name
MOST_PIXELS = 1 << 28  # of a layer, which may reach beyond its canvas
RAW, PACKBITS = 0, 1  # compressions
GROUP = b"lsct"  # a note on layers that begin or end a group of others and have no pixels
UNICODE_NAME = b"luni"


class Layer(NamedTuple):
    """Where a layer is.

    Attributes:
        name: its own.
        box: left, top, right, bottom on the canvas, beyond which it may reach.
        channels: of each number, where its data begins in the file and how many bytes it has.
    """

    name: str
    box: tuple[int, int, int, int]
    channels: Mapping[int, tuple[int, int]]


def read_layers(stream: BinaryIO) -> list[Layer]:
    """The layers of a PSD, the lowest first, without the marks of groups.

    Raises:
        ValueError: the file is damaged.
    """
    stream.seek(26)
    for _ in ("colours", "resources"):
        _pass(stream)
    section, info = _numbers(stream, ">II")
    if not section or not info:
        return []
    (count,) = _numbers(stream, ">h")  # below 0 where the first channel of the whole picture is transparency
    if abs(count) > MOST_LAYERS:
        raise ValueError(f"{abs(count)} layers")
    records = [_record(stream) for _ in range(abs(count))]
    place, layers = stream.tell(), []
    for name, box, lengths, is_layer in records:
        channels = {}
        for number, length in lengths:
            channels[number] = (place, length)
            place += length
        if is_layer:
            layers.append(Layer(name, box, channels))
    return layers


def read_pixels(stream: BinaryIO, layer: Layer, size: tuple[int, int]) -> Image.Image:
    """A layer of grey or RGB on its canvas, in Pillow's mode RGBA, transparent where it has no pixels.

    Args:
        stream: the file.
        layer: it.
        size: width and height of the canvas.

    Raises:
        ValueError: its data is damaged, or of a kind that is not read.
    """
    left, top, right, bottom = layer.box
    width, height = right - left, bottom - top
    canvas = Image.new("RGBA", size, 0)
    if width <= 0 or height <= 0:
        return canvas
    if width * height > MOST_PIXELS:
        raise ValueError(f"a layer of {width} x {height} pixels")
    if OWN_MASK in layer.channels:
        raise ValueError("a layer with a mask of its own, which is to be applied first")
    colours = sorted(number for number in layer.channels if number >= 0)
    if colours not in ([0], [0, 1, 2]):
        raise ValueError(f"a layer of {len(colours)} colours")
    bands = {number: _channel(stream, *place, (width, height)) for number, place in layer.channels.items()}
    alpha = bands.get(ALPHA) or Image.new("L", (width, height), 255)
    red, green, blue = (bands[number] for number in (colours if len(colours) == 3 else colours * 3))
    canvas.paste(Image.merge("RGBA", (red, green, blue, alpha)), (left, top))
    return canvas


def _record(stream: BinaryIO) -> tuple[str, tuple[int, int, int, int], list[tuple[int, int]], bool]:
    """Name, box, the number and length of each channel, and whether it is a layer, not the mark of a group."""
    top, left, bottom, right, count = _numbers(stream, ">4iH")
    if count > MOST_CHANNELS:
        raise ValueError(f"a layer of {count} channels")
    lengths = [_numbers(stream, ">hI") for _ in range(count)]
    _numbers(stream, ">12s")  # how it is blended
    (extra,) = _numbers(stream, ">I")
    end = stream.tell() + extra
    for _ in ("mask", "blending"):
        _pass(stream)
    (letters,) = _numbers(stream, ">B")
    name = stream.read(letters).decode("latin-1")  # whatever the computer's own was
    stream.seek(-(letters + 1) % 4, 1)
    is_layer = True
    for _ in range(MOST_NOTES):
        if stream.tell() + 12 > end:
            break
        _, key, length = _numbers(stream, ">4s4sI")
        behind = stream.tell() + length + length % 2
        if key == UNICODE_NAME:
            (letters,) = _numbers(stream, ">I")
            name = stream.read(2 * min(letters, length // 2)).decode("utf-16-be", "replace").rstrip("\0")
        elif key == GROUP:
            is_layer = _numbers(stream, ">I") == (0,)
        stream.seek(behind)
    stream.seek(end)
    return name, (left, top, right, bottom), lengths, is_layer


def _channel(stream: BinaryIO, place: int, length: int, size: tuple[int, int]) -> Image.Image:
    """One channel as a grey picture."""
    stream.seek(place)
    (compression,) = _numbers(stream, ">H")
    data = stream.read(max(0, length - 2))
    if compression == RAW:
        return Image.frombytes("L", size, data[: size[0] * size[1]])
    if compression == PACKBITS:
        return Image.frombytes("L", size, data[2 * size[1] :], "packbits", "L")  # the rows' lengths stand before
    raise ValueError(f"compression {compression}, which is not read")


def _pass(stream: BinaryIO) -> None:
    """Go behind a part that begins with its length."""
    (length,) = _numbers(stream, ">I")
    stream.seek(length, 1)


def _numbers(stream: BinaryIO, layout: str) -> tuple:
    """The next numbers of a file, as `struct` has their layout."""
    size = struct.calcsize(layout)
    data = stream.read(size)
    if len(data) < size:
        raise ValueError("it ends too early")
    return struct.unpack(layout, data)
