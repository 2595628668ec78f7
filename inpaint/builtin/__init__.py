"""The model in the box: a small network, trained on free pictures, that paints thin damage without anything further.

Its weights, `model.safetensors`, and what they are, `config.json`, lie beside this file in the form of
`inpaint-export`; `MODEL_CARD.md` says what it learnt from, whom that is owed to, what it reaches and where it ends.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from inpaint.settings import Refused

NAME = "builtin"  # in place of a checkpoint, and as the option of `generator`
FOLDER = Path(__file__).parent
SHA256 = {
    "model.safetensors": "e6a549c6a1f3d4a2c6a6ce7d727d2aa3abb93e67083c27957f73c290658cd410",
    "config.json": "4f2fab130088264fb772bc820c654157b052b588a47f1e6d5db251b2f332faec",
}


def settings() -> dict[str, Any]:
    """Those of its generator, with the class as ``_target_``."""
    return json.loads(content("config.json"))["config"]["generator"]


def check() -> None:
    """See that both files are the ones that this version came with.

    Raises:
        Refused: one is missing or damaged.
    """
    for name in SHA256:
        content(name)


def content(name: str) -> bytes:
    """A file of it, once it is known to be the one that this version came with.

    Raises:
        Refused: it is missing or damaged.
    """
    file = FOLDER / name
    try:
        read = file.read_bytes()
    except OSError as error:
        raise Refused(f"builtin: {file} cannot be read ({error.strerror}); install the package again") from None
    if hashlib.sha256(read).hexdigest() != SHA256[name]:
        raise Refused(f"builtin: {file} is not what this version came with; install the package again")
    return read
