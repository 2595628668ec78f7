import os
import pickle
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from inpaint.data.huggingface import HuggingFace
from inpaint.pictures.reading import BadImage
from tests.data.numbered import encoded, mask, number_of

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def no_traces(monkeypatch, tmp_path):
    """No connection is tried, and nothing is written to the home folder; gives the one for temporary files."""
    tried, connect = [], socket.socket.connect

    def refuse(*arguments, **settings):
        if isinstance(arguments[0], socket.socket) and arguments[0].family == socket.AF_UNIX:
            return connect(*arguments)  # of a worker
        tried.append(arguments)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    home = tmp_path / "home"
    home.mkdir()
    # Short: the path of a worker's socket in there has at most 108 characters, and where it has more, the worker hangs.
    scratch = Path(tempfile.mkdtemp(prefix="hf"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / ".cache" / "huggingface" / "datasets")
    environment = dict(os.environ)
    yield scratch
    shutil.rmtree(scratch)
    others = ("PYTEST_CURRENT_TEST", "KMP_DUPLICATE_LIB_OK")  # pytest's, and one that scikit-learn sets on import
    assert {k: v for k, v in os.environ.items() if k not in others} == {
        k: v for k, v in environment.items() if k not in others
    }
    assert not tried and not [*home.rglob("*")]
    assert not datasets.config.HF_HUB_OFFLINE and datasets.is_progress_bar_enabled()


def numbers(found, split="train"):
    return [number_of(found.read(split, row)) for row in range(found.count(split))]


@pytest.fixture
def folder(tmp_path):
    """An image folder with two splits, two classes and 12 and 4 pictures."""
    number = 0
    for split, count in (("train", 6), ("test", 2)):
        for name in ("cat", "dog"):
            place = tmp_path / "set" / split / name
            place.mkdir(parents=True)
            for n in range(count):
                (place / f"{n}.png").write_bytes(encoded(number))
                number += 1
    return tmp_path / "set"


def rows(count=8):
    kinds = datasets.Features(
        {
            "image": datasets.Image(),
            "hole": datasets.Image(),
            "label": datasets.ClassLabel(names=["ant", "bee"]),
            "text": datasets.Value("string"),
            "size": datasets.Value("float32"),
        }
    )
    return datasets.Dataset.from_dict(
        {
            "image": [{"bytes": encoded(n), "path": f"{n}.png"} for n in range(count)],
            "hole": [{"bytes": mask(), "path": None}] * count,
            "label": [n % 2 for n in range(count)],
            "text": [f" Bild {n}" for n in range(count)],
            "size": [1.0] * count,
        },
        features=kinds,
    )


@pytest.fixture
def parquet(tmp_path):
    """A folder of parquet files: 8 rows to train, in two files, and 3 to validate."""
    place = tmp_path / "tables"
    place.mkdir()
    table = rows()
    table.select(range(5)).to_parquet(str(place / "train-00000-of-00002.parquet"))
    table.select(range(5, 8)).to_parquet(str(place / "train-00001-of-00002.parquet"))
    rows(3).to_parquet(str(place / "validation-00000-of-00001.parquet"))
    return place


@pytest.fixture
def saved(tmp_path):
    """What `save_to_disk` wrote."""
    datasets.DatasetDict({"train": rows(), "validation": rows(3)}).save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_an_image_folder(folder):
    found = HuggingFace(str(folder), label="label")
    assert sorted(numbers(found)) == list(range(12)) and sorted(numbers(found, "validation")) == list(range(12, 16))
    assert found.classes == ["cat", "dog"] and found.shards("train") is None and not found.masked
    for row in range(12):
        name, label = found.name("train", row), found.read("train", row)["label"]
        assert name.startswith(f"train/{['cat', 'dog'][label]}/") and (folder / name).is_file()
        assert found.size("train", row) == (10, 12)


@pytest.mark.parametrize("format", ["parquet", "saved"])
def test_tables(format, request):
    where = request.getfixturevalue(format)
    found = HuggingFace(str(where), format, mask="hole", label="label", caption="text")
    assert numbers(found) == list(range(8)) and numbers(found, "validation") == [0, 1, 2]
    picture = found.read("train", 3)
    assert picture["label"] == 1 and picture["caption"] == " Bild 3" and found.classes == ["ant", "bee"]
    assert found.masked and picture["mask"].dtype == torch.uint8 and picture["mask"].shape == (1, 10, 12)
    assert picture["mask"].sum() == 12 and picture["mask"][0, 2:5, 3:7].all()
    assert found.name("validation", 2) == "validation/2" and found.size("train", 0) == (10, 12)
    small = HuggingFace(str(where), format, mask="hole", resize=5)
    assert small.size("train", 0) == (5, 6) == small.read("train", 0)["mask"].shape[1:]


def test_one_parquet_file_with_bare_bytes_split_by_share(tmp_path):
    table = pyarrow.table({"picture": [encoded(n) for n in range(40)]})
    pyarrow.parquet.write_table(table, tmp_path / "all.parquet", row_group_size=7)
    found = HuggingFace(str(tmp_path / "all.parquet"), "parquet", validation=0.3, image="picture")
    train, validation = numbers(found), numbers(found, "validation")
    assert sorted(train + validation) == list(range(40)) and 4 <= len(validation) <= 20
    assert [found.name("train", row) for row in range(3)] == [f"train/{n}" for n in train[:3]]
    again = HuggingFace(str(tmp_path / "all.parquet"), "parquet", validation=0.5, image="picture")
    assert {*validation} < {*numbers(again, "validation")}


def test_a_share_of_an_image_folder_depends_on_names_alone(folder):
    before = HuggingFace(str(folder), validation=0.4)
    kept = {before.name("validation", row) for row in range(before.count("validation"))}
    (folder / "train" / "ant").mkdir()
    (folder / "train" / "ant" / "x.png").write_bytes(encoded(0))
    after = HuggingFace(str(folder), validation=0.4)
    assert kept <= {after.name("validation", row) for row in range(after.count("validation"))}
    assert after.count("train") + after.count("validation") == 13


def test_a_saved_set_without_splits_is_one_to_train_on(tmp_path):
    rows().save_to_disk(str(tmp_path / "one"))
    found = HuggingFace(str(tmp_path / "one"), "saved", validation=0.5)
    assert sorted(numbers(found) + numbers(found, "validation")) == list(range(8))


def test_pictures_are_decoded_by_our_own_rules(tmp_path):
    """What is refused in a file is refused in a table, by the split and the row."""
    bad = [b"no picture", encoded(1, form="GIF"), encoded(2)[:-30], b"", encoded(3)]
    table = datasets.Dataset.from_dict({"image": bad + bad})
    table.to_parquet(str(tmp_path / "x.parquet"))
    found = HuggingFace(str(tmp_path / "x.parquet"), "parquet", validation=0.5)
    split, row = next(
        (split, row)
        for split in ("train", "validation")
        for row in range(found.count(split))
        if found.name(split, row) == "train/1"
    )
    with pytest.raises(BadImage, match=r"^train/1: .*but a GIF"):
        found.read(split, row)
    with pytest.raises(BadImage, match=r"^train/1: "):
        found.size(split, row)


def test_masks_of_16_bits_are_those_of_8(tmp_path):
    table = datasets.Dataset.from_dict({"image": [encoded(0)] * 9, "hole": [mask(deep=True)] * 9})
    table.to_parquet(tmp_path / "x.parquet")
    found = HuggingFace(str(tmp_path / "x.parquet"), "parquet", validation=0.5, mask="hole")
    assert found.size("train", 0) == (10, 12)
    assert found.read("train", 0)["mask"].sum() == 12


def test_masks_of_another_size_are_named(tmp_path):
    table = datasets.Dataset.from_dict({"image": [encoded(0)] * 9, "hole": [mask((12, 9))] * 9})
    table.to_parquet(str(tmp_path / "x.parquet"))
    found = HuggingFace(str(tmp_path / "x.parquet"), "parquet", validation=0.5, mask="hole")
    for look in (found.size, found.read):
        with pytest.raises(
            BadImage, match=r"^train/\d \(hole\): the mask has 12 x 9 pixels, its picture train/\d has 12 x 10"
        ):
            look("train", 0)


def test_paths_out_of_the_set_are_refused(tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(0))
    place = tmp_path / "set"
    place.mkdir()
    paths = [f"{n}.png" for n in range(8)]
    for n, path in enumerate(paths):
        (place / path).write_bytes(encoded(n))
    for name, path in (("in", "8.png"), ("out", "../secret.png"), ("far", str(tmp_path / "secret.png"))):
        table = pyarrow.table({"image": [{"bytes": None, "path": p} for p in [*paths, path]]})
        pyarrow.parquet.write_table(table, place / f"{name}.parquet")
    (place / "8.png").write_bytes(encoded(8))
    found = HuggingFace(str(place / "in.parquet"), "parquet", validation=0.5)
    assert sorted(numbers(found) + numbers(found, "validation")) == list(range(9))
    for name in ("out", "far"):
        with pytest.raises(BadImage, match=r"secret\.png leads out of"):
            HuggingFace(str(place / f"{name}.parquet"), "parquet", validation=0.5)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in.png").write_bytes(encoded(0))
    (tmp_path / "folder" / "out.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ValueError, match=r"data\.path: 1 links .*out\.png"):
        HuggingFace(str(tmp_path / "folder"), validation=0.5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"format": "csv"}, r"data\.format: give one of imagefolder, parquet, saved; got 'csv'"),
        ({"train": "all"}, r"data\.train: .* has no split all, only train, validation"),
        ({"validation": "test"}, r"data\.validation: .* has no split test, only train, validation"),
        ({"validation": "train"}, r"data\.validation: train trains as well"),
        ({"train": "validation"}, r"data\.validation: .* has no split of its own .* data\.validation=0\.1"),
        ({"validation": 1.5}, r"data\.validation: 1\.5 is not between"),
        ({"validation": 1e-9}, r"data\.validation: 1e-09 of the 8 pictures .* none for validation"),
        ({"image": "photo"}, r"data\.image: train has no column photo, only image, hole, label, text, size"),
        ({"image": "text"}, r"data\.image: column text of .* holds no pictures"),
        ({"label": "text"}, r"data\.label: column text of .* holds no classes"),
        ({"label": "size"}, r"data\.label: column size of .* holds no classes"),
        ({"caption": "label"}, r"data\.caption: column label of .* holds no texts"),
        ({"mask": "label"}, r"data\.mask: column label of .* holds no pictures"),
        ({"mask_threshold": 3}, r"data\.mask_threshold: there are no masks; give data\.mask too"),
        ({"resize": 0}, r"data\.resize: 0"),
    ],
)
def test_wrong_settings_name_their_key(saved, settings, says):
    with pytest.raises(ValueError, match=says):
        HuggingFace(str(saved), **{"format": "saved", **settings})


def test_gaps_in_a_column_are_counted(tmp_path):
    kinds = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string"),
                               "label": datasets.ClassLabel(names=["a"])})  # fmt: skip
    cells = {
        "image": [{"bytes": encoded(0)}, {"bytes": encoded(0)}, None],
        "text": ["a", None, None],
        "label": [0, -1, 0],
    }
    datasets.Dataset.from_dict(cells, features=kinds).save_to_disk(str(tmp_path / "set"))
    datasets.Dataset.from_dict(cells, features=kinds).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=r"data\.image: 1 of 3 rows of train have none in column image"):
        HuggingFace(str(tmp_path / "set"), "saved", validation=0.5)
    cells["image"][2] = cells["image"][0]
    datasets.Dataset.from_dict(cells, features=kinds).save_to_disk(str(tmp_path / "full"))
    for key, column, gaps in (("caption", "text", 2), ("label", "label", 1)):
        with pytest.raises(ValueError, match=rf"data\.{key}: {gaps} of 3 rows of train have none in column {column}"):
            HuggingFace(str(tmp_path / "full"), "saved", validation=0.5, **{key: column})


def test_what_is_no_data_set(tmp_path, folder):
    with pytest.raises(ValueError, match=r"data\.path: there is no .*missing"):
        HuggingFace(str(tmp_path / "missing"))
    for format in ("parquet", "saved"):
        with pytest.raises(ValueError, match=rf"data\.path: .*set cannot be read as {format} \("):
            HuggingFace(str(folder), format)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match=r"data\.path: .*broken\.parquet cannot be read as parquet \("):
        HuggingFace(str(tmp_path / "broken.parquet"), "parquet")


def test_without_the_library(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"data\.path: .* pip install datasets"):
        HuggingFace(str(folder))


def test_the_cache_is_temporary_or_where_it_is_said(parquet, no_traces, tmp_path, monkeypatch):
    found = HuggingFace(str(parquet), "parquet")
    assert len([*no_traces.iterdir()]) == 1 and numbers(found) == list(range(8))
    del found
    assert not [*no_traces.iterdir()]
    forked = HuggingFace(str(parquet), "parquet")
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        del forked
    assert len([*no_traces.iterdir()]) == 1  # it is its maker's
    shutil.rmtree(next(no_traces.iterdir()))
    stated = HuggingFace(str(parquet), "parquet", cache_dir=str(tmp_path / "cache"))
    assert not [*no_traces.iterdir()] and [*(tmp_path / "cache").rglob("*.arrow")]
    assert numbers(stated) == list(range(8))


class Numbers:
    def __init__(self, source):
        self.source = source

    def __len__(self):
        return self.source.count("train")

    def __getitem__(self, row):
        return number_of(self.source.read("train", row))


def test_workers_read_and_leave_the_temporary_folder_alone(parquet):
    found = HuggingFace(str(parquet), "parquet")
    assert [n for batch in DataLoader(Numbers(found), 3, num_workers=2) for n in batch.tolist()] == list(range(8))
    assert numbers(found) == list(range(8))
    assert numbers(pickle.loads(pickle.dumps(found))) == list(range(8))


def test_headers_are_read_without_the_pixels(tmp_path):
    """Of a mapped file, what is not touched is not loaded: the stream is asked for a small part of a large picture."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 700, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    raw = (tmp_path / "x.png").read_bytes()
    datasets.Dataset.from_dict({"image": [raw] * 8}).to_parquet(str(tmp_path / "x.parquet"))
    found = HuggingFace(str(tmp_path / "x.parquet"), "parquet", validation=0.5)
    file = found._file("train", 0, "image")
    from inpaint.pictures.reading import image_size

    assert image_size(file) == (600, 700) and file.stream.tell() < len(raw) / 5
