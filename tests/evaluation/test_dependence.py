"""What a fill depends on, of fills whose dependence is known exactly, and where attention goes, place by place."""

import pytest
import torch
from torch import nn

from inpaint import rng
from inpaint.batch import Batch, compose, given
from inpaint.evaluation.dependence import SHIFT, _painted, attention, explained, occlusion, overlaid
from inpaint.fills import Mean
from inpaint.networks.generators.gated_conv import ContextualAttention
from inpaint.networks.layers import SelfAttention
from inpaint.networks.mat_layers import WindowAttention


def pictures(count=2, height=24, width=30):
    """With room on both sides of each value for a change, so that nothing is clamped."""
    image = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(7)) - 0.5
    mask = torch.zeros(count, 1, height, width)
    mask[0, 0, 8:15, 10:19] = 1
    mask[1:, 0, 0:6, 20:30] = 1
    return Batch(image=image, mask=mask, index=torch.arange(count))


class Copies(nn.Module):
    """The mean of a box of known pixels, everywhere in the hole."""

    def __init__(self, rows, columns):
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, image, mask):
        colour = image[:, :, self.rows, self.columns].mean((2, 3), keepdim=True)
        return compose(colour.expand_as(image), image, mask)


def test_a_copy_of_one_pixel_depends_on_its_block_alone():
    found = occlusion(Copies(slice(17, 18), slice(23, 24)), pictures(), 4)
    expected = torch.zeros(2, 6, 8)
    expected[:, 4, 5] = SHIFT * 127.5
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_a_mean_depends_on_each_block_by_its_share():
    """Rows 16 to 21 and columns 2 to 8: blocks of 4 pixels hold 2, 4 and 1 columns and 4 and 2 rows of it."""
    found = occlusion(Copies(slice(16, 22), slice(2, 9)), pictures(), 4)
    expected = torch.zeros(2, 6, 8)
    expected[:, 4, :3] = torch.tensor([8, 16, 4]) / 42
    expected[:, 5, :3] = torch.tensor([4, 8, 2]) / 42
    torch.testing.assert_close(found, expected * SHIFT * 127.5, rtol=0, atol=1e-3)


def test_known_pixels_alone_are_changed_and_what_holds_none_is_0(monkeypatch):
    batch = pictures()
    found = occlusion(Mean(), batch, 5)
    known = 1 - batch["mask"]
    count = known.unfold(2, 5, 5).unfold(3, 5, 5).sum((4, 5))[:, 0]  # 20 of 24 rows; the last are narrower
    expected = count / known.sum((1, 2, 3))[:, None, None] * SHIFT * 127.5
    torch.testing.assert_close(found[:, :4], expected, rtol=0, atol=1e-3)
    assert (found[1, 0, 4:] == 0).all() and found[0, 4].min() > 0 and (expected == 0).any()
    monkeypatch.setattr("inpaint.evaluation.dependence.AT_ONCE", 1)
    torch.testing.assert_close(occlusion(Mean(), batch, 5), found)
    batch["mask"] = torch.zeros_like(batch["mask"])
    assert (occlusion(Mean(), batch, 5) == 0).all()


def test_no_pixel_of_the_hole_is_changed():
    """All but the last row and column of a box lies in the hole, of whose pixels a network might read what is given."""
    found = occlusion(Copies(slice(8, 16), slice(10, 20)), pictures(), 24)[0]
    assert found.tolist() == [[pytest.approx((10 + 7) / 80 * SHIFT * 127.5, abs=1e-3), 0]]


class Draws(nn.Module):
    """Noise, and nothing of the picture."""

    def forward(self, image, mask):
        return compose(rng.normal_for(image, *image.shape[1:]), image, mask)


def test_what_a_network_draws_is_no_dependence():
    assert (occlusion(Draws(), pictures(), 6) == 0).all()


def test_the_fill_that_is_shown_is_the_one_that_is_explained():
    batch, keys = pictures(), rng.fold(torch.arange(2), "evaluation")
    columns, _ = explained(Draws(), batch, 6)
    with rng.of_samples(keys):
        drawn = rng.normal_for(batch["image"], *batch["image"].shape[1:])
    assert torch.equal(columns["filled"], torch.where(batch["mask"] > 0.5, drawn, batch["image"]))
    assert torch.equal(_painted(Draws(), batch, 1, given(batch)[1:], keys[1:])[0], columns["filled"][1])


def test_the_sheet_has_the_most_in_the_last_colour_and_the_hole_in_white():
    batch = pictures()
    columns, most = explained(Copies(slice(17, 18), slice(23, 24)), batch, 4)
    assert list(columns) == ["given", "filled", "depends on"] and most == pytest.approx([SHIFT * 127.5] * 2)
    shown = columns["depends on"]
    torch.testing.assert_close(shown[:, :, 17, 21], torch.tensor([[1.0, 1.0, -0.2]]).expand(2, 3))
    assert (shown.masked_select(batch["mask"] > 0) == 1).all()
    grey = overlaid(batch, torch.zeros(2, 6, 8))
    assert (grey[:, 0] == grey[:, 2]).all() and grey.min() >= -1


# ---- attention ------------------------------------------------------------------------------------------------------


class Attends(nn.Module):
    """A picture through one attention layer at its own size."""

    def __init__(self, layer, *inputs):
        super().__init__()
        self.layer, self.inputs = layer, inputs

    def forward(self, image, mask):
        self.layer(*(make(image, mask) for make in self.inputs))
        return compose(image, image, mask)


def features(channels):
    def make(image, mask):
        return image.repeat(1, -(-channels // 3), 1, 1)[:, :channels]

    return make


def test_self_attention_of_the_hole_place_by_place():
    torch.manual_seed(0)
    layer, batch = SelfAttention(16, spectral=False).eval(), pictures(2, 6, 7)
    batch["mask"] = torch.zeros(2, 1, 6, 7)
    batch["mask"][:, 0, 2, 3:5] = 1
    for parameter in layer.parameters():
        parameter.data.mul_(4)
    (found,) = attention(Attends(layer, features(16)), batch).values()
    x = features(16)(batch["image"] * (1 - batch["mask"]), None).flatten(2)
    query, key = (torch.einsum("oc,bcn->bno", w.weight[:, :, 0, 0], x) for w in (layer.query, layer.key))
    for sample in range(2):
        asked = [2 * 7 + 3, 2 * 7 + 4]
        rows = [torch.softmax(torch.stack([query[sample, p] @ k for k in key[sample]]), 0) for p in asked]
        expected = torch.stack(rows).mean(0).view(1, 6, 7)
        torch.testing.assert_close(found[sample], expected, rtol=1e-4, atol=1e-6)


def test_contextual_attention_gets_nothing_from_the_hole_and_most_from_what_is_alike():
    """The hole's border repeats a stripe that stands elsewhere too."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32) * 0.1
    image[..., 4:12, 4:12] = torch.rand(1, 3, 8, 8) * 4 + 1
    image[..., 20:28, 20:28] = image[..., 4:12, 4:12]
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 22:26, 22:26] = 1
    layer = ContextualAttention()
    found = layer.attended(image, mask, asking=mask)
    weights = layer._weights(image, mask)
    asked = nn.functional.adaptive_avg_pool2d(mask, 16).flatten()
    expected = (weights[0] * (asked / asked.sum())).sum(1)
    torch.testing.assert_close(found.flatten(), expected / expected.sum())
    assert found.sum() == pytest.approx(1) and (found[..., 11:13, 11:13] == 0).all()
    assert found[..., 2:6, 2:6].sum() > 0.5


@pytest.mark.parametrize("shifted", [False, True])
@torch.no_grad()
def test_attention_within_windows_is_that_of_the_layer(shifted):
    """Values that name a single token bring out how much of it comes to the places that ask."""
    torch.manual_seed(0)
    layer, valid = WindowAttention(8, 2, 4, shifted).eval(), torch.ones(1, 8, 8, 1)
    valid[:, :4, :4] = 0
    x, asking = torch.randn(1, 8, 8, 8), torch.zeros(1, 1, 8, 8)
    asking[..., 5:7, 1:4] = 1
    found = layer.attended(x, valid, asking=asking)

    gets = torch.zeros(8, 8)
    layer.out = nn.Identity()
    for row in range(8):
        for column in range(8):
            marked = torch.zeros(1, 8, 8, 8)
            marked[0, row, column] = 1
            layer.value.forward = lambda source, marked=marked: _same_cut(layer, marked)
            brought, _ = layer(x, valid)
            gets[row, column] = (brought.mean(-1) * asking[:, 0]).sum() / asking.sum()
    torch.testing.assert_close(found[0, 0], gets / gets.sum(), rtol=1e-4, atol=1e-6)
    assert found.sum() == pytest.approx(1)


def _same_cut(layer, tokens):
    from inpaint.networks.mat_layers import _Windows

    return _Windows(tokens, layer.window, layer.shifted).split(tokens)


def test_a_network_without_attention_has_no_maps():
    assert attention(Copies(slice(17, 18), slice(23, 24)), pictures()) == {}
