"""Files that `torch.save` writes, from anyone: measured by their directory before anything of them is read.

Such a file is a zip archive: ``data.pkl`` says what is there, and each tensor's numbers are a member of their own.
torch reads compressed members too, of which 25 MB may hold gigabytes, and its restricted unpickler still calls what
allocates by a number in the file. A tensor may also claim more values than the file has, by strides of 0.

What is measured has to be what torch reads: names without regard to their case, and one directory alone.
"""

import os
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inpaint.files.untrusted import DEPTH, Unreadable

MEMBERS = 100_000  # of a file; one a tensor
PICKLE = 16 << 20  # bytes of its data.pkl; ten thousand tensors need one
COPIED = 10  # times the bytes of a data.pkl that it may stand for or copy, beside
EXPANDED = 100_000  # values
# What a state dict is made of; of what else torch allows, `bytearray` and `Tensor` allocate as many bytes as they like.
CALLED = re.compile(
    r"collections (OrderedDict|defaultdict|Counter)|(__builtin__|builtins) set|_codecs encode|"
    r"torch (\w*Storage|Size|device|u?int\d+|b?float\d+|bool|complex\d+)|torch\.storage \w*Storage|"
    r"torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)|torch\.nn\.parameter Parameter"
)

# Operations of a pickle as `torch.save` writes it: those that make a value, and those that take some off the stack.
MADE = {"GLOBAL", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_SET", "NONE", "NEWTRUE", "NEWFALSE", "BINUNICODE"}
MADE |= {"BININT", "BININT1", "BININT2", "BINFLOAT", "LONG1", "SHORT_BINSTRING"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
ADDED = {"APPEND": 1, "SETITEM": 2}


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
    """Refuse an archive that holds more than it shows, by its directory and by what its ``data.pkl`` would do.

    Raises:
        Unreadable: it is no zip archive or one of which two readers see different contents, a member is packed, all
            together are larger than the file, or it calls something else than a state dict needs.
        OSError: it cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if archive.comment or len(members) > MEMBERS or not has_one_directory(path):
                raise Unreadable("its directory is none of torch's")
            names = [member.filename.lower() for member in members]  # as torch looks for them
            if len(names) > len(set(names)) or any("\0" in member.orig_filename for member in members):
                raise Unreadable("two of its parts have one name")
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise Unreadable(f"{member.filename[:80]} in it is packed; torch.save packs nothing")
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise Unreadable("its parts are larger than the file")
            for member, name in zip(members, names, strict=True):
                if name.endswith(".pkl"):
                    if member.file_size > PICKLE:
                        raise Unreadable(f"{member.filename[:80]} in it has {member.file_size} bytes")
                    measure_pickle(archive.read(member))
    except (Unreadable, OSError):
        raise
    except Exception as error:  # zipfile and pickletools raise nearly anything
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise Unreadable(f"no file of torch.save ({reason})") from None


END, END64, LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"  # of a zip archive's directory


def has_one_directory(path: Path) -> bool:
    """Whether the directory of a zip archive is where every reader looks for it, and nothing else is before it.

    The end of a zip archive says twice where that is (for 32 and for 64 bits), and a locator says where the second one
    of these stands. Python's reader and torch's do not believe the same of them, so one file could be two archives; or
    another kind of file with an archive behind it.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 98, 0))
        tail = file.read().rjust(98, b"\0")
    if tail[76:80] != END:
        return False
    if tail[56:60] != LOCATOR:
        length, begin = struct.unpack("<II", tail[88:96])
        return begin + length == size - 22
    (second,) = struct.unpack("<Q", tail[64:72])
    length, begin = struct.unpack("<QQ", tail[40:56])
    return tail[:4] == END64 and second == size - 98 and begin + length == size - 98


class _Value:
    """What a pickle makes, without its contents: texts have a length, containers have parts."""

    __slots__ = ("length", "parts")

    def __init__(self, parts: list["_Value"] | None = None, length: int = 1) -> None:
        self.parts, self.length = parts if parts is not None else [], length


def measure_pickle(pickled: bytes) -> None:
    """Go through a pickle as torch's restricted unpickler does, and make nothing of it.

    A part may be referred to any number of times, so that calls that copy it (`set`, `torch.Size`, `_codecs.encode`)
    take gigabytes by some kilobytes of text, and a few lists stand for a billion values.

    Raises:
        Unreadable: it calls something else than a state dict needs, copies or stands for far more than it has, refers
            to itself, or is none of torch's.
    """
    stack: list[_Value] = []
    below: list[list[_Value]] = []  # the stack before each mark
    memo: dict[Any, _Value] = {}
    most, copied = COPIED * len(pickled) + EXPANDED, 0
    for operation, argument, _ in pickletools.genops(pickled):
        name = operation.name
        if name == "GLOBAL" and not CALLED.fullmatch(str(argument)):
            raise Unreadable(f"it calls {str(argument)[:80]}, which no state dict needs")
        if name in MADE:
            stack.append(_Value(length=len(argument) if isinstance(argument, str) else 1))
        elif name == "MARK":
            below.append(stack)
            stack = []
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in TUPLES:
            count = TUPLES[name]
            stack[len(stack) - count :] = [_Value(stack[len(stack) - count :])]
        elif name == "TUPLE":
            items, stack = stack, below.pop()
            stack.append(_Value(items))
        elif name in ("APPENDS", "SETITEMS"):
            items, stack = stack, below.pop()
            stack[-1].parts += items
        elif name in ADDED:
            count = ADDED[name]
            stack[-count - 1].parts += stack[-count:]
            del stack[-count:]
        elif name in ("REDUCE", "NEWOBJ", "BUILD"):
            given = stack.pop()
            copied += sum(max(part.length, len(part.parts)) for part in (given, *given.parts))
            if name == "BUILD":
                stack[-1].parts.append(given)
            else:
                stack[-1] = _Value([given])
        elif name == "BINPERSID":
            stack[-1] = _Value()
        elif name not in ("PROTO", "STOP"):
            raise Unreadable("its data.pkl is none of torch's")
        if copied > most:
            raise Unreadable("it copies parts of its data.pkl over and over")
    if _expanded(stack[-1], most) > most:
        raise Unreadable("its data.pkl stands for far more values than it has")


def _expanded(value: _Value, most: int) -> int:
    """How many values it stands for, once all that it refers to is written out; of more than `most` any such number."""
    sizes: dict[int, int] = {}
    begun: set[int] = set()
    waiting = [value]
    while waiting:
        value = waiting[-1]
        if id(value) in sizes:
            waiting.pop()
        elif id(value) not in begun:
            begun.add(id(value))
            if any(id(part) in begun and id(part) not in sizes for part in value.parts):
                raise Unreadable("its data.pkl refers to itself")
            waiting += value.parts
        else:
            sizes[id(value)] = min(1 + sum(sizes[id(part)] for part in value.parts), most + 1)
            waiting.pop()
    return sizes[id(value)]


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
