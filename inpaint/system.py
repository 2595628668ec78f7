"""What Linux, macOS and Windows do not share, in one place: signals, descriptors, free memory."""

import signal
from importlib.util import find_spec
from pathlib import Path

# None where the system has no such signal, as Windows has none to ask a process for its stacks.
USR1: signal.Signals | None = getattr(signal, "SIGUSR1", None)
USR2: signal.Signals | None = getattr(signal, "SIGUSR2", None)
KILL: signal.Signals = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows, SIGTERM asks nobody either
STOPPING = tuple(number for number in (signal.SIGTERM, signal.SIGINT, USR2) if number is not None)


def most_descriptors() -> int | None:
    """How many files and connections this process may have open; None where nothing limits it."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def free_memory() -> int:
    """Bytes of memory that this process may still take, within its container; 0 where the system does not say.

    Linux says it itself; elsewhere psutil asks.
    """
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return _psutil_memory()
    found = []
    try:
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
        found.append(int(limit) - int(used))
    except (OSError, KeyError, ValueError):  # no such file, or a limit of "max"
        pass
    return max(0, min(found, default=0))


def _psutil_memory() -> int:
    if find_spec("psutil") is None:
        return 0
    import psutil

    return int(psutil.virtual_memory().available)
