"""Coloured shapes under holes that hide them whole, with texts that say what they are: only those tell the colour."""

import torch

from inpaint import rng

COLOURS = {"red": (1.0, -1.0, -1.0), "green": (-1.0, 0.6, -1.0), "blue": (-0.8, -0.6, 1.0), "yellow": (1.0, 0.9, -1.0)}
SHAPES = ("disc", "square")


def shapes(count=256, side=16, hidden=True):
    """Rows for a loader: on grey that differs from picture to picture, one shape in the middle.

    Args:
        count: pictures; each colour and shape comes equally often.
        side: pixels.
        hidden: whether a hole hides the shape; else all is hole.
    """
    y, x = torch.meshgrid(*(torch.arange(float(side)) - (side - 1) / 2,) * 2, indexing="ij")
    radius = side / 4
    masks = {"disc": x.square() + y.square() <= radius**2, "square": torch.maximum(x.abs(), y.abs()) <= radius}
    hole = torch.ones(1, side, side)
    if hidden:
        hole = (torch.maximum(x.abs(), y.abs()) <= radius + 1).float()[None]
    shades = rng.uniform(torch.arange(count), 1) - 0.5
    rows = []
    for number in range(count):
        colour = list(COLOURS)[number % len(COLOURS)]
        shape = SHAPES[number // len(COLOURS) % len(SHAPES)]
        image = torch.where(masks[shape], torch.tensor(COLOURS[colour])[:, None, None], shades[number])
        row = {"image": image, "mask": hole, "index": number, "caption": f"A {colour} {shape} on grey."}
        rows.append(row | {"label": number % len(COLOURS)})
    return rows
