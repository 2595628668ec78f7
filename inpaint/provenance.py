"""What a result was made of: the settings, flat and without secrets, the versions, the commit, the command line."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from inpaint import __version__


def flat(node: Any, path: str = "") -> dict[str, Any]:
    """Leaves of nested dicts by their dotted keys."""
    if not isinstance(node, dict) or not node:
        return {path: node}
    return {k: v for key, value in node.items() for k, v in flat(value, f"{path}.{key}" if path else str(key)).items()}


# Classes that had another name when configs that are still there were written.
FORMER = {
    "inpaint.callbacks.ImagePanel": "inpaint.training.callbacks.ImagePanel",
    "inpaint.callbacks.ProgressBar": "inpaint.training.callbacks.ProgressBar",
    "inpaint.edge_module.EdgeConnectGAN": "inpaint.training.edge_connect.EdgeConnectGAN",
    "inpaint.metrics_file.MetricsFile": "inpaint.training.metrics_file.MetricsFile",
    "inpaint.module.InpaintingGAN": "inpaint.training.gan.InpaintingGAN",
    "inpaint.saving.SaveCheckpoint": "inpaint.training.saving.SaveCheckpoint",
    "inpaint.signals.StopOnSignal": "inpaint.training.signals.StopOnSignal",
    "inpaint.wandb_logger.WandbLogger": "inpaint.training.wandb_logger.WandbLogger",
    "inpaint.watch.CollapseWatch": "inpaint.training.watch.CollapseWatch",
    "inpaint.watch.NonFiniteBatches": "inpaint.training.watch.NonFiniteBatches",
    "lightning.Trainer": "inpaint.training.trainer.Trainer",
}

# Settings that classes have had since then, with what they did before.
SINCE: dict[str, dict[str, Any]] = {
    "inpaint.networks.discriminators.Patch": {"last_bias": True, "init": "normal"},
    "inpaint.networks.discriminators.SoftMaskPatch": {"last_bias": True, "init": "normal"},
    "inpaint.training.gan.InpaintingGAN": {"r1_of": "mean"},
    "inpaint.training.trainer.Trainer": {
        "memory_format": "contiguous",
        "fused": False,
        "compile": False,
        "tf32": False,
    },
}

# Names that another class has since then: a setting that only the former class has, and its name now.
TAKEN = {"inpaint.networks.generators.mat.MAT": ("style", "inpaint.networks.generators.mat.UniformMAT")}


# Groups that runs have had since then, with the option that did what was done before.
GROUPS_SINCE: dict[str, Any] = {"degradation": {}}


def as_of_now(config: Any) -> Any:
    """The recorded config of a run as one of now: `renamed`, with the groups that it could not choose."""
    return (GROUPS_SINCE if isinstance(config, dict) and "masks" in config else {}) | renamed(config)


def renamed(config: Any) -> Any:
    """A recorded config as one of now: names and new settings of classes, and how it says what the environment gave."""
    if isinstance(config, dict):
        now = {
            key: _name_now(value, config) if key == "_target_" and isinstance(value, str) else renamed(value)
            for key, value in config.items()
        }
        target = now.get("_target_")
        return (SINCE.get(target, {}) if isinstance(target, str) else {}) | now
    if isinstance(config, str):
        return re.sub(r"\$\{oc\.env:(\w+)\}", lambda match: in_place_of(match[1]), config)
    return [renamed(value) for value in config] if isinstance(config, list) else config


def _name_now(name: str, settings: dict[str, Any]) -> str:
    """What the class of a recorded node is called now."""
    setting, now = TAKEN.get(name, ("", ""))
    return now if setting in settings else FORMER.get(name, name)


def targets_of(node: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a plain config names with `_target_`, and where: the keys on the way there, behind those of `place`."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield place, str(node["_target_"])
        for key, value in node.items():
            yield from targets_of(value, (*place, str(key)))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from targets_of(value, (*place, str(number)))


def versions() -> dict[str, Any]:
    """Versions of Python and of what the results depend on, the commit of the code, and the command line."""
    packages = ("torch", "lightning", "hydra-core", "torchmetrics", "kornia", "numpy", "scikit-image")

    def version(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not installed"

    here = Path(__file__).resolve().parent
    checkout = (here.parent / "pyproject.toml").is_file()  # once installed, it may lie in another repository

    def git(*arguments: str) -> str | None:
        if not checkout:
            return None
        try:
            done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {
        "python": platform.python_version(),
        "inpaint": __version__,  # of the code that runs, whatever distribution carries it
        **{package: version(package) for package in packages},
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": None if changes is None else bool(changes),
        "command": without_secrets(sys.argv),
    }


# In names of environment variables, and in the value of one whatever its name: an address with a password.
SECRET = re.compile(
    "KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH(?!OR)|WEBHOOK|COOKIE|(^|_)(DSN|PAT|PIN)(_|$)|_PWD?$", re.IGNORECASE
)
WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
PLACEHOLDER = re.compile(r"<oc\.env:([^<>]+)>")


def in_place_of(name: str) -> str:
    """What is written down in place of the value of an environment variable.

    It is no reference: one in a checkpoint that somebody sent would be filled in with the reader's own secrets.
    """
    return f"<oc.env:{name}>"


def as_reference(text: str) -> str:
    """A text that has a name in the environment's place, as its user would write it: ``${oc.env:NAME}``."""
    while text != (text := re.sub(r"<(oc\.\w+:[^<>]*)>", r"${\1}", text)):
        pass
    return text


def without_secrets(node: Any) -> Any:
    """Dicts, lists, texts and numbers with ``<oc.env:NAME>`` for the value of a secret variable, where it occurs.

    This finds what a shell has put onto the command line, by the name of the variable. What came by a reference of the
    config (``${oc.env:NAME}``) is known without guessing: `references.without_environment`.
    """
    secrets = _secrets()

    def without(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: without(value) for key, value in node.items()}
        if isinstance(node, list):
            return [without(value) for value in node]
        if isinstance(node, str):
            for name, value in secrets:
                node = node.replace(value, in_place_of(name))
        elif isinstance(node, int | float) and not isinstance(node, bool):
            return next((in_place_of(name) for name, value in secrets if value == str(node)), node)
        return node

    return without(node)


def _secrets() -> list[tuple[str, str]]:
    """Names and values of the variables that hold secrets; the longest first, as one may be a part of another."""
    found = [
        (name, value)
        for name, value in os.environ.items()
        if len(value) >= 8 and (SECRET.search(name) or WITH_PASSWORD.search(value))  # a shorter one could be any word
    ]
    return sorted(found, key=lambda pair: -len(pair[1]))
