import math

import pytest
import torch
import torch.nn.functional as F

from inpaint.batch import compose
from inpaint.losses.reconstruction import L1, L2, PSNR, Charbonnier, distance_to_known

LOSSES = [
    (L1, abs),
    (L2, lambda difference: difference**2),
    (Charbonnier, lambda difference: math.sqrt(difference**2 + 1e-6)),
]


def steps_to_known(mask, y, x):
    """City-block distance to the nearest known pixel, by looking at all."""
    known = (mask == 0).nonzero().tolist()
    return min((abs(y - row) + abs(x - column) for row, column in known), default=sum(mask.shape))


def by_hand(outputs, batch, error, region="all", per="region", of="output", discount=1.0, band=0, band_weight=10.0):
    """The definition, pixel by pixel."""
    total, count = 0.0, 0
    painted = getattr(outputs, of)
    for sample in range(len(painted)):
        for y in range(painted.shape[2]):
            for x in range(painted.shape[3]):
                hole = batch["mask"][sample, 0, y, x].item() == 1
                counts = region == "all" or hole == (region == "hole")
                count += {"region": counts, "image": True, "hole": hole}[per]
                steps = steps_to_known(batch["mask"][sample, 0], y, x) if hole and (band or discount < 1) else 0
                importance = discount**steps * (band_weight if 0 < steps <= band else 1)
                if counts:
                    for channel in range(3):
                        place = (sample, channel, y, x)
                        total += importance * error(painted[place].item() - batch["image"][place].item())
    return total / (3 * count)


@pytest.mark.parametrize(("loss", "error"), LOSSES)
@pytest.mark.parametrize("region", ["hole", "known", "all"])
@pytest.mark.parametrize("per", ["region", "image", "hole"])
@pytest.mark.parametrize("of", ["output", "composite"])
def test_against_a_hand_computation(batch, loss, error, region, per, of):
    output = batch["image"].flip(0)
    outputs = compose(output, batch["image"], batch["mask"])
    value = loss(region=region, per=per, of=of)(outputs, batch)
    assert value.shape == () and value.dtype == torch.float32
    assert value.item() == pytest.approx(by_hand(outputs, batch, error, region, per, of), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("loss", "error"), LOSSES)
@pytest.mark.parametrize(
    "settings",
    [
        {"region": "hole", "discount": 0.9},
        {"region": "all", "per": "image", "discount": 0.5, "of": "composite"},
        {"region": "hole", "band": 2},
        {"region": "all", "band": 1, "band_weight": 3.0, "discount": 0.7},
    ],
)
def test_pixels_that_count_more(batch, loss, error, settings):
    outputs = compose(batch["image"].flip(0), batch["image"], batch["mask"])
    value = loss(**settings)(outputs, batch)
    assert value.item() == pytest.approx(by_hand(outputs, batch, error, **settings), rel=1e-5)


def test_the_distance_to_the_known():
    mask = (torch.rand(5, 1, 9, 13, generator=torch.Generator().manual_seed(0)) < 0.8).float()
    mask[1] = 1  # nothing is known
    mask[2] = 0
    mask[3] = 1
    mask[3, 0, 8, 0] = 0  # a hole at three borders of the picture
    distance = distance_to_known(mask)
    assert distance.dtype == torch.float32 and distance.shape == mask.shape
    for sample in range(5):
        for y in range(9):
            for x in range(13):
                hole = mask[sample, 0, y, x] == 1
                assert distance[sample, 0, y, x] == (steps_to_known(mask[sample, 0], y, x) if hole else 0)


@pytest.mark.parametrize("loss", [L1, L2, Charbonnier])
def test_a_step_leads_to_the_truth_where_the_loss_looks(batch, loss):
    output = batch["image"].flip(0).clone().requires_grad_(True)
    settings = {"region": "hole", "discount": 0.9, "band": 2}
    loss(**settings)(compose(output, batch["image"], batch["mask"]), batch).backward()
    towards = -output.grad * (batch["image"] - output.detach())
    hole = (batch["mask"] == 1).expand_as(towards)
    apart = (batch["image"] - output.detach()).abs() > 1e-6
    assert (towards[hole & apart] > 0).all() and (output.grad[~hole] == 0).all()


def test_weight_is_left_to_the_module(batch):
    outputs = compose(batch["image"].flip(0), batch["image"], batch["mask"])
    assert torch.equal(L1(weight=5.0)(outputs, batch), L1()(outputs, batch))


def test_the_first_stage(batch):
    coarse = batch["image"].flip(0)
    outputs = compose(batch["image"], batch["image"], batch["mask"], coarse)
    assert L1(of="coarse").needs == {"coarse"}
    assert torch.equal(L1(of="coarse")(outputs, batch), (coarse - batch["image"]).abs().mean())


def test_edge_connects_division_by_the_mean_of_the_mask(batch):
    outputs = compose(batch["image"].flip(0), batch["image"], batch["mask"])
    published = F.l1_loss(outputs.output, batch["image"]) / batch["mask"].mean()
    assert torch.allclose(L1(per="hole")(outputs, batch), published)


@pytest.mark.parametrize(
    "settings", [{"region": "hole"}, {"region": "known"}, {"region": "all", "per": "hole"}], ids=str
)
def test_an_empty_region_is_zero_with_a_finite_gradient(batch, settings):
    batch["mask"] = torch.full_like(batch["mask"], float(settings["region"] == "known"))
    output = batch["image"].flip(0).requires_grad_(True)
    value = L2(**settings)(compose(output, batch["image"], batch["mask"]), batch)
    value.backward()
    assert value == 0 and output.grad.isfinite().all()


@pytest.mark.parametrize("loss", [L1, L2, Charbonnier])
def test_half_precision_outputs_are_summed_in_float32(batch, loss):
    half = batch["image"].flip(0).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(discount=0.9)(compose(half, batch["image"], batch["mask"]), batch)
    exact = loss(discount=0.9)(compose(half.float(), batch["image"], batch["mask"]), batch)
    assert value.dtype == torch.float32 and torch.allclose(value, exact)


@pytest.mark.parametrize(
    ("loss", "wrong", "message"),
    [
        (L1, {"region": "holes"}, r"losses\.l1\.region: give one of hole, known, all; got 'holes'"),
        (L2, {"per": "pixel"}, r"losses\.l2\.per: "),
        (Charbonnier, {"of": "raw"}, r"losses\.charbonnier\.of: "),
        (L1, {"discount": 1.5}, r"losses\.l1\.discount: 1.5 is outside"),
        (L1, {"band": -1}, r"losses\.l1\.band: "),
        (L1, {"region": "known", "band": 4}, r"losses\.l1\.region: discount and band"),
        (Charbonnier, {"epsilon": 0}, r"losses\.charbonnier\.epsilon: 0 is not positive"),
    ],
)
def test_a_wrong_choice_names_its_key(loss, wrong, message):
    with pytest.raises(ValueError, match=message):
        loss(**wrong)


def test_psnr_is_of_each_picture_in_decibels(batch):
    """Pictures that are 0.1 and 0.01 of the range off have 20 and 40 dB, whose mean is 30."""
    off = torch.tensor([0.2, 0.02, 0.2, 0.02]).view(-1, 1, 1, 1)
    outputs = compose(batch["image"] + off, batch["image"], torch.ones_like(batch["mask"]))
    assert PSNR()(outputs, batch).item() == pytest.approx(-30, abs=0.01)
    right = compose(batch["image"], batch["image"], batch["mask"])
    assert PSNR()(right, batch).item() == pytest.approx(-80)
