import shutil

import pytest
import torch

from inpaint.data.sources import Folder, Photos


def test_photos_are_real_pictures_split_by_picture():
    photos = Photos()
    train, validation = photos.names("train"), photos.names("validation")
    assert len(train) == 11 and len(validation) == 4 and not set(train) & set(validation)
    for name in train + validation:
        picture = photos.read(name)
        assert picture.dtype == torch.uint8 and picture.shape[0] == 3 and picture.shape[1:] == photos.size(name)
        assert min(photos.size(name)) >= 300 and picture.float().std() > 10
    # Two views of one scene must not stand on both sides of the split.
    assert len({"motorcycle_left", "motorcycle_right"} & set(train)) in (0, 2)


def test_a_folder_is_split_by_its_names_alone(photo_folder, tmp_path):
    before = Folder(str(photo_folder), validation=0.4)
    train, validation = before.names("train"), before.names("validation")
    assert len(train) + len(validation) == 12 and train and validation and not set(train) & set(validation)
    # Other pictures beside it, another place: each picture stays where it was.
    moved = tmp_path / "elsewhere"
    shutil.copytree(photo_folder, moved)
    for number in range(5):
        shutil.copy(photo_folder / train[-1], moved / f"new {number}.jpg")
    after = Folder(str(moved), validation=0.4)
    assert set(validation) <= set(after.names("validation")) and set(train) <= set(after.names("train"))


def test_a_folder_reads_what_is_there(photo_folder):
    folder = Folder(str(photo_folder), validation=0.4)
    for name in folder.names("train"):
        assert folder.read(name).shape == (3, *folder.size(name))


@pytest.mark.parametrize("share", [0.0, 1.0, -1])
def test_a_share_that_is_none(photo_folder, share):
    with pytest.raises(ValueError, match=r"data\.validation"):
        Folder(str(photo_folder), validation=share)


def test_a_split_with_an_empty_side_gives_the_counts(photo_folder):
    with pytest.raises(ValueError, match=r"data\.validation: 1e-09 of the 12 pictures .* none for validation"):
        Folder(str(photo_folder), validation=1e-9)
