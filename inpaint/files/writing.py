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


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A table as CSV with a header; a field that a row lacks is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return utf8(text.getvalue())


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace a CSV file as a whole."""
    write_whole(path, csv_text(columns, rows))
