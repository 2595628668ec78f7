"""A generator as ``model.safetensors`` with its ``config.json``: written, and read back as a checkpoint.

safetensors holds tensors and nothing that runs. What the network is stands in the JSON file, in the words of a
checkpoint's stamp, and both are checked as a checkpoint is that somebody sent.
"""

import errno
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from inpaint.files import checkpoint as checkpoints
from inpaint.files.checkpoint import AVERAGE, CheckpointError
from inpaint.files.folder import replacing, write_whole
from inpaint.files.untrusted import Unreadable, parse_json, read_text
from inpaint.files.writing import json_text

KIND = "inpaint generator"
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write_weights(path: Path, generator: nn.Module) -> None:
    """Write the tensors of a generator, read them back, and compare: all are equal, or there is no file.

    Raises:
        OSError: the disk refuses it, or returns something else.
    """
    state = {name: value.detach().cpu().clone().contiguous() for name, value in generator.state_dict().items()}
    with replacing(path) as scratch:
        safetensors.torch.save_file(state, scratch, metadata={"format": "pt"})
        again = safetensors.torch.load_file(scratch)
        if again.keys() != state.keys() or not all(torch.equal(again[name], state[name]) for name in state):
            raise OSError(errno.EIO, "what was read back is not what was written")


def write_config(path: Path, checkpoint: dict[str, Any], about: dict[str, Any]) -> None:
    """Write what a generator is.

    Args:
        path: of the file.
        checkpoint: the one it came from, as `checkpoint.load` returns it.
        about: further entries: figures, licence.

    Raises:
        OSError: the disk refuses it.
    """
    stamp = checkpoint["inpaint"] | {"kind": KIND, "config": checkpoints.config_of(checkpoint)}
    write_whole(path, json_text(stamp | about) + "\n")


def read(path: Path) -> dict[str, Any]:
    """What `checkpoint.load` returns, of a file of safetensors with its ``config.json`` beside it.

    Raises:
        CheckpointError: one of the two is missing, damaged, or something else.
    """
    stamp = read_config(path.with_name(CONFIG))
    if not path.is_file():
        raise CheckpointError(f"checkpoint: {path} does not exist")
    try:
        state = safetensors.torch.load_file(path)
    except Exception as error:  # its own class, and those of torch for values that it has no type for
        raise CheckpointError(f"checkpoint: {path} is no file of safetensors ({str(error)[:120]})") from None
    return checkpoints.checked({"inpaint": stamp, "state_dict": {AVERAGE + name: state[name] for name in state}}, path)


def read_config(path: Path) -> dict[str, Any]:
    """A checkpoint's stamp, from ``config.json``.

    Raises:
        CheckpointError: there is none.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint: {path} does not exist; it says what network the weights are of")
    try:
        content = parse_json(read_text(path))
    except Unreadable as error:
        raise CheckpointError(f"checkpoint: {path} cannot be read ({error})") from None
    if not isinstance(content, dict) or content.get("kind") != KIND or not isinstance(content.get("config"), dict):
        raise CheckpointError(f"checkpoint: {path} was not written by inpaint-export")
    return content | {"kind": checkpoints.KIND, "config": json.dumps(content["config"])}
