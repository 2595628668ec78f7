"""Networks that take noise off: sizes as published, what a fresh one paints, that they learn, and the noise's level."""

import pytest
import torch

from inpaint.batch import given
from inpaint.data.datamodule import PhotosData
from inpaint.degradations import GaussianNoise
from inpaint.masks import Full
from inpaint.networks.generators.denoising import DnCNN, FFDNet
from inpaint.restoration import noise_level
from inpaint.settings import Refused
from tests.networks.learning import gain


def batch(sigma, samples=4, crop=48):
    data = PhotosData(Full(), degradation=GaussianNoise(sigma), crop=crop, validation_crops=4)
    return data.validation_batch(samples, torch.device("cpu"))


@pytest.mark.parametrize(("build", "count"), [(DnCNN, 670_531), (FFDNet, 852_108)])
def test_parameters_are_those_published(build, count):
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build().parameters()) == count


@pytest.mark.parametrize("build", [lambda: DnCNN(width=8, depth=3), lambda: FFDNet(width=8, depth=3)])
@pytest.mark.parametrize("size", [(16, 16), (17, 24), (5, 7), (2, 2)])
def test_a_fresh_network_takes_nothing_off_at_any_size(build, size):
    image, mask = torch.randn(2, 3, *size), torch.ones(2, 1, *size)
    outputs = build().eval()(image, mask)
    assert torch.equal(outputs.output, image) and torch.equal(outputs.composite, image)


@pytest.mark.parametrize("sigma", [5.0, 15.0, 25.0, 50.0])
def test_the_level_of_noise_is_measured(sigma):
    made = batch(sigma, 16, crop=64)
    assert noise_level(given(made)).median().item() == pytest.approx(sigma, rel=0.1, abs=1)
    flat = GaussianNoise(sigma)(torch.zeros(1, 3, 128, 128), torch.zeros(1, dtype=torch.int64))
    assert noise_level(flat).item() == pytest.approx(sigma, rel=0.03)


def test_ffdnet_is_told_the_strength_of_each_picture_or_one_for_all():
    network = FFDNet(width=8, depth=2, sigma=25)
    torch.nn.init.normal_(network.layers[-1].weight, generator=torch.Generator().manual_seed(0))
    image = torch.zeros(2, 3, 16, 16)
    image[1] = GaussianNoise(50.0)(image[:1], torch.zeros(1, dtype=torch.int64))[0]
    mask = torch.ones(2, 1, 16, 16)
    told = network(image, mask).output
    network.sigma = 30
    assert not torch.equal(network(image, mask).output, told)
    network.sigma = None
    measured = network(image, mask).output
    network.sigma = noise_level(image)[1].item()
    assert measured[1].detach().numpy() == pytest.approx(network(image, mask).output[1].detach().numpy(), abs=1e-6)
    network.sigma = 0
    assert torch.equal(measured[:1], network(image[:1], mask[:1]).output)
    with pytest.raises(Refused, match=r"^generator\.sigma: "):
        FFDNet(sigma=-1)


@pytest.mark.parametrize(("updates", "least"), [
    pytest.param(120, 1.0, id="in-seconds"),
    pytest.param(1000, 5.5, id="in-a-minute", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_small_network_soon_takes_noise_off(updates, least):
    data = PhotosData(Full(), degradation=GaussianNoise(25.0), crop=48, batch_size=8, crops_per_image=64)
    torch.manual_seed(0)
    assert gain(FFDNet(width=48, depth=5), data, updates, "psnr") > least
