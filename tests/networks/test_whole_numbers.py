"""Half a channel and `true` layers are refused by the name of the setting, in every network of `conf/`."""

import inspect
from collections.abc import Sequence

import hydra
import pytest
from omegaconf import OmegaConf

from inpaint.config import conf_dir
from inpaint.settings import Refused

COUNTED = {int: (32.5, True, "eight", 0.0), int | None: (32.5, True), Sequence[int]: ([1.5], [2, True])}
SETTINGS = sorted(
    {
        (group, target, setting)
        for group in ("generator", "discriminator")
        for option in (conf_dir() / group).glob("*.yaml")
        if (target := OmegaConf.load(option).get("_target_", "")).startswith("inpaint.")
        for setting, parameter in inspect.signature(hydra.utils.get_class(target)).parameters.items()
        if parameter.annotation in COUNTED
    }
)


@pytest.mark.parametrize(("group", "target", "setting"), SETTINGS)
def test_whole_numbers_are_whole(group, target, setting):
    network = hydra.utils.get_class(target)
    for value in COUNTED[inspect.signature(network).parameters[setting].annotation]:
        with pytest.raises(Refused, match=rf"^{group}\.{setting}: .* is no whole number from \d up$"):
            network(**{setting: value})


def test_every_network_is_looked_at():
    assert {"AOT", "MAT", "LaMa", "NearestPatch", "MultiScale", "UNet"} <= {
        target.split(".")[-1] for _, target, _ in SETTINGS
    }
