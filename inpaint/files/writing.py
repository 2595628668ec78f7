"""Files that others read: JSON that is JSON, tables, and text in UTF-8 whatever the names in it are.

A file's name is any bytes to Linux, and Python keeps those that are no UTF-8 as halves of characters, which cannot be
written. They are spelt out, ``caf\\udce9.png``, as the terminal shows them.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inpaint.files.folder import write_whole


def utf8(text: str) -> str:
    r"""A text that can be written in UTF-8; half a character is spelt out.

    Examples:
        >>> print(utf8("caf\udce9.png"))
        caf\udce9.png
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def plain(node: Any) -> Any:
    """Dicts, lists, texts and numbers as JSON has them: null for NaN and infinity, keys and texts that can be written.

    Examples:
        >>> plain({"psnr": float("nan"), 3: (1.5, "text")})
        {'psnr': None, '3': [1.5, 'text']}
    """
    if isinstance(node, Mapping):
        return {utf8(str(key)): plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(item) for item in node]
    if isinstance(node, str):
        return utf8(node)
    return None if isinstance(node, float) and not math.isfinite(node) else node


def json_text(content: Any, indent: int | None = 2) -> str:
    """`content` as JSON: NaN is null, which is all that JSON has for it."""
    return json.dumps(plain(content), indent=indent, allow_nan=False)


def json_lines(content: Mapping[str, Any]) -> str:
    """JSON with a line for each item of its lists and dicts: thousands of differences would fill as many pages."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            items, ends = [f"{json_text(key)}: {json_text(item, None)}" for key, item in value.items()], "{}"
        elif isinstance(value, list):
            items, ends = [json_text(item, None) for item in value], "[]"
        else:
            return json_text(value, None)
        return ends[0] + "\n  " + ",\n  ".join(items) + "\n " + ends[1]

    return "{\n" + ",\n".join(f" {json_text(key)}: {text(value)}" for key, value in content.items()) + "\n}\n"


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Replace a JSON file as a whole, as `folder.write_whole` does."""
    write_whole(path, json_text(content, indent) + "\n")


MARKS = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a formula to a spreadsheet


def cell(value: Any) -> Any:
    """A value as it stands in a table: a text that a spreadsheet would compute has an apostrophe in front.

    `text_of` takes it away again; a text that has one of its own there gets another.

    Examples:
        >>> [cell(value) for value in ("=1+1", "-2.5", "-lama", "'@x", "it's", -3)]
        ["'=1+1", '-2.5', "'-lama", "''@x", "it's", -3]
    """
    if not isinstance(value, str) or not value.lstrip("'").startswith(MARKS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def text_of(field: str) -> str:
    """The text that `cell` made a field of."""
    return field[1:] if field.startswith("'") and field.lstrip("'").startswith(MARKS) else field


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], header: bool = True) -> str:
    """A table as CSV, with a header unless its lines go behind others; a field that a row lacks is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if header:
        table.writerow({name: cell(name) for name in columns})
    table.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return utf8(text.getvalue())


def csv_rows(text: str, strict: bool = False) -> list[dict[str, str]]:
    """The lines of a table in CSV by its headings, as `csv.DictReader` has them, and each text as it was.

    Raises:
        csv.Error: it is no CSV; of a table with a torn line only if `strict`.
    """
    return [
        {name and text_of(name): text_of(field) if isinstance(field, str) else field for name, field in line.items()}
        for line in csv.DictReader(io.StringIO(text, newline=""), strict=strict)
    ]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace a CSV file as a whole."""
    write_whole(path, csv_text(columns, rows))
