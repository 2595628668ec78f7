import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from inpaint.networks.generators.mat import MAT, UniformMAT
from inpaint.networks.mat_layers import (
    Block,
    EqualConv,
    EqualLinear,
    EqualPartialConv,
    Stage,
    StyledConv,
    WindowAttention,
)
from inpaint.provenance import renamed


def tiny(kind=MAT, **settings):
    torch.manual_seed(0)
    numbers = {"width": 16, "heads": 2, "depths": (1, 2, 1), "windows": (4, 4, 4), "halvings": 2}
    numbers |= {"base": 8, "most": 32, "latent": 16, "mapping": 2}
    return kind(**(numbers | settings))


def picture(batch=2, height=32, width=32):
    image = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(batch, 1, height, width)
    mask[:, :, 4:28, 6:26] = 1
    return image, mask


def softmax(scores):
    exponents = np.exp(scores - scores.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


def linear_by_hand(layer, x):
    return x @ layer.weight.detach().double().numpy().T * layer.scale + layer.bias.detach().double().numpy()


def attention_by_hand(layer, tokens, valid):
    """Attention of ``(L, C)`` tokens to the valid ones among them, which alone are given to the softmax."""
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    query, key, value = (
        linear_by_hand(part, source)
        for part, source in ((layer.query, unit), (layer.key, unit[valid]), (layer.value, tokens[valid]))
    )
    size = query.shape[1] // layer.heads
    heads = [slice(head * size, (head + 1) * size) for head in range(layer.heads)]
    attended = [softmax(query[:, h] @ key[:, h].T / size**0.5) @ value[:, h] for h in heads]
    return linear_by_hand(layer.out, np.concatenate(attended, axis=1))


# ---- what is missing is not read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shifted", [False, True])
def test_window_attention_against_numpy(shifted):
    torch.manual_seed(0)
    layer = WindowAttention(8, 2, 4, shifted)
    for part in (layer.query, layer.key):
        part.weight.data.mul_(5)  # scores far enough apart to matter
    x = torch.randn(2, 6, 11, 8)
    valid = (torch.rand(2, 6, 11, 1) > 0.6).float()
    with torch.no_grad():
        result, after = layer(x, valid)
    offset = -2 if shifted else 0
    for sample in range(2):
        for top in range(offset, 6, 4):
            for left in range(offset, 11, 4):
                place = (sample, slice(max(top, 0), top + 4), slice(max(left, 0), left + 4))
                tokens, seen = x[place].double().numpy().reshape(-1, 8), valid[place].numpy().reshape(-1) > 0
                assert (after[place] == float(seen.any())).all()
                if seen.any():
                    expected = attention_by_hand(layer, tokens, seen)
                    assert np.allclose(result[place].numpy().reshape(-1, 8), expected, atol=1e-4)


def test_the_softmax_is_float32_under_autocast(monkeypatch):
    torch.manual_seed(0)
    kinds, original = [], F.scaled_dot_product_attention

    def spy(query, key, value, **settings):
        kinds.extend(part.dtype for part in (query, key, value))
        kinds.append(torch.is_autocast_enabled("cpu"))
        return original(query, key, value, **settings)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    with torch.autocast("cpu", torch.bfloat16):
        WindowAttention(8, 2, 4, False)(torch.randn(1, 4, 8, 8), torch.ones(1, 4, 8, 1))
    assert kinds == [torch.float32] * 3 + [False]


def test_a_window_of_missing_tokens_attends_to_nothing():
    layer = WindowAttention(8, 2, 4, False)
    x, valid = torch.randn(1, 4, 8, 8, requires_grad=True), torch.ones(1, 4, 8, 1)
    valid[:, :, :4] = 0
    result, after = layer(x, valid)
    assert torch.allclose(result[:, :, :4], layer.out.bias.expand(1, 4, 4, 8))
    assert (after[:, :, :4] == 0).all() and (after[:, :, 4:] == 1).all()
    result.sum().backward()
    assert (x.grad[:, :, :4] == 0).all() and x.grad.isfinite().all()


@pytest.mark.parametrize("make", [lambda: Block(8, 2, 4, True, 2), lambda: Stage(8, 2, 3, 4, 2, 1.0),
                                  lambda: Stage(8, 2, 3, 4, 2, 0.5), lambda: Stage(8, 2, 3, 4, 2, 2.0)])  # fmt: skip
def test_missing_tokens_are_never_read_before_they_were_filled(make):
    """Whatever stands at them, every token comes out the same; and a valid token does matter."""
    torch.manual_seed(0)
    layer = make()
    x, valid = torch.randn(2, 8, 12, 12), torch.zeros(2, 1, 12, 12)
    valid[0, :, :5, :3] = 1
    valid[1, :, 6, 6] = 1
    missing, filled = torch.where(valid == 0, 100 * torch.randn_like(x), x), torch.where(valid == 1, x + 1, x)
    if isinstance(layer, Block):
        x, valid, missing, filled = (part.movedim(1, -1) for part in (x, valid, missing, filled))
    with torch.no_grad():
        result, after = layer(x, valid)
        assert torch.equal(result, layer(missing, valid)[0])
        assert not torch.allclose(result, layer(filled, valid)[0])
    assert after.mean() > valid.mean()  # some were filled
    if not isinstance(layer, Block):
        assert (result * (1 - after) == 0).all()


def test_tokens_reach_the_stages_with_nothing_from_the_hole():
    """In the whole network: the map and the validity that the first stage gets, and validity spreading from there."""
    network = tiny().eval()
    given = []
    for stage in network.body:
        stage.register_forward_hook(lambda layer, inputs, outputs: given.append((*inputs, *outputs)))
    image, mask = picture(1, 64, 64)
    mask = torch.ones_like(mask)
    mask[..., :9, :9] = 0
    network(image, mask)
    first, valid = given[0][:2]
    assert 0 < valid.mean() < 0.2 and (first * (1 - valid) == 0).all()
    shares = [part.mean() for stage in given for part in (stage[1], stage[3])]
    assert shares == sorted(shares) and shares[-1] == 1
    given.clear()
    network(image, torch.ones_like(mask), torch.randn(1, 16))  # nothing known: the style code fills the middle
    assert [stage[1].mean() for stage in given] == [0, 0, 1]
    assert (given[1][2] == 0).all() and given[2][0].std() > 0


# ---- layers ---------------------------------------------------------------------------------------------------------


def test_partial_convolution():
    torch.manual_seed(0)
    layer = EqualPartialConv(3, 5, stride=2)
    x, valid = torch.randn(2, 3, 9, 8), torch.ones(2, 1, 9, 8)
    ordinary = layer.conv(x)
    assert torch.allclose(layer(x, valid)[0][..., 1:-1, 1:], ordinary[..., 1:-1, 1:], atol=1e-5)
    valid[:, :, 3:, 4:] = 0
    layer.conv.bias.data.normal_()
    with torch.no_grad():
        result, after = layer(x, valid)
    bias = layer.conv.bias.detach().numpy()[:, 0, 0]
    weight = layer.conv.weight.detach().numpy() * layer.conv.scale
    padded = np.pad((x * valid).numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    known = np.pad(valid.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    for row in range(5):
        for column in range(4):
            window = (..., slice(2 * row, 2 * row + 3), slice(2 * column, 2 * column + 3))
            count = known[window].sum((1, 2, 3))
            assert ((count > 0) == after[:, 0, row, column].numpy()).all()
            value = np.einsum("ocij,bcij->bo", weight, padded[window]) * (9 / np.maximum(count, 1))[:, None] + bias
            expected = np.where(value > 0, value, 0.2 * value) * 2**0.5 * (count > 0)[:, None]
            assert np.allclose(result[:, :, row, column].numpy(), expected, atol=1e-5)


def test_a_styled_convolution_against_weights_scaled_for_each_sample():
    torch.manual_seed(0)
    layer = StyledConv(4, 6, 5).eval()
    x, style = torch.randn(3, 4, 7, 8), torch.randn(3, 5)
    with torch.no_grad():
        result = layer(x, style)
        for sample in range(3):
            scale = F.linear(style[sample], layer.affine.weight / 5**0.5, layer.affine.bias)
            weight = layer.conv.weight / 36**0.5 * scale.view(1, 4, 1, 1)
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            expected = F.leaky_relu(F.conv2d(x[sample : sample + 1], weight, padding=1), 0.2) * 2**0.5
            assert torch.allclose(result[sample : sample + 1], expected, atol=1e-5)


def test_equalised_learning_rates():
    torch.manual_seed(0)
    slow, fast = EqualLinear(400, 300, speed=0.01), EqualLinear(400, 300)
    assert abs(slow.weight.std() - 100) < 1 and abs(fast.weight.std() - 1) < 0.01
    x = torch.randn(50, 400)
    assert abs(slow(x).std() - 1) < 0.05 and abs(fast(x).std() - 1) < 0.05


# ---- the network ----------------------------------------------------------------------------------------------------


def test_a_strided_convolution_of_one_position_has_gradients():
    """In bfloat16 as in float32; memory that was used before is not zero."""
    conv = EqualConv(8, 8, stride=2)
    x = torch.randn(3, 8, 1, 1)
    conv.linear(x).sum().backward()
    expected, conv.weight.grad = conv.weight.grad, None
    _ = [torch.full((1 << 14,), torch.nan) for _ in range(20)]
    with torch.autocast("cpu", torch.bfloat16):
        painted = conv.linear(x)
    painted.float().sum().backward()
    assert painted.shape == (3, 8, 1, 1) and torch.allclose(conv.weight.grad, expected, atol=0.05)


def test_everything_starts_at_the_scale_of_a_picture():
    """Without the roots of 2 the first outputs of the published widths are 30 times too large."""
    torch.manual_seed(0)
    network = MAT(width=60, heads=2, depths=(2, 3, 4, 3, 2), halvings=1, base=32, most=64, latent=32)
    with torch.no_grad():
        outputs = network(*picture(1, 64, 64))
    for made in (outputs.output, outputs.coarse):
        assert 0.3 < made.square().mean().sqrt() < 3


def test_evaluation_is_deterministic_and_training_is_not():
    image, mask = picture()
    network = tiny()
    for name, parameter in network.named_parameters():
        if name.endswith("noise"):
            parameter.data.fill_(1.0)
    with torch.no_grad():
        assert not torch.equal(network(image, mask).output, network(image, mask).output)
        network.eval()
        first = network(image, mask)
        torch.manual_seed(123)
        second = network(image, mask)
    assert torch.equal(first.output, second.output) and torch.equal(first.coarse, second.coarse)


def test_latents_paint_differently_and_the_hole_alone_is_theirs():
    image, mask = picture(1)
    network = tiny().eval()
    latents = torch.randn(2, 16)
    with torch.no_grad():
        together = network(image.expand(2, -1, -1, -1), mask.expand(2, -1, -1, -1), latents)
        again = network(image, mask, latents[1:])
    assert not torch.allclose(together.output[0], together.output[1], atol=1e-2)
    assert torch.allclose(together.output[1:], again.output, atol=1e-4)
    assert torch.equal(together.composite[0][:, mask[0, 0] == 0], together.composite[1][:, mask[0, 0] == 0])


def test_the_mean_style_code_follows_training_alone():
    image, mask = picture()
    network = tiny()
    codes = []
    network.mapping[-1].register_forward_hook(lambda layer, inputs, output: codes.append(output.detach()))
    with torch.no_grad():
        network(image, mask)
        expected = 0.005 * F.leaky_relu(codes[0], 0.2).mul(2**0.5).mean(0)
        assert torch.allclose(network.mean_code, expected, atol=1e-7) and expected.abs().sum() > 0
        before = network.mean_code.clone()
        network.eval()(image, mask, torch.randn(2, 16))
    assert torch.equal(network.mean_code, before)


def test_the_second_stage_sees_the_first_ones_picture_in_the_hole():
    image, mask = picture()
    network = tiny().eval()
    seen = []
    network.encoder[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        outputs = network(image, mask)
    known = image * (1 - mask)
    assert torch.equal(seen[0], torch.cat([0.5 - mask, known + outputs.coarse * mask, known], dim=1))


@pytest.mark.parametrize("size", [(64, 96), (40, 50), (32, 32)])
def test_windows_need_not_divide_the_tokens(size):
    network = tiny(depths=(1, 2, 1, 1, 1), windows=(8, 5, 16, 16, 3)).eval()
    assert network.multiple == 16
    image, mask = picture(1, *size)
    assert network(image, mask).output.shape == network(image, mask).coarse.shape == image.shape


def count(*parts):
    return sum(weight.numel() for part in parts for weight in part.parameters())


def test_the_published_numbers():
    """Part by part those of the released generator for 512 px, in thousands, and the sum to the last one."""
    with torch.device("meta"):
        network = MAT()
    assert network.multiple == 32 and [len(stage.blocks) for stage in network.body] == [2, 3, 4, 3, 2]
    widths = [part[1].weight.shape[0] for part in network.encoder]
    assert widths == [64, 128, 256, 512, 512, 512]  # 512 px down to 16 px
    parts = ("mapping", "head", "body", "coarse_style", "coarse_decoder", "encoder", "fine_style", "fine_decoder")
    found = [round(count(getattr(network, part)) / 1000) for part in parts]
    assert found == [2101, 882, 7182, 1371, 2629, 14123, 7736, 25538]
    assert count(network) == 61_562_518


def test_the_first_stage_has_no_noise_and_no_picture_of_its_lowest_map():
    network = tiny(halvings=2)
    noisy = [name for name, _ in network.named_parameters() if name.endswith("noise")]
    assert noisy and all(name.startswith("fine_decoder") for name in noisy)
    assert len(network.coarse_decoder.pictures) == 2 and len(network.fine_decoder.pictures) == 4


def test_the_uniform_variant_keeps_the_numbers_and_names_of_its_checkpoints():
    with torch.device("meta"):
        network = UniformMAT()
    assert count(network) == 63_302_376
    names = set(network.state_dict())
    assert {"coarse_decoder.first.noise", "coarse_decoder.pictures.0.conv.weight", "coarse_style.to_map.bias"} <= names
    assert not any("narrow" in name or "plain" in name for name in names)
    assert network.coarse_style.shrink[-1].weight.shape == (180, 180, 3, 3) and len(network.coarse_style.shrink) == 3


def test_a_recorded_mat_with_a_style_is_the_uniform_one():
    settings = {"width": 16, "style": 8}
    before = {"generator": {"_target_": "inpaint.networks.generators.mat.MAT", **settings}}
    assert renamed(before)["generator"] == {"_target_": "inpaint.networks.generators.mat.UniformMAT", **settings}
    now = {"_target_": "inpaint.networks.generators.mat.MAT", "width": 16}
    assert renamed(now) == now


@pytest.mark.parametrize("kind", [MAT, UniformMAT])
def test_a_copy_paints_the_same(kind):
    image, mask = picture()
    network = tiny(kind)
    network(image, mask)
    again = tiny(kind)
    again.load_state_dict(copy.deepcopy(network.state_dict()))
    with torch.no_grad():
        assert torch.equal(network.eval()(image, mask).output, again.eval()(image, mask).output)


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"heads": 3}, "heads"), ({"depths": (1, 1), "windows": (4, 4)}, "depths"), ({"windows": (4,)}, "depths"),
     ({"mapping": 0}, "mapping"), ({"windows": (4, 0, 4)}, "windows"), ({"halvings": 0}, "halvings")],
)  # fmt: skip
def test_impossible_numbers(settings, key):
    with pytest.raises(ValueError, match=rf"^generator\.{key}\b"):
        tiny(**settings)
