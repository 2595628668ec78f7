"""Jobs that share a process or a folder and still do not touch each other."""

import ctypes
import functools
import gc
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from inpaint.files import folder
from inpaint.settings import Refused
from inpaint.system import KILL

RUNNING = "sweep.lock"  # in the sweep's folder, held by the process that launches the jobs
DONE = "done\n"  # in there: the sweep gave its lock back itself


def end_with_the_sweep(sweep: Path) -> None:
    """In a process that another one launched: end at once when that one is gone, which a kill -9 tells nobody.

    `sweep` is the folder of both. Jobs of a cluster's scheduler are left alone: they outlive the shell that submitted
    them.
    """
    file = (sweep / RUNNING).resolve()
    if file in folder.held or "SLURM_JOB_ID" in os.environ or not file.is_file() or file in _watched:
        return
    _watched.add(file)

    def watch() -> None:
        folder.wait_until_free(file)
        if file.read_text() != DONE:
            os.kill(os.getpid(), KILL)
        _watched.discard(file)

    threading.Thread(target=watch, daemon=True).start()


_watched: set[Path] = set()


def killed_with_its_parent() -> None:
    """In a process that is about to start: the system kills it when the one that started it is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, KILL)  # PR_SET_PDEATHSIG


@contextmanager
def isolated() -> Iterator[None]:
    """Whatever a job changes in its process is as before when it has ended, so that the next does not notice it.

    Environment, working directory, random numbers, torch's global settings, signal handlers, filters of warnings,
    levels of loggers, and the memory of a GPU.
    """
    import kornia  # noqa: F401  these two set variables of their own when they are imported
    import lightning  # noqa: F401
    import torch

    from inpaint import rng

    _freeze()

    settings: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
        (torch.get_num_threads, torch.set_num_threads),
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_default_device, torch.set_default_device),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    ]
    values = [get() for get, _ in settings]
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    environment, here = dict(os.environ), Path.cwd()
    levels = {logger: logger.level for logger in _loggers()}
    with ExitStack() as stack:
        stack.enter_context(rng.untouched())
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(_same_handlers())
        try:
            yield
        finally:
            for (get, put), value in zip(settings, values, strict=True):
                if get() != value:
                    put(value)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(here)
            for logger, level in levels.items():
                if logger.level != level:  # setting one empties the caches of all
                    logger.setLevel(level)
            if "torch._dynamo" in sys.modules:
                torch.compiler.reset()  # it gives up on a function that it has compiled for many jobs
            gc.collect()  # trainers and modules refer to each other
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()


@functools.cache
def _freeze() -> None:
    """Looking through all that is imported would cost each job a quarter of a second, and counting it as much again."""
    gc.freeze()


def _loggers() -> list[logging.Logger]:
    known = logging.Logger.manager.loggerDict.values()
    return [logging.getLogger(), *(logger for logger in known if isinstance(logger, logging.Logger))]


@contextmanager
def _same_handlers() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES spells them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(gpu) for gpu in range(torch.cuda.device_count())] if visible is None else visible.split(",")
    return [name for name in names if name not in ("", "-1")]


def own_gpu(sweep: Path, number: int) -> None:
    """Show this process one GPU, for as long as it lives: that of the job's number, or the next that is free.

    To be called before anything asks CUDA, which looks at CUDA_VISIBLE_DEVICES only once; hence a process keeps its
    GPU from job to job.

    Args:
        sweep: its folder, which holds a lock for each GPU.
        number: of the job.

    Raises:
        Refused: more jobs at a time than GPUs.
    """
    gpus = visible_gpus()
    if not gpus or any(file.parent == sweep and file.name.startswith("gpu_") for file in folder.held):
        return
    for place in range(len(gpus)):
        gpu = gpus[(number + place) % len(gpus)]
        if folder.take(sweep / f"gpu_{gpu}.lock"):
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            return
    raise Refused(f"hydra.launcher.n_jobs: more jobs at a time than the {len(gpus)} GPUs; give each job one")
