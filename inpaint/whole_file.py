"""Small files that are replaced as a whole."""

from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file of text; whoever reads it finds the old one or the new one, also after a kill or on a full disk.

    Raises:
        OSError: the disk refuses it, with the file's name; the old one is as it was.
    """
    scratch = path.with_name(path.name + ".tmp")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:  # that of a full disk does not say where
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        scratch.unlink(missing_ok=True)
