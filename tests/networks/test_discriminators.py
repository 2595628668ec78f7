import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaint import rng
from inpaint.networks.discriminators import SRGAN, ContextConditional, GlobalLocal, MultiScale, Patch, SNPatch, UNet

SMALL = {
    "patch": lambda: Patch(width=4, layers=2),
    "patch_batch_norm": lambda: Patch(width=4, layers=2, spectral=False, norm="batch", padding=2),
    "multiscale": lambda: MultiScale(width=4),
    "sn_patch": lambda: SNPatch(width=4),
    "global_local": lambda: GlobalLocal(width=4, size=64, hidden=16),
    "context": lambda: ContextConditional(width=4, size=64),
    "hole": lambda: ContextConditional("hole", width=4, size=64),
    "picture": lambda: ContextConditional("picture", width=4, size=64),
    "srgan": lambda: SRGAN(width=4, size=64, hidden=16),
    "unet": lambda: UNet(width=4, levels=4),
}


@pytest.fixture(autouse=True)
def seeded():
    rng.seed_all(0)


# Channels and sides of each map of logits at 64, 72 and 96 x 160 pixels, from the strides by hand.
MAPS = {
    "patch": [[(1, 14, 14)], [(1, 16, 16)], [(1, 22, 38)]],
    "patch_batch_norm": [[(1, 19, 19)], [(1, 21, 21)], [(1, 27, 43)]],
    "multiscale": [[(1, 11, 11), (1, 7, 7)], [(1, 12, 12), (1, 8, 8)], [(1, 15, 23), (1, 9, 13)]],
    "sn_patch": [[(16, 1, 1)], [(16, 2, 2)], [(16, 2, 3)]],
    "global_local": [[(1, 1, 1)]] * 3,
    "context": [[(1, 1, 1)], [(1, 1, 1)], [(1, 3, 7)]],
    "hole": [[(1, 1, 1)]] * 3,
    "picture": [[(1, 1, 1)], [(1, 1, 1)], [(1, 3, 7)]],
    "srgan": [[(1, 1, 1)]] * 3,
    "unet": [[(1, 1, 1), (1, 64, 64)], [(1, 1, 1), (1, 72, 72)], [(1, 1, 1), (1, 96, 160)]],
}


def pictures(batch=2, height=64, width=64):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    mask = torch.zeros(batch, 1, height, width)
    for sample in range(batch):
        mask[sample, :, 8 + 10 * sample : 24 + 10 * sample, 4 : 20 + 5 * sample] = 1
    return image, mask


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (lambda: Patch(layers=4, spectral=False, sees_mask=False, norm="batch", padding=2), 6_962_369),  # LaMa
        (lambda: Patch(sees_mask=False, bias=False), 2_763_777),  # AOT-GAN
        (lambda: Patch(sees_mask=False, bias=False, last_bias=False), 2_763_776),  # EdgeConnect
        (SNPatch, 5_946_816),
        (SRGAN, 23_565_505),  # of 96 px: 512 channels at 6 x 6 places to 1024, and that to one
        (lambda: ContextConditional("hole"), 2_766_529),
        # 64, 128, 256, 512, 512, 512 on 256 px and 64, 128, 256, 512, 512 on 128 px, both to 512 x 4 x 4, then 1024
        (
            GlobalLocal,
            2 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 512) * 25
            + 512 * 512 * 25
            + 3 * (2 * (64 + 128 + 256 + 512 + 512) + 512)
            + 2 * (512 * 16 * 1024 + 1024)
            + 2 * 1024
            + 1,
        ),
    ],
)
def test_published_sizes(network, count):
    assert sum(p.numel() for p in network().parameters()) == count


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("place", range(3))
def test_maps_and_features_of_every_size(name, place):
    image, mask = pictures(2, *[(64, 64), (72, 72), (96, 160)][place])
    verdict = SMALL[name]()(image, mask)
    assert [tuple(logits.shape[1:]) for logits in verdict.logits] == MAPS[name][place]
    assert len(verdict.features) == len(verdict.logits)
    assert all(len(features) > 1 for features in verdict.features)
    assert all(len(x) == 2 and x.isfinite().all() for x in [*verdict.logits, *sum(verdict.features, ())])


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_every_parameter_and_the_picture_get_a_finite_gradient(name, precision):
    image, mask = pictures()
    image.requires_grad_(True)
    network = SMALL[name]()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        verdict = network(image, mask)
    sum(logits.float().square().mean() for logits in verdict.logits).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
    # A bias before batch norm or instance norm has no effect; every weight has one.
    assert all(p.grad.abs().sum() > 0 for p in network.parameters() if p.dim() > 1)
    assert image.grad.isfinite().all() and image.grad.abs().sum() > 0


@pytest.mark.parametrize("name", SMALL)
def test_a_penalty_on_the_gradient_can_be_trained_by(name):
    """R1 and the Wasserstein penalty differentiate twice, also through resized pictures and gathered patches."""
    image, mask = pictures(2, 72, 72)
    image.requires_grad_(True)
    network = SMALL[name]()
    logits = network(image, mask).logits
    (gradient,) = torch.autograd.grad(sum(part.sum() for part in logits), image, create_graph=True)
    gradient.square().sum().backward()
    assert sum(p.grad.abs().sum() for p in network.parameters() if p.grad is not None) > 0


@pytest.mark.parametrize("name", SMALL)
def test_a_sample_does_not_depend_on_its_batch(name):
    image, mask = pictures(3)
    network = SMALL[name]().eval()
    together = network(image, mask)
    for sample in range(3):
        alone = network(image[sample : sample + 1], mask[sample : sample + 1])
        for both, one in zip(together.logits, alone.logits, strict=True):
            assert torch.allclose(both[sample : sample + 1], one, atol=1e-5)


# ---- patches ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "pixels"), [(2, 34), (3, 70)])
def test_what_a_logit_sees(layers, pixels):
    network = Patch(width=4, layers=layers, spectral=False)
    image = torch.randn(1, 3, 96, 96, requires_grad=True)
    verdict = network(image, torch.zeros(1, 1, 96, 96))
    (logits,), ((*features,),) = verdict.logits, verdict.features
    assert [feature.shape[1] for feature in features] == [4, 8, 16, 32][: layers + 1]
    place = logits.shape[2] // 2
    logits[0, 0, place, place].backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == pixels


@pytest.mark.parametrize("sees_mask", [True, False])
@pytest.mark.parametrize("network", [Patch, UNet, MultiScale])
def test_the_mask_is_seen_or_not(network, sees_mask):
    judge = network(width=4, sees_mask=sees_mask).eval()
    image = torch.randn(2, 3, 64, 64)
    zeros, ones = (judge(image, full(2, 1, 64, 64)).logits[-1] for full in (torch.zeros, torch.ones))
    same = torch.equal(zeros, ones)
    assert same != sees_mask


def test_spectral_norm_bounds_every_layer():
    image, mask = pictures()
    for network, unbounded in ((Patch(width=8, layers=2), ["last"]), (SNPatch(4), []), (UNet(4, 3), [])):
        for _ in range(100):
            network(image, mask)
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                assert hasattr(layer, "parametrizations") == (name not in unbounded), name
                if name not in unbounded:
                    largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
                    assert largest == pytest.approx(1, abs=0.02), name


def test_the_norm_of_a_patchgan():
    image, mask = pictures(4)
    for norm, axes in (("batch", (0, 2, 3)), ("instance", (2, 3))):
        network = Patch(width=4, layers=2, spectral=False, norm=norm)
        x = 100 * torch.cat([image, mask], dim=1)  # large, so that the norm's epsilon is nothing
        for place, layer in enumerate(network.layers):
            before = layer[:-1](x)
            spread = before.var(dim=axes, correction=0).mean().item()
            assert (abs(spread - 1) < 0.1) == (place > 0), f"{norm}, layer {place}: {spread}"
            x = layer(x)


def test_a_coarse_scale_is_a_patchgan_on_the_averaged_picture():
    image, mask = pictures()
    network = MultiScale(scales=3, width=4, sees_mask=True)
    verdict = network(image, mask)
    for scale, logits in zip(network.scales, verdict.logits, strict=True):
        assert torch.allclose(scale(image, mask).logits[0], logits, atol=1e-6)
        both = F.pad(torch.cat([image, mask, torch.ones_like(mask)], dim=1), (1, 1, 1, 1))
        side = image.shape[2]
        sums = sum(both[..., y : y + side : 2, x : x + side : 2] for y in range(3) for x in range(3))
        image, mask = (sums[:, :4] / sums[:, 4:]).split([3, 1], dim=1)


def test_every_feature_of_the_last_layer_is_a_logit():
    image, mask = pictures(height=128, width=128)
    network = SNPatch(width=4)
    network.eval()
    verdict = network(image, mask)
    (logits,) = verdict.logits
    assert logits.shape == (2, 16, 2, 2)
    last = network.layers[-1](verdict.features[0][-1])
    assert (last < 0).any() and (last > 0).any()
    assert torch.equal(logits, torch.where(last > 0, last, 0.2 * last))


# ---- what follows the hole --------------------------------------------------------------------------------------


def test_the_patch_follows_each_samples_hole():
    image, mask = pictures(3)
    mask[2] = 0
    network = GlobalLocal(width=4, size=64, hidden=8).eval()
    halves = len(network.picture)

    def of_patch(image):
        return network(image, mask).features[0][halves:]

    # Holes are rows 8..24 and 18..34, columns 4..20 and 4..25: squares of 32 around their centres, moved inwards.
    boxes = [(0, 32, 0, 32), (10, 42, 0, 32), (16, 48, 16, 48)]
    inside = torch.zeros_like(mask)
    for sample, (top, bottom, left, right) in enumerate(boxes):
        inside[sample, :, top:bottom, left:right] = 1
    same, other = of_patch(image * inside), of_patch(image)
    assert all(torch.equal(a, b) for a, b in zip(same, other, strict=True))
    for sample, (top, bottom, left, right) in enumerate(boxes):
        for y, x in ((top, left), (bottom - 1, right - 1)):
            touched = image.clone()
            touched[sample, :, y, x] += 10
            changed = [not torch.equal(a, b) for a, b in zip(of_patch(touched)[0], other[0], strict=True)]
            assert changed == [place == sample for place in range(3)]


def test_a_picture_of_another_size_is_resized_first():
    image, mask = pictures(2, 128, 128)
    network = GlobalLocal(width=4, size=64, hidden=8).eval()
    small = F.interpolate(image, (64, 64), mode="bilinear", antialias=True)
    assert torch.allclose(network(image, mask).logits[0], network(small, mask[..., ::2, ::2]).logits[0], atol=1e-5)


def test_the_context_is_joined_as_in_the_authors_code():
    """A painted square of half the size, padded to the place of the centre hole, through the convolution."""
    image = pictures(2, 128, 128)[0]
    mask = torch.zeros(2, 1, 128, 128)
    mask[..., 32:96, 32:96] = 1
    network = ContextConditional(width=4).eval()
    joined = network(image, mask).features[0][0]
    context = F.conv2d(image * (1 - mask), network.known.weight, network.known.bias, stride=2, padding=2)
    square = image[..., 32:96, 32:96]
    painted = F.conv2d(square, network.painted.weight, network.painted.bias, stride=2, padding=2 + 32)
    assert torch.allclose(joined, F.leaky_relu(torch.cat([context, painted], dim=1), 0.2), atol=1e-5)


@pytest.mark.parametrize("sees", ["context", "hole", "picture"])
def test_what_a_context_encoders_discriminator_sees(sees):
    image = pictures(1)[0]
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    network = ContextConditional(sees, width=4, size=64).eval()
    before = network(image, mask).logits[0]
    known = torch.where(mask == 1, image, image.flip(0, 2))
    assert torch.equal(network(known, mask).logits[0], before) == (sees == "hole")
    painted = torch.where(mask == 1, image.flip(0, 2), image)
    assert not torch.equal(network(painted, mask).logits[0], before)


def test_a_pixels_logit_knows_the_pixel_and_the_picture():
    image, mask = pictures(1)
    network = UNet(width=4, levels=4).eval()
    image.requires_grad_(True)
    gradients = torch.autograd.grad(network(image, mask).logits[1][0, 0, 32, 32], image)[0].abs().sum(dim=(0, 1))
    assert gradients[32, 32] > 10 * gradients.mean() and gradients[0, 0] > 0 and gradients[63, 63] > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Patch(layers=0), r"discriminator\.layers"),
        (lambda: Patch(norm="layer"), r"discriminator\.norm: give one of none, batch, instance, group; got 'layer'"),
        (lambda: MultiScale(scales=0), r"discriminator\.scales"),
        (lambda: SNPatch(layers=1), r"discriminator\.layers"),
        (lambda: GlobalLocal(size=8), r"discriminator\.size"),
        (lambda: SRGAN(size=8), r"discriminator\.size"),
        (
            lambda: ContextConditional("border"),
            r"discriminator\.sees: give one of context, hole, picture; got 'border'",
        ),
        (lambda: ContextConditional(size=8), r"discriminator\.size"),
        (lambda: UNet(levels=0), r"discriminator\.levels"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
