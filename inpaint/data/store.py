"""A collection kept in memory, decoded once: one flat buffer of bytes, in the host's memory or the device's."""

import os
from collections.abc import Callable, Container
from typing import Any, Literal

import torch
from torch import Tensor

from inpaint.data.sources import say
from inpaint.pictures.reading import BadImage
from inpaint.progress import in_threads
from inpaint.settings import Refused
from inpaint.system import free_memory

SHARE = 0.25  # of the free memory that an automatic choice may take


def is_kept(
    cache: Literal["device", "ram", "none", "auto"], split: str, sizes: list[tuple[int, int]] | None, channels: int
) -> bool:
    """Whether a split's photographs are decoded once and kept; an automatic choice is said aloud.

    Args:
        cache: the setting `data.cache`.
        split: which.
        sizes: height and width of every photograph; None for those that are streamed.
        channels: bytes a pixel.

    Raises:
        Refused: streamed photographs are to be kept.
    """
    if sizes is None:
        if cache in ("device", "ram"):
            raise Refused(f"data.cache: shards are streamed, not kept; cache={cache} needs another source")
        return False
    if cache != "auto":
        return cache != "none"
    needed, free = channels * sum(height * width for height, width in sizes), free_memory()
    kept = needed <= SHARE * free
    say(
        f"data.cache=auto: {split} photographs {'kept in memory' if kept else 'decoded anew each time'}, "
        f"{needed / 2**20:.0f} MB of {free / 2**20:.0f} MB free"
    )
    return kept


class Store:
    """Pictures of any sizes, uint8 ``(C, H, W)`` each, one after another.

    Args:
        sizes: height and width of every picture.
        channels: C, 3 or 4.
        read: gives picture `row` and what else is known of it (label, caption), kept in `extras`, or raises BadImage,
            whose words are kept in `broken`; called from several threads.
        label: what the progress line says.
        left_out: rows that are not read.
    """

    def __init__(
        self,
        sizes: list[tuple[int, int]],
        channels: int,
        read: Callable[[int], tuple[Tensor, dict[str, Any]]],
        label: str,
        left_out: Container[int] = (),
    ) -> None:
        self.sizes, self.channels = sizes, channels
        lengths = [channels * height * width for height, width in sizes]
        self.begins = [0, *torch.tensor(lengths).cumsum(0).tolist()]
        self.data = torch.empty(self.begins[-1], dtype=torch.uint8)

        self.extras: list[dict[str, Any]] = [{} for _ in sizes]
        self.broken: dict[int, str] = {}

        def fill(row: int) -> None:
            if row in left_out:
                return
            try:
                pixels, self.extras[row] = read(row)
                self.picture(row).copy_(pixels)
            except BadImage as error:
                self.broken[row] = str(error)

        # Decoders release the interpreter's lock.
        for _ in in_threads(fill, range(len(sizes)), os.cpu_count(), label, "photographs"):
            pass

    @property
    def bytes(self) -> int:
        """Size of the buffer."""
        return self.data.numel()

    def picture(self, row: int) -> Tensor:
        """A view of one picture, uint8 ``(C, H, W)``."""
        return self.data[self.begins[row] : self.begins[row + 1]].view(self.channels, *self.sizes[row])

    def to(self, device: torch.device) -> None:
        """Move the buffer."""
        self.data = self.data.to(device)
        self.begin_of = torch.tensor(self.begins[:-1], device=device)
        self.size_of = torch.tensor(self.sizes, device=device)

    def tiles(self, rows: Tensor, place: Tensor, extent: Tensor | None, tile: int) -> Tensor:
        """Cut a tile out of each of several pictures, on the buffer's device (after `to`), without waiting for it.

        Args:
            rows: int64 ``(B,)``.
            place: int64 ``(B, 2)``, first row and column of each tile.
            extent: int64 ``(B, 2)``, height and width of the picture's part in each, beyond which the edge repeats;
                None where they are all picture.
            tile: side of the tiles.

        Returns:
            uint8 ``(B, C, tile, tile)``.
        """
        height, width = (part.view(-1, 1, 1) for part in self.size_of[rows].T)
        offsets = torch.arange(tile, device=rows.device).view(1, -1)
        inside = offsets.expand(2, -1, -1) if extent is None else offsets.minimum(extent.T[..., None] - 1)
        y, x = place.T[..., None] + inside
        # One channel after another: an index takes eight times the bytes of what it picks.
        pixel = self.begin_of[rows].view(-1, 1, 1) + y[:, :, None] * width + x[:, None, :]
        plane = height * width
        return torch.stack([self.data[pixel + channel * plane] for channel in range(self.channels)], dim=1)
