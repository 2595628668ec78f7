import pytest
import torch

from inpaint.batch import compose
from inpaint.losses.reconstruction import L1, L2

LOSSES = [(L1, abs), (L2, lambda difference: difference**2)]


def by_hand(outputs, batch, error, region, per, of):
    """The definition, pixel by pixel."""
    total, count = 0.0, 0
    painted = getattr(outputs, of)
    for sample in range(len(painted)):
        for y in range(painted.shape[2]):
            for x in range(painted.shape[3]):
                hole = batch["mask"][sample, 0, y, x].item() == 1
                counts = region == "all" or hole == (region == "hole")
                count += counts or per == "image"
                if counts:
                    for channel in range(3):
                        place = (sample, channel, y, x)
                        total += error(painted[place].item() - batch["image"][place].item())
    return total / (3 * count)


@pytest.mark.parametrize(("loss", "error"), LOSSES)
@pytest.mark.parametrize("region", ["hole", "known", "all"])
@pytest.mark.parametrize("per", ["region", "image"])
@pytest.mark.parametrize("of", ["output", "composite"])
def test_against_a_hand_computation(batch, loss, error, region, per, of):
    output = batch["image"].flip(0)
    outputs = compose(output, batch["image"], batch["mask"])
    value = loss(region=region, per=per, of=of)(outputs, batch)
    assert value.shape == () and value.dtype == torch.float32
    assert value.item() == pytest.approx(by_hand(outputs, batch, error, region, per, of), rel=1e-5, abs=1e-9)


def test_weight_is_left_to_the_module(batch):
    outputs = compose(batch["image"].flip(0), batch["image"], batch["mask"])
    assert torch.equal(L1(weight=5.0)(outputs, batch), L1()(outputs, batch))


@pytest.mark.parametrize("region", ["hole", "known"])
def test_an_empty_region_is_zero_with_a_finite_gradient(batch, region):
    batch["mask"] = torch.full_like(batch["mask"], float(region == "known"))
    output = batch["image"].flip(0).requires_grad_(True)
    value = L2(region=region)(compose(output, batch["image"], batch["mask"]), batch)
    value.backward()
    assert value == 0 and output.grad.isfinite().all()


def test_half_precision_outputs_are_summed_in_float32(batch):
    outputs = compose(batch["image"].flip(0).bfloat16(), batch["image"], batch["mask"])
    assert L1()(outputs, batch).dtype == torch.float32


@pytest.mark.parametrize("wrong", [{"region": "holes"}, {"per": "pixel"}, {"of": "raw"}])
def test_a_wrong_choice_names_its_key(wrong):
    (key,) = wrong
    with pytest.raises(ValueError, match=rf"losses\.l1\.{key}: "):
        L1(**wrong)
