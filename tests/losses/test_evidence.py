"""The evidence bound against torch.distributions and by hand: what is summed and what is averaged."""

import pytest
import torch
from torch.distributions import Bernoulli, Laplace, Normal, kl_divergence

from inpaint.batch import Outputs, Posterior
from inpaint.losses.evidence import KL, Likelihood
from inpaint.schedules import Ramp, weight_at


def outputs(posterior=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    output = torch.rand(3, 3, 6, 5, generator=generator) * 1.8 - 0.9
    if posterior is None:
        mean, log_variance = torch.randn(2, 3, 4, generator=generator)
        posterior = Posterior(mean, log_variance, torch.tensor(-0.7))
    return Outputs(output=output, composite=output, posterior=posterior)


def batch():
    generator = torch.Generator().manual_seed(9)
    mask = (torch.rand(3, 1, 6, 5, generator=generator) < 0.5).float()
    return {"image": torch.rand(3, 3, 6, 5, generator=generator) * 2 - 1, "mask": mask, "index": torch.arange(3)}


def scale():
    return (-6 + torch.nn.functional.softplus(torch.tensor(-0.7 + 6))).exp()


@pytest.mark.parametrize(
    ("kind", "law"),
    [("gaussian", lambda x: Normal(x, scale())), ("laplace", lambda x: Laplace(x, scale())), ("bernoulli", None)],
)
def test_a_likelihood_is_that_of_torchs_distributions(kind, law):
    made, truth = outputs(), batch()
    if law is None:
        each = Bernoulli((made.output + 1) / 2, validate_args=False).log_prob((truth["image"] + 1) / 2)
    else:
        each = law(made.output).log_prob(truth["image"])
    expected = -(each * truth["mask"]).flatten(1).sum(1).mean()
    assert Likelihood(kind=kind)(made, truth).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_divergence_is_that_of_torchs_distributions_summed_over_the_noise():
    made = outputs()
    mean, deviation = made.posterior.mean, (made.posterior.log_variance / 2).exp()
    expected = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum(1).mean()
    assert KL()(made, batch()).item() == pytest.approx(expected.item(), rel=1e-5)
    assert made.posterior.figures()["nats"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_twice_as_many_pixels_are_twice_as_many_nats_and_more_pictures_are_not():
    made, truth = outputs(), batch()
    once = Likelihood()(made, truth).item()
    wide = Outputs(*(torch.cat([made.output, made.output], 3),) * 2, posterior=made.posterior)
    wider = {name: torch.cat([value, value], 3) for name, value in truth.items() if name != "index"}
    assert Likelihood()(wide, wider).item() == pytest.approx(2 * once, rel=1e-5)
    many = Outputs(*(torch.cat([made.output, made.output]),) * 2, posterior=made.posterior)
    more = {name: torch.cat([value, value]) for name, value in truth.items()}
    assert Likelihood()(many, more).item() == pytest.approx(once, rel=1e-5)


def test_the_learnt_scale_ends_at_the_error():
    """Where its gradient is 0, the scale is the root of the mean square, the best weight of the term."""
    error, truth = 0.3, batch()
    log_scale = torch.tensor(error).log().requires_grad_()
    posterior = Posterior(torch.zeros(3, 1), torch.zeros(3, 1), log_scale)
    painted = truth["image"] + error
    term = Likelihood()(Outputs(painted, painted, posterior=posterior), truth)
    (slope,) = torch.autograd.grad(term, log_scale)
    values = truth["mask"].sum() * 3 / 3
    assert abs(slope / values) < 0.02
    low = Posterior(torch.zeros(3, 1), torch.zeros(3, 1), torch.tensor(-50.0))
    assert Likelihood()(Outputs(painted, painted, posterior=low), truth).isfinite()


def test_free_bits_cost_nothing_less_and_a_warm_up_rises():
    posterior = Posterior(torch.tensor([[0.1, 2.0]]).requires_grad_(), torch.zeros(1, 2), torch.tensor(0.0))
    made = Outputs(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), posterior=posterior)
    assert KL()(made, batch()).item() == pytest.approx(0.005 + 2)
    term = KL(free_bits=0.25)(made, batch())
    assert term.item() == pytest.approx(0.25 + 2)
    (slope,) = torch.autograd.grad(term, posterior.mean)
    assert slope.tolist() == [[0, 2]], "a number below them is left alone"
    ramp = KL(Ramp(0.0, 1.0, 0, 10)).weight
    assert [weight_at(ramp, update) for update in (0, 5, 20)] == [0, 0.5, 1]
    with pytest.raises(ValueError, match=r"losses\.kl\.free_bits: -1 is negative"):
        KL(free_bits=-1)
    with pytest.raises(ValueError, match=r"losses\.likelihood\.kind"):
        Likelihood(kind="poisson")


def test_units_that_say_something_are_counted():
    mean = torch.tensor([[0.0, 1.0, 0.01], [0.0, -1.0, -0.01]])
    figures = Posterior(mean, torch.zeros(2, 3), torch.tensor(0.0)).figures()
    assert figures["active_units"] == 1
