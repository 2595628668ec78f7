"""FID, KID and the discriminative scores against scipy, loops and scikit-learn; and draws."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from inpaint.evaluation.intervals import interval_around
from inpaint.metrics.distribution import (
    SET_FIGURES,
    caution,
    frechet_distance,
    resampled,
    separator,
)


def features(number, size, seed=0, shift=0.0, scale=1.0):
    """Correlated features, not normal, as a network's are: float64 (number, size)."""
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(size, size)) * np.linspace(1, 0.1, size)[:, None] / math.sqrt(size)
    return torch.from_numpy(np.maximum(scale * random.normal(size=(number, size)) @ mix + shift, 0))


def kernel_distance(a, b):
    return resampled("kid", a, b, torch.ones(1, len(a))).item()


def ids(real, fake):
    return tuple(resampled(figure, real, fake, torch.ones(1, len(real))).item() for figure in ("p_ids", "u_ids"))


def frechet_by_sqrtm(a, b):
    a, b = a.numpy(), b.numpy()
    first, second = (np.cov(x, rowvar=False) for x in (a, b))
    root = linalg.sqrtm(first @ second)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root.real)


@pytest.mark.parametrize(("first", "second"), [(300, 300), (200, 70), (33, 300), (32, 32)])
def test_fid_is_that_of_sqrtm(first, second):
    a, b = features(first, 32), features(second, 32, seed=1, shift=0.2, scale=1.3)
    assert frechet_distance(a, b) == pytest.approx(frechet_by_sqrtm(a, b), rel=1e-5)


def test_fid_with_fewer_pictures_than_features():
    """Where sqrtm of a singular product is no reference, embed: features of length 0 change nothing."""
    a, b = features(40, 12), features(50, 12, seed=1, shift=0.3)
    wide = [torch.cat([x, x.new_zeros(len(x), 60)], dim=1) for x in (a, b)]
    assert frechet_distance(*wide) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_by_sqrtm(a, b), rel=1e-6)


def test_fid_by_hand():
    a = torch.tensor([[0.0, 0], [2, 0], [0, 2], [2, 2]])  # covariance 4/3 of each feature
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 3) == pytest.approx(18)
    assert frechet_distance(a, 2 * a) == pytest.approx(2 + 2 * (math.sqrt(4 / 3) - math.sqrt(16 / 3)) ** 2)
    assert frechet_distance(torch.ones(5, 3), torch.zeros(6, 3)) == 3  # constant features


def kid_by_loops(a, b):
    a, b = a.numpy(), b.numpy()
    kernel = lambda x, y: (x @ y / len(x) + 1) ** 3  # noqa: E731
    alike = [np.mean([kernel(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j]) for x in (a, b)]
    return sum(alike) - 2 * np.mean([kernel(x, y) for x in a for y in b])


def test_kid_is_that_of_loops(monkeypatch):
    a, b = features(23, 8), features(23, 8, seed=1, shift=0.3)
    assert kernel_distance(a, b) == pytest.approx(kid_by_loops(a, b), rel=1e-9)
    monkeypatch.setattr("inpaint.metrics.distribution.BLOCK", 5)
    assert kernel_distance(a, b) == pytest.approx(kid_by_loops(a, b), rel=1e-9)


def test_kid_has_no_bias():
    found = [kernel_distance(features(20, 8, seed), features(20, 8, seed + 1000)) for seed in range(300)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))
    assert min(found) < 0


@pytest.mark.parametrize(("pictures", "size", "scale"), [(150, 10, 1.0), (150, 10, 30.0), (30, 80, 0.2)])
def test_the_separator_is_that_of_scikit_learn(pictures, size, scale):
    real, fake = scale * features(pictures, size), scale * features(pictures, size, seed=1, shift=0.05)
    direction, offset = separator(real, fake)
    from sklearn.svm import LinearSVC

    svm = LinearSVC(dual=False, tol=1e-10, max_iter=100_000)
    svm.fit(torch.cat([real, fake]).numpy(), [1] * pictures + [0] * pictures)
    np.testing.assert_allclose(direction, svm.coef_[0], rtol=1e-4, atol=1e-6 * direction.abs().max().item())
    assert offset == pytest.approx(svm.intercept_[0], rel=1e-4, abs=1e-6)
    scores = [svm.decision_function(x.numpy()) for x in (real, fake)]
    p_ids, u_ids = ids(real, fake)
    assert p_ids == pytest.approx(100 * (scores[1] > scores[0]).mean())
    assert u_ids == pytest.approx(100 * (1 - (np.mean(scores[0] > 0) + np.mean(scores[1] <= 0)) / 2))


@pytest.mark.parametrize("seed", [160, 296])
def test_the_separator_ends_where_whole_steps_would_go_round_in_circles(seed):
    from sklearn.svm import LinearSVC

    random = np.random.default_rng(seed)
    pictures, size, scale = int(random.integers(3, 60)), int(random.integers(1, 12)), 10 ** random.uniform(-2, 4)
    heavy = random.standard_t(1.2, size=(2 * pictures, size)) * scale
    heavy[pictures:] += random.normal() * scale
    svm = LinearSVC(dual=False, tol=1e-12, max_iter=100_000).fit(heavy, [1] * pictures + [0] * pictures)
    direction, _ = separator(*torch.from_numpy(heavy).split(pictures))
    np.testing.assert_allclose(direction, svm.coef_[0], rtol=1e-6)


def test_scores_of_sets_that_are_known():
    real = features(400, 4)
    assert ids(real, real + 100) == (0, 0)  # far apart
    assert ids(real, real) == (50, 50)  # the same: every pair a tie
    random = features(400, 4, seed=1)
    p_ids, u_ids = ids(real, random)
    assert 45 < p_ids < 55 and 43 < u_ids < 52  # alike, and no pair a tie
    half = torch.cat([real[:200], real[200:] + 100])
    p_ids, u_ids = ids(real, half)
    assert p_ids == pytest.approx(25) and u_ids == pytest.approx(25)  # half the repairs give themselves away


def test_too_few_pictures_separate_whatever_they_are():
    real, fake = features(30, 60), features(30, 60, seed=1)
    assert max(ids(1000 * real, 1000 * fake)) == 0
    for figure in ("fid", "p_ids", "u_ids"):
        assert "30 pictures for 60 features" in caution(figure, 30, 60)
        assert caution(figure, 61, 60) == ""
        assert "at least two" in caution(figure, 1, 60)
    assert caution("kid", 30, 60) == ""


def weighted_frechet(a, b, counts):
    """With the roots of scipy, of pictures that count this often."""
    means = [counts @ x.numpy() / counts.sum() for x in (a, b)]
    first, second = (np.cov(x.numpy(), rowvar=False, aweights=counts, ddof=0) for x in (a, b))
    root = linalg.sqrtm(first @ second).real
    scale = len(a) / (len(a) - 1)
    return ((means[0] - means[1]) ** 2).sum() + scale * np.trace(first + second - 2 * root)


@pytest.mark.parametrize("figure", SET_FIGURES)
@pytest.mark.parametrize(("pictures", "size"), [(60, 12), (20, 40)])
def test_a_draw_is_the_figure_of_its_pictures(figure, pictures, size):
    real, fake = features(pictures, size), features(pictures, size, seed=1, shift=0.1)
    random = np.random.default_rng(0)
    counts = torch.from_numpy(np.stack([np.bincount(random.integers(0, pictures, pictures), minlength=pictures)] * 2))
    counts[0] = 1
    whole, drawn = resampled(figure, real, fake, counts).tolist()
    if figure == "fid":
        assert whole == pytest.approx(frechet_distance(real, fake), rel=1e-9, abs=1e-9)
    rows = torch.arange(pictures).repeat_interleave(counts[1])
    if figure == "fid" and pictures > size:
        turn, small = (counts[1] - 1).numpy(), 1e-4
        slope = (weighted_frechet(real, fake, 1 + small * turn) - weighted_frechet(real, fake, 1 - small * turn)) / 2e-4
        assert drawn - whole == pytest.approx(slope, rel=1e-4)
    elif figure == "fid":
        assert drawn == pytest.approx(frechet_distance(real[rows], fake[rows]), rel=1e-6)
    elif figure == "kid":
        a, b, kept = real[rows], fake[rows], rows[:, None] != rows

        def mean(x, y, chosen):
            return ((x @ y.T / size + 1) ** 3)[chosen].mean().item()

        expected = mean(a, a, kept) + mean(b, b, kept) - 2 * mean(a, b, torch.ones_like(kept))
        assert drawn == pytest.approx(expected, rel=1e-9)
    else:
        direction, offset = separator(real, fake)
        scores = [x[rows] @ direction + offset for x in (real, fake)]
        wrong = ((scores[0] <= 0).double().mean() + (scores[1] > 0).double().mean()) / 2
        fooled = (scores[1] > scores[0]).double().mean()
        assert drawn == pytest.approx(100 * (fooled if figure == "p_ids" else wrong).item())


@pytest.mark.parametrize(("pictures", "size", "shift"), [(100, 5, 0.5), (40, 60, 0.1)])
def test_an_interval_holds_the_figure_of_other_pictures(pictures, size, shift):
    """Most 95 % intervals of FID hold its mean over many sets; with few pictures, plain percentiles never do."""
    sets = 60
    samples = [(features(pictures, size, 2 * s), features(pictures, size, 2 * s + 1, shift)) for s in range(sets)]
    values = [frechet_distance(*pair) for pair in samples]
    random = np.random.default_rng(0)
    drawn = random.integers(0, pictures, (100, pictures))
    counts = torch.from_numpy(np.stack([np.bincount(row, minlength=pictures) for row in drawn]))
    held, plain, widths = 0, 0, []
    for value, pair in zip(values, samples, strict=True):
        draws = resampled("fid", *pair, counts)
        low, high = interval_around(value, draws.numpy())
        assert low < value < high
        held += low <= np.mean(values) <= high
        plain += torch.quantile(draws, 0.025).item() <= np.mean(values)
        widths.append(high - low)
    assert held >= 0.85 * sets
    if pictures < size:
        assert plain == 0
    else:
        assert 0.8 < np.mean(widths) / (2 * 1.96 * np.std(values)) < 1.25


def test_dead_features_change_no_draw():
    real, fake = features(60, 12), features(60, 12, 1, 0.1)
    counts = torch.from_numpy(np.random.default_rng(0).multinomial(60, [1 / 60] * 60, 5))
    dead = [torch.cat([x, x.new_zeros(60, 2), x.new_ones(60, 2)], dim=1) for x in (real, fake)]
    torch.testing.assert_close(resampled("fid", *dead, counts), resampled("fid", real, fake, counts))


@pytest.mark.parametrize("kind", ["one picture", "not finite"])
def test_what_cannot_be_had_is_nan(kind):
    real, fake = features(1 if kind == "one picture" else 5, 4), features(1 if kind == "one picture" else 5, 4, 1)
    if kind == "not finite":
        fake[2, 1] = math.inf
    assert math.isnan(frechet_distance(real, fake))
    for figure in SET_FIGURES:
        assert resampled(figure, real, fake, torch.ones(3, len(real))).isnan().tolist() == [True] * 3
