import logging
import math
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from inpaint.batch import from_uint8
from inpaint.data.augmentation import Augmentation
from inpaint.data.datamodule import FolderData, InpaintingData, PhotosData
from inpaint.data.paired import LOOKED_AT
from inpaint.masks import Boxes
from inpaint.pictures.mask_files import MaskReader
from inpaint.pictures.reading import BadImage
from inpaint.system import free_memory


def batches(data, split, epoch=0):
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()
    loader.batch_sampler.sampler.set_epoch(epoch)
    return [data.to_batch(raw, "cpu") for raw in loader]


def by_index(data, split, epoch=0):
    found = {}
    for batch in batches(data, split, epoch):
        for image, mask, index in zip(batch["image"], batch["mask"], batch["index"].tolist(), strict=True):
            found[index] = (image, mask)
    return found


def same(a, b, atol=0.0):
    return a.keys() == b.keys() and all(
        torch.allclose(a[i][0], b[i][0], rtol=0, atol=atol) and torch.equal(a[i][1], b[i][1]) for i in a
    )


PLAIN = Augmentation(zoom=(1, 1), flip=False)
SETTINGS = {"crop": 32, "crops_per_image": 4, "validation_crops": 3}


def test_a_batch_keeps_its_word():
    for split in ("train", "validation"):
        batch = batches(PhotosData(Boxes(), batch_size=5, **SETTINGS), split)[0]
        assert batch["image"].shape == (5, 3, 32, 32) and batch["image"].dtype == torch.float32
        assert batch["image"].min() >= -1.0001 and batch["image"].max() <= 1.0001
        assert batch["mask"].shape == (5, 1, 32, 32) and set(batch["mask"].unique().tolist()) == {0.0, 1.0}
        assert batch["index"].dtype == torch.int64
        assert not batch["image"].requires_grad


def test_crops_and_masks_are_pure_functions_of_seed_epoch_and_index():
    """The same for any batch size and number of workers; others in another epoch or with another seed."""
    reference = by_index(PhotosData(Boxes(), batch_size=4, **SETTINGS), "train")
    assert len(reference) == 44
    for batch_size, workers in ((1, 0), (11, 0), (4, 2)):
        data = PhotosData(Boxes(), batch_size=batch_size, workers=workers, **SETTINGS)
        assert same(reference, by_index(data, "train"), atol=1e-4), (batch_size, workers)
    data = PhotosData(Boxes(), batch_size=4, **SETTINGS)
    assert not same(reference, by_index(data, "train", epoch=1))
    assert not same(reference, by_index(PhotosData(Boxes(), batch_size=4, seed=1, **SETTINGS), "train"))


def test_validation_is_frozen():
    reference = by_index(PhotosData(Boxes(), batch_size=4, **SETTINGS), "validation")
    other = PhotosData(Boxes(), batch_size=3, seed=9, workers=1, **SETTINGS)
    assert same(reference, by_index(other, "validation", epoch=5))
    panel = other.validation_batch(4, torch.device("cpu"))
    assert panel["index"].tolist() == [0, 3, 6, 9]
    for image, mask, index in zip(panel["image"], panel["mask"], panel["index"].tolist(), strict=True):
        assert torch.equal(image, reference[index][0]) and torch.equal(mask, reference[index][1])


def test_validation_crops_are_cut_from_their_photograph_pixel_for_pixel():
    data = PhotosData(Boxes(), **SETTINGS)
    for index, (image, _) in by_index(data, "validation").items():
        photograph = from_uint8(data.source.read("validation", index // 3)["image"])
        windows = photograph.unfold(1, 32, 1).unfold(2, 32, 1)  # (3, y, x, 32, 32)
        candidates = (windows[:, :, :, 0, 0] == image[:, 0, 0, None, None]).all(0).nonzero()
        assert any(torch.equal(windows[:, y, x], image) for y, x in candidates.tolist())


class Ramp:
    """One picture whose red is x and whose green is y, so that a crop tells where it was cut."""

    def __init__(self, height, width):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        self.picture = torch.stack([x, y, x * 0]).to(torch.uint8)

    masked, mask_reader = False, MaskReader()

    def count(self, split):
        return 1

    def name(self, split, row):
        return f"{split} ramp"

    def shards(self, split):
        return None

    def size(self, split, row):
        return tuple(self.picture.shape[-2:])

    def read(self, split, row):
        return {"image": self.picture}


def corners(image):
    """x and y of the outermost pixels of crops of a ramp."""
    pixels = (image + 1) * 127.5
    return pixels[:, 0, 0, 0], pixels[:, 0, 0, -1], pixels[:, 1, 0, 0], pixels[:, 1, -1, 0]


def test_training_crops_move_zoom_and_flip_within_the_picture():
    data = InpaintingData(Ramp(60, 90), Boxes(), crop=32, crops_per_image=400, batch_size=400)
    (batch,) = batches(data, "train")
    left, right, top, bottom = corners(batch["image"])
    sides = (right - left).abs() + 1
    assert sides.min() >= 31.9 and sides.max() <= 48.1 and (bottom - top + 1 - sides).abs().max() < 0.1
    assert 0.4 < (right < left).float().mean() < 0.6
    assert torch.minimum(left, right).min() < 8 and torch.maximum(left, right).max() > 81
    assert top.min() >= -0.01 and bottom.max() <= 59.01 and bottom.max() > 55


def test_without_zoom_and_flip_a_crop_is_the_photographs_pixels():
    data = InpaintingData(Ramp(60, 90), Boxes(), crop=32, augmentation=PLAIN, crops_per_image=50, batch_size=50)
    (batch,) = batches(data, "train")
    left, right, top, _bottom = corners(batch["image"])
    assert torch.allclose(right - left, torch.tensor(31.0), atol=1e-3)
    assert torch.allclose(left, left.round(), atol=1e-3) and torch.allclose(top, top.round(), atol=1e-3)
    assert left.unique().numel() > 15


def test_flips_without_zoom():
    data = InpaintingData(
        Ramp(60, 90), Boxes(), crop=32, augmentation=Augmentation(zoom=(1, 1)), crops_per_image=50, batch_size=50
    )
    left, right, *_ = corners(batches(data, "train")[0]["image"])
    assert 0.2 < (right < left).float().mean() < 0.8


def test_a_picture_smaller_than_the_tile_shows_no_border():
    data = InpaintingData(Ramp(33, 40), Boxes(), crop=32, crops_per_image=50, batch_size=50)
    left, right, top, bottom = corners(batches(data, "train")[0]["image"])
    assert bottom.max() <= 32.01 and torch.maximum(left, right).max() <= 39.01 and (bottom > top + 30).all()


# ------------------------------------------------------------------------------------- where photographs are kept


def kept_on_device(data):
    """What happens where photographs live on a GPU, on the CPU: rows say where to cut, and the store cuts."""
    data.setup("fit")
    for tiles in data.tiles.values():
        tiles.store.to(torch.device("cpu"))
        tiles.move = lambda device, cache: True
    return data


@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_cache_gives_the_same_batches(photo_folder, split):
    settings = {"validation": 0.4, "crop": 48, "crops_per_image": 3, "validation_crops": 2, "batch_size": 3}
    reference = by_index(FolderData(Boxes(), str(photo_folder), cache="none", **settings), split)
    kept = FolderData(Boxes(), str(photo_folder), cache="ram", **settings)
    kept.setup("fit")
    assert kept.tiles[split].store is not None
    assert same(reference, by_index(kept, split))
    assert same(reference, by_index(FolderData(Boxes(), str(photo_folder), cache="ram", workers=2, **settings), split))
    device = kept_on_device(FolderData(Boxes(), str(photo_folder), cache="device", **settings))
    raw = next(iter(device.train_dataloader()))
    assert "tile" not in raw and raw["place"].shape == (3, 2)
    assert same(reference, by_index(device, split))


def test_an_automatic_choice_is_said_and_depends_on_memory(photo_folder, monkeypatch, caplog):
    for free, kept in ((10**9, True), (10**5, False), (0, False)):
        monkeypatch.setattr("inpaint.data.store.free_memory", lambda free=free: free)
        data = FolderData(Boxes(), str(photo_folder), validation=0.4, crop=48, crops_per_image=4)
        with caplog.at_level("INFO"):
            data.setup("fit")
        assert (data.tiles["train"].store is not None) == kept
        assert ("kept in memory" if kept else "decoded anew") in caplog.messages[-1]
    assert free_memory() > 2**20


# ---------------------------------------------------------------------------------------------- photographs that fail


class Broken(Ramp):
    """Ten pictures, of which some cannot be read: known from the header, or only when they are decoded."""

    def __init__(self, headers=(), pixels=(), count=10):
        super().__init__(40, 40)
        self.headers, self.pixels, self.number, self.reads = headers, pixels, count, 0

    def count(self, split):
        return self.number

    def name(self, split, row):
        return f"{split}/{row}.png"

    def size(self, split, row):
        if row in self.headers:
            raise BadImage(f"{self.name(split, row)}: no picture")
        return super().size(split, row)

    def read(self, split, row):
        self.reads += 1
        if row in self.headers or row in self.pixels:
            raise BadImage(f"{self.name(split, row)}: broken picture")
        picture = self.picture.clone()
        picture[2] = row
        return {"image": picture, "label": row, "caption": f"number {row}"}


def seen(data, split="train"):
    """Which picture each index was cut from."""
    found = {}
    for batch in batches(data, split):
        blue = ((batch["image"][:, 2, 0, 0] + 1) * 127.5).round().int().tolist()
        assert batch["label"].tolist() == blue and batch["caption"] == [f"number {row}" for row in blue]
        found |= dict(zip(batch["index"].tolist(), blue, strict=True))
    return [found[index] for index in sorted(found)]


SKIP = {"on_bad_image": "skip", "crop": 32, "crops_per_image": 1, "validation_crops": 1, "batch_size": 2}


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_a_skipped_photograph_is_replaced_by_the_next(cache):
    source = Broken(headers={2, 3}, pixels={9})
    data = InpaintingData(source, Boxes(), max_bad_fraction=0.3, cache=cache, **SKIP)
    data.setup("fit")
    for split in ("train", "validation"):
        assert seen(data, split) == [0, 1, 4, 4, 4, 5, 6, 7, 8, 0]
        assert set(data.tiles[split].bad) == {2, 3, 9}
    assert data.tiles["train"].name(3) == "train/4.png"
    reads = source.reads
    assert seen(data) == seen(data) and source.reads <= reads + 40, "what is known to be bad is not tried again"


def test_what_workers_skip_is_counted():
    data = InpaintingData(Broken(pixels={4, 5}), Boxes(), max_bad_fraction=0.2, cache="none", workers=2, **SKIP)
    assert seen(data) == [0, 1, 2, 3, 6, 6, 6, 7, 8, 9]
    assert set(data.tiles["train"].bad) == {4, 5}
    data = InpaintingData(Broken(pixels={1, 4, 5}), Boxes(), max_bad_fraction=0.2, cache="none", workers=2, **SKIP)
    with pytest.raises(ValueError, match=r"data\.max_bad_fraction: 3 of 10 train photographs .* train/"):
        seen(data)


def test_one_workers_trouble_is_not_blamed_on_its_neighbours():
    """Another worker read row 5 later, which this process already counts as bad."""
    data = InpaintingData(Broken(), Boxes(), max_bad_fraction=0.2, cache="none", **SKIP)
    tiles = data.tiles["train"]
    rows = [tiles[0, row] for row in range(10)]
    rows[5]["photograph"] = 6  # the first worker passed over it
    raw = torch.utils.data.default_collate(rows)
    data.on_before_batch_transfer(raw, 0)
    assert set(tiles.bad) == {5}
    rows[5]["photograph"] = 5
    data.on_before_batch_transfer(torch.utils.data.default_collate(rows), 0)
    assert set(tiles.bad) == {5}


def test_what_is_left_out_is_said(caplog):
    with caplog.at_level("INFO"):
        data = InpaintingData(Broken(headers={2}), Boxes(), max_bad_fraction=0.3, cache="none", **SKIP)
        data.setup("fit")
    assert "data: 1 of 10 train photographs are left out: train/2.png: no picture" in caplog.messages


@pytest.mark.parametrize(("headers", "pixels"), [({1, 2, 3}, ()), ((), {1, 2, 3})])
@pytest.mark.parametrize("cache", ["none", "ram"])
def test_too_many_stop_the_run(headers, pixels, cache):
    data = InpaintingData(Broken(headers, pixels), Boxes(), max_bad_fraction=0.2, cache=cache, **SKIP)
    with pytest.raises(
        ValueError, match=r"data\.max_bad_fraction: 3 of 10 train .*; 0\.2 allows fewer: train/1\.png: "
    ):
        data.setup("fit")
        seen(data)


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_a_bad_photograph_is_named_with_its_row(cache):
    for broken in ({"headers": {7}}, {"pixels": {7}}):
        data = InpaintingData(Broken(**broken), Boxes(), cache=cache, **SKIP | {"on_bad_image": "raise"})
        with pytest.raises(ValueError, match=r"train/7\.png: .* picture"):
            data.setup("fit")
            seen(data)


def test_photographs_smaller_than_the_crop_are_named(photo_folder):
    Image.new("RGB", (70, 20)).save(photo_folder / "tiny.png")
    data = FolderData(Boxes(), str(photo_folder), validation=0.4, crop=64)
    with pytest.raises(
        ValueError, match=r"data\.crop: 1 of 9 train .*on_small_image=skip: tiny\.png \(20x70\) is small"
    ):
        data.setup("fit")


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_any_number_of_small_photographs_is_left_out_and_counted(photo_folder, cache, caplog):
    for number in range(20):
        Image.new("RGB", (70, 20)).save(photo_folder / f"tiny {number}.png")
    settings = {"crop": 64, "crops_per_image": 1, "validation_crops": 1, "batch_size": 2, "cache": cache}
    data = FolderData(Boxes(), str(photo_folder), validation=0.4, on_small_image="skip", **settings)
    with caplog.at_level(logging.INFO):
        data.setup("fit")
    small = sum(len(tiles.bad) for tiles in data.tiles.values())
    assert small == 20 and "photographs are left out: tiny" in caplog.text
    assert all(
        "tiny" not in data.tiles[split].name(row) for split in data.tiles for row in range(data.tiles[split].count)
    )
    assert len(list(data.train_dataloader())) > 0

    (photo_folder / "broken.png").write_bytes(b"none")
    data = FolderData(Boxes(), str(photo_folder), validation=0.4, on_small_image="skip", **settings)
    with pytest.raises(ValueError, match=r"data\.on_bad_image: .*broken\.png"):
        data.setup("fit")


def test_photographs_that_are_all_too_small(tmp_path):
    for number in range(8):
        Image.new("RGB", (70, 20)).save(tmp_path / f"{number}.png")
    data = FolderData(Boxes(), str(tmp_path), validation=0.4, crop=64, on_small_image="skip")
    with pytest.raises(ValueError, match=r"data\.crop: \d of \d train photographs cannot be used; lower it: "):
        data.setup("fit")


# ------------------------------------------------------------------------------------------------- masks, resolutions


class Masked(Ramp):
    """A ramp whose left part is a hole."""

    masked, mask_reader = True, MaskReader()
    least = 45  # the red from which on a pixel is known

    def read(self, split, row):
        return {"image": self.picture, "mask": (self.picture[:1] < self.least).to(torch.uint8)}


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_masks_beside_the_photographs_are_cut_with_them(cache):
    data = InpaintingData(Masked(60, 90), None, crop=32, crops_per_image=40, batch_size=8, cache=cache)
    data.setup("fit")
    for split in ("train", "validation"):
        for batch in batches(data, split):
            assert batch["mask"].shape == (8, 1, 32, 32)
            left = (batch["image"][:, :1] + 1) * 127.5 < 44.5
            assert (left != (batch["mask"] > 0.5)).float().mean() < 0.02
            assert set(batch["mask"].unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_the_share_of_the_holes_is_said_and_doubted(cache, caplog):
    with caplog.at_level("INFO"):
        InpaintingData(Masked(60, 90), None, crop=32, cache=cache).setup("fit")
    lines = [message for message in caplog.messages if message.startswith("masks: holes")]
    assert lines == [
        f"masks: holes cover 50.0% of the {split} photographs, 50.0% to 50.0% of each"
        for split in ("train", "validation")
    ]

    caplog.clear()
    source = Masked(60, 90)
    source.least = 72
    InpaintingData(source, None, crop=32, cache=cache).setup("validate")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "masks of the validation photographs: the holes cover 80% of the pictures; white is taken for the hole; "
        "data.mask_polarity=black where black is"
    ]
    caplog.clear()
    source.mask_reader = MaskReader(polarity="white")
    InpaintingData(source, None, crop=32, cache=cache).setup("validate")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]

    source.least = 0
    with pytest.raises(ValueError, match=r"^masks of the train photographs: the mask has no hole.*data\.mask_polarity"):
        InpaintingData(source, None, crop=32, cache=cache).setup("fit")
    InpaintingData(source, Boxes(), crop=32, cache=cache).setup("fit")  # masks that are drawn do not mind


def test_a_hole_in_one_of_many_masks_is_enough():
    class Rare(Masked):
        def count(self, split):
            return 300

        def read(self, split, row):
            return super().read(split, row) if row == 7 else {"image": self.picture, "mask": 0 * self.picture[:1]}

    data = InpaintingData(Rare(60, 90), None, crop=32, cache="none")
    assert 7 % math.ceil(300 / LOOKED_AT)  # is not among those that are looked at
    data.setup("validate")


def test_masks_may_be_drawn_although_photographs_have_some(caplog):
    with caplog.at_level("INFO"):
        data = InpaintingData(Masked(60, 90), Boxes(area=(0.1, 0.3)), crop=32, crops_per_image=8, batch_size=8)
    assert "masks=paired takes those" in caplog.messages[-1]
    assert batches(data, "train")[0]["mask"].mean((1, 2, 3)).max() <= 0.3
    data = InpaintingData(Masked(60, 90), None, Boxes(count=(1, 1), side=(0.5, 0.5)), crop=32, crops_per_image=8)
    assert batches(data, "validation")[0]["mask"].mean((1, 2, 3)).eq(0.25).all()
    with pytest.raises(ValueError, match="masks=paired needs"):
        InpaintingData(Ramp(60, 90), None)


def test_validation_may_have_masks_of_its_own():
    centre = Boxes(count=(1, 1), side=(0.5, 0.5), position=(0.5, 0.5))
    data = PhotosData(Boxes(), validation_masks=centre, **SETTINGS)
    assert batches(data, "validation")[0]["mask"][:, 0, 8:24, 8:24].all()
    assert not batches(data, "train")[0]["mask"][:, 0, 8:24, 8:24].all()
    assert data.validation_batch(2, torch.device("cpu"))["mask"].mean() == 0.25


def test_a_ramp_shows_the_same_windows_with_fewer_pixels_at_first():
    data = PhotosData(Boxes(), ramp=[[10, 16], [20, 24]], batch_size=4, **SETTINGS)
    plain = batches(PhotosData(Boxes(), batch_size=4, **SETTINGS), "train")[0]["image"]
    for update, side in ((0, 16), (9, 16), (10, 24), (19, 24), (20, 32), (10**6, 32)):
        data.trainer = SimpleNamespace(
            global_step=update, global_rank=0, world_size=1, strategy=SimpleNamespace(root_device=torch.device("cpu"))
        )
        batch = batches(data, "train")[0]
        assert batch["image"].shape[-2:] == batch["mask"].shape[-2:] == (side, side)
        smaller = torch.nn.functional.interpolate(plain, (side, side), mode="area")
        assert (batch["image"] - smaller).abs().mean() < 0.05
    assert batches(data, "validation")[0]["image"].shape[-1] == 32


# -------------------------------------------------------------------------------------------------------- bad settings


def test_fewer_crops_than_a_batch(photo_folder):
    data = FolderData(Boxes(), str(photo_folder), validation=0.4, crop=32, crops_per_image=1, batch_size=50)
    with pytest.raises(ValueError, match=r"data\.batch_size: .* raise data\.crops_per_image"):
        data.setup("fit")


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": 0},
        {"batch_size": 0},
        {"crops_per_image": 0},
        {"workers": -1},
        {"crop": 64.5},
        {"workers": "two"},
        {"max_bad_fraction": "x"},
        {"ramp": [[10]]},
        {"cache": "disk"},
        {"on_bad_image": "ignore"},
        {"max_bad_fraction": 1},
        {"ramp": [[10, 16], [5, 32]]},
        {"ramp": [[10, 65]]},
        {"ramp": [[10, 32], [20, 16]]},
    ],
)
def test_impossible_settings_name_their_key(wrong):
    (key,) = wrong
    with pytest.raises(ValueError, match=rf"data\.{key}: "):
        PhotosData(Boxes(), **wrong)
