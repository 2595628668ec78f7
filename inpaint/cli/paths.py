"""Settings that are paths: the text as it was typed, with ``~`` expanded, in every command.

Hydra's grammar makes numbers, lists and sweeps of texts that are good names for folders: 2019, 1e5, [old], ``a,b``.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, ListConfig, read_write

from inpaint.cli.typed import literal
from inpaint.files.folder import expanded
from inpaint.groups import GROUPS
from inpaint.settings import ConfigError

# Beside those of the groups (`Group.files`), by command.
OWN = {
    "train": ("init_from", "resume", "backbone_weights", "lpips_weights"),
    "evaluate": ("checkpoint", "images", "holes", "frozen", "results", "lpips_weights", "features", "recogniser"),
    "export": ("checkpoint", "output"),
    "predict": ("checkpoint", "images", "video", "holes", "truth", "output"),
    "preview": ("output", "freeze", "shards", "explain", "checkpoint"),
    "probe": ("checkpoint",),
    "sample": ("checkpoint", "output"),
    "stylise": ("content", "style", "output"),
    "import": ("weights", "output"),
}
SEVERAL = ("checkpoint", "weights", "results", "data.train", "data.validation")  # may be lists or have names
SHARES = ("data.validation",)  # may be numbers
TEXTS = {"predict": ("mask_colour", "mask_pattern")}  # that Hydra's grammar would take apart: #ff0000, {stem}_mask.png
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")


def as_texts(name: str, arguments: Sequence[str]) -> list[str]:
    """The arguments with quotes around the values of settings that are texts and no paths.

    Null, what has quotes, what refers to another setting and several values for a sweep are left as they are.

    Examples:
        >>> as_texts("predict", ["mask_colour=#ff0000", "mask_colour=null", "seed=1"])
        ["mask_colour='#ff0000'", 'mask_colour=null', 'seed=1']
    """
    quoted_ones = []
    for argument in arguments:
        key, _, text = argument.partition("=")
        is_text = key in TEXTS.get(name, ()) and text not in ("", "null") and text[0] not in "'\"$[" and "," not in text
        quoted_ones.append(_override(key, text) if is_text else argument)
    return quoted_ones


def unreadable(name: str, arguments: Sequence[str]) -> str | None:
    """What to say of a path that Hydra would read as something else, or not at all; None where there is none.

    Args:
        name: of the command.
        arguments: of the command line.
    """
    for text in (*arguments, os.getcwd()):  # noqa: PTH109
        try:
            text.encode()
        except UnicodeEncodeError:
            return (
                f"{text}: no UTF-8, so no config can hold it; rename the folder, or give a link to it that has "
                "another name"
            )
    is_sweep = any(argument in ("-m", "--multirun") for argument in arguments)
    for argument in arguments:
        key, equals, text = argument.partition("=")
        key = key.lstrip("+")
        if not equals or argument.startswith("-") or not (_is_path(name, key) or key in FOLDERS) or text[:1] in "'\"":
            continue
        if key in SEVERAL and text[:1] in "[{":
            continue
        try:
            override = OverridesParser.create().parse_override(argument)
        except HydraException:
            return f"{argument}: some of these characters need quotes that reach Hydra: {quoted(key, text)}"
        if override.is_sweep_override() and not is_sweep:
            return f"{argument}: several values, for a sweep (-m); for one path of that name write {quoted(key, text)}"
    return None


def settle(name: str, cfg: DictConfig) -> None:
    """Make a text of every setting that is a path, with ``~`` expanded.

    A number or a truth value of the command line is the text that was typed.

    Raises:
        ConfigError: a list, a table, or a number from elsewhere, with what to write; all of them.
    """
    typed = _typed(HydraConfig.get().overrides.task) if HydraConfig.initialized() else {}
    problems = []
    for node, key, path in _paths(name, cfg):
        value = node[key]
        if path in SHARES and isinstance(value, float):
            continue
        if isinstance(value, DictConfig | ListConfig):
            text = typed.get(path, str(value))
            problems.append(f"{path}: {text} is no path; for one of that name write {quoted(path, text)}")
        elif not isinstance(value, str) and path not in typed:
            problems.append(f"{path}: {value} is no text; put quotes around the name of a file or folder")
        elif not str(value).strip():
            problems.append(f"{path}: empty; give a file or folder")
        else:
            with read_write(node):
                text = value if isinstance(value, str) else typed[path]
                node[key] = text if "://" in text else str(expanded(text))  # a path would lose a stroke of an address
    if problems:
        raise ConfigError("\n".join(problems))


def quoted(key: str, text: str) -> str:
    """What to type for a text that Hydra's grammar does not touch."""
    override = _override(key, text)
    return shlex.quote(override) if re.search(r'[$`"!]', override) else f'"{override}"'


def _override(key: str, text: str) -> str:
    return f"{key}={literal(key, text)}"


def _typed(overrides: Sequence[str]) -> dict[str, str]:
    """The texts of a command's settings by key, without those in quotes, which Hydra takes as they are."""
    parts = (override.partition("=") for override in overrides)
    return {key.lstrip("+"): text.strip() for key, equals, text in parts if equals and text.strip()[:1] not in "'\""}


def _is_path(name: str, key: str) -> bool:
    """Whether a setting of a command is a path, by its dotted key."""
    if key in OWN.get(name, ()):
        return True
    group, _, setting = key.partition(".")
    files = GROUPS[group].files if group in GROUPS else ()
    return setting.rpartition(".")[2] in {file.rpartition(".")[2] for file in files}


def _paths(name: str, cfg: DictConfig) -> Iterator[tuple[Any, Any, str]]:
    """Every setting that is a path: the node that holds it, its key there, and its dotted key.

    What refers to another setting or to the environment is left as it is, and so is what has no value.
    """

    def has_value(node: Any, key: Any) -> bool:
        child = node._get_node(key)
        return not (child._is_none() or child._is_missing() or child._is_interpolation())

    def several(node: Any, key: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
        child = node._get_node(key)
        if path in SEVERAL and isinstance(child, DictConfig | ListConfig):
            keys = list(child) if isinstance(child, DictConfig) else range(len(child))
            yield from ((child, inner, f"{path}.{inner}") for inner in keys if has_value(child, inner))
        else:
            yield node, key, path

    def walk(node: Any, path: str, target: str, files: Sequence[str]) -> Iterator[tuple[Any, Any, str]]:
        if isinstance(node, DictConfig):
            target = str(node.get("_target_", target)).rpartition(".")[2]
        for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
            if not has_value(node, key):
                continue
            child, here = node._get_node(key), f"{path}.{key}"
            if {str(key), f"{target}.{key}"} & {*files}:
                yield from several(node, key, here)
            elif isinstance(child, DictConfig | ListConfig):
                yield from walk(child, here, target, files)

    for key in OWN.get(name, ()):
        if key in cfg and has_value(cfg, key):
            yield from several(cfg, key, key)
    for group, row in GROUPS.items():
        if row.files and group in cfg and isinstance(cfg._get_node(group), DictConfig) and has_value(cfg, group):
            yield from walk(cfg._get_node(group), group, "", row.files)


class Folders(Callback):
    """Hydra calls it before a command begins: the folder of a run or a sweep is a path like all others."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Of a single run."""
        _settle_folder(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Of a sweep, whose jobs are composed anew, each from the sweep's overrides."""
        if _settle_folder(config, "sweep"):
            folder = str(config.hydra.sweep._get_node("dir")._value())
            with read_write(config.hydra):
                config.hydra.overrides.hydra.append(_override("hydra.sweep.dir", folder))


def _settle_folder(config: DictConfig, kind: str) -> bool:
    """Whether the folder is another one now."""
    node = config.hydra[kind]
    before = str(node._get_node("dir")._value())
    typed = _typed(config.hydra.overrides.hydra).get(f"hydra.{kind}.dir", before)
    text = before if "${" in before else typed
    after = str(expanded(text))
    if after != before:
        with read_write(config.hydra):
            node.dir = after
    return after != before
