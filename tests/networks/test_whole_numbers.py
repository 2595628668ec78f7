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
        with pytest.raises(Refused, match=rf"^{group}\.{setting}: .* is no whole number from \d+ up$"):
            network(**{setting: value})


def counted(value):
    return type(value) is int or (isinstance(value, list) and all(type(item) is int for item in value))


@pytest.mark.parametrize("group", ["generator", "discriminator"])
def test_no_whole_number_of_a_yaml_is_left_out(group):
    looked_at = {(target, setting) for _, target, setting in SETTINGS}
    for option in (conf_dir() / group).glob("*.yaml"):
        settings = OmegaConf.to_container(OmegaConf.load(option), resolve=False)
        target = settings.pop("_target_", None)
        for setting, value in settings.items():
            if counted(value) and (target, setting) not in looked_at:
                parameter = inspect.signature(hydra.utils.get_class(target)).parameters[setting]
                assert parameter.annotation is float, f"{option.name}: {setting}"


def test_every_network_is_looked_at():
    assert {"AOT", "MAT", "LaMa", "NearestPatch", "MultiScale", "UNet"} <= {
        target.split(".")[-1] for _, target, _ in SETTINGS
    }
