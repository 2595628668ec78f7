"""Checkpoints: one file that says what it is, written whole or not at all, and read without executing anything.

A run keeps them in ``checkpoints/``: ``update_00000500.ckpt``, its sha256 beside it, and
``best_hole_psnr_25.31_update_00000400.ckpt`` likewise.
"""

import json
import logging
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration

from inpaint import __version__
from inpaint.files import tensors
from inpaint.files.folder import expanded, sha256
from inpaint.files.untrusted import Unreadable, parse_json, read_text
from inpaint.parts import used
from inpaint.provenance import as_of_now
from inpaint.settings import Refused, listed

log = logging.getLogger("inpaint.files.checkpoint")

KIND = "inpaint checkpoint"
FORMAT = 1  # of what `stamp` writes; one more when older versions of this package could not go on from it
NAME = re.compile(r".*update_(\d+)\.ckpt")
FOREVER = 1e12  # seconds, that no run took
ASIDE = ".aside"
AVERAGE = "ema.network."  # before the names of the weights of the generator's moving average


class CheckpointError(Refused):
    """A file that cannot be used as a checkpoint, or a folder that takes none; the message names it and says why."""


def stamp(checkpoint: dict[str, Any], config: dict[str, Any], update: int, seconds: float = 0.0) -> None:
    """Write into a checkpoint what it is. The config is JSON text: pickled objects could not be read back safely."""
    checkpoint["inpaint"] = {
        "kind": KIND,
        "format": FORMAT,
        "version": __version__,
        "config": json.dumps(config),
        "parts": used(config),
        "update": update,
        "seconds": seconds,
    }


def update_of(path: Path) -> int:
    """The update in a checkpoint's name."""
    found = NAME.match(path.name)
    assert found is not None, path
    return int(found[1])


def files(folder: Path) -> list[Path]:
    """The checkpoints in a folder by their names, the newest first; a file of another name is none."""
    found = [path for path in folder.glob("*.ckpt") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (update_of(path), path.name), reverse=True)


def run_of(path: Path) -> Path:
    """The run folder that a checkpoint lies in."""
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent


def digest_path(path: Path) -> Path:
    """Where the sha256 of a checkpoint stands."""
    return path.with_name(path.name + ".sha256")


# ---- writing ---------------------------------------------------------------------------------------------------------


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint under a name that is not taken; whatever goes wrong, no part of it stays.

    Raises:
        OSError: the disk refuses it.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file, _first_error():
            torch.save(checkpoint, file)
        publish(temporary, path)
    except BaseException:  # an interrupt, too
        for debris in (temporary, scratch_of(path)):
            debris.unlink(missing_ok=True)
        raise


@contextmanager
def _first_error() -> Iterator[None]:
    """The disk's own error, which torch buries under one about its unfinished archive."""
    try:
        yield
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        raise cause or error from None


def scratch_of(path: Path) -> Path:
    """Where the sha256 of a checkpoint is written before it gets its name."""
    return path.with_name(path.name + ".sha256.tmp")


def publish(temporary: Path, path: Path) -> None:
    """Give a completely written file its name, its sha256 beside it; a crash in between leaves the others valid.

    The digest is in place first: a digest without its file is ignored, a file without its digest would be unchecked.
    """
    digest = sha256(temporary)
    _sync(temporary)
    scratch = scratch_of(path)
    scratch.write_text(f"{digest}  {path.name}\n")
    _sync(scratch)
    scratch.replace(digest_path(path))
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_generator(path: Path, generator: nn.Module, config: dict[str, Any], update: int) -> None:
    """Write a trained generator alone, as a checkpoint that the commands read; none that a run could go on from."""
    exported = {"state_dict": {f"{AVERAGE}{name}": value.cpu() for name, value in generator.state_dict().items()}}
    stamp(exported, config, update)
    write(exported, path)


def duplicate(path: Path, other: Path) -> None:
    """The same checkpoint under another name: a link, which takes no room, where the file system has links."""
    temporary = other.with_name(other.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)
        publish(temporary, other)
    except BaseException:
        for debris in (temporary, scratch_of(other)):
            debris.unlink(missing_ok=True)
        raise


def delete(path: Path) -> None:
    """Delete a checkpoint and its sha256, in this order, so that there is no file unchecked in between."""
    path.unlink()
    digest_path(path).unlink(missing_ok=True)


def prepare(folder: Path, size: int) -> None:
    """Make the folder ready: what an earlier write left half done is removed, and there is room for one checkpoint.

    Args:
        folder: of the checkpoints.
        size: of one, in bytes, about.

    Raises:
        OSError: the folder cannot be made or written, or the disk or a quota is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for debris in folder.glob("*update_*.ckpt*.tmp"):
        debris.unlink()
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


def set_aside(folder: Path, update: int) -> list[Path]:
    """Rename the checkpoints of later updates than `update`, from which a run goes on; returns their new names.

    They are damaged, or belong to a continuation that is given up: found again, either would be taken for the newest.
    What was set aside before stays.
    """
    renamed = []
    for path in files(folder):
        if update_of(path) > update:
            names = (path.with_name(f"{path.name}{ASIDE}{number or ''}") for number in count())
            aside = next(place for place in names if not place.exists())
            renamed.append(path.rename(aside))
            if digest_path(path).is_file():
                digest_path(path).rename(digest_path(aside))
    return renamed


# ---- reading ---------------------------------------------------------------------------------------------------------


def find(path: str | Path) -> Path:
    """The file that `path` means: itself, or the newest valid checkpoint of a run folder; newer ones are named.

    Raises:
        CheckpointError: an address of the web, or a folder without a valid checkpoint.
    """
    if "://" in str(path):
        raise CheckpointError(f"checkpoint: {path} is no file; download it and give the file's path")
    path = expanded(path)
    if not path.is_dir():
        return path
    refused: list[str] = []
    found = newest(path, refused)
    for reason in refused:
        log.warning(reason)
    if found is None:
        raise CheckpointError(f"checkpoint: no valid checkpoint in {path}")
    return found[0]


def load(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint, or the newest valid one of a run folder, onto the CPU.

    Raises:
        CheckpointError: no such file, a checksum that does not fit, a file that is no checkpoint of this project, or
            one of a newer format.
    """
    path = find(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint: {path} does not exist")
    if digest_path(path).is_file() and _digest_beside(path) != sha256(path):
        raise CheckpointError(f"checkpoint: {path} is damaged, its contents do not fit {digest_path(path).name}")
    try:
        checkpoint = tensors.load(path)
    except Unreadable as error:
        raise CheckpointError(f"checkpoint: {path} is not a checkpoint ({error})") from None
    return checked(checkpoint, path)


def checked(checkpoint: Any, path: Path) -> dict[str, Any]:
    """What a file held, if it is a checkpoint of this project, whole and of a format that is known; `path` of it.

    Raises:
        CheckpointError: it is not.
    """
    said = checkpoint.get("inpaint") if isinstance(checkpoint, dict) else None
    if not isinstance(said, dict) or said.get("kind") != KIND:
        raise CheckpointError(f"checkpoint: {path} is a torch file, but not a checkpoint written by inpaint-train")
    written = said.get("format", 1)  # 0.1.0 wrote format 1 without saying so
    if isinstance(written, int) and written > FORMAT:
        raise CheckpointError(
            f"checkpoint: {path} has format {written}, of inpaint {str(said.get('version'))[:40]}; this is inpaint "
            f"{__version__}, which reads format {FORMAT} and older; upgrade it"
        )
    if lacking := _lacking(checkpoint):
        raise CheckpointError(f"checkpoint: {path} is incomplete: {lacking} belong to it")
    return checkpoint


def _digest_beside(path: Path) -> str:
    """The sha256 that the file beside a checkpoint says; empty where that is something else."""
    try:
        return (read_text(digest_path(path), 1000).split() or [""])[0]
    except Unreadable:
        return ""


def _lacking(checkpoint: dict[Any, Any]) -> str:
    """What of a checkpoint is not there or not as `stamp` and `write` leave it; empty where nothing is."""
    said, state = checkpoint["inpaint"], checkpoint.get("state_dict")
    update, seconds, version = said.get("update"), said.get("seconds", 0.0), said.get("version", "")
    whole = isinstance(update, int) and not isinstance(update, bool) and 0 <= update < 1 << 53
    if not (whole and _is_json(said.get("config")) and isinstance(state, dict)):
        return "config, update and state_dict"
    if not (isinstance(said.get("format", 1), int) and isinstance(version, str)):
        return "format, a number, and version, a text,"
    if not (isinstance(seconds, int | float) and 0 <= seconds < FOREVER):
        return "seconds, a number,"
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        return "tensors by their names, as state_dict,"
    return ""


def _is_json(text: Any) -> bool:
    """Whether it is the text of a JSON object."""
    try:
        return isinstance(parse_json(text), dict)
    except (AttributeError, TypeError, Unreadable):
        return False


def newest(folder: str | Path, refused: list[str] | None = None) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint in `folder` or its `checkpoints` that loads, and its contents; None where there is none.

    Args:
        folder: a run folder or one of checkpoints.
        refused: takes the reason for each newer file that does not load.
    """
    found = [*files(Path(folder)), *files(Path(folder) / "checkpoints")]
    for path in sorted(found, key=update_of, reverse=True):
        try:
            return path, load(path)
        except CheckpointError as error:
            if refused is not None:
                refused.append(str(error))
    return None


def config_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The resolved config that the checkpoint was trained with; classes that were renamed have their names of now."""
    return as_of_now(parse_json(checkpoint["inpaint"]["config"]))


def generator_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of the generator's moving average."""
    if not (state := _below(AVERAGE, checkpoint)):
        raise CheckpointError("checkpoint: it holds no moving average of a generator")
    return state


@contextmanager
def no_larger_than(state: dict[str, Tensor]) -> Iterator[None]:
    """A network is built without its values, and refused as soon as it is larger than the weights of a checkpoint.

    A config asks for a billion channels, or as many layers, in forty bytes; nothing of them is allocated here.

    Raises:
        CheckpointError: it has several times as many values, tensors or layers.
    """
    built = Counter[str]()
    most = {
        "values": 4 * sum(value.numel() for value in state.values()) + 100_000,
        "tensors": 4 * len(state) + 100,
        "layers": 50 * len(state) + 1000,
    }

    def count(**sizes: int) -> None:
        built.update(sizes)
        if built["values"] > most["values"] or built["tensors"] > most["tensors"] or built["layers"] > most["layers"]:
            raise CheckpointError("checkpoint: its config describes a larger network than its weights are of")

    def tensor(module: nn.Module, name: str, value: Tensor | None) -> None:
        before = module._buffers.get(name)  # spectral norm sets its vectors thirty times
        if before is None or value is None or before.shape != value.shape:
            count(values=value.numel() if value is not None else 0, tensors=1)

    hooks = [
        registration.register_module_parameter_registration_hook(tensor),
        registration.register_module_buffer_registration_hook(tensor),
        registration.register_module_module_registration_hook(lambda module, name, layer: count(layers=1)),
    ]
    try:
        with torch.device("meta"):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def check_weights(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Whether a network, of which no values are needed, takes the weights of a checkpoint.

    Raises:
        CheckpointError: they are those of another network; it names the first that differ.
    """
    own = network.state_dict()
    other = [name for name in sorted({*own} | {*state}) if name not in own or name not in state]
    other += [name for name in own if name in state and own[name].shape != state[name].shape]
    if other:
        raise CheckpointError(
            f"checkpoint: its weights are not those of the {type(network).__name__} that its config names: "
            f"{len(other)} differ ({listed(other)})"
        )
    for name, value in state.items():
        if value.is_complex() or value.is_floating_point() != own[name].is_floating_point():
            raise CheckpointError(f"checkpoint: its {name} has values of type {value.dtype}")


def discriminator_state(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of the discriminator; empty where there was none."""
    return _below("discriminator.", checkpoint)


def _below(prefix: str, checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    state = checkpoint["state_dict"].items()
    return {name[len(prefix) :]: value for name, value in state if name.startswith(prefix)}
