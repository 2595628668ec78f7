"""What the references of a config (``${...}``) stand for: how much it becomes, and what came from the environment.

A value of the environment may be a password, whatever its variable is called. So what a run writes down, or prints,
has ``<oc.env:NAME>`` in its place: no reference, as one in a file that somebody sent would be filled in with the
reader's own secrets.
"""

import copy
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import AnyNode, Container, DictConfig, ListConfig, Node, OmegaConf
from omegaconf.resolvers import oc

from inpaint.files.folder import replacing
from inpaint.files.untrusted import read_bytes
from inpaint.provenance import PLACEHOLDER, in_place_of
from inpaint.settings import ConfigError, Refused

LARGEST = 1_000_000  # characters and values of a config whose references are filled in; one of a run has 10 000
REFERENCE = re.compile(r"\$\{([^${}]*)\}")
VARIABLE = re.compile(r"\$\{\s*oc\.env\s*:\s*([^\s,{}]+)")
WORD = 3  # characters, from which a value of the environment is recognised in a message


# ---- how much it becomes --------------------------------------------------------------------------------------------


def measure(cfg: DictConfig) -> None:
    """Refuse a config that becomes enormous once its references are filled in; nothing is filled in for that.

    Raises:
        ConfigError: as ``a: ${b}${b}``, ``b: ${c}${c}`` and so on, 34 times.
    """
    sizes: dict[int, int] = {}

    def size(node: Node | None) -> int:
        if node is None:
            return 0
        if id(node) in sizes:
            return sizes[id(node)]
        sizes[id(node)] = 0  # what refers to itself is refused by OmegaConf
        value = node._value() if not isinstance(node, Container) or node._is_interpolation() else None
        if isinstance(value, str):
            total = 1 + len(value) + sum(size(target) for target in _targets(node, value))
        else:
            total = 1 + sum(map(size, _children(node)))
        if total > LARGEST:
            raise ConfigError(
                f"{node._get_full_key(None)[:80]}: with its references filled in, it has more than {LARGEST} characters"
            )
        sizes[id(node)] = total
        return total

    try:
        size(cfg)
    except RecursionError:
        raise ConfigError("config: nested more deeply than can be followed") from None


def _children(node: Node) -> list[Node]:
    if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing()):
        return [cast(Node, node._get_node(key)) for key in node]
    if isinstance(node, ListConfig) and not (node._is_none() or node._is_missing()):
        return [cast(Node, node._get_node(place)) for place in range(len(node))]
    return []


def _targets(node: Node, text: str) -> Iterator[Node | None]:
    """The nodes that a text refers to: ``${key}``, ``${.sibling}``, and what a resolver's arguments may name."""
    while found := REFERENCE.findall(text):
        for inside in found:
            resolver, colon, arguments = inside.partition(":")
            for key in re.split(r"[,\s\[\]]+", arguments) if colon else [resolver]:
                yield _named(node, key.strip())
        text = REFERENCE.sub("", text)


def _named(node: Node, key: str) -> Node | None:
    """The node at a dotted key, or the last on the way there that is a reference itself."""
    if not key:
        return None
    at: Any = node._get_root()
    if key.startswith("."):
        at = node
        while key.startswith("."):
            at, key = at._get_parent() if at is not None else None, key[1:]
    for part in filter(None, re.split(r"[.\[\]]", key)):
        if at is None or not isinstance(at, Container) or at._is_interpolation():
            return at
        try:
            at = at._get_node(int(part) if isinstance(at, ListConfig) else part)
        except Exception:  # not there
            return None
    return at


# ---- what came from the environment ---------------------------------------------------------------------------------


def without_environment(cfg: DictConfig) -> dict[str, Any]:
    """The config as it may be written down: references filled in, except for what came from the environment.

    A text has ``<oc.env:NAME>`` where the variable's value would be; a value that was computed of one is its expression
    with ``<>`` for ``${}``, as ``<oc.decode:<oc.env:PORT>>``. A default that stands for a variable that is not set is a
    value like any other.
    """
    unnamed = copy.deepcopy(cfg)
    OmegaConf.clear_cache(unnamed)
    return _container(cfg, unnamed)


def command_line() -> list[str]:
    """The overrides of the command that Hydra runs, as they may be written down."""
    return without_environment(cast(DictConfig, HydraConfig.get().overrides))["task"]


def _container(node: Any, named: Any) -> Any:
    """The values of `node`; `named`, its copy, is asked what they are with names in place of the environment."""
    if isinstance(node, DictConfig):
        if node._is_none() or node._is_missing():
            return node._value()
        return {key: _value(node, named, key) for key in node}
    if node._is_none() or node._is_missing():
        return node._value()
    return [_value(node, named, place) for place in range(len(node))]


def _value(container: Any, named: Any, key: Any) -> Any:
    child = container._get_node(key)
    if child._is_missing():
        return "???"
    other: Any = None
    try:
        other = named._get_node(key)
        if other._is_interpolation():
            with _names_for_values():
                other = other._maybe_dereference_node(throw_on_resolution_failure=True)
    except Exception:  # a name is no number, no key and no text to compute with
        other = AnyNode()
    real = child._maybe_dereference_node(throw_on_resolution_failure=True)
    if isinstance(real, Container):
        return _container(real, other) if isinstance(other, type(real)) else _expression(child)
    value = real._value()
    text = None if isinstance(other, Container) else other._value()
    if isinstance(other, Container) or text != value:
        return text if isinstance(text, str) and PLACEHOLDER.search(text) else _expression(child)
    return value


def _expression(node: Node) -> str:
    """How a value was computed, with ``<>`` for ``${}`` and, in place of a reference to a key, how that one was."""

    def followed(reference: re.Match[str]) -> str:
        target = None if ":" in reference[1] else _named(node, reference[1].strip())
        return reference[0] if target is None or isinstance(target, Container) else _expression(target)

    text = REFERENCE.sub(followed, str(node._value())).replace("${", "<").replace("}", ">")
    return text if PLACEHOLDER.search(text) else in_place_of(re.sub("[<>]", "", text))


@contextmanager
def _names_for_values() -> Iterator[None]:
    """``${oc.env:NAME}`` is the placeholder for as long as this lasts, where the variable is set."""

    def name(key: str, default: Any = oc._DEFAULT_MARKER_) -> str | None:
        return in_place_of(key) if key in os.environ else oc.env(key, default)

    OmegaConf.register_new_resolver("oc.env", name, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def fingerprints(cfg: DictConfig) -> dict[str, str]:
    """What tells whether the variables that a config refers to are as they were, and tells nobody else anything.

    Each is authenticated (HMAC-SHA256) with a key of this user, which stays here: without it nobody can try values,
    and what was written with another key is not compared.

    Returns:
        A digest for each variable that is set, and of the key as ``""``; nothing where no key can be kept.
    """
    values = {name: os.environ[name] for name in _variables(cfg) if name in os.environ}
    if not values or (key := _key()) is None:
        return {}
    digests = {
        name: hmac.digest(key, f"{name}={value}".encode(errors="surrogateescape"), "sha256").hex()
        for name, value in values.items()
    }
    return {"": hmac.digest(key, b"", "sha256").hex(), **digests}


def _key() -> bytes | None:
    """32 random bytes below the user's home, made when they are first asked for."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "inpaint"
    file = folder / "fingerprints.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            with replacing(file) as scratch:
                scratch.chmod(0o600)
                scratch.write_bytes(secrets.token_bytes(32))
        return read_bytes(file, 32)
    except (OSError, RuntimeError, Refused):  # no home, a full disk
        return None


def _variables(cfg: DictConfig) -> list[str]:
    """The variables that a config refers to; none where it cannot be written."""
    try:
        return list(dict.fromkeys(VARIABLE.findall(OmegaConf.to_yaml(cfg))))
    except Exception:
        return []


def without_values(text: str, cfg: DictConfig) -> str:
    """A message in which no value stands that the config takes from the environment."""
    for name in _variables(cfg):
        value = os.environ.get(name, "")
        if len(value) >= WORD:
            text = in_place_of(name).join(re.split(rf"(?<!\w){re.escape(value)}(?!\w)", text))
    return text
