"""Copy and paste within one picture.

The order in which patches are filled follows from the hole alone, and a patch needs only the ones before it that
reached into it. So the order is found first (`_plan`), and all patches that wait for the same ones are searched for
together, by one product of matrices: the result is that of one after another.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs
from inpaint.fills.laplace import harmonic
from inpaint.fills.single import one_by_one
from inpaint.settings import Refused, whole

TILE, BLOCK = 1024, 64  # sources that one product compares, and of which the best is found at once
AT_ONCE = 2**24  # distances that are held at a time
NEVER = 2**30  # the turn of the margin around the picture, which is neither known nor filled


class NearestPatch(nn.Module):
    """Copy and paste within one picture: what Context Encoders (Pathak et al. 2016) compare with as nearest neighbour.

    The hole is filled from its rim inwards. The hole pixel with the most known pixels in the patch around it comes
    first (Efros and Leung 1999); of all patches of the picture that are wholly known, the one with the least sum of
    squared differences over those pixels is found, and the rest of the patch is copied from it (Criminisi et al. 2004,
    without the gradient term). Ties go to the topmost, then leftmost pixel or patch.

    patch: side in pixels, odd, at least 3. Where a picture has no wholly known patch, the next smaller size is tried,
    and at last `harmonic`. candidates: all patches are compared in the pixels of every second row and column, and so
    many that look best there in all of their pixels; None compares all in all, which is exact.
    """

    def __init__(self, patch: int = 7, candidates: int | None = 128) -> None:
        super().__init__()
        if whole("generator.patch", patch, 3) % 2 == 0:
            raise Refused(f"generator.patch: give an odd number of pixels; got {patch}")
        self.patch = patch
        self.candidates = None if candidates is None else whole("generator.candidates", candidates, 1)

    def _fill(self, picture: Tensor, hole: Tensor) -> Tensor:
        for patch in range(self.patch, 1, -2):
            if min(hole.shape) >= patch:
                rows = F.max_pool2d(hole.float()[None], (1, patch), stride=1)
                sources = F.max_pool2d(rows, (patch, 1), stride=1)[0] < 0.5
                if sources.any():
                    return _copy_patches(picture, hole, sources, patch, self.candidates)
        return harmonic(picture[None], hole[None, None].float())[0]

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in `inpaint.fills`."""
        with torch.autocast("cpu", enabled=False):  # distances need all digits of float32
            return one_by_one(image, mask, self._fill)


def _plan(hole: np.ndarray, patch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In which turn each patch is filled; those of one turn do not need each other.

    The next patch is always the one with the most known pixels. Its turn comes after those in which its known pixels
    were filled, and all of its others are filled then.

    hole: bool ``(H, W)``. Returns, for the picture in a margin of half a patch, the places of the patches' upper left
    pixels in the flat picture, their turns, from 1 up and ascending, and the turn of every pixel ``(H, W)``: 0 where it
    is known from the start, `NEVER` in the margin.
    """
    half, reach = patch // 2, patch - 1
    todo = np.pad(hole, half).astype(np.int32)
    turn = np.pad(np.zeros(hole.shape, np.int32), half, constant_values=NEVER)
    known = np.pad(1 - hole.astype(np.int32), half)
    sums = np.pad(known.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    support = sums[patch:, patch:] - sums[:-patch, patch:] - sums[patch:, :-patch] + sums[:-patch, :-patch]
    rank = np.where(hole, support + 1, 0)
    rank = np.pad(rank, reach)  # by how much a patch reaches beyond its middle, and the patches that it touches
    best = rank.max(1)  # of each row, so that not all pixels are looked at each time
    spread = np.zeros((patch + reach, patch), np.int32)  # sums over all patches that touch this one
    for place in range(patch):
        spread[place : place + patch, place] = 1
    places, turns = [], []
    while best[row := int(best.argmax())]:
        column = int(rank[row].argmax())
        top, left = row - reach, column - reach  # in the picture with its margin, the patch's upper left pixel
        window = (slice(top, top + patch), slice(left, left + patch))
        new, when = todo[window], turn[window]
        now = int(when[when < NEVER].max()) + 1
        places.append(top * turn.shape[1] + left)
        turns.append(now)
        when[new > 0] = now
        around = (slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1))
        open_ = rank[around] > 0
        rank[around] += spread @ new @ spread.T * open_
        new[:] = 0
        middle = (slice(row - half, row + half + 1), slice(column - half, column + half + 1))
        rank[middle] = 0
        best[around[0]] = rank[around[0]].max(1)
    order = np.argsort(turns, kind="stable")
    return np.array(places)[order], np.array(turns)[order], turn


class _Sources:
    """The wholly known patches of a picture, and which of them are nearest to patches that are known in part.

    The sum of w * (s - t)^2 over a patch is w . s^2 - 2 (w t) . s and a constant: one product finds it for all s and t.
    Where candidates are sought first, s and t are the first principal colour in every second row and column and the
    other two in four pixels, which stand for all.

    canvas: ``(P, 3)``, the flat picture in its margin. places: ``(N,)``, the upper left pixel of each source. pixels:
    ``(patch, patch)``, the pixels of a patch relative to that. candidates: as in `NearestPatch`.
    """

    def __init__(self, canvas: Tensor, places: Tensor, pixels: Tensor, candidates: int | None) -> None:
        self.canvas, self.pixels = canvas, pixels.flatten()
        self.candidates = candidates if candidates is not None and candidates * BLOCK < len(places) else None
        self.places = torch.cat([places, places[-1:].expand(-len(places) % TILE)])
        every = torch.arange(len(self.pixels)).view(pixels.shape)
        self.colours, self.seen, self.corners = torch.eye(3), every.flatten(), every.flatten()
        if self.candidates is not None:
            self.colours = torch.linalg.eigh(torch.cov(canvas[places].T))[1].flip(1)
            self.seen, self.corners = every[::2, ::2].flatten(), every[:: len(every) - 1, :: len(every) - 1].flatten()
        share = len(self.seen) / len(self.corners)
        first = (canvas @ self.colours[:, :1])[self.places + self.pixels[self.seen, None], 0]
        others = (canvas @ self.colours[:, 1:])[self.places + self.pixels[self.corners, None]].movedim(2, 1)
        squares = first.square()
        squares[torch.isin(self.seen, self.corners)] += share * others.square().sum(1)
        table = torch.cat([squares, -2 * first, -2 * share * others.flatten(0, 1)])
        self.tiles = table.unflatten(1, (-1, TILE)).transpose(0, 1).contiguous()
        self.memory = canvas.new_empty(0)

    def distances(self, patches: Tensor, known: Tensor) -> Tensor:
        """Of all sources to patches as in `nearest`, but for a constant of each patch: ``(N / TILE, K, TILE)``."""
        first = patches[:, self.seen] @ self.colours[:, 0] * known[:, self.seen]
        others = patches[:, self.corners] @ self.colours[:, 1:] * known[:, self.corners, None]
        asked = torch.cat([known[:, self.seen], first, others.flatten(1)], dim=1)
        shape = (len(self.tiles), len(patches), TILE)
        if self.memory.numel() < math.prod(shape):  # kept, as fresh memory costs as much as the product
            self.memory = asked.new_empty(math.prod(shape))
        found = self.memory[: math.prod(shape)].view(shape)
        return torch.bmm(asked.expand(len(self.tiles), -1, -1), self.tiles, out=found)

    def nearest(self, patches: Tensor, known: Tensor) -> Tensor:
        """The places ``(K,)`` of the sources nearest to patches ``(K, patch * patch, 3)``, where 1 in `known`."""
        distances = self.distances(patches, known)
        if self.candidates is None:
            return self.places[distances.transpose(0, 1).flatten(1).argmin(1)]
        rows = torch.arange(len(patches))[:, None]
        blocks = distances.unflatten(2, (-1, BLOCK))
        least = blocks.amin(3).transpose(0, 1).flatten(1)
        good = least.topk(self.candidates, largest=False, sorted=False).indices
        tile, block = good // (TILE // BLOCK), good % (TILE // BLOCK)
        inside = blocks[tile, rows, block].flatten(1).topk(self.candidates, largest=False, sorted=False).indices
        places = self.places[(good.gather(1, inside // BLOCK) * BLOCK + inside % BLOCK).sort(1).values]
        differences = F.embedding(places[..., None] + self.pixels, self.canvas).sub_(patches[:, None]).square_()
        weights = known[..., None].expand(-1, -1, 3).flatten(1)
        best = torch.bmm(differences.flatten(2), weights[..., None])[..., 0].argmin(1)
        return places[rows[:, 0], best]


def _copy_patches(picture: Tensor, hole: Tensor, known: Tensor, patch: int, candidates: int | None) -> Tensor:
    """Fill ``(3, H, W)``; known, bool ``(H - patch + 1, W - patch + 1)``, says which of its patches are."""
    height, width = hole.shape
    half = patch // 2
    places, turns, turn = _plan(hole.numpy(), patch)
    canvas = F.pad(picture, (half,) * 4).permute(1, 2, 0).contiguous()
    flat, due = canvas.view(-1, 3), torch.from_numpy(turn).flatten()
    index = torch.arange(len(flat)).view(turn.shape)
    pixels = index[:patch, :patch]
    inner = index[half : half + height - patch + 1, half : half + width - patch + 1]
    sources = _Sources(flat, inner[known], pixels, candidates)
    patches = torch.from_numpy(places)[:, None] + pixels.flatten()
    ends = np.flatnonzero(np.diff(turns, append=NEVER)) + 1
    for first, end in zip([0, *ends[:-1]], ends, strict=True):
        now = int(turns[first])
        for at in patches[first:end].split(max(1, AT_ONCE // len(sources.places))):
            new = due[at] == now
            nearest = sources.nearest(flat[at], (due[at] < now).float())
            flat[at[new]] = flat[(nearest[:, None] + pixels.flatten())[new]]
    return canvas[half : half + height, half : half + width].permute(2, 0, 1)
