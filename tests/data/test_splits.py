"""Sides of a split by a hash of the names: what each name decides, and what every photograph does over all folds."""

import pytest
from PIL import Image

from inpaint.data.sources import Folder
from inpaint.data.splits import by_fold, by_share, place
from inpaint.settings import Refused
from tests.conftest import smooth_picture

NAMES = [f"deep/{number}.png" for number in range(60)]


def test_over_all_folds_each_photograph_validates_once_and_keeps_its_fold_when_others_come():
    sides = [by_fold(NAMES, 5, fold, "here") for fold in range(5)]
    validated = sorted(row for side in sides for row in side["validation"])
    assert validated == list(range(60))
    for side in sides:
        assert sorted([*side["train"], *side["validation"]]) == list(range(60)) and side["validation"]
    more = ["new.png", *NAMES]
    for fold, side in enumerate(sides):
        kept = {more[row] for row in by_fold(more, 5, fold, "here")["validation"]} - {"new.png"}
        assert kept == {NAMES[row] for row in side["validation"]}


def test_two_folds_are_the_two_halves_of_a_share():
    half = by_share(NAMES, 0.5, "here")
    assert by_fold(NAMES, 2, 0, "here") == half
    assert by_fold(NAMES, 2, 1, "here") == {"train": half["validation"], "validation": half["train"]}
    assert all(place(NAMES[row]) < 0.5 for row in half["validation"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, r"^data\.folds: 1 is no whole number from 2 up"),
        ({"folds": 3, "fold": 3}, r"^data\.fold: 3 is none of data\.folds=3, which are 0 to 2"),
        ({"fold": 1}, r"^data\.fold: 1 is one of data\.folds, which are not given"),
        ({"folds": 3, "train": "list.txt", "validation": "list.txt"}, r"^data\.folds: list\.txt validates"),
        ({"folds": 500, "fold": 0}, r"^data\.folds: fold 0 of 500 leaves none of the 4 pictures in .* for validation"),
    ],
)
def test_folds_that_mean_nothing(settings, message, tmp_path):
    for number in range(4):
        Image.fromarray(smooth_picture(number, 20, 20)).save(tmp_path / f"{number}.png")
    (tmp_path / "list.txt").write_text("0.png\n1.png\n")
    with pytest.raises(Refused, match=message):
        Folder(str(tmp_path), **settings)


def test_a_folder_is_shared_out_by_folds(tmp_path):
    for number in range(12):
        Image.fromarray(smooth_picture(number, 20, 20)).save(tmp_path / f"{number}.png")
    sides = [Folder(str(tmp_path), folds=2, fold=fold).names for fold in range(2)]
    assert sides[0]["train"] == sides[1]["validation"] and sides[1]["train"] == sides[0]["validation"]
