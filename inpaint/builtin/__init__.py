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
    "model.safetensors": "e2f12a031b75ebd108409ac930b050f2262d3d1d9ef3be6e69172dd037cf8d65",
    "config.json": "4f30023a85702b9ee5afe28f2e189019fa42f0324b3b252755ccb23faaff51fd",
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
