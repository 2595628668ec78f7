"""Shards that are written of a collection: the same crops as from it, whole or not at all."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import preview
from inpaint.data import packing
from inpaint.data.packing import new_shards, write_shards
from inpaint.data.shards import Shards
from inpaint.data.sources import Folder
from inpaint.data.tiles import Tiles
from inpaint.settings import Refused


@pytest.fixture
def collection(tmp_path):
    """Twelve photographs in two classes, grey ones and one on its side among them, with masks and captions."""
    random = np.random.default_rng(0)
    for number in range(12):
        name = f"{'ab'[number % 2]}/{number:02d}"
        for root in ("photos", "masks"):
            (tmp_path / root / name).parent.mkdir(parents=True, exist_ok=True)
        size = (40 + number, 52 - number)
        pixels = random.integers(0, 256, (*size, 3) if number % 3 else size, dtype=np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 4 else 1
        suffix = ("png", "jpg")[number % 2]
        Image.fromarray(pixels).save(tmp_path / f"photos/{name}.{suffix}", exif=exif)
        mask = np.zeros(size[::-1] if number == 4 else size, np.uint8)
        mask[5:20, number : number + 9] = 255
        Image.fromarray(mask).save(tmp_path / f"masks/{name}.png")
        (tmp_path / f"photos/{name}.txt").write_text(f"Bild {number}", encoding="utf-8")
    return tmp_path


def tiles_of(source, split, **settings):
    return Tiles(source, split, 3, 36, 24, 5, **({"max_bad_fraction": None} | settings))


def assert_same_crops(one, other):
    assert len(one) == len(other) > 0
    for epoch in (0, 1):
        for index in range(len(one)):
            first, second = one[epoch, index], other[epoch, index]
            assert first.keys() == second.keys()
            for name, value in first.items():
                assert torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]


@pytest.mark.parametrize("extras", [True, False])
def test_the_crops_are_those_of_the_folder(collection, extras):
    settings = {"masks_root": f"{collection}/masks", "label": "folder", "caption": "txt"} if extras else {"resize": 30}
    folder = Folder(f"{collection}/photos", validation=0.4, **settings)
    splits = [tiles_of(folder, split) for split in ("train", "validation")]
    packed = write_shards(collection / "shards", splits, largest=6_000)
    assert packed.photographs == 12 and packed.shards > 3
    assert packed.bytes == sum(file.stat().st_size for file in collection.glob("shards/*.tar"))
    expected = {"mask": "mask.png", "label": "cls", "caption": "txt"} if extras else {}
    assert packed.settings.items() >= expected.items() and packed.settings.keys() - expected.keys() == {
        "train",
        "validation",
        "counts",
    }
    source = Shards(**packed.settings, block=2)
    for tiles in splits:
        assert_same_crops(tiles, tiles_of(source, tiles.split))


def test_what_is_left_out_is_written_as_what_stands_in_for_it(collection):
    file = collection / "photos/a/02.png"
    file.write_bytes(file.read_bytes()[:200])
    folder = Folder(f"{collection}/photos", validation=0.4)
    splits = [tiles_of(folder, split, max_bad_fraction=0.2) for split in ("train", "validation")]
    packed = write_shards(collection / "shards", splits)
    fresh = [tiles_of(folder, split, max_bad_fraction=0.2) for split in ("train", "validation")]
    for tiles in fresh:
        shards = tiles_of(Shards(**packed.settings), tiles.split)
        for index in range(len(tiles)):
            assert torch.equal(tiles[0, index]["tile"], shards[0, index]["tile"])


def test_nothing_stays_of_what_fails(collection, monkeypatch):
    folder = Folder(f"{collection}/photos", validation=0.4)
    splits = [tiles_of(folder, split) for split in ("train", "validation")]
    before = sorted(collection.iterdir())
    file = collection / "photos" / folder.name("validation", 1)
    sound = file.read_bytes()
    file.write_bytes(sound[:100])
    with pytest.raises(Refused, match=file.stem):
        write_shards(collection / "shards", splits)
    file.write_bytes(sound)

    def full(path, content, indent):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "write_json", full)
    with pytest.raises(Refused, match=r"^shards: .*/shards cannot be written \(No space left on device\)"):
        write_shards(collection / "shards", splits)
    assert sorted(collection.iterdir()) == before


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").touch()
    for wrong in ("full", "full/a", "missing/shards"):
        with pytest.raises(Refused, match=r"^shards: "):
            new_shards(tmp_path / wrong)
    new_shards(tmp_path / "new")


def test_what_could_not_be_read_back_is_refused_before(tmp_path, monkeypatch):
    with pytest.raises(Refused, match=r"shards: .*\[1\] has \[ \], which stand for"):
        new_shards(tmp_path / "out[1]")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Refused, match="shards: they are read with fsspec: pip install"):
        new_shards(tmp_path / "new")


def test_the_command_writes_them_and_says_what_is_gained(command, collection):
    shutil.rmtree(collection / "masks")
    settings = [f"data.root={collection}/photos", "data.validation=0.4", "data.crop=24", "data.batch_size=2"]
    printed = " ".join(command(preview, "data=folder", *settings, "samples=2", "measured=2", "shards=packed").split())
    assert "shards: 12 photographs in 2 shards" in printed and "of processor time" in printed
    assert "data=shards 'data.train=packed/train-*.tar' 'data.validation=packed/validation-*.tar'" in printed
    assert "data.counts=packed/counts.json reads them" in printed
