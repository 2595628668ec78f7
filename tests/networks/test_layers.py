import torch
from torch import nn

from inpaint.networks.layers import normal_init, pad_to_multiple


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
