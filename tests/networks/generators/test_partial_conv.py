import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaint.networks.generators.partial_conv import PartialConvUNet
from inpaint.networks.layers import PartialConv


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- the layer ------------------------------------------------------------------------------------------------------


def by_the_equations(layer, x, valid):
    """Equations 1 and 2 of the paper, window by window, in float64."""
    kernel, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
    weight, bias = layer.weight.double(), layer.bias.double()
    x, valid = (F.pad(t.double(), [padding] * 4) for t in (x, valid.expand_as(x)))
    height, width = ((side - kernel) // stride + 1 for side in x.shape[-2:])
    out, mask = torch.zeros(len(x), len(weight), height, width).double(), torch.zeros(len(x), 1, height, width)
    for sample in range(len(x)):
        for row in range(height):
            for column in range(width):
                window = (sample, slice(None), *(slice(stride * p, stride * p + kernel) for p in (row, column)))
                if (total := valid[window].sum()) > 0:
                    sums = (weight * (x[window] * valid[window])).sum((1, 2, 3))
                    out[sample, :, row, column] = sums * valid[window].numel() / total + bias
                    mask[sample, 0, row, column] = 1
    return out, mask


@pytest.mark.parametrize("kernel, stride, padding", [(3, 1, 1), (5, 2, 2), (7, 2, 3), (3, 1, 0)])
@pytest.mark.parametrize("channels", [1, 4], ids=["one mask", "a mask a channel"])
def test_layer_is_the_papers_equations(kernel, stride, padding, channels):
    torch.manual_seed(0)
    layer = PartialConv(4, 3, kernel, stride, padding)
    x, valid = drawn(2, 4, 12, 11), drawn(2, channels, 12, 11, seed=1) > 0.3
    valid[0, :, :9, :9] = False
    expected, mask = by_the_equations(layer, x, valid)
    features, reached = layer(x, valid)
    assert torch.equal(reached.float(), mask) and 0 < mask.mean() < 1
    assert torch.allclose(features.double(), expected, atol=1e-5)
    assert (features[(mask == 0).expand_as(features)] == 0).all()


def test_layer_is_an_ordinary_convolution_where_nothing_is_missing():
    torch.manual_seed(0)
    layer, x = PartialConv(6, 5, 3, padding=1), drawn(2, 6, 9, 8)
    features, reached = layer(x, torch.ones(2, 6, 9, 8) > 0)
    ordinary = F.conv2d(x, layer.weight, layer.bias, padding=1)
    assert reached.all()
    assert torch.allclose(features[..., 1:-1, 1:-1], ordinary[..., 1:-1, 1:-1], atol=1e-6)
    assert not torch.allclose(features, ordinary, atol=1e-3)  # padding counts as missing
    unpadded = PartialConv(6, 5, 3)
    unpadded.load_state_dict(layer.state_dict())
    assert torch.allclose(unpadded(x, torch.ones(2, 1, 9, 8) > 0)[0], ordinary[..., 1:-1, 1:-1], atol=1e-6)


def test_missing_values_leave_neither_value_nor_gradient():
    layer = PartialConv(2, 2, 3, padding=1)
    valid = torch.ones(1, 1, 6, 6) > 0
    valid[..., 2:4, 2:4] = False
    x = drawn(1, 2, 6, 6)
    poisoned = torch.where(valid, x, torch.nan).requires_grad_()
    features, _ = layer(poisoned, valid)
    assert torch.equal(features, layer(x, valid)[0])
    features.sum().backward()
    assert poisoned.grad.isfinite().all() and (poisoned.grad * ~valid == 0).all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_one_valid_entry_of_many_counts_under_mixed_precision():
    layer = PartialConv(512, 1, 7, padding=3)
    nn.init.ones_(layer.weight)
    nn.init.constant_(layer.bias, 1000.0)
    valid = torch.zeros(1, 512, 16, 16) > 0
    valid[0, 300, 8, 8] = True
    with torch.autocast("cpu", torch.bfloat16):
        features, reached = layer(torch.ones(1, 512, 16, 16), valid)
    assert features.dtype == torch.bfloat16 and reached.sum() == 7 * 7
    assert features[reached].float().mean().item() == pytest.approx(512 * 49 + 1000, rel=0.004)


# ---- the network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels, parameters", [(7, 25_784_276), (8, 32_865_236)])
def test_the_published_sizes(levels, parameters):
    widths = [3, 64, 128, 256, *[512] * (levels - 3)]
    kernels = [7, 5, 5, *[3] * (levels - 3)]
    down = list(zip(widths, widths[1:], kernels, strict=False))
    up = [(widths[n + 1] + widths[n], widths[n], 3) for n in range(levels)]
    convolutions = sum(before * after * kernel**2 + after for before, after, kernel in down + up)
    norms = 2 * (sum(widths[2:]) + sum(widths[1:-1]))
    with torch.device("meta"):
        network = PartialConvUNet(levels=levels)
    assert sum(p.numel() for p in network.parameters()) == convolutions + norms == parameters
    assert network.multiple == 2**levels
    found = [(b.conv.in_channels, b.conv.out_channels, b.conv.kernel_size[0]) for b in network.encoder]
    assert found == down and all(block.conv.stride == (2, 2) for block in network.encoder)
    assert [(b.conv.in_channels, b.conv.out_channels, b.conv.kernel_size[0]) for b in network.decoder] == up[::-1]


def test_the_mask_goes_through_every_layer_and_skip():
    """A hole of 28 x 28 closes from the border as far as the kernels reach; each skip brings the mask of its level."""
    network = PartialConvUNet(4, levels=3).eval()
    seen = []
    for block in [*network.encoder, *network.decoder]:
        block.register_forward_hook(lambda layer, inputs, output: seen.append((inputs[1], output[1])))
    mask = torch.zeros(1, 1, 48, 48)
    mask[..., 10:38, 8:36] = 1
    network(torch.rand(1, 3, 48, 48), mask)

    levels = [1 - mask]
    for kernel in (7, 5, 5):
        levels.append(F.max_pool2d(levels[-1], kernel, 2, kernel // 2))
    for (given, made), before, after in zip(seen[:3], levels, levels[1:], strict=False):
        assert torch.equal(given.float(), before) and torch.equal(made.float(), after)
    assert not levels[1].all() and levels[3].all()

    carried = levels[3]
    for (given, made), skip, channels in zip(seen[3:], levels[2::-1], (16, 8, 4), strict=True):
        carried = carried.repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert torch.equal(given[:, :channels].float(), carried.expand(-1, channels, -1, -1))
        assert torch.equal(given[:, channels:].float(), skip.expand(-1, given.shape[1] - channels, -1, -1))
        carried = F.max_pool2d(torch.maximum(carried, skip), 3, 1, 1)
        assert torch.equal(made.float(), carried)


def test_the_whole_network_against_the_equations():
    """In evaluation, with norms that do something: encoder ReLU, decoder leaky ReLU 0.2, the last layer bare."""
    torch.manual_seed(0)
    network = PartialConvUNet(2, levels=2).eval()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for seed, norm in enumerate(norms):
        norm.running_mean.copy_(drawn(norm.num_features, seed=seed))
        norm.bias.data.copy_(drawn(norm.num_features, seed=seed + 10))
    image, mask = drawn(1, 3, 12, 12), torch.zeros(1, 1, 12, 12)
    mask[..., 2:9, 3:11] = 1

    def normed(norm, x):
        return (x - norm.running_mean.view(1, -1, 1, 1)) / (1 + 1e-5) ** 0.5 + norm.bias.view(1, -1, 1, 1)

    def doubled(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    one, two = network.encoder
    three, four = network.decoder
    x1, m1 = by_the_equations(one.conv, image, mask == 0)
    x1 = x1.relu()
    x2, m2 = by_the_equations(two.conv, x1, m1)
    x2 = normed(norms[0], x2).relu()
    x3, m3 = by_the_equations(
        three.conv,
        torch.cat([doubled(x2), x1], 1),
        torch.cat([doubled(m2).expand(-1, 4, -1, -1), m1.expand(-1, 2, -1, -1)], 1),
    )
    x3 = normed(norms[1], x3)
    x3 = torch.where(x3 > 0, x3, 0.2 * x3)
    x4, _ = by_the_equations(
        four.conv,
        torch.cat([doubled(x3), image], 1),
        torch.cat([doubled(m3).expand(-1, 2, -1, -1), (1 - mask).expand(-1, 3, -1, -1)], 1),
    )
    assert torch.allclose(network(image, mask).output.double(), x4, atol=1e-4)


def test_what_no_layer_reaches_is_0():
    network = PartialConvUNet(4, levels=1)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 10:54, 10:54] = 1
    output = network(torch.rand(1, 3, 64, 64), mask).output
    assert (output[..., 24:40, 24:40] == 0).all() and (output[..., :10, :] != 0).any()


def test_encoder_norms_freeze_and_others_do_not():
    torch.manual_seed(0)
    network = PartialConvUNet(4, levels=3, freeze_encoder_norm=True)
    encoder = [layer for layer in network.encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    decoder = [layer for layer in network.decoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(encoder) == len(decoder) == 2
    for mode in (True, False, True):
        network.train(mode)
        assert not any(norm.training for norm in encoder) and all(norm.training == mode for norm in decoder)
        assert all(layer.training == mode for layer in network.modules() if not isinstance(layer, nn.BatchNorm2d))
    assert not any(norm.training for norm in PartialConvUNet(4, 3, True).encoder[1].rest[:1])  # from the start

    before = copy.deepcopy(network)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 0.01)
    image, mask = torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)
    mask[..., 4:9, 4:9] = 1
    network(image, mask).output.square().mean().backward()
    optimizer.step()
    old, new = before.state_dict(), network.state_dict()
    still = {name for name in old if torch.equal(old[name], new[name])}
    frozen = {f"encoder.{level}.rest.0.{part}" for level in (1, 2) for part in (
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked")}  # fmt: skip
    assert still == frozen


def test_a_second_stage_starts_from_the_weights_of_the_first():
    first, second = PartialConvUNet(4, 3), PartialConvUNet(4, 3, freeze_encoder_norm=True)
    second.load_state_dict(first.state_dict())


def test_weights_start_as_published():
    torch.manual_seed(0)
    for block in PartialConvUNet(16, 3).decoder:
        fan = block.conv.in_channels * 9
        assert block.conv.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.15)
        assert not block.conv.bias.any()


def test_impossible_levels():
    with pytest.raises(ValueError, match=r"^generator\.levels: "):
        PartialConvUNet(levels=0)
