"""A grid, and what it shares with a search: one sweep at a time in a folder, and the record of its jobs."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from inpaint.cli import typed
from inpaint.cli.isolation import DONE, RUNNING, visible_gpus
from inpaint.cli.job import LOG, Job, settings
from inpaint.files.folder import only_one, refuse_links
from inpaint.files.untrusted import Unreadable, read_json
from inpaint.files.writing import write_json
from inpaint.settings import Refused, SweepError
from inpaint.sweep.launch import Asked, launch

JOBS = "jobs.json"


def grid(sweeper: Asked, arguments: Sequence[str]) -> list[Job]:
    """Every combination of the values that the command line gives, in Hydra's order.

    Raises:
        SweepError: the folder holds another grid, or another process is at work in it.
    """
    folder = folder_of(sweeper)
    combinations = BasicSweeper.split_arguments(parse(sweeper, arguments), max_batch_size=None)[0]
    before = read_jobs(folder)
    with session(sweeper):
        say_how_many(folder, len(combinations), sum(job.status in ("finished", "pruned") for job in before))
        for number, (old, new) in enumerate(zip(before, combinations, strict=False)):
            if old.settings != settings(new):
                raise SweepError(
                    f"hydra.sweep.dir: {folder} holds another sweep: its job {number} was {' '.join(old.settings)}, "
                    f"now it is {' '.join(settings(new))}; choose another folder, or give the former values first"
                )
        sweeper.validate_batch_is_legal(combinations)
        jobs = [*before[: len(combinations)], *map(Job, combinations[len(before) :])]
        write_jobs(folder, "grid", jobs)
        size = sweeper.config.hydra.sweeper.max_batch_size or len(combinations)
        for first in range(0, len(combinations), size):
            batch = combinations[first : first + size]
            jobs[first : first + size] = launch(sweeper, batch, first)
            write_jobs(folder, "grid", jobs)
    return jobs


def folder_of(sweeper: Asked) -> Path:
    """The sweep's folder."""
    return Path(sweeper.config.hydra.sweep.dir)


def parse(sweeper: Asked, arguments: Sequence[str]) -> list[Override]:
    """Overrides of the command line, after those of ``hydra.sweeper.params``, which they replace."""
    params = [f"{key}={value}" for key, value in (sweeper.config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(config_loader=sweeper.hydra_context.config_loader)
    return parser.parse_overrides([*params, *arguments])


@contextmanager
def session(sweeper: Asked) -> Iterator[None]:
    """The time in which one process, and no other, runs a sweep in its folder.

    Raises:
        SweepError: another one does, this is one of several ranks, or there are more jobs at a time than GPUs.
    """
    folder, cfg = folder_of(sweeper), sweeper.config
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SweepError(
            "sweep: each rank would run a sweep of its own; start one process, without torchrun, and add "
            "+sweep=processes or +sweep=slurm for jobs on several devices"
        )
    jobs = OmegaConf.select(cfg, "hydra.launcher.n_jobs")
    if jobs and OmegaConf.select(cfg, "sweep.gpu_a_job") and (gpus := visible_gpus()) and not 0 < jobs <= len(gpus):
        raise SweepError(f"hydra.launcher.n_jobs: {jobs} at a time, but {len(gpus)} GPUs here; give each job one")
    try:
        refuse_links(folder, "hydra.sweep.dir")
        # Processes that a killed sweep left need a moment to notice.
        with only_one(folder / RUNNING, "hydra.sweep.dir: a sweep", patience=10):
            again = typed.line(typed.setting("hydra.sweep.dir", folder))
            print(f"sweep folder: {folder}; after an interruption, {again} goes on", flush=True)
            print(f"what a job prints is in its folder, {folder / '*' / LOG}", flush=True)
            yield
            (folder / RUNNING).write_text(DONE)
    except Refused as error:
        raise SweepError(str(error)) from None


def say_how_many(folder: Path, jobs: int, done: int) -> None:
    """Tell the jobs how many there will be and how many are done already, for the remaining time."""
    said = {"started": time.time(), "jobs": jobs, "done": done, "arguments": sys.argv[1:]}
    write_json(folder / "sweep.json", said)


def read_jobs(folder: Path) -> list[Job]:
    """All jobs of the sweep in `folder`, in their order."""
    file = folder / JOBS
    if not file.is_file():
        return []
    try:
        return [Job.of(job) for job in read_json(file)["jobs"]]
    except (Unreadable, KeyError, TypeError, AttributeError) as error:
        raise SweepError(f"hydra.sweep.dir: {file} is none of a sweep ({error}); choose another folder") from None


def write_jobs(folder: Path, kind: str, jobs: Sequence[Job], answer: Sequence[str] = ()) -> None:
    """Write down all jobs of the sweep.

    Args:
        kind: ``grid``, or ``search``, in which jobs may fail.
        answer: lines that follow the table at the end.
    """
    content: dict[str, Any] = {"kind": kind, "answer": [*answer], "jobs": [asdict(job) for job in jobs]}
    write_json(folder / JOBS, content)
