"""Rows of tiles: a square part of a photograph, at a place that only the sample's key decides."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from inpaint import rng
from inpaint.data.sources import Folder, Picture, Source, say
from inpaint.data.splits import Split
from inpaint.data.store import SHARE, Store
from inpaint.pictures.reading import BadImage
from inpaint.progress import in_threads
from inpaint.settings import Refused

MOST_VALIDATED = 1 << 24  # crops; their order is a list


class Tiles(Dataset):
    """`per_image` uint8 tiles ``(C, tile, tile)`` of each photograph of a split.

    Row `index` comes from photograph ``index // per_image``. Its channels are RGB, of a clip of each frame in turn;
    RGB of the degraded picture that it comes with, in which a pixel is a square of several where it has fewer; and its
    mask, as far as there are such. A training tile has room for the crop to move in; where the photograph is smaller
    than that, it fills the upper left part and `extent` says how much. A validation tile is the crop itself.

    Args:
        source: where the photographs come from.
        split: which of them.
        per_image: rows of each photograph.
        tile: side of the tiles in pixels.
        crop: the least side that a photograph may have.
        seed: keys the places of training tiles.
        max_bad_fraction: share of the photographs that may be unreadable, or smaller than the crop; the next readable
            photograph stands in for them. None allows none.
        skip_small: whether any number of photographs may be smaller than the crop, but for all of them.
    """

    def __init__(
        self,
        source: Source,
        split: Split,
        per_image: int,
        tile: int,
        crop: int,
        seed: int,
        max_bad_fraction: float | None,
        skip_small: bool = False,
    ) -> None:
        self.source, self.split, self.per_image, self.tile, self.crop = source, split, per_image, tile, crop
        self.given_scale: int = getattr(source, "given_scale", 0)
        self.frames: int = getattr(source, "frames", 1)
        self.channels = 3 * self.frames + (3 if self.given_scale else 0) + source.masked
        self.seed, self.max_bad_fraction, self.skip_small = seed, max_bad_fraction, skip_small
        self.count = source.count(split)
        self.bad: dict[int, str] = {}  # photographs that cannot be used, and why
        self.small: set[int] = set()  # those that the crop does not fit in
        self.store: Store | None = None
        self.on_device = False  # rows then say where to cut, and `Store.tiles` cuts

    def __len__(self) -> int:
        return self.count * self.per_image

    def name(self, index: int) -> str:
        """The photograph that picture `index` of a batch comes from; of a row's clip, each frame is a picture."""
        return self.source.name(self.split, self.usable(index // self.frames // self.per_image))

    def check(self) -> list[tuple[int, int]] | None:
        """Look at every photograph's header; their sizes, or None where only reading would tell.

        Raises:
            Refused: too many cannot be used.
        """
        if self.source.shards(self.split) is not None:
            return None
        sizes, bad = [], {}
        found = in_threads(self._size, range(self.count), 16, f"headers ({self.split})", "photographs", each=64)
        for row, size in enumerate(found):
            if isinstance(size, str):
                bad[row] = size
            sizes.append((0, 0) if isinstance(size, str) else size)
        if isinstance(self.source, Folder):
            self.source.headers.save()
        self.skip(bad)
        return sizes

    def _size(self, row: int) -> tuple[int, int] | str:
        """Height and width of a photograph, or what is wrong with it."""
        try:
            size = self.source.size(self.split, row)
            assert size is not None, "only shards may hide their sizes"
            self._large_enough(row, size)
        except BadImage as error:
            return str(error)
        return size

    def _large_enough(self, row: int, size: Sequence[int]) -> None:
        if min(size) < self.crop:
            self.small.add(row)
            shape = f"{size[0]}x{size[1]}"
            raise BadImage(f"{self.source.name(self.split, row)} ({shape}) is smaller than data.crop={self.crop}")

    def check_number(self, ranks: int) -> None:
        """Whether there are as many crops to validate on as devices, and no more than a list can order.

        Raises:
            Refused: there are not.
        """
        if (crops := len(self)) < ranks:
            raise Refused(
                f"data.validation_crops: {crops} validation crops are fewer than the {ranks} devices; raise it, or let "
                "more photographs validate"
            )
        if crops > MOST_VALIDATED:
            raise Refused(f"data.validation_crops: {crops} crops in all are more than {MOST_VALIDATED}; lower it")

    def skip(self, bad: dict[int, str]) -> None:
        """Leave photographs out.

        Raises:
            Refused: those are more than `max_bad_fraction` allows.
        """
        new = {row: reason for row, reason in bad.items() if row not in self.bad}
        self.bad |= new
        if not new:
            return
        reasons = [*self.bad.values()]
        said = f"{len(self.bad)} of {self.count} {self.split} photographs"
        shown = "; ".join(reasons[:5] + ["..."] * (len(reasons) > 5))
        counted = self.bad.keys() - (self.small if self.skip_small else set())
        if len(counted) > (self.max_bad_fraction or 0) * self.count or len(self.bad) == self.count:
            key, remedy = "on_bad_image", "skip leaves them out"
            if self.bad.keys() <= self.small:
                key, remedy = "crop", "lower it"
                if len(self.bad) < self.count:
                    remedy = "lower it, or leave them out with data.on_small_image=skip"
            elif self.max_bad_fraction is not None:
                key, remedy = "max_bad_fraction", f"{self.max_bad_fraction:g} allows fewer"
            raise Refused(f"data.{key}: {said} cannot be used; {remedy}: {shown}")
        say(f"data: {said} are left out: {shown}")

    def passed_over(self, rows: Sequence[int], taken: Sequence[int]) -> None:
        """Count the photographs that workers had to leave out: those between the ones wanted and the ones taken."""
        for row, stand_in in zip(rows, taken, strict=True):
            while row != stand_in:  # others may have read them
                if row not in self.bad:
                    if self.max_bad_fraction is None:  # it is no broken one
                        self.small.add(row)
                    self.skip({row: f"{self.source.name(self.split, row)} cannot be read"})
                row = (row + 1) % self.count

    def usable(self, row: int) -> int:
        """The photograph itself, or the next that is not left out."""
        while row in self.bad:
            row = (row + 1) % self.count
        return row

    def read(self, row: int) -> tuple[int, Picture]:
        """A photograph, or the next that can be read, and which one it is."""
        while True:
            row = self.usable(row)
            try:
                picture = self.source.read(self.split, row)
                self._large_enough(row, picture["image"].shape[-2:])
            except BadImage as error:
                if self.max_bad_fraction is None and not (self.skip_small and row in self.small):
                    raise BadImage(f"{error} ({self.split} photograph {row})") from None
                self.skip({row: str(error)})
            else:
                return row, picture

    @property
    def photographs(self) -> "Photographs":
        """What the tiles are cut from."""
        return Photographs(self)

    def photograph(self, row: int) -> Tensor:
        """A photograph, or the next that can be read, without what belongs to it: uint8 ``(3, H, W)`` on the CPU."""
        if self.store is not None:
            return self.store.picture(self.usable(row))[:3].cpu()
        return self.read(row)[1]["image"][:3]  # of a clip its first frame

    def hole_share(self, row: int) -> float:
        """How much of a photograph its mask covers, 0..1, or of the next one that can be read.

        Raises:
            Refused: it cannot be read, and no more of them may be left out.
        """
        if self.store is not None:
            return float(self.store.picture(self.usable(row))[-1].float().mean())
        return float(self.read(row)[1]["mask"].float().mean())

    def keep(self, sizes: list[tuple[int, int]]) -> None:
        """Decode all photographs now, and cut tiles out of memory from now on."""

        def read(row: int) -> tuple[Tensor, dict[str, Any]]:
            picture = self.source.read(self.split, row)
            if tuple(picture["image"].shape[-2:]) != tuple(sizes[row]):
                raise BadImage(f"{self.source.name(self.split, row)}: has changed since its header was read")
            return _pixels(picture), _extras(picture)

        self.store = Store(sizes, self.channels, read, f"reading ({self.split})", left_out=self.bad)
        self.skip(self.store.broken)

    def move(self, device: torch.device, cache: str) -> bool:
        """Whether the photographs are on `device`, a GPU, where they go if they should and fit."""
        if self.store is None or device.type == "cpu" or cache == "ram":
            return False
        if self.store.data.device != device:
            free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
            if cache == "auto" and self.store.bytes > SHARE * free:
                return False
            self.store.to(device)
            say(f"data.cache: {self.split} photographs on {device}, {self.store.bytes / 2**20:.0f} MB")
        return True

    def __getitem__(self, row: tuple[int, int]) -> dict[str, Any]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """Rows by epoch and index, which a loader asks for a batch at a time: their places are drawn at once."""
        # Validation does not depend on the epoch: the same crops under the same masks, always.
        keys = [
            rng.key(self.seed, "train", epoch, index) if self.split == "train" else rng.key("validation", index)
            for epoch, index in rows
        ]
        places = rng.uniform(rng.fold(torch.tensor(keys), "tile"), 2).tolist()
        return [
            {"key": key, "index": index} | self._tile(index, *place)
            for (_, index), key, place in zip(rows, keys, places, strict=True)
        ]

    def _tile(self, index: int, y: float, x: float) -> dict[str, Any]:
        """What is cut out of a row's photograph, at a share of the way from its upper left to its lower right."""
        if self.store is not None:
            taken = self.usable(index // self.per_image)
            pixels, sample = self.store.picture(taken), dict(self.store.extras[taken])
        else:
            taken, picture = self.read(index // self.per_image)
            pixels, sample = _pixels(picture), _extras(picture)
        height, width = (min(side, self.tile) for side in pixels.shape[-2:])
        top, left = int(y * (pixels.shape[-2] - height + 1)), int(x * (pixels.shape[-1] - width + 1))
        if self.given_scale > 1:  # at the corner of a given pixel
            top, left = top - top % self.given_scale, left - left % self.given_scale
        sample["photograph"] = taken
        if self.split == "train":
            sample["extent"] = torch.tensor([height, width])
        if self.on_device:
            return sample | {"place": torch.tensor([top, left])}
        cut = pixels[:, top : top + height, left : left + width]
        if (height, width) == (self.tile, self.tile):
            return sample | {"tile": cut.contiguous()}
        tile = torch.zeros(len(pixels), self.tile, self.tile, dtype=torch.uint8)
        tile[:, :height, :width] = cut
        return sample | {"tile": tile}

    def cut(self, photographs: Tensor, place: Tensor, extent: Tensor | None) -> Tensor:
        """The tiles of a batch of rows that say where to cut, on the device: uint8 ``(B, C, tile, tile)``."""
        assert self.store is not None
        return self.store.tiles(photographs, place, extent, self.tile)


class Photographs(Sequence[Tensor]):
    """The photographs of a split as `Tiles.photograph` gives them, read when they are asked for."""

    def __init__(self, tiles: Tiles) -> None:
        self.tiles = tiles

    def __len__(self) -> int:
        return self.tiles.count

    def __getitem__(self, row: Any) -> Any:
        return self.tiles.photograph(row)


def _pixels(picture: Picture) -> Tensor:
    """Image, degraded image and mask, as far as there are such, as channels: uint8 ``(C, H, W)``."""
    channels = [picture["image"]]
    if "given" in picture:
        scale = picture["image"].shape[1] // picture["given"].shape[1]
        channels.append(picture["given"].repeat_interleave(scale, 1).repeat_interleave(scale, 2))
    if "mask" in picture:
        channels.append(picture["mask"])
    return torch.cat(channels) if len(channels) > 1 else channels[0]


def _extras(picture: Picture) -> dict[str, Any]:
    """Label, caption and embedding, where there are some."""
    return {name: picture[name] for name in ("label", "caption", "embedding") if name in picture}
