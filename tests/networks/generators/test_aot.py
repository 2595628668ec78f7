import numpy as np
import pytest
import torch
from torch import nn

from inpaint.networks.generators.aot import AOT, _Block, open_gate


def convolve(x, layer):
    """3 x 3 convolution with reflect padding, position by position: (C, H, W) to (C', H, W)."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    rate = layer.dilation[0]
    padded = np.pad(x, ((0, 0), (rate, rate), (rate, rate)), mode="reflect")
    height, width = x.shape[1:]
    out = np.tile(bias[:, None, None].astype(float), (1, height, width))
    for row in range(3):
        for column in range(3):
            shifted = padded[:, row * rate : row * rate + height, column * rate : column * rate + width]
            out += np.einsum("oc,chw->ohw", weight[:, :, row, column], shifted)
    return out


def gate_by_hand(z):
    mean, std = z.mean((1, 2), keepdims=True), z.std((1, 2), keepdims=True, ddof=1)
    return 1 / (1 + np.exp(-5 * (2 * (z - mean) / std - 1)))


def test_the_published_size():
    with torch.device("meta"):
        assert sum(p.numel() for p in AOT().parameters()) == 15_200_835


def test_a_block_against_the_formula():
    torch.manual_seed(0)
    block = _Block(8, (1, 3))
    x = torch.randn(2, 8, 9, 7)
    with torch.no_grad():
        result = block(x).double().numpy()
    for sample in range(2):
        given = x[sample].double().numpy()
        branches = [np.maximum(convolve(given, branch[0]), 0) for branch in block.branches]
        merged = convolve(np.concatenate(branches), block.fuse)
        gate = gate_by_hand(convolve(given, block.gate))
        assert np.allclose(result[sample], given * (1 - gate) + merged * gate, atol=1e-4)
    assert [branch[0].dilation[0] for branch in block.branches] == [1, 3]


def test_the_gates_statistics_are_each_samples_own_and_float32_under_autocast():
    z = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    z[1] = 20 * z[1] + 7
    with torch.autocast("cpu", torch.bfloat16):
        gate = open_gate(z)
    assert gate.dtype == torch.float32
    for sample in range(3):
        assert np.allclose(gate[sample].numpy(), gate_by_hand(z[sample].double().numpy()), atol=1e-5)


def test_faint_maps_are_opened_as_published():
    """The least variance, which keeps the gradient of a flat map from being NaN, is far below any that a map has."""
    z = 1e-4 * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for sample in range(2):
        assert np.allclose(open_gate(z)[sample].numpy(), gate_by_hand(z[sample].double().numpy()), atol=1e-3)


def test_a_map_of_one_value_has_a_gradient():
    z = torch.full((1, 2, 9, 9), 3.0, requires_grad=True)
    open_gate(z).sum().backward()
    assert z.grad.isfinite().all()


def test_the_hole_is_white_and_the_mask_is_beside_it():
    network = AOT(width=4, blocks=1, rates=(1, 2))
    seen = []
    network.encoder[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    image, mask = torch.rand(1, 3, 16, 16) * 2 - 1, torch.zeros(1, 1, 16, 16)
    mask[:, :, 4:9, 5:] = 1
    network(image, mask)
    assert torch.equal(seen[0][:, :3], torch.where(mask == 1, torch.ones_like(image), image))
    assert torch.equal(seen[0][:, 3:], mask)


def test_initial_weights():
    torch.manual_seed(0)
    network = AOT(width=16, blocks=2)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    weights = torch.cat([layer.weight.flatten() for layer in convolutions])
    assert abs(weights.std() - 0.02) < 2e-4
    assert all((layer.bias == 0).all() for layer in convolutions)


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"width": 0}, "width"), ({"blocks": 0}, "blocks"), ({"rates": []}, "rates"), ({"rates": [1, 2, 4]}, "rates")],
)
def test_impossible_numbers(settings, key):
    with pytest.raises(ValueError, match=rf"^generator\.{key}: "):
        AOT(**settings)
