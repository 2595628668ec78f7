"""What of a checkpoint's config is used, which may be anybody's: nothing is looked up here, no file opened unasked."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf, open_dict

from inpaint.config import check
from inpaint.config.targets import wrong_class
from inpaint.groups import FROM_CHECKPOINT, GROUPS, named_files
from inpaint.parts import missing
from inpaint.provenance import PLACEHOLDER, flat, targets_of
from inpaint.settings import ConfigError, printable, whole

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("inpaint.config.sent")

LARGEST_NUMBER = 1 << 16  # in the settings of a network that comes in a checkpoint; a layer has fewer channels


def load_generator(checkpoint: dict[str, Any], trust_paths: bool = False) -> "nn.Module":
    """The moving average of the generator in a checkpoint that `checkpoint.load` has read.

    Args:
        checkpoint: it.
        trust_paths: whether files that the generator's settings name may be opened.

    Raises:
        ConfigError: its config names something that is not allowed or no longer there.
        CheckpointError: its weights are those of another network.
    """
    from inpaint.files.checkpoint import generator_state

    generator = _generator_of(checkpoint, trust_paths)
    generator.load_state_dict(generator_state(checkpoint))
    return generator.eval().requires_grad_(False)


def restoration_scale(checkpoint: dict[str, Any], trust_paths: bool = False) -> int | None:
    """How many times more pixels a side a generator was trained to make of whole pictures, which it restores.

    Args:
        checkpoint: of which it is.
        trust_paths: whether files that its degradation names may be opened.

    Returns:
        A whole number from 1 up, or None for one that fills holes, of degraded pictures or of others.

    Raises:
        ConfigError: as `recorded`.
    """
    from inpaint.files.checkpoint import config_of

    config = config_of(checkpoint)
    holes = config.get("masks")
    if not config.get("degradation") or not isinstance(holes, dict) or named_files("masks", holes):
        return None  # files of masks are holes
    groups = ("degradation", "masks")
    cfg = OmegaConf.create({group: recorded(checkpoint, group, trust_paths) for group in groups})
    check(cfg)
    degradation, masks = (hydra.utils.instantiate(cfg[group], _convert_="all") for group in groups)
    return degradation.scale if masks.whole else None


def untrained_generator(checkpoint: dict[str, Any], seed: int, trust_paths: bool = False) -> "nn.Module":
    """The generator with the weights that a run with `seed` begins with."""
    from inpaint import rng

    rng.seed_all(rng.key(seed, "weights"))
    return _generator_of(checkpoint, trust_paths).eval().requires_grad_(False)


def _generator_of(checkpoint: dict[str, Any], trust_paths: bool) -> "nn.Module":
    """The generator that the config describes, once it is known to be the one that the weights are of."""
    from inpaint.files.checkpoint import CheckpointError, check_weights, generator_state, no_larger_than

    state = generator_state(checkpoint)
    node = recorded(checkpoint, "generator", trust_paths)
    if "_target_" not in node:
        raise ConfigError("checkpoint: its config names no generator")
    cfg = OmegaConf.create({"generator": node})
    check(cfg)
    for path, value in flat(node, "generator").items():
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise ConfigError(f"{path[:80]}: {value} in the checkpoint is more than {LARGEST_NUMBER}")
    try:
        with no_larger_than(state):
            outline = hydra.utils.instantiate(cfg.generator, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, CheckpointError):
            raise error.__cause__ from None
    else:
        check_weights(outline, state)
    generator = hydra.utils.instantiate(cfg.generator, _convert_="all")
    check_weights(generator, state)  # of a part whose constructor needs values, too
    return generator


def recorded(
    checkpoint: dict[str, Any], group: str, trust_paths: bool, given: Iterable[str] = (), key: str | None = None
) -> dict[str, Any]:
    """A group of the config in a checkpoint, of which nothing is looked up here and no file is opened unasked.

    Args:
        checkpoint: whose.
        group: which.
        trust_paths: whether files that it names may be opened; an address never is, unless the command line gives it.
        given: dotted keys that the command line gives, whose recorded values do not count.
        key: of the group in the checkpoint; None is the group's own name.

    Raises:
        ConfigError: it holds no such group, or it refers to something, uses a part that is not here, or names files.
    """
    from inpaint.files.checkpoint import config_of

    config = config_of(checkpoint)
    node = config.get(key or group)
    if not isinstance(node, dict):
        raise ConfigError(f"checkpoint: its config has no {group}")
    node = _without_what_is_made(node, group, given)
    if absent := missing(node, checkpoint["inpaint"].get("parts")):
        raise ConfigError("\n".join(f"checkpoint: {text}" for text in absent))

    def counts(path: str) -> bool:
        return not any(f"{path}.".startswith(f"{name}.") for name in given)

    texts = {path: value for path, value in flat(node, group).items() if counts(path)}
    written = {path: json.dumps([path, value]) for path, value in texts.items()}
    if referring := [path for path, text in written.items() if "${" in text or PLACEHOLDER.search(text)]:
        instead = "" if group == "generator" else f"; give ++{referring[0]}=... yourself"
        raise ConfigError(
            f"{referring[0][:80]}: the checkpoint refers to something of this machine "
            f"({str(texts[referring[0]])[:80]}), which is not looked up{instead}"
        )
    if wrong := [text for place, target in targets_of(node, (group,)) if (text := wrong_class(place, target))]:
        raise ConfigError("\n".join(wrong))
    files = {path: text for path, text in named_files(group, node).items() if counts(path)}
    addresses = {path: text for path, text in files.items() if "://" in text or "::" in text}
    if addresses:
        path, text = next(iter(addresses.items()))
        raise ConfigError(f"{path}: {text[:80]} is an address that the checkpoint names; give ++{path}=... to open it")
    if files and trust_paths is not True:
        named = ", ".join(f"{path}={text[:80]}" for path, text in [*files.items()][:5])
        raise ConfigError(
            f"trust_paths: the checkpoint names files ({named}); trust_paths=true reads them, if the run is your own "
            f"or you trust whoever made it; ++{next(iter(files))}=... names others"
        )
    return node


def follow(
    cfg: DictConfig, checkpoint: dict[str, Any], config: dict[str, Any], group: str, words: Iterable[str]
) -> list[str]:
    """Take a group of `cfg` from a checkpoint, but for what the command line names.

    Another option of the group stands as it is; another data set keeps the crop that the model was trained with, unless
    that is named too. Masks are those of validation.

    Args:
        cfg: changed in place; its `trust_paths` says whether files may be opened that the checkpoint names.
        checkpoint: it.
        config: of the checkpoint.
        group: which.
        words: of the command line.

    Returns:
        The words about the group.

    Raises:
        ConfigError: as `recorded`.
    """
    named = [word for word in (each.lstrip("+~") for each in words) if word.split("=")[0].split(".")[0] == group]
    if not any(word.startswith(f"{group}=") for word in named):
        key = "validation_masks" if group == "masks" and config.get("validation_masks") else group
        given = [word.split("=")[0] for word in named]
        composed = {setting: OmegaConf.select(cfg, setting) for setting in given}
        with open_dict(cfg):
            cfg[group] = recorded(checkpoint, group, cfg.trust_paths, given, key)
            for setting, value in composed.items():  # single settings on top of the checkpoint's
                OmegaConf.update(cfg, setting, value)
    elif group == "data" and not any(word.startswith("data.crop=") for word in named):
        cfg.data.crop = whole("data.crop of the checkpoint", config["data"]["crop"], 1)
    return named


def check_groups(name: str, config: dict[str, Any]) -> None:
    """Whether the config of a checkpoint says what it was trained on.

    Raises:
        ConfigError: it does not.
    """
    for key in FROM_CHECKPOINT:
        if not isinstance(config.get(key), dict):
            raise ConfigError(f"checkpoint: the config of {name} has no {key}; it was not written by inpaint-train")


def _without_what_is_made(node: dict[str, Any], group: str, given: Iterable[str]) -> dict[str, Any]:
    """A recorded group without the settings that name files and folders to write, which is said."""
    there = {name: text for name in GROUPS[group].made if isinstance(text := node.get(name), str)}
    ignored = [name for name, text in there.items() if not Path(text).is_file() and f"{group}.{name}" not in given]
    for name in ignored:
        place = printable(there[name][:80])
        log.warning(f"{group}.{name}: the checkpoint's is not written to ({place}); ++{group}.{name}=... names another")
    return {name: value for name, value in node.items() if name not in ignored}
