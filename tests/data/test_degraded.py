"""Degraded batches: what the generator is given of the truth, with holes and without, in training and afterwards."""

import csv

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from inpaint import preview, train
from inpaint.batch import Batch, Outputs, from_uint8, given, paint
from inpaint.builtin.network import Builtin
from inpaint.config.untrained import baselines
from inpaint.data.datamodule import PhotosData
from inpaint.degradations import Degradation, GaussianNoise, Jpeg, Resize, Sequence
from inpaint.fills import Mean, Telea
from inpaint.masks import Boxes, Full, Inverted, Mixture, Union
from inpaint.networks.generators.basicvsr import BasicVSR
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.networks.generators.super_resolution import EDSR, RRDB, SRVGG, SRResNet
from inpaint.restoration import Bicubic, TotalVariation
from inpaint.rng import normal
from inpaint.settings import Refused
from inpaint.training.contract import check_degraded, check_generator
from inpaint.training.fitting import check_degradation
from inpaint.training.validation import Validation

SETTINGS = {"crop": 32, "crops_per_image": 1, "validation_crops": 2, "batch_size": 4}


def batches(data, split):
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()
    return [data.to_batch(raw, "cpu") for raw in loader]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_truth_stays_and_what_is_given_follows_the_samples_key(split):
    plain = batches(PhotosData(Full(), **SETTINGS), split)
    degraded = batches(PhotosData(Full(), degradation=GaussianNoise(25.0), **SETTINGS), split)
    for batch, other in zip(plain, degraded, strict=True):
        assert torch.equal(batch["image"], other["image"]) and "given" not in batch
        noise = (other["given"] - other["image"]) * 127.5
        assert noise.std().item() == pytest.approx(25, rel=0.05)
        assert torch.equal(given(other), other["given"])
    by_two = batches(PhotosData(Full(), degradation=GaussianNoise(25.0), **SETTINGS | {"batch_size": 2}), split)
    rows = {index: row for batch in by_two for index, row in zip(batch["index"].tolist(), batch["given"], strict=True)}
    for batch in degraded:
        for index, row in zip(batch["index"].tolist(), batch["given"], strict=True):
            assert (row - rows[index]).abs().max() < 1e-4


def test_holes_are_emptied_and_what_is_restored_as_a_whole_is_not():
    data = PhotosData(Boxes(), degradation=Jpeg(30.0), **SETTINGS)
    batch = data.validation_batch(4, torch.device("cpu"))
    assert (batch["given"] * batch["mask"] == 0).all() and (batch["given"] != 0).any() and not data.restores_whole
    outputs = paint(ResidualUNet(width=4), batch)
    known = batch["mask"].expand_as(batch["image"]) == 0
    assert torch.equal(outputs.composite[known], batch["given"][known])
    whole = PhotosData(Full(), degradation=Jpeg(30.0), **SETTINGS)
    assert (whole.validation_batch(4, torch.device("cpu"))["given"] != 0).float().mean() > 0.9 and whole.restores_whole


def test_a_smaller_picture_is_restored_as_a_whole_and_fits_the_crop():
    with pytest.raises(Refused, match=r"^masks: .*choose masks=full"):
        PhotosData(Boxes(), degradation=Resize(2), **SETTINGS)
    with pytest.raises(Refused, match=r"^data.crop: 32 pixels"):
        PhotosData(Full(), degradation=Resize(3), **SETTINGS)
    with pytest.raises(Refused, match=r"^data.crop: 18 pixels"):
        PhotosData(Full(), degradation=Resize(4), ramp=[[10, 18]], **SETTINGS)
    batch = PhotosData(Full(), degradation=Resize(2), **SETTINGS).validation_batch(3, torch.device("cpu"))
    assert batch["given"].shape == (3, 3, 16, 16) and batch["mask"].shape == (3, 1, 32, 32)
    outputs = paint(ResidualUNet(width=4, start="given"), batch)
    assert outputs.output.shape == (3, 3, 32, 32) and torch.equal(outputs.output, outputs.composite)


def test_a_fresh_network_that_starts_from_what_is_given_is_the_baseline():
    for degradation in (GaussianNoise(10.0), Resize(4)):
        data = PhotosData(Full(), degradation=degradation, **SETTINGS)
        batch = data.validation_batch(4, torch.device("cpu"))
        network = ResidualUNet(width=4, start="given")
        assert torch.equal(paint(network, batch).output, paint(Bicubic(), batch).output)
        assert torch.equal(network.initial_fill(given(batch), batch["mask"]), paint(Bicubic(), batch).output)
        assert network.features(given(batch), batch["mask"]).shape[0] == 4


def test_a_network_that_reads_nothing_inside_the_mask_is_refused_before_it_trains():
    data = PhotosData(Full(), degradation=GaussianNoise(), **SETTINGS)
    with pytest.raises(Refused, match=r"^generator: ResidualUNet does not look at what it is given"):
        check_degradation({"generator": ResidualUNet(width=4)}, data)
    with pytest.raises(Refused, match=r"^baselines.telea: Telea does not look at what it is given"):
        check_degradation({"generator": ResidualUNet(width=4, start="given"), "baselines.telea": Telea()}, data)
    holes = PhotosData(Boxes(), degradation=GaussianNoise(), **SETTINGS)
    check_degradation({"generator": ResidualUNet(width=4), "baselines.telea": Telea()}, holes)
    check_degradation({"generator": ResidualUNet(width=4)}, PhotosData(Full(), **SETTINGS))


def test_a_method_of_another_scale_is_refused():
    class Same(torch.nn.Module):
        def forward(self, image, mask):
            return Outputs(image, image)

    data = PhotosData(Full(), degradation=Resize(2), **SETTINGS)
    check_degradation({"generator": SRVGG(2, width=4, depth=1), "baselines.total_variation": TotalVariation()}, data)
    with pytest.raises(Refused, match=r"^generator: Same made 16x16 pixels of 16x16, and the truth has 32x32"):
        check_degradation({"generator": Same()}, data)
    with pytest.raises(Refused, match=r"^checkpoint.mine: SRVGG makes no 32x32 pixels of 16x16"):
        check_degradation({"checkpoint.mine": SRVGG(4, width=4, depth=1)}, data)
    with pytest.raises(Refused, match=r"^generator: Telea makes no 32x32 pixels of 16x16"):
        check_degradation({"generator": Telea()}, data)


@pytest.mark.parametrize("network", [SRVGG, SRResNet, EDSR, RRDB, BasicVSR])
def test_a_network_that_enlarges_is_refused_where_nothing_is_smaller(network):
    data = PhotosData(Boxes(), **SETTINGS)
    for pictures in (data, None):  # None: files, which are as large as their holes
        check_degradation({"generator": network(scale=1, width=4)}, pictures)
        with pytest.raises(Refused, match=rf"^checkpoint.mine: {network.__name__} makes .* degradation.scale=2"):
            check_degradation({"checkpoint.mine": network(scale=2, width=4)}, pictures)


def test_the_model_in_the_box_that_enlarges_is_refused_as_well():
    with pytest.raises(Refused, match=r"^baselines.builtin_x2: Builtin makes pictures 2 times as large"):
        check_degradation({"generator": Builtin(), "baselines.builtin_x2": Builtin("builtin_x2")}, None)


class Own(Degradation):
    """Noise of one's own, without the base class's constructor; `wrong` breaks a promise."""

    def __init__(self, wrong=None):
        self.wrong, self.scale = wrong, {"scale": 0, "size": 2}.get(wrong, 1)

    def apply(self, image, keys):
        noise = torch.randn_like(image) if self.wrong == "random" else normal(keys, image[0].numel()).view_as(image)
        if self.wrong == "batch":
            noise = noise.roll(1, dims=0)
        made = image + 0.1 * noise
        return {"half": made.half(), "bytes": 255 * made}.get(self.wrong, made)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("scale", "a whole number from 1 up as scale; it gave 0"),
        (
            "size",
            r"float32 \(3, 3, 16, 24\) for .* \(3, 3, 32, 48\) and scale 2; it gave float32 \(3, 3, 32, 48\)",
        ),
        ("half", r"it gave float16 \(3, 3, 16, 24\)"),
        ("bytes", r"pictures about \[-1, 1\]; it gave values from"),
        ("random", "the same picture for the same key, alone and in a batch"),
        ("batch", "the same picture for the same key, alone and in a batch"),
    ],
)
def test_a_degradation_of_ones_own_is_tried(wrong, message):
    check_degraded("degradation", Own())
    with pytest.raises(Refused, match=rf"^degradation.kinds.x: .*Own should give .*{message}"):
        check_degraded("degradation.kinds.x", Own(wrong))


def test_every_degradation_keeps_the_promise_of_ones_own():
    for kind in (GaussianNoise(), Resize(3), Sequence({"blur": Resize(2), "jpeg": Jpeg(30.0)})):
        check_degraded("degradation", kind)


def test_a_generator_of_ones_own_leaves_known_pixels_as_they_are_given():
    batch = Batch(image=torch.rand(2, 3, 8, 8), mask=torch.zeros(2, 1, 8, 8), index=torch.arange(2))
    batch["mask"][..., :4] = 1
    noisy = batch | {"given": (batch["image"] + 0.5) * (1 - batch["mask"])}
    assert torch.equal(check_generator(Mean(), noisy).composite[..., 4:], noisy["given"][..., 4:])

    class Truthful(Mean):
        def forward(self, image, mask):
            return Outputs(batch["image"], batch["image"])

    check_generator(Truthful(), batch)
    with pytest.raises(Refused, match="a composite with the known pixels as they are given"):
        check_generator(Truthful(), noisy)


def test_what_is_restored_as_a_whole_follows_the_holes_and_not_their_class(caplog):
    union, mixture = Union({"boxes": Boxes(), "all": Full()}), Mixture({"boxes": Boxes(), "all": Full()})
    assert Full().whole and union.whole and Mixture({"all": Full(), "union": union}).whole
    assert Mixture({"boxes": Boxes(), "all": Full()}, {"boxes": 0, "all": 1}).whole
    assert not (mixture.whole or Inverted(Full()).whole or Boxes().whole or Union({"boxes": Boxes()}).whole)
    data = PhotosData(union, degradation=Resize(2), **SETTINGS)
    batch = data.validation_batch(2, torch.device("cpu"))
    assert data.restores_whole and (batch["given"] != 0).float().mean() > 0.9
    cfg = OmegaConf.create({"baselines": ["mean", "telea"]})
    assert list(baselines(cfg, data)) == ["bicubic"] and list(baselines(cfg, None)) == ["mean", "telea"]

    class Everywhere(Boxes):
        def make(self, keys, size):
            return torch.ones(len(keys), 1, *size)

    caplog.set_level("INFO")
    check_degradation({}, PhotosData(Boxes(), degradation=GaussianNoise(), **SETTINGS))
    assert "masks=full" not in caplog.text
    check_degradation({}, PhotosData(Everywhere(), degradation=GaussianNoise(), **SETTINGS))
    assert "masks: a hole covers all of a degraded picture" in caplog.text


def test_validation_stands_beside_what_is_given():
    data = PhotosData(Full(), degradation=Resize(2), **SETTINGS)
    batch = data.validation_batch(4, torch.device("cpu"))
    validation = Validation(whole=True)
    validation.start()
    validation.update(paint(ResidualUNet(width=4, start="given"), batch), batch)
    figures = validation.compute()
    assert figures["bicubic_hole_psnr"] == figures["hole_psnr"] and validation.gain("hole_psnr") == 0
    assert "(given picture " in validation.line()


def test_a_run_trains_beside_the_given_picture_and_is_evaluated_on_the_same_degradation(command):
    tiny = ["+debug=tiny", "trainer.max_steps=2", "generator.width=4", "generator.start=given", "data.crop=32"]
    printed = command(
        train, "degradation=noise", "adversarial=none", "hydra.run.dir=run", "baselines=[harmonic]", *tiny
    )
    assert "baselines: bicubic; harmonic fill holes, of which there are none" in printed
    with open("run/results.csv", newline="") as file:  # noqa: PTH123
        rows = {row["method"]: row for row in csv.DictReader(file) if row["area"] == "all"}
    assert set(rows) == {"residual_unet", "bicubic"}
    from inpaint import evaluate

    command(evaluate, "checkpoint=run", "baselines=[]", "hydra.run.dir=again")
    with open("again/results.csv", newline="") as file:  # noqa: PTH123
        (again,) = [row for row in csv.DictReader(file) if row["area"] == "all"]
    assert float(again["hole_psnr"]) == float(rows["residual_unet"]["hole_psnr"])
    command(evaluate, "checkpoint=run", "baselines=[]", "++degradation.sigma=50", "hydra.run.dir=noisier")
    with open("noisier/results.csv", newline="") as file:  # noqa: PTH123
        (noisier,) = [row for row in csv.DictReader(file) if row["area"] == "all"]
    assert float(noisier["hole_psnr"]) < float(again["hole_psnr"]) - 3
    printed = command(evaluate, "generator=telea", "degradation=noise", "data.crop=32", "hydra.run.dir=fill", code=2)
    assert "generator: Telea does not look at what it is given" in printed


@pytest.mark.parametrize("option", ["noise", "resize"])
def test_a_preview_shows_truth_and_given_and_freezes_what_is_given_exactly(command, option):
    settings = ["data.crop=32", "data.validation_crops=1", "split=validation", f"degradation={option}"]
    command(preview, *settings, "output=sheet.png", "freeze=FROZEN", "images=true", "samples=2", "measured=2")
    expected = PhotosData(
        Full(), degradation=GaussianNoise() if option == "noise" else Resize(), crop=32, validation_crops=1
    ).validation_batch(2, torch.device("cpu"))
    sheet = from_uint8(torch.from_numpy(np.array(Image.open("sheet.png"))).permute(2, 0, 1))
    shown = sheet[:, 36 : 36 + 128 : 4, 128 : 128 + 128 : 4]
    seen = expected["given"][0].repeat_interleave(32 // expected["given"].shape[-1], 1)
    seen = seen.repeat_interleave(32 // expected["given"].shape[-1], 2).clamp(-1, 1)
    assert (shown - seen).abs().max() < 0.01
    with open("FROZEN/manifest.csv", newline="") as file:  # noqa: PTH123
        line = next(csv.DictReader(file))
    path = f"FROZEN/{line['given']}"
    stored = (
        torch.from_numpy(np.load(path))
        if path.endswith("npy")
        else from_uint8(torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1))
    )
    assert path.endswith("npy" if option == "noise" else "png") and torch.equal(stored, expected["given"][0])
