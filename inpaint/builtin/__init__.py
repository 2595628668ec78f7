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
WIDE = 12  # pixels; of wider holes a fill may be nearer to the truth
FOLDER = Path(__file__).parent
# Each by its name, in place of a checkpoint and as the option of `generator`, and its folder.
MODELS = {NAME: "holes", "builtin_x2": "x2", "builtin_denoise": "denoise"}
SHA256 = {
    "holes/model.safetensors": "d928bdf2af283d5f66899cf01900089364f449210f73d3d8f5cd6e80a37def7f",
    "holes/config.json": "78bf96738031ba5e8519d4360d0a3aab16090500c1364a68f24e4fd50082118e",
    "x2/model.safetensors": "fdcceb025fe1ff052c33c2b5f1fc59a819f86bfc1949a1cb33e96525f517ed95",
    "x2/config.json": "a5b6c059145e0943b41527e20c6309a10d979f0829589c6ad929d844e38a02be",
    "denoise/model.safetensors": "bbdd68e7f4b63858beea99eb6715873d34fc368eb0a85f5c1970dabcf9305463",
    "denoise/config.json": "809be19cc985a048da2852b26fd891d70d1fc625cb478ee2d23d13bfbba8bcc3",
}


def settings(name: str = NAME) -> dict[str, Any]:
    """Those of a model's generator, with the class as ``_target_``."""
    return json.loads(content(name, "config.json"))["config"]["generator"]


def weights(name: str = NAME) -> Path:
    """The file of a model's weights, once it and its config are known to be those that this version came with.

    Raises:
        Refused: one is missing or damaged.
    """
    content(name, "config.json")
    content(name, "model.safetensors")
    return FOLDER / MODELS[name] / "model.safetensors"


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
