"""What is optimised is a picture, or features that a picture is painted from; every network stays as it is."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from inpaint import rng
from inpaint.progress import Reporter
from inpaint.settings import choice, whole

HISTORY = 25  # pairs of L-BFGS, as of Li and Wand (2016)
AT_ONCE = 2.0  # seconds between two Ctrl-C that end the command

_last_stop = -math.inf


class Course(NamedTuple):
    """How an optimisation went.

    energies: before each step and after the last one.
    best: the least of them, which the tensors have now.
    stopped: somebody pressed Ctrl-C.
    """

    energies: list[float]
    best: float
    stopped: bool


def optimise(
    tensors: Sequence[Tensor],
    energy: Callable[[], Tensor],
    steps: int,
    *,
    method: Literal["adam", "lbfgs"] = "lbfgs",
    rate: float = 1.0,
    seed: int = 0,
    label: str = "optimising",
) -> Course:
    """Change tensors in place, so that an energy falls.

    They end as they were where the energy was least: L-BFGS with a fixed step may rise, and whoever stops early gets
    the best that there is. An energy that is not finite ends it too. Progress is shown, and Ctrl-C ends it after the
    step; a second one within two seconds is Python's usual one.

    Args:
        tensors: leaves that require gradients.
        energy: the energy of what the tensors are now, a scalar that is differentiable in them. For L-BFGS it should
            be a sum over pixels rather than a mean, as torch leaves out pairs whose product is below 1e-10.
        steps: at most.
        method: `adam` (betas 0.9, 0.999), or `lbfgs` (history 25, no line search).
        rate: length of a step; L-BFGS finds its own, and 1 takes it.
        seed: what the energy draws for a batch of one (`rng.uniform_for`) follows from it and the step.
        label: what the progress is called.
    """
    whole("steps", steps, 0)
    tensors = list(tensors)
    optimizer: torch.optim.Optimizer
    if choice("method", method, ("adam", "lbfgs")) == "adam":
        optimizer = torch.optim.Adam(tensors, rate)
    else:
        settings = {"max_iter": 1, "history_size": HISTORY, "tolerance_grad": 0.0, "tolerance_change": 0.0}
        optimizer = torch.optim.LBFGS(tensors, rate, **settings)  # type: ignore[arg-type]
    energies: list[float] = []
    best, kept = math.inf, [tensor.detach().clone() for tensor in tensors]

    def measure(step: int) -> Tensor:
        """The energy now; the tensors are noted where it is the least so far."""
        nonlocal best
        keys = torch.tensor([rng.key(seed, "optimise", step)], device=tensors[0].device)
        with rng.of_samples(keys):
            value = energy()
        energies.append(float(value.detach()))
        if energies[-1] < best:
            best = energies[-1]
            for copy, tensor in zip(kept, tensors, strict=True):
                copy.copy_(tensor.detach())
        return value

    def closure(step: int) -> float:
        optimizer.zero_grad()
        value = measure(step)
        value.backward()
        return float(value.detach())

    reporter = Reporter(label, "steps", steps, transient=True)
    try:
        with _stops_at_a_press(reporter) as pressed, torch.enable_grad():
            for step in range(steps):
                optimizer.step(lambda step=step: closure(step))
                if pressed.is_set() or not math.isfinite(energies[-1]):
                    break
                if reporter.due:
                    reporter.show(step + 1, f"energy {energies[-1]:.4g}")
            with torch.no_grad():
                measure(steps)
            stopped = pressed.is_set()
    finally:
        reporter.close()
    with torch.no_grad():
        for tensor, copy in zip(tensors, kept, strict=True):
            tensor.copy_(copy)
    return Course(energies, best, stopped)


@contextmanager
def _stops_at_a_press(reporter: Reporter) -> Iterator[threading.Event]:
    """Inside, Ctrl-C sets the event instead of raising; a second one at once raises.

    Signals reach the main thread alone, and who ignores them or has a handler of their own keeps it.
    """
    pressed = threading.Event()

    def note(*_: object) -> None:
        global _last_stop
        before, _last_stop = _last_stop, time.monotonic()
        if _last_stop - before < AT_ONCE:
            raise KeyboardInterrupt
        pressed.set()
        reporter.say(f"{reporter.label}: stopped, and goes on with what there is; Ctrl-C twice ends all")

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ours = usual and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
