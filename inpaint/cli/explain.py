"""What to say of a command line that does not fit the configs."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    UnsupportedInterpolationType,
)

from inpaint import config
from inpaint.parts import PROVIDER, raised_in
from inpaint.settings import Refused, nearest

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

LONGEST = 10_000  # characters of an argument; Hydra's parser needs a millisecond for each
ADDED = ("debug", "experiment", "sweep")  # groups of which nothing is chosen unless it is added
SHOWN, LINES = 500, 40  # characters of a line and lines of a message
# What Hydra takes with dashes.
FLAGS = (
    *("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--resolve", "--package", "-p", "--run", "-r"),
    *("--multirun", "-m", "--shell-completion", "-sc", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--experimental-rerun", "--info", "-i"),
)
NO_OPTION = re.compile(r"null|~|true|false|[-+]?[\d.]+(?:e[-+]?\d+)?", re.IGNORECASE)  # values, to Hydra
SEVERAL = ("losses", "figures", "callbacks", "logger")  # groups of which one may choose several, or nothing
NO_CHOICE = ("hydra", "paths")  # folders of ``conf`` in which a run has nothing to choose


def too_long(arguments: Sequence[str]) -> str | None:
    """What to say of an argument that would keep Hydra's parser busy for minutes; None where there is none."""
    for argument in arguments:
        if len(argument) > LONGEST:
            return (
                f"{argument[:40]}...: an argument of {len(argument)} characters, more than {LONGEST}; write it into a "
                "yaml file (--config-dir)"
            )
    return None


def no_setting(name: str, arguments: Sequence[str]) -> str | None:
    """What to say of the first argument that is ``--key value`` or ``=value``; None where there is none."""
    for place, argument in enumerate(arguments):
        word, _, value = argument.partition("=")
        if not word:
            return f"{argument}: no setting stands before the =; settings are given as KEY=VALUE"
        if not re.fullmatch(r"--?[a-zA-Z][\w.-]*", word) or any(flag.startswith(word) for flag in FLAGS):
            continue
        key = word.lstrip("-").replace("-", "_")
        known = _settings(name)
        keys = [other for other in known if other == key or other.endswith(f".{key}")]
        following = arguments[place + 1 :][:1]
        value = value or next((text for text in following if "=" not in text and not text.startswith("-")), "...")
        said = f"{word}: settings have no dashes"
        if not keys:
            return (
                f"{said}, and there is none called {key}{nearest(key, known)} (inpaint-{name} help lists what there is)"
            )
        return f"{said}; write {shlex.join([f'{keys[0]}={value}'])}"
    return None


def no_option(name: str, arguments: Sequence[str]) -> str | None:
    """What to say of a group for which something is given that names no option; None where there is none.

    Hydra's own error for ``discriminator=null`` does not say which group it is.
    """
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        group = key.partition("@")[0]
        if not NO_OPTION.fullmatch(value) or group not in config.groups() or f"  - {group}" not in _text(name):
            continue
        known = config.options(group)
        none = "; =none is none" if "none" in known else f"; {key}=[] is none" if group in SEVERAL else ""
        return f"{key}: {value} is no option{none} (there are {', '.join(known)})"
    return None


def _text(name: str) -> str:
    return (config.conf_dir() / f"{name}.yaml").read_text(encoding="utf-8")


def shortened(message: str) -> list[str]:
    """Its lines, as many and as long as a terminal can show."""
    lines = [line if len(line) <= SHOWN else f"{line[:SHOWN]}..." for line in message.splitlines()]
    return lines if len(lines) <= LINES else [*lines[:LINES], f"and {len(lines) - LINES} more"]


def refuse_namesakes() -> None:
    """Options of `--config-dir` and `hydra.searchpath` with the name of a packaged one, which Hydra takes silently.

    Raises:
        Refused: naming them.
    """
    files = [source for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]
    packaged = [Path(source.path) for source in files if source.provider == "main"]
    for source in files:
        if source.provider == "main":
            continue
        option = "--config-dir" if source.provider == "command-line" else "hydra.searchpath"
        option = source.provider if source.provider.startswith(PROVIDER) else option
        for file in sorted(Path(source.path).rglob("*.yaml")):
            for ours in packaged:
                namesake = ours / file.relative_to(source.path)
                if namesake.is_file() and namesake.read_bytes() != file.read_bytes():
                    raise Refused(
                        f"{option}: {file} has the name of a packaged option, which would be used instead of it; "
                        "give it another name"
                    )


@contextmanager
def hydra_of(name: str) -> Iterator["Hydra"]:
    """A Hydra that reads the configs of the command `name`, whatever Hydra is at work in this process."""
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(config.conf_dir()), f"inpaint-{name}", version_base="1.3"):
            ours = GlobalHydra.instance().hydra
            assert ours is not None
            yield ours
    finally:
        GlobalHydra.instance().hydra = before


def groups() -> list[str]:
    """The groups in which `inpaint-train` has something to choose."""
    return [name for name in config.groups() if name not in NO_CHOICE]


def options(group: str) -> list[str]:
    """The options of a group of `inpaint-train`, in alphabetical order.

    Raises:
        Refused: there is no such group.

    Examples:
        >>> import inpaint
        >>> inpaint.options("logger")
        ['csv', 'tensorboard', 'wandb']
    """
    if group not in (known := groups()):
        raise Refused(f"{group}: no such group{nearest(group, known)} (there are {', '.join(known)})")
    return sorted(config.options(group))


def explain(name: str, error: Exception, overrides: Sequence[str] = ()) -> str:
    """One line for an error of Hydra's: what is not there, and the nearest name that is.

    Args:
        name: of the command.
        overrides: those that Hydra could not compose.
    """
    text = str(error)
    if text.startswith("Ambiguous value for argument"):
        return _of_several_values(name, text, overrides)
    if isinstance(error, InstantiationException):
        where = re.search(r"full_key: (\S+)", text)
        cause = error.__cause__ or error
        reason = str(cause).strip().splitlines() or [type(cause).__name__]
        return f"{where[1] if where else 'config'}: {reason[0]}{raised_in(cause)}"
    if found := re.match(r"LexerNoViableAltException: (.*)", text):
        key, _, value = found[1].partition("=")
        return f"{found[1]}: some of these characters need quotes that reach Hydra: \"{key}='{value}'\""
    if found := re.search(r"Could not (?:find|load) '([^']+)'", text):
        group, _, option = found[1].partition("/")
        if known := config.options(group) if group else {}:
            return f"{group}={option}: no such option{nearest(option, known)} (there are {', '.join(known)})"
    if found := re.match(r"Error parsing override '([^'=]+)'", text):
        keys = _settings(name)
        return f"{found[1]}: settings are given as KEY=VALUE{'' if found[1] in keys else nearest(found[1], keys)}"
    place = re.search(r"full_key: (\S+)", text)
    if isinstance(error, InterpolationResolutionError | UnsupportedInterpolationType):
        return _of_reference(name, text.splitlines()[0], place[1] if place else _referring(text, overrides))
    found = re.search(r"Could not override '([^']+)'", text)
    if found or (place and isinstance(error, ConfigKeyError | ConfigAttributeError)):
        key = (found or place)[1].split("@")[0]  # type: ignore[index]
        if key in ADDED:
            return f"{key}: nothing is chosen there that could be replaced; +{key}=OPTION adds one"
        settings = _settings(name)
        hint = " of the option that was chosen" if key in settings else _elsewhere(key) or nearest(key, settings)
        return f"{key}: no such setting{hint} (inpaint-{name} --cfg job shows all)"
    if found := re.match(r"In '([^']+)': \w+ raised while composing config:\s*(.*)", text):
        return f"{found[1]}: it does not fit the options beside it: {found[2]}"
    first = text.strip().splitlines()[0]
    return f"{place[1]}: {first}" if place else first


def _elsewhere(key: str) -> str:
    """Which options of its group have a setting: ``data.root`` is one of ``data=folder``."""
    group, _, setting = key.partition(".")
    if group not in config.groups() or not setting:
        return ""
    having = [
        f"{group}={option}"
        for option, path in config.options(group).items()
        if re.search(rf"^{re.escape(setting)}:", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    verb = "has" if len(having) == 1 else "have"
    return f" of the option that was chosen; {', '.join(having)} {verb} it" if having else ""


def _of_reference(name: str, text: str, key: str) -> str:
    """What is wrong with the `${...}` of a setting that stands for nothing."""
    if found := re.search(r"Environment variable '([^']+)' not found", text):
        return f"{key}: the environment has no variable {found[1]}; set it (export {found[1]}=...), or give {key}=..."
    if found := re.search(r"Interpolation key '([^']+)' not found", text):
        return f"{key}: it refers to {found[1]}, which is no setting{nearest(found[1], _settings(name))}"
    return f"{key}: {text}"


def _referring(text: str, overrides: Sequence[str]) -> str:
    """The setting of the command line that refers to what an error names."""
    named = re.search(r"'([^']+)' not found", text)
    referring = (word for word in overrides if named and "${" in word and named[1] in word)
    return next(referring, "config").partition("=")[0].lstrip("+")


def _of_several_values(name: str, text: str, overrides: Sequence[str]) -> str:
    """Several values for one setting: a sweep that -m would begin, or that begins as soon as all else is right.

    Hydra asks the config whether it is one of a sweep, and takes no for an answer where the config does not compose.
    """
    with hydra_of(name) as ours:
        try:
            ours.config_loader.load_configuration(
                name, list(overrides), RunMode.MULTIRUN, validate_sweep_overrides=False
            )
        except Exception as error:
            return explain(name, error, overrides)
    word = text.partition("'")[2].partition("'")[0]
    key, _, values = word.partition("=")
    return f"{key}: several values; -m runs a job for each of {values}, and a list has brackets, [{values}]"


def _settings(name: str) -> list[str]:
    """All dotted keys and groups of a command's config."""

    def keys(node: Any, path: str) -> Iterator[str]:
        for key in node:
            here = f"{path}.{key}" if path else str(key)
            yield here
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not child._is_none():
                yield from keys(child, here)

    with hydra_of(name):
        cfg = hydra.compose(name)
    return [*keys(cfg, ""), *(ADDED if name == "train" else ())]
