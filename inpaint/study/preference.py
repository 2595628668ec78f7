"""The statistics of paired choices: Wilson's interval for a share, Bradley and Terry's scores for many contestants."""

import math
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def wilson(wins: int, votes: int) -> tuple[float, float]:
    """The 95 % interval of a share, in [0, 1] (Wilson 1927); ``(0, 1)`` without votes.

    Unlike share +- 1.96 standard errors it stays in [0, 1] and keeps its width where all votes agree.
    """
    if not votes:
        return 0.0, 1.0
    share, scale = wins / votes, 1 + Z**2 / votes
    centre = (share + Z**2 / (2 * votes)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / votes + Z**2 / (4 * votes**2))
    # The bounds at no and at all wins are exactly 0 and 1; rounding would miss them by 1e-17.
    return (0.0 if wins == 0 else centre - half), (1.0 if wins == votes else centre + half)


def bradley_terry(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores by maximum likelihood: contestant i is preferred to j with odds exp(score_i - score_j).

    Bradley and Terry 1952; fitted by Newton's method.

    Args:
        wins: float (k, k), how often the contestant of the row was preferred to that of the column.

    Returns:
        Scores (k,), natural logarithms with mean 0, and their standard errors (k,) from the Fisher information.

    Raises:
        ValueError: the likelihood has no maximum, see `has_maximum`.
    """
    if not has_maximum(wins):
        raise ValueError(
            "wins: some contestants never lost to the others, or never met them; their scores have no maximum"
        )
    votes = wins + wins.T
    scores = np.zeros(len(wins))

    def loss(scores: np.ndarray) -> float:
        return float((wins * np.logaddexp(0, scores[None, :] - scores[:, None])).sum())

    def chances(scores: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(scores[None, :] - scores[:, None]))

    def covariance(scores: np.ndarray) -> np.ndarray:
        weight = votes * chances(scores) * (1 - chances(scores))
        # Scores are known up to a constant, which the pseudo-inverse fixes at mean 0.
        return np.linalg.pinv(np.diag(weight.sum(axis=1)) - weight)

    for _ in range(100):
        step = covariance(scores) @ (wins - votes * chances(scores)).sum(axis=1)
        if np.abs(step).max() < 1e-10:
            break
        while loss(scores + step) > loss(scores) * (1 + 1e-12):  # where scores are far apart a full step goes astray
            step /= 2
        scores = scores + step
    else:
        raise AssertionError("Newton's method did not converge")
    return scores - scores.mean(), np.sqrt(np.diag(covariance(scores)))


def has_maximum(wins: np.ndarray) -> bool:
    """Whether every contestant was preferred to every other one, directly or over others in between (Ford 1957).

    Otherwise the likelihood grows as the scores go to infinity.
    """
    return bool((_reach(wins > 0)).all())


def is_connected(wins: np.ndarray) -> bool:
    """Whether every contestant met every other one, directly or over others in between."""
    return bool((_reach(wins + wins.T > 0)).all())


def _reach(steps: np.ndarray) -> np.ndarray:
    reach = steps | np.eye(len(steps), dtype=bool)
    for _ in range(len(steps)):
        reach = reach @ reach
    return reach


def fails_too_many(failed: int, trials: int, max_failures: float) -> bool:
    """Whether `failed` is more than a share `max_failures` of so many catch trials."""
    return failed > max_failures * trials + 1e-9  # 0.29 * 100 is less than 29


def guess_passes(trials: int, max_failures: float) -> float:
    """The chance that a participant who guesses does not fail too many of so many catch trials."""
    allowed = [failed for failed in range(trials + 1) if not fails_too_many(failed, trials, max_failures)]
    return sum(math.comb(trials, failed) for failed in allowed) / 2**trials
