"""Weights & Biases through its own client, so that it never costs a run its result.

Whether runs are sent at once or kept for `wandb sync` is decided before the client starts (`mode`), since a client that
has waited in vain for its server cannot be had offline in the same process for a long time. What goes wrong afterwards,
at the server or in the client, is said once, and training goes on.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from inpaint.batch import to_uint8
from inpaint.files.folder import write_whole
from inpaint.files.untrusted import read_json, read_text
from inpaint.metrics.columns import COLUMNS
from inpaint.settings import Refused
from inpaint.training.run_logger import End, RunLogger
from inpaint.training.wandb_client import (
    leave_client,
    led_by_agent,
    no_reports,
    why_no_account,
    why_unreachable,
    within,
)

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

MODES = ("auto", "online", "offline")
MARKS = ("sweep.json", "multirun.yaml")  # of the folder of a sweep
MOST_SAMPLES = 8  # rows of a table of pictures
LONGEST_TAG = 64  # characters; what the client accepts
TABLE_SECONDS = 10.0  # for a table, of which the server is asked before it is sent
FLUSH_SECONDS = 0.1  # between two writes of the client to the disk: what a kill costs
START_SECONDS = 15.0  # for a server that has answered the probe


@dataclass
class Progress:
    """How far a run has logged: what a run that goes on must not say again, and does not know itself."""

    update: int = -1  # the last one that was logged
    names: list[str] = field(default_factory=list)  # what was logged of it
    rows: int = 0
    best: dict[str, float] = field(default_factory=dict)  # `best/...` by name, for the summary


def harmless(method: Callable[..., None]) -> Callable[..., None]:
    """A method that fails once is reported and disabled for this run; if `log_metrics` failed, all of them are."""

    @rank_zero_only
    @wraps(method)
    def attempt(self: "WandbLogger", *args: Any, **kwargs: Any) -> None:
        name = method.__name__
        if self.experiment.disabled or {name, "log_metrics"} & self.failed:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self.failed.add(name)
            print(f"wandb: {name} failed ({str(error) or type(error).__name__}); the run goes on without", flush=True)

    return attempt


class WandbLogger(RunLogger):
    """Sends a run to Weights & Biases, or keeps it in the run folder until `wandb sync` sends it.

    Every chart has `update` as its x-axis, and it never goes back: a run that is continued has the id that it had
    (``wandb_id.txt``), and what it had logged beyond its checkpoint (``wandb_progress.json``) is not logged again.
    The best value of each figure of the validation stands in the summary, as ``best/hole_psnr``.

    Args:
        save_dir: the run folder; the client's own files are in ``wandb/`` there.
        project: where the run is listed.
        entity: whose project; None is the account's own.
        name: what the dashboard calls the run.
        group: runs that belong together; None is the folder of the sweep, if the run is one of a sweep's.
        job_type: what kind of job it is, for the dashboard.
        tags: marks by kind, shown as ``kind=mark``; a list of marks gives several, None or an empty text none.
        mode: online, offline, or auto: what ``WANDB_MODE`` or `wandb offline` says, and otherwise online where there
            is an account and its server answers within seconds.
        log_model: keep the trained generator as an artifact, a checkpoint that all commands read.
        finish_timeout: seconds that the end of a run waits for its data to be sent; the rest is for `wandb sync`.

    Raises:
        Refused: wandb is not installed, or an unknown mode.
    """

    takes_pictures = True

    def __init__(
        self,
        save_dir: str,
        project: str = "inpaint",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        job_type: str = "train",
        tags: Mapping[str, str | Sequence[str] | None] | None = None,
        mode: str = "auto",
        log_model: bool = False,
        finish_timeout: float = 60.0,
    ) -> None:
        super().__init__()
        if find_spec("wandb") is None:
            raise Refused("logger: wandb is not installed; pip install wandb, or choose logger=csv")
        if mode not in MODES:
            raise Refused(f"logger.wandb.mode: {mode!r} is none of {', '.join(MODES)}")
        if finish_timeout <= 0:
            raise Refused(f"logger.wandb.finish_timeout: {finish_timeout} is no time to wait; give seconds")
        self.folder, self.project, self.entity = Path(save_dir), project, entity
        self.run_name, self.group, self.job_type = name, group or sweep_of(self.folder), job_type
        self.tags, self.mode = tags_of(tags or {}), mode
        self.log_model, self.finish_timeout = log_model, finish_timeout
        self.progress = Progress()
        self.logged_before = Progress()  # by the runs that this one goes on from
        self.failed: set[str] = set()  # methods that the client or its server has let down
        self._run: Run | None = None

    # ---- what Lightning asks for ------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The project."""
        return self.project

    @property
    def version(self) -> str | None:
        """The id of the run at wandb, once it has one."""
        return read_text(self._id_file, 1000).strip() if self._id_file.is_file() else None

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self.folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> "Run":
        """The client's run, which is started when it is first asked for."""
        if self._run is None:
            self._run = self._start()
        return self._run

    @harmless
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log figures of the update `step`, unless the run that this one goes on from has."""
        self._log(dict(metrics), self.progress.update if step is None else step)

    # ---- what a run logs besides ------------------------------------------------------------------------------------

    @harmless
    def log_config(self, config: Mapping[str, Any]) -> None:
        """Settings by their dotted keys; the names of a sweep of wandb's are the same."""
        self.experiment.config.update(dict(config), allow_val_change=True)

    @harmless
    def log_panel(self, name: str, page: Any, update: int) -> None:
        """A picture, as ``PIL.Image``."""
        from wandb import Image

        self._log({name: Image(page)}, update)

    @harmless
    def log_samples(self, name: str, index: Tensor, mask: Tensor, pictures: Mapping[str, Tensor], update: int) -> None:
        """A table with one row a sample: its index, the area of its hole in %, and its pictures; at most 8 rows.

        Args:
            name: of the table.
            index: int64 ``(B,)``, by which tables of several runs can be joined.
            mask: ``(B, 1, H, W)``, 1 = hole.
            pictures: ``(B, 3, H, W)`` in [-1, 1] by column.
            update: the update that made them.
        """
        from wandb import Image, Table

        columns = [to_uint8(column[:MOST_SAMPLES]).permute(0, 2, 3, 1).cpu().numpy() for column in pictures.values()]
        areas = (100 * mask[:MOST_SAMPLES].float().mean(dim=(1, 2, 3))).tolist()
        table = Table(["index", "hole area (%)", *pictures])
        for row, (number, area) in enumerate(zip(index.tolist(), areas, strict=False)):
            table.add_data(number, round(area, 2), *(Image(column[row]) for column in columns))
        within(TABLE_SECONDS, lambda: self._log({name: table}, update))

    @harmless
    def log_generator(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """A file with the trained generator, as the artifact ``generator-ID``."""
        from wandb import Artifact

        artifact = Artifact(f"generator-{self.experiment.id}", type="model", metadata=dict(metadata))
        artifact.add_file(str(path), name=path.name)
        within(self.finish_timeout, lambda: self.experiment.log_artifact(artifact))

    @harmless
    def alert(self, title: str, text: str) -> None:
        """A message to whoever follows the project, by e-mail or Slack as their account says."""
        self.experiment.alert(title=title, text=text, level="WARN")

    def end(self, how: End) -> None:
        """End the run at wandb, which left open would take what the next job of a sweep logs.

        Args:
            how: ``finished``; ``failed``; ``stopped`` by a signal, to be continued: what wandb calls preempted, and
                queues again in its own sweeps; or ``pruned``, given up by a search: finished with the tag
                ``end=pruned``.
        """
        if self._run is not None:
            self._finish(how)
            self._run = None
        if self.failed:
            leave_client()

    # ---- inside -----------------------------------------------------------------------------------------------------

    @harmless
    def _finish(self, how: End) -> None:
        run = self.experiment
        if how == "pruned":
            run.tags = (*(run.tags or ()), *tags_of({"end": how}))
        if how == "stopped":
            run.mark_preempting()
        try:
            run.finish(exit_code=int(how in ("failed", "stopped")))
        except TimeoutError:
            kept = Path(run.dir).parent
            print(f"wandb: not all was sent in {self.finish_timeout:.0f} s; later: wandb sync {kept}", flush=True)

    def _log(self, row: dict[str, Any], update: int) -> None:
        run, now, before = self.experiment, self.progress, self.logged_before
        if update == before.update:
            row = {name: value for name, value in row.items() if name not in before.names}
        if update < before.update or not row:
            return
        now.names = [*(now.names if update == now.update else []), *row]
        now.update, now.rows = max(update, now.update), now.rows + 1
        best = {name: value for name, value in self._best(row, update).items() if now.best.get(name) != value}
        now.best |= best
        write_whole(self._progress_file, json.dumps(asdict(now)))
        # wandb's own step counts rows: it may not fall behind what a former run in this folder has sent either.
        run.log({**row, "update": update}, step=now.rows - 1, commit=True)
        run.summary.update(best)

    def _best(self, row: Mapping[str, Any], update: int) -> dict[str, float]:
        """Summary entries of the figures in `row` that are better than all before."""
        found: dict[str, float] = {}
        for name, value in row.items():
            figure = name.removeprefix("val/")
            if figure == name or figure not in COLUMNS or not math.isfinite(value := float(value)):
                continue
            sign = 1 if COLUMNS[figure].higher_is_better else -1
            if sign * value > sign * self.progress.best.get(f"best/{figure}", -sign * math.inf):
                found |= {f"best/{figure}": value, f"best/{figure}_update": update}
        return found

    @no_reports()
    def _start(self) -> "Run":
        """Start the client, as `mode` has it; where that is auto, with less if more does not work."""
        mode, reason = self._choose_mode()
        attempts = dict.fromkeys([mode, "offline", "disabled"]) if self.mode == "auto" else [mode]
        for attempt in attempts:
            try:
                run = self._init(attempt)
                break
            except Exception as error:  # the client has many kinds, and some that are none of its own
                text = (str(error).strip() or type(error).__name__).splitlines()[0]
                if self.mode != "auto" or attempt == "disabled":
                    raise Refused(
                        f"logger.wandb.mode: {mode}, but wandb cannot start ({text}); "
                        "mode=auto would go on without, logger=csv needs nothing"
                    ) from error
                reason = text
                leave_client()
        if run.disabled:
            if mode != "disabled":
                print(f"wandb: nothing is logged ({reason})", flush=True)
            return run
        if run.offline:
            why = f"offline ({reason})" if reason else "offline"
            print(f"wandb: {why}; later: wandb sync {self.folder / 'wandb'}/offline-run-*", flush=True)
        else:
            print(f"wandb: {run.url}", flush=True)
        return run

    def _init(self, mode: str) -> "Run":
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        # An agent of wandb's sweeps has the run's place and id already, and says so of each that is given besides.
        place = dict(project=self.project, entity=self.entity, id=self.version) if not led_by_agent() else {}
        run = wandb.init(
            **place,  # type: ignore[arg-type]
            dir=self.folder,
            name=self.run_name,
            group=self.group,
            job_type=self.job_type,
            tags=self.tags,
            mode=mode,  # type: ignore[arg-type]
            resume="allow",
            reinit="finish_previous",
            settings=wandb.Settings(
                silent=True,  # what its many lines say stands in one of ours
                init_timeout=START_SECONDS,
                finish_timeout=self.finish_timeout,
                finish_timeout_raises=True,
                x_transaction_log_flush_interval=FLUSH_SECONDS,
                disable_code=True,
                disable_git=True,  # our commit is in the config; the remote of where one stands may hold a password
            ),
        )
        if not run.disabled:
            self._go_on(run)
            run.define_metric("update", hidden=True)
            run.define_metric("*", step_metric="update", step_sync=False)
        return run

    def _go_on(self, run: "Run") -> None:
        """Note the id; if the folder has it already, go on behind what was logged."""
        if self.version == run.id and self._progress_file.is_file():
            with suppress(ValueError, TypeError):  # a machine that broke down may leave an empty file
                self.progress = Progress(**read_json(self._progress_file))
            self.logged_before = Progress(**asdict(self.progress))
            run.summary.update(self.progress.best)
        self.progress.rows = max(self.progress.rows, run.step)
        write_whole(self._id_file, run.id + "\n")

    def _choose_mode(self) -> tuple[str, str]:
        """A mode of the client, and why if it is not what was hoped for."""
        import wandb

        if self.mode != "auto":
            return self.mode, ""
        settings = wandb.setup().settings
        if settings.mode != "online":  # the environment, or a settings file
            return settings.mode, ""
        reason = why_no_account(settings.base_url) or why_unreachable(
            settings.base_url, {"http": settings.http_proxy, "https": settings.https_proxy}
        )
        return ("offline" if reason else "online"), reason

    @property
    def _id_file(self) -> Path:
        return self.folder / "wandb_id.txt"

    @property
    def _progress_file(self) -> Path:
        return self.folder / "wandb_progress.json"


def tags_of(tags: Mapping[str, str | Sequence[str] | None]) -> tuple[str, ...]:
    """``kind=mark`` for each, cut to what wandb accepts."""
    marks = [
        f"{kind}={mark}"[:LONGEST_TAG]
        for kind, given in tags.items()
        for mark in ([given] if isinstance(given, str) else given or [])
        if mark
    ]
    return tuple(dict.fromkeys(marks))


def sweep_of(folder: Path) -> str | None:
    """The name of the sweep's folder that a run folder is in; our sweepers leave a file there, Hydra's another."""
    above = folder.resolve().parents
    return next((place.name for place in above[:3] if any((place / name).is_file() for name in MARKS)), None)
