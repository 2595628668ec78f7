"""Which pictures of an evaluation are kept for people: spread evenly over hole area, in bounded memory."""

import numpy as np
import pytest
import torch

from inpaint.batch import Batch
from inpaint.evaluation.shown import MANY, Shown


def shown_of(areas, number, size=16):
    """What is kept of pictures with these hole areas, seen `size` at a time, and the most candidates there were."""
    shown, most = Shown(number), 0
    for index in torch.arange(len(areas)).split(size):
        image = (index.float() / len(areas)).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
        batch = Batch(image=image, mask=torch.ones(len(index), 1, 2, 2), index=index)
        shown.take(batch, [areas[row] for row in index.tolist()], {"a": image, "b": -image})
        most = max(most, len(shown.truths))
    shown.choose()
    return shown, most


@pytest.mark.parametrize(("number", "chosen"), [(0, []), (1, [0]), (3, [0, 4, 9]), (50, list(range(10)))])
def test_few_pictures_are_chosen_by_their_ranks(number, chosen):
    areas = [index / 10 for index in range(10)]
    assert list(shown_of(areas, number)[0].given["truth"]) == chosen
    backwards, _ = shown_of(areas[::-1], number)
    assert sorted(9 - index for index in backwards.given["truth"]) == chosen


@pytest.mark.parametrize("order", ["random", "rising", "falling", "equal"])
@pytest.mark.parametrize("candidates", [MANY * 12, 30, 12])
def test_of_many_pictures_the_spread_is_as_even_and_the_memory_bounded(order, candidates, monkeypatch):
    monkeypatch.setattr("inpaint.evaluation.shown.PIXELS", 4 * candidates)  # of four pixels each
    areas = np.random.default_rng(0).beta(2, 5, 3000)
    areas = {"random": areas, "rising": np.sort(areas), "falling": np.sort(areas)[::-1], "equal": 0 * areas}[order]
    shown, most = shown_of(areas.tolist(), 12)
    assert most <= max(candidates, 16)
    ranks = {index: rank for rank, index in enumerate(sorted(range(3000), key=lambda index: (areas[index], index)))}
    found = sorted(ranks[index] for index in shown.given["truth"])
    assert len(found) == 12 and found[0] == 0 and found[-1] == 2999
    even = np.linspace(0, 2999, 12)
    assert np.abs(found - even).max() < 3000 / 12 / (4 if candidates == MANY * 12 else 1)
    assert list(shown.given["truth"]) == sorted(shown.given["truth"])
    assert list(shown.composites["a"]) == list(shown.composites["b"]) == list(shown.given["mask"])


def test_a_set_that_fits_is_chosen_exactly():
    areas = np.random.default_rng(1).random(MANY * 4).tolist()
    order = sorted(range(len(areas)), key=areas.__getitem__)
    places = [round(place * (len(areas) - 1) / 3) for place in range(4)]
    assert sorted(shown_of(areas, 4)[0].given["truth"]) == sorted(order[place] for place in places)
