import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaint.networks.generators.gated_conv import ContextualAttention, DeepFillV2, GatedConv


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- gated convolution ----------------------------------------------------------------------------------------------


def test_gated_convolution_is_elu_times_sigmoid():
    layer, x = GatedConv(3, 10, 5, 2), drawn(2, 3, 9, 8)
    features = F.conv2d(x, layer.conv.weight[:5], layer.conv.bias[:5], 2, 2)
    gate = F.conv2d(x, layer.conv.weight[5:], layer.conv.bias[5:], 2, 2)
    expected = torch.where(features > 0, features, features.exp() - 1) / (1 + (-gate).exp())
    assert torch.allclose(layer(x), expected, atol=1e-6) and layer(x).shape == (2, 5, 5, 4)
    assert GatedConv(3, 4, rate=16)(x).shape == (2, 2, 9, 8)
    assert (GatedConv(3, 4, activation=nn.ReLU())(x) >= 0).all()


# ---- contextual attention -------------------------------------------------------------------------------------------


def as_published(features, mask, scale=10.0):
    """One sample, with convolutions by its own patches, as the paper puts it: (C, H, W) and (1, H, W)."""
    small = features[:, ::2, ::2]
    rows, columns = small.shape[1:]
    padded = F.pad(small, (1, 1, 1, 1))
    cells = F.pad(F.max_pool2d(mask[None], 2)[0, 0], (1, 1, 1, 1))
    raw = F.pad(features, (1, 1, 1, 1))
    places = [(row, column) for row in range(rows) for column in range(columns)]
    patches = torch.stack([padded[:, r : r + 3, c : c + 3] for r, c in places])
    known = torch.stack([(cells[r : r + 3, c : c + 3].sum() == 0).float() for r, c in places])
    pasted = torch.stack([raw[:, 2 * r : 2 * r + 4, 2 * c : 2 * c + 4] for r, c in places])
    norms = patches.square().sum((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-4)
    scores = F.conv2d(small[None], patches / norms, padding=1)[0]  # patch, row, column

    identity = torch.eye(3)[None, None]
    count = rows * columns
    scores = scores.view(1, 1, count, count)
    scores = F.conv2d(scores, identity, padding=1).view(rows, columns, rows, columns)
    scores = scores.transpose(0, 1).transpose(2, 3).reshape(1, 1, count, count)
    scores = F.conv2d(scores, identity, padding=1).view(columns, rows, columns, rows)
    scores = scores.transpose(0, 1).transpose(2, 3).reshape(count, rows, columns)

    weights = torch.softmax(scores * known[:, None, None] * scale, dim=0) * known[:, None, None]
    result = F.conv_transpose2d(weights[None], pasted, stride=2, padding=1)[0]
    return result / 4  # every pixel inside lies in four patches


@pytest.mark.parametrize("size", [(12, 16), (16, 8)])
def test_attention_is_as_published_and_each_sample_has_its_own_mask(size):
    features = drawn(3, 5, *size).relu() / 4
    mask = torch.zeros(3, 1, *size)
    mask[0, :, :5, :5] = 1
    mask[1, :, 7, 3] = 1
    together = ContextualAttention(scale=3.0)(features, mask)
    for sample in range(3):
        expected = as_published(features[sample], mask[sample], scale=3.0)
        inner = (slice(None), slice(1, -1), slice(1, -1))
        assert torch.allclose(together[sample][inner], expected[inner], atol=1e-5)
        alone = ContextualAttention(scale=3.0)(features[sample : sample + 1], mask[sample : sample + 1])
        assert torch.allclose(together[sample], alone[0], atol=1e-6)
    other = mask.roll(1, 0)
    assert not torch.allclose(ContextualAttention(scale=3.0)(features, other), together, atol=1e-3)


def tiles(batch, channels, hole):
    """Features that repeat after 16 columns, 32 x 48, strong enough for the softmax to choose one patch."""
    tile = 4 * drawn(batch, channels, 32, 16).relu()
    mask = torch.zeros(batch, 1, 32, 48)
    mask[..., 10:22, hole : hole + 6] = 1
    return tile.repeat(1, 1, 1, 3), mask


def test_attention_copies_the_known_patches_that_match():
    """The hole's own content is the period's; it comes back from the two other periods, where it is known."""
    features, mask = tiles(2, 6, 20)
    copied = ContextualAttention()(features, mask)
    hole = (mask == 1).expand_as(features)
    assert torch.allclose(copied[hole], features[hole], atol=1e-3)


def test_attention_copies_from_nowhere_else():
    """Marks in the hole, in its neighbourhood's cells and in the other sample never appear in what is pasted."""
    features, mask = tiles(2, 6, 20)
    features = torch.cat([features, torch.zeros(2, 3, 32, 48)], dim=1)
    features[:, 6] = mask[:, 0]  # channel 6: the hole
    features[0, 7] = 1  # channels 7 and 8: which sample
    features[1, 8] = 1
    copied = ContextualAttention()(features, mask)
    assert (copied[:, 6] == 0).all()
    assert (copied[0, 8] == 0).all() and (copied[1, 7] == 0).all()
    assert torch.allclose(copied[0, 7], torch.ones(32, 48), atol=1e-3)
    assert torch.allclose(copied[1, 8], torch.ones(32, 48), atol=1e-3)


def test_a_patch_with_one_hole_pixel_is_not_copied():
    """Wherever in its cell the pixel lies, nothing that a 4 x 4 patch could have taken from there is pasted."""
    for row, column in ((8, 8), (8, 9), (9, 8), (9, 9)):
        features = drawn(1, 2, 20, 20).abs()
        mask = torch.zeros(1, 1, 20, 20)
        mask[..., row, column] = 1
        features[:, 1] = mask[:, 0]
        copied = ContextualAttention()(features, mask)
        assert (copied[:, 1] == 0).all() and (copied[:, 0] > 0).all()


def test_attention_without_a_known_patch_is_0_and_has_finite_gradients():
    features = drawn(1, 3, 16, 16).relu().requires_grad_()
    copied = ContextualAttention()(features, torch.ones(1, 1, 16, 16))
    copied.sum().backward()
    assert (copied == 0).all() and features.grad.isfinite().all()
    zeros = torch.zeros(1, 3, 16, 16, requires_grad=True)
    ContextualAttention()(zeros, torch.zeros(1, 1, 16, 16)).sum().backward()
    assert zeros.grad.isfinite().all()


def test_attention_is_float32_inside_under_mixed_precision():
    features, mask = drawn(1, 5, 12, 16).relu().bfloat16(), torch.zeros(1, 1, 12, 16)
    mask[..., 3:7, 3:7] = 1
    with torch.autocast("cpu", torch.bfloat16):
        mixed = ContextualAttention(scale=3.0)(features, mask)
    assert mixed.dtype == torch.bfloat16
    assert torch.equal(mixed, ContextualAttention(scale=3.0)(features.float(), mask).bfloat16())


# ---- the network ----------------------------------------------------------------------------------------------------


def test_the_published_size_and_halved_widths():
    def gated(layers):
        return sum(before * after * kernel**2 + after for before, after, kernel in layers)

    c = 48
    tail = [(2 * c, 2 * c), (c, 2 * c), (c, c), (c // 2, c // 2)]
    decoder = [(2 * c, 4 * c, 3), *((a, b, 3) for a, b in tail), (c // 4, 3, 3)]
    middle = [(2 * c, 4 * c, 3)] * 4
    coarse = [(5, c, 5), (c // 2, 2 * c, 3), (c, 2 * c, 3), (c, 4 * c, 3), *[(2 * c, 4 * c, 3)] * 2]
    start = [(3, c, 5), (c // 2, c, 3), (c // 2, 2 * c, 3)]
    branches = [*start, (c, 2 * c, 3), (c, 4 * c, 3), (2 * c, 4 * c, 3), *middle]
    branches += [*start, (c, 4 * c, 3), *[(2 * c, 4 * c, 3)] * 4]
    first = gated([*coarse, *middle, (2 * c, 4 * c, 3), *decoder])
    second = gated([*branches, (4 * c, 4 * c, 3), *decoder])

    with torch.device("meta"):
        network = DeepFillV2()
    assert sum(p.numel() for p in network.coarse.parameters()) == first == 1_631_151  # 1.63 M
    assert sum(p.numel() for p in network.parameters()) == first + second == 4_052_478  # 4.05 M
    rates = [layer.conv.dilation[0] for layer in network.coarse if isinstance(layer, GatedConv)]
    assert rates == [1] * 6 + [2, 4, 8, 16] + [1] * 6
    relus = [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]
    assert relus == [network.before_attention[-1].activation]


def test_the_second_stage_sees_the_first_stages_picture_in_the_hole_and_nothing_else():
    torch.manual_seed(0)
    network = DeepFillV2(8)
    seen = {}
    for name in ("coarse", "dilated_branch", "before_attention", "attention"):
        getattr(network, name).register_forward_hook(
            lambda layer, inputs, output, name=name: seen.update({name: inputs})
        )
    image, mask = torch.rand(2, 3, 24, 32), torch.zeros(2, 1, 24, 32)
    mask[0, :, 8:17, 8:15] = 1
    mask[1, :, 3, 30] = 1
    outputs = network(image, mask)
    assert torch.equal(seen["coarse"][0], torch.cat([image * (1 - mask), torch.ones_like(mask), mask], dim=1))
    pasted = torch.where(mask == 1, outputs.coarse, image)
    assert torch.equal(seen["dilated_branch"][0], pasted) and torch.equal(seen["before_attention"][0], pasted)
    quarter = torch.zeros(2, 1, 6, 8)
    quarter[0, :, 2:5, 2:4] = 1
    quarter[1, :, 0, 7] = 1
    assert torch.equal(seen["attention"][1], quarter)
    assert outputs.coarse.abs().max() < 1 and outputs.output.abs().max() < 1
    assert DeepFillV2.returns == ("coarse",) and not torch.equal(outputs.coarse, outputs.output)


def test_the_coarse_picture_learns_from_the_refined_one():
    torch.manual_seed(0)
    network, image, mask = DeepFillV2(8), torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    network(image, mask).output.square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.coarse.parameters())


def test_impossible_numbers():
    with pytest.raises(ValueError, match=r"^generator\.width: "):
        DeepFillV2(width=6)
    with pytest.raises(ValueError, match=r"^generator\.rates: "):
        DeepFillV2(rates=[0])
