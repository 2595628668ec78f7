"""Checkpoints: one file that says what it is, written whole or not at all, and read without executing anything."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inpaint import __version__

KIND = "inpaint checkpoint"
AVERAGE = "ema.network."  # before the names of the weights of the generator's moving average


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint; the message names it and says why."""


def stamp(checkpoint: dict[str, Any], config: dict[str, Any], update: int, seconds: float = 0.0) -> None:
    """Write into a checkpoint what it is. The config is JSON text: pickled objects could not be read back safely."""
    checkpoint["inpaint"] = {"kind": KIND, "version": __version__, "config": json.dumps(config), "update": update}
    checkpoint["inpaint"]["seconds"] = seconds


def digest_path(path: Path) -> Path:
    """Where the sha256 of a checkpoint stands."""
    return path.with_name(path.name + ".sha256")


def publish(temporary: Path, path: Path) -> None:
    """Give a completely written file its name, its sha256 beside it; a crash in between leaves the former file valid.

    The digest is in place first: a digest without its file is ignored, a file without its digest would be unchecked.
    """
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    side = digest_path(path)
    scratch = side.with_name(side.name + ".tmp")
    scratch.write_text(f"{digest}  {path.name}\n")
    scratch.replace(side)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save_generator(path: Path, generator: nn.Module, config: dict[str, Any], update: int) -> None:
    """Write a trained generator alone, as a checkpoint that the commands read; none that a run could go on from."""
    exported = {"state_dict": {f"{AVERAGE}{name}": value.cpu() for name, value in generator.state_dict().items()}}
    stamp(exported, config, update)
    temporary = path.with_suffix(".tmp")
    torch.save(exported, temporary)
    publish(temporary, path)


def find(path: str | Path) -> Path:
    """The file that `path` means: itself, or the newest valid checkpoint of a run folder.

    Raises:
        CheckpointError: a folder without one.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    if (found := latest_valid(path)) is None:
        raise CheckpointError(f"checkpoint: no valid checkpoint in {path}")
    return found


def load(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint, or the newest valid one of a run folder, onto the CPU.

    Raises:
        CheckpointError: no such file, a checksum that does not fit, or a file that is no checkpoint of this project.
    """
    path = find(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint: {path} does not exist")
    if digest_path(path).is_file():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest_path(path).read_text().split()[:1] != [digest]:
            raise CheckpointError(f"checkpoint: {path} is damaged, its contents do not fit {digest_path(path).name}")
    try:
        # weights_only: tensors and plain containers, nothing that could run code.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"checkpoint: {path} is not a checkpoint ({reason[:120]})") from None
    said = checkpoint.get("inpaint") if isinstance(checkpoint, dict) else None
    if not isinstance(said, dict) or said.get("kind") != KIND:
        raise CheckpointError(f"checkpoint: {path} is a torch file, but not a checkpoint written by inpaint-train")
    return checkpoint


def config_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The resolved config that the checkpoint was trained with."""
    return json.loads(checkpoint["inpaint"]["config"])


def generator_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of the generator's moving average."""
    if not (state := _below(AVERAGE, checkpoint)):
        raise CheckpointError("checkpoint: it holds no moving average of a generator")
    return state


def discriminator_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of the discriminator; empty where there was none."""
    return _below("discriminator.", checkpoint)


def _below(prefix: str, checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    state = checkpoint["state_dict"].items()
    return {name[len(prefix) :]: value for name, value in state if name.startswith(prefix)}


def latest_valid(folder: str | Path) -> Path | None:
    """The newest checkpoint in `folder` or its `checkpoints` that loads; None where there is none."""
    folder = Path(folder)
    found = [path for place in (folder, folder / "checkpoints") for path in place.glob("update_*.ckpt")]
    for path in sorted(found, key=lambda path: path.name, reverse=True):
        try:
            load(path)
        except CheckpointError:
            continue
        return path
    return None
