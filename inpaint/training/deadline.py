"""The end of a process that was asked to leave by a signal and has not left in time, wherever it is stuck."""

import faulthandler
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

AT_ONCE = 5.0  # seconds that a process has after a second Ctrl-C
WRITING = 1.0  # seconds to write the stacks; a pipe that nobody reads takes for ever
END = 0  # no number of a signal


class Deadline:
    """Ends this process `grace` seconds after the first signal, `AT_ONCE` after a Ctrl-C that comes behind one.

    A handler of Python's runs between two instructions of the main thread, so it never does while that waits in C, as
    in a collective for a rank that does not answer. The interpreter itself, however, writes the number of each signal
    that has a handler into a socket (`signal.set_wakeup_fd`; Windows could not wait for a pipe) as soon as it comes,
    and a thread reads it there. When the time is up, that thread writes the stacks of all threads to standard error,
    kills the processes that would be left behind, stopped ones too, and leaves with exit code 1.

    Made in the main thread; `close` before what comes next has time of its own.

    Args:
        numbers: the signals.
        grace: seconds.
        others: processes to kill beside the children that multiprocessing knows, asked when the time is up.
    """

    def __init__(
        self, numbers: Collection[int], grace: float, others: Callable[[], Iterable[subprocess.Popen]]
    ) -> None:
        self.numbers, self.grace, self.others = numbers, grace, others
        self.reading, self.writing = socket.socketpair()
        self.writing.setblocking(False)  # in a handler nothing waits
        self.owner = os.getpid()
        self.former = signal.set_wakeup_fd(self.writing.fileno(), warn_on_full_buffer=False)
        self.thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
        self.thread.start()
        OPEN.add(self)

    def close(self) -> None:
        """Give the file of signals back; no end comes any more."""
        OPEN.discard(self)
        signal.set_wakeup_fd(self.former)
        self.writing.send(bytes([END]))
        self.thread.join()
        self.reading.close()
        self.writing.close()

    def _watch(self) -> None:
        until: float | None = None
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self.reading], [], [], left)[0]:
                self._leave()
            received = self.reading.recv(256)
            if self.former != -1:
                with suppress(OSError):  # whoever had the file of signals before
                    os.write(self.former, received.replace(bytes([END]), b""))
            for number in received:
                if number == END:
                    return
                if number in self.numbers:
                    until = self._next(until, number)

    def _next(self, until: float | None, number: int) -> float:
        """When the time is up, after one more signal."""
        now = time.monotonic()
        if until is None:
            return now + self.grace
        return min(until, now + AT_ONCE) if number == signal.SIGINT else until

    def _leave(self) -> None:
        # Not `dump_traceback`, which holds all threads while it writes.
        faulthandler.dump_traceback_later(1e-3, file=sys.__stderr__ or sys.stderr)
        time.sleep(WRITING)
        for rank in self.others():
            rank.kill()
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(1)


OPEN: set[Deadline] = set()


def _in_a_forked_process() -> None:
    """A signal to a reader of data is none to its parent."""
    if OPEN:
        OPEN.clear()
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_in_a_forked_process)
