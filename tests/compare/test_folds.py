"""Cross-validation: folds of one model are one line of all photographs, and those that are not whole stay apart."""

from statistics import fmean

import pytest

from inpaint.compare import compare
from tests.compare.folders import add_records, add_validation, changed, make_run


def fold(folder, number, psnrs, folds=3, fills=None, **changes):
    config = changed(data__folds=folds, data__fold=number, **changes)
    make_run(folder, fmean(psnrs), config, images=len(psnrs))
    add_validation(folder, len(psnrs), seed=number)
    add_records(folder, {"unet": psnrs, "telea": fills or [psnr - 2 for psnr in psnrs]})
    return folder


SCORES = [[20.0, 22.0], [30.0], [24.0, 25.0, 29.0]]
EVERY = [20.0, 22.0, 30.0, 24.0, 25.0, 29.0]


def test_folds_are_one_run_that_is_measured_on_every_photograph(tmp_path):
    for number, scores in enumerate(SCORES):
        fills, less = [score - 2 for score in scores], [score - 1 for score in scores]
        fold(tmp_path / "wide" / f"{number}", number, scores, fills=fills)
        fold(tmp_path / "narrow" / f"{number}", number, less, fills=fills, generator__width=16)
    report = compare([tmp_path])
    (block,) = report.blocks
    wide, narrow = block.entries
    assert block.images == 6 and not report.notes
    assert wide.figures["hole_psnr"] == pytest.approx(fmean(EVERY)), "of all pictures, however they fall into folds"
    low, high = wide.intervals()["hole_psnr"]
    assert low < fmean(EVERY) < high
    assert wide.found == {"generator.width": "32"} and narrow.found == {"generator.width": "16"}
    assert sorted(record["hole_psnr"] for record in wide.records.values()) == sorted(EVERY)
    difference = block.differences["hole_psnr"][1]
    assert difference.mean == pytest.approx(-1) and difference.images == 6
    (telea,) = block.fills
    assert telea.figures["hole_psnr"] == pytest.approx(fmean(EVERY) - 2)


def test_seeds_of_a_cross_validation_are_averaged_over_the_whole_of_it(tmp_path):
    for seed, more in ((0, 0.0), (1, 2.0)):
        for number, scores in enumerate(SCORES):
            fold(tmp_path / f"{seed}_{number}", number, [score + more for score in scores], seed=seed)
    (entry,) = compare([tmp_path]).entries
    assert len(entry.runs) == 2 and entry.figures["hole_psnr"] == pytest.approx(fmean(EVERY) + 1)
    assert entry.deviations["hole_psnr"] == pytest.approx(2**0.5)


@pytest.mark.parametrize("numbers", [(0, 1), (0, 1, 1)])
def test_folds_that_are_missing_or_twice_there_are_said(numbers, tmp_path):
    for place, number in enumerate(numbers):
        fold(tmp_path / f"{place}", number, SCORES[number])
    report = compare([tmp_path])
    assert len(report.entries) == len(numbers)
    assert "folds of a cross-validation of which there are 2 of 3, each once" in report.notes[0]
