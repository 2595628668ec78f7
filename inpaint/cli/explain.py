"""What to say of a command line that does not fit the configs."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from inpaint import config
from inpaint.parts import PROVIDER
from inpaint.settings import Refused, nearest

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

LONGEST = 10_000  # characters of an argument; Hydra's parser needs a millisecond for each
ADDED = ("debug", "experiment", "sweep")  # groups of which nothing is chosen unless it is added
SHOWN, LINES = 500, 40  # characters of a line and lines of a message
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
        ['csv', 'wandb']
    """
    if group not in (known := groups()):
        raise Refused(f"{group}: no such group{nearest(group, known)} (there are {', '.join(known)})")
    return sorted(config.options(group))


def explain(name: str, error: Exception) -> str:
    """One line for an error of Hydra's: what is not there, and the nearest name that is."""
    text = str(error)
    if isinstance(error, InstantiationException):
        where = re.search(r"full_key: (\S+)", text)
        cause = error.__cause__ or error
        reason = str(cause).strip().splitlines() or [type(cause).__name__]
        return f"{where[1] if where else 'config'}: {reason[0]}"
    if found := re.match(r"LexerNoViableAltException: (.*)", text):
        key, _, value = found[1].partition("=")
        return f"{found[1]}: some of these characters need quotes that reach Hydra: \"{key}='{value}'\""
    if found := re.search(r"Could not (?:find|load) '([^']+)'", text):
        group, _, option = found[1].partition("/")
        if known := config.options(group) if group else {}:
            return f"{group}={option}: no such option{nearest(option, known)} (there are {', '.join(known)})"
    if found := re.search(r"Could not override '([^']+)'", text) or re.search(r"full_key: (\S+)", text):
        key = found[1].split("@")[0]
        if key in ADDED:
            return f"{key}: nothing is chosen there that could be replaced; +{key}=OPTION adds one"
        settings = _settings(name)
        hint = " of the option that was chosen" if key in settings else nearest(key, settings)
        return f"{key}: no such setting{hint} (inpaint-{name} --cfg job shows all)"
    return text.strip().splitlines()[0]


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
