"""Sizes that are remembered: from headers once, again where a file has changed, and from nothing that is damaged."""

import logging
import os

import numpy as np
import pytest
from PIL import Image

from inpaint.data import headers
from inpaint.data.datamodule import FolderData
from inpaint.data.headers import Headers
from inpaint.masks import Boxes
from inpaint.pictures import mask_files
from inpaint.pictures.reading import BadImage
from inpaint.settings import Refused


def put(path, height, width, when=10**9):
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    os.utime(path, (when, when))


@pytest.fixture
def looked_at(monkeypatch):
    """Which files' headers are read, in order: of photographs and of masks."""
    read = []

    def note(module, name):
        of = getattr(module, name)
        monkeypatch.setattr(module, name, lambda path, *rest: (read.append(path.name), of(path, *rest))[1])

    note(headers, "image_size")
    note(mask_files, "layer_size")
    return read


def sizes(root, *names):
    """As a start has them, which remembers them for the next one."""
    known = Headers(root, root / "cache")
    found = [known.size(root / name) for name in names]
    known.save()
    return found


def test_a_header_is_read_again_only_where_its_file_has_changed(tmp_path, looked_at):
    put(tmp_path / "a.png", 20, 30)
    put(tmp_path / "b.jpg", 40, 50)
    for _ in range(3):
        assert sizes(tmp_path, "a.png", "b.jpg") == [(20, 30), (40, 50)]
    assert looked_at == ["a.png", "b.jpg"]
    put(tmp_path / "a.png", 20, 3100)  # of the same time, and another length
    put(tmp_path / "b.jpg", 50, 40, when=10**9 + 1)
    for _ in range(2):
        assert sizes(tmp_path, "a.png", "b.jpg") == [(20, 3100), (50, 40)]
    assert looked_at[2:] == ["a.png", "b.jpg"]
    put(tmp_path / "c.png", 5, 6)
    assert sizes(tmp_path, "c.png", "a.png") == [(5, 6), (20, 3100)] and looked_at[4:] == ["c.png"]


def test_what_changed_just_now_and_what_is_refused_is_not_remembered(tmp_path, looked_at):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    os.utime(tmp_path / "a.png", (10**10, 10**10))  # stays new, however slowly the test runs
    (tmp_path / "b.png").write_bytes(b"no picture")
    os.utime(tmp_path / "b.png", (10**9, 10**9))
    for _ in range(2):
        assert sizes(tmp_path, "a.png") == [(20, 30)]
        for name in ("b.png", "missing.png"):
            with pytest.raises(BadImage, match=name):
                sizes(tmp_path, name)
    assert len(looked_at) == 6 and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("how", ["cut", "turned", "empty", "pipe", "folder", "foreign"])
def test_a_damaged_file_is_left_alone_with_a_line_and_made_anew(tmp_path, how, looked_at, caplog):
    put(tmp_path / "a.png", 20, 30)
    sizes(tmp_path, "a.png")
    (file,) = (tmp_path / "cache").iterdir()
    data = file.read_bytes()
    file.unlink()
    if how == "pipe":
        os.mkfifo(file)
    elif how == "folder":
        file.mkdir()
    else:
        wrong = {"cut": data[:-8], "turned": data[:-1] + b"\x01", "empty": b"", "foreign": b"\x93NUMPY" + data}
        file.write_bytes(wrong[how])
    assert sizes(tmp_path, "a.png") == [(20, 30)] and len(looked_at) == 2
    assert str(file) in caplog.text and "read anew" in caplog.text
    assert how == "folder" or (sizes(tmp_path, "a.png") == [(20, 30)] and len(looked_at) == 2)


def test_impossible_sizes_are_not_taken(tmp_path, looked_at, monkeypatch):
    put(tmp_path / "a.png", 20, 30)
    known = Headers(tmp_path, tmp_path / "cache")
    known.size(tmp_path / "a.png")
    ((key, entry),) = known.new.items()
    for size in ((0, 30), (-1, 30), (2**40, 2**40), (10**5, 10**5)):
        known.new, known.stored = {key: (*entry[:2], *size)}, None
        known.save()
        assert Headers(tmp_path, tmp_path / "cache").size(tmp_path / "a.png") == (20, 30)


def test_a_size_that_is_not_the_files_is_found_when_it_is_read(tmp_path):
    for number in range(8):
        put(tmp_path / f"{number}.png", 20, 30)
    settings = {"validation": 0.4, "crop": 8, "crops_per_image": 1, "validation_crops": 1, "batch_size": 1}
    data = FolderData(Boxes(), str(tmp_path), cache="ram", **settings)
    data.source.headers.size = lambda path: (20, 31)
    with pytest.raises(Refused, match="has changed since its header was read"):
        data.setup("fit")


def test_a_second_start_reads_no_header(tmp_path, looked_at, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(8):
        put(tmp_path / f"photos/{number}.png", 20, 30)
        put(tmp_path / f"masks/{number}.png", 20, 30)
    settings = {"validation": 0.4, "crop": 8, "crops_per_image": 1, "validation_crops": 1, "batch_size": 1}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        data = FolderData(Boxes(), f"{tmp_path}/photos", masks_root=f"{tmp_path}/masks", cache="none", **settings)
        data.setup("fit")
    assert len(looked_at) == 16


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path, caplog):
    put(tmp_path / "a.png", 20, 30)
    (tmp_path / "cache").touch()
    with caplog.at_level(logging.INFO):
        assert sizes(tmp_path, "a.png") == [(20, 30)]
    assert "cannot be written" in caplog.text
