"""Methods without training: built from their configs, and given the collection that one of them copies from."""

import csv
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from inpaint import evaluate
from inpaint.batch import from_uint8
from inpaint.config.untrained import build_baseline, build_fill, that_train
from inpaint.data.datamodule import FolderData, PhotosData
from inpaint.files import checkpoint
from inpaint.masks import Boxes
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.pictures.reading import read_image
from inpaint.settings import ConfigError, Refused

UNET = "inpaint.networks.generators.residual_unet.ResidualUNet"
NEIGHBOUR = {"_target_": "inpaint.fills.NearestNeighbour"}


def test_baselines_are_fills_and_networks_are_not():
    image, mask = torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    mask[..., 4:9, 4:9] = 1
    assert build_baseline("mean")(image, mask).composite.shape == image.shape
    with pytest.raises(ConfigError, match="ResidualUNet must be trained first"):
        build_fill(OmegaConf.create({"_target_": UNET}))


def test_a_collection_is_a_folder_of_its_own_or_the_photographs_that_train(photo_folder):
    data = FolderData(Boxes(), str(photo_folder), validation=0.4, crop=32)
    train = {name: read_image(photo_folder / name) for name in data.source.names["train"]}
    given = build_baseline("nearest_neighbour", that_train(data)).photographs
    assert [torch.equal(a, b) for a, b in zip(given, train.values(), strict=True)] == [True] * len(train)
    data.setup("fit")  # from where they are kept
    assert data.tiles["train"].store is not None
    assert [torch.equal(a, b) for a, b in zip(given, train.values(), strict=True)] == [True] * len(train)
    own = build_fill(OmegaConf.create(NEIGHBOUR | {"collection": str(photo_folder)}), that_train(data)).photographs
    assert len(own) == 12 > len(train)
    assert torch.equal(own[0], read_image(sorted(photo_folder.rglob("*.*"))[0]))


def test_what_cannot_be_copied_from_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"^generator\.collection: .* give generator=nearest_neighbour generator\.coll"):
        build_baseline("nearest_neighbour", that_train(None))
    for settings, message in (
        ({"collection": str(tmp_path / "none")}, r"^generator\.collection: .*none is not a folder"),
        ({"collection": str(tmp_path)}, r"^generator\.collection: no images"),
    ):
        with pytest.raises(Refused, match=message):
            build_fill(OmegaConf.create(NEIGHBOUR | settings))
    with pytest.raises(Refused, match=r"none\.ckpt does not exist"):
        features = {"features": str(tmp_path / "none.ckpt")}
        build_fill(OmegaConf.create(NEIGHBOUR | features), that_train(PhotosData(Boxes())))


def test_the_encoder_is_that_of_a_checkpoint_or_of_the_model_in_the_box(tmp_path):
    torch.manual_seed(0)
    network = ResidualUNet(width=4)
    config = {"name": "mine", "generator": {"_target_": UNET, "width": 4}}
    checkpoint.save_generator(tmp_path / "update_00000001.ckpt", network, config, 1)
    photographs = that_train(PhotosData(Boxes(), crop=32))
    picture = from_uint8(photographs[8][None, :, 50:114, 60:124]) * 0.9
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 24:44] = 1
    for features, own in ((tmp_path, network.state_dict()), ("builtin", None)):
        fill = build_fill(OmegaConf.create(NEIGHBOUR | {"features": str(features), "windows": 11}), photographs)
        assert own is None or all(torch.equal(fill.encoder.state_dict()[name], own[name]) for name in own)
        composite = fill(picture, mask).composite
        assert composite.isfinite().all() and torch.equal(composite * (1 - mask), picture * (1 - mask))
        assert torch.equal(fill(picture.masked_fill(mask > 0, 0.5), mask).composite, composite)


def test_it_is_measured_as_a_generator_and_as_a_baseline(command):
    small = ["data.validation_crops=1", "data.crop=32", "pictures=0"]
    command(evaluate, "generator=nearest_neighbour", "baselines=[mean]", "hydra.run.dir=alone", *small)
    command(evaluate, "generator=mean", "baselines=[nearest_neighbour]", "hydra.run.dir=beside", *small)

    def figures(folder):
        with Path(folder, "records.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["method"] == "nearest_neighbour"]
        return [(row["index"], row["hole_psnr"]) for row in rows]

    assert len(figures("alone")) == 4 and figures("alone") == figures("beside")
    printed = command(
        evaluate, "baselines=[nearest_neighbour]", "images=alone", "holes=alone", "hydra.run.dir=files", code=2
    )
    assert "generator.collection: nearest_neighbour copies from photographs" in printed
