import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaint.networks.generators.fourier import _FFC, LaMa, _FourierUnit, _SpectralTransform


@pytest.mark.parametrize(("blocks", "parameters"), [(9, 27_048_835), (18, 50_975_875)])
def test_the_published_sizes(blocks, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in LaMa(blocks).parameters()) == parameters


def norm_by_hand(x, layer):
    """Batch norm in evaluation: (B, C, ...)."""
    shape = (1, -1, 1, 1)
    mean, variance = layer.running_mean.numpy().reshape(shape), layer.running_var.numpy().reshape(shape)
    weight, bias = layer.weight.detach().numpy().reshape(shape), layer.bias.detach().numpy().reshape(shape)
    return (x - mean) / np.sqrt(variance + layer.eps) * weight + bias


def unsettle(network):
    """Batch norms as after some training, where they are not the identity."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return network.eval()


def fourier_by_hand(x, unit):
    """The Fourier unit with the discrete Fourier transform written out as matrices, in float64."""
    height, width = x.shape[-2:]
    rows = np.exp(-2j * np.pi * np.outer(np.arange(height), np.arange(height)) / height) / np.sqrt(height)
    columns = np.exp(-2j * np.pi * np.outer(np.arange(width), np.arange(width)) / width) / np.sqrt(width)
    half = width // 2 + 1
    spectrum = np.einsum("ky,bcyx,lx->bckl", rows, x, columns)[..., :half]
    stacked = np.stack([spectrum.real, spectrum.imag], axis=2).reshape(x.shape[0], -1, height, half)
    weight = unit.mix[0].weight.detach().numpy()[:, :, 0, 0]
    mixed = np.maximum(norm_by_hand(np.einsum("oc,bckl->bokl", weight, stacked), unit.mix[1]), 0)
    pairs = mixed.reshape(x.shape[0], -1, 2, height, half)
    return np.fft.irfft2(pairs[:, :, 0] + 1j * pairs[:, :, 1], s=(height, width), norm="ortho")


@pytest.mark.parametrize("size", [(8, 8), (9, 12), (12, 10), (5, 7)])
def test_the_spectral_transform_against_numpy(size):
    torch.manual_seed(0)
    transform = unsettle(_SpectralTransform(6, 8))
    x = torch.randn(2, 6, *size)
    with torch.no_grad():
        result = transform(x).numpy()
    reduce, expand = transform.reduce[0].weight.detach().numpy(), transform.expand.weight.detach().numpy()
    inner = np.einsum("oc,bcyx->boyx", reduce[:, :, 0, 0], x.double().numpy())
    inner = np.maximum(norm_by_hand(inner, transform.reduce[1]), 0)
    expected = np.einsum("oc,bcyx->boyx", expand[:, :, 0, 0], inner + fourier_by_hand(inner, transform.fourier))
    assert np.allclose(result, expected, atol=1e-4)


def test_the_spectrum_stays_float32_under_autocast():
    torch.manual_seed(0)
    unit = unsettle(_FourierUnit(4))
    x = torch.randn(1, 4, 6, 10).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = unit(x)
    with torch.no_grad():
        assert rough.dtype == torch.float32 and torch.equal(rough, unit(x.float()))


def test_an_ffc_sums_its_paths_at_each_target():
    torch.manual_seed(0)
    layer = unsettle(_FFC(8, 12, 3, ratio_in=0.25, ratio_out=0.75))
    x = {"local": torch.randn(1, 6, 7, 6), "global": torch.randn(1, 2, 7, 6)}

    def conv(name, source):
        return F.conv2d(F.pad(x[source], (1, 1, 1, 1), mode="reflect"), layer.paths[name].weight)

    with torch.no_grad():
        result = layer(x)
        spectral = layer.paths["global to global"](x["global"])
        local = conv("local to local", "local") + conv("global to local", "global")
        beyond = conv("local to global", "local") + spectral
        for part, expected in (("local", local), ("global", beyond)):
            ended = torch.from_numpy(norm_by_hand(expected.numpy(), layer.ends[part][0])).clamp(min=0)
            assert torch.allclose(result[part], ended, atol=1e-5)
    assert result["local"].shape[1] == 3 and result["global"].shape[1] == 9
    assert all(part.bias is None for part in layer.modules() if isinstance(part, nn.Conv2d))


ALL = {f"{source} to {target}" for source in ("local", "global") for target in ("local", "global")}


@pytest.mark.parametrize(("ratio", "paths"), [(0.0, {"local to local"}), (1.0, {"global to global"}), (0.5, ALL)])
def test_paths_of_parts_without_channels_are_not_there(ratio, paths):
    network = LaMa(blocks=1, width=4, ratio=ratio)
    assert set(network.middle[0].first.paths) == paths
    image, mask = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    assert network(image, mask).output.shape == image.shape


def test_one_block_sees_the_whole_picture_and_only_through_its_global_part():
    def reach(ratio):
        torch.manual_seed(0)
        network = LaMa(blocks=1, width=4, ratio=ratio).eval()
        image = torch.zeros(1, 3, 256, 128, requires_grad=True)
        network(image, torch.zeros(1, 1, 256, 128)).output[0, :, 8, 8].sum().backward()
        return image.grad[0, :, 200:].abs().max()

    assert reach(0.75) > 0 and reach(0.0) == 0


def test_black_hole_in_and_the_packages_range_out():
    network = LaMa(blocks=1, width=4).eval()
    seen = []
    network.encoder[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]["local"]))
    image, mask = torch.rand(1, 3, 16, 16) * 2 - 1, torch.zeros(1, 1, 16, 16)
    mask[:, :, 4:9, 5:] = 1
    last = network.decoder[-2]
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([-30.0, 0.0, 30.0])
    output = network(image, mask).output
    assert torch.equal(seen[0], torch.cat([(image + 1) / 2 * (1 - mask), mask], dim=1))
    assert torch.allclose(output, torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1).expand_as(output), atol=1e-6)


def test_channels_are_capped():
    with torch.device("meta"):
        assert LaMa(blocks=1, width=256).decoder[0].in_channels == 1024


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"blocks": 0}, "blocks"), ({"width": 0}, "width"), ({"ratio": 1.5}, "ratio"), ({"ratio": 0.002}, "ratio")],
)
def test_impossible_numbers(settings, key):
    with pytest.raises(ValueError, match=rf"^generator\.{key}: "), torch.device("meta"):
        LaMa(**settings)
