"""What the configs of runs differ in, without how they are stored and watched."""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from inpaint.groups import BY_CHOICE, EXPLAINS_NOTHING, FOLDERS

IMPLIED = {"_target_", "_partial_"}  # shown as the class

Found = dict[str, str]  # what sets one config apart: dotted key to readable value


def without_storage(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without storage settings; `seed` is kept at the top and dropped from parts that only repeat it."""
    seed = config.get("seed")

    def kept(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {
                key: kept(value)
                for key, value in node.items()
                if key not in FOLDERS and not (key == "seed" and value == seed)
            }
        return [kept(item) for item in node] if isinstance(node, list) else node

    sections = {key: kept(value) for key, value in config.items() if key not in EXPLAINS_NOTHING and key != "seed"}
    return sections if seed is None else {"seed": seed, **sections}


def shortest(names: Sequence[str], separator: str = os.sep) -> list[str]:
    """The fewest last parts that keep different names different: runs/a/0, runs/b/0 become a/0, b/0."""
    parts = [name.strip(separator).split(separator) for name in names]
    for count in range(1, max(map(len, parts), default=0)):
        tails = [separator.join(part[-count:]) for part in parts]
        if len(set(tails)) == len(set(names)):
            return tails
    return list(names)


def differences(configs: Sequence[Mapping[str, Any]]) -> list[Found]:
    """What sets each config apart.

    A group shows its class (``generator=GatedUNet``, ``discriminator=none``) or its parts (``losses=l1 + style``), and
    a key inside it only where configs with the same class differ (``losses.l1.weight=6``).
    """
    found: list[Found] = [{} for _ in configs]

    def compare(key: str, nodes: dict[int, Any]) -> None:
        """Note the differences between `nodes`: number of a config to what it has under `key`."""
        values = list(nodes.values())
        if all(value == values[0] for value in values):
            return
        if not all(value is None or _is_branch(value) for value in values):
            show(key, nodes)
            return
        kinds = {run: _kind(node) for run, node in nodes.items()}
        parts_shown = key in BY_CHOICE and len({_label(key, node) for node in values}) > 1
        if len(set(kinds.values())) > 1 or parts_shown:
            show(key, nodes)
        for kind in dict.fromkeys(kinds.values()):
            alike = {run: _branches(node) for run, node in nodes.items() if kinds[run] == kind}
            for child in dict.fromkeys(child for branches in alike.values() for child in branches):
                if child in IMPLIED:
                    continue
                having = {run: branches[child] for run, branches in alike.items() if child in branches}
                path = f"{key}.{child}" if key else child
                if len(having) < len(alike) and not parts_shown:
                    show(path, having)
                compare(path, having)

    def show(key: str, nodes: dict[int, Any]) -> None:
        labels = [_label(key, node) for node in nodes.values()]
        if any("/" in label for label in labels):
            labels = shortest(labels, "/")
        for run, label in zip(nodes, labels, strict=True):
            found[run][key] = label

    compare("", dict(enumerate(map(without_storage, configs))))
    return found


def unusual(differing: Sequence[Found]) -> tuple[Found, list[Found]]:
    """What most configs share, and what is left to say of each; where three keys or fewer differ, everything is."""
    counts = Counter(item for found in differing for item in found.items() if all(item[0] in f for f in differing))
    many = len({key for found in differing for key in found}) > 3
    usual = {key: value for (key, value), count in counts.items() if many and count > len(differing) / 2}
    return usual, [{k: v for k, v in found.items() if usual.get(k) != v} for found in differing]


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
        name, group = kind.rpartition(".")[2], re.escape(key.rpartition(".")[2])
        return re.sub(f"{group}$", "", name, flags=re.IGNORECASE) or name  # PatchDiscriminator is Patch
    return " + ".join(node if isinstance(node, dict) else (_label("", item) for item in node))
