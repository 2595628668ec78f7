"""What ``checkpoint=`` names: a run, a checkpoint, an exported folder, one of its files, or the model in the box."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from inpaint import builtin
from inpaint.config.sent import load_generator, restoration_scale
from inpaint.exchange import formats, int8, weights
from inpaint.files import checkpoint as checkpoints
from inpaint.files.folder import expanded


def find(path: str | Path) -> Path:
    """The file that is read: the weights of an exported folder or of a model in the box, else as `checkpoint.find`.

    Raises:
        Refused: a folder in which there is none.
    """
    if str(path) in builtin.MODELS:
        return builtin.weights(str(path))
    exported = expanded(path) / weights.WEIGHTS
    return exported if exported.is_file() else checkpoints.find(path)


def load(path: str | Path) -> dict[str, Any]:
    """A checkpoint, from any of these; a graph has its path as ``graph``, and the config beside it, if there is one.

    Raises:
        Refused: nothing there that can be read.
    """
    path = find(path)
    if path.suffix.lower() == ".safetensors":
        return weights.read(path)
    if formats.format_of(path) is None:
        return checkpoints.load(path)
    stamp: dict[str, Any] = {"config": json.dumps({"name": path.stem})}
    ours = {int8.FILE, *(graph.file for graph in formats.GRAPHS.values())}
    if path.name in ours and path.with_name(weights.CONFIG).is_file():
        stamp = weights.read_config(path.with_name(weights.CONFIG))
    return {"inpaint": stamp, "state_dict": {}, "graph": path}


def generator_of(model: dict[str, Any], trust_paths: bool = False) -> nn.Module:
    """The generator of what `load` returns, in evaluation mode, without gradients.

    Args:
        model: it.
        trust_paths: whether files that its settings name may be opened.

    Raises:
        Refused: as `config.load_generator`, or as `formats.read`.
    """
    if path := model.get("graph"):
        name = formats.format_of(path)
        assert name is not None
        return formats.read(path, name, restoration_scale(model, trust_paths))
    return load_generator(model, trust_paths)
