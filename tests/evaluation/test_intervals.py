"""Averages by hand; intervals against normal theory, against enumeration, and against what they promise."""

import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inpaint import rng
from inpaint.evaluation.intervals import (
    ALL,
    LEAST,
    RESAMPLES,
    Results,
    SetFigure,
    aggregate,
    bucket,
    drawn,
    interval,
    interval_around,
    resampled_means,
    times_drawn,
    uniform,
)
from inpaint.metrics.columns import COLUMNS
from tests.evaluation.records import RECORDS, record

# ---- averages by hole area --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("area", "name"),
    [(0.0, "0-10 %"), (0.0999, "0-10 %"), (0.1, "10-20 %"), (0.999, "90-100 %"), (1.0, "90-100 %")],
)
def test_bucket_edges(area: float, name: str) -> None:
    assert bucket(area) == name


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_exact_tenth_opens_its_bucket_in_any_precision(tenth: int, dtype: type) -> None:
    assert bucket(float(dtype(tenth / 10))) == f"{10 * tenth}-{10 * tenth + 10} %"
    if tenth:  # one pixel less of a picture of 1024 x 1024
        assert bucket(float(dtype(tenth / 10 - 2**-20))) == f"{10 * tenth - 10}-{10 * tenth} %"


def test_averages_by_hand() -> None:
    rows = aggregate(RECORDS).rows
    assert [(row.area, row.method, row.images, row.perfect) for row in rows] == [
        ("0-10 %", "telea", 2, 1),
        ("0-10 %", "gan [l1,style]", 2, 0),
        ("10-20 %", "telea", 1, 0),
        ("10-20 %", "gan [l1,style]", 1, 0),
        (ALL, "telea", 3, 1),
        (ALL, "gan [l1,style]", 3, 0),
    ]
    assert rows[0].means["hole_l1"] == pytest.approx(4)  # the perfect picture counts,
    assert rows[0].means["hole_psnr"] == pytest.approx(20)  # except in decibels
    assert rows[1].means["hole_psnr"] == pytest.approx(24.5)
    assert rows[4].means == pytest.approx({"hole_l1": 17 / 3, "hole_psnr": 19, "psnr": 29, "ssim": 1, "ms": 1})


def test_buckets_go_up_in_number_and_only_those_with_pictures() -> None:
    rows = aggregate([record("a", i, area) for i, area in enumerate((0.95, 0.31, 0.05))]).rows
    assert [row.area for row in rows] == ["0-10 %", "30-40 %", "90-100 %", ALL]


def test_nan_and_infinity_are_in_no_average() -> None:
    empty = record("a", 0, 0.0, hole_l1=math.nan, hole_psnr=math.nan, psnr=math.inf, ssim=1.0)
    rows = aggregate([empty, record("a", 1, 0.05, hole_l1=3.0, hole_psnr=20.0, psnr=30.0, ssim=0.5)]).rows
    assert rows[0].means == pytest.approx({"hole_l1": 3, "hole_psnr": 20, "psnr": 30, "ssim": 0.75, "ms": 1})


def test_a_sample_counts_once_and_the_first_counts() -> None:
    rows = aggregate(
        [record("a", 0, 0.05, psnr=30.0), record("a", 1, 0.05, psnr=20.0), record("a", 0, 0.05, psnr=0.0)]
    ).rows
    assert rows[0].images == 2
    assert rows[0].means["psnr"] == pytest.approx(25)


def test_no_records_no_rows() -> None:
    assert aggregate([]) == Results([])


def test_decibels_of_the_mean_error_count_perfect_pictures() -> None:
    squares = [0.0, 0.5, 2.0]  # in % of 255^2
    psnrs = [math.inf, *(10 * math.log10(100 / square) for square in squares[1:])]
    records = [record("a", i, 0.05, l2=squares[i], psnr=psnrs[i]) for i in range(3)]
    (row, _) = aggregate(records).rows
    mse = 255**2 * np.mean(squares) / 100
    assert row.means["psnr_of_mean"] == pytest.approx(10 * math.log10(255**2 / mse))
    assert row.means["psnr"] == pytest.approx(np.mean(psnrs[1:])) and row.perfect == 1
    assert "hole_psnr_of_mean" not in row.means  # nothing to take it from
    perfect = aggregate([record("a", i, 0.05, l2=0.0) for i in range(8)]).rows[0]
    assert math.isnan(perfect.means["psnr_of_mean"]) and "psnr_of_mean" not in perfect.low


# ---- the bootstrap ----------------------------------------------------------------------------------------------


def test_random_numbers_are_those_of_splitmix64_as_in_rng() -> None:
    draws = np.arange(5)
    ours = uniform(draws, 7)
    keys = rng._mix(torch.arange(5))
    assert np.array_equal(np.floor(ours * 2**24) / 2**24, rng.uniform(keys, 7).double().numpy())
    assert np.array_equal(uniform(draws[3:], 7), ours[3:])


def test_every_draw_has_as_many_pictures_and_every_picture_is_drawn_as_often() -> None:
    counts = drawn(np.arange(4000), 10)
    assert (counts.sum(axis=1) == 10).all()
    assert np.abs(counts.mean(axis=0) - 1).max() < 4 * math.sqrt(0.9 / 4000)
    # The number of times that a picture is drawn is binomial: variance 10 * 0.1 * 0.9.
    assert np.abs(counts.var(axis=0) - 0.9).max() < 0.12


def test_intervals_of_a_normal_sample_are_those_of_theory() -> None:
    sample = np.random.default_rng(0).normal(5, 2, (4000, 3))
    means = resampled_means(sample, np.arange(4000), 4000)
    half = 1.96 * sample.std(axis=0) / math.sqrt(len(sample))
    low, high = interval(means)
    np.testing.assert_allclose(low, sample.mean(axis=0) - half, atol=0.1 * half.max())
    np.testing.assert_allclose(high, sample.mean(axis=0) + half, atol=0.1 * half.max())
    np.testing.assert_allclose(means.std(axis=0), half / 1.96, rtol=0.05)


def test_three_pictures_are_drawn_in_all_27_ways_alike() -> None:
    values = np.array([0.0, 1.0, 5.0])
    exact = [np.mean(draw) for draw in itertools.product(values, repeat=3)]
    means = drawn(np.arange(27_000), 3) @ values / 3
    for mean in set(exact):
        share, expected = np.isclose(means, mean).mean(), np.isclose(exact, mean).mean()
        assert abs(share - expected) < 4 * math.sqrt(expected / 27_000)
    assert interval(means) == pytest.approx(tuple(np.quantile(np.repeat(exact, 1000), (0.025, 0.975))))


def test_an_interval_holds_the_truth_in_95_of_100_experiments() -> None:
    generator = np.random.default_rng(1)
    low, high = interval(resampled_means(generator.gamma(2, 1, (60, 1000)), np.arange(60), 1000))
    assert 0.91 < ((low <= 2) & (high >= 2)).mean() < 0.97


def test_what_is_not_finite_is_left_out_of_every_draw() -> None:
    generator = np.random.default_rng(2)
    values = generator.normal(size=(40, 2))
    values[::2, 1] = np.nan
    means = resampled_means(values, np.arange(40), 500)
    counts = drawn(np.arange(500), 40)
    by_hand = (counts[:, 1::2] @ values[1::2, 1]) / counts[:, 1::2].sum(axis=1)
    np.testing.assert_allclose(means[:, 1], by_hand)
    np.testing.assert_allclose(means[:, 0], counts @ values[:, 0] / 40)


def test_memory_is_bounded_and_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=(50, 2))
    whole = resampled_means(values, np.arange(50), 100)
    monkeypatch.setattr("inpaint.evaluation.intervals.AT_ONCE", 120)
    assert np.allclose(whole, resampled_means(values, np.arange(50), 100), rtol=1e-12)


# ---- crops of photographs ---------------------------------------------------------------------------------------


def test_an_interval_over_crops_holds_the_truth_because_photographs_are_drawn() -> None:
    """Eight alike crops of each of 30 photographs, 300 experiments: drawing crops, half of the intervals miss."""
    generator = np.random.default_rng(4)
    photograph = np.arange(30).repeat(8)
    values = generator.normal(0, 1, (30, 300))[photograph] + generator.normal(0, 0.3, (240, 300))
    held = {}
    for name, units in (("photographs", photograph), ("crops", np.arange(240))):
        low, high = interval(resampled_means(values, units, 1000))
        held[name] = ((low <= 0) & (high >= 0)).mean()
    assert 0.9 < held["photographs"] < 0.98 and held["crops"] < 0.65


def test_a_draw_of_photographs_by_hand() -> None:
    """Photographs with 1 to 8 crops, one of whose figures is not there; the average weighs crops alike."""
    units = np.concatenate([np.full(size, 10 * size) for size in range(1, 9)])
    values = np.arange(len(units), dtype=float)[:, None]
    values[3] = np.nan
    times = drawn(np.arange(50), 8)
    for draw, mean in enumerate(resampled_means(values, units, 50)[:, 0]):
        chosen = [n for photo in range(8) for n in np.flatnonzero(units == 10 * photo + 10).repeat(times[draw, photo])]
        assert mean == pytest.approx(np.nanmean(values[chosen]))
        assert np.array_equal(np.bincount(chosen, minlength=len(units)), times_drawn(np.array([draw]), units)[0])


def test_crops_of_few_photographs_are_drawn_themselves_and_the_reader_is_told() -> None:
    def results(photographs: int) -> Results:
        return aggregate([one | {"photograph": f"{one['index'] % photographs}"} for one in many(40, a=0.0, b=0.0)])

    plain, few = aggregate(many(40, a=0.0, b=0.0)), results(LEAST - 1)
    assert few.rows == plain.rows and few.differences == plain.differences
    assert "of the 40 pictures" in plain.interval
    assert "of the 40 crops, of only 5 photographs" in few.interval
    enough = results(LEAST)
    assert enough.rows != plain.rows and "of the 6 photographs, each with its crops" in enough.interval
    assert results(40).rows == plain.rows and results(40).interval == plain.interval


def test_a_block_of_few_photographs_has_no_interval() -> None:
    records = [
        record("a", i, 0.05 if i % 10 < LEAST - 1 else 0.45, psnr=float(i)) | {"photograph": i % 10} for i in range(50)
    ]
    first, second, whole = aggregate(records).rows
    assert first.images == 25 and not first.low and not second.low and "psnr" in whole.low


# ---- intervals and differences of methods -----------------------------------------------------------------------


def many(pictures: int = 200, **shifts: float) -> list[dict[str, Any]]:
    """Methods that differ by a shift and a little noise, on pictures that differ far more."""
    generator = np.random.default_rng(0)
    hard = generator.normal(25, 5, pictures)
    found = []
    for method, shift in shifts.items():
        psnr = hard + shift + generator.normal(0, 0.5, pictures)
        found += [record(method, i, 0.05, psnr=float(value)) for i, value in enumerate(psnr)]
    return found


def test_a_paired_difference_shows_what_the_intervals_of_both_hide() -> None:
    results = aggregate(many(a=0.0, b=0.3, c=0.0))
    a, b, _ = [row for row in results.rows if row.area == ALL]
    assert a.high["psnr"] > b.low["psnr"]  # side by side they overlap
    found = results.difference(ALL, "psnr", "b", "a")
    assert found is not None and found.is_real and found.images == 200
    assert found.mean == pytest.approx(b.means["psnr"] - a.means["psnr"])
    half = 1.96 * 0.5 * math.sqrt(2 / 200)
    assert found.low == pytest.approx(found.mean - half, abs=0.15 * half)
    assert found.high == pytest.approx(found.mean + half, abs=0.15 * half)
    same = results.difference(ALL, "psnr", "c", "a")
    assert same is not None and not same.is_real and same.low < 0 < same.high


def test_a_difference_reads_the_same_either_way() -> None:
    results = aggregate(many(a=0.0, b=0.3))
    one, other = (results.difference(ALL, "psnr", *pair) for pair in (("a", "b"), ("b", "a")))
    assert one is not None and other is not None
    assert (one.mean, one.low, one.high) == (-other.mean, -other.high, -other.low)
    assert results.difference(ALL, "psnr", "a", "c") is None


def test_pictures_that_are_perfect_under_one_method_are_in_no_difference_of_decibels() -> None:
    records = many(20, a=0.0, b=1.0)
    records[3]["psnr"] = math.inf
    found = aggregate(records).difference(ALL, "psnr", "b", "a")
    assert found is not None and found.images == 19
    by_hand = [records[20 + i]["psnr"] - records[i]["psnr"] for i in range(20) if i != 3]
    assert found.mean == pytest.approx(np.mean(by_hand))


def test_a_method_without_a_figure_takes_it_from_no_other() -> None:
    records = many(20, a=0.0, b=1.0, c=0.0)
    for line in records[40:]:
        line["ssim"] = math.nan
    results = aggregate(records)
    assert results.difference(ALL, "ssim", "a", "b") is not None
    assert results.difference(ALL, "ssim", "a", "c") is None
    assert "ssim" not in results.rows[2].low


def test_few_pictures_have_no_interval_and_times_never_have() -> None:
    for pictures in (LEAST - 1, LEAST):
        results = aggregate(many(pictures, a=0.0, b=3.0))
        found = results.difference(ALL, "psnr", "b", "a")
        assert found is not None and found.is_real == (pictures == LEAST)
        assert ("psnr" in results.rows[-1].low) == (pictures == LEAST)
        assert "ms" not in results.rows[-1].low and results.difference(ALL, "ms", "b", "a") is None


def test_each_block_has_its_own_interval() -> None:
    records = [record("a", i, 0.05 if i < 30 else 0.45, psnr=float(i % 7 + 10 * (i >= 30))) for i in range(60)]
    first, second, whole = aggregate(records).rows
    assert first.low["psnr"] < first.means["psnr"] < first.high["psnr"] < second.low["psnr"]
    assert whole.high["psnr"] - whole.low["psnr"] > first.high["psnr"] - first.low["psnr"]


def test_the_same_numbers_every_time() -> None:
    assert aggregate(many(30, a=0.0, b=0.1)) == aggregate(many(30, a=0.0, b=0.1))


def test_figures_of_sets_have_intervals_around_them_and_differences() -> None:
    generator = np.random.default_rng(0)
    shared = generator.normal(0, 5, 400)
    sets = [
        SetFigure(ALL, "a", "fid", 40.0, 60 + shared),  # draws with copies are too high
        SetFigure(ALL, "b", "fid", 38.0, 58 + shared + generator.normal(0, 0.1, 400)),
    ]
    results = aggregate(many(20, a=0.0, b=0.0), sets)
    row = next(row for row in results.rows if row.area == ALL and row.method == "a")
    assert row.means["fid"] == 40 and row.low["fid"] == pytest.approx(30, abs=2) and row.high["fid"] > 48
    assert "fid" not in results.rows[0].means  # not measured for that block
    found = results.difference(ALL, "fid", "b", "a")
    assert found is not None and found.is_real and found.mean == -2 and found.high == pytest.approx(-1.8, abs=0.1)


def test_figures_of_sets_without_draws_have_no_interval() -> None:
    sets = [SetFigure(ALL, "a", "fid", 40.0, np.empty(0)), SetFigure(ALL, "b", "fid", math.nan, np.array([1.0]))]
    rows = aggregate(many(20, a=0.0, b=0.0), sets).rows
    assert rows[-2].means["fid"] == 40 and "fid" not in rows[-2].low and "fid" not in rows[-1].low


def test_an_interval_around_a_figure_by_hand() -> None:
    draws = np.arange(0.0, 101)  # mean 50, 95 of 100 between 2.5 and 97.5
    assert interval_around(7.0, draws) == pytest.approx((7 - 47.5, 7 + 47.5))
    assert interval_around(7.0, np.append(draws, math.nan)) == pytest.approx((7 - 47.5, 7 + 47.5))
    for nothing in (interval_around(math.nan, draws), interval_around(1.0, draws[:0])):
        assert all(math.isnan(end) for end in nothing)


def test_draws_are_made_once_for_all_methods_and_figures() -> None:
    calls = []
    original = uniform

    def counted(*arguments: Any) -> np.ndarray:
        calls.append(arguments[1])
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inpaint.evaluation.intervals.uniform", counted)
        aggregate(many(300, a=0.0, b=0.1, c=0.2))
    assert len(calls) == 4 and RESAMPLES >= 1000  # averages and differences, in one bucket and in all


def test_torch_is_not_imported() -> None:
    code = "import sys, inpaint.evaluation.intervals; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_every_figure_of_a_mean_has_a_column() -> None:
    from inpaint.metrics.columns import MEAN_OF

    for name, source in MEAN_OF.items():
        assert COLUMNS[name].unit == "dB" and COLUMNS[source].unit == "%"
