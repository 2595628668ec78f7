"""Sheets of pictures: samples in rows, a titled column for each kind, captions, and a bar chart below."""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from inpaint.batch import to_uint8

LINE = 18  # pixels a line of text takes
MARGIN = 4  # pixels beside text


def panel(
    columns: Mapping[str, Tensor], captions: Sequence[str] | None = None, across: int = 1, scale: int = 2
) -> Image.Image:
    """Samples one below the other, each a row of its pictures, with the columns' titles on top.

    Args:
        columns: pictures ``(B, 3, H, W)`` in [-1, 1] by title.
        captions: a line of text above each sample; what does not fit loses its middle.
        across: samples side by side.
        scale: pixels that each pixel is enlarged to, for crops that are too small to look at.
    """
    pictures = [to_uint8(images).cpu() for images in columns.values()]
    rows = torch.cat(pictures, dim=3).permute(0, 2, 3, 1).numpy()  # (B, H, columns * W, 3)
    height, width = rows.shape[1] * scale, rows.shape[2] * scale
    above, beside = (0, 0) if captions is None else (LINE, 2 * MARGIN)  # room for a caption, and between samples
    across = min(across, len(rows))
    down = -(-len(rows) // across)
    page = Image.new("RGB", (across * (width + beside) - beside, LINE + down * (height + above)), "white")
    draw = ImageDraw.Draw(page)
    for place in range(across):
        for column, title in enumerate(columns):
            draw.text((place * (width + beside) + column * width // len(columns) + MARGIN, 3), title, fill="black")
    for sample, row in enumerate(rows):
        x, y = sample % across * (width + beside), LINE + sample // across * (height + above)
        if captions is not None:
            draw.text((x + MARGIN, y + 3), _shortened(captions[sample], width - MARGIN, draw), fill="black")
        page.paste(Image.fromarray(row).resize((width, height), Image.Resampling.NEAREST), (x, y + above))
    return page


def as_large(images: Tensor, height: int) -> Tensor:
    """Pictures ``(B, C, h, w)`` at a whole multiple of their height, each pixel repeated, as the eye compares them."""
    times = height // images.shape[2]
    return images.repeat_interleave(times, 2).repeat_interleave(times, 3) if times > 1 else images


def _shortened(text: str, room: int, draw: ImageDraw.ImageDraw) -> str:
    """A text without its middle where it is too long: the end tells file names apart."""
    text = text.encode("latin-1", "replace").decode("latin-1")  # what every font of Pillow's has
    kept, short = len(text), text
    while draw.textlength(short) > room and kept > 1:
        kept -= 1
        short = f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
    return short


def chart(title: str, shares: Mapping[str, float], width: int, height: int = 120) -> Image.Image:
    """Bars side by side, the highest as high as there is room, each with its name below and its share in % above."""
    page = Image.new("RGB", (width, height + 3 * LINE), "white")
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, 3), title, fill="black")
    base, room, most = height + 2 * LINE, width / len(shares), max(*shares.values(), 1e-9)
    for place, (name, share) in enumerate(shares.items()):
        left, right, middle = place * room + MARGIN, (place + 1) * room - MARGIN, (place + 0.5) * room
        top = base - round(height * share / most)
        draw.rectangle((left, top, right, base), fill="gray")
        draw.text((middle, top - 2), f"{share:.1%}", fill="black", anchor="mb")
        draw.text((middle, base + MARGIN), name, fill="black", anchor="mt")
    return page


def stacked(pages: Sequence[Image.Image]) -> Image.Image:
    """Pages one below the other."""
    page = Image.new("RGB", (max(part.width for part in pages), sum(part.height for part in pages)), "white")
    top = 0
    for part in pages:
        page.paste(part, (0, top))
        top += part.height
    return page
