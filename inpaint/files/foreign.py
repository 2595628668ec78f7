"""Files of weights that other code wrote: their tensors by name, and nothing else of what is in them.

Four formats: `torch.save`'s zip archive and what it wrote before 2020, TorchScript, which is read as data, and
safetensors. All but the last hold pickles, which may also name configs, arrays and whole modules. They are interpreted
here, operation by operation: what describes a tensor becomes an outline of it, and of every other object the attributes
are kept and nothing is called. Values are read when they are asked for, so a file costs no more memory than what
somebody takes from it, and no tensor has more values than the file has bytes for.
"""

import io
import math
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from inpaint.files.tensors import MEMBERS, PICKLE
from inpaint.files.untrusted import DEPTH, Unreadable, measure

LARGEST = 64 << 30  # bytes of a file
DIMENSIONS = 8
COPIED = 1_000_000  # items of the lists that tables in a pickle are made of, which Python 2 wrote
LONGEST = 200  # characters of a name in a pickle
MAGIC = 0x1950A86A20F9469CFC6C  # what torch.save wrote first before its files were zip archives
DTYPES = {
    **{"DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16},
    **{"BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32},
    **{"ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool},
}


class Weight(NamedTuple):
    """A tensor in a file.

    shape: of it.
    read: its values, in memory of their own.
    """

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


def read_weights(path: Path) -> dict[str, Weight]:
    """The tensors in a file by their names; those in nested tables and modules have the names of all around, dotted.

    Raises:
        Unreadable: it is none of the formats, damaged, or stands for more than it has.
        OSError: it is not there, or may not be read.
    """
    measure(path, LARGEST)
    with path.open("rb") as file:
        beginning = file.read(10)
    try:
        if zipfile.is_zipfile(path):
            content = _read_archive(path)
        elif beginning[8:9] == b"{":
            return _read_safetensors(path)
        else:
            content = _read_legacy(path)
    except (Unreadable, OSError):
        raise
    except Exception as error:  # pickletools and zipfile raise nearly anything
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise Unreadable(f"neither a file of torch nor safetensors, or a damaged one ({reason})") from None
    return _named(content)


def _read_safetensors(path: Path) -> dict[str, Weight]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except SafetensorError as error:
        raise Unreadable(f"no safetensors ({' '.join(str(error).split())[:80]})") from None

    def reader(name: str) -> Callable[[], Tensor]:
        def read() -> Tensor:
            with safe_open(path, framework="pt") as file:
                return file.get_tensor(name)

        return read

    return {name: Weight(shapes[name], reader(name)) for name in names}


# ---- files of torch --------------------------------------------------------------------------------------------------


def _read_archive(path: Path) -> Any:
    """What ``data.pkl`` of a zip archive describes, of `torch.save` or of TorchScript."""
    archive = zipfile.ZipFile(path)  # open as long as somebody may ask for values
    members = {member.filename: member for member in archive.infolist()}
    if len(members) > MEMBERS or len(members) < len(archive.infolist()):
        raise Unreadable("its directory is none of torch's")
    pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise Unreadable("it has no data.pkl, so torch did not write it")
    folder = pickles[0].removesuffix("data.pkl")

    def contents(name: str) -> bytes:
        if (member := members.get(name)) is None:
            raise Unreadable(f"{name[:80]} is not in it")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise Unreadable(f"{name[:80]} in it is packed; torch packs no tensors")
        if member.file_size > path.stat().st_size:
            raise Unreadable(f"{name[:80]} in it is larger than the file")
        return archive.read(member)

    if members[pickles[0]].file_size > PICKLE:
        raise Unreadable(f"data.pkl in it has {members[pickles[0]].file_size} bytes")
    if f"{folder}byteorder" in members and contents(f"{folder}byteorder") != b"little":
        raise Unreadable("its numbers have their bytes in the other order")

    def storage(key: str, kind: str, count: int) -> _Storage:
        name = f"{folder}data/{key}"
        size = members[name].file_size if name in members else -1
        return _Storage(lambda: contents(name), kind, count, size)

    return _unpickle(io.BytesIO(contents(pickles[0])), storage)


def _read_legacy(path: Path) -> Any:
    """Five pickles in a row: a number, the protocol, the machine, the content, names of storages; then the storages."""
    with path.open("rb") as file:
        head = io.BytesIO(file.read(PICKLE))
    size = path.stat().st_size
    places: dict[str, tuple[int, int]] = {}  # of a storage's values: first byte, number of values

    def storage(key: str, kind: str, count: int) -> _Storage:
        def contents() -> bytes:
            begin, there = places.get(key, (0, -1))
            if there != count:
                raise Unreadable(f"storage {key[:80]} is not in it as its pickle says")
            with path.open("rb") as file:
                file.seek(begin)
                return file.read(count * _dtype(kind).itemsize)

        return _Storage(contents, kind, count, size)

    if _unpickle(head, storage) != MAGIC:
        raise Unreadable("neither a file of torch nor safetensors")
    _unpickle(head, storage)
    machine = _unpickle(head, storage)
    if not (isinstance(machine, dict) and machine.get("little_endian") is True):
        raise Unreadable("its numbers have their bytes in the other order")
    seen: dict[str, int] = {}

    def noted(key: str, kind: str, count: int) -> _Storage:
        seen[key] = _dtype(kind).itemsize
        return storage(key, kind, count)

    content, keys = _unpickle(head, noted), _unpickle(head, noted)
    with path.open("rb") as file:
        file.seek(head.tell())
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            if key not in seen or count < 0 or file.tell() + count * seen[key] > size:
                raise Unreadable("it is cut short")
            places[key] = file.tell(), count
            file.seek(count * seen[key], io.SEEK_CUR)
    return content


class _Storage(NamedTuple):
    """A row of values in a file: its bytes, of what kind, how many, and how many bytes there are at most."""

    contents: Callable[[], bytes]
    kind: str
    length: int
    size: int


def _dtype(kind: str) -> torch.dtype:
    if kind not in DTYPES:
        raise Unreadable(f"it has a tensor of {kind[:80]}, which no network has")
    return DTYPES[kind]


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and 0 <= number < 1 << 48


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Weight:
    """A tensor of some values of a storage, as a pickle describes it."""
    tuples = isinstance(shape, tuple) and isinstance(strides, tuple) and len(strides) == len(shape) <= DIMENSIONS
    if not (isinstance(storage, _Storage) and tuples and all(map(_is_count, (offset, *shape, *strides)))):
        raise Unreadable("it describes a tensor otherwise than torch does")
    dtype = _dtype(storage.kind)
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    values = math.prod(shape)
    if values and (last >= storage.length or values > storage.length):
        raise Unreadable(f"a tensor of shape {shape} in it has fewer values than that")
    if storage.length * dtype.itemsize > storage.size:
        raise Unreadable("a tensor in it is cut short")

    def read() -> Tensor:
        if not values:
            return torch.empty(shape, dtype=dtype)
        every = torch.frombuffer(bytearray(storage.contents()), dtype=dtype, count=storage.length)
        return every.as_strided(shape, strides, offset).clone(memory_format=torch.contiguous_format)

    return Weight(shape, read)


# ---- pickles ---------------------------------------------------------------------------------------------------------


class _Name(str):
    """Of a class or a function in a pickle; nothing is looked up."""


class _Other:
    """An object of any other class: its attributes, if the pickle has any."""

    def __init__(self) -> None:
        self.attributes: Any = None


CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"}
VALUES |= {"SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE"}
VALUES |= {"SHORT_BINUNICODE", "BINUNICODE8"}
EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": _Other,
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _unpickle(file: io.BytesIO, storage: Callable[[str, str, int], _Storage]) -> Any:
    """What the next pickle in `file` describes: numbers, texts, tables, lists, outlines of tensors, and `_Other`s."""
    copied = 0  # items of lists that tables were made of, which takes work each time, unlike a reference
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stack before each mark
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        nonlocal stack
        items, stack = stack, below.pop()
        return items

    for operation, argument, _ in pickletools.genops(file):
        name = operation.name
        if name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in VALUES:
            stack.append(argument)
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name == "GLOBAL":
            stack.append(_Name(argument))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_name(*stack[-2:])]
        elif name == "MARK":
            below.append(stack)
            stack = []
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(str(argument))] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(str(argument))])
        elif name in TUPLES:
            stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
        elif name == "TUPLE":
            items = since_mark()
            stack.append(tuple(items))
        elif name == "LIST":
            items = since_mark()
            stack.append(items)
        elif name in ("DICT", "FROZENSET"):
            items = since_mark()
            stack.append(_table(items) if name == "DICT" else _Other())
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = since_mark() if name != "APPEND" else [stack.pop()]
            if isinstance(stack[-1], list):
                stack[-1] += items
        elif name in ("SETITEM", "SETITEMS"):
            items = since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            if isinstance(stack[-1], dict):
                stack[-1] |= _table(items)
        elif name in ("REDUCE", "NEWOBJ"):
            arguments = stack.pop()
            if isinstance(arguments, tuple) and arguments and isinstance(arguments[-1], list):
                copied += len(arguments[-1])
            if copied > COPIED:
                raise Unreadable(f"its pickle copies more than {COPIED} items of lists")
            stack[-1] = _called(stack[-1], arguments)
        elif name == "NEWOBJ_EX":
            stack[-3:] = [_Other()]
        elif name in ("OBJ", "INST"):
            since_mark()
            stack.append(_Other())
        elif name == "BUILD":
            attributes = stack.pop()
            if isinstance(stack[-1], _Other):
                stack[-1].attributes = attributes
        elif name in ("BINPERSID", "PERSID"):
            reference = stack.pop() if name == "BINPERSID" else None
            stack.append(_referred(reference, storage))
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            since_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise Unreadable(f"its pickle has {name}, which torch does not write")
    return stack[-1]


def _name(module: Any, name: Any) -> Any:
    """Of a class by its two parts; an object without attributes where they are no names."""
    if not (isinstance(module, str) and isinstance(name, str) and len(module) + len(name) < LONGEST):
        return _Other()
    return _Name(f"{module} {name}")


def _table(items: list[Any]) -> dict[Any, Any]:
    """Keys and values that take turns; what has another key than a text of a name's length is left out."""
    pairs = zip(items[::2], items[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, str) and len(key) < LONGEST}


def _called(function: Any, arguments: Any) -> Any:
    """What a call in a pickle stands for: a tensor, a table, or some other object; nothing is called."""
    if not (isinstance(function, _Name) and isinstance(arguments, tuple)):
        return _Other()
    if function in ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor"):
        return _tensor(*arguments[:4])
    if function.startswith("torch._utils _rebuild_parameter") and arguments:
        return arguments[0]
    if function.startswith("collections ") and function.endswith("Dict"):
        pairs = arguments[-1] if arguments and isinstance(arguments[-1], list) else []  # as Python 2 pickled them
        return _table([part for pair in pairs if isinstance(pair, list) and len(pair) == 2 for part in pair])
    return _Other()


def _referred(reference: Any, storage: Callable[[str, str, int], _Storage]) -> Any:
    """What a pickle refers to outside of it: ``("storage", class, key, device, count, ...)`` is values in the file."""
    if not (isinstance(reference, tuple) and len(reference) >= 5 and reference[0] == "storage"):
        return _Other()  # the source text of a module, in old files
    _, kind, key, _, count = reference[:5]
    if len(reference) > 5 and reference[5] is not None:
        raise Unreadable("a storage in it is part of another, as no file since 2017 has it")
    if not (isinstance(kind, _Name) and isinstance(key, str) and len(key) < LONGEST and _is_count(count)):
        raise Unreadable("it describes a storage otherwise than torch does")
    return storage(key, kind.rpartition(" ")[2], count)


def _named(content: Any) -> dict[str, Weight]:
    """All tensors in nested tables and modules, by their dotted names; a table has the first and shortest of its own.

    Configs refer to what is around them, so each table is looked at once.
    """
    found: dict[str, Weight] = {}
    seen: set[int] = set()
    level = [("", content)]
    for _ in range(DEPTH):
        below: list[tuple[str, Any]] = []
        for prefix, node in level:
            table = node.attributes if isinstance(node, _Other) else node
            if id(table) in seen or not isinstance(table, dict):
                continue
            seen.add(id(table))
            for key, value in table.items():
                name = f"{prefix}.{key}" if prefix else key
                if len(name) > 5 * LONGEST:
                    raise Unreadable(f"it has a name of {len(name)} characters")
                if isinstance(value, Weight):
                    found[name] = value
                else:
                    below.append((name, value))
        if not below:
            return found
        level = below
    raise Unreadable(f"it is nested more than {DEPTH} levels deep")
