import math

import pytest
import torch

from inpaint.losses.adversarial import Hinge
from inpaint.losses.reconstruction import L1
from inpaint.schedules import Ramp, cosine, linear, weight_at


def rates(steps, count, state=None):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = cosine(optimizer, steps)
    if state is not None:
        schedule.load_state_dict(state)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found, schedule.state_dict()


def test_half_a_cosine_then_zero():
    found, _ = rates(10, 13)
    assert found == pytest.approx([1 + math.cos(math.pi * step / 10) for step in range(10)] + [0, 0, 0])


def test_a_longer_run_follows_the_longer_schedule():
    _, state = rates(10, 5)
    found, _ = rates(20, 6, state)
    assert found[1:] == pytest.approx(rates(20, 11)[0][6:11])


def test_a_run_without_length():
    with pytest.raises(ValueError, match=r"trainer\.max_steps is -1"):
        rates(-1, 1)


def test_a_weight_goes_in_a_straight_line():
    ramp = Ramp(1.0, 3.0, begin=10, end=20)
    assert [weight_at(ramp, update) for update in (0, 10, 15, 20, 99)] == [1, 1, 2, 3, 3]
    assert weight_at(0.5, 7) == 0.5
    with pytest.raises(ValueError, match="begin must be"):
        Ramp(1, 2, begin=5, end=5)


def test_constant_then_a_straight_line():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule, found = linear(optimizer, 8, constant=0.5), []
    for _ in range(10):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert found == pytest.approx([2, 2, 2, 2, 2, 1.5, 1, 0.5, 0, 0])
    for wrong in ({"steps": 0}, {"steps": 5, "constant": 1.0}):
        with pytest.raises(ValueError, match="scheduler"):
            linear(optimizer, **wrong)


@pytest.mark.parametrize("weight", ["0.1", None, [1.0]])
def test_a_weight_is_a_number_or_a_ramp(weight):
    with pytest.raises(ValueError, match=r"losses, the weight of L1: .* is neither a number nor a ramp"):
        L1(weight)
    with pytest.raises(ValueError, match=r"adversarial\.weight: .* is neither a number nor a ramp"):
        Hinge(weight)
    ramp = Ramp(0, 1, 0, 10)
    assert L1(ramp).weight is ramp and Hinge(2).weight == 2
