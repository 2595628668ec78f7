"""What the tests of masks share: every kind by name, keys, and what masks look like in numbers."""

import functools
import math
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor

from inpaint import rng
from inpaint.masks import Boxes, Full, Masks, Mixture, Scratches, Strokes, Text, Union

CONF = Path(__file__).parents[2] / "conf"
FROM_FILES = {"files", "objects", "paired"}  # have tests of their own
OPTIONS = sorted(path.stem for path in (CONF / "masks").glob("*.yaml") if path.stem not in FROM_FILES)
# What no option has: mixtures of what is painted and what is computed pixel by pixel, inner limits, nesting.
OTHERS: dict[str, Masks] = {
    "scribbles": Strokes(count=(4, 50), segments=(1, 5), length=(0.04, 0.2), width=(0.02, 0.06), turn=(0, 180)),
    "nested": Mixture({"thin": Strokes(width=(0.03, 0.05)), "rest": Mixture({"boxes": Boxes(), "strokes": Strokes()})}),
    "limited": Boxes(area=(0.2, 0.3)),
    "mixed": Mixture(
        {"text": Text(), "boxes": Boxes(area=(0.1, 0.3)), "full": Full()}, {"text": 2, "boxes": 2, "full": 1}
    ),
    "joined": Union({"text": Text(), "scratches": Scratches()}, area=(0.05, 1)),
}
KINDS = [*OPTIONS, *OTHERS]


@functools.cache
def kind(name: str) -> Masks:
    """An option of the group `masks`, or one of the others."""
    if name in OTHERS:
        return OTHERS[name]
    return option(name)


def option(name: str, *overrides: str) -> Masks:
    """An option of the group `masks` with overrides, as `times=[1,6]`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(overrides=[f"+masks={name}", *(f"masks.{override}" for override in overrides)])
    return instantiate(config.masks, _convert_="all")


def keys(count: int) -> Tensor:
    return torch.tensor([rng.key(0, "mask", index) for index in range(count)], dtype=torch.int64)


def draw(masks: Masks, count: int = 2000, side: int = 64) -> Tensor:
    """Masks bool ``(count, 1, side, side)``."""
    return torch.cat([masks(part, (side, side)) > 0.5 for part in keys(count).split(250)])


@functools.cache
def many(name: str) -> Tensor:
    """2000 masks of 64 px, bool ``(2000, 1, 64, 64)``."""
    return draw(kind(name))


def areas(mask: Tensor) -> Tensor:
    return mask.float().mean((1, 2, 3))


def assert_uniform(values: Tensor) -> None:
    """On [0, 1), by the Kolmogorov-Smirnov distance (2 / sqrt(n) is passed by chance once in 1500 times)."""
    values = values.sort().values
    assert values[0] >= 0 and values[-1] < 1
    assert (values - torch.linspace(0, 1, len(values))).abs().max() < 2 / math.sqrt(len(values))
