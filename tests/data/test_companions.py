"""Photographs that come degraded as well: paired by name, cropped alike, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.batch import to_uint8
from inpaint.data.augmentation import Augmentation
from inpaint.data.datamodule import FolderData
from inpaint.degradations import GaussianNoise, Paired, Sequence
from inpaint.masks import Boxes, Full
from inpaint.settings import Refused
from tests.conftest import smooth_picture

PLAIN = {"zoom": (1.0, 1.0)}
SETTINGS = {"crop": 16, "batch_size": 4, "crops_per_image": 2, "validation_crops": 2, "validation": 0.1}


def pairs(folder, scale, count=4):
    """Pictures, and the same in negative with fewer pixels, each the upper left of a square."""
    for number in range(count):
        pixels = smooth_picture(number, 48 + 12 * number, 60)
        for kind, shown in (("sharp", pixels), ("soft", 255 - pixels[::scale, ::scale])):
            (folder / kind / "deep").mkdir(parents=True, exist_ok=True)
            name = f"deep/{number}" if number % 2 else f"{number}"
            Image.fromarray(shown).save(folder / kind / f"{name}.{'png' if kind == 'sharp' or number else 'bmp'}")
    return {"root": str(folder / "sharp"), "given_root": str(folder / "soft")}


def crops(data, split):
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()
    return [data.to_batch(raw, "cpu") for raw in loader]


@pytest.mark.parametrize("cache", ["ram", "none"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_both_are_cropped_alike(scale, cache, tmp_path):
    """So what is given is the truth's negative, pixel by pixel, mirrored where that is."""
    side = 18 if scale == 3 else 16
    settings = SETTINGS | {"crop": side, "augmentation": Augmentation(**PLAIN), "cache": cache}
    data = FolderData(Full(), **pairs(tmp_path, scale), degradation=Paired(scale), **settings)
    data.setup("fit")
    for split in ("train", "validation"):
        for batch in crops(data, split):
            assert batch["image"].shape[2:] == (side, side) and batch["given"].shape[2:] == (side // scale,) * 2
            truth, given = (to_uint8(batch[name]).int() for name in ("image", "given"))
            for one, other in zip(truth, given, strict=True):  # mirrored, the upper left of a square is its upper right
                columns = {0, scale - 1}
                assert any(torch.equal(255 - one[:, ::scale, column::scale], other) for column in columns)
            assert batch["mask"].min() == 1


def test_windows_that_are_resampled_are_resampled_alike(tmp_path):
    settings = SETTINGS | {"augmentation": Augmentation(zoom=(1.0, 1.5), rotate=30, perspective=0.2)}
    data = FolderData(Boxes(), **pairs(tmp_path, 1), degradation=Paired(), **settings)
    data.setup("fit")
    for batch in crops(data, "train"):
        assert ((batch["image"] + batch["given"]) * (1 - batch["mask"])).abs().max() < 1e-4
        assert (batch["given"] * batch["mask"] == 0).all()


def test_degraded_pictures_inside_the_folder_of_the_truths_are_none_of_them(tmp_path):
    pairs(tmp_path, 1)
    (tmp_path / "soft").rename(tmp_path / "sharp" / "soft")
    settings = {"root": str(tmp_path / "sharp"), "given_root": str(tmp_path / "sharp" / "soft")}
    data = FolderData(Full(), **settings, degradation=Paired(), **SETTINGS)
    assert sum(data.source.count(split) for split in ("train", "validation")) == 4


def refusal(tmp_path, degradation, **settings):
    with pytest.raises(Refused) as error:
        data = FolderData(Full(), **settings, degradation=degradation, **SETTINGS)
        data.setup("fit")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_pairs_that_are_none_are_named(tmp_path):
    folders = pairs(tmp_path, 2)
    assert "degradation.scale: 1, and the given pictures have 2 times fewer" in refusal(tmp_path, Paired(), **folders)
    needs = "degradation: paired needs photographs that come with degraded ones; give data=folder data.given_root=DIR"
    assert refusal(tmp_path, Paired(), root=folders["root"]) == needs
    same = folders | {"given_root": folders["root"]}
    assert "is the folder of the truths" in refusal(tmp_path, Paired(), **same)
    nowhere = folders | {"given_root": str(tmp_path / "nowhere")}
    assert refusal(tmp_path, Paired(), **nowhere).startswith("data.given_root: ")
    assert "data.augmentation: resamples the truth" in refusal(tmp_path, Paired(2), **folders)
    assert refusal(tmp_path, Paired(2), **folders, resize=20).startswith("data.resize: ")
    plain = folders | {"augmentation": Augmentation(**PLAIN)}
    (tmp_path / "soft/9.png").write_bytes((tmp_path / "soft/2.png").read_bytes())
    assert "1 of 5 pictures there have no truth: 9" in refusal(tmp_path, Paired(2), **plain)
    (tmp_path / "soft/9.png").unlink()
    (tmp_path / "soft/2.png").rename(tmp_path / "2.png")
    assert "1 of 4 photographs have no picture of their name in" in refusal(tmp_path, Paired(2), **plain)
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "soft/2.png")
    found = refusal(tmp_path, Paired(2), **plain)
    assert "soft/2.png: it has 30 x 30 pixels, and its truth" in found and "it needs 2 times fewer a side" in found
    recoloured = folders | {"augmentation": Augmentation(**PLAIN, hue=0.1)}
    assert refusal(tmp_path, Paired(2), **recoloured).startswith("data.augmentation.hue: ")


def test_files_are_no_step_of_a_sequence(tmp_path):
    chain = Sequence({"files": Paired(), "noise": GaussianNoise(5.0)})
    with pytest.raises(Refused, match=r"^degradation: paired takes pictures from files"):
        chain(torch.zeros(1, 3, 8, 8), torch.zeros(1, dtype=torch.int64))


def test_without_the_degradation_they_are_not_looked_at(tmp_path, caplog):
    with caplog.at_level("INFO", "inpaint.data"):
        data = FolderData(Full(), **pairs(tmp_path, 1), **SETTINGS)
    assert "data.given_root: not looked at; degradation=paired gives those pictures" in caplog.text
    data.setup("fit")
    assert all("given" not in batch for batch in crops(data, "train"))
