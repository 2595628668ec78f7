import pytest
import torch
from torch import nn

from inpaint.networks.layers import ChannelwiseLinear, he_init, normal_init, pad_to_multiple


def test_padding_repeats_the_border_of_image_and_mask():
    image = torch.arange(15.0).view(1, 1, 3, 5)
    mask = (image > 12).float()
    padded, hole = pad_to_multiple(image, mask, 4)
    assert padded.shape == hole.shape == (1, 1, 4, 8)
    assert torch.equal(padded[..., :3, :5], image) and torch.equal(hole[..., :3, :5], mask)
    assert torch.equal(padded[..., 3, :5], image[..., 2, :]) and (hole[..., 3, 5:] == 1).all()


def test_padding_reaches_the_minimum_and_leaves_fitting_sizes_alone():
    image, mask = torch.rand(1, 3, 8, 16), torch.zeros(1, 1, 8, 16)
    assert pad_to_multiple(image, mask, 8)[0] is image
    assert pad_to_multiple(image, mask, 8, minimum=32)[0].shape == (1, 3, 32, 32)


def test_normal_init():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(64, 64, 4), nn.BatchNorm2d(2000), nn.ConvTranspose2d(64, 64, 4))
    normal_init(network)
    for layer in (network[0], network[2]):
        assert abs(layer.weight.std() - 0.02) < 1e-3 and layer.bias.abs().sum() == 0
    assert abs(network[1].weight.mean() - 1) < 2e-3 and abs(network[1].weight.std() - 0.02) < 2e-3


def test_he_init_keeps_the_power_of_a_signal_through_relus():
    torch.manual_seed(0)
    layers = [nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3, groups=2), nn.ConvTranspose2d(64, 64, 4, 2, 1)]
    network = nn.Sequential(*layers)
    he_init(network)
    x = torch.randn(4, 32, 24, 24)
    for layer in layers:
        assert not layer.bias.any()
        after = layer(x)[..., 2:-2, 2:-2]
        assert after.square().mean().item() == pytest.approx(2 * x.square().mean().item(), rel=0.15)
        x = after.relu()


def test_channelwise_layer_has_m_n4_weights_and_none_between_channels():
    torch.manual_seed(0)
    layer = ChannelwiseLinear(256, 6)
    assert layer.weight.numel() == 256 * 6**4
    assert layer.weight.std().item() == pytest.approx((2 / 36) ** 0.5, rel=0.02)

    layer = ChannelwiseLinear(3, 4)
    jacobian = torch.autograd.functional.jacobian(layer, torch.rand(1, 3, 4, 4))[0, :, :, :, 0]
    for to in range(3):
        for source in range(3):
            between = jacobian[to, :, :, source]
            assert (between != 0).all() if to == source else (between == 0).all()


def test_channelwise_layer_is_a_linear_layer_a_channel():
    layer, x = ChannelwiseLinear(5, 3), torch.rand(2, 5, 3, 3)
    layer.bias.data.normal_()
    for channel in range(5):
        alone = torch.nn.functional.linear(x[:, channel].flatten(1), layer.weight[channel].T, layer.bias[channel])
        assert torch.allclose(layer(x)[:, channel].flatten(1), alone, atol=1e-6)
