"""From photographs to masked batches, which are made on the device.

Workers only cut a tile of 8-bit pixels out of each photograph. Once it is on the device, `on_after_batch_transfer`
crops, flips and scales the batch with kornia and paints the masks. All of it is keyed by (seed, epoch, index).
"""

from collections.abc import Sequence
from typing import Any, Literal

import lightning as L
import torch
from kornia.geometry.transform import warp_affine
from torch import Tensor
from torch.utils.data import Dataset

from inpaint import rng
from inpaint.batch import Batch, from_uint8
from inpaint.data.huggingface import HuggingFace
from inpaint.data.loader import KeyedSampler, ResumableLoader, ShardBatches
from inpaint.data.shards import Shards
from inpaint.data.sources import Folder, Photos, Source, Split
from inpaint.masks import Masks


class Tiles(Dataset):
    """Rows of uint8 tiles ``(3, tile, tile)``: `per_image` of each photograph of a split, cut at keyed places.

    Row `index` comes from photograph ``index // per_image``. A training tile has room for the crop to move in; where
    the photograph is smaller than that, it fills the upper left part and `extent` says how much. A validation tile is
    the crop itself.
    """

    def __init__(self, source: Source, split: Split, per_image: int, tile: int, seed: int) -> None:
        self.source, self.split, self.per_image, self.tile, self.seed = source, split, per_image, tile, seed
        self.count = source.count(split)

    def __len__(self) -> int:
        return self.count * self.per_image

    def name(self, index: int) -> str:
        """The photograph that row `index` comes from."""
        return self.source.name(self.split, index // self.per_image)

    def __getitem__(self, row: tuple[int, int]) -> dict[str, Any]:
        epoch, index = row
        # Validation does not depend on the epoch: the same crops under the same masks, always.
        key = rng.key(self.seed, "train", epoch, index) if self.split == "train" else rng.key("validation", index)
        picture = self.source.read(self.split, index // self.per_image)["image"]
        height, width = (min(side, self.tile) for side in picture.shape[-2:])
        y, x = rng.uniform(rng.fold(torch.tensor([key]), "tile"), 2)[0].tolist()
        top, left = int(y * (picture.shape[-2] - height + 1)), int(x * (picture.shape[-1] - width + 1))
        tile = torch.zeros(3, self.tile, self.tile, dtype=torch.uint8)
        tile[:, :height, :width] = picture[:, top : top + height, left : left + width]
        sample = {"tile": tile, "key": key, "index": index}
        return sample | {"extent": torch.tensor([height, width])} if self.split == "train" else sample


class InpaintingData(L.LightningDataModule):
    """Masked batches of crops of photographs.

    Args:
        source: where the photographs come from.
        masks: draws and paints the holes: ``masks(keys, size)``.
        crop: side of the training and validation crops in pixels.
        zoom: training crops show `zoom` times as many pixels a side, drawn uniformly between the two, scaled to `crop`.
        flip: mirror half of the training crops.
        batch_size: samples a batch on each device.
        crops_per_image: training crops of each photograph an epoch.
        validation_crops: validation crops of each photograph; their places and masks never change.
        workers: processes that read ahead.
        seed: keys order, crops and masks of training (validation is the same for every seed).

    Raises:
        ValueError: an impossible number, or photographs smaller than the crop (all named, in `setup`).
    """

    def __init__(
        self,
        source: Source,
        masks: Masks,
        crop: int = 64,
        zoom: tuple[float, float] = (1.0, 1.5),
        flip: bool = True,
        batch_size: int = 16,
        crops_per_image: int = 64,
        validation_crops: int = 32,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, number, least in (
            ("crop", crop, 2),
            ("batch_size", batch_size, 1),
            ("crops_per_image", crops_per_image, 1),
            ("validation_crops", validation_crops, 1),
        ):
            if number < least:
                raise ValueError(f"data.{name}: {number} is less than {least}")
        if not 1 <= zoom[0] <= zoom[1]:
            raise ValueError(f"data.zoom: {tuple(zoom)} is not [smallest, largest] with 1 <= smallest <= largest")
        self.source, self.masks = source, masks
        self.crop, self.zoom, self.flip = crop, zoom, flip
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.checked = False
        self.tiles: dict[Split, Tiles] = {
            "train": Tiles(source, "train", crops_per_image, round(crop * zoom[1]), seed),
            "validation": Tiles(source, "validation", validation_crops, crop, seed),
        }

    def setup(self, stage: str) -> None:
        """Check every photograph's size against the crop before anything is trained."""
        if self.checked:
            return
        self.checked = True
        splits: tuple[Split, ...] = ("train", "validation") if stage == "fit" else ("validation",)
        sizes = {
            self.source.name(split, row): size
            for split in splits
            for row in range(self.source.count(split))
            if (size := self.source.size(split, row)) is not None
        }
        small = [name for name, size in sizes.items() if min(size) < self.crop]
        if small:
            shown = ", ".join(f"{name} ({'x'.join(map(str, sizes[name]))})" for name in small[:5])
            raise ValueError(
                f"data.crop: {len(small)} of {len(sizes)} photographs are smaller than the crop of {self.crop} pixels: "
                f"{shown}{', ...' if len(small) > 5 else ''}"
            )
        if stage == "fit" and len(self.train_dataloader()) == 0:
            raise ValueError(
                f"data.batch_size: an epoch has {len(self.tiles['train'])} crops, fewer than one batch of "
                f"{self.batch_size} on each device; raise data.crops_per_image"
            )

    def train_dataloader(self) -> ResumableLoader:
        """Whole batches in keyed order."""
        return self._loader("train")

    def val_dataloader(self) -> ResumableLoader:
        """All validation crops in order."""
        return self._loader("validation")

    def evaluation_dataloader(self) -> ResumableLoader:
        """All validation crops in order, on one process whatever the trainer's ranks."""
        return self._loader("validation", alone=True)

    def _loader(self, split: Split, alone: bool = False) -> ResumableLoader:
        training = split == "train"
        trainer = None if alone else self.trainer
        rank, ranks = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        tiles = self.tiles[split]
        sampler: KeyedSampler | ShardBatches = KeyedSampler(len(tiles), self.seed, training, rank, ranks)
        if isinstance(self.source, Shards):
            rows = [tiles.per_image * count for count in self.source.shards(split)]
            streams, block = self.source.streams if training else 1, self.source.block * tiles.per_image
            sampler = ShardBatches(rows, self.batch_size, self.seed, training, rank, ranks, streams, block)
        return ResumableLoader(
            tiles,
            sampler,
            self.batch_size,
            drop_last=training,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def validation_batch(self, samples: int, device: torch.device) -> Batch:
        """`samples` validation crops spread evenly over the set, with their frozen masks, on `device`."""
        tiles = self.tiles["validation"]
        samples = min(samples, len(tiles))
        rows = [tiles[0, place * len(tiles) // samples] for place in range(samples)]
        batch = torch.utils.data.default_collate(rows)
        return self.on_after_batch_transfer({name: value.to(device) for name, value in batch.items()}, 0)

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> Batch:
        """Tiles to images in [-1, 1], masks painted, all on the device."""
        keys = batch["key"]
        image = from_uint8(batch["tile"])
        if "extent" in batch:
            image = self._crop(image, batch["extent"], rng.fold(keys, "crop"))
        mask = self.masks(rng.fold(keys, "mask"), (self.crop, self.crop))
        return Batch(image=image, mask=mask, index=batch["index"])

    def _crop(self, tiles: Tensor, extent: Tensor, keys: Tensor) -> Tensor:
        """One window of each tile, scaled to the crop: ``(B, 3, tile, tile)`` to ``(B, 3, crop, crop)``."""
        zoom, x, y, mirror = rng.uniform(keys, 4).T
        height, width = extent.T
        side = (self.crop * (self.zoom[0] + zoom * (self.zoom[1] - self.zoom[0]))).round()
        side = torch.minimum(side, extent.amin(dim=1))
        left, top = (x * (width - side + 1)).floor(), (y * (height - side + 1)).floor()
        right, bottom = left + side - 1, top + side - 1
        if self.flip:
            left, right = torch.where(mirror < 0.5, left, right), torch.where(mirror < 0.5, right, left)
        # Not kornia's `crop_and_resize`: it reads the boxes back to the host to check them.
        scale_x, scale_y, zero = (self.crop - 1) / (right - left), (self.crop - 1) / (bottom - top), torch.zeros_like(x)
        matrix = torch.stack([scale_x, zero, -left * scale_x, zero, scale_y, -top * scale_y], dim=1).view(-1, 2, 3)
        return warp_affine(tiles, matrix, (self.crop, self.crop), align_corners=True)


class PhotosData(InpaintingData):
    """`InpaintingData` of the bundled photographs (`sources.Photos`).

    Args:
        masks: as there.
        settings: as there.
    """

    def __init__(self, masks: Masks, **settings: Any) -> None:
        super().__init__(Photos(), masks, **settings)


class FolderData(InpaintingData):
    """`InpaintingData` of any folder of photographs.

    Args:
        masks: as there.
        root, train, validation, masks_root, mask_threshold, label, caption, resize: as in `sources.Folder`.
        settings: as there.
    """

    def __init__(
        self,
        masks: Masks,
        root: str,
        train: str | None = None,
        validation: float | str = 0.1,
        masks_root: str | None = None,
        mask_threshold: int | None = None,
        label: Literal["folder"] | None = None,
        caption: str | None = None,
        resize: int | None = None,
        **settings: Any,
    ) -> None:
        source = Folder(root, train, validation, masks_root, mask_threshold, label, caption, resize)
        super().__init__(source, masks, **settings)


class HuggingFaceData(InpaintingData):
    """`InpaintingData` of a Hugging Face data set in local files.

    Args:
        masks: as there.
        path, format, train, validation, image, mask, mask_threshold, label, caption, resize,
            cache_dir: as in `huggingface.HuggingFace`.
        settings: as there.
    """

    def __init__(
        self,
        masks: Masks,
        path: str,
        format: Literal["imagefolder", "parquet", "saved"] = "imagefolder",
        train: str = "train",
        validation: float | str | None = None,
        image: str = "image",
        mask: str | None = None,
        mask_threshold: int | None = None,
        label: str | None = None,
        caption: str | None = None,
        resize: int | None = None,
        cache_dir: str | None = None,
        **settings: Any,
    ) -> None:
        source = HuggingFace(
            path, format, train, validation, image, mask, mask_threshold, label, caption, resize, cache_dir
        )
        super().__init__(source, masks, **settings)


class ShardsData(InpaintingData):
    """`InpaintingData` of tar shards.

    Args:
        masks: as there.
        train, validation, counts, image, mask, mask_threshold, label, caption, resize, streams, block: as in
            `shards.Shards`.
        settings: as there.
    """

    def __init__(
        self,
        masks: Masks,
        train: str | Sequence[str],
        validation: str | Sequence[str],
        counts: str | None = None,
        image: Sequence[str] = ("jpg", "jpeg", "png", "webp"),
        mask: str | None = None,
        mask_threshold: int | None = None,
        label: str | None = None,
        caption: str | None = None,
        resize: int | None = None,
        streams: int = 8,
        block: int = 256,
        **settings: Any,
    ) -> None:
        source = Shards(train, validation, counts, image, mask, mask_threshold, label, caption, resize, streams, block)
        super().__init__(source, masks, **settings)
