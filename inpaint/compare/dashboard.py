"""A comparison at Weights & Biases, for runs that are there."""

import hashlib
import math
from pathlib import Path
from typing import Any

from inpaint.compare.comparison import Report
from inpaint.compare.runs import Run
from inpaint.files.untrusted import read_text
from inpaint.metrics.columns import COLUMNS
from inpaint.settings import Refused


def wandb_id(run: Run) -> str | None:
    """The id of a run at wandb: in ``wandb_id.txt``, or in the name of the folder where its client kept the records."""
    stored = run.folder / "wandb_id.txt"
    if stored.is_file():
        return read_text(stored, 1000).strip() or None
    folders = [*run.folder.glob("wandb/run-*-*"), *run.folder.glob("wandb/offline-run-*-*")]
    newest = max(folders, key=lambda folder: folder.name.partition("run-")[2], default=None)
    return newest.name.rpartition("-")[2] if newest else None


def log_to_wandb(report: Report, page: Path | None) -> str:
    """Log the leaderboard as a table and the report as an artifact, in the project of the runs.

    The comparison is a run of its own (job type ``comparison``), as it belongs to no single one; its id follows from
    the ids of the runs, so the same comparison made again goes to the same place. `WANDB_MODE=offline` stores it beside
    the report.

    Returns:
        A line that says where it is.

    Raises:
        Refused: none of the runs has an id, or wandb is not installed.
    """
    ids = {id(run): wandb_id(run) for entry in report.entries for run in entry.runs if entry.trained}
    known = sorted(filter(None, ids.values()))
    if not known:
        raise Refused("--wandb: none of these runs has a wandb id; logger=wandb gives new ones theirs")
    try:
        import wandb
    except ModuleNotFoundError:
        raise Refused("--wandb: wandb is not installed; pip install wandb") from None

    settings = _logger_settings(report)
    logged = wandb.init(
        project=settings.get("project") or "inpaint",
        entity=settings.get("entity"),
        dir=str(page.parent if page else Path.cwd()),
        id=f"comparison-{hashlib.sha256(' '.join(known).encode()).hexdigest()[:12]}",
        name=f"comparison of {len(known)} runs",
        job_type="comparison",
        config={"runs": known, "sort": report.sort},
        resume="allow",
    )
    try:
        for number, block in enumerate(report.blocks, start=1):
            figures = [name for name in COLUMNS if any(name in entry.figures for entry in block.entries)]
            counts = ["parameters", "updates", "train_seconds"]
            table = wandb.Table(["rank", "run", "differs in", "seeds", "wandb ids", *figures, *counts])
            for rank, entry in enumerate(block.entries, start=1):
                differing = ", ".join(f"{key}={value}" for key, value in entry.found.items())
                own = ", ".join(filter(None, (ids.get(id(run)) for run in entry.runs)))
                values = [_known(entry.figures.get(name, math.nan)) for name in (*figures, *counts)]
                table.add_data(rank, entry.name, differing, len(entry.runs), own, *values)
            logged.log({f"leaderboard/{number}" if len(report.blocks) > 1 else "leaderboard": table})
        if page is not None:
            artifact = wandb.Artifact(logged.id, type="comparison", metadata={"runs": known})
            artifact.add_file(str(page), name="comparison.html")
            logged.log_artifact(artifact)
    finally:
        logged.finish()
    without = sum(1 for each in ids.values() if each is None)
    return f"wandb: logged as {logged.id}" + (f"; {without} runs have no wandb id" if without else "")


def _logger_settings(report: Report) -> dict[str, Any]:
    """What the config of the first run with a wandb logger says about it."""
    for entry in report.entries:
        for run in entry.runs:
            loggers = run.config.get("logger")
            if isinstance(loggers, dict) and isinstance(loggers.get("wandb"), dict):
                return loggers["wandb"]
    return {}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
