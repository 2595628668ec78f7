"""Small files that may come from anyone: opened without waiting, measured before they are read, plain data or refused.

A file's name says nothing of what is there: it may be a pipe that never answers, gigabytes of nothing, or one kilobyte
of YAML that stands for a billion nodes. What these functions return is text, or dicts, lists, texts, numbers, booleans
and None, nested no deeper than `DEPTH`, that every other part may walk through without a second thought.
"""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from inpaint.files.writing import csv_rows
from inpaint.settings import Refused

TABLE = 256 << 20  # bytes of a table in CSV, with a line for each picture or update
FIELDS = 10_000_000  # of such a table, each of which takes a hundred bytes of memory
TEXT = 16 << 20  # bytes of a file of text or JSON: results of ten thousand pictures have a tenth of that
YAML = 1 << 20  # bytes; a config of a run has 10 kB
DEPTH = 64  # levels; a config has six
NODES = 1_000_000  # values of a JSON file
EXPANDED = 100_000  # values of a YAML file once every alias is replaced by what it stands for


class Unreadable(Refused):
    """A file that is not what it should be; the message says why, for the caller to put the file's name before it."""


def read_bytes(path: Path, limit: int = TEXT) -> bytes:
    """The contents of a regular file.

    Raises:
        Unreadable: it is a pipe, a device or a folder, or has more than `limit` bytes.
        OSError: it is not there, or may not be read.
    """
    measure(path, limit)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # if it is a pipe by now
        content = file.read(limit + 1)
    if len(content) > limit:  # it grows, or its size is no size, as below /proc
        raise Unreadable(f"it has more than {limit} bytes")
    return content


def measure(path: Path, limit: int) -> None:
    """Look at a file without opening it.

    Raises:
        Unreadable: it is a pipe, a device or a folder, or has more than `limit` bytes.
        OSError: it is not there, or may not be looked at.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("it is no regular file")
    if status.st_size > limit:
        raise Unreadable(f"it has {status.st_size} bytes, more than {limit}")


def read_text(path: Path, limit: int = TEXT) -> str:
    """The text of a regular file in UTF-8.

    Raises:
        Unreadable: as `read_bytes`, or it is no UTF-8.
        OSError: it is not there, or may not be read.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is no UTF-8 (byte {error.start})") from None


def read_table(path: Path, limit: int = TABLE) -> list[dict[str, str]]:
    """The lines of a table in CSV by its headings; a field that a line lacks is None.

    Raises:
        Unreadable: as `read_text`.
        csv.Error: it is no CSV.
        OSError: it is not there, or may not be read.
    """
    text = read_text(path, limit)
    if text.count(",") + text.count("\n") > FIELDS:
        raise Unreadable(f"it has more than {FIELDS} fields")
    return csv_rows(text, strict=True)


def read_json(path: Path, limit: int = TEXT) -> Any:
    """What a JSON file holds.

    Raises:
        Unreadable: as `read_text`, or it is no JSON, or nested too deeply.
        OSError: it is not there, or may not be read.
    """
    return parse_json(read_text(path, limit))


def parse_json(text: str) -> Any:
    """What a text in JSON holds. NaN, Infinity and numbers beyond every float (1e400) are floats.

    Raises:
        Unreadable: it is no JSON, nested too deeply, or has too many values.
    """
    if sum(map(text.count, "[{,")) > NODES:
        raise Unreadable(f"it has more than {NODES} values")
    try:
        return _checked(json.loads(text))
    except RecursionError:
        raise Unreadable(f"it is nested more than {DEPTH} levels deep") from None
    except Refused:
        raise
    except ValueError as error:
        raise Unreadable(f"it is no JSON ({error})") from None


def read_yaml(path: Path, limit: int = YAML) -> Any:
    """What a YAML file holds; a date stays a text.

    Raises:
        Unreadable: as `read_text`, it is no YAML, nested too deeply, refers to itself, stands for too many values, or
            holds what is no plain data.
        OSError: it is not there, or may not be read.
    """
    text = read_text(path, limit)
    measure_yaml(text)
    try:
        return _checked(yaml.load(text, Loader=_Loader))
    except Refused:
        raise
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise Unreadable(f"it is no YAML ({_first_line(error)})") from None


def measure_yaml(text: str) -> None:
    """Refuse a text in YAML that stands for far more than it shows.

    Events are read one after another, so this takes time by the text and not by what it stands for.

    Raises:
        Unreadable: it is no YAML, nested too deeply, refers to itself, or stands for too many values.
    """
    sizes: dict[str, int] = {}  # of what an anchor marks, in values
    opened: list[tuple[str | None, int]] = []  # anchor and size so far of the containers around
    total = 0
    for event in _events(text):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            opened.append((event.anchor, 1))
            if len(opened) > DEPTH:
                raise Unreadable(f"it is nested more than {DEPTH} levels deep")
            continue
        if isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1 + len(event.value) // 100
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            anchor, size = opened.pop()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise Unreadable(f"*{event.anchor} refers to itself, or to nothing")
            anchor, size = None, sizes[event.anchor]
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        if opened:
            around, so_far = opened[-1]
            opened[-1] = around, (total := so_far + size)
        if max(size, total) > EXPANDED:
            raise Unreadable(f"its aliases stand for more than {EXPANDED} values")


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise Unreadable(f"it is no YAML ({_first_line(error)})") from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain data alone, in which a date is a text, as in the configs that Hydra reads."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as in the class above it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _checked(content: Any) -> Any:
    """The content, if it is plain data that is not too deep; keys that are no texts (1, true) become texts."""

    def checked(node: Any, depth: int) -> Any:
        if depth > DEPTH:
            raise Unreadable(f"it is nested more than {DEPTH} levels deep")
        if isinstance(node, dict):
            return {_text(key): checked(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [checked(item, depth + 1) for item in node]
        if isinstance(node, str):
            return _text(node)
        if isinstance(node, int) and not -(1 << 64) < node < 1 << 64:
            raise Unreadable("it holds a whole number of more than 64 bits")
        if node is None or isinstance(node, bool | int | float):
            return node
        raise Unreadable(f"it holds a {type(node).__name__}, which is no plain data")

    return checked(content, 0)


def _text(text: Any) -> str:
    if not isinstance(text, str | bool | int | float | None):
        raise Unreadable(f"it has a {type(text).__name__} for a key")
    if isinstance(text, str) and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unreadable("it holds half of a character, which no UTF-8 can show") from None
    return str(text)


def _first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
