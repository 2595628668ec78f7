import logging

import pytest
import torch
from PIL import Image

from inpaint import rng
from inpaint.data.leaves import dead_leaves
from inpaint.data.sources import Folder
from inpaint.data.synthetic import DeadLeaves, DeadLeavesData, LeavesAmongPhotographs, _window
from inpaint.masks import Boxes
from inpaint.settings import Refused

SMALL = {"pictures": 3, "side": 32, "crop": 24, "crops_per_image": 2, "validation_crops": 1}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("inpaint.data.synthetic.VALIDATED", 2)
    monkeypatch.setattr("inpaint.data.leaves.PLANE", 32)


def by_index(data, epoch=0):
    loader = data.train_dataloader()
    loader.batch_sampler.sampler.set_epoch(epoch)
    found = {}
    for raw in loader:
        batch = data.to_batch(raw, "cpu")
        found |= dict(zip(batch["index"].tolist(), batch["image"], strict=True))
    return found


def same(a, b):
    return a.keys() == b.keys() and all(torch.allclose(a[index], b[index], rtol=0, atol=1e-6) for index in a)


def test_a_crop_follows_from_seed_epoch_and_index():
    reference = by_index(DeadLeavesData(Boxes(), batch_size=6, **SMALL))
    assert len(reference) == 6
    assert same(reference, by_index(DeadLeavesData(Boxes(), batch_size=2, cache="none", **SMALL)))
    assert not same(reference, by_index(DeadLeavesData(Boxes(), batch_size=6, seed=1, **SMALL)))
    assert not same(reference, by_index(DeadLeavesData(Boxes(), batch_size=6, **SMALL), epoch=1))


def test_other_pictures_validate_the_same_for_every_seed():
    one, other = DeadLeaves(3, 32, seed=0), DeadLeaves(3, 32, seed=1)

    def pictures(source, split):
        return [source.read(split, row)["image"] for row in range(source.count(split))]

    train, validation = pictures(one, "train"), pictures(one, "validation")
    assert len(train) == 3 and len(validation) == 2
    assert len({picture.numpy().tobytes() for picture in train + validation}) == 5
    assert all(map(torch.equal, validation, pictures(other, "validation")))
    assert not any(map(torch.equal, train, pictures(other, "train")))


def test_among_photographs_the_share_is_what_was_asked_for(photo_folder, caplog):
    with caplog.at_level(logging.INFO):
        data = DeadLeavesData(Boxes(), root=str(photo_folder), share=0.25, validation=0.4, **SMALL)
    assert "3 pictures of dead leaves train, and 9 windows of" in caplog.text
    source, folder = data.source, Folder(str(photo_folder), validation=0.4)
    names = [source.name("train", row) for row in range(source.count("train"))]
    assert sum(name.startswith("dead_leaves") for name in names) == 3 and len(names) == 12
    shown = {name.rpartition("_")[0] for name in names[3:]}
    assert shown == {folder.name("train", row) for row in range(folder.count("train"))}
    for row in range(len(names)):
        assert source.read("train", row)["image"].shape == (3, *source.size("train", row)) == (3, 32, 32)
    # Photographs alone validate, whole.
    assert source.count("validation") == folder.count("validation")
    for row in range(folder.count("validation")):
        assert source.name("validation", row) == folder.name("validation", row)
        assert torch.equal(source.read("validation", row)["image"], folder.read("validation", row)["image"])
        assert source.size("validation", row) == folder.size("validation", row)
    data.setup("fit")
    assert len(by_index(data)) == 16  # of 24, whole batches


def test_windows_of_photographs_have_many_places_and_scales():
    ramp = (torch.arange(256) // 2).expand(3, 200, -1).to(torch.uint8)  # a step of one level in two columns
    windows = [_window(ramp, 32, key)[0, 0].float() for key in range(40)]
    zooms = torch.tensor([(window[-1] - window[0]) / 31 * 2 for window in windows])
    assert zooms.min() < 1.3 and 3.3 < zooms.max() < 4.2
    assert torch.stack([window[0] for window in windows]).unique().numel() > 25
    assert torch.equal(_window(ramp, 32, 5), _window(ramp, 32, 5))


def test_a_photograph_that_is_smaller_than_dead_leaves(tmp_path):
    for number in range(8):
        Image.new("RGB", (20, 30), (number, 0, 0)).save(tmp_path / f"{number}.png")
    source = LeavesAmongPhotographs(DeadLeaves(2, 32, 0), Folder(str(tmp_path), validation=0.4), 0.5)
    assert source.size("train", 3) == (20, 20) and source.read("train", 3)["image"].shape == (3, 20, 20)


def test_dead_leaves_are_those_of_their_key():
    source = DeadLeaves(2, 32, seed=4)
    assert torch.equal(source.read("train", 1)["image"], dead_leaves(rng.key("dead leaves", 4, "train", 1), 32))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"share": 0.5}, "data.share: there are no photographs"),
        ({"validation": 0.2}, "data.validation: there are no photographs"),
        ({"pictures": 0}, "data.pictures: 0"),
        ({"side": 8}, "data.side: 8"),
        ({"side": 20_000}, "data.side: 20000"),
    ],
)
def test_what_means_nothing_is_refused(settings, says):
    with pytest.raises(Refused, match=says):
        DeadLeavesData(Boxes(), **SMALL | settings)


@pytest.mark.parametrize("share", [0, 1, 1e-9, "half"])
def test_a_share_that_is_none(photo_folder, share):
    with pytest.raises(Refused, match=r"data\.share"):
        DeadLeavesData(Boxes(), root=str(photo_folder), validation=0.4, share=share, **SMALL)
