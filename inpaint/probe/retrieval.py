"""What features take for alike: held-out pictures, and beside each the training pictures nearest to it."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from inpaint.batch import from_uint8
from inpaint.pictures.sheet import panel
from inpaint.probe.classifiers import Split, nearest, standardise

SIDE = 64  # pixels of a picture on the sheet
FRAME = 3  # pixels
SAME, OTHER = (-1.0, -0.2, 1.0), (1.0, 0.0, -1.0)  # colours of frames: blue and orange, which all eyes tell apart


def retrieval_sheet(
    crops: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    features: Mapping[str, Tensor],
    split: Split,
    queries: int,
    neighbours: int,
) -> Image.Image:
    """A row for each query: for each kind of features the query, then its nearest training pictures.

    The classes take turns as queries. A blue frame is a neighbour of the query's class, an orange one of another.

    Args:
        crops: uint8 ``(N, 3, H, W)``.
        labels: int64 ``(N,)``, numbers of `classes`.
        classes: their names.
        features: float64 ``(N, d)`` by name; nearest is the greatest cosine of what `standardise` makes of them.
        split: `test` are the pictures that may be queries, `train` those that may be found.
        queries: how many at most.
        neighbours: how many are found for each.
    """
    shown = split.test[in_turn(labels[split.test].tolist(), queries)]
    small = F.interpolate(from_uint8(crops), (SIDE, SIDE), mode="bilinear", antialias=True)
    parts, captions = [], []
    for name, rows in features.items():
        found = split.train[nearest(*standardise(rows[split.train], rows[shown]), neighbours)]  # (queries, neighbours)
        same = labels[found] == labels[shown, None]
        parts.append(torch.cat([small[shown, None], framed(small[found], same)], dim=1))
        hits = zip(same.sum(1).tolist(), labels[shown].tolist(), strict=True)
        captions.append([f"{name}: {number} of {neighbours} are {classes[label]}" for number, label in hits])
    grid = torch.stack(parts, dim=1).flatten(0, 1)
    titles = ["query", *(str(place) for place in range(1, neighbours + 1))]
    texts = [text for query in zip(*captions, strict=True) for text in query]
    return panel(dict(zip(titles, grid.unbind(1), strict=True)), texts, across=len(features), scale=1)


def in_turn(labels: Sequence[int], number: int) -> list[int]:
    """The first `number` places when classes take turns: the first of each, then the second of each, and so on."""
    seen: dict[int, int] = {}
    turns = []
    for place, label in enumerate(labels):
        seen[label] = seen.get(label, -1) + 1
        turns.append((seen[label], label, place))
    return [place for _, _, place in sorted(turns)[:number]]


def framed(pictures: Tensor, same: Tensor) -> Tensor:
    """Pictures ``(Q, k, 3, H, W)`` in frames whose colour tells whether they are the same, bool ``(Q, k)``."""
    colour = torch.where(same[..., None], torch.tensor(SAME), torch.tensor(OTHER))[..., None, None]
    inside = (..., slice(FRAME, -FRAME), slice(FRAME, -FRAME))
    made = colour.expand_as(pictures).clone()
    made[inside] = pictures[inside]
    return made
