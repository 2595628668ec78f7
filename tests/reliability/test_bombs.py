"""Files of a few bytes that claim, or truly hold, a picture too large for memory: refused from the header."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from inpaint.data.datamodule import FolderData
from inpaint.masks import Boxes
from tests.conftest import smooth_picture


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def claims(width, height):
    """A PNG of 70 bytes that claims such a size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


def holds(width, height):
    """A PNG of black bits that truly has it: 12 kB for 90 million pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    pixels = zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


BOMBS = {"claims": claims(60_000, 60_000), "a little too large": claims(9_500, 9_500), "holds": holds(9_500, 9_500)}


@pytest.mark.parametrize("cache", ["none", "ram"])
@pytest.mark.parametrize("kind", BOMBS)
def test_refused_before_a_pixel_is_decoded(kind, cache, tmp_path, monkeypatch):
    assert len(BOMBS[kind]) < 20_000
    for number in range(8):
        Image.fromarray(smooth_picture(number, 60, 60)).save(tmp_path / f"{number}.png")
    (tmp_path / "bomb.png").write_bytes(BOMBS[kind])

    decoded = []
    real = Image.Image.convert
    monkeypatch.setattr(Image.Image, "convert", lambda self, mode: (decoded.append(self.size), real(self, mode))[1])
    data = FolderData(Boxes(), str(tmp_path), validation=0.4, crop=32, cache=cache)
    with pytest.raises(ValueError, match=r"bomb\.png: .*(60000|9500 x 9500|exceeds limit)"):
        data.setup("fit")
    assert all(np.prod(size) < 1e4 for size in decoded)

    left_out = FolderData(
        *(Boxes(), str(tmp_path)), validation=0.4, crop=32, cache=cache, on_bad_image="skip", max_bad_fraction=0.5
    )
    left_out.setup("fit")
    assert sum(len(tiles.bad) for tiles in left_out.tiles.values()) == 1
