"""Files that `torch.save` writes, from anyone: measured by their directory before anything of them is read.

Such a file is a zip archive: ``data.pkl`` says what is there, and each tensor's numbers are a member of their own.
torch reads compressed members too, of which 25 MB may hold gigabytes, and its restricted unpickler still calls what
allocates by a number in the file. A tensor may also claim more values than the file has, by strides of 0.
"""

import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inpaint.untrusted import DEPTH, Unreadable

MEMBERS = 100_000  # of a file; one a tensor
PICKLE = 64 << 20  # bytes of its data.pkl; ten thousand tensors need one
# What a state dict is made of; of what else torch allows, `bytearray` and `Tensor` allocate as many bytes as they like.
CALLED = re.compile(
    r"collections (OrderedDict|defaultdict|Counter)|builtins (set|dict|list)|_codecs encode|"
    r"torch (\w*Storage|Size|device|u?int\d+|b?float\d+|bool|complex\d+)|torch\.storage \w*Storage|"
    r"torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)|torch\.nn\.parameter Parameter"
)


def load(path: Path) -> Any:
    """What `torch.save` wrote in its zip format, on the CPU; nothing of it is executed.

    Raises:
        Unreadable: it is something else, damaged, packed, or holds what is neither tensor nor plain data.
    """
    measure(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the unpickler meets
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unreadable(reason[:120]) from None
    for tensor in _tensors(content):
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise Unreadable("a tensor in it has no values of its own")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise Unreadable(f"a tensor of shape {tuple(tensor.shape)} in it has fewer values than that")
    return content


def measure(path: Path) -> None:
    """Refuse an archive that holds more than it shows, by its directory and the list of what it calls.

    Raises:
        Unreadable: it is no zip archive, a member is packed, all together are larger than the file, or it calls
            something else than a state dict needs.
        OSError: it cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if archive.comment or len(members) > MEMBERS:
                raise Unreadable("its directory is none of torch's")
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise Unreadable(f"{member.filename[:80]} in it is packed; torch.save packs nothing")
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise Unreadable("its parts are larger than the file")
            for member in members:
                if member.filename.endswith(".pkl"):
                    if member.file_size > PICKLE:
                        raise Unreadable(f"{member.filename[:80]} in it has {member.file_size} bytes")
                    _refuse_calls(archive.read(member))
    except (Unreadable, OSError):
        raise
    except Exception as error:  # zipfile and pickletools raise nearly anything
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise Unreadable(f"no file of torch.save ({reason})") from None


def _refuse_calls(pickled: bytes) -> None:
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name in ("GLOBAL", "INST") and not CALLED.fullmatch(str(argument)):
            raise Unreadable(f"it calls {str(argument)[:80]}, which no state dict needs")
        if operation.name == "STACK_GLOBAL":  # of a protocol that torch.save does not write
            raise Unreadable("its data.pkl is none of torch's")


def _tensors(content: Any) -> Iterator[Tensor]:
    """All tensors in nested containers; each container is looked at once, however often it is referred to."""
    seen: set[int] = set()
    level, depth = [content], 0
    while level:
        if (depth := depth + 1) > DEPTH:
            raise Unreadable(f"it is nested more than {DEPTH} levels deep")
        below: list[Any] = []
        for node in level:
            if isinstance(node, Tensor):
                yield node
            if id(node) in seen or not isinstance(node, dict | list | tuple | set):
                continue
            seen.add(id(node))
            below += node.values() if isinstance(node, dict) else node
        level = below
