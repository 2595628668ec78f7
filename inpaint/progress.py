"""Progress of long work with rate and remaining time: a live bar on a terminal, a few plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
Result = TypeVar("Result")


class Reporter:
    """Shows how far something is; inside a live bar, which there is one of at a time, in that bar's notes.

    Args:
        label: what is done.
        unit: what is counted, in the plural.
        total: how many there will be; None if nobody knows.
        done: how many were done before.
        seconds: between two plain lines.
        transient: the bar vanishes at the end, and work shorter than `seconds` prints no plain line at all.
    """

    shown: "Reporter | None" = None  # whose bar is live

    def __init__(
        self,
        label: str,
        unit: str,
        total: int | None,
        done: int = 0,
        seconds: float = 20.0,
        transient: bool = False,
    ) -> None:
        self.label, self.unit, self.total, self.first, self.seconds = label, unit, total, done, seconds
        self.transient = transient
        self.console = Console(highlight=False)
        self.started = self.spoken = time.monotonic()
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.around = Reporter.shown
        if self.console.is_terminal and self.around is None:
            Reporter.shown = self
            self.bar = Progress(
                TextColumn(label),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn(f"{{task.fields[rate]:.1f}} {unit}/s"),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[notes]}"),
                console=self.console,
                transient=transient,
            )
            self.bar.start()
            self.task = self.bar.add_task("", total=total, completed=done, rate=0.0, notes="")

    @property
    def due(self) -> bool:
        """Whether enough time has gone by to say something again."""
        live = self.bar is not None or self.around is not None
        return time.monotonic() - self.spoken >= (0.2 if live else self.seconds)

    def show(self, done: int, notes: str = "") -> None:
        """Say that `done` are done, now."""
        self.spoken = time.monotonic()
        rate = (done - self.first) / max(self.spoken - self.started, 1e-9)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=done, rate=rate, notes=notes)
            return
        if self.around is not None and self.around.bar is not None and self.around.task is not None:
            self.around.bar.update(self.around.task, notes=f"{self.label} {done}/{self.total}  {notes}")
            return
        left = f"  {(self.total - done) / rate:.0f} s left" if self.total is not None and rate > 0 else ""
        of = f"/{self.total}" if self.total is not None else ""
        line = f"{self.label} {done}{of}  {rate:.1f} {self.unit}/s{left}  {notes}".rstrip()
        self.console.print(line, soft_wrap=True)

    def say(self, line: str) -> None:
        """Print a line that stays, above the bar where there is one."""
        console = self.around.console if self.around is not None else self.console
        console.print(line, soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = Reporter.shown = None
        elif self.around is not None and self.around.bar is not None and self.around.task is not None:
            self.around.bar.update(self.around.task, notes="")


class Tracked(Generic[Item]):
    """Items with progress while they are worked on; nothing stays on the terminal afterwards."""

    def __init__(self, items: Iterable[Item], label: str, unit: str) -> None:
        self.items, self.label, self.unit = items, label, unit
        self.done = 0
        self.reporter: Reporter | None = None

    def __iter__(self) -> Iterator[Item]:
        total = len(self.items) if isinstance(self.items, Sized) else None
        self.done = 0
        self.reporter = reporter = Reporter(self.label, self.unit, total, transient=True)
        try:
            for item in self.items:
                yield item
                self.done += 1
                if reporter.due:
                    reporter.show(self.done)
        finally:
            reporter.close()

    def at_work(self, what: str) -> None:
        """Say what works on the item now: at once in a live bar, elsewhere where a line is due."""
        reporter = self.reporter
        if reporter is not None and (reporter.due or reporter.bar is not None or reporter.around is not None):
            reporter.show(self.done, what)


def track(items: Iterable[Item], label: str, unit: str = "batches") -> Tracked[Item]:
    """The items, with progress while they are worked on; nothing stays on the terminal afterwards."""
    return Tracked(items, label, unit)


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int | None, label: str, unit: str, each: int = 1
) -> Iterator[Result]:
    """What `work` makes of each item, in their order, made by several threads, with progress.

    A pool holds everything that it is given at once, so a million items are given to it in parts. each: items that a
    thread takes at a time; more where one takes less than handing it over, which is some 20 us.
    """

    def several(part: Sequence[Item]) -> list[Result]:
        return [work(item) for item in part]

    with ThreadPoolExecutor(threads) as pool:
        tasks = range(0, len(items), each)
        turns = (tasks[first : first + 4096] for first in range(0, len(tasks), 4096))
        done = chain.from_iterable(pool.map(several, (items[i : i + each] for i in turn)) for turn in turns)
        results = chain.from_iterable(done)
        for _ in track(items, label, unit):
            yield next(results)
