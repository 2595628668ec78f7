"""Sequences, choices and random orders of degradations; the chains of blind super-resolution."""

import pytest
import torch

from inpaint.degradations import (
    BSRGAN,
    Degradation,
    GaussianNoise,
    Grey,
    OneOf,
    RealESRGAN,
    Resize,
    Sequence,
)
from inpaint.degradations.synthetic import Draw
from inpaint.settings import Refused
from tests.degradations.test_kinds import keys, photographs


class Digit(Degradation):
    """Writes a digit behind those that are there."""

    def __init__(self, digit):
        super().__init__()
        self.digit = digit

    def apply(self, image, keys):
        return 10 * image + self.digit


def written(kinds, samples=600, **settings):
    """What each of many pictures went through, as a number of digits."""
    made = Sequence(kinds, stored=False, **settings)(torch.zeros(samples, 3, 2, 2), keys(samples))
    return made[:, 0, 0, 0].int().tolist()


DIGITS = {"one": Digit(1), "two": Digit(2), "three": Digit(3)}


def test_a_sequence_goes_as_written():
    assert set(written(DIGITS)) == {123}


def test_every_random_order_is_equally_likely():
    numbers = written(DIGITS, order="random")
    assert set(numbers) == {123, 132, 213, 231, 312, 321}
    assert all(60 < numbers.count(number) < 140 for number in set(numbers))


@pytest.mark.parametrize("order", ["written", "random"])
def test_probabilities_are_those_of_each_step(order):
    numbers = written(DIGITS, probabilities={"two": 0.3}, order=order)
    assert all("1" in str(number) and "3" in str(number) for number in numbers)
    assert 130 < sum("2" in str(number) for number in numbers) < 230
    assert set(written(DIGITS, probabilities={"two": 0.0}, order=order)) <= {13, 31}


def test_what_a_step_draws_depends_on_its_name_alone():
    image, own = photographs(), keys()
    alone = Sequence({"noise": GaussianNoise()}, stored=False)(image, own)
    behind = Sequence({"grey": Grey(), "noise": GaussianNoise()}, stored=False)(image, own)
    assert (behind - Grey()(image, own)).numpy() == pytest.approx((alone - image).numpy(), abs=1e-6)


def test_a_choice_takes_each_by_its_share():
    made = OneOf(DIGITS, {"one": 1, "two": 2, "three": 0})(torch.zeros(600, 3, 2, 2), keys(600))[:, 0, 0, 0].int()
    assert set(made.tolist()) == {1, 2} and 150 < (made == 1).sum() < 250


def test_a_gpus_way_gives_what_a_cpus_does(monkeypatch):
    from inpaint.degradations import combine

    def of_all(kind, image, keys, chosen):
        return torch.where(chosen.view(-1, 1, 1, 1), kind(image, keys), image)

    kinds = {"noise": GaussianNoise(), "one": Digit(1), "grey": Grey()}
    whole = Sequence(kinds, {"noise": 0.5, "grey": 0.5}, "random", stored=False)
    image, own = photographs(6), keys(6)
    expected = whole(image, own)
    monkeypatch.setattr(combine, "applied", of_all)
    assert torch.equal(whole(image, own), expected)


def test_scales_multiply_and_have_their_place():
    assert Sequence({"a": Resize(2), "noise": GaussianNoise(), "b": Resize(3)}).scale == 6
    image = photographs(2)
    assert Sequence({"a": Resize(2), "noise": GaussianNoise()})(image, keys(2)).shape == (2, 3, 24, 24)
    for wrong in (
        lambda: Sequence({"a": Resize(2)}, order="random"),
        lambda: Sequence({"a": Resize(2)}, {"a": 0.5}),
        lambda: OneOf({"a": Resize(2)}),
    ):
        with pytest.raises(Refused, match=r"^degradation.kinds"):
            wrong()


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        (lambda: Sequence({}), "degradation.kinds"),
        (lambda: Sequence(DIGITS, {"four": 1}), "degradation.probabilities"),
        (lambda: Sequence(DIGITS, {"one": 2}), "degradation.probabilities.one"),
        (lambda: Sequence(DIGITS, order="any"), "degradation.order"),
        (lambda: OneOf(DIGITS, {"one": 1}), "degradation.probabilities"),
        (lambda: OneOf(DIGITS, dict.fromkeys(DIGITS, 0)), "degradation.probabilities"),
        (lambda: RealESRGAN(0), "degradation.scale"),
    ],
)
def test_what_means_nothing_is_refused_by_its_key(wrong, key):
    with pytest.raises(Refused, match=f"^{key}: "):
        wrong()


@pytest.mark.parametrize("chain", [RealESRGAN, BSRGAN])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_chain_keeps_what_the_picture_shows(chain, scale):
    """Its mean colour and its coarse structure, through every branch that 40 keys take."""
    image = photographs(1).expand(40, -1, -1, -1)
    made = chain(scale)(image, keys(40))
    assert made.shape == (40, 3, 48 // scale, 48 // scale) and made.isfinite().all()
    coarse = torch.nn.functional.adaptive_avg_pool2d(made, 4).flatten(1)
    truth = torch.nn.functional.adaptive_avg_pool2d(image, 4).flatten(1)
    alike = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(coarse, truth, strict=True)])
    assert alike.median() > 0.96 and alike.quantile(0.1) > 0.7
    assert (made.mean((1, 2, 3)) - image.mean((1, 2, 3))).abs().median() < 0.05


def draws(count):
    return [Draw(key[None], key[None]) for key in keys(count)]


def test_fewer_pixels_of_bsrgan_lie_where_they_lay():
    """Those that a filter thins out stand for the middle of their block of 4 x 4."""
    ramp = torch.linspace(-1, 1, 128).expand(1, 3, 128, 128)
    thinned = [BSRGAN(4)._down(ramp, 4, draw) for draw in draws(40) if not draw.happens("resize", 0.75)]
    middles = ramp.unfold(3, 4, 4).mean(-1)[0, 0, 0]
    assert len(thinned) > 4
    for made in thinned:
        assert made[0, 0, 16, 8:-8].tolist() == pytest.approx(middles[8:-8].tolist(), abs=1e-4)


def test_blurs_of_bsrgan_have_the_published_variances():
    """A long one's are drawn below 4 + scale along each axis, a round one's deviation below 2 + scale / 5."""
    point = torch.zeros(1, 3, 61, 61)
    point[..., 30, 30] = 1
    squares = (torch.arange(61.0) - 30).square()
    blurred = [BSRGAN(4)._blur(point, 4, "first blur", draw)[0, 0] for draw in draws(60)]
    variances = torch.tensor([[(made.sum(axis) @ squares).item() for axis in (0, 1)] for made in blurred])
    assert variances.max() < 8 and variances.mean() > 2


def test_noise_of_correlated_channels_has_one_strength():
    grey = torch.zeros(1, 3, 64, 64)
    kind = {"colour": 0.4, "grey": 0.4, "correlated": 0.2}
    noisy = [BSRGAN()._noise(grey, d) for d in draws(60) if d.one_of("noise of channels", kind) == "correlated"]
    strongest = [torch.linalg.eigvalsh(torch.cov(made[0].flatten(1)))[-1].sqrt().item() * 127.5 for made in noisy]
    assert len(strongest) > 5 and max(strongest) > 20 and max(strongest) < 26


def test_choices_of_a_chain_have_their_shares():
    drawn = draws(500)
    words = [draw.one_of("kind", {"a": 0.7, "b": 0.2, "c": 0.1}) for draw in drawn]
    assert 320 < words.count("a") < 380 and 30 < words.count("c") < 70
    numbers = [draw.whole("side", (3, 5)) for draw in drawn]
    assert set(numbers) == {3, 4, 5} and all(130 < numbers.count(number) < 205 for number in (3, 4, 5))
    assert {tuple(draw.order("order", 3)) for draw in drawn} == {
        (0, 1, 2),
        (0, 2, 1),
        (1, 0, 2),
        (1, 2, 0),
        (2, 0, 1),
        (2, 1, 0),
    }
