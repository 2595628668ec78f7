import copy

import numpy as np
import pytest
import torch
from torch import nn

from inpaint import rng
from inpaint.networks.layers import (
    ACTIVATIONS,
    NORMS,
    PRELU,
    ChannelwiseLinear,
    SelfAttention,
    around_hole,
    checkpointed,
    directly,
    he_init,
    normal_init,
    pad_to_multiple,
    picture_decoder,
    white_noise,
)


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


def test_he_init_takes_leaking_rectifiers_into_account():
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 64, 3)
    he_init(layer, PRELU)
    assert layer.weight.std().item() == pytest.approx(nn.init.calculate_gain("leaky_relu", 0.25) / 288**0.5, rel=0.03)
    assert nn.PReLU().weight.item() == PRELU and not layer.bias.any()


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


# ---- words for layers -----------------------------------------------------------------------------------------------


def test_names_of_layers():
    assert all(isinstance(make(), nn.Module) for make in ACTIVATIONS.values())
    x = torch.randn(2, 24, 5, 5)
    assert all(make(24)(x).shape == x.shape for make in NORMS.values())


# ---- what generators share ------------------------------------------------------------------------------------------


def attention_by_hand(layer, x):
    """One sample ``(C, H, W)``, in float64."""
    weights = [part.weight.detach().double().numpy()[:, :, 0, 0] for part in (layer.query, layer.key, layer.value)]
    query, key, value = (weight @ x.reshape(len(x), -1) for weight in weights)
    scores = np.exp(query.T @ key)
    attended = value @ (scores / scores.sum(axis=1, keepdims=True)).T
    out = layer.out.weight.detach().double().numpy()[:, :, 0, 0] @ attended
    return x + layer.gamma.item() * out.reshape(x.shape)


@pytest.mark.parametrize("spectral", [False, True])
def test_self_attention_against_numpy(spectral):
    torch.manual_seed(0)
    layer = SelfAttention(16, spectral).eval()
    x = torch.randn(2, 16, 5, 7)
    assert torch.equal(layer(x), x)
    layer.gamma.data.fill_(0.7)
    assert layer.query.weight.shape[0] == 2 and layer.value.weight.shape[0] == 8
    with torch.no_grad():
        for result, sample in zip(layer(x), x, strict=True):
            assert np.allclose(result.numpy(), attention_by_hand(layer, sample.double().numpy()), atol=1e-5)


def test_self_attention_has_a_float32_softmax_under_autocast():
    torch.manual_seed(0)
    layer = SelfAttention(16, spectral=False)
    layer.gamma.data.fill_(1.0)
    kinds = []
    original = torch.nn.functional.scaled_dot_product_attention

    def spy(query, key, value, **settings):
        kinds.extend(part.dtype for part in (query, key, value))
        return original(query, key, value, **settings)

    with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16):
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
        layer(torch.randn(1, 16, 4, 4)).sum().backward()
    assert kinds == [torch.float32] * 3
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_white_noise_is_a_function_of_the_place():
    noise = white_noise(torch.zeros(2, 5, 64, 48))
    assert noise.shape == (2, 1, 64, 48) and torch.equal(noise[0], noise[1])
    assert torch.equal(noise[..., :9, :7], white_noise(torch.zeros(2, 1, 9, 7)))
    assert abs(noise.mean()) < 0.05 and abs(noise.std() - 1) < 0.05


def test_picture_decoder():
    network = picture_decoder([8, 4, 2])
    picture = network(torch.randn(2, 8, 4, 5))
    assert picture.shape == (2, 3, 16, 20) and picture.min() >= 0 and picture.max() <= 1


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


def test_what_is_computed_twice_is_the_same_to_the_bit_and_counted_once():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), _Noise())
    calls = []
    layer.register_forward_pre_hook(lambda *_: calls.append(1))
    image, results = torch.randn(2, 3, 6, 6), []
    for run in (directly, checkpointed):
        torch.manual_seed(1)
        twin = copy.deepcopy(layer)
        with rng.of_samples(torch.tensor([5, 6])):
            rng.uniform_for(image)  # so that the layer's draws are not the first
            output = run(twin, image)
        output.square().sum().backward()
        results.append([output, *(p.grad for p in twin.parameters()), *twin.buffers()])
    assert len(calls) == 3
    assert len(results[0]) == 8 and all(map(torch.equal, *results))


def test_nothing_is_computed_twice_without_gradients():
    with torch.no_grad():
        assert checkpointed(nn.Identity(), torch.ones(1)).grad_fn is None


class _Noise(nn.Module):
    def forward(self, x):
        return x * rng.normal_for(x, *x.shape[1:]) + torch.rand_like(x)
