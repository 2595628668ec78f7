import torch
from torch import nn

from inpaint.networks.layers import around_hole, normal_init, pad_to_multiple


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


# ---- pieces of discriminators -----------------------------------------------------------------------------------


def test_a_square_around_each_hole():
    picture = torch.arange(2 * 5 * 20 * 30.0).view(2, 5, 20, 30).repeat(2, 1, 1, 1)
    mask = torch.zeros(4, 1, 20, 30)
    mask[0, :, 4:10, 11:17] = 1  # centre of mass (6.5, 13.5): rows 3..11, columns 10..18
    mask[1, :, :3, 25:] = 1  # at a corner
    mask[2, :, 19, 0] = 1
    square = around_hole(picture, mask, 8)  # the last one has no hole: the middle of the picture
    for sample, (top, left) in enumerate([(3, 10), (0, 22), (12, 0), (6, 11)]):
        assert torch.equal(square[sample], picture[sample, :, top : top + 8, left : left + 8])
    assert torch.equal(around_hole(picture, mask, 7)[0], picture[0, :, 4:11, 11:18]), "rounded, halves up"
    assert torch.equal(around_hole(picture, mask, 20)[:, :, :, 0], picture[torch.arange(4), :, :, [4, 10, 0, 5]])
