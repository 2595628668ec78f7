"""How well features tell classes apart: a linear probe and nearest neighbours, over repeated stratified splits.

Features are float64 ``(N, d)``, a row each picture; labels are int64 ``(N,)``, 0 to classes - 1, none of them unused.
"""

import math
from collections.abc import Sequence
from statistics import fmean, variance
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.special import stdtrit
from torch import Tensor

from inpaint import rng

CONFIDENCE = 0.95
VALIDATION = 0.2  # share of a training part on which the penalty is chosen


# ---- splits and intervals -------------------------------------------------------------------------------------------


class Split(NamedTuple):
    """Rows that train and rows that are held out, int64, rising."""

    train: Tensor
    test: Tensor


def held_out(count: int, share: float) -> int:
    """How many of a class of `count` are held out: the share, rounded, but one on either side at least."""
    return min(max(1, round(share * count)), count - 1)


def stratified_split(labels: Tensor, share: float, key: int) -> Split:
    """Hold the same share of every class out; which of its rows, only the key decides."""
    train, test = [], []
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero()[:, 0]
        rows = rows[rng.permutation(rng.key(key, label), len(rows))]
        held = held_out(len(rows), share)
        test.append(rows[:held])
        train.append(rows[held:])
    return Split(torch.cat(train).sort().values, torch.cat(test).sort().values)


class Interval(NamedTuple):
    """A mean and the limits of its 95 % interval."""

    mean: float
    low: float
    high: float


def resampled_interval(values: Sequence[float], test_to_train: float) -> Interval:
    """The interval of a mean over repeated random splits, or of the mean of paired differences.

    Splits share most of their pictures, so their deviation over the root of their number would promise too much. The
    variance of the mean is taken as ``(1 / R + test / train)`` times that of the R values, with R - 1 degrees of
    freedom: the corrected resampled t-test (Nadeau and Bengio 2003, Inference for the Generalization Error).

    Args:
        values: of R splits, two at least.
        test_to_train: how many pictures a split holds out, over how many it trains with.
    """
    mean = fmean(values)
    spread = math.sqrt((1 / len(values) + test_to_train) * variance(values))
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * spread
    return Interval(mean, mean - half, mean + half)


# ---- the two classifiers --------------------------------------------------------------------------------------------


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both less the mean and over the deviation of the training rows; 0 where those are constant, up to rounding."""
    mean, deviation = train.mean(0), train.std(0, correction=0)
    varies = deviation > 1e-6 * train.abs().amax(0)
    scale = torch.where(varies, 1 / deviation, 0)
    return (train - mean) * scale, (test - mean) * scale


class Probe(NamedTuple):
    """Predicted labels ``(N,)``, and the penalty that was chosen."""

    predicted: Tensor
    penalty: float


def linear_probe(train: Tensor, labels: Tensor, test: Tensor, penalties: Sequence[float], key: int) -> Probe:
    """Multinomial logistic regression, its penalty chosen on a part of the training rows, then fitted to all of them.

    Args:
        train, labels: rows to learn from, standardised; two of each class at least.
        test: rows to predict, likewise.
        penalties: of which the one with the least log loss on a stratified fifth of `train` is taken.
        key: decides about that fifth.
    """
    if train.shape[1] > len(train):
        # The weights of an L2-penalised fit lie in the span of the rows that it learns from: the rest is rotated away.
        basis = torch.linalg.svd(train, full_matrices=False).Vh.T
        train, test = train @ basis, test @ basis
    part = stratified_split(labels, VALIDATION, key)
    losses: dict[float, float] = {}
    weights = None
    for penalty in sorted(penalties, reverse=True):
        weights = fit_logistic(train[part.train], labels[part.train], penalty, weights)
        losses[penalty] = F.cross_entropy(_logits(train[part.test], weights), labels[part.test]).item()
    penalty = min(losses, key=losses.__getitem__)
    weights = fit_logistic(train, labels, penalty)
    return Probe(_logits(test, weights).argmax(1), penalty)


def fit_logistic(x: Tensor, labels: Tensor, penalty: float, start: Tensor | None = None) -> Tensor:
    """Weights ``(d + 1, classes)``, the biases last: the least mean log loss + penalty / 2 * sum of squared weights.

    Biases are not penalised. L-BFGS with strong Wolfe line search (Nocedal and Wright 2006, sections 7.2 and 3.5);
    the problem is convex, so where it starts decides the time alone.
    """
    classes = int(labels.max()) + 1
    weights = x.new_zeros(x.shape[1] + 1, classes) if start is None else start.clone()
    weights.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=500, tolerance_grad=1e-6, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(_logits(x, weights), labels) + penalty / 2 * weights[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return weights.detach()


def _logits(x: Tensor, weights: Tensor) -> Tensor:
    return x @ weights[:-1] + weights[-1]


def nearest(train: Tensor, test: Tensor, count: int) -> Tensor:
    """Rows of `train` with the greatest cosine to each row of `test`, the greatest first: int64 ``(N, count)``."""
    unit = F.normalize(train, dim=1).T
    # A thousand at a time: all cosines of large sets would not fit into memory.
    return torch.cat([(part @ unit).topk(count).indices for part in F.normalize(test, dim=1).split(1024)])


def vote(labels: Tensor) -> Tensor:
    """The commonest of each row's labels, the nearest first: of several with as many votes, that of the nearest."""
    classes, neighbours = int(labels.max()) + 1, labels.shape[1]
    # Less than one vote in all, and each more than those of all further ones together.
    bonus = 0.5 ** torch.arange(1, neighbours + 1, dtype=torch.float64, device=labels.device)
    votes = torch.zeros(len(labels), classes, dtype=torch.float64, device=labels.device)
    return votes.scatter_add_(1, labels, (1 + bonus).expand_as(labels)).argmax(1)
