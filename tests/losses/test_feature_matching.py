import numpy as np
import pytest
import torch

from inpaint.batch import Outputs, Verdict
from inpaint.losses.feature_matching import FeatureMatching
from inpaint.networks.discriminators import MultiScale


def verdict(seed, counts=(3, 2)):
    generator = torch.Generator().manual_seed(seed)
    shapes = [[(2, 4 + layer, 6 - scale, 5) for layer in range(count)] for scale, count in enumerate(counts)]
    features = [[torch.randn(shape, generator=generator, requires_grad=True) for shape in scale] for scale in shapes]
    return Verdict(tuple(torch.zeros(2, 1, 3, 3) for _ in counts), tuple(tuple(scale) for scale in features))


def matched(real, fake, **settings):
    picture = torch.zeros(2, 3, 8, 8)
    return FeatureMatching(**settings)(Outputs(picture, picture, real=real, fake=fake), {})


@pytest.mark.parametrize("error", ["l1", "l2"])
@pytest.mark.parametrize(("total", "scale_weights"), [(4.0, None), (1.0, (0.25, 0.75))])
def test_against_numpy(error, total, scale_weights):
    real, fake = verdict(0), verdict(1)
    expected = 0.0
    for scale in range(2):
        for mine, true in zip(fake.features[scale], real.features[scale], strict=True):
            difference = mine.detach().numpy() - true.detach().numpy()
            value = np.abs(difference).mean() if error == "l1" else (difference**2).mean()
            expected += (scale_weights or (0.5, 0.5))[scale] * total / len(fake.features[scale]) * value
    value = matched(real, fake, error=error, total=total, scale_weights=scale_weights)
    assert value.dtype == torch.float32 and value.item() == pytest.approx(expected, rel=1e-5)


def test_only_the_fakes_features_move_and_they_move_to_the_real_ones():
    real, fake = verdict(0), verdict(1)
    matched(real, fake).backward()
    for scale in range(2):
        for mine, true in zip(fake.features[scale], real.features[scale], strict=True):
            assert true.grad is None
            assert (mine.grad * (mine - true).detach() > 0).all()


def test_half_precision_features_are_compared_in_float32():
    def cast(verdict, precision):
        return Verdict(verdict.logits, tuple(tuple(x.to(precision) for x in scale) for scale in verdict.features))

    halves = [cast(verdict(seed), torch.bfloat16) for seed in (0, 1)]
    exact = [cast(half, torch.float32) for half in halves]
    with torch.autocast("cpu", torch.bfloat16):
        value = matched(*halves)
    assert torch.equal(value, matched(*exact))


def test_a_step_of_the_picture_brings_it_closer_to_the_truth_for_the_discriminator():
    torch.manual_seed(0)
    network = MultiScale(width=4)
    truth, mask = torch.rand(2, 3, 32, 32) * 2 - 1, torch.zeros(2, 1, 32, 32)
    output = torch.zeros_like(truth, requires_grad=True)

    def loss(output):
        both = network(torch.cat([truth, output]), torch.cat([mask, mask]))
        return matched(*both.halves())

    before = loss(output)
    before.backward()
    assert loss(output.detach() - 0.1 * output.grad / output.grad.abs().max()) < before
    assert matched(network(truth, mask), network(truth, mask)) == 0


def test_what_cannot_be_matched():
    assert FeatureMatching().needs == {"real", "fake"}
    bare = Verdict((torch.zeros(2, 1, 3, 3),))
    with pytest.raises(ValueError, match=r"losses\.feature_matching: this discriminator gives no features"):
        matched(bare, bare)
    with pytest.raises(ValueError, match=r"losses\.feature_matching\.scale_weights: 3 for a discriminator of 2"):
        matched(verdict(0), verdict(1), scale_weights=(1, 1, 1))
    with pytest.raises(ValueError, match=r"losses\.feature_matching\.error"):
        FeatureMatching(error="mse")
