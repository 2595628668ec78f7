"""Holes as captions and watermarks have them."""

import string
from collections.abc import Sequence

import numpy
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from inpaint.masks.kind import EVERY_AREA, Pixelwise, between, scalar, sine, span, whole
from inpaint.masks.shapes import Size
from inpaint.rng import fold, uniform

CHARACTERS = string.ascii_letters + string.digits + "&?!.,"
EM = 48  # height of a line of the atlas, pixels


class Text(Pixelwise):
    """A block of lines of random words, centred on one another, a little rotated, anywhere in the picture.

    Text as a hole is among the first uses of inpainting (Bertalmio et al. 2000); words and layout are our own. The
    letters are those of the font that Pillow carries (Aileron Regular), rendered at construction: the same wherever
    Pillow and its FreeType are of one version; another FreeType may round the edge of a letter differently. Where
    letters are hardly larger than pixels, a mask may be empty.

    Args:
        lines: fewest and most lines, whole numbers.
        letters: shortest and longest line in characters, gaps between words among them, whole numbers.
        height: least and greatest height of a line, fractions of the picture's shorter side; a capital letter is half
            as high.
        rotation: most that the block is turned, degrees, to either side.
        area: least and greatest share of the picture that a hole may cover, see `Masks`.
    """

    def __init__(
        self,
        lines: Sequence[int] = (1, 5),
        letters: Sequence[int] = (6, 24),
        height: Sequence[float] = (0.1, 0.25),
        rotation: float = 12.0,
        area: Sequence[float] = EVERY_AREA,
    ) -> None:
        super().__init__(area)
        self.lines = span("lines", lines, 1, 100, "two whole numbers", whole=True)
        self.letters = span("letters", letters, 1, 1000, "two whole numbers", whole=True)
        self.height = span("height", height, 0.001, 10, "two fractions of the shorter side")
        self.rotation = scalar("rotation", rotation, 0, 180, "an angle in degrees")
        self.atlas, self.begin, self.advance = _atlas()

    def inside(self, keys: Tensor, size: Size) -> Tensor:
        """From each pixel to its place in the block, hence to its line, to the letter there and to its picture."""
        columns = self._columns(keys)
        batch, _, longest = columns.shape
        number = whole(keys, "lines", 1, self.lines)[..., None]
        scale = EM / (between(keys, "height", 1, self.height) * min(size))
        turn = between(keys, "rotation", 1, (-self.rotation / 360, self.rotation / 360))
        along, across = sine(turn + 0.25) * scale, sine(turn) * scale
        x = torch.arange(size[1], device=keys.device) - between(keys, "x", 1, (0.25, 0.75)) * size[1]
        y = torch.arange(size[0], device=keys.device) - between(keys, "y", 1, (0.25, 0.75)) * size[0]
        # In the atlas's pixels: u to the right of the block's left edge, v below its upper edge.
        u = (y * across)[..., None] + (x * along)[:, None] + longest / 2
        v = (y * along)[..., None] - (x * across)[:, None] + number * (EM / 2)
        inside = (u >= 0) & (u < longest) & (v >= 0) & (v < number * EM)
        line = (v / EM).clamp_(0, self.lines[1] - 1).long()
        place = (line * longest).add_(u.clamp_(0, longest - 1).long())
        column = columns.view(batch, -1).gather(1, place.view(batch, -1))
        row = v.clamp_(min=0).long().remainder_(EM)
        letter = self.atlas.to(keys.device, non_blocking=True)[row.view(batch, -1), column]
        return letter.view_as(inside) & inside

    def _columns(self, keys: Tensor) -> Tensor:
        """Which column of the atlas is seen in each column of each line, int64 ``(B, lines, longest)``, 0 for none."""
        lines, letters = self.lines[1], self.letters[1]
        character = uniform(fold(keys, "letter"), lines * letters).mul(len(CHARACTERS)).long() + 1
        gap = uniform(fold(keys, "gap"), lines * letters) < 1 / 6
        character = character.masked_fill(gap, 0).view(-1, lines, letters)
        on = torch.arange(letters, device=keys.device) < whole(keys, "letters", lines, self.letters)[..., None]
        begin, advance = (table.to(keys.device, non_blocking=True)[character] for table in (self.begin, self.advance))
        advance = advance * on
        ends = advance.cumsum(2)  # whole numbers, exact in any order
        longest = letters * int(self.advance.max())
        place = torch.arange(longest, device=keys.device) - (longest - ends[..., -1:]) // 2
        letter = torch.searchsorted(ends, place, right=True).clamp_(max=letters - 1)
        column = (begin - ends + advance).gather(2, letter) + place
        return column.masked_fill((place < 0) | (place >= ends[..., -1:]), 0)


def _atlas() -> tuple[Tensor, Tensor, Tensor]:
    """All letters side by side, bool ``(EM, columns)``; where each begins and how wide it is, int64 ``(letters + 1,)``.

    Letter 0 is the gap between words; column 0 is empty.
    """
    font = ImageFont.load_default(EM * 0.75)
    pictures = [numpy.zeros((EM, EM // 4), bool)]
    for character in CHARACTERS:
        picture = Image.new("L", (round(font.getlength(character)), EM))
        ImageDraw.Draw(picture).text((0, 0), character, fill=255, font=font)
        pictures.append(numpy.asarray(picture) > 127)
    advance = torch.tensor([picture.shape[1] for picture in pictures])
    return torch.from_numpy(numpy.concatenate(pictures, 1)), advance.cumsum(0) - advance, advance
