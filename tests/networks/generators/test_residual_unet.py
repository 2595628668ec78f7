import hashlib

import pytest
import torch
from torch import nn

from inpaint import rng
from inpaint.fills import harmonic
from inpaint.networks.generators.residual_unet import ResidualUNet


def picture(height=24, width=32):
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    planes = [torch.sin(0.3 * x + 0.2 * y), torch.cos(0.25 * x - 0.1 * y), torch.sin(0.15 * y) * torch.cos(0.4 * x)]
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, 6:14, 8:20] = 1
    return torch.stack(planes)[None], mask


def excite(network):
    """Move every weight off its zero start, by numbers that any machine computes alike."""
    with torch.no_grad():
        for place, weight in enumerate(network.parameters()):
            weight += 0.05 * torch.sin(torch.arange(weight.numel()) + float(place)).view(weight.shape)
    return network


@pytest.mark.parametrize(
    ("settings", "digest", "pixels"),
    [
        ({}, "f1225d4524defa0e", [-0.540837, -0.096191, -0.280570, 0.729861, -0.755862, 0.318728]),
        (
            {"width": 8, "levels": 3, "blocks": 2, "shuffle": 1},
            "0801a6d2e9674152",
            [-0.462459, -0.018396, -0.424028, 0.770911, -0.784055, 0.371370],
        ),
    ],
)
def test_without_the_options_it_is_the_network_it_was_before_them(settings, digest, pixels):
    """Names, shapes and initial values of the weights to the bit, and what it paints; computed before the options."""
    rng.seed_all(0)
    network = ResidualUNet(**settings)
    found = hashlib.sha256()
    for name, value in network.state_dict().items():
        found.update(name.encode() + str(tuple(value.shape)).encode() + value.numpy().tobytes())
    assert found.hexdigest().startswith(digest)
    with torch.no_grad():
        output = excite(network)(*picture()).output
    assert torch.cat([output[0, :, 8, 10], output[0, :, 12, 17]]).tolist() == pytest.approx(pixels, abs=1e-4)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("spectral", [True, False])
def test_attention_changes_nothing_while_gamma_is_0_and_something_then(level, spectral):
    rng.seed_all(0)
    size = {"width": 8, "levels": 2, "shuffle": 2}
    plain = ResidualUNet(**size).eval()
    rng.seed_all(0)
    attending = ResidualUNet(**size, attention=level, attention_spectral=spectral).eval()
    shared = plain.state_dict()
    assert all(torch.equal(value, attending.state_dict()[name]) for name, value in shared.items())
    attending.load_state_dict(excite(plain).state_dict(), strict=False)
    positions = []
    name, attention = next(pair for pair in attending.named_modules() if pair[0].endswith("attention"))
    assert name.split(".")[0] == ("encode" if level == 2 else "decode")
    attention.register_forward_hook(lambda layer, inputs, output: positions.append(inputs[0].shape[-2:].numel()))
    with torch.no_grad():
        before = plain(*picture()).output
        assert torch.equal(attending(*picture()).output, before)
        attention.gamma.fill_(1.0)
        assert (attending(*picture()).output - before).abs().max() > 1e-5
    assert positions[0] == 24 * 32 / (2 * 2**level) ** 2
    assert hasattr(attention.query, "parametrizations") == spectral


def test_dilation_widens_what_the_lowest_level_sees():
    rates = {"convolution": [], "first": []}
    for dilation in (1, 4):
        network = ResidualUNet(width=4, blocks=2, dilation=dilation)
        rates["convolution"].append([m.dilation[0] for m in network.encode[-1].modules() if isinstance(m, nn.Conv2d)])
        rates["first"].append({m.dilation[0] for m in network.encode[0].modules() if isinstance(m, nn.Conv2d)})
        assert network(*picture(9, 11)).output.shape[-2:] == (9, 11)
    assert rates == {"convolution": [[1] * 4, [4] * 4], "first": [{1}, {1}]}


@pytest.mark.parametrize(
    ("norm", "kind"),
    [("none", nn.Identity), ("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d), ("group", nn.GroupNorm)],
)
def test_norms(norm, kind):
    network = excite(ResidualUNet(width=8, norm=norm))
    blocks = [*network.encode, *network.decode]
    assert all(isinstance(layer, kind) for stack in blocks for block in stack for layer in block.norms)
    network(*picture(5, 9)).output.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("activation", ["silu", "relu", "leaky_relu", "elu", "gelu"])
def test_activations(activation):
    rng.seed_all(0)
    network = excite(ResidualUNet(width=8, activation=activation))
    kinds = {type(m).__name__.lower() for m in network.modules() if type(m).__module__.endswith("activation")}
    assert kinds == {activation.replace("_", "")}
    assert network(*picture()).output.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"norm": "layer"}, "norm"),
        ({"activation": "swish"}, "activation"),
        ({"attention": 4}, "attention"),
        ({"attention": -1}, "attention"),
        ({"dilation": 0}, "dilation"),
    ],
)
def test_impossible_settings(settings, key):
    with pytest.raises(ValueError, match=rf"^generator\.{key}: "):
        ResidualUNet(**settings)


def test_it_starts_as_the_harmonic_fill():
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:16, 10:] = 1
    assert torch.equal(ResidualUNet(width=8)(image, mask).output, harmonic(image, mask))
