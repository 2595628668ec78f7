"""Jobs through a launcher of others, and how each of them ended, even if its process died."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from inpaint.cli.job import Job


class Asked(Protocol):
    """A sweep as it was asked for: what Hydra gives the sweepers of `hydra_plugins.inpaint_sweepers`.

    Attributes:
        config: of the whole sweep.
        hydra_context: composes the config of a job.
        launcher: runs jobs, as the user chose.
    """

    config: DictConfig
    hydra_context: HydraContext
    launcher: Launcher

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose the config of each job; raises Hydra's error for the first that does not fit."""


def launch(sweeper: Asked, batch: Sequence[Sequence[str]], first: int) -> list[Job]:
    """Run jobs by the launcher that the user chose and collect how they ended.

    A job whose process died, for want of memory perhaps, has failed.

    Args:
        batch: the overrides of each.
        first: number of the first.
    """
    try:
        with _every_end_is_heard(sweeper.launcher):
            results: Sequence[Any] = sweeper.launcher.launch(batch, initial_job_idx=first)
    except Exception as error:
        print(f"the launcher gave up: {_reason(error)}", file=sys.stderr, flush=True)
        return _after_a_crash(sweeper, batch, first, error)
    jobs = []
    for place, result in enumerate(results):
        if isinstance(result, JobReturn) and result.status == JobStatus.COMPLETED:
            jobs.append(Job(**result.return_value))
        else:
            reason = getattr(result, "_return_value", result)
            jobs.append(_failed(_recorded(sweeper, batch[place], first + place), reason))
    return jobs


def _after_a_crash(sweeper: Asked, batch: Sequence[Sequence[str]], first: int, error: Exception) -> list[Job]:
    """Go on with the jobs that a launcher, as joblib does, has ended because the process of one died.

    Those that were at work go on alone, as it is one of them and may happen again; those that were waiting, together.
    """
    jobs = [_recorded(sweeper, overrides, first + place) for place, overrides in enumerate(batch)]
    if len(batch) == 1 or all(job.status != "running" for job in jobs):  # it was this one; or none can be launched
        return [_failed(job, error) for job in jobs]
    start = 0
    while start < len(jobs):
        status, end = jobs[start].status, start + 1
        if status == "waiting":
            while end < len(jobs) and jobs[end].status == "waiting":
                end += 1
        if status in ("running", "waiting"):
            jobs[start:end] = launch(sweeper, batch[start:end], first + start)
        start = end
    return jobs


@contextmanager
def _every_end_is_heard(launcher: Launcher) -> Iterator[None]:
    """submitit's launcher stops listening at the first job whose process died, and leaves the others to themselves.

    Here the error stands in place of what that job would have returned.
    """
    if "submitit" not in type(launcher).__module__:
        yield
        return
    from submitit.core.core import Job as Submitted

    results = Submitted.results

    def heard(self: Submitted) -> list[Any]:
        try:
            return results(self)
        except Exception as error:
            return [error]

    Submitted.results = heard  # type: ignore[method-assign]
    try:
        yield
    finally:
        Submitted.results = results  # type: ignore[method-assign]


def _recorded(sweeper: Asked, overrides: Sequence[str], number: int) -> Job:
    """A job by what its folder says."""
    cfg = sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, list(overrides))
    with open_dict(cfg):
        cfg.hydra.job.num = number
    folder = Path(cfg.hydra.sweep.dir) / str(cfg.hydra.sweep.subdir)
    return Job.read(folder) or Job(list(overrides), str(folder))


def _failed(job: Job, error: Exception) -> Job:
    """The same, failed if it has not said itself how it ended."""
    if job.status in ("waiting", "running"):
        job.error = _reason(error) if job.status == "running" else f"not started, {_reason(error)}"
        job.status = "failed"
    return job


def _reason(error: Exception) -> str:
    """In one line; what a launcher says after the first two is a log."""
    lines = [line for line in f"{type(error).__name__}: {error}".splitlines() if line.strip()]
    return " ".join(lines[:2]).strip()
