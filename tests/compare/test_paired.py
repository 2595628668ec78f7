"""Paired differences against independent computations."""

import math

import numpy as np
import pytest

from inpaint.compare.paired import paired_differences


def records(values, name="hole_psnr"):
    return {index: {name: float(value)} for index, value in enumerate(values)}


def test_mean_and_interval_are_those_of_normal_theory():
    """For many pictures the bootstrap of a mean is normal: mean +- 1.96 standard errors of the differences."""
    generator = np.random.default_rng(0)
    pictures = generator.normal(25, 6, 400)
    differences = generator.normal(-0.3, 1.0, 400)
    found = paired_differences([records(pictures), records(pictures + differences)], {"hole_psnr": 0}, {})["hole_psnr"]
    error = differences.std(ddof=1) / math.sqrt(400)
    assert found[1].mean == pytest.approx(differences.mean())
    assert found[1].low == pytest.approx(differences.mean() - 1.96 * error, abs=0.15 * error)
    assert found[1].high == pytest.approx(differences.mean() + 1.96 * error, abs=0.15 * error)
    assert found[1].is_real and found[1].images == 400
    assert (found[0].mean, found[0].low, found[0].high, found[0].is_real) == (0, 0, 0, False)


def test_each_figure_has_its_own_reference():
    a = {index: {"hole_psnr": 20.0, "hole_l1": 1.0} for index in range(8)}
    b = {index: {"hole_psnr": 22.0, "hole_l1": 4.0} for index in range(8)}
    found = paired_differences([a, b], {"hole_psnr": 1, "hole_l1": 0}, {})
    assert [difference.mean for difference in found["hole_psnr"]] == [-2.0, 0.0]
    assert [difference.mean for difference in found["hole_l1"]] == [0.0, 3.0]


def test_what_is_not_finite_or_missing_is_no_pair():
    best = records([math.inf, 30, 30, math.nan, 30, 30, 30, 30, 30])
    other = {index: record for index, record in records([20] * 9).items() if index != 8}
    found = paired_differences([best, other, {}], {"hole_psnr": 0}, {})["hole_psnr"]
    assert (found[1].mean, found[1].images) == (-10.0, 6)
    assert found[2].images == 0 and math.isnan(found[2].mean) and not found[2].is_real


def test_too_few_pictures_have_no_interval():
    found = paired_differences([records([30] * 5), records([20, 21, 22, 20, 21])], {"hole_psnr": 0}, {})["hole_psnr"]
    assert found[1].mean == pytest.approx(-9.2) and math.isnan(found[1].low) and not found[1].is_real


def test_crops_of_one_photograph_are_drawn_together():
    """Differences alike within each of ten photographs of 20 crops: the interval is that of ten numbers."""
    shifts = np.random.default_rng(1).normal(0, 1, 10)
    crops = [records([30] * 200), records(30 + shifts.repeat(20))]
    found = paired_differences(crops, {"hole_psnr": 0}, {index: f"p{index // 20}" for index in range(200)})
    alone = paired_differences([records([30] * 10), records(30 + shifts)], {"hole_psnr": 0}, {})
    crop, photograph = found["hole_psnr"][1], alone["hole_psnr"][1]
    assert crop.images == 200 and (crop.low, crop.high) == pytest.approx((photograph.low, photograph.high))


def test_nothing_to_compare():
    assert paired_differences([{}, {}], {"hole_psnr": 0}, {}) == {}
    assert paired_differences([records([1.0])], {}, {}) == {}
