"""What a collection and a machine decide where a config says auto, and that it is said and recorded."""

import logging

import pytest
import torch

from inpaint.data import automatic
from inpaint.data.datamodule import FolderData, InpaintingData
from inpaint.masks import Boxes
from inpaint.pictures.mask_files import MaskReader
from inpaint.pictures.reading import BadImage


class Collection:
    """Photographs that are numbers: so many, of such shorter sides; nothing is read but a header."""

    masked, mask_reader = False, MaskReader()

    def __init__(self, train=100, validation=10, sides=(300,)):
        self.counts, self.sides = {"train": train, "validation": validation}, sides
        self.looked_at = 0

    def count(self, split):
        return self.counts[split]

    def shards(self, split):
        return None

    def size(self, split, row):
        self.looked_at += 1
        side = self.sides[row % len(self.sides)]
        if side is None:
            raise BadImage("no picture")
        return side, side + 100

    def name(self, split, row):
        return f"{split} {row}"

    def read(self, split, row):
        return {"image": torch.zeros(3, *self.size(split, row), dtype=torch.uint8)}


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [(11, 4, (64, 32)), (100, 11, (11, 12)), (1330, 69, (1, 2)), (100_000, 10_000, (1, 1)), (1, 1, (64, 32))],
)
def test_crops_follow_from_the_number_of_photographs(train, validation, expected):
    source = Collection(train, validation)
    assert tuple(automatic.crops(source, split) for split in ("train", "validation")) == expected


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((300,), 256), ((255,), 128), ((300,) * 19 + (40,), 256), ((300,) * 8 + (100,) * 2, 64), ((None, 140), 128)],
)
def test_the_crop_follows_from_the_sizes_where_there_is_a_gpu(sides, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    source = Collection(100_003, sides=sides)
    assert automatic.crop(source) == expected and source.looked_at <= automatic.LOOKED_AT
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert automatic.crop(source) == 64


@pytest.mark.parametrize(
    ("batches", "updates", "expected"),
    [(8, 1500, 200), (9, 9000, 300), (8, 100_000, 2000), (625, 100_000, 15_700), (8, 20, 20), (8, -1, 200)],
)
def test_validation_takes_little_of_the_time(batches, updates, expected):
    assert automatic.validation_interval(batches, updates) == expected


def test_each_choice_is_said_once(caplog):
    with caplog.at_level(logging.INFO, "inpaint.data"):
        data = InpaintingData(
            Collection(1330, 69), Boxes(), crop="auto", crops_per_image="auto", validation_crops="auto"
        )
    assert (data.crop, data.crops_per_image, data.validation_crops) == (64, 1, 2)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        f"data.{key}=auto" for key in ("crop", "crops_per_image", "validation_crops")
    ]
    assert "2 of each of 69 photographs, 138 in all" in caplog.text


def test_a_number_is_taken_as_it_is(caplog):
    with caplog.at_level(logging.INFO, "inpaint.data"):
        data = InpaintingData(Collection(), Boxes(), crop=32, crops_per_image=3, validation_crops=5)
    assert (data.crop, data.crops_per_image, data.validation_crops) == (32, 3, 5) and not caplog.records


@pytest.mark.parametrize(
    ("cores", "device", "ranks", "expected"),
    [
        *[(1, "cpu", 1, 0), (2, "cpu", 1, 1), (4, "cpu", 1, 1), (8, "cpu", 1, 2), (64, "cpu", 1, 2), (2, "cpu", 2, 0)],
        *[(1, "cuda", 1, 1), (7, "cuda", 1, 4), (16, "cuda", 1, 8), (16, "cuda", 8, 2), (4, "cuda", 8, 0)],
    ],
)
def test_readers_follow_from_the_cores(cores, device, ranks, expected, monkeypatch):
    monkeypatch.setattr(automatic.os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    assert automatic.workers(device, ranks) == expected


def test_readers_are_there_where_something_is_decoded_anew(photo_folder, monkeypatch):
    monkeypatch.setattr(automatic.os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    for cache, expected in (("none", 1), ("ram", 0)):
        data = FolderData(
            Boxes(), str(photo_folder), validation=0.4, crop=32, batch_size=1, cache=cache, workers="auto"
        )
        data.setup("fit")
        assert data.train_dataloader().num_workers == expected
