"""No picture, one picture, fewer than all ranks' batches: an error at the start, with counts."""

import pytest
from PIL import Image

from inpaint.data.datamodule import FolderData, PhotosData
from inpaint.masks import Boxes
from tests.conftest import smooth_picture
from tests.reliability.ranks import fit, together
from tests.training.gan import tiny


def test_no_picture(tmp_path):
    (tmp_path / "notes.txt").write_text("none here")
    with pytest.raises(ValueError, match=r"data\.root: no images \(jpg, png, webp, tif, bmp\) in "):
        FolderData(Boxes(), str(tmp_path))


def test_one_picture(tmp_path):
    Image.fromarray(smooth_picture(0, 60, 60)).save(tmp_path / "only.png")
    with pytest.raises(ValueError, match=r"data\.validation: 0\.1 of the 1 pictures in .* leaves none for"):
        FolderData(Boxes(), str(tmp_path))


def short(rank, batch_size):
    """Eleven pictures, one crop each."""
    data = PhotosData(Boxes(), crop=32, crops_per_image=1, validation_crops=1, batch_size=batch_size)
    try:
        return fit(tiny(), data, 2, ranks=2).global_step
    except ValueError as error:
        return str(error)


def test_fewer_than_a_batch_on_each_rank():
    assert together(short, 5) == [2, 2]
    for message in together(short, 6):
        assert message.startswith(
            "data.batch_size: an epoch has 11 crops, fewer than one batch of 6 on each of 2 devices; raise"
        )
