"""Holes as captions and watermarks have them."""

import numpy
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from inpaint.masks import Text
from inpaint.masks.text import CHARACTERS, EM, _atlas
from tests.masks.kinds import areas, keys, kind


def glyphs() -> dict[str, numpy.ndarray]:
    """Each character as Pillow writes it, bool ``(EM, advance)``, and the gap between words."""
    font = ImageFont.load_default(0.75 * EM)
    found = {" ": numpy.zeros((EM, EM // 4), bool)}
    for character in CHARACTERS:
        picture = Image.new("L", (round(font.getlength(character)), EM))
        ImageDraw.Draw(picture).text((0, 0), character, fill=255, font=font)
        found[character] = numpy.asarray(picture) > 127
    return found


def read(strip: numpy.ndarray) -> list[str]:
    """All ways to read a picture of a line, bool ``(EM, columns)``, ink to ink: characters, side by side, that make it
    up. The first and the last may have empty columns of their own outside."""
    pictures, margin, ink = glyphs(), 8, strip.shape[1]
    strip = numpy.pad(strip, ((0, 0), (margin, margin + EM)))
    ways: dict[int, list[str]] = {start: [""] for start in range(margin + 1)}
    for place in range(margin + ink):
        for text in ways.pop(place, []):
            for character, picture in pictures.items():
                end = place + picture.shape[1]
                if numpy.array_equal(strip[:, place:end], picture):
                    ways.setdefault(end, []).append(text + character)
    return [text for end in ways for text in ways[end]]


def test_atlas_has_every_character_apart() -> None:
    atlas, begin, advance = _atlas()
    assert len(begin) == len(CHARACTERS) + 1 and int(advance.sum()) == atlas.shape[1]
    assert not atlas[:, : advance[0]].any(), "the gap"
    pieces = [atlas[:, b : b + a].numpy() for b, a in zip(begin.tolist(), advance.tolist(), strict=True)]
    for piece, expected in zip(pieces, glyphs().values(), strict=True):
        assert numpy.array_equal(piece, expected)
    assert len({piece.tobytes() + bytes(piece.shape) for piece in pieces}) == len(pieces)
    assert all(piece.any() for piece in pieces[1:])
    assert all(torch.equal(one, again) for one, again in zip(_atlas(), (atlas, begin, advance), strict=True))


def unrotated(number: int, **options: tuple[int, int]) -> Tensor:
    """Masks of upright text, as large as in the atlas: bool ``(number, 480, 480)``."""
    masks = Text(height=(EM / 480, EM / 480), rotation=0, **options)
    return masks(keys(number), (480, 480))[:, 0] > 0.5


def test_text_can_be_read() -> None:
    """A line of four to six characters, of which the ends may be gaps, which no one sees."""
    lengths = set()
    for mask in unrotated(15, lines=(1, 1), letters=(4, 6)):
        columns, rows = mask.any(0).nonzero()[:, 0], mask.any(1).nonzero()[:, 0]
        tops = range(int(rows[-1]) - EM + 1, int(rows[0]) + 1)  # where the line may begin
        ways = [way for top in tops for way in read(mask[top : top + EM, columns[0] : columns[-1] + 1].numpy())]
        assert ways, "illegible"
        lengths |= {len(way.strip()) for way in ways}
    assert {4, 5, 6} <= lengths and max(lengths) <= 6


def test_lines_are_stacked_and_centred() -> None:
    masks = unrotated(60, lines=(3, 3), letters=(6, 6))
    heights = masks.any(2).sum(1)
    assert heights.min() > EM and heights.max() < 3 * EM
    centres = torch.stack([torch.stack([m.any(k).nonzero().float().mean() for k in (1, 0)]) for m in masks]) / 480
    assert centres.min() > 0.15 and centres.max() < 0.85 and abs(centres.mean() - 0.5) < 0.05
    assert (unrotated(200, lines=(1, 3)).any(2).sum(1) > 1.2 * EM).float().mean() > 0.5


@pytest.mark.parametrize("degrees", [12.0, 90.0])
def test_rotation(degrees: float) -> None:
    """The main axis of a long line, from its second moments, is spread over all angles up to the rotation."""
    masks = Text(lines=(1, 1), letters=(16, 16), height=(0.06, 0.06), rotation=degrees)(keys(200), (256, 256))[:, 0]
    angles = []
    for mask in masks:
        y, x = (place - place.mean() for place in mask.nonzero().float().unbind(1))
        angles.append(torch.atan2(2 * (x * y).sum(), (x * x).sum() - (y * y).sum()).rad2deg() / 2)
    angle = torch.stack(angles)
    assert angle.abs().max() < degrees + 4 and angle.min() < -0.8 * degrees and angle.max() > 0.8 * degrees
    assert abs(angle.abs().mean() - degrees / 2) < 0.12 * degrees


def test_text_covers_a_few_percent() -> None:
    area = areas(kind("text")(keys(200), (256, 256)))
    assert 0.02 < area.mean() < 0.08 and area.min() > 0.001 and area.max() < 0.25
