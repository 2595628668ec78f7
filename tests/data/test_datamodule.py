import pytest
import torch
from PIL import Image

from inpaint.batch import from_uint8
from inpaint.data.datamodule import FolderData, InpaintingData, PhotosData
from inpaint.masks import Boxes


def batches(data, split, epoch=0):
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()
    loader.batch_sampler.sampler.set_epoch(epoch)
    return [data.on_after_batch_transfer(raw, 0) for raw in loader]


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

    masked = False

    def count(self, split):
        return 1

    def name(self, split, row):
        return f"{split} ramp"

    def size(self, split, row):
        return tuple(self.picture.shape[-2:])

    def read(self, split, row):
        return {"image": self.picture}

    def shards(self, split):
        return None


def corners(image):
    """x and y of the outermost pixels of crops of a ramp."""
    pixels = (image + 1) * 127.5
    return pixels[:, 0, 0, 0], pixels[:, 0, 0, -1], pixels[:, 1, 0, 0], pixels[:, 1, -1, 0]


def test_training_crops_move_zoom_and_flip_within_the_picture():
    data = InpaintingData(Ramp(60, 90), Boxes(), crop=32, zoom=(1.0, 1.5), crops_per_image=400, batch_size=400)
    (batch,) = batches(data, "train")
    left, right, top, bottom = corners(batch["image"])
    sides = (right - left).abs() + 1
    assert sides.min() >= 31.9 and sides.max() <= 48.1 and (bottom - top + 1 - sides).abs().max() < 0.1
    assert 0.4 < (right < left).float().mean() < 0.6
    assert torch.minimum(left, right).min() < 8 and torch.maximum(left, right).max() > 81
    assert top.min() >= -0.01 and bottom.max() <= 59.01 and bottom.max() > 55


def test_without_zoom_and_flip_a_crop_is_the_photographs_pixels():
    data = InpaintingData(
        Ramp(60, 90), Boxes(), crop=32, zoom=(1.0, 1.0), flip=False, crops_per_image=50, batch_size=50
    )
    (batch,) = batches(data, "train")
    left, right, top, _bottom = corners(batch["image"])
    assert torch.allclose(right - left, torch.tensor(31.0), atol=1e-3)
    assert torch.allclose(left, left.round(), atol=1e-3) and torch.allclose(top, top.round(), atol=1e-3)
    assert left.unique().numel() > 15


def test_flips_without_zoom():
    data = InpaintingData(Ramp(60, 90), Boxes(), crop=32, zoom=(1.0, 1.0), crops_per_image=50, batch_size=50)
    left, right, *_ = corners(batches(data, "train")[0]["image"])
    assert 0.2 < (right < left).float().mean() < 0.8


def test_a_picture_smaller_than_the_tile_shows_no_border():
    data = InpaintingData(Ramp(33, 40), Boxes(), crop=32, zoom=(1.0, 1.5), crops_per_image=50, batch_size=50)
    left, right, top, bottom = corners(batches(data, "train")[0]["image"])
    assert bottom.max() <= 32.01 and torch.maximum(left, right).max() <= 39.01 and (bottom > top + 30).all()


def test_photographs_smaller_than_the_crop_are_named(photo_folder):
    Image.new("RGB", (70, 20)).save(photo_folder / "tiny.png")
    data = FolderData(Boxes(), str(photo_folder), validation=0.4, crop=64)
    with pytest.raises(ValueError, match=r"data\.crop: 1 of 13 photographs .* 64 pixels: tiny\.png \(20x70\)"):
        data.setup("fit")


def test_fewer_crops_than_a_batch(photo_folder):
    data = FolderData(Boxes(), str(photo_folder), validation=0.4, crop=32, crops_per_image=1, batch_size=50)
    with pytest.raises(ValueError, match=r"data\.batch_size: .* raise data\.crops_per_image"):
        data.setup("fit")


@pytest.mark.parametrize("wrong", [{"crop": 0}, {"batch_size": 0}, {"crops_per_image": 0}, {"zoom": (1.5, 1.0)}])
def test_impossible_numbers_name_their_key(wrong):
    (key,) = wrong
    with pytest.raises(ValueError, match=rf"data\.{key}: "):
        PhotosData(Boxes(), **wrong)
