"""What two configs differ in."""

from typing import Any

import pytest

from inpaint.compare.configs import differences, shortest
from tests.compare.folders import CONFIG, STYLE, changed


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": 2}, [{"seed": "1"}, {"seed": "2"}]),
        ({"discriminator": None}, [{"discriminator": "Patch"}, {"discriminator": "none"}]),
        ({"discriminator": {}}, [{"discriminator": "Patch"}, {"discriminator": "none"}]),
        ({"generator__width": 64}, [{"generator.width": "32"}, {"generator.width": "64"}]),
        (
            {"generator": {"_target_": "inpaint.x.ContextEncoder", "width": 5}},
            [{"generator": "ResidualUNet"}, {"generator": "ContextEncoder"}],
        ),
        ({"losses__style": STYLE}, [{"losses": "l1"}, {"losses": "l1 + style"}]),
        ({"losses": {"style": STYLE}}, [{"losses": "l1"}, {"losses": "style"}]),
        ({"losses": {}}, [{"losses": "l1"}, {"losses": "none"}]),
        ({"optimizer__lr": 2e-4}, [{"optimizer.lr": "0.0001"}, {"optimizer.lr": "0.0002"}]),
        ({"optimizer__betas": [0.0, 0.9]}, [{}, {"optimizer.betas": "[0.0, 0.9]"}]),
        ({"data__root": "/photographs/faces/train"}, [{"data.root": "places/train"}, {"data.root": "faces/train"}]),
        ({"name": "other", "paths__run": "/b"}, [{}, {}]),
    ],
)
def test_differences_of_two_configs(change: dict[str, Any], expected: list[dict[str, str]]) -> None:
    assert differences([CONFIG, changed(**change)]) == expected


def test_a_key_is_compared_among_runs_of_the_same_class_only() -> None:
    other = changed(generator={"_target_": "inpaint.x.ContextEncoder", "width": 5})
    found = differences([CONFIG, changed(generator__width=64), other])
    assert found == [
        {"generator": "ResidualUNet", "generator.width": "32"},
        {"generator": "ResidualUNet", "generator.width": "64"},
        {"generator": "ContextEncoder"},
    ]


def test_a_list_of_parts_is_compared_part_by_part() -> None:
    def kinds(*weights: int) -> dict[str, Any]:
        parts = [{"_target_": "inpaint.masks.Boxes", "weight": weight} for weight in weights]
        return changed(masks={"_target_": "inpaint.masks.Mixture", "kinds": parts})

    assert differences([kinds(1, 2), kinds(1, 3)]) == [{"masks.kinds.1.weight": "2"}, {"masks.kinds.1.weight": "3"}]
    assert differences([kinds(1), kinds(1, 3)]) == [{}, {"masks.kinds.1": "Boxes"}]


def test_shortest_names() -> None:
    assert shortest(["/runs/a/0", "/runs/a/1"]) == ["0", "1"]
    assert shortest(["/runs/a/0", "/runs/b/0", "/runs/b/1"]) == ["a/0", "b/0", "b/1"]
    assert shortest(["/runs/a"]) == ["a"]
    assert shortest([]) == []


def test_parts_that_repeat_the_seed_say_it_once() -> None:
    other = changed(seed=2)
    assert other["data"]["seed"] == 2
    assert differences([CONFIG, other]) == [{"seed": "1"}, {"seed": "2"}]
    assert differences([CONFIG, changed(seed=2, data__seed=5)]) == [{"seed": "1"}, {"seed": "2", "data.seed": "5"}]
