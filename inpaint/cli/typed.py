"""Commands that are printed for somebody to type: they do what is meant, whatever a folder is called."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf

from inpaint.provenance import without_secrets
from inpaint.settings import Refused

# What another run of a comparison does not take over: where the first one was, and from where it went on.
OF_ONE_RUN = ("hydra", "resume", "baselines", "name")


def literal(key: str, value: Any) -> str:
    """A value in Hydra's grammar; texts are quoted, so that none of their signs means anything.

    Args:
        key: of the setting, for the message.
        value: None, a truth value, a number, a text, a path, or lists and dicts of them.

    Raises:
        Refused: it is something else.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str | Path):
        return QuotedString(str(value), Quote.single).with_quotes()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(literal(key, item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{literal(key, name)}:{literal(key, item)}' for name, item in value.items())}}}"
    raise Refused(f"{key}: give texts, numbers, lists and dicts; got {type(value).__name__}")


def setting(key: str, value: str | Path) -> str:
    """The override that gives `key` this text; it is quoted where Hydra would read something else than the text."""
    plain = str(value)
    return f"{key}={plain if _is_read(plain, plain) else literal(key, plain)}"


def several(key: str, values: Sequence[str | Path]) -> str:
    """The override that gives `key` a list of texts."""
    items = [str(value) for value in values]
    return f"{key}=[{','.join(item if _is_read(f'[{item}]', [item]) else literal(key, item) for item in items)}]"


def _is_read(text: str, meant: Any) -> bool:
    """Whether Hydra reads what is meant."""
    try:
        override = OverridesParser.create().parse_override(f"key={text}")
    except HydraException:
        return False
    return not override.is_sweep_override() and override.value() == meant


def line(command: str, *words: str) -> str:
    """The command with its words, as a shell takes them."""
    return shlex.join([command, *words])


def typed() -> list[str]:
    """The overrides of the command that Hydra runs, as they were typed: references to the environment are unread."""
    overrides = OmegaConf.to_container(HydraConfig.get().overrides, resolve=False)
    return without_secrets(cast(dict[str, list[str]], overrides)["task"])


def comparison(overrides: Sequence[str], choices: Mapping[str, Any]) -> str:
    """A sweep over other networks that leaves all else as it was: the photographs, the holes, the recipe.

    A recipe belongs to its networks, as do settings of theirs, so these are compared by the seed instead.

    Args:
        overrides: of the run, as they were typed.
        choices: its option of each group; a group that was written out in place of an option has none.
    """
    kept = [word for word in overrides if _group(word) not in OF_ONE_RUN]
    changed = {_group(word) for word in kept}
    axes = {}
    sized = any(word.lstrip("+").startswith("generator.") for word in kept)
    if "generator" in choices and not sized and not changed & {"experiment", "module", "init_from"}:
        others = dict.fromkeys([str(choices["generator"]), "residual_unet", "context_encoder"])
        axes["generator"] = ",".join([*others][:2])
    if not changed & {"experiment", "module", "losses", "discriminator", "adversarial"}:
        axes["adversarial"] = "hinge,none"
    axes = axes or {"seed": "0,1,2"}
    kept = [word for word in kept if _group(word) not in axes]
    return line("inpaint-train", "-m", *kept, *(f"{key}={values}" for key, values in axes.items()), "baselines=[]")


def _group(override: str) -> str:
    """The first part of an override's key."""
    return override.lstrip("+~").partition("=")[0].partition(".")[0].partition("@")[0]
