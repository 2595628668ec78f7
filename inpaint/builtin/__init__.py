"""The models in the box: small networks, trained on free pictures, that work without anything further.

One paints thin damage, one enlarges twice, one takes noise off. Each has a folder beside this file with its weights,
`model.safetensors`, and what they are, `config.json`, in the form of `inpaint-export`; its `MODEL_CARD.md` says what it
learnt from, whom that is owed to, what it reaches and where it ends.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from inpaint.settings import Refused

NAME = "builtin"  # what repairs where nothing else is named
FOLDER = Path(__file__).parent
# Each by its name, in place of a checkpoint and as the option of `generator`, and its folder.
MODELS = {NAME: "holes"}
SHA256 = {
    "holes/model.safetensors": "e2f12a031b75ebd108409ac930b050f2262d3d1d9ef3be6e69172dd037cf8d65",
    "holes/config.json": "4f30023a85702b9ee5afe28f2e189019fa42f0324b3b252755ccb23faaff51fd",
}


def settings(name: str = NAME) -> dict[str, Any]:
    """Those of a model's generator, with the class as ``_target_``."""
    return json.loads(content(name, "config.json"))["config"]["generator"]


def weights(name: str = NAME) -> Path:
    """The file of a model's weights, once it and its config are known to be those that this version came with.

    Raises:
        Refused: one is missing or damaged.
    """
    for file in ("config.json", "model.safetensors"):
        content(name, file)
    return FOLDER / MODELS[name] / file


def content(name: str, file: str) -> bytes:
    """A file of a model, once it is known to be the one that this version came with.

    Raises:
        Refused: it is missing or damaged.
    """
    place = f"{MODELS[name]}/{file}"
    path = FOLDER / place
    try:
        read = path.read_bytes()
    except OSError as error:
        raise Refused(f"{name}: {path} cannot be read ({error.strerror}); install the package again") from None
    if hashlib.sha256(read).hexdigest() != SHA256[place]:
        raise Refused(f"{name}: {path} is not what this version came with; install the package again")
    return read
