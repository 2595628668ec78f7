"""``metrics.csv``, in which no kill, full disk or resume loses, repeats or tears a row."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from inpaint.files.writing import csv_rows, csv_text, write_table
from inpaint.training.run_logger import RunLogger

log = logging.getLogger("inpaint.training.metrics_file")


class MetricsFile(RunLogger):
    """A row for what is logged at once, a column for each figure, and ``step``, the update counted from 0.

    Rows are appended; a figure that was not there before rewrites the file, beside it and then in its place. On a full
    disk the rows wait in memory, and it is said once.

    Args:
        folder: where ``metrics.csv`` is.
        every: rows that may wait; what a checkpoint knows of is always written before it.
    """

    def __init__(self, folder: str, every: int = 10) -> None:
        super().__init__()
        self.path, self.every = Path(folder) / "metrics.csv", every
        self.columns: list[str] = []
        self.waiting: list[dict[str, Any]] = []
        self.complained = False

    @property
    def name(self) -> str:
        """Part of Lightning's interface."""
        return "metrics"

    @property
    def version(self) -> str:
        """Part of Lightning's interface."""
        return ""

    @rank_zero_only
    def begin(self, update: int, validation_due: bool = False) -> None:
        """Keep the rows before `update`, from which the run goes on; the others, and one that is torn, are dropped.

        Args:
            update: those that are done.
            validation_due: whether the last of them is validated once more.
        """
        rows = [row for row in _read(self.path) if row["step"].isdigit() and int(row["step"]) < update]
        if validation_due:
            rows = [row for row in rows if int(row["step"]) < update - 1 or not _is_validation(row)]
        if rows:
            self.columns = list(rows[0])
            self._rewrite(rows)
        else:
            self.path.unlink(missing_ok=True)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Take a row."""
        self.waiting.append({name: float(value) for name, value in metrics.items()} | {"step": step})
        if len(self.waiting) >= self.every:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the rows that wait."""
        columns = sorted({*self.columns, *(name for row in self.waiting for name in row)})
        try:
            if not self.waiting:
                return
            if columns != self.columns:
                before = _read(self.path)  # perhaps by the process that trained (ddp_spawn)
                self.columns = sorted({*columns, *(before[0] if before else ())})
                self._rewrite([*before, *self.waiting])
            else:
                self._append(csv_text(self.columns, self.waiting, header=False))
            self.waiting = []
        except OSError as error:
            if not self.complained:
                log.warning(f"{self.path}: rows wait in memory ({error.strerror})")
            self.complained = True

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rest."""
        self.save()

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_table(self.path, self.columns, rows)

    def _append(self, text: str) -> None:
        """All of it or nothing."""
        with self.path.open("ab", buffering=0) as file:
            size, data = file.tell(), text.encode()
            try:
                while data:
                    data = data[file.write(data) :]
            except OSError:
                file.truncate(size)
                raise


def _is_validation(row: Mapping[str, str]) -> bool:
    return any(value and name.startswith("val/") for name, value in row.items())


def _read(path: Path) -> list[dict[str, str]]:
    """The whole lines of the file."""
    if not path.is_file():
        return []
    return csv_rows("".join(line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")))
