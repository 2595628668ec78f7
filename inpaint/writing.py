"""Small files that are read while they are written: whole or not at all (checkpoints have rules of their own)."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace `path`: whoever reads it meanwhile finds the old text or the new one.

    Several processes may write the same file. Where one cannot, the old file stays and nothing else does.

    Raises:
        OSError: the folder is not there, the disk is full, or one may not write; with the name of `path`.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:  # that of a full disk does not say where
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        scratch.unlink(missing_ok=True)
