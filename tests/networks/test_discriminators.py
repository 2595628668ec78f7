import pytest
import torch

from inpaint.networks.discriminators import Patch


def test_a_logit_sees_34_pixels_with_two_layers():
    network = Patch(width=4, layers=2, spectral=False)
    image = torch.randn(1, 3, 64, 64, requires_grad=True)
    verdict = network(image, torch.zeros(1, 1, 64, 64))
    (logits,), ((*features,),) = verdict.logits, verdict.features
    assert [feature.shape[1] for feature in features] == [4, 8, 16]
    assert logits.shape[:2] == (1, 1)
    logits[0, 0, 7, 7].backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 34


@pytest.mark.parametrize("sees_mask", [True, False])
def test_the_mask_is_seen_or_not(sees_mask):
    network = Patch(width=4, layers=2, sees_mask=sees_mask).eval()
    image = torch.randn(2, 3, 32, 32)
    zeros, ones = (network(image, full(2, 1, 32, 32)).logits[0] for full in (torch.zeros, torch.ones))
    same = torch.equal(zeros, ones)
    assert same != sees_mask


def test_spectral_norm_bounds_every_layer():
    network = Patch(width=8, layers=2)
    image, mask = torch.randn(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    for _ in range(50):
        network(image, mask)
    assert not hasattr(network.last, "parametrizations")
    for layer in network.layers:
        largest = torch.linalg.matrix_norm(layer[0].weight.detach().flatten(1), 2)
        assert largest == pytest.approx(1, abs=0.02)


def test_impossible_layers():
    with pytest.raises(ValueError, match=r"discriminator\.layers"):
        Patch(layers=0)
