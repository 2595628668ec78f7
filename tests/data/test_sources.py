import hashlib
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.data.sources import Folder, Photos
from inpaint.data.splits import place
from inpaint.pictures.reading import BadImage
from tests.pictures.psd_files import psd, psd_layer


def names(source, split):
    return [source.name(split, row) for row in range(source.count(split))]


def make(root, *paths, size=(12, 10)):
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number, 2 * number, 255 - number)).save(root / path)
    return root


def make_mask(path, size=(12, 10), levels=(0, 255), edge=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    hole = np.full(size[::-1], levels[0], np.uint8)
    hole[2:5, 3:7] = levels[1]
    if edge is not None:
        hole[2, 3] = edge
    Image.fromarray(hole).save(path)


def test_photos_are_real_pictures_split_by_picture():
    photos = Photos()
    train, validation = names(photos, "train"), names(photos, "validation")
    assert len(train) == 11 and len(validation) == 4 and not set(train) & set(validation)
    for split in ("train", "validation"):
        assert photos.shards(split) is None
        for row in range(photos.count(split)):
            image = photos.read(split, row)["image"]
            assert image.dtype == torch.uint8 and image.shape == (3, *photos.size(split, row))
            assert min(photos.size(split, row)) >= 300 and image.float().std() > 10
    # Two views of one scene must not stand on both sides of the split.
    assert len({"motorcycle_left", "motorcycle_right"} & set(train)) in (0, 2)


def test_masks_of_16_bits_and_of_one_layer_are_paired(tmp_path):
    """As everywhere else: there is one reader of masks."""
    make(tmp_path / "photos", "a.png", "d.png")
    make_mask(tmp_path / "masks" / "plain.png")
    levels = np.array(Image.open(tmp_path / "masks" / "plain.png"))
    (tmp_path / "masks" / "plain.png").unlink()
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "masks" / "a.png")
    (tmp_path / "masks" / "d.psd").write_bytes(psd(levels, psd_layer("hole", {0: levels})))
    folder = Folder(str(tmp_path / "photos"), validation=0.5, masks_root=str(tmp_path / "masks"))
    for split in ("train", "validation"):
        assert folder.size(split, 0) == (10, 12) and folder.size(split, 0) == (10, 12)  # remembered
        assert np.array_equal(folder.read(split, 0)["mask"][0] > 0, levels > 0)


# ---- a folder, by share


def test_a_folder_is_split_by_its_names_alone(photo_folder, tmp_path):
    before = Folder(str(photo_folder), validation=0.4)
    train, validation = names(before, "train"), names(before, "validation")
    assert len(train) + len(validation) == 12 and train and validation and not set(train) & set(validation)
    # Other pictures beside it, another place: each picture stays where it was.
    moved = tmp_path / "elsewhere"
    shutil.copytree(photo_folder, moved)
    for number in range(5):
        shutil.copy(photo_folder / train[-1], moved / f"new {number}.jpg")
    after = Folder(str(moved), validation=0.4)
    assert set(validation) <= set(names(after, "validation")) and set(train) <= set(names(after, "train"))


def test_the_hash_is_sha256_of_the_name(photo_folder):
    folder = Folder(str(photo_folder), validation=0.4)
    for split in ("train", "validation"):
        for name in names(folder, split):
            share = int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 2**64
            assert (share < 0.4) == (split == "validation")


def test_a_folder_reads_what_is_there(photo_folder):
    folder = Folder(str(photo_folder), validation=0.4)
    for row in range(folder.count("train")):
        picture = folder.read("train", row)
        assert picture.keys() == {"image"} and picture["image"].shape == (3, *folder.size("train", row))
        with Image.open(photo_folder / folder.name("train", row)) as expected:
            assert np.array_equal(picture["image"].permute(1, 2, 0), np.array(expected.convert("RGB")))


def test_the_split_does_not_depend_on_how_accents_are_spelt():
    assert place("caf\u00e9.png") == place("cafe\u0301.png") != place("cafe.png")


@pytest.mark.parametrize("share", [0.0, 1.0, -1])
def test_a_share_that_is_none(photo_folder, share):
    with pytest.raises(ValueError, match=r"data\.validation"):
        Folder(str(photo_folder), validation=share)


def test_a_split_with_an_empty_side_gives_the_counts(photo_folder):
    with pytest.raises(ValueError, match=r"data\.validation: 1e-09 of the 12 pictures .* none for validation"):
        Folder(str(photo_folder), validation=1e-9)


def test_a_link_out_of_the_folder_is_refused(photo_folder, tmp_path):
    (photo_folder / "out.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(ValueError, match=r"data\.root: 1 links .*out\.png"):
        Folder(str(photo_folder))


def test_pictures_are_shrunk_on_reading(tmp_path):
    make(tmp_path, "a/b.png", "a/c.jpg", "d/e.webp", size=(60, 40))
    folder = Folder(str(tmp_path), "a", "d", resize=20)
    for split in ("train", "validation"):
        for row in range(folder.count(split)):
            assert folder.size(split, row) == folder.read(split, row)["image"].shape[1:] == (20, 30)
    with pytest.raises(ValueError, match=r"data\.resize: 0"):
        Folder(str(tmp_path), resize=0)


# ---- a folder, by sub-folders and lists


@pytest.fixture
def sorted_folder(tmp_path):
    return make(tmp_path / "set", "train/cat/1.png", "train/dog/2.png", "train/dog/3.png", "val/dog/4.png",
                "val/ant/5.png", "train2/6.png")  # fmt: skip


def test_sub_folders(sorted_folder):
    folder = Folder(str(sorted_folder), train="train", validation="val")
    assert names(folder, "train") == ["train/cat/1.png", "train/dog/2.png", "train/dog/3.png"]
    assert names(folder, "validation") == ["val/ant/5.png", "val/dog/4.png"]


def test_a_share_of_a_sub_folder(sorted_folder):
    folder = Folder(str(sorted_folder), train="train", validation=0.6)
    assert sorted(names(folder, "train") + names(folder, "validation")) == [
        "train/cat/1.png", "train/dog/2.png", "train/dog/3.png"
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_list_files(sorted_folder, tmp_path, place):
    where = tmp_path if place == "beside" else sorted_folder
    (where / "a.txt").write_text("# to train\n\nval/dog/4.png\n  ./train/cat/1.png  \n", encoding="utf-8-sig")
    (where / "b.txt").write_text("train/dog/2.png\r\n")
    given = [str(where / n) if place == "beside" else n for n in ("a.txt", "b.txt")]
    folder = Folder(str(sorted_folder), train=given[0], validation=given[1])
    assert names(folder, "train") == ["val/dog/4.png", "train/cat/1.png"]
    assert names(folder, "validation") == ["train/dog/2.png"]


@pytest.mark.parametrize(("content", "says"), [(b"", "names no pictures"), (b"# x\n", "names no pictures"),
                                               (b"\xff\xfe\0", "is no list that can be read")])  # fmt: skip
def test_lists_without_pictures(sorted_folder, tmp_path, content, says):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"data\.train: .*list\.txt {says}"):
        Folder(str(sorted_folder), train=str(tmp_path / "list.txt"))


def test_contradictory_splits(sorted_folder, tmp_path):
    with pytest.raises(ValueError, match=r"data\.train: val validates; name"):
        Folder(str(sorted_folder), validation="val")
    with pytest.raises(ValueError, match=r"data\.validation: 2 pictures train as well: train/dog/2\.png"):
        Folder(str(sorted_folder), train="train", validation="train/dog")
    for wrong in ("missing", "..", str(tmp_path), "train/../val"):
        with pytest.raises(ValueError, match=r"data\.train: .* is neither a sub-folder of .* nor a list file"):
            Folder(str(sorted_folder), train=wrong)
    (sorted_folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"data\.validation: no pictures in .*empty"):
        Folder(str(sorted_folder), train="train", validation="empty")


# ---- masks, classes, captions


def test_masks_come_with_their_pictures(tmp_path):
    make(tmp_path / "p", *(f"s/{n}.jpg" for n in range(6)), size=(24, 20))
    for n in range(6):
        make_mask(tmp_path / "m" / "s" / (f"{n}.png" if n % 2 else f"{n}_mask.png"), size=(24, 20))
    for resize, shape in ((None, (20, 24)), (10, (10, 12))):
        folder = Folder(str(tmp_path / "p"), validation=0.5, masks_root=str(tmp_path / "m"), resize=resize)
        assert folder.masked
        for split in ("train", "validation"):
            for row in range(folder.count(split)):
                mask = folder.read(split, row)["mask"]
                assert mask.dtype == torch.uint8 and mask.shape == (1, *shape) == (1, *folder.size(split, row))
                assert set(mask.unique().tolist()) == {0, 1}
                if resize is None:
                    assert mask.sum() == 12 and mask[0, 2:5, 3:7].all()


def test_a_picture_with_several_masks_stands_once_for_each_on_one_side(tmp_path):
    make(tmp_path / "p", *(f"{n}.jpg" for n in range(6)))
    for n in range(6):
        for k in range(1 + n % 2):
            make_mask(tmp_path / "m" / f"{n}_mask00{k}.png", levels=(0, 255) if k == 0 else (255, 0))
    folder = Folder(str(tmp_path / "p"), validation=0.5, masks_root=str(tmp_path / "m"))
    rows = [(split, row) for split in ("train", "validation") for row in range(folder.count(split))]
    assert sorted(folder.name(*row) for row in rows) == sorted(f"{n}.jpg" for n in (0, 1, 1, 2, 3, 3, 4, 5, 5))
    assert not {*names(folder, "train")} & {*names(folder, "validation")}
    areas = {}
    for row in rows:
        areas.setdefault(folder.name(*row), []).append(int(folder.read(*row)["mask"].sum()))
    assert areas["1.jpg"] == [12, 108] and areas["0.jpg"] == [12]


def test_masks_inside_the_folder_are_no_pictures(tmp_path):
    make(tmp_path, *(f"{n}.jpg" for n in range(6)))
    for n in range(6):
        make_mask(tmp_path / "masks" / f"{n}.png")
    folder = Folder(str(tmp_path), validation=0.5, masks_root=str(tmp_path / "masks"))
    assert sorted(names(folder, "train") + names(folder, "validation")) == [f"{n}.jpg" for n in range(6)]


def test_only_pictures_of_the_split_need_masks(sorted_folder, tmp_path):
    for name in ("train/cat/1", "train/dog/2", "train/dog/3", "val/dog/4", "val/ant/5"):
        make_mask(tmp_path / "m" / f"{name}.png")
    assert Folder(str(sorted_folder), "train", "val", masks_root=str(tmp_path / "m")).count("train") == 3
    with pytest.raises(ValueError, match=r"data\.masks_root: 1 of 6 pictures have no mask .*: train2/6$"):
        Folder(str(sorted_folder), validation=0.4, masks_root=str(tmp_path / "m"))


def test_masks_that_do_not_fit_are_named_by_their_headers(tmp_path):
    make(tmp_path / "p", "a.png", "b.png", "c.png")
    make_mask(tmp_path / "m" / "a.png", size=(12, 9))
    make_mask(tmp_path / "m" / "b.png", levels=(3, 200), edge=150)
    make_mask(tmp_path / "m" / "c.png")
    (tmp_path / "all.txt").write_text("a.png\nb.png\n")
    (tmp_path / "c.txt").write_text("c.png\n")
    settings = (str(tmp_path / "p"), str(tmp_path / "all.txt"), str(tmp_path / "c.txt"), str(tmp_path / "m"))
    folder = Folder(*settings)
    with pytest.raises(BadImage, match=r"a\.png: the mask has 12 x 9 pixels, its picture .*a\.png has 12 x 10"):
        folder.size("train", 0)
    with pytest.raises(BadImage, match=r"the mask has 12 x 9 pixels"):
        folder.read("train", 0)
    assert folder.size("train", 1) == (10, 12)
    with pytest.raises(BadImage, match=r"b\.png: not a binary mask.*data\.mask_threshold=auto"):
        folder.read("train", 1)
    for threshold in (128, "auto"):
        assert Folder(*settings, mask_threshold=threshold).read("train", 1)["mask"].sum() == 12
    inverted = Folder(*settings, mask_threshold=128, mask_polarity="black")
    assert inverted.read("train", 1)["mask"].sum() == 120 - 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_threshold": 128}, r"mask_threshold: there are no masks; give data\.masks_root too"),
        ({"mask_polarity": "black"}, r"mask_polarity: there are no masks"),
        ({"mask_channel": "alpha"}, r"mask_channel: there are no masks"),
        ({"mask_threshold": 0, "masks_root": "masks"}, r"mask_threshold: give a grey level"),
    ],
)
def test_thresholds_without_effect(sorted_folder, settings, message):
    with pytest.raises(ValueError, match=rf"^data\.{message}"):
        Folder(str(sorted_folder), **settings)


def test_classes_are_numbered_by_name_over_both_splits(sorted_folder):
    folder = Folder(str(sorted_folder), train="train", validation="val", label="folder")
    assert folder.classes == ["ant", "cat", "dog"]
    assert [folder.read("train", row)["label"] for row in range(3)] == [1, 2, 2]
    assert [folder.read("validation", row)["label"] for row in range(2)] == [0, 2]
    with pytest.raises(ValueError, match=r"data\.label: 1 pictures are in no sub-folder: 6\.png"):
        Folder(str(sorted_folder), train="train2", validation="val", label="folder")
    with pytest.raises(ValueError, match=r"data\.label: column is neither folder nor null"):
        Folder(str(sorted_folder), validation=0.4, label="column")


def test_captions_stand_beside_their_pictures(sorted_folder):
    for number in (1, 2, 3):
        (next(sorted_folder.rglob(f"{number}.png")).with_suffix(".txt")).write_text(f" Bild {number}: ä\n", "utf-8")
    settings = {"train": "train/dog", "validation": "train/cat", "caption": "txt"}
    folder = Folder(str(sorted_folder), **settings)
    assert [folder.read("train", row)["caption"] for row in range(2)] == ["Bild 2: ä", "Bild 3: ä"]
    (sorted_folder / "train" / "dog" / "3.txt").write_bytes(b"\xff")
    with pytest.raises(BadImage, match=r"3\.txt: no text"):
        folder.read("train", 1)
    with pytest.raises(ValueError, match=r"data\.caption: 2 of 5 pictures have no text .*val/ant/5\.txt, val/dog/4"):
        Folder(str(sorted_folder), train="train", validation="val", caption="txt")


def test_an_unreadable_picture_is_named(tmp_path):
    make(tmp_path, "a/b.png", "c/d.png")
    (tmp_path / "a" / "b.png").write_bytes(b"no picture")
    folder = Folder(str(tmp_path), "a", "c")
    for look in (folder.read, folder.size):
        with pytest.raises(BadImage, match=r"a/b\.png: not a readable"):
            look("train", 0)
