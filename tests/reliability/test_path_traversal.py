"""Names in lists, links, tables of masks and outputs that lead out of their folder.

The errors of lists and links are in tests/data/test_sources.py and tests/pictures/test_pairing.py; here are hostile
names at each door, by the same words.
"""

import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.data.sources import Folder
from inpaint.masks.frozen import Crop, Frozen, write_frozen
from inpaint.pictures.mask_files import MaskReader
from inpaint.pictures.pairing import find_images, pair_masks
from inpaint.predict.jobs import Destination, MaskFiles, plan
from tests.conftest import smooth_picture

NAMES = ["../secret.png", "a/../../secret.png", "{outside}", "./../secret.png", "link/secret.png"]


@pytest.fixture
def places(tmp_path):
    """A folder of pictures, one picture beside it, and a link from the first to where that is."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(6):
        Image.fromarray(smooth_picture(number, 40, 40)).save(root / f"{number}.png")
    Image.fromarray(smooth_picture(9, 40, 40)).save(tmp_path / "secret.png")
    return root, tmp_path / "secret.png"


@pytest.mark.parametrize("name", NAMES)
def test_lists(name, places):
    root, outside = places
    (root / "train.txt").write_text(f"0.png\n{name.format(outside=outside)}\n")
    (root / "validation.txt").write_text("1.png\n")
    with pytest.raises(ValueError, match=r"data\.train: of 2 lines in .*(lead out of the|name no picture)"):
        Folder(str(root), train="train.txt", validation="validation.txt")


def test_links_that_leave(places):
    root, outside = places
    (root / "link.png").symlink_to(outside)
    with pytest.raises(ValueError, match=r"data\.root: 1 links in .* leave it or lead nowhere: .*link\.png"):
        find_images(root, "data.root")
    (root / "link.png").unlink()
    (root / "up").symlink_to(root.parent, target_is_directory=True)
    with pytest.raises(ValueError, match="leave it or lead nowhere"):
        Folder(str(root))


def test_masks_beside_pictures(places):
    root, outside = places
    masks = root.parent / "masks"
    masks.mkdir()
    for path in find_images(root, "images"):
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(masks / path.name)
    (masks / "0.png").unlink()
    (masks / "0.png").symlink_to(outside)
    with pytest.raises(ValueError, match=r"masks: 1 links in .* leave it"):
        pair_masks(find_images(root, "images"), root, masks, "masks")


def crop(folder, index):
    image = torch.from_numpy(smooth_picture(index, 20, 20)).permute(2, 0, 1)
    return Crop(index, f"{index}.png", 0.25, index, image, torch.full((1, 20, 20), 255, dtype=torch.uint8))


@pytest.mark.parametrize("column", ["mask", "image"])
@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_sets_table(name, column, tmp_path):
    """What `manifest.csv` of a set that someone sent names."""
    frozen = tmp_path / "frozen"
    write_frozen(frozen, [crop(frozen, index) for index in range(3)], images=True)
    (tmp_path / "secret.png").write_bytes((frozen / "masks" / "000001.png").read_bytes())
    (frozen / "link").symlink_to(tmp_path, target_is_directory=True)
    table = frozen / "manifest.csv"
    file = f"{column}s/000001.png"
    assert table.read_text().count(file) == 1
    table.write_text(table.read_text().replace(file, name.format(outside=tmp_path / "secret.png")))
    with pytest.raises(ValueError, match=r"masks\.root: "):
        Frozen(frozen)


def test_predictions_stay_in_their_folder(places, tmp_path):
    """Relative names are those of files that were found below the inputs, so none has a part that goes up."""
    root, _ = places
    (root / ".. ").mkdir()
    (root / "...").mkdir()
    for folder in (".. ", "..."):
        Image.fromarray(smooth_picture(1, 40, 40)).save(root / folder / "x.png")
    mask = tmp_path / "mask.png"
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(mask)
    jobs = plan(root, MaskFiles(mask, reader=MaskReader()), Destination(tmp_path / "out"))
    assert jobs
    for job in jobs:
        assert job.output.resolve().is_relative_to((tmp_path / "out").resolve())


def test_members_of_a_tar_are_never_files(places, tmp_path):
    """A shard's members are read from the tar, whatever they are called; nothing is unpacked."""
    from inpaint.data.shards import Shards

    root, _ = places
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as tar:
        for number in range(4):
            tar.add(root / f"{number}.png", f"../../{number}.png")
    other = tmp_path / "other.tar"
    other.write_bytes(shard.read_bytes())
    before = sorted(path for path in tmp_path.rglob("*"))
    source = Shards(str(shard), str(other))
    assert source.read("train", 0)["image"].shape == (3, 40, 40)
    assert sorted(path for path in tmp_path.rglob("*")) == before
