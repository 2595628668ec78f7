"""Broken and odd pictures among good ones: read rightly, refused by name, or replaced alike on every rank.

Real files, read while training. What each decoder says of each kind stands in tests/pictures/test_reading.py.
"""

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.reliability.photographs import PICTURE, READ, REFUSED, data, folder
from tests.reliability.ranks import fit, together
from tests.training.gan import tiny


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
