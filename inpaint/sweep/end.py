"""The end of a sweep: how each job ended, what the answer is, and the exit code."""

import json
import math
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from inpaint.cli.job import Job, settings, trained_longer
from inpaint.evaluation.table import figure_cells
from inpaint.evaluation.terminal import Cell, print_blocks
from inpaint.metrics.columns import COLUMNS
from inpaint.settings import Refused
from inpaint.sweep.grid import JOBS

if TYPE_CHECKING:
    from inpaint.compare import Report


class Answer(Callback):
    """Hydra calls it when all jobs have ended, whether well or not."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the tables and leave with 1 if a job of a grid has failed, or every trial of a search."""
        file = Path(config.hydra.sweep.dir) / JOBS
        if not file.is_file():  # a sweeper of others
            return
        content = json.loads(file.read_text(encoding="utf-8"))
        jobs = [Job.of(job) for job in content["jobs"]]
        failed = [job for job in jobs if job.status not in ("finished", "pruned")]
        code = int(bool(failed) and (content["kind"] == "grid" or len(failed) == len(jobs)))
        try:
            print_jobs(jobs)
            compared = _compared(file.parent)
            lines = content["answer"] or (_winner(compared) if compared else [])
            print(*lines, sep="\n", end="\n" if lines else "")
        except Exception:  # Hydra would make a warning of it, and the exit code 0
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        if code:
            sys.exit(code)


def _compared(folder: Path) -> "Report | None":
    """The leaderboard of the jobs in the terminal and as ``comparison.html``; nothing for fewer than two runs."""
    from inpaint.compare import compare, print_leaderboard, write_html  # not at the start of every single run

    try:
        report = compare([folder])
    except Refused:  # no job has finished, and the table of jobs has said why
        return None
    if sum(len(entry.runs) for entry in report.entries) < 2:
        return None
    print()
    print_leaderboard(report)
    print(*write_html(report, folder / "comparison.html"), sep="\n")
    return report


def _winner(report: "Report") -> list[str]:
    """The command that trains the best of a grid longer; nothing where nothing was trained, or nobody has won."""
    block = report.blocks[0]
    winners = block.winners(report.sort)
    if len(winners) != 1:
        names = ", ".join(entry.name for entry in winners)
        return [f"no winner: {names} reached the same {COLUMNS[report.sort].title}"] if winners else []
    best = winners[0].runs[0]
    overrides = [line for line in best.command if not line.startswith("seed=")]
    return ["the winner, trained longer:", f"  {trained_longer(overrides, int(best.updates))}"]


def print_jobs(jobs: Sequence[Job]) -> None:
    """Print what each job set, how it ended and what it reached, with the last line of its error."""
    common = set.intersection(*(set(settings(job.overrides)) for job in jobs)) if len(jobs) > 1 else set()
    places = [Path(job.folder).name or str(number) for number, job in enumerate(jobs)]
    set_here = ["\n".join(line for line in settings(job.overrides) if line not in common) or "-" for job in jobs]
    ends = [f"{job.status}: {job.error}" if job.error else job.status for job in jobs]
    figures = figure_cells(COLUMNS["hole_psnr"], [job.values.get("hole_psnr", math.nan) for job in jobs])
    words = [[Cell(text) for text in texts] for texts in (places, set_here, ends)]
    lines = [list(line) for line in zip(*words, figures, strict=True)]
    shared = {"in all jobs": " ".join(sorted(common))} if common else {}
    print_blocks(["job", "overrides", "status", COLUMNS["hole_psnr"].heading], [lines], shared, labels=3)
