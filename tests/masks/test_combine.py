"""Masks made of other masks."""

import pytest
import torch

from inpaint import rng
from inpaint.masks import Boxes, Full, Inverted, Masks, Mixture, Strokes, Text, Union
from tests.masks.kinds import areas, keys


def test_probabilities_are_respected() -> None:
    kinds = {
        "boxes": Boxes(),
        "strokes": Strokes(),
        "never": Strokes(),
        "nested": Mixture({"centre": Boxes(count=(1, 1), side=(0.5, 0.5), position=(0.5, 0.5))}),
    }
    mask = Mixture(kinds, {"boxes": 1, "strokes": 2, "never": 0, "nested": 1})(keys(4000), (16, 16))
    own = {name: one(rng.fold(keys(4000), f"kind {name}"), (16, 16)) for name, one in kinds.items()}
    taken = torch.stack([(mask == drawn).flatten(1).all(1) for drawn in own.values()])
    assert taken.any(0).all(), "a sample takes no kind"
    for share, expected in zip(taken.float().mean(1).tolist(), (0.25, 0.5, 0, 0.25), strict=True):
        assert abs(share - expected) < 0.03  # two kinds may paint the same 16 x 16 pixels by chance


def test_a_mixture_takes_the_masks_of_its_kinds() -> None:
    """What a kind draws depends on its name alone, so adding another kind leaves the samples that keep theirs alone."""
    two = Mixture({"boxes": Boxes(), "strokes": Strokes()}, {"boxes": 1, "strokes": 1})(keys(100), (64, 64))
    three = Mixture(
        {"boxes": Boxes(), "strokes": Strokes(), "more": Boxes()}, {"boxes": 1, "strokes": 0.5, "more": 0.5}
    )
    same = (two == three(keys(100), (64, 64))).all(3).all(2).all(1)
    assert 60 < same.sum() < 90
    alone = Mixture({"boxes": Boxes()})(keys(100), (64, 64))
    assert torch.equal(alone, Boxes()(rng.fold(keys(100), "kind boxes"), (64, 64)))


def test_kinds_that_are_not_drawn_are_selected() -> None:
    kinds = {"text": Text(), "boxes": Boxes(area=(0.1, 0.3)), "full": Full()}
    mask = Mixture(kinds, {"text": 1, "boxes": 2, "full": 1})(keys(400), (32, 32))
    own = torch.stack([one(rng.fold(keys(400), f"kind {name}"), (32, 32)) for name, one in kinds.items()])
    taken = (mask == own).flatten(2).all(2)
    assert (taken.sum(0) == 1).all()
    assert (taken.float().mean(1) - torch.tensor([0.25, 0.5, 0.25])).abs().max() < 0.08


@pytest.mark.parametrize("other", [Strokes(), Text()], ids=["drawn", "not drawn"])
def test_a_union_is_the_hole_of_every_kind(other: Masks) -> None:
    kinds = {"boxes": Boxes(), "other": other}
    own = [one(rng.fold(keys(50), f"kind {name}"), (48, 64)) for name, one in kinds.items()]
    assert torch.equal(Union(kinds)(keys(50), (48, 64)), torch.maximum(*own))


def test_inverted_is_the_rest() -> None:
    assert torch.equal(Inverted(Boxes())(keys(50), (48, 64)), 1 - Boxes()(keys(50), (48, 64)))


def test_the_limits_of_a_kind_hold_within_a_mixture() -> None:
    limited = Mixture({"boxes": Boxes(area=(0.2, 0.3)), "strokes": Strokes(area=(0.2, 0.3))})
    area = areas(limited(keys(300), (64, 64)))
    assert ((area >= 0.2) & (area <= 0.3)).float().mean() > 0.95


@pytest.mark.parametrize(
    ("kinds", "probabilities", "key"),
    [
        ({}, None, "masks.kinds"),
        ({"boxes": Boxes()}, {"boxs": 1}, "masks.probabilities"),
        ({"boxes": Boxes()}, {}, "masks.probabilities"),
        ({"boxes": Boxes()}, {"boxes": 1, "strokes": 1}, "masks.probabilities"),
        ({"boxes": Boxes()}, {"boxes": -1}, "masks.probabilities"),
        ({"boxes": Boxes()}, {"boxes": float("nan")}, "masks.probabilities"),
        ({"boxes": Boxes()}, {"boxes": "often"}, "masks.probabilities"),
        ({"boxes": Boxes()}, {"boxes": 0}, "masks.probabilities"),
    ],
)
def test_wrong_arguments_name_their_key(kinds: dict, probabilities: dict, key: str) -> None:
    with pytest.raises(ValueError, match=rf"^{key}: give "):
        Mixture(kinds, probabilities)


def test_a_union_needs_kinds() -> None:
    with pytest.raises(ValueError, match=r"^masks\.kinds: give "):
        Union({})


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(boxes, strokes\).*'boxs'.*'strokes'"):
        Mixture({"boxes": Boxes(), "strokes": Strokes()}, {"boxes": 0.5, "boxs": 0.5})
