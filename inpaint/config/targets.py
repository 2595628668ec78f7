"""Whether a class may stand where a config names it, and takes what it is given; nothing is constructed here."""

import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from inpaint.groups import GROUPS, Classes, Group, arguments_made_of_groups, classes_at, form
from inpaint.parts import conf_dirs, part_of, raised_in
from inpaint.settings import nearest

HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_"}


def wrong_class(place: tuple[str, ...], target: str) -> str | None:
    """What is wrong with a class at a key, given as its parts; None if it may stand there.

    What could not stand there by its name is not imported.
    """
    path = ".".join(place) or "config"
    group = GROUPS.get(place[0]) if place else None
    if group is not None and group.many and len(place) == 1:
        return f"{path}: its parts have names; the yaml of {_one(group)} has the form {form(place[0], target[:80])}"
    if not (allowed := classes_at(place)):
        return f"{path}._target_: no class stands at this key; got {target[:80]}"
    refusal = f"{path}._target_: {target[:80]} is {_none_of(allowed)}"
    if part_of(target) is None and not any(_is_named_in(target, classes) for classes in allowed):
        return refusal
    try:
        called = hydra.utils.get_object(target)
    except Exception:
        return f"{path}._target_: there is no {target[:80]}{_why_absent(target)}"
    return None if any(_is_one_of(called, classes) for classes in allowed) else refusal


def _why_absent(target: str) -> str:
    """That a part's module cannot be imported, and why, or which name in a module is like the one that it lacks."""
    module, _, name = target.rpartition(".")
    try:
        known = [other for other in vars(importlib.import_module(module)) if not other.startswith("_")]
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        return f" ({type(error).__name__}: {reason}{raised_in(error)})" if part_of(target) is not None else ""
    return nearest(name, known)


def check_target(place: tuple[str, ...], node: DictConfig) -> list[str]:
    """Problems of one node: a class that may not stand there, arguments that it does not take or lacks."""
    path, target = ".".join(place), str(node._target_)
    if wrong := wrong_class(place, target):
        return [wrong]
    called, group = hydra.utils.get_object(target), GROUPS[place[0]]
    if "_args_" in node:
        return [f"{path}._args_: name the arguments of {target}"]
    partial = bool(node.get("_partial_"))
    if len(place) == 1 + group.many and partial != group.made_later:
        return [f"{path}._partial_: the yaml of {_one(group)} has the form {form(place[0], target)}"]
    accepted, required = _arguments(called)
    given = {str(key) for key in node} - HYDRA_KEYS
    problems = [
        f"{path}.{key}: {target} takes no such argument"
        f"{nearest(key, sorted(accepted)) or f'; ~{path}.{key} leaves it out'}"
        for key in sorted(given - accepted)
    ]
    supplied = arguments_made_of_groups(path)
    problems += [f"{path}.{key}: it is made of the group {key}=..." for key in sorted(given & supplied)]
    if not partial:
        problems += [f"{path}.{key}: {target} needs it" for key in sorted(required - given - supplied)]
    return problems


def _one(group: Group) -> str:
    return group.holds.what if group.holds is not None else "an option"


def _is_named_in(name: str, classes: Classes) -> bool:
    return name == classes.base or any(name.startswith(f"{module}.") for module in classes.modules)


def _is_one_of(called: Any, classes: Classes) -> bool:
    """Whether an object is such a class, defined where such classes are or in an installed part.

    Where it was defined counts: through a module that imports others, everything in Python can be reached.
    """
    home = f"{getattr(called, '__module__', '')}.{getattr(called, '__name__', '')}"
    if not _is_named_in(home, classes) and part_of(home) is None:
        return False
    if inspect.isclass(called):
        return issubclass(called, hydra.utils.get_object(classes.base))
    return classes.functions and inspect.isfunction(called)


def _none_of(allowed: Iterable[Classes]) -> str:
    """What a target is not, for a message."""
    kinds: dict[str, list[str]] = {}
    for classes in allowed:
        kinds.setdefault(classes.what, []).append(f"{classes.base} in {', '.join(classes.modules)}")
    return "; ".join(f"not {what} ({'; '.join(of)}; or of an installed part)" for what, of in kinds.items())


def check_forms(cfg: DictConfig) -> list[str]:
    """Problems of groups whose yaml has a name too many or too few, or no class, each with the right form."""
    problems = []
    theirs = _groups_of_parts()
    for name, group in GROUPS.items():
        node = cfg.get(name)
        if group.holds is None or node is None or (group.many and not node):
            continue
        if not isinstance(node, DictConfig):
            problems.append(f"{name}: got {str(node)[:80]}; the yaml of an option has the form {form(name)}")
        elif group.many and name in ("losses", "figures"):
            problems += [
                f"{name}.{key!s}: got {str(part)[:80]}; the yaml of {_one(group)} has the form {form(name)}"
                for key, part in node.items()
                if not chosen(part)
            ]
        elif not group.many and "_target_" not in node:
            nested = [key for key, part in node.items() if isinstance(part, DictConfig) and "_target_" in part]
            problems += [
                f"{name}.{key!s}: a name too many; the yaml of {_one(group)} has the form {form(name)}"
                for key in nested
            ]
            if not nested and (name == "generator" or name in theirs):
                problems.append(f"{name}: no _target_; the yaml of {_one(group)} has the form {form(name)}")
    return problems


def _groups_of_parts() -> set[str]:
    """The groups of the command for which the option of an installed part was chosen."""
    if not HydraConfig.initialized():
        return set()
    choices = HydraConfig.get().runtime.choices
    return {
        name or group
        for (group, _, name), option in ((key.partition("@"), option) for key, option in choices.items())
        if isinstance(option, str) and any((folder / group / f"{option}.yaml").is_file() for folder in conf_dirs())
    }


def _arguments(called: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """Names that may and that must be given; `**settings` stands for the arguments of the class's parent."""
    accepted: set[str] = set()
    required: set[str] = set()
    for level in called.__mro__ if inspect.isclass(called) else [called]:
        parameters = list(inspect.signature(level.__init__ if inspect.isclass(level) else level).parameters.values())
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
        first = level is called
        accepted |= {p.name for p in named}
        required |= {p.name for p in named if first and p.default is p.empty}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return accepted, required


def chosen(node: Any) -> bool:
    """Whether a group has an option other than `none`, of which a recipe may leave single settings without effect."""
    return isinstance(node, DictConfig) and "_target_" in node
