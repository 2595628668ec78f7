"""From photographs to masked batches, which are made on the device.

Workers only cut a tile of 8-bit pixels out of each photograph, and not even that where the collection lives on the
device. There, `on_after_batch_transfer` makes training crops of the tiles (`Augmentation`) and paints the masks. All of
it is keyed by (seed, epoch, index).
"""

from collections.abc import Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import default_collate

from inpaint import rng
from inpaint.batch import Batch
from inpaint.data import automatic
from inpaint.data.augmentation import Augmentation, checked_ramp
from inpaint.data.automatic import AUTO
from inpaint.data.clips import unfolded
from inpaint.data.degraded import apart, check_pairs, check_scale, degraded
from inpaint.data.foreign import check_source
from inpaint.data.huggingface import HuggingFace
from inpaint.data.loader import KeyedSampler, ResumableLoader, ShardBatches, shelter
from inpaint.data.paired import check_drawn, check_masks
from inpaint.data.shards import Shards
from inpaint.data.sources import Folder, Photos, Source
from inpaint.data.splits import Split
from inpaint.data.store import is_kept
from inpaint.data.tiles import Tiles
from inpaint.degradations import Degradation
from inpaint.masks import Masks
from inpaint.pictures.mask_files import Polarity, Threshold
from inpaint.settings import Refused, choice, whole

PATIENCE = 600  # seconds without a batch after which workers are given up; torch notices at once when one dies
CACHED = 2**20  # numbers that a CPU works on at a time


class InpaintingData(L.LightningDataModule):
    """Masked batches of crops of photographs.

    Args:
        source: where the photographs come from.
        masks: draws and paints the holes, ``masks(keys, size)``; None takes those that the photographs come with.
        validation_masks: the same for validation; None takes `masks`.
        degradation: what the generator is given in place of the truth; None gives it the truth without its holes. Where
            the masks are `whole`, all of the picture is to be restored and nothing is hidden; other holes are emptied.
        crop: side of the training and validation crops in pixels; ``auto`` here and below: see `automatic`.
        augmentation: how training crops are made.
        ramp: early in training, smaller pictures: pairs [until which update, side in pixels], both rising; the same
            windows are shown with fewer pixels. Validation crops always have `crop` pixels.
        batch_size: samples a batch on each device.
        crops_per_image: training crops of each photograph an epoch.
        validation_crops: validation crops of each photograph; their places and masks never change.
        workers: processes that read ahead, where there is anything to read; ``auto``: see `automatic.workers`.
        cache: where decoded photographs are kept: ``device`` (and cut there), ``ram``, ``none`` (decoded anew each
            time), or ``auto``, which takes the first of these that needs at most a quarter of the free memory.
        on_bad_image: ``raise``, or ``skip``: the next readable photograph stands in, and they are counted.
        max_bad_fraction: share of a split's photographs that may be skipped.
        on_small_image: ``raise``, or ``skip``: photographs smaller than the crop, however many, are left out in the
            same way, and counted.
        seed: keys order, crops and masks of training (validation is the same for every seed).

    Attributes:
        mask_speed: pixels that the holes of a clip move from frame to frame at most; 0 lets them stand.

    Raises:
        Refused: an impossible number, or photographs that cannot be used (named, in `setup`).
    """

    mask_speed: float = 0.0

    def __init__(
        self,
        source: Source,
        masks: Masks | None,
        validation_masks: Masks | None = None,
        degradation: Degradation | None = None,
        crop: int | Literal["auto"] = 64,
        augmentation: Augmentation | None = None,
        ramp: Sequence[tuple[int, int]] = (),
        batch_size: int = 16,
        crops_per_image: int | Literal["auto"] = 64,
        validation_crops: int | Literal["auto"] = 32,
        workers: int | Literal["auto"] = 0,
        cache: Literal["device", "ram", "none", "auto"] = "auto",
        on_bad_image: Literal["raise", "skip"] = "raise",
        max_bad_fraction: float = 0.01,
        on_small_image: Literal["raise", "skip"] = "raise",
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_source(source)
        crop = automatic.crop(source) if crop == AUTO else crop
        crops_per_image = automatic.crops(source, "train") if crops_per_image == AUTO else crops_per_image
        validation_crops = automatic.crops(source, "validation") if validation_crops == AUTO else validation_crops
        for name, number, least in (
            ("crop", crop, 2),
            ("batch_size", batch_size, 1),
            ("crops_per_image", crops_per_image, 1),
            ("validation_crops", validation_crops, 1),
            ("workers", 0 if workers == AUTO else workers, 0),
        ):
            whole(f"data.{name}", number, least)
        choice("data.cache", cache, ("device", "ram", "none", "auto"))
        choice("data.on_bad_image", on_bad_image, ("raise", "skip"))
        choice("data.on_small_image", on_small_image, ("raise", "skip"))
        if not (isinstance(max_bad_fraction, int | float) and 0 <= max_bad_fraction < 1):
            raise Refused(f"data.max_bad_fraction: {max_bad_fraction!r} is not at least 0 and less than 1")
        check_drawn(masks, source)
        self.source, self.masks, self.validation_masks = source, masks, validation_masks or masks
        self.degradation = degradation
        check_scale(degradation, crop, ramp, (self.masks, self.validation_masks))
        self.crops_per_image, self.validation_crops = crops_per_image, validation_crops
        self.crop, self.augmentation, self.ramp = crop, augmentation or Augmentation(), checked_ramp(ramp, crop)
        check_pairs(degradation, source, self.augmentation, ramp)
        self.batch_size, self.workers, self.cache, self.seed = batch_size, workers, cache, seed
        self.checked: set[Split] = set()
        left_out = max_bad_fraction if on_bad_image == "skip" else None, on_small_image == "skip"
        self.tiles: dict[Split, Tiles] = {
            "train": Tiles(source, "train", crops_per_image, self.augmentation.tile(crop), crop, seed, *left_out),
            "validation": Tiles(source, "validation", validation_crops, crop, crop, seed, *left_out),
        }

    def setup(self, stage: str) -> None:
        """Look at every photograph's header, and decode them where they are kept, before anything is trained.

        Raises:
            Refused: photographs that cannot be used, or too few for a batch.
        """
        splits: tuple[Split, ...] = ("train", "validation") if stage == "fit" else ("validation",)
        if stage == "fit" and self.masks is not None and (frozen := self.masks.frozen) is not None:
            raise Refused(
                f"masks.root: {frozen.root} is a frozen set, which has masks for validation crops only "
                "(masks@validation_masks=files validation_masks.root=DIR); to train with its masks, give "
                f"masks.root={frozen.root / 'masks'}"
            )
        for split in splits:
            if split not in self.checked:
                self.checked.add(split)
                sizes = self.tiles[split].check()
                if is_kept(self.cache, split, sizes, self.tiles[split].channels):
                    assert sizes is not None
                    self.tiles[split].keep(sizes)
                if (self.masks if split == "train" else self.validation_masks) is None:
                    check_masks(self.tiles[split], self.source.mask_reader.polarity)
        ranks = self.trainer.world_size if self.trainer is not None else 1
        self.tiles["validation"].check_number(ranks)
        if stage == "fit" and len(self.train_dataloader()) == 0:
            raise Refused(
                f"data.batch_size: an epoch has {len(self.tiles['train'])} crops, fewer than one batch of "
                f"{self.batch_size} on each of {ranks} devices; raise data.crops_per_image"
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
        trainer, tiles = self.trainer, self.tiles[split]
        rank, ranks = (0, 1) if trainer is None or alone else (trainer.global_rank, trainer.world_size)
        device = torch.device("cpu") if trainer is None else trainer.strategy.root_device
        tiles.on_device = tiles.move(device, self.cache)
        # Where nothing is decoded, workers could only copy, which costs a CPU more than it takes off the training.
        idle = tiles.on_device or (tiles.store is not None and device.type == "cpu")
        workers = 0 if idle else self._workers(device)
        order: KeyedSampler | ShardBatches
        if isinstance(self.source, Shards):
            rows = [tiles.per_image * count for count in self.source.shards(split)]
            streams, block = self.source.streams if training else 1, self.source.block * tiles.per_image
            order = ShardBatches(rows, self.batch_size, self.seed, training, rank, ranks, streams, block)
        else:
            order = KeyedSampler(len(tiles), self.seed, shuffle=training, rank=rank, ranks=ranks)
        return ResumableLoader(
            tiles,
            order,
            self.batch_size,
            drop_last=training,
            num_workers=workers,
            timeout=PATIENCE if workers > 0 else 0,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=shelter,
        )

    def _workers(self, device: torch.device) -> int:
        ranks = getattr(self.trainer, "num_devices", 1)
        return automatic.workers(device.type, ranks) if self.workers == AUTO else self.workers

    def validation_batch(self, samples: int, device: torch.device) -> Batch:
        """Some validation crops with their frozen masks, on `device`.

        They are spread evenly over the set, but for shards, of which the first are taken, as they are read in sequence.
        Of clips there are as many as have so many frames.
        """
        tiles = self.tiles["validation"]
        samples = min(-(-samples // tiles.frames), len(tiles))
        step = 1 if isinstance(self.source, Shards) else len(tiles) / samples
        rows = [tiles[0, int(place * step)] for place in range(samples)]
        return self.to_batch(default_collate(rows), device)

    def to_batch(self, raw: dict[str, Any], device: torch.device | str) -> Batch:
        """What Lightning does with what a loader hands out, for loops without a trainer."""
        raw = self.transfer_batch_to_device(self.on_before_batch_transfer(raw, 0), torch.device(device), 0)
        return self.on_after_batch_transfer(raw, 0)

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Count the photographs that workers had to leave out."""
        tiles = self._tiles_of(batch)
        rows = [index // tiles.per_image for index in batch["index"].tolist()]
        tiles.passed_over(rows, batch["photograph"].tolist())
        return batch

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> Batch:
        """Tiles to images in [-1, 1], masks painted, all on the device."""
        tiles, keys, extent = self._tiles_of(batch), batch["key"], batch.get("extent")
        tile = batch["tile"] if "tile" in batch else tiles.cut(batch["photograph"], batch["place"], extent)
        masks, side = self.validation_masks, self.crop
        if extent is None:
            pictures, mask = apart(tile)
        else:
            masks, side = self.masks, self._side()
            pictures, mask = self._cropped(tile, extent, rng.fold(keys, "crop"), side)
        image, companion = pictures[:, : 3 * tiles.frames], pictures[:, 3 * tiles.frames :]
        if masks is not None:
            mask = masks(self.mask_keys(batch), (side, side))
        made = Batch(image=image, mask=mask, index=batch["index"])
        if tiles.frames > 1:
            made = unfolded(made, tiles.frames, self.mask_speed, rng.fold(keys, "motion of the mask"))
        if self.degradation is not None:
            keys = rng.fold(keys, "degradation").repeat_interleave(tiles.frames)
            with rng.of_clips(tiles.frames):
                made["given"] = degraded(self.degradation, made["image"], companion, made["mask"], keys, masks)
        for name in ("label", "caption", "embedding"):
            if name in batch:
                made[name] = batch[name]
        return made

    @property
    def restores_whole(self) -> bool:
        """Whether validation pictures are degraded and restored as a whole, not in holes."""
        masks = self.validation_masks
        return self.degradation is not None and masks is not None and masks.whole

    def mask_keys(self, batch: dict[str, Any]) -> Tensor:
        """What the masks of a batch from a loader are called with: int64 ``(B,)``."""
        return rng.fold(batch["key"], "mask")

    def _cropped(self, tile: Tensor, extent: Tensor, keys: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """Training crops, with degraded ones behind their colours, and their masks, as far as they have some."""
        # A CPU makes a few at a time: what is made on the way stays in its caches and need not be allocated anew.
        many = max(1, CACHED // tile[0].numel()) if tile.device.type == "cpu" else len(tile)
        made = [
            self.augmentation(part, window, key, self.crop, side)
            for part, window, key in zip(tile.split(many), extent.split(many), keys.split(many), strict=True)
        ]
        image, mask = (torch.cat(parts) for parts in zip(*made, strict=True))
        return image, mask

    def _tiles_of(self, batch: dict[str, Any]) -> Tiles:
        return self.tiles["train" if "extent" in batch else "validation"]

    def _side(self) -> int:
        """Side of the training crops at this update."""
        update = self.trainer.global_step if self.trainer is not None else 0
        return next((side for until, side in self.ramp if update < until), self.crop)


class PhotosData(InpaintingData):
    """`InpaintingData` of the bundled photographs (`sources.Photos`).

    Args:
        masks: as there.
        settings: as there.
    """

    def __init__(self, masks: Masks | None, **settings: Any) -> None:
        super().__init__(Photos(), masks, **settings)


class FolderData(InpaintingData):
    """`InpaintingData` of any folder of photographs.

    Args:
        masks: as there.
        root, train, validation, masks_root, mask_threshold, label, caption, resize: as in `sources.Folder`.
        mask_channel, mask_polarity, given_root, folds, fold, embeddings: likewise.
        settings: as there.
    """

    def __init__(
        self,
        masks: Masks | None,
        root: str,
        train: str | None = None,
        validation: float | str = 0.1,
        masks_root: str | None = None,
        mask_threshold: Threshold = None,
        label: Literal["folder"] | None = None,
        caption: str | None = None,
        resize: int | None = None,
        mask_channel: str = "auto",
        mask_polarity: Polarity | None = None,
        given_root: str | None = None,
        folds: int | None = None,
        fold: int = 0,
        embeddings: str | None = None,
        **settings: Any,
    ) -> None:
        read = (masks_root, mask_threshold, label, caption, resize, mask_channel, mask_polarity, given_root)
        source = Folder(root, train, validation, *read, folds, fold, embeddings)
        super().__init__(source, masks, **settings)


class HuggingFaceData(InpaintingData):
    """`InpaintingData` of a Hugging Face data set in local files.

    Args:
        masks: as there.
        path, format, train, validation, image, mask, mask_threshold: as in `huggingface.HuggingFace`.
        label, caption, resize, cache_dir, mask_channel, mask_polarity: as there.
        settings: as in `InpaintingData`.
    """

    def __init__(
        self,
        masks: Masks | None,
        path: str,
        format: Literal["imagefolder", "parquet", "saved"] = "imagefolder",
        train: str = "train",
        validation: float | str | None = None,
        image: str = "image",
        mask: str | None = None,
        mask_threshold: Threshold = None,
        label: str | None = None,
        caption: str | None = None,
        resize: int | None = None,
        cache_dir: str | None = None,
        mask_channel: str = "auto",
        mask_polarity: Polarity | None = None,
        **settings: Any,
    ) -> None:
        read = (image, mask, mask_threshold, label, caption, resize, cache_dir, mask_channel, mask_polarity)
        source = HuggingFace(path, format, train, validation, *read)
        super().__init__(source, masks, **settings)


class ShardsData(InpaintingData):
    """`InpaintingData` of tar shards.

    Args:
        masks: as there.
        train, validation, counts, image, mask, mask_threshold, label, caption, resize: as in `shards.Shards`.
        streams, block, mask_channel, mask_polarity: likewise.
        settings: as there.
    """

    def __init__(
        self,
        masks: Masks | None,
        train: str | Sequence[str],
        validation: str | Sequence[str],
        counts: str | None = None,
        image: Sequence[str] = ("jpg", "jpeg", "png", "webp", "tif"),
        mask: str | None = None,
        mask_threshold: Threshold = None,
        label: str | None = None,
        caption: str | None = None,
        resize: int | None = None,
        streams: int = 8,
        block: int = 256,
        mask_channel: str = "auto",
        mask_polarity: Polarity | None = None,
        **settings: Any,
    ) -> None:
        read = (image, mask, mask_threshold, label, caption, resize, streams, block, mask_channel, mask_polarity)
        source = Shards(train, validation, counts, *read)
        super().__init__(source, masks, **settings)
