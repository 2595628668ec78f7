"""Broken and odd pictures among good ones: read rightly, refused by name, or replaced alike on every rank. Item 16.

Real files, read while training. What each decoder says of each kind stands in tests/pictures/test_reading.py.
"""

import io

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image

from inpaint.data.datamodule import FolderData
from inpaint.masks import Boxes
from tests.conftest import smooth_picture
from tests.reliability.ranks import fit, together
from tests.training.gan import tiny


def encoded(picture, form, **settings):
    stream = io.BytesIO()
    picture.save(stream, format=form, **settings)
    return stream.getvalue()


PICTURE = Image.fromarray(smooth_picture(7, 60, 90))
JPEG = encoded(PICTURE, "JPEG", quality=95)
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned by a quarter
SIXTEEN = Image.fromarray(np.full((60, 90), 40_000, np.uint16))
REFUSED = {
    "truncated.jpg": JPEG[: len(JPEG) // 2],
    "cut by two bytes.jpg": JPEG[:-2],
    "empty.png": b"",
    "text.png": b"<html>404 not found</html>",
    "sixteen bits.png": encoded(SIXTEEN, "PNG"),
    "one pixel.png": encoded(PICTURE.resize((1, 1)), "PNG"),
    "animated.webp": encoded(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(90)]),
}
READ = {
    "cmyk.jpg": encoded(PICTURE.convert("CMYK"), "JPEG", quality=95),
    "palette.png": encoded(PICTURE.quantize(256), "PNG"),
    "turned.jpg": encoded(PICTURE, "JPEG", quality=95, exif=EXIF),
    "transparent.png": encoded(PICTURE.convert("RGBA"), "PNG"),
    "grey.webp": encoded(PICTURE.convert("L"), "WEBP"),
}


def folder(tmp_path, odd):
    """Twenty good pictures, and one of `odd`, in order of their names; eight validate."""
    for number in range(20):
        Image.fromarray(smooth_picture(number, 60, 60)).save(tmp_path / f"{number:02d}.png")
    if odd is not None:
        (tmp_path / f"05 {odd}").write_bytes((REFUSED | READ)[odd])
    (tmp_path / "validation.txt").write_text("\n".join(f"{n:02d}.png" for n in range(12, 20)))
    (tmp_path / "train.txt").write_text(
        "\n".join(sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".txt" and path.name < "12"))
    )
    return tmp_path


def data(root, batch_size=4, **settings):
    defaults = {"crop": 32, "crops_per_image": 1, "validation_crops": 1, "cache": "none"}
    lists = {"train": "train.txt", "validation": "validation.txt"}
    return FolderData(Boxes(), str(root), **lists, batch_size=batch_size, **(defaults | settings))


@pytest.mark.parametrize("name", REFUSED)
def test_training_stops_with_the_name(name, tmp_path):
    with pytest.raises(ValueError, match=rf"05 {name}") as caught:
        fit(tiny(), data(folder(tmp_path, name)), 6)
    assert "photograph" in str(caught.value)


class Order(Callback):
    def __init__(self):
        self.batches, self.pictures = [], {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.batches.append(batch["index"].tolist())
        for index, image in zip(batch["index"].tolist(), batch["image"], strict=True):
            self.pictures[trainer.current_epoch, index] = image


def skipping(rank, root, ranks, most):
    """Two epochs that leave the bad picture out; what each sample was, and what was counted."""
    order, photographs = Order(), data(root, 4 // ranks, on_bad_image="skip", max_bad_fraction=most)
    try:
        fit(tiny(), photographs, 6, [order], ranks)
    except ValueError as error:
        return str(error)
    return order.batches, order.pictures, photographs.tiles["train"].bad


@pytest.mark.parametrize("name", REFUSED)
def test_skipping_goes_on_with_the_next_picture(name, tmp_path):
    batches, pictures, bad = skipping(0, folder(tmp_path, name), 1, 0.1)
    assert [len(batch) for batch in batches] == [4] * 6
    assert list(bad) == [5] and f"05 {name}" in bad[5], "it is the sixth by name, before 05.png"
    good = tmp_path / "good"
    good.mkdir()
    others = folder(good, name)
    (others / f"05 {name}").write_bytes((others / "05.png").read_bytes())  # the next stands in for it
    _, expected, _ = skipping(0, others, 1, 0.1)
    assert all(torch.equal(pictures[key], image) for key, image in expected.items())


def test_ranks_skip_alike(tmp_path):
    root = folder(tmp_path, "truncated.jpg")
    (first, pictures_0, _), (second, pictures_1, _) = together(skipping, root, 2, 0.1)
    _, alone, _ = skipping(0, root, 1, 0.1)
    assert [len(batch) for batch in first] == [len(batch) for batch in second] == [2] * 6
    both = pictures_0 | pictures_1
    assert both.keys() == alone.keys() and all(torch.equal(both[key], image) for key, image in alone.items())


def test_too_many_stop_the_run_on_all_ranks_that_see_them(tmp_path):
    root = folder(tmp_path, "text.png")
    for message in together(skipping, root, 2, 0.01):
        assert message.startswith("data.max_bad_fraction: 1 of 13 train photographs cannot be used; 0.01 allows fewer")


@pytest.mark.parametrize("name", READ)
def test_odd_pictures_are_read(name, tmp_path):
    photographs = data(folder(tmp_path, name))
    photographs.setup("fit")
    assert not photographs.tiles["train"].bad
    picture = photographs.source.read("train", 5)["image"]
    assert picture.shape == ((3, 90, 60) if name == "turned.jpg" else (3, 60, 90))
    expected = torch.from_numpy(np.array(PICTURE.rotate(-90, expand=True) if name == "turned.jpg" else PICTURE))
    if name == "grey.webp":
        expected = expected.float() @ torch.tensor([0.299, 0.587, 0.114])
        expected = expected[..., None].expand(-1, -1, 3)
    difference = (picture.permute(1, 2, 0).float() - expected.float()).abs().mean()
    assert difference < (12 if name == "palette.png" else 4)
