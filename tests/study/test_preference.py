"""Intervals and scores against computations that share no code with them."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from inpaint.study.preference import bradley_terry, fails_too_many, guess_passes, has_maximum, is_connected, wilson


@pytest.mark.parametrize(("wins", "votes"), [(0, 1), (1, 1), (0, 10), (3, 7), (50, 100), (81, 263), (999, 1000)])
def test_wilson_bounds_are_the_shares_that_the_score_test_just_rejects(wins: int, votes: int) -> None:
    """|share - p| = 1.96 sqrt(p (1 - p) / n), solved for p on both sides of the share."""
    z = 1.959963984540054

    def score(p: float) -> float:
        return (wins / votes - p) ** 2 - z**2 * p * (1 - p) / votes

    share = wins / votes
    low = 0.0 if wins == 0 else brentq(score, 1e-12, share - 1e-9, xtol=1e-14)
    high = 1.0 if wins == votes else brentq(score, share + 1e-9, 1 - 1e-12, xtol=1e-14)
    assert wilson(wins, votes) == pytest.approx((low, high), abs=1e-9)


def test_wilson_against_published_values() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    for (wins, votes), bounds in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
    }.items():
        assert wilson(wins, votes) == pytest.approx(bounds, abs=5e-5)
    assert wilson(0, 0) == (0, 1)
    assert wilson(3, 3)[1] == 1 and wilson(0, 3)[0] == 0


WINS = {
    "two": [[0, 7], [3, 0]],
    "three": [[0, 12, 9], [5, 0, 8], [2, 7, 0]],
    "in a ring": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "not all met": [[0, 4, 0, 0], [2, 0, 6, 0], [0, 3, 0, 9], [0, 0, 1, 0]],
    "far apart": [[0, 900, 300], [1, 0, 40], [1, 39, 0]],
    "half votes": [[0, 10.5, 0.5], [0.5, 0, 3.5], [6.5, 2.5, 0]],
}


def negative_log_likelihood(free: np.ndarray, wins: np.ndarray) -> float:
    scores = np.append(free, -free.sum())
    return sum(wins[i, j] * math.log1p(math.exp(scores[j] - scores[i])) for i, j in product(range(len(wins)), repeat=2))


@pytest.mark.parametrize("name", WINS)
def test_bradley_terry_is_the_maximum_of_the_likelihood(name: str) -> None:
    """Against a search that knows no gradient; the errors against second differences of the likelihood."""
    wins = np.array(WINS[name], dtype=float)
    scores, errors = bradley_terry(wins)
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000}
    found = minimize(negative_log_likelihood, np.zeros(len(wins) - 1), (wins,), method="Nelder-Mead", options=options)
    assert scores == pytest.approx(np.append(found.x, -found.x.sum()), abs=1e-5)
    assert scores.sum() == pytest.approx(0, abs=1e-12)

    h, free = 1e-4, scores[:-1]
    steps = np.eye(len(free)) * h
    hessian = np.array([
        [
            sum(a * b * negative_log_likelihood(free + a * s + b * t, wins) for a, b in product((1, -1), repeat=2))
            for s in steps
        ]
        for t in steps
    ]) / (4 * h * h)  # fmt: skip
    covariance = np.linalg.inv(hessian)
    assert errors[:-1] == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-3)
    assert errors[-1] == pytest.approx(math.sqrt(covariance.sum()), rel=1e-3)


def test_it_converges_for_whatever_has_a_maximum() -> None:
    """At the maximum every contestant has won as often as the scores predict."""
    generator = np.random.default_rng(0)
    fitted = 0
    for _ in range(1000):
        size = generator.integers(3, 7)
        wins = np.round(10 ** generator.uniform(-1, 4, (size, size))) * (generator.random((size, size)) < 0.5)
        np.fill_diagonal(wins, 0)
        if has_maximum(wins):
            scores, _ = bradley_terry(wins)
            chance = 1 / (1 + np.exp(scores[None] - scores[:, None]))
            assert (wins + wins.T) * chance @ np.ones(size) == pytest.approx(wins.sum(axis=1), rel=1e-6)
            fitted += 1
    assert fitted > 200


def test_two_contestants_have_the_odds_as_score() -> None:
    scores, _ = bradley_terry(np.array([[0, 7], [3, 0]]))
    assert scores[0] - scores[1] == pytest.approx(math.log(7 / 3))


def test_intervals_cover_the_true_scores() -> None:
    """400 studies of known scores: 95 % of the intervals hold theirs."""
    truth = np.array([0.6, 0.1, -0.7])
    chance = 1 / (1 + np.exp(truth[None] - truth[:, None]))
    generator = np.random.default_rng(0)
    held = []
    for _ in range(400):
        upper = np.triu(generator.binomial(60, chance), 1).astype(float)
        scores, errors = bradley_terry(upper + np.tril(60 - upper.T, -1))
        held.append(np.abs(scores - truth) < 1.96 * errors)
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_when_scores_have_a_maximum() -> None:
    undefeated = np.array([[0, 3, 2], [0, 0, 4], [0, 1, 0]])
    assert not has_maximum(undefeated) and is_connected(undefeated)
    with pytest.raises(ValueError, match="no maximum"):
        bradley_terry(undefeated)
    assert has_maximum(np.array(WINS["in a ring"]))
    apart = np.zeros((4, 4))
    apart[0, 1] = apart[1, 0] = apart[2, 3] = apart[3, 2] = 1
    assert not is_connected(apart)


def test_guessing() -> None:
    for trials, share in ((0, 0.2), (1, 0.2), (6, 0.2), (10, 0.3), (5, 1.0), (4, 0.0)):
        answers = product((0, 1), repeat=trials)
        passed = [sum(wrong) <= share * trials + 1e-12 for wrong in answers]
        assert guess_passes(trials, share) == pytest.approx(sum(passed) / len(passed))
    assert not fails_too_many(29, 100, 0.29) and fails_too_many(30, 100, 0.29)
