import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.files import find_images, image_size, read_image, read_mask


def picture(height=6, width=9, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_find_images_is_recursive_sorted_and_leaves_hidden_files_out(tmp_path):
    for name in ("b.png", "a/c.JPG", "a/d.webp", ".hidden/e.png", "a/.f.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path, "data.root")]
    assert names == ["a/c.JPG", "a/d.webp", "b.png"]


def test_no_images_and_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"data\.root: no images"):
        find_images(tmp_path, "data.root")
    with pytest.raises(ValueError, match=r"data\.root: .*is not a folder"):
        find_images(tmp_path / "missing", "data.root")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1"])
def test_every_8_bit_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    original = Image.fromarray(picture()).convert(mode)
    original.save(path)
    read = read_image(path)
    assert read.shape == (3, 6, 9) and read.dtype == torch.uint8
    if mode != "CMYK":
        assert np.array_equal(read.permute(1, 2, 0), np.array(original.convert("RGB")))


def test_exif_orientation_is_applied(tmp_path):
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    Image.fromarray(picture()).save(path, exif=exif)
    assert image_size(path) == (9, 6)
    assert np.array_equal(read_image(path).permute(1, 2, 0), np.rot90(picture(), -1))


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "missing", "16 bit", "bomb"])
def test_what_cannot_be_read_is_refused_by_name(tmp_path, damage, monkeypatch):
    path = tmp_path / "bad one.png"
    Image.fromarray(picture(64, 64)).save(path)
    if damage == "text":
        path.write_text("<html>not found</html>")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-3000])
    elif damage == "missing":
        path.unlink()
    elif damage == "16 bit":
        Image.fromarray(picture(8, 8)[..., 0].astype(np.uint16)).save(path)
    elif damage == "bomb":
        monkeypatch.setattr("inpaint.files.LARGEST", 64 * 64 - 1)
    with pytest.raises(ValueError, match=r"bad one\.png"):
        read_image(path)


@pytest.mark.parametrize(("levels", "top"), [((0, 255), 255), ((0, 1), 1)])
def test_masks_of_two_levels(tmp_path, levels, top):
    hole = np.random.default_rng(0).integers(0, 2, (5, 7)).astype(np.uint8)
    Image.fromarray(np.where(hole, levels[1], levels[0]).astype(np.uint8)).save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png")
    assert mask.dtype == torch.float32 and mask.shape == (1, 5, 7)
    assert np.array_equal(mask[0], hole)


def test_a_mask_of_one_bit_and_an_empty_one(tmp_path):
    Image.fromarray(np.eye(6, dtype=bool)).save(tmp_path / "bit.png")
    assert np.array_equal(read_mask(tmp_path / "bit.png")[0], np.eye(6))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "none.png")
    assert read_mask(tmp_path / "none.png").sum() == 0


def test_a_grey_mask_says_what_was_found_and_a_threshold_takes_it(tmp_path):
    path = tmp_path / "grey.png"
    Image.fromarray(np.array([[0, 127, 128, 250]], dtype=np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"grey\.png: not a binary mask, it has 4 grey levels from 0 to 250"):
        read_mask(path)
    assert read_mask(path, threshold=128).tolist() == [[[0, 0, 1, 1]]]
