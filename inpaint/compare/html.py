"""The report as one HTML file: no network, nothing beside it, pictures inside.

`page/` holds the document, its style and its scripts; everything measured travels as one block of JSON, which the
scripts turn into elements by text and attributes alone, so that no name is ever markup. A content security policy
allows exactly these scripts and this style, by their hashes, and pictures from `data:` alone.
"""

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from inpaint import __version__
from inpaint.compare.choices import Choice
from inpaint.compare.comparison import Block, Entry, Report
from inpaint.compare.configs import unusual
from inpaint.compare.leaderboard import SHOWN
from inpaint.compare.paired import shown_digits
from inpaint.compare.runs import Run
from inpaint.evaluation.intervals import ALL, Difference
from inpaint.evaluation.table import COUNTED, IMAGES
from inpaint.files.folder import write_whole
from inpaint.files.untrusted import read_bytes
from inpaint.files.writing import plain
from inpaint.metrics.columns import BUILT_IN, COLUMNS
from inpaint.progress import track
from inpaint.settings import Refused

SCRIPTS = ("elements.js", "table.js", "charts.js", "plots.js", "pictures.js", "report.js")
POINTS = 400  # of a curve; a screen shows no more
HOLES = 24  # of a block
PNG = b"\x89PNG\r\n\x1a\n"


def common_folder(report: Report) -> Path:
    """The folder that all runs share; the current one where they share none that can be written to."""
    folder = Path(os.path.commonpath([run.folder for entry in report.entries for run in entry.runs]))
    return folder if folder != Path(folder.anchor) and os.access(folder, os.W_OK) else Path.cwd()


def write_html(report: Report, path: Path, max_bytes: int = 24_000_000) -> list[str]:
    """Write the report; returns what to tell the user, a line each.

    Args:
        report: what was compared.
        path: the file to write; its folder must be there.
        max_bytes: most that the pictures take in the file; where they take more, it has fewer holes.
    """
    blocks, said = [], []
    for block in report.blocks:
        pictures, there = _pictures(block, max_bytes // len(report.blocks))
        if len(pictures) < there:
            said.append(f"pictures of {len(pictures)} of {there} holes, to stay below {max_bytes / 1e6:g} MB; --max-mb")
        blocks.append(_block(block, pictures, report.study) | {"holes": there})
    data = {
        "version": __version__,
        "sort": report.sort,
        "shown": [name for name in COLUMNS if name in (*SHOWN, report.sort) or name not in BUILT_IN],
        "columns": {name: asdict(column) | {"heading": column.heading} for name, column in COLUMNS.items()},
        "definitions": {"images": IMAGES},
        "counts": COUNTED,
        "blocks": blocks,
        "configs": _configs(report.entries),
        "notes": [*report.notes, *(f"left out: {line}" for line in report.left_out)],
        "study": _study(report.study),
    }
    page = render(data)
    write_whole(path, page)  # who has the old one open reloads a whole one
    return [*said, f"report: {path} ({len(page.encode()) / 1e6:.1f} MB)"]


def render(data: dict[str, Any]) -> str:
    """The document around some data."""
    page = resources.files("inpaint.compare") / "page"
    style = (page / "report.css").read_text(encoding="utf-8")
    script = "\n".join((page / name).read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "policy": f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        # In a script block only `<` can end it or open a comment.
        "data": json.dumps(plain(data), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        "script": script,
    }
    document = (page / "report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], document)


def _source(text: str) -> str:
    """What a content security policy calls an inline block with this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _verdict(name: str, found: Choice | Difference) -> dict[str, Any]:
    """Its fields, whether it is real, and the digits after the point that show it."""
    fields = asdict(found) if isinstance(found, Choice) else found._asdict()
    return fields | {"is_real": found.is_real, "digits": shown_digits(found.low, found.high, COLUMNS[name].digits)}


def _block(block: Block, pictures: list[dict[str, Any]], study: dict[str, Any] | None) -> dict[str, Any]:
    areas = list(dict.fromkeys(area for line in block.lines for run in line.runs for area in run.rows if area != ALL))
    usual, apart = unusual([entry.found for entry in block.entries])
    areas.sort(key=lambda area: int(area.partition("-")[0]))
    return {
        "title": block.title,
        "interval": block.interval,
        "entries": len(block.entries),  # of the lines; the others are fills
        "areas": areas,
        "usual": usual,
        "lines": [
            _line(line, areas, study) | {"apart": found}
            for line, found in zip(block.lines, [*apart, *({} for _ in block.fills)], strict=True)
        ],
        "differences": {
            name: [_verdict(name, difference) for difference in found] for name, found in block.differences.items()
        },
        "best": block.best,
        "choices": {
            name: [_verdict(name, choice) for choice in found] for name in COLUMNS if (found := block.choices(name))
        },
        "curves": [
            {"line": place, "run": run.folder.name, "series": _thinned(run)}
            for place, line in enumerate(block.lines)
            for run in line.runs
            if run.trained
        ],
        "pictures": pictures,
    }


def _line(line: Entry, areas: Sequence[str], study: dict[str, Any] | None) -> dict[str, Any]:
    scores = {row["method"]: row for row in (study or {}).get("scores") or []}
    return {
        "name": line.name,
        "method": line.runs[0].method,
        "trained": line.trained,
        "folders": [str(run.folder) for run in line.runs],
        "found": line.found,
        "seeds": [str(run.config.get("seed")) for run in line.runs],
        "figures": line.figures,
        "deviations": line.deviations,
        "intervals": line.intervals(),
        "counts": line.counts,
        "areas": {
            area: {
                "images": line.runs[0].rows[area].images,
                "means": means,
                "intervals": line.intervals(area),
            }
            for area in areas
            if (means := line.means(area))
        },
        "preference": scores.get(line.name) or scores.get(line.runs[0].method),
    }


def _thinned(run: Run) -> dict[str, list[list[float]]]:
    """Curves of at most `POINTS` points, each the mean of its neighbours."""
    curves = {}
    for name, points in run.curves().items():
        size = math.ceil(len(points) / POINTS)
        groups = [points[first : first + size] for first in range(0, len(points), size)]
        curves[name] = [[group[-1][0], math.fsum(value for _, value in group) / len(group)] for group in groups]
    return curves


def _pictures(block: Block, max_bytes: int) -> tuple[list[dict[str, Any]], int]:
    """Holes with the results of every line, by rising area, and how many holes there are.

    Files go in as they are, since a lossy copy would show faults that no method made. Where they take more than
    `max_bytes`, holes are left out evenly over the areas.
    """
    first = [line.runs[0] for line in block.lines]
    results = [run.pictures() for run in first]
    inputs, truths = ({index: path for run in reversed(first) for index, path in run.pictures(kind).items()}
                      for kind in ("input", "truth"))  # fmt: skip
    areas = {index: area for run in reversed(first) for index, area in run.areas.items()}
    having = sorted((i for i in inputs if any(i in each for each in results)), key=lambda i: (areas.get(i, 0), i))

    def files(index: int) -> list[Path]:
        return [each[index] for each in (inputs, truths, *results) if index in each]

    chosen = _spread(having, HOLES)
    while chosen and sum(path.stat().st_size for index in chosen for path in files(index)) * 4 / 3 > max_bytes:
        chosen = _spread(having, len(chosen) - 1)
    holes = []
    for index in track(chosen, "embedding pictures", "holes"):
        holes.append(
            {
                "index": index,
                "area": areas.get(index),
                "input": _embedded(inputs[index]),
                "truth": _embedded(truths[index]) if index in truths else None,
                "results": [_embedded(each[index]) if index in each else None for each in results],
                "figures": [line.records.get(index, {}) for line in block.lines],
            }
        )
    return holes, len(having)


def _spread(items: Sequence[int], count: int) -> list[int]:
    """`count` of the items, evenly, ends included."""
    if count >= len(items):
        return list(items)
    return [items[round(place * (len(items) - 1) / max(count - 1, 1))] for place in range(count)]


def _embedded(path: Path) -> str | None:
    try:
        content = read_bytes(path)
    except (OSError, Refused):
        return None
    return f"data:image/png;base64,{base64.b64encode(content).decode()}" if content.startswith(PNG) else None


def _configs(entries: Sequence[Entry]) -> dict[str, Any]:
    """Side by side, only what differs: a value for each key and entry, null where the key is the same for its like."""
    trained = [entry for entry in entries if entry.trained]
    keys = dict.fromkeys(key for entry in trained for key in entry.found)
    return {
        "names": [entry.name for entry in trained],
        "rows": [{"key": key, "values": [entry.found.get(key) for entry in trained]} for key in keys],
    }


def _study(study: dict[str, Any] | None) -> dict[str, Any] | None:
    if study is None:
        return None
    from inpaint.study.report import notes

    return study | {"notes": notes(study)}
