"""One job of a sweep: it never raises, its folder says how it ended, and a finished one is not done again."""

import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from inpaint.cli import typed
from inpaint.cli.isolation import end_with_the_sweep, isolated, killed_with_its_parent, own_gpu
from inpaint.files.folder import Busy, first_rank, only_one, write_whole
from inpaint.files.untrusted import Unreadable, read_json
from inpaint.files.writing import write_json
from inpaint.provenance import as_reference
from inpaint.settings import Refused
from inpaint.system import STOPPING

RECORD = "job.json"
LOG = "job.log"  # what the job prints


@dataclass
class Job:
    """How a job ended.

    Attributes:
        overrides: what the sweep set.
        folder: where it ran; empty as long as nobody knows.
        status: waiting, running, finished, pruned or failed.
        values: what `train.run` returned: figures over all validation crops, parameters, updates, train_seconds.
        error: the last line of what went wrong; the folder's error.txt has all.
        seconds: from start to end, without what was done before a restart.
    """

    overrides: list[str]
    folder: str = ""
    status: str = "waiting"
    values: dict[str, float] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> "Job | None":
        """The record in a job's folder; None where there is none."""
        file = folder / RECORD
        if not file.is_file():
            return None
        try:
            return cls.of(read_json(file))
        except (Unreadable, KeyError, TypeError, AttributeError) as error:
            raise Refused(f"{file}: no record of a job ({error}); delete it, or choose another folder") from None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Job":
        """What was written down of a job."""
        return cls(**{**record, "values": numbers(record["values"])})

    def write(self) -> None:
        """Put the record into the folder, whole or not at all."""
        write_json(Path(self.folder) / RECORD, asdict(self))

    @property
    def settings(self) -> list[str]:
        """The overrides that decide what is computed; how a sweep is run may change between restarts."""
        return settings(self.overrides)


def numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """Figures as they were before JSON, which has null for NaN."""
    return {key: math.nan if value is None else float(value) for key, value in values.items()}


def settings(overrides: Sequence[str]) -> list[str]:
    """Overrides without those of Hydra and of the sweep itself."""
    return [line for line in overrides if not line.lstrip("+~").startswith(("hydra", "sweep"))]


LONGER = 10  # times the updates of the sweep, for the run of the winner


def trained_longer(overrides: Sequence[str], updates: int) -> str:
    """The command that trains the winner of a sweep `LONGER` times as long."""
    kept = [line for line in settings(overrides) if not line.startswith("trainer.max_steps=")]
    return typed.line("inpaint-train", *map(as_reference, kept), f"trainer.max_steps={LONGER * updates}")


def ours() -> bool:
    """Whether the code runs in a job of one of our sweepers, which take a `Job`; others want what `run` returns."""
    hydra = HydraConfig.get()
    return hydra.mode is not None and hydra.mode.name == "MULTIRUN" and "inpaint" in hydra.sweeper._target_


def run_job(
    name: str, cfg: DictConfig, run: Callable[[DictConfig], Any], message: Callable[[Exception], str]
) -> dict[str, Any]:
    """Do the job that Hydra has composed and say how it ended, as the dict of a `Job`.

    Args:
        name: of the command.
        message: what to tell the user of an error.
    """
    hydra = HydraConfig.get()
    folder, sweep, wanted = Path(hydra.runtime.output_dir), Path(hydra.sweep.dir), cfg.get("sweep") or {}
    job = Job(list(hydra.overrides.task), str(folder), "running")
    before = Job.read(folder)
    if before is not None and before.settings != job.settings:
        job.status, job.error = "failed", f"{folder} holds another job ({' '.join(before.settings)})"
        return asdict(job)
    if before is not None and before.status in ("finished", "pruned"):
        return asdict(before)

    end_with_the_sweep(sweep)
    start = time.monotonic()
    try:
        if wanted.get("gpu_a_job"):
            own_gpu(sweep.resolve(), hydra.job.num)
        with isolated():
            if not first_rank():
                run(cfg)
                return asdict(job)
            with only_one(folder / "job.lock", f"job {hydra.job.num}"):
                job.write()
                with _printing_into(folder / LOG, hydra.job.num):
                    values = in_its_own_process(name, folder) if wanted.get("own_process") else run(cfg)
                job.values = numbers(values or {})
        job.status = "finished"
    except Busy as error:
        job.status, job.error = "failed", str(error)
        return asdict(job)
    except Exception as error:
        job.status = "pruned" if is_pruned(error) else "failed"
        if job.status == "failed":
            _complain(name, hydra.job.num, error, folder, told := message(error))
            job.error = told.strip().splitlines()[-1]
    job.seconds = round(time.monotonic() - start, 3)
    if first_rank():
        job.write()
        _say_how_far(sweep, hydra.job.num, job)
    return asdict(job)


@contextmanager
def _printing_into(file: Path, number: int) -> Iterator[None]:
    """What is printed and logged inside goes to a file, as a sweep prints a line a job; warnings are shown as well."""
    terminal, root = sys.stdout, logging.getLogger()
    shown = logging.StreamHandler(terminal)
    shown.setLevel(logging.WARNING)
    shown.setFormatter(logging.Formatter(f"job {number}: %(message)s"))
    ours = [h for h in root.handlers if isinstance(h, logging.StreamHandler) and h.stream is terminal]
    no_links = getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | no_links, 0o666)
    stream = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace", buffering=1)
    with stream, redirect_stdout(stream):
        for handler in ours:
            handler.setStream(stream)
        root.addHandler(shown)
        try:
            yield
        finally:
            root.removeHandler(shown)
            for handler in ours:
                handler.setStream(terminal)


class ProcessError(RuntimeError):
    """A job's own process ended with an error; the message is its last line."""


def in_its_own_process(name: str, folder: Path) -> dict[str, float]:
    """The job as a single run, `inpaint-NAME OVERRIDES`, whose ranks Lightning may start by the same command line.

    Raises:
        ProcessError: its exit code is not 0.
        SystemExit: a signal stopped the sweep; the job has had it too, and is saved.
    """
    hydra = HydraConfig.get()
    added = [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]
    command = [sys.executable, "-m", f"inpaint.{name}", *(f"--config-dir={path}" for path in added)]
    command += [*hydra.overrides.task, "hydra.mode=RUN"]
    for key, place in {"run.dir": str(folder), "sweep.dir": hydra.sweep.dir}.items():
        command.append(typed.setting(f"hydra.{key}", place))
    last, received = "", []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        process.send_signal(number)

    # In a group of its own, or Ctrl-C would reach it twice, and a second one stops at once.
    with subprocess.Popen(
        command,
        stdout=sys.stdout,  # a file, see `_printing_into`
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=killed_with_its_parent if sys.platform == "linux" else None,
        process_group=0,
    ) as process:
        if threading.current_thread() is threading.main_thread():  # Python allows no other; `isolated` gives them back
            for number in STOPPING:
                signal.signal(number, pass_on)
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            last = line.strip() or last
    if received:
        raise SystemExit(128 + received[0])
    if process.returncode:
        raise ProcessError(last or f"exit code {process.returncode}")
    summary = folder / "summary.json"
    return numbers(read_json(summary)["figures"]) if summary.is_file() else {}


def is_pruned(error: Exception) -> bool:
    """Whether the search gave the run up; from another process, only the text comes back."""
    if (optuna := sys.modules.get("optuna")) is not None and isinstance(error, optuna.TrialPruned):
        return True
    return type(error).__name__ in ("ProcessError", "ProcessRaisedException") and "TrialPruned" in str(error)


def _complain(name: str, number: int, error: Exception, folder: Path, told: str) -> None:
    """Say it now; the traceback goes into the folder, the table at the end of the sweep repeats the last line."""
    write_whole(folder / "error.txt", "".join(traceback.format_exception(error)))
    for line in told.splitlines():
        print(f"inpaint-{name}: job {number} failed: {line}", file=sys.stderr)
    print(f"inpaint-{name}: job {number}: all of it in {folder / 'error.txt'}", file=sys.stderr, flush=True)


def _say_how_far(sweep: Path, number: int, job: Job) -> None:
    """Jobs done and the remaining time, from the records, since several processes may be at work."""
    progress = sweep / "sweep.json"
    if not progress.is_file():
        return
    said = read_json(progress)
    records = [file for file in sweep.glob(f"*/{RECORD}") if file.stat().st_mtime >= said["started"]]
    ended = [record for file in records if (record := Job.read(file.parent)) and record.status != "running"]
    done, jobs = said["done"] + len(ended), said["jobs"]
    remaining = (time.time() - said["started"]) / max(len(ended), 1) * (jobs - done)
    left = f", about {remaining:.0f} s left" if done < jobs else ""
    figure = f", hole PSNR {job.values['hole_psnr']:.2f} dB" if "hole_psnr" in job.values else ""
    named = f": {' '.join(job.settings)}" if job.settings else ""
    print(f"job {number} {job.status} in {job.seconds:.0f} s{figure} ({done} of {jobs}{left}){named}", flush=True)
