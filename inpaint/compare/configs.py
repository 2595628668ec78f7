"""What the configs of runs differ in, without how they are stored and watched."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from inpaint.groups import BY_CHOICE, EXPLAINS_NOTHING, FOLDERS

IMPLIED = {"_target_", "_partial_"}  # shown as the class

Settings = dict[str, str]  # what sets one config apart: dotted key to readable value


def without_storage(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without storage settings; `seed` is kept at the top and dropped from parts that only repeat it."""
    seed = config.get("seed")
    kept: dict[str, Any] = {} if seed is None else {"seed": seed}
    for key, section in config.items():
        if key != "seed" and key not in EXPLAINS_NOTHING:
            kept[key] = _without(section, seed)
    return kept


def _without(node: Any, seed: Any) -> Any:
    """A node of a config without folders, and without seeds that repeat the run's."""
    if isinstance(node, list):
        return [_without(item, seed) for item in node]
    if not isinstance(node, Mapping):
        return node
    kept = {}
    for key, value in node.items():
        repeats = key == "seed" and value == seed
        if key not in FOLDERS and not repeats:
            kept[key] = _without(value, seed)
    return kept


def shortest(names: Sequence[str], separator: str = os.sep) -> list[str]:
    """The fewest last parts that keep different names different: runs/a/0, runs/b/0 become a/0, b/0."""
    parts = [name.strip(separator).split(separator) for name in names]
    for count in range(1, max(map(len, parts), default=0)):
        tails = [separator.join(part[-count:]) for part in parts]
        if len(set(tails)) == len(set(names)):
            return tails
    return list(names)


def differences(configs: Sequence[Mapping[str, Any]]) -> list[Settings]:
    """What sets each config apart.

    A group shows its class (``generator=GatedUNet``, ``discriminator=none``) or its parts (``losses=l1 + style``), and
    a key inside it only where configs with the same class differ (``losses.l1.weight=6``).
    """
    apart: list[Settings] = [{} for _ in configs]

    def compare(key: str, nodes: dict[int, Any]) -> None:
        """Note the differences between `nodes`: number of a config to what it has under `key`."""
        values = list(nodes.values())
        if all(value == values[0] for value in values):
            return
        if not all(value is None or _is_branch(value) for value in values):
            show(key, nodes)
            return
        by_kind: dict[str, dict[int, dict[str, Any]]] = {}  # class of the node to the runs that have it, and its keys
        for run, node in nodes.items():
            by_kind.setdefault(_kind(node), {})[run] = _branches(node)
        parts_shown = key in BY_CHOICE and len({_label(key, node) for node in values}) > 1
        if len(by_kind) > 1 or parts_shown:
            show(key, nodes)
        for alike in by_kind.values():
            by_child: dict[str, dict[int, Any]] = {}  # key inside the node to the runs that have it, and its value
            for run, branches in alike.items():
                for child, value in branches.items():
                    if child not in IMPLIED:
                        by_child.setdefault(child, {})[run] = value
            for child, having in by_child.items():
                path = f"{key}.{child}" if key else child
                if len(having) < len(alike) and not parts_shown:
                    show(path, having)
                compare(path, having)

    def show(key: str, nodes: dict[int, Any]) -> None:
        labels = [_label(key, node) for node in nodes.values()]
        if any("/" in label for label in labels):
            labels = shortest(labels, "/")
        for run, label in zip(nodes, labels, strict=True):
            apart[run][key] = label

    compare("", {run: without_storage(config) for run, config in enumerate(configs)})
    return apart


def unusual(differing: Sequence[Settings]) -> tuple[Settings, list[Settings]]:
    """What most configs share, and what is left to say of each; where three keys or fewer differ, everything is."""
    keys = dict.fromkeys(key for settings in differing for key in settings)
    usual = {}
    if len(keys) > 3:
        for key in keys:
            values = [settings[key] for settings in differing if key in settings]
            value, count = Counter(values).most_common(1)[0]
            if len(values) == len(differing) and count > len(differing) / 2:
                usual[key] = value
    left = []
    for settings in differing:
        left.append({key: value for key, value in settings.items() if usual.get(key) != value})
    return usual, left


def _is_branch(node: Any) -> bool:
    """A mapping, or a list of mappings (mask kinds, augmentations), which is compared place by place."""
    return isinstance(node, dict) or (isinstance(node, list) and any(isinstance(item, dict) for item in node))


def _branches(node: Any) -> dict[str, Any]:
    if isinstance(node, list):
        return {str(place): item for place, item in enumerate(node)}
    return {str(child): value for child, value in (node or {}).items()}


def _kind(node: Any) -> str:
    """The class a node builds, `none` for an empty node, nothing for a mapping that only holds others."""
    return "none" if not node else str(_branches(node).get("_target_", ""))


def _label(key: str, node: Any) -> str:
    """A node in a few characters."""
    if node is None or node == {}:
        return "none"
    if not _is_branch(node):
        return json.dumps(node, default=str, ensure_ascii=False).replace('"', "")
    if kind := _kind(node):
        name, group = kind.rpartition(".")[2], key.rpartition(".")[2]
        is_suffix = name.lower().endswith(group.lower()) and len(name) > len(group)
        return name[: len(name) - len(group)] if is_suffix else name  # PatchDiscriminator is Patch
    labels = list(node) if isinstance(node, dict) else [_label("", item) for item in node]
    return " + ".join(labels)
