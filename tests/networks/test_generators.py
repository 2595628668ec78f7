"""What every generator promises, whatever its family; what is special to a family stands in generators/test_*.py."""

import copy

import pytest
import torch

from inpaint import rng
from inpaint.networks.generators.aot import AOT
from inpaint.networks.generators.basicvsr import BasicVSR
from inpaint.networks.generators.context_encoder import ContextEncoder, FeatureContextEncoder
from inpaint.networks.generators.edge_connect import EdgeConnect
from inpaint.networks.generators.fourier import LaMa
from inpaint.networks.generators.gated_conv import DeepFillV2
from inpaint.networks.generators.global_local import CompletionNetwork
from inpaint.networks.generators.mat import MAT, UniformMAT
from inpaint.networks.generators.partial_conv import PartialConvUNet
from inpaint.networks.generators.pix2pixhd import Pix2PixHDGlobal
from inpaint.networks.generators.residual_unet import ResidualUNet

SMALL = {
    "basicvsr": lambda: BasicVSR(width=8, blocks=1, start="harmonic"),
    "context_encoder": lambda: ContextEncoder(width=8, levels=3, bottleneck=32),
    "context_encoder_noise": lambda: ContextEncoder(width=8, levels=3, bottleneck=32, noise=4),
    "context_encoder_centre": lambda: ContextEncoder(width=8, levels=3, bottleneck=32, paints="centre"),
    "context_encoder_features": lambda: FeatureContextEncoder(width=8, side=99),
    "global_local": lambda: CompletionNetwork(width=8),
    "partial_conv": lambda: PartialConvUNet(width=8, levels=3),
    "gated_conv": lambda: DeepFillV2(width=16, rates=(2,)),
    "residual_unet": lambda: ResidualUNet(width=8, levels=2),
    "residual_unet_attention": lambda: ResidualUNet(width=8, attention=1, dilation=2, norm="group", activation="relu"),
    "aot": lambda: AOT(width=8, blocks=2),
    "fourier": lambda: LaMa(blocks=2, width=8),
    "pix2pixhd_global": lambda: Pix2PixHDGlobal(blocks=2, width=8),
    "edge_connect": lambda: EdgeConnect(width=8, blocks=2),
    "mat": lambda: MAT(width=16, heads=2, depths=(1, 2, 1), windows=(4, 4, 4), halvings=1, base=16, most=32, **CODES),
}
CODES = {"latent": 8, "mapping": 2}
RATE = {"context_encoder_features": 3e-3, "gated_conv": 3e-3, "mat": 2e-2}  # of Adam, where 5e-3 is no good

every = pytest.mark.parametrize("name", SMALL)


def only_the_centre(name, mask):
    """Some networks paint only the middle 16 x 16 pixels, so the holes have to lie there."""
    if name != "context_encoder_centre":
        return mask
    height, width = mask.shape[-2:]
    top, left = (height - 16) // 2, (width - 16) // 2
    centre = torch.zeros_like(mask)
    centre[..., max(top, 0) : top + 16, max(left, 0) : left + 16] = 1
    return mask * centre


def picture(name, batch=2, height=32, width=32):
    """Noise, with a hole in each sample that touches the border, no two of them the same."""
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    mask = torch.zeros(batch, 1, height, width)
    for sample in range(batch):
        mask[sample, :, height // 4 : height // 2 + 2 * sample, width // 3 + sample :] = 1
    return image, only_the_centre(name, mask)


def waves(name, batch=2, size=32):
    """Smooth colours, with a hole in the middle."""
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    planes = [torch.sin(6.3 * ((1 + s) * (c + 1) / 2 * x + (2 - s) * y) + c) for s in range(batch) for c in range(3)]
    mask = torch.zeros(batch, 1, size, size)
    for sample in range(batch):
        mask[sample, :, size // 4 + sample : size - size // 4, size // 4 : size - size // 4 - 2 * sample] = 1
    return 0.7 * torch.stack(planes).view(batch, 3, size, size), only_the_centre(name, mask)


def small(name, seed=1):
    torch.manual_seed(seed)
    return SMALL[name]()


def excite(network):
    """Move every weight off its zero start, so that all paths carry something."""
    for parameter in network.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return network


@every
@pytest.mark.parametrize("size", [(64, 64), (72, 72), (96, 160), (37, 50), (5, 9)])
def test_any_size(name, size):
    image, mask = picture(name, 2, *size)
    network = excite(small(name))
    outputs = network(image * (1 - mask), mask)
    pictures = [outputs.output, outputs.composite, *(getattr(outputs, field) for field in returns(network))]
    for made in pictures:
        assert made.shape == image.shape and made.isfinite().all()
    known = (mask == 0).expand_as(image)
    assert torch.equal(outputs.composite[known], image[known])
    assert torch.equal(outputs.composite[~known], outputs.output[~known])
    assert outputs.output[~known].std() > 0


def returns(network):
    return getattr(network, "returns", ())


@every
def test_sizes_of_the_stated_multiple_are_not_padded(name, monkeypatch):
    """What is padded is no more than the multiple and the minimum say."""
    network = small(name).eval()
    least = getattr(network, "minimum", 1)
    side = max(least, 4 * network.multiple)
    assert least == 1 or least % network.multiple == 0
    monkeypatch.setattr(torch.nn.functional, "pad", unreplicated(torch.nn.functional.pad))
    image, mask = picture(name, 1, side, side + network.multiple)
    network(image, mask)


def unreplicated(pad):
    def wrapped(x, widths, mode="constant", value=None):
        assert mode != "replicate" or widths[0], f"padded by {widths}"  # to the left, it is a filter of kornia's
        return pad(x, widths, mode, value)

    return wrapped


@every
@pytest.mark.parametrize("training", [False, True])
def test_the_hole_is_never_read(name, training):
    image, mask = picture(name)
    network = excite(small(name)).train(training)
    other = torch.where(mask == 1, torch.full_like(image, 0.77), image)
    both = []
    for given in (image, other):
        torch.manual_seed(0)
        outputs = copy.deepcopy(network)(given, mask)  # spectral norm iterates at every call
        both.append([outputs.output, *(getattr(outputs, field) for field in returns(network))])
    for one, two in zip(*both, strict=True):
        assert torch.equal(one, two)


@every
def test_every_parameter_learns(name):
    image, mask = picture(name, 4)
    network = excite(small(name))
    outputs = network(image * (1 - mask), mask)
    (outputs.output * mask).square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@every
def test_a_sample_does_not_depend_on_its_batch(name):
    image, mask = picture(name, 3)
    mask[1] = 0
    mask[2, :, :18] = 1
    mask = only_the_centre(name, mask)
    network = excite(small(name)).eval()
    together = network(image, mask).output
    rounding = 1e-6 * max(10, together.abs().max().item())
    for sample in range(3):
        alone = network(image[sample : sample + 1], mask[sample : sample + 1]).output
        assert torch.allclose(together[sample : sample + 1], alone, rtol=0, atol=rounding)


@every
def test_bfloat16_is_finite_and_close_to_float32(name):
    image, mask = picture(name, 2, 48, 40)
    network = excite(small(name))
    exact = network.eval()(image, mask).output
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(image, mask)
    assert rough.composite.dtype == torch.float32
    assert (rough.output.float() - exact).abs().mean() < 0.1 * exact.abs().mean()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network.train()(image * (1 - mask), mask)
    sum(getattr(outputs, field).float().abs().mean() for field in ("composite", *returns(network))).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name


@every
@pytest.mark.parametrize("hole", [0.0, 1.0])
def test_pictures_without_a_hole_or_without_anything_else(name, hole):
    image, mask = picture(name)
    mask = only_the_centre(name, torch.full_like(mask, hole))
    network = excite(small(name))
    outputs = network(image * (1 - mask), mask)
    outputs.output.square().mean().backward()
    assert outputs.output.isfinite().all()
    assert hole or torch.equal(outputs.composite, image)
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@every
def test_it_learns_one_batch_by_heart(name):
    """L1 in the hole falls to a fifth, of what it was and of what grey has, within 200 updates."""
    network, (image, mask) = small(name), waves(name)
    optimizer = torch.optim.Adam(network.parameters(), RATE.get(name, 5e-3))

    def hole_l1(painted):
        return ((painted - image).abs() * mask).sum() / (3 * mask.sum())

    first = hole_l1(torch.zeros_like(image)).item()
    for update in range(200):
        outputs = network(image * (1 - mask), mask)
        error = hole_l1(outputs.output)
        first = min(first, error.item()) if update == 0 else first
        if error < first / 5:
            return
        optimizer.zero_grad()
        sum((hole_l1(getattr(outputs, field)) for field in returns(network)), error).backward()
        optimizer.step()
    pytest.fail(f"L1 in the hole is {error:.3f} and was {first:.3f}")


DECLARED = [name for name in SMALL if hasattr(small(name), "features")]


def test_who_declares_features():
    assert set(SMALL) - set(DECLARED) == {"basicvsr", "global_local", "gated_conv", "edge_connect", "mat"}


@pytest.mark.parametrize("name", DECLARED)
def test_features_are_maps_of_what_is_known(name):
    image, mask = picture(name)
    network = excite(small(name)).eval()
    maps = network.features(image, mask)
    assert maps.ndim == 4 and len(maps) == 2 and maps.shape[1] >= 8 and maps.shape[-1] < image.shape[-1]
    assert maps.isfinite().all() and maps.std() > 0
    assert torch.equal(maps, network.features(torch.where(mask == 1, 0.77, image), mask))
    assert not torch.equal(maps, network.features(image, torch.zeros_like(mask)))
    assert torch.allclose(maps[:1], network.features(image[:1], mask[:1]), rtol=0, atol=1e-5 * maps.abs().max().item())


@pytest.mark.parametrize("name", DECLARED)
def test_pictures_are_painted_from_the_features(name):
    image, mask = picture(name)
    network = excite(small(name)).eval()
    network.features(image, mask).square().sum().backward()
    behind = {key for key, parameter in network.named_parameters() if parameter.grad is not None}
    network.zero_grad()
    network(image, mask).output.square().sum().backward()
    painted = {key for key, parameter in network.named_parameters() if parameter.grad is not None}
    assert behind and behind < painted


SMALL_MAT = {"width": 16, "heads": 2, "depths": (1, 2, 1), "windows": (4, 4, 4), "base": 8, "most": 16, "latent": 16}
CHECKPOINTED = {
    "fourier": (lambda **way: LaMa(blocks=2, width=8, **way), lambda network: [*network.encoder, *network.middle]),
    "mat": (lambda **way: MAT(**SMALL_MAT, mapping=2, **way), lambda network: [*network.head, *network.body]),
    "mat_uniform": (
        lambda **way: UniformMAT(**SMALL_MAT, mapping=2, style=8, **way),
        lambda network: [*network.encoder, *network.fine_decoder.refine, *network.coarse_decoder.enlarge],
    ),
}


@pytest.mark.parametrize("family", CHECKPOINTED)
def test_checkpointing_trains_the_same_network(family):
    make, layers_of = CHECKPOINTED[family]
    results, calls = [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = make(checkpointing=checkpointing)
        for layer in layers_of(network):
            layer.register_forward_pre_hook(lambda *_, way=checkpointing: calls.append(way))
        with rng.of_samples(torch.tensor([3, 4])):
            outputs = network(torch.rand(2, 3, 32, 32) * 2 - 1, (torch.rand(2, 1, 32, 32) < 0.3).float())
        outputs.output.square().mean().backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        results.append([outputs.output, *gradients, *network.buffers()])
    assert len(results[0]) == len(results[1]) and all(map(torch.equal, *results))
    assert calls.count(True) == 2 * calls.count(False) > 0
