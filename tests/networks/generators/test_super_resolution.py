"""Networks that make pictures of more pixels: sizes as published, what a fresh one paints, and that they learn."""

import pytest
import torch

from inpaint import rng
from inpaint.batch import given, paint
from inpaint.data.datamodule import PhotosData
from inpaint.degradations import Resize
from inpaint.masks import Full
from inpaint.networks.generators.super_resolution import EDSR, RRDB, SRVGG, VDSR, SRResNet
from inpaint.restoration import Bicubic
from inpaint.settings import Refused
from tests.networks.learning import gain


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def batch(scale, samples=4):
    data = PhotosData(Full(), degradation=Resize(scale), crop=48, validation_crops=4)
    return data.validation_batch(samples, torch.device("cpu"))


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (VDSR, 665_921),
        (SRResNet, 1_549_462),
        (EDSR, 1_517_571),
        (lambda: EDSR(width=256, blocks=32, residual=0.1), 43_089_923),
        (RRDB, 16_697_987),
        (lambda: SRVGG(4), 621_424),
        (lambda: SRVGG(4, depth=32), 1_213_296),
    ],
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


@pytest.mark.parametrize(
    ("build", "scales"),
    [
        (lambda scale: SRResNet(scale, width=4, blocks=1), (1, 2, 3, 4, 8)),
        (lambda scale: EDSR(scale, width=4, blocks=1), (1, 2, 3, 4, 8)),
        (lambda scale: RRDB(scale, width=4, blocks=1, growth=2), (1, 2, 4)),
    ],
)
def test_networks_make_scale_times_the_pixels_and_look_at_all_that_is_given(build, scales):
    for scale in scales:
        torch.manual_seed(0)
        network = build(scale).eval()
        image = torch.rand(1, 3, 5, 7).requires_grad_()
        output = network(image, torch.ones(1, 1, 5 * scale, 7 * scale)).output
        assert output.shape == (1, 3, 5 * scale, 7 * scale)
        output.sum().backward()
        assert (image.grad.abs().sum(dim=1) > 0).all()
    with pytest.raises(Refused, match=r"^generator\.scale: .* got 5"):
        build(5)


def test_edsr_is_the_mean_colour_of_its_photographs_where_it_has_nothing_to_say():
    network = EDSR(2, width=4, blocks=1)
    for parameter in network.last.parameters():
        torch.nn.init.zeros_(parameter)
    output = network(torch.rand(1, 3, 2, 2), torch.ones(1, 1, 4, 4)).output
    assert ((output[0, :, 0, 0] + 1) / 2).tolist() == pytest.approx([0.4488, 0.4371, 0.4040], abs=1e-6)


def test_blocks_of_esrgan_add_a_fifth_of_what_they_make():
    """Inner blocks that make nothing leave the sum of three inputs: x + 0.2 x, as each dense block passes x on."""
    network = RRDB(4, width=4, blocks=1, growth=2)
    for parameter in network.body[0].parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(1, 4, 3, 3)
    assert torch.allclose(network.body[0](x), 1.2 * x)


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
