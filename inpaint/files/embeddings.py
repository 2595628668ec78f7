"""Embeddings that come as one file: what some other network made of texts, sounds or anything, by names."""

import zipfile
import zlib
from pathlib import Path

import torch
from torch import Tensor

from inpaint.settings import Refused

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError)
LARGEST = 16 << 30  # bytes that a file may unfold to


def read_embeddings(path: str | Path, setting: str) -> dict[str, Tensor]:
    """The embeddings of a file by their names, in its order: float32 ``(E,)`` each, E the same for all.

    Args:
        path: ``.safetensors``, or ``.npz`` as `numpy.savez` writes it: an array of one axis under each name.
        setting: that names the file, for errors.

    Raises:
        Refused: no such file, another kind, something else than numbers in it, or embeddings of several lengths.
    """
    import numpy as np
    import safetensors.torch

    path = Path(path)
    if not path.is_file():
        raise Refused(f"{setting}: there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            found = safetensors.torch.load_file(path)
        elif path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                if sum(member.file_size for member in archive.infolist()) > LARGEST:
                    raise Refused(f"{setting}: {path} unfolds to more than {LARGEST >> 30} GB")
            with np.load(path) as arrays:
                found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        else:
            raise Refused(f"{setting}: {path} is neither .safetensors nor .npz")
    except (OSError, ValueError, TypeError, MemoryError, RuntimeError, *BROKEN, safetensors.SafetensorError) as error:
        if isinstance(error, Refused):
            raise
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(f"{setting}: {path} cannot be read ({first[:120]})") from None
    if not any(row.numel() for row in found.values()):
        raise Refused(f"{setting}: there is nothing in {path}")
    length = next(iter(found.values())).numel()
    for name, row in found.items():
        if row.shape != (length,) or row.is_complex() or not row.float().isfinite().all():
            raise Refused(
                f"{setting}: {name} in {path} is no embedding of {length} finite numbers, as the first is; "
                f"its shape is {tuple(row.shape)}"
            )
    return {name: row.float() for name, row in found.items()}
