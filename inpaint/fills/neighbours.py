"""Copy and paste from a collection of photographs: scene completion as Context Encoders compare with it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaint.batch import Outputs, from_uint8, to_uint8
from inpaint.fills.laplace import harmonic
from inpaint.fills.single import one_by_one
from inpaint.progress import track
from inpaint.settings import Refused, whole

BLOCK, ORIENTATIONS = 2, 9  # HOG: cells a side of a block, directions
AT_ONCE = 2**20  # pixels that are described at a time
COMPARED = 2**20  # numbers of descriptors that are compared at a time
NEAR = 5  # levels of 255: a window that differs less on average is the picture; JPEG of quality 75 differs by 3 to 4
SIZES = 4  # sizes of pictures whose windows stay described
CYCLES = 5  # of multigrid for the seam: 2e-5 of the range from the exact solution where 3 are 1e-3


class _Window(NamedTuple):
    """A part of a photograph: its row in the collection, and its upper left pixel."""

    photograph: int
    top: int
    left: int


class _Described(NamedTuple):
    """Windows, and what they look like: float16 ``(N, C * places)``, N as many as there are windows."""

    windows: list[_Window]
    table: Tensor


class NearestNeighbour(nn.Module):
    """Copy and paste from a collection: "NN-inpainting" of the table of Context Encoders (Pathak et al. 2016).

    Of all windows of the collection that have the size of the picture, the one whose surroundings of the hole look most
    alike is found, what it shows in the place of the hole is pasted, and the seam is blended by Poisson's equation: the
    gradients of the window, between the known pixels (Pérez et al. 2003; Hays and Efros 2007 complete scenes so).

    Alike is measured by histograms of oriented gradients (`hog`), or by the features of a trained encoder, of unit
    length at each place. Each place counts by how much of it is known, so nothing inside the hole has a part in it;
    where no place is known, the fill is `harmonic`. A window whose known pixels are nearly those of the picture, less
    than 5 levels of 255 away on average, is the picture itself, perhaps coded anew, and is passed over; one that shows
    the same scene displaced is not. Where all are passed over, the fill is `harmonic` too.

    The windows lie on a grid with half their size as its step, of each photograph as many as there is room for. What
    stays in memory is a descriptor for each of them, made anew for each size of picture: with 8 cells 3.5 kB by HOG,
    and by features at most 128 bytes for each of their channels. A photograph is read again when a part of it is
    pasted. Of one that is smaller than the picture, parts of its shape are enlarged to its size.

    Args:
        collection: a folder of photographs; None takes those that train, where a command has some.
        features: a run, a checkpoint or ``builtin``, whose encoder describes the windows; None is HOG. Its generator
            declares ``features(image, mask)``, as most do.
        windows: how many are described at most.
        cells: along each side of the picture, of HOG; features that are finer are averaged within them.
        blend: whether the seam is blended; otherwise the window is pasted as it is.

    Raises:
        Refused: a number out of its range; and when it is called, before it has a collection (`copy_from`), or one of
            its photographs cannot be read (`BadImage`).
    """

    def __init__(
        self,
        collection: str | None = None,
        features: str | None = None,
        windows: int = 8192,
        cells: int = 8,
        blend: bool = True,
    ) -> None:
        super().__init__()
        self.collection, self.features = collection, features
        self.windows, self.cells = whole("generator.windows", windows, 1), whole("generator.cells", cells, 1)
        self.blend = blend
        self.photographs: Sequence[Tensor] = ()
        self.encoder: nn.Module | None = None
        self._described: dict[tuple[int, int], _Described] = {}  # by size, the latest last

    def copy_from(self, photographs: Sequence[Tensor], encoder: nn.Module | None = None) -> Self:
        """Take a collection, uint8 ``(3, H, W)`` by row, and the network whose features describe it, if any does.

        Raises:
            Refused: the network declares no features.
        """
        if encoder is not None and not callable(getattr(encoder, "features", None)):
            raise Refused(f"generator.features: {type(encoder).__name__} declares no features; give another run")
        self.photographs, self.encoder, self._described = photographs, encoder, {}
        return self

    def prepare(self, size: tuple[int, int]) -> None:
        """Describe the windows of a size, in pixels, if they are not; an evaluation does not count that as filling.

        Raises:
            Refused: there is no collection, or one of its photographs cannot be read.
        """
        if not len(self.photographs):
            raise Refused("generator.collection: nearest_neighbour copies from photographs; give a folder of them")
        if size not in self._described:
            while len(self._described) >= SIZES:
                del self._described[next(iter(self._described))]
            self._described[size] = self._describe(size)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in `inpaint.fills`."""
        height, width = image.shape[2:]
        self.prepare((height, width))
        with torch.autocast(image.device.type, enabled=False), torch.autocast("cpu", enabled=False):
            return one_by_one(image, mask, self._fill)

    def _describe(self, size: tuple[int, int]) -> _Described:
        """As many windows as are allowed, spread evenly over the photographs and over each."""
        total = len(self.photographs)
        rows = [row * total // self.windows for row in range(self.windows)] if total > self.windows else range(total)
        windows, table = [], []
        for row in track(rows, "describing the collection", "photographs"):
            photograph = self.photographs[row]
            shape = photograph.shape[1:]
            places = _spread(_grid(shape, _own(shape, size)), self.windows // len(rows))
            windows += [_Window(row, top, left) for top, left in places]
            for first in range(0, len(places), many := max(1, AT_ONCE // (size[0] * size[1]))):
                part = [_cut(photograph, top, left, size) for top, left in places[first : first + many]]
                looks, _ = self._looks(from_uint8(torch.stack(part)), torch.ones(len(part), 1, *size))
                table.append(looks.flatten(1).half())
        return _Described(windows, torch.cat(table))

    @torch.no_grad()
    def _looks(self, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """What pictures look like, ``(B, C, h, w)``, and how much of each place is known, ``(B, 1, h, w)``.

        image: ``(B, 3, H, W)`` in [-1, 1], 0 where it is not known. known: ``(B, 1, H, W)``.
        """
        if self.encoder is None:
            return hog(image, known, self.cells)
        device = next((parameter.device for parameter in self.encoder.parameters()), image.device)
        encode: Callable[[Tensor, Tensor], Tensor] = self.encoder.features  # type: ignore[assignment]
        found = F.normalize(encode(image.to(device), (1 - known).to(device)).float(), dim=1).cpu()
        share = F.adaptive_avg_pool2d(known, (found.shape[2], found.shape[3]))
        cells = (min(self.cells, found.shape[2]), min(self.cells, found.shape[3]))
        found, share = F.adaptive_avg_pool2d(found * share, cells), F.adaptive_avg_pool2d(share, cells)
        return found / share.clamp_min(1e-6), share

    def _fill(self, picture: Tensor, hole: Tensor) -> Tensor:
        size = (hole.shape[0], hole.shape[1])
        looks, share = self._looks(picture[None], (~hole)[None, None].float())
        if not share.any():
            return harmonic(picture[None], hole[None, None].float())[0]
        described = self._described[size]
        known = to_uint8(picture)[:, ~hole].short()
        for place in _distances(looks[0], share[0], described.table).argsort(stable=True).tolist():
            photograph, top, left = described.windows[place]
            window = _cut(self.photographs[photograph], top, left, size)
            if (window[:, ~hole].short() - known).abs().float().mean() >= NEAR:
                return blended(from_uint8(window), picture, hole) if self.blend else from_uint8(window)
        return harmonic(picture[None], hole[None, None].float())[0]


def blended(source: Tensor, picture: Tensor, hole: Tensor) -> Tensor:
    """The source in the hole of a picture without a seam: its gradients there, the picture's pixels around.

    Poisson's equation of seamless cloning (Pérez et al. 2003, equation 4): the source, plus the smoothest correction
    that leads from one rim to the other, which is Laplace's. Nothing flows across the picture's border.

    source, picture: ``(3, H, W)`` in [-1, 1]. hole: bool ``(H, W)``. Returns ``(3, H, W)``, of which the hole counts.
    """
    correction = harmonic((picture - source)[None], hole[None, None].float(), CYCLES)[0]
    return (source + correction).clamp(-1, 1)


def hog(image: Tensor, known: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Histograms of oriented gradients (Dalal and Triggs 2005) of what is known of pictures.

    9 unsigned orientations of the channel with the strongest gradient, blocks of 2 x 2 cells, L2-Hys, as scikit-image
    has them. A gradient counts where all of 3 x 3 pixels are known, and a cell is the mean over those that count.

    Args:
        image: ``(B, 3, H, W)``; what is not known is anything finite.
        known: ``(B, 1, H, W)``, exactly 0 or 1.
        cells: along each side; a picture of fewer pixels has as many.

    Returns:
        Blocks ``(B, 4 * 9, h, w)``, and of each the share of pixels that count in its least known cell,
        ``(B, 1, h, w)``.
    """
    usable = 1 - F.max_pool2d(1 - known, 3, 1, 1)
    down, right = torch.zeros_like(image), torch.zeros_like(image)
    down[:, :, 1:-1] = image[:, :, 2:] - image[:, :, :-2]
    right[..., 1:-1] = image[..., 2:] - image[..., :-2]
    strength, channel = torch.hypot(down, right).max(dim=1, keepdim=True)
    angle = torch.atan2(down.gather(1, channel), right.gather(1, channel)).remainder(torch.pi)
    direction = (angle * (ORIENTATIONS / torch.pi)).long().clamp_(max=ORIENTATIONS - 1)
    votes = image.new_zeros(len(image), ORIENTATIONS, *image.shape[2:]).scatter_(1, direction, strength * usable)

    cell = [max(1, side // cells) for side in image.shape[2:]]
    number = [min(cells, side) for side in image.shape[2:]]
    votes, usable = (F.avg_pool2d(x[..., : cell[0] * number[0], : cell[1] * number[1]], cell) for x in (votes, usable))
    votes = votes / usable.clamp_min(1e-6)
    block = (min(BLOCK, number[0]), min(BLOCK, number[1]))
    places = [side - along + 1 for side, along in zip(number, block, strict=True)]
    blocks = F.unfold(votes, block)
    blocks = (blocks / (blocks.square().sum(1, keepdim=True) + 1e-10).sqrt()).clamp_(max=0.2)
    blocks = blocks / (blocks.square().sum(1, keepdim=True) + 1e-10).sqrt()
    return blocks.unflatten(2, places), -F.max_pool2d(-usable, block, 1)


def _distances(looks: Tensor, share: Tensor, table: Tensor) -> Tensor:
    """Sums of ``share * (looks - row)^2`` for each row of the table, but for a constant: ``(N,)``."""
    weights = share.expand_as(looks).flatten()
    target = -2 * weights * looks.flatten()
    found = []
    for part in table.split(max(1, COMPARED // len(weights))):
        rows = part.float()
        found.append(rows.square() @ weights + rows @ target)
    return torch.cat(found)


def _own(shape: Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """The size of a window in pixels of a photograph of a shape: less than that of the picture if it is smaller."""
    factor = max(1, *(side / length for side, length in zip(size, shape, strict=True)))
    height, width = (max(1, round(side / factor)) for side in size)
    return height, width


def _grid(shape: Sequence[int], size: tuple[int, int]) -> list[tuple[int, int]]:
    """Upper left pixels of windows half their size apart, or less, from the first to the last row and column."""
    axes = []
    for length, side in zip(shape, size, strict=True):
        number = 1 + -(-2 * (length - side) // max(2, side))
        axes.append([round(place * (length - side) / max(1, number - 1)) for place in range(number)])
    return [(top, left) for top in axes[0] for left in axes[1]]


def _spread(places: list[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """As many as are allowed, evenly; a single one is the middle one."""
    if len(places) <= most:
        return places
    return [places[(2 * number + 1) * len(places) // (2 * most)] for number in range(most)]


def _cut(photograph: Tensor, top: int, left: int, size: tuple[int, int]) -> Tensor:
    """A window of a photograph, uint8 ``(3, H, W)`` of a size; only what is shown is enlarged, if it is smaller."""
    height, width = _own(photograph.shape[1:], size)
    part = photograph[:, top : top + height, left : left + width]
    if (height, width) == size:
        return part
    return F.interpolate(part[None].float(), size, mode="bilinear")[0].round().to(torch.uint8)
