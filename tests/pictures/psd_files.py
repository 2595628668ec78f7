"""A writer of small PSD files, for tests: layers of 8 bits, by the format's specification."""

import struct

import numpy as np


def part(content, even=False):
    content += b"\0" * (even and len(content) % 2)
    return struct.pack(">I", len(content)) + content


def packed(pixels):
    """PackBits, as the specification of TIFF has it: every row as runs of copied bytes; the rows' lengths first."""
    rows = []
    for row in pixels:
        pieces = [row[start : start + 128].tobytes() for start in range(0, len(row), 128)]
        rows.append(b"".join(bytes([len(piece) - 1]) + piece for piece in pieces))
    return b"".join(struct.pack(">H", len(row)) for row in rows) + b"".join(rows)


def channel(pixels, compression):
    data = {0: lambda: pixels.tobytes(), 1: lambda: packed(pixels), 2: lambda: b"?"}[compression]()
    return struct.pack(">H", compression) + data


def psd_layer(name, bands, place=(0, 0), compression=0, *, mark=None, unicode=None):
    """A record and its data.

    Args:
        name: of up to 255 letters of Latin-1.
        bands: by the numbers of the channels, uint8 ``(h, w)`` each: 0 to 2 colours, -1 alpha, -2 a mask.
        place: top, left.
        compression: 0 raw, 1 PackBits, 2 another.
        mark: of a group, what its note says: 1 it begins, 3 it ends.
        unicode: a second name, in a note of its own.
    """
    height, width = next(iter(bands.values())).shape
    data = {number: channel(np.ascontiguousarray(band), compression) for number, band in bands.items()}
    letters = bytes([len(name)]) + name.encode("latin-1")
    extra = part(b"") + part(b"") + letters + b"\0" * (-len(letters) % 4)
    if mark is not None:
        extra += b"8BIMlsct" + part(struct.pack(">I", mark))
    if unicode is not None:
        extra += b"8BIMluni" + part(struct.pack(">I", len(unicode)) + unicode.encode("utf-16-be"), even=True)
    record = struct.pack(">4iH", place[0], place[1], place[0] + height, place[1] + width, len(bands))
    record += b"".join(struct.pack(">hI", number, len(content)) for number, content in data.items())
    record += b"8BIMnorm" + bytes([255, 0, 0, 0]) + part(extra)
    return record, b"".join(data.values())


def psd(merged, *layers, count=None):
    """The bytes of a file.

    Args:
        merged: uint8 ``(H, W)`` or ``(H, W, 3)``: the whole picture.
        layers: of `psd_layer`, the lowest first.
        count: of layers, as the file says it; None is true.
    """
    bands = merged[None] if merged.ndim == 2 else merged.transpose(2, 0, 1)
    mode = {1: 1, 3: 3}[len(bands)]
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, len(bands), *bands.shape[1:], 8, mode) + part(b"") + part(b"")
    number = struct.pack(">h", len(layers) if count is None else count)
    info = number + b"".join(record for record, _ in layers) + b"".join(data for _, data in layers)
    return head + (part(part(info, even=True)) if layers else part(b"")) + b"\0\0" + bands.tobytes()
