"""Networks that make pictures of more pixels: sizes as published, what a fresh one paints, and that they learn."""

import pytest
import torch

from inpaint import rng
from inpaint.batch import given, paint
from inpaint.data.datamodule import PhotosData
from inpaint.degradations import Resize
from inpaint.masks import Full
from inpaint.networks.generators.super_resolution import SRVGG, VDSR
from inpaint.restoration import Bicubic
from tests.networks.learning import gain


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def batch(scale, samples=4):
    data = PhotosData(Full(), degradation=Resize(scale), crop=48, validation_crops=4)
    return data.validation_batch(samples, torch.device("cpu"))


@pytest.mark.parametrize(
    ("build", "count"), [(VDSR, 665_921), (lambda: SRVGG(4), 621_424), (lambda: SRVGG(4, depth=32), 1_213_296)]
)
def test_parameters_are_those_published(build, count):
    with torch.device("meta"):
        assert parameters(build()) == count


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_fresh_compact_network_is_bicubic_and_makes_scale_times_the_pixels(scale):
    made = batch(scale)
    torch.manual_seed(0)
    outputs = paint(SRVGG(scale, width=8, depth=2), made)
    assert torch.equal(outputs.output, paint(Bicubic(), made).output)
    nearest = paint(SRVGG(scale, width=8, depth=2, start="nearest"), made).output
    assert torch.equal(nearest, given(made).repeat_interleave(scale, 2).repeat_interleave(scale, 3))


def test_blocks_of_the_large_picture_come_from_one_pixel_of_the_small_one():
    """So no block is mirrored or shuffled: one bright channel of the last layer is one bright pixel in each block."""
    network = SRVGG(3, width=4, depth=0)
    torch.nn.init.zeros_(network.layers[-1].weight)
    network.layers[-1].bias.data[1 * 9 + 5] = 1  # green, second row, third column
    outputs = network(torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 6, 6)).output
    expected = torch.zeros(1, 3, 6, 6)
    expected[:, 1, 1::3, 2::3] = 1
    assert torch.equal(outputs, expected)


def test_vdsr_changes_luma_alone():
    made = batch(2)
    network = VDSR(width=8, depth=3)
    with torch.no_grad():
        change = paint(network, made).output - paint(Bicubic(), made).output
    assert change.abs().max() > 1e-3 and (change - change[:, :1]).abs().max() < 1e-6
    colours = made | {"given": given(made) + torch.tensor([0.1, 0.0, -0.1 * 0.299 / 0.114]).view(1, 3, 1, 1)}
    with torch.no_grad():
        again = paint(network, colours).output - paint(Bicubic(), colours).output
    assert again.numpy() == pytest.approx(change.numpy(), abs=1e-4)  # that keeps luma


@pytest.mark.parametrize(("updates", "least"), [
    pytest.param(120, 0.5, id="in-seconds"),
    pytest.param(300, 1.0, id="in-a-minute", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_small_network_soon_beats_bicubic(updates, least):
    data = PhotosData(Full(), degradation=Resize(2), crop=48, batch_size=8, crops_per_image=64)
    torch.manual_seed(0)
    assert gain(SRVGG(2, width=24, depth=4), data, updates, "psnr_y") > least


def test_a_network_draws_nothing_and_rounds_alike():
    made = batch(2)
    network = SRVGG(2, width=8, depth=2)
    with rng.untouched():
        assert torch.equal(paint(network, made).output, paint(network, made).output)
