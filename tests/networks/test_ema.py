import pytest
import torch
from torch import nn

from inpaint.networks.ema import MovingAverage


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_against_the_recursion_written_out():
    model = network()
    average = MovingAverage(model, decay=0.5)
    expected = {name: value.clone() for name, value in model.named_parameters()}
    for update in range(20):
        for parameter in model.parameters():
            parameter.data.add_(torch.randn(parameter.shape))
        average.update(model, update)
        decay = min(0.5, (1 + update) / (10 + update))
        for name, value in model.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * value.detach()
    for name, value in average.network.named_parameters():
        assert torch.allclose(value, expected[name], atol=1e-6)


def test_buffers_are_copied():
    model = network()
    average = MovingAverage(model)
    model(torch.randn(8, 3, 8, 8))
    average.update(model, 0)
    assert torch.equal(average.network[1].running_mean, model[1].running_mean)
    assert average.network[1].num_batches_tracked == 1


def test_frozen_apart_and_always_in_evaluation_mode():
    model = network()
    average = MovingAverage(model).train()
    assert not average.network.training
    assert not any(p.requires_grad for p in average.parameters())
    model[0].weight.data.zero_()
    assert average.network[0].weight.abs().sum() > 0


def test_impossible_decay():
    with pytest.raises(ValueError, match=r"module\.ema_decay"):
        MovingAverage(network(), decay=1.0)
