"""What the folder of a run or of an evaluation holds, read without torch.

A *run folder* (`inpaint-train`) has `config.yaml`, `summary.json` (`method`, `parameters`, `updates`, `train_seconds`,
`overrides`) and `metrics.csv`; an *evaluation folder* (`inpaint-evaluate`) has none of these. Both have
what `inpaint.evaluation.results` wrote: results.csv (averages), results.json (what was measured how), validation.csv
(which pictures under which holes), records.csv (figures of single pictures) and pictures/. Only results.csv must be
there: what runs of older versions do not have is left out of the comparison.
"""

import csv
import glob
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inpaint.evaluation.intervals import ALL, Row
from inpaint.evaluation.table import read_csv
from inpaint.files.folder import expanded, inside
from inpaint.files.untrusted import Unreadable, read_json, read_table, read_yaml
from inpaint.metrics.columns import COLUMNS, add_columns_of
from inpaint.provenance import as_of_now
from inpaint.settings import Refused

AREA = re.compile(rf"{ALL}|\d{{1,3}}-\d{{1,3}} %")
STEP = re.compile("[0-9]{1,15}")


@dataclass(frozen=True)
class Run:
    """One method as one folder measured it.

    method: its name in the folder's results.
    trained: the model of a run folder; false for what an evaluation measured, and for the fills beside a model.
    config: resolved; empty where `trained` is false.
    command: the overrides of its command line; empty where they are not known.
    rows: averages by hole area, `intervals.ALL` among them.
    parameters, updates, train_seconds: NaN where they are not known.
    records: figures of single pictures by their index; empty where the folder has none.
    areas: share of each picture that its hole covers, in [0, 1], by index; empty where the folder does not say.
    photographs: what each picture is a crop of, by index; likewise.
    manifest: digest of the crops and holes; None where the folder does not say.
    networks: what figures of deep features were measured with, by role, as `features`, `lpips_alex`.
    images_in: folder of its composites, below ``pictures``.
    """

    folder: Path
    method: str
    trained: bool
    config: dict[str, Any]
    command: list[str]
    rows: dict[str, Row]
    parameters: float
    updates: float
    train_seconds: float
    records: dict[int, dict[str, float]]
    areas: dict[int, float]
    photographs: dict[int, str]
    manifest: str | None
    networks: dict[str, str]
    images_in: str

    @property
    def figures(self) -> dict[str, float]:
        """Averages over all pictures, and the counts, by name."""
        counts = {"parameters": self.parameters, "updates": self.updates, "train_seconds": self.train_seconds}
        return self.rows[ALL].means | counts

    @property
    def overrides(self) -> dict[str, str]:
        """What its command line set, by key; ``~key`` is ``none``."""
        parts = (line.partition("=") for line in self.command)
        return {key.lstrip("+~"): value if equals else "none" for key, equals, value in parts}

    @property
    def images(self) -> int:
        """How many pictures it was measured on."""
        return self.rows[ALL].images

    def pictures(self, kind: str | None = None) -> dict[int, Path]:
        """Files of its composites, or of another kind of picture (``input``, ``truth``), by index.

        Raises:
            Refused: the name of their folder, or a link, leads out of the run folder.
        """
        folder = inside(self.folder / "pictures", kind or self.images_in)
        found = sorted(path for path in folder.glob("*.png") if path.stem.isdecimal())
        return {int(path.stem): inside(self.folder, path.relative_to(self.folder)) for path in found}

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Points (update, value) of each curve of `metrics.csv`, finite values alone; empty where there is none."""
        path = inside(self.folder, "metrics.csv")
        found: dict[str, list[tuple[int, float]]] = {}
        # A run that was killed may have half a last line; a curve is none the worse for it.
        for line in read_table(path) if self.trained and path.exists() else ():
            step = line.get("step") or ""
            for name, text in line.items() if STEP.fullmatch(step) else ():
                if isinstance(text, str) and text and name.startswith(("train/", "val/")):
                    value = _number(text)
                    if math.isfinite(value):
                        found.setdefault(name, []).append((int(step) + 1, value))
        return found


def find(path: Path) -> Iterator[Path]:
    """Folders at or below `path` with a `config.yaml` or a `results.csv`, hidden ones left out.

    Those inside a run are its own: Hydra and wandb keep a config there.
    """
    for folder, children, files in os.walk(path):
        children[:] = sorted(child for child in children if not child.startswith(".") and child != "wandb")
        if "config.yaml" in files:
            children.clear()
        if {"config.yaml", "results.csv"} & set(files):
            yield Path(folder)


def expand(paths: Iterable[str | Path]) -> tuple[list[Path], list[str]]:
    """Folders that paths and glob patterns name, each once, and a line about each path that names none."""
    folders: dict[Path, None] = {}
    left_out = []
    for given in map(str, map(expanded, paths)):
        # A path that is there is taken as it is: brackets and stars may stand in names.
        matches = [given] if Path(given).exists() else sorted(glob.glob(given, recursive=True))  # noqa: PTH207  absolute too
        if not matches:
            left_out.append(f"{given}: no such folder")
        folders |= dict.fromkeys(folder.resolve() for match in matches for folder in find(Path(match)))
    return list(folders), left_out


def read(folder: Path) -> list[Run]:
    """Everything that a folder measured: the model of a run folder first, then what stands beside it.

    A folder may come from anyone, and what is made of it is passed on: it has its own files alone.

    Raises:
        Refused: one line that names the file that is missing, cut short, something else, or not in the folder.
    """
    file = "summary.json"
    config: dict[str, Any] = {}
    command: list[str] = []
    counts = dict.fromkeys(("parameters", "updates", "train_seconds"), math.nan)
    model = None
    try:
        if (folder / "config.yaml").exists() or (folder / file).exists():
            summary = read_json(inside(folder, file))
            if not isinstance(model := summary["method"], str):
                raise ValueError("its method is no text")
            counts |= {name: int(summary[name]) for name in ("parameters", "updates")}
            counts["train_seconds"] = float(summary["train_seconds"])
            command = [str(line) for line in summary.get("overrides") or []]
            file = "config.yaml"
            config = as_of_now(read_yaml(inside(folder, file)))
            if not isinstance(config, dict):
                raise ValueError("not a mapping")
        file = "results.json"
        results = inside(folder, file)
        content = read_json(results) if results.exists() else {"measured": {}}
        measured = content["measured"]
        checkpoints = dict(measured.get("checkpoints") or {})
        networks = {role: str(name) for role, name in dict(measured.get("networks") or {}).items()}
        folders = dict(measured.get("folders") or {})
        add_columns_of(content.get("definitions") or {})
        file = "results.csv"
        rows = read_csv(inside(folder, file))
        if other := [row.area for row in rows if not AREA.fullmatch(row.area)]:
            raise ValueError(f"{other[0]!r} is no hole area")
        methods = sorted(dict.fromkeys(row.method for row in rows), key=lambda method: method != model)
        for method in methods if model is None else [model]:
            if (count := sum(row.method == method and row.area == ALL for row in rows)) != 1:
                raise ValueError(f"{count} rows of method {method!r} over all pictures, not one")
        if not methods:
            raise ValueError("no rows")
        file = "records.csv"
        records = _records(inside(folder, file))
        file = "validation.csv"
        areas, photographs, manifest = _validation(inside(folder, file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, csv.Error) as error:
        raise Refused(_said(file, error)) from error
    runs = [
        Run(
            folder=folder,
            method=method,
            trained=method == model,
            config=config if method == model else {},
            command=command if method == model else [],
            rows={row.area: row for row in rows if row.method == method},
            **(counts if method == model else _counts(checkpoints.get(method))),
            records=records.get(method, {}),
            areas=areas,
            photographs=photographs,
            manifest=manifest,
            networks=networks,
            images_in=str(folders.get(method, method)),
        )
        for method in methods
        if any(row.method == method and row.area == ALL for row in rows)
    ]
    for run in runs:
        for kind in (None, "input", "truth"):
            run.pictures(kind)
        try:
            run.curves()
        except (OSError, Unreadable, csv.Error) as error:
            raise Refused(_said("metrics.csv", error)) from error
    return runs


def _counts(stated: Any) -> dict[str, float]:
    """What an evaluation says of a checkpoint; NaN where it says nothing."""
    counts = {}
    for name in ("parameters", "updates", "train_seconds"):
        value = stated.get(name) if isinstance(stated, dict) else None
        counts[name] = float(value) if isinstance(value, int | float) and value >= 0 else math.nan
    return counts


def _said(file: str, error: Exception) -> str:
    kind = "" if isinstance(error, Refused) else f"{type(error).__name__}: "
    return f"{file}: {kind}{' '.join(str(error).split())[:300]}"


def _lines(path: Path) -> list[dict[str, str]]:
    lines = read_table(path)
    if any(None in line or None in line.values() for line in lines):
        raise ValueError("a line is cut short")
    return lines


def _records(path: Path) -> dict[str, dict[int, dict[str, float]]]:
    """By method and index."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for line in _lines(path) if path.is_file() else []:
        figures = {name: float(line[name] or math.nan) for name in COLUMNS if name in line}
        found.setdefault(line["method"], {})[int(line["index"])] = figures
    return found


def _validation(path: Path) -> tuple[dict[int, float], dict[int, str], str | None]:
    """Hole areas and photographs by index, and a digest of which crops were measured under which holes."""
    if not path.is_file():
        return {}, {}, None
    lines = _lines(path)
    pixels = sorted((int(line["index"]), line["image_sha256"], line["mask_sha256"]) for line in lines)
    areas = {int(line["index"]): float(line["hole_area"]) for line in lines}
    photographs = {int(line["index"]): line["photograph"] for line in lines}
    return areas, photographs, hashlib.sha256(json.dumps(pixels).encode()).hexdigest()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
