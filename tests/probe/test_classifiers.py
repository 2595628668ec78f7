"""Splits, intervals, linear probe and nearest neighbours against independent computations."""

import math
from collections import Counter

import numpy as np
import pytest
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
import torch

from inpaint.probe.classifiers import (
    fit_logistic,
    held_out,
    linear_probe,
    nearest,
    resampled_interval,
    standardise,
    stratified_split,
    vote,
)


def clouds(classes=3, each=20, dimensions=5, spread=1.0, seed=0):
    """Points around the centre of their class: float64 (N, d) and labels (N,)."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, dimensions))
    labels = np.arange(classes).repeat(each)
    points = centres[labels] + spread * generator.normal(size=(classes * each, dimensions))
    return torch.from_numpy(points), torch.from_numpy(labels)


# ---- splits and intervals ---------------------------------------------------------------------------------------


def test_splits_are_disjoint_complete_and_stratified():
    labels = torch.tensor([0] * 10 + [2] * 25 + [1] * 3)
    split = stratified_split(labels, 0.2, 7)
    assert sorted([*split.train.tolist(), *split.test.tolist()]) == list(range(38))
    assert Counter(labels[split.test].tolist()) == {0: 2, 2: 5, 1: 1}


def test_the_key_alone_decides_about_a_split():
    labels = torch.arange(3).repeat_interleave(20)
    one, again, other = (stratified_split(labels, 0.3, key) for key in (1, 1, 2))
    assert torch.equal(one.test, again.test) and not torch.equal(one.test, other.test)
    more = stratified_split(torch.cat([labels, torch.full((9,), 3)]), 0.3, 1)
    assert torch.equal(more.test[more.test < 60], one.test)  # a further class leaves the others as they were
    places = [set(one.test[labels[one.test] == label].remainder(20).tolist()) for label in range(3)]
    assert places[0] != places[1] != places[2]  # classes are drawn apart


def test_a_class_has_one_on_either_side():
    assert [held_out(count, share) for count, share in ((3, 0.2), (2, 0.9), (2, 0.1), (40, 0.2))] == [1, 1, 1, 8]


def test_the_interval_is_nadeaus_and_bengios():
    found = resampled_interval([60.0, 70.0, 80.0], 0.25)
    half = 4.302652729911275 * math.sqrt((1 / 3 + 1 / 4) * 100)  # Student's t of 2 degrees of freedom at 0.975
    assert found == pytest.approx((70, 70 - half, 70 + half))
    values = [3.0, -1.0, 4.0, 1.5, 9.0]
    plain = scipy.stats.t.interval(0.95, 4, np.mean(values), scipy.stats.sem(values))
    assert resampled_interval(values, 0.0) == pytest.approx((np.mean(values), *plain))
    assert resampled_interval([5.0, 5.0], 0.5) == (5, 5, 5)


# ---- linear probe -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_logistic_regression_against_scipy(penalty):
    points, labels = clouds()
    x, y = points.numpy(), labels.numpy()

    def objective(flat):
        weights, bias = flat[:15].reshape(5, 3), flat[15:]
        logits = x @ weights + bias
        losses = scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]
        return losses.mean() + penalty / 2 * (weights**2).sum()

    best = scipy.optimize.minimize(objective, np.zeros(18), method="BFGS", options={"gtol": 1e-7})
    found = fit_logistic(points, labels, penalty).numpy()
    assert np.allclose(found[:-1], best.x[:15].reshape(5, 3), atol=1e-4)
    assert np.allclose(found[-1] - found[-1].mean(), best.x[15:] - best.x[15:].mean(), atol=1e-4)
    start = torch.ones(6, 3, dtype=torch.float64)
    assert np.allclose(fit_logistic(points, labels, penalty, start).numpy()[:-1], found[:-1], atol=1e-4)


def test_more_dimensions_than_rows_change_nothing():
    """The rotation into the span of the rows is exact."""
    points, labels = clouds(each=40, dimensions=200, spread=6)
    rows = torch.arange(120)
    learnt = (rows % 4 == 0) | ((labels == 2) & (rows % 2 == 0))  # more of one class, so that biases matter
    known, unknown = standardise(points[learnt], points[~learnt])
    whole = fit_logistic(known, labels[learnt], 1.0)
    expected = (unknown @ whole[:-1] + whole[-1]).argmax(1)
    assert 0.4 < (expected == labels[~learnt]).double().mean() < 0.9
    assert torch.equal(linear_probe(known, labels[learnt], unknown, [1.0], key=3).predicted, expected)


def test_separable_classes_are_told_apart_and_noise_is_not():
    points, labels = clouds(4, 30, spread=0.05)
    split = stratified_split(labels, 0.3, 0)
    known, unknown = standardise(points[split.train], points[split.test])
    found = linear_probe(known, labels[split.train], unknown, [0.001, 0.1, 10], key=0)
    assert torch.equal(found.predicted, labels[split.test]) and found.penalty == 0.001
    noise = torch.randn(120, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    known, unknown = standardise(noise[split.train], noise[split.test])
    found = linear_probe(known, labels[split.train], unknown, [0.001, 0.1, 10], key=0)
    assert (found.predicted == labels[split.test]).double().mean() < 0.5 and found.penalty == 10


def test_standardised_features():
    points, _ = clouds(each=10)
    points[:, 1] = 0.3  # constant up to rounding: neither divided by nothing nor blown up
    points[:, 2] = 1e3 + torch.linspace(0, 1e-9, 30, dtype=torch.float64)
    known, unknown = standardise(points[:20], points[20:])
    varying = [0, 3, 4]
    expected = scipy.stats.zscore(points[:20, varying].numpy(), axis=0)
    assert np.allclose(known[:, varying], expected)
    mean, deviation = points[:20].mean(0), points[:20].std(0, correction=0)
    assert torch.allclose(unknown[:, varying], ((points[20:] - mean) / deviation)[:, varying])
    assert not known[:, 1:3].any() and not unknown[:, 1:3].any()


# ---- nearest neighbours -----------------------------------------------------------------------------------------


def test_nearest_against_scipy():
    points, _ = clouds(each=500, dimensions=6)
    train, test = points[:300], points[300:]  # more queries than one part
    distances = scipy.spatial.distance.cdist(test.numpy(), train.numpy(), "cosine")
    assert np.array_equal(nearest(train, test, 4).numpy(), distances.argsort(axis=1)[:, :4])


def test_votes_and_ties():
    votes = torch.tensor([[2, 0, 0, 1, 2], [1, 2, 2, 2, 0], [0, 1, 2, 3, 4], [3, 1, 1, 3, 4], [4, 1, 3, 3, 1]])
    assert vote(votes).tolist() == [2, 2, 0, 3, 1]
    generator = np.random.default_rng(0)
    for row in generator.integers(0, 4, (200, 7)):
        counts = Counter(row.tolist())  # in the order of their first one
        assert vote(torch.from_numpy(row)[None]).item() == max(counts, key=counts.__getitem__)
