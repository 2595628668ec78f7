from itertools import pairwise

import pytest
import torch

from inpaint.networks.generators.context_encoder import ContextEncoder, FeatureContextEncoder, widths_of


def count(network):
    return sum(p.numel() for p in network.parameters())


def published(paints, noise=0):
    with torch.device("meta"):
        return ContextEncoder(width=64, levels=5, bottleneck=4000, paints=paints, noise=noise)


def by_hand(down, up, bottleneck):
    """Parameters of encoder and decoder, with biases and two a channel for each batch norm."""
    encoder = 3 * down[0] * 16 + down[0] + sum(a * b * 16 + b + 2 * b for a, b in pairwise(down))
    encoder += down[-1] * bottleneck * 16 + bottleneck + 2 * bottleneck
    decoder = bottleneck * up[0] * 16 + up[0] + 2 * up[0] + sum(a * b * 16 + b + 2 * b for a, b in pairwise(up))
    return encoder, decoder + up[-1] * 3 * 16 + 3


def test_the_centre_network_has_the_published_size():
    network = published("centre")
    encoder, decoder = by_hand([64, 64, 128, 256, 512], [512, 256, 128, 64], 4000)
    assert (round(encoder / 1e6, 1), round(decoder / 1e6, 1)) == (35.6, 35.5)
    assert count(network) == encoder + decoder == 71_130_531


def test_the_random_region_network_has_one_layer_more():
    assert count(published("picture")) == count(published("centre")) + 64 * 64 * 16 + 64 + 2 * 64


def test_the_small_network_is_as_it_was():
    with torch.device("meta"):
        encoder, decoder = by_hand([32, 64, 128, 256], [256, 128, 64, 32], 512)
        assert count(ContextEncoder(width=32)) == encoder + decoder


@pytest.mark.parametrize(
    "levels, widths", [(1, [8]), (3, [8, 16, 32]), (4, [8, 16, 32, 64]), (6, [8, 8, 8, 16, 32, 64])]
)
def test_widths(levels, widths):
    assert widths_of(8, levels) == widths


def test_weights_start_as_published():
    torch.manual_seed(0)
    network = ContextEncoder(width=32)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            assert abs(layer.weight.std() - 0.02) < 2e-3 and not layer.bias.any()


def test_layers_are_the_published_ones():
    """4 x 4 everywhere, batch norm on all layers but the first and the last, leaky ReLU 0.2 down and ReLU up, tanh."""
    network = published("centre")
    kinds = [type(layer).__name__ for layer in [*network.encoder, *network.decoder]]
    norm = "BatchNorm2d"
    down = ["Conv2d", "LeakyReLU", *["Conv2d", norm, "LeakyReLU"] * 4, "Conv2d", norm, "LeakyReLU"]
    assert kinds == [*down, *["ConvTranspose2d", norm, "ReLU"] * 4, "ConvTranspose2d", "Tanh"]
    layers = [*network.encoder, *network.decoder]
    assert {layer.negative_slope for layer in layers if isinstance(layer, torch.nn.LeakyReLU)} == {0.2}
    geometry = [(c.kernel_size[0], c.stride[0], c.padding[0]) for c in layers if hasattr(c, "kernel_size")]
    assert geometry == [*[(4, 2, 1)] * 5, (4, 1, 0), (4, 1, 0), *[(4, 2, 1)] * 4]


def test_the_hole_is_seen_in_the_mean_colour():
    image, mask = torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:16, 10:20] = 1
    networks = ContextEncoder(8, 3, 16), ContextEncoder(8, 2, 16), FeatureContextEncoder(2, 99)
    for network in networks:
        seen = []
        network.encoder[0].register_forward_hook(lambda layer, inputs, output, seen=seen: seen.append(inputs[0]))
        network.eval()(image, torch.ones_like(mask) if isinstance(network, FeatureContextEncoder) else mask)
        hole = seen[0] if isinstance(network, FeatureContextEncoder) else seen[0][:, :, 8:16, 10:20]
        for channel, level in enumerate((123, 117, 104)):
            assert torch.allclose(hole[:, channel], torch.tensor(level / 127.5 - 1), atol=1e-6)


# ---- the centre -----------------------------------------------------------------------------------------------------


def centre_mask(height, width, side):
    mask = torch.zeros(1, 1, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    mask[..., top : top + side, left : left + side] = 1
    return mask


@pytest.mark.parametrize("size", [(16, 16), (24, 41), (13, 30)])
def test_the_centre_is_the_decoders_patch_and_the_rest_the_picture(size):
    """Levels 2: looks at 16 x 16, paints 8 x 8."""
    network = ContextEncoder(8, 2, 16, "centre").eval()
    patches = []
    network.decoder.register_forward_hook(lambda layer, inputs, output: patches.append(output))
    image, mask = torch.rand(1, 3, *size), centre_mask(*size, 6)
    outputs = network(image, mask)
    top, left = (size[0] - 8) // 2, (size[1] - 8) // 2
    expected = image.clone()
    expected[..., top : top + 8, left : left + 8] = patches[0]
    assert patches[0].shape == (1, 3, 8, 8)
    assert torch.equal(outputs.output, expected)  # a band of 1 px around the hole is painted as well
    assert torch.equal(outputs.composite, torch.where(mask > 0, expected, image))


def test_the_centre_network_looks_at_the_window_around_the_centre():
    network = ContextEncoder(8, 2, 16, "centre").eval()
    seen = []
    network.encoder.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    image = torch.arange(3 * 20 * 24.0).view(1, 3, 20, 24)
    network(image, torch.zeros(1, 1, 20, 24))
    assert torch.equal(seen[0], image[..., 2:18, 4:20])
    network(image[..., :10, :], torch.zeros(1, 1, 10, 24))  # 3 px short above and below: the border repeats
    rows = [0, 0, 0, *range(10), 9, 9, 9]
    assert torch.equal(seen[1], image[..., :10, :][..., rows, 4:20])


def test_the_centre_network_refuses_holes_elsewhere():
    network = ContextEncoder(8, 2, 16, "centre").eval()
    mask = centre_mask(16, 16, 8)
    network(torch.rand(1, 3, 16, 16), mask)
    mask[..., 3, 8] = 1
    with pytest.raises(ValueError, match=r"generator\.paints: .* 8 x 8 .* masks=centre data\.crop=16"):
        network(torch.rand(1, 3, 16, 16), mask)


# ---- noise ----------------------------------------------------------------------------------------------------------


def test_noise_has_its_own_mixer_and_channels_in_the_decoder():
    extra = count(published("centre", noise=100)) - count(published("centre"))
    assert extra == 100 * 100 + 100 + 2 * 100 + 100 * 512 * 16


def test_noise_is_drawn_anew_in_training_and_stands_in_evaluation():
    network = ContextEncoder(8, 3, 16, noise=6)
    x = torch.zeros(3, 16, 4, 5)
    first, second = network._noise(x), network._noise(x)
    assert first.shape == (3, 6, 4, 5) and not torch.equal(first, second) and not torch.equal(first[0], first[1])
    torch.manual_seed(4)
    third = network._noise(x)
    torch.manual_seed(4)
    assert torch.equal(network._noise(x), third)

    network.eval()
    fixed = network._noise(x)
    assert torch.equal(fixed[0], fixed[2]) and torch.equal(network._noise(x[:1, :, :2, :3]), fixed[:1, :, :2, :3])
    many = network._noise(torch.zeros(1, 16, 64, 64))
    assert abs(many.mean()) < 0.03 and abs(many.std() - 1) < 0.03
    assert torch.corrcoef(many[0].flatten(1)).sub(torch.eye(6)).abs().max() < 0.06


def test_noise_reaches_the_picture():
    network = ContextEncoder(8, 3, 16, noise=6).train()
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.eval()
    image, mask = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    assert not torch.equal(network(image, mask).output, network(image, mask).output)


# ---- the channel-wise form ------------------------------------------------------------------------------------------


def test_the_feature_encoder_is_alexnets():
    with torch.device("meta"):
        network = FeatureContextEncoder()
        features = network.encoder(torch.empty(1, 3, 227, 227))
        assert features.shape == (1, 256, 6, 6) and network.bottleneck(features).shape == features.shape
        assert network.decoder(features).shape == (1, 3, 161, 161)
    convolutions = [  # from, to, kernel, groups
        *((3, 96, 11, 1), (96, 256, 5, 2), (256, 384, 3, 1), (384, 384, 3, 2), (384, 256, 3, 2))
    ]
    assert count(network.encoder) == sum(a // g * b * k * k + b for a, b, k, g in convolutions) == 2_334_080
    assert network.bottleneck[0].weight.numel() == 256 * 6**4


def test_response_normalisation_is_krizhevskys():
    """b = a / (2 + 1e-4 * sum over 5 channels of a^2) ^ 0.75."""
    network = FeatureContextEncoder(2, 99)
    norm = next(layer for layer in network.encoder if isinstance(layer, torch.nn.LocalResponseNorm))
    a = 50 * torch.rand(1, 9, 3, 3)
    for channel in range(9):
        near = a[:, max(channel - 2, 0) : channel + 3].square().sum(1)
        assert torch.allclose(norm(a)[:, channel], a[:, channel] / (2 + 1e-4 * near) ** 0.75, rtol=1e-5)


def test_impossible_numbers_and_words():
    for settings, key in (
        ({"levels": 0}, "levels"),
        ({"levels": 1, "paints": "centre"}, "levels"),
        ({"paints": "corner"}, "paints"),
        ({"noise": -1}, "noise"),
    ):
        with pytest.raises(ValueError, match=rf"^generator\.{key}: "):
            ContextEncoder(**settings)
    with pytest.raises(ValueError, match=r"^generator\.width: "):
        FeatureContextEncoder(width=3)
    with pytest.raises(ValueError, match=r"^generator\.side: "):
        FeatureContextEncoder(side=98)
