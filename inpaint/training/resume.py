"""What a run goes on from, and what may be different then."""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import LambdaLR

from inpaint import __version__
from inpaint.data.automatic import AUTO, SETTINGS
from inpaint.files import checkpoint
from inpaint.files.checkpoint import CheckpointError
from inpaint.files.folder import shown
from inpaint.files.untrusted import read_json
from inpaint.groups import is_said_at_resume, may_change
from inpaint.provenance import flat, without_secrets
from inpaint.settings import Refused, listed, printable
from inpaint.training.trainer import REFERENCE

if TYPE_CHECKING:
    from inpaint.training.gan import InpaintingGAN

log = logging.getLogger("inpaint.training.resume")

LENGTHS = ("trainer.max_steps", "trainer.max_epochs", "trainer.max_time")  # what decides how long a run is


class Start:
    """Where a run begins: nowhere, or at a checkpoint. Built once, by the process that owns the run folder.

    Args:
        folder: the run folder.
        resume: auto, never or the path of a checkpoint. A run that began at a file goes on from its own checkpoints.

    Raises:
        Refused: no such checkpoint, ``resume=never`` would write over a run, or none of the checkpoints that are there
            can be read.
    """

    def __init__(self, folder: str | Path, resume: str) -> None:
        self.folder = Path(folder)
        self.path: Path | None = None
        self.checkpoint: dict[str, Any] = {}
        self.config: dict[str, Any] = {}  # of the checkpoint
        self.changed: dict[str, str] = {}  # since then: dotted key to what is said of it
        if not isinstance(resume, str):
            raise Refused(f"resume: got {resume}; give auto, never or a checkpoint's path")
        refused: list[str] = []
        found = checkpoint.newest(self.folder, refused)
        for reason in refused:
            log.warning(f"resume: {reason}")
        if resume not in ("auto", "never"):
            if found is None or checkpoint.config_of(found[1]).get("resume") != resume:
                path = checkpoint.find(resume)
                if not path.is_file():
                    raise CheckpointError(f"resume: {path} does not exist; give auto, never or a checkpoint's path")
                found = path, checkpoint.load(path)
        elif found is None and refused:
            raise Refused(
                f"resume: none of the {len(refused)} checkpoints in {shown(self.folder)} can be used ({refused[0]}); "
                "choose another hydra.run.dir, or delete them to begin anew"
            )
        elif found is not None and resume == "never":
            raise Refused(f"resume: never, but {shown(self.folder)} holds a run; choose another hydra.run.dir")
        if found is None:
            return
        self.path, self.checkpoint = found
        if "optimizer_states" not in self.checkpoint:
            raise Refused(
                f"resume: {shown(self.path)} holds a generator alone, of which no run can go on; "
                f"init_from={shown(self.path)} begins one with it"
            )
        self.config = checkpoint.config_of(self.checkpoint)

    @property
    def update(self) -> int:
        """The updates that are done."""
        return self.checkpoint["inpaint"]["update"] if self.checkpoint else 0

    def let_go(self) -> None:
        """Keep of the checkpoint what it says of itself: the trainer reads the rest from the file."""
        self.checkpoint = {"inpaint": self.checkpoint["inpaint"]} if self.checkpoint else {}

    @property
    def validation_due(self) -> bool:
        """Whether the run was stopped before the last of them was validated."""
        return bool(self.checkpoint) and self.checkpoint["inpaint"].get("validation_due", False)

    def settled(self, config: dict[str, Any]) -> dict[str, Any]:
        """Settings that are automatic in `config`, as the run began with them, whatever the machine is now.

        How often a run of another length is validated is decided anew.

        Returns:
            Values by dotted key.
        """
        longer = _setting(self.config, "trainer.max_steps") != _setting(config, "trainer.max_steps")
        settled: dict[str, Any] = {
            key: value
            for key in SETTINGS
            if not (key == "trainer.val_check_interval" and longer)
            and _setting(config, key) == AUTO
            and isinstance(value := _setting(self.config, key), int)  # a checkpoint could hold anything there
        }
        for name in REFERENCE if self.config else ():
            value = _setting(self.config, f"trainer.{name}")
            if _setting(config, f"trainer.{name}") == AUTO and isinstance(value, str | bool) and value != AUTO:
                settled[f"trainer.{name}"] = value
        return settled

    def compare(self, config: dict[str, Any]) -> None:
        """Note what has changed since the checkpoint.

        Raises:
            Refused: the run would be another one.
        """
        if self.path is None:
            return
        # An empty group is one that an older version did not have.
        before, now = (
            {key: value for key, value in flat(settings).items() if value != {}}
            for settings in (self.config, without_secrets(config))
        )
        keys = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
        # Before, it may be anything of any length: what follows is for a line.
        self.changed = {key: f"{key[:80]} {str(before.get(key))[:80]} -> {str(now.get(key))[:80]}" for key in keys}
        if other := [told for key, told in self.changed.items() if not may_change(key)]:
            version = self.checkpoint["inpaint"]["version"]
            by = f" of inpaint {version}" if version != __version__ else ""
            raise Refused(
                f"resume: {shown(self.path)}{by} belongs to another run ({', '.join(other[:4])}"
                f"{', ...' if len(other) > 4 else ''}); choose another hydra.run.dir, or take the change back"
            )

    def introduce(self, now: dict[str, Any], environment: dict[str, str]) -> None:
        """Say where it goes on, and with what that was not so before.

        A run that goes on is the unbroken one bit for bit where `now`, its `arithmetic`, is that of the checkpoint.
        `environment` is what `references.fingerprints` says now.
        """
        if self.path is None:
            return
        print(f"going on from {shown(self.path)}")
        before = self.checkpoint["inpaint"].get("arithmetic")
        if isinstance(before, dict):  # runs of older versions have none
            other = [
                f"{key} {repr(before[key])[:80]} -> {now[key]!r}"
                for key in now
                if before.get(key, now[key]) != now[key]
            ]
            if other:
                print(
                    f"  {', '.join(other)}: sums are rounded otherwise, so it goes on nearly, not exactly, as unbroken"
                )
        written = self.checkpoint["inpaint"].get("environment")
        if isinstance(written, dict) and environment and written.get("") == environment[""]:  # by the same key
            other = [name for name in environment if name in written and written[name] != environment[name]]
            if other:
                print(f"  changed since: the environment's {', '.join(other)}")
        for key, told in self.changed.items():
            if is_said_at_resume(key):
                print(f"  changed since: {printable(told)}")


def refuse_without_effect(start: Start, updates: int) -> None:
    """Settings of training that changed after the last update: the record would have them, and no update did.

    Args:
        start: compared with the settings of now.
        updates: that the run is to have, `trainer.max_steps`; -1 is without end.

    Raises:
        Refused: such settings, where nothing is left to train.
    """
    if start.checkpoint and 0 <= updates <= start.update:
        _refuse_changes(start)


def refuse_untrained(start: Start, updates: int, reason: str | None) -> None:
    """The same after the last update, however that was decided: by epochs, by time, or by a callback.

    Args:
        start: as above.
        updates: that the run has now.
        reason: why it ended, if that was no number of updates.

    Raises:
        Refused: no update was done, in a run that is new, or with settings that are.
    """
    if updates > start.update:
        return
    if not start.checkpoint:
        raise Refused(f"trainer: nothing was trained{'; ' + reason if reason else ''}")
    _refuse_changes(start)


def _refuse_changes(start: Start) -> None:
    learning = [key for key in start.changed if is_said_at_resume(key)]
    changed = [start.changed[key] for key in learning if key in LENGTHS or not key.startswith("trainer.")]
    if changed:
        raise Refused(
            f"resume: {shown(start.folder)} has its {start.update} updates, so {', '.join(changed[:4])}"
            f"{', ...' if len(changed) > 4 else ''} would change nothing; take it back, let the run have more updates "
            f"({', '.join(LENGTHS)}), or choose another hydra.run.dir"
        )


def finished(start: Start) -> dict[str, float] | None:
    """The figures of the results, if this very run is done to its end and measured."""
    try:
        summary = read_json(start.folder / "summary.json")
        updates = summary["updates"]
        figures = {name: math.nan if value is None else value for name, value in summary["figures"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    measured = (start.folder / "results.csv").is_file()
    return figures if start.checkpoint and not start.changed and updates == start.update and measured else None


def _setting(config: dict[str, Any], key: str) -> Any:
    """A setting of a group, ``data.crop``; None where it is not there."""
    name, setting = key.split(".")
    group = config.get(name)
    return group.get(setting) if isinstance(group, dict) else None


def named(network: object) -> str:
    """A network and its size."""
    parameters = sum(p.numel() for p in network.parameters())  # type: ignore[attr-defined]
    return f"{type(network).__name__} ({parameters / 1e6:.2f} M parameters)"


def begin_with(loaded: dict[str, Any], path: str, module: "InpaintingGAN", discriminator: bool) -> None:
    """Take the weights of another run's networks wherever name and shape are the same, and say what was not the same.

    The generator begins with the other's moving average, the discriminator with the other's or, where `discriminator`
    is false, anew. Unlike `resume`, nothing else is taken over.

    Args:
        loaded: the checkpoint of that run.
        path: what it is called.
        module: of this run.
        discriminator: whether that of the other run is taken, if it has one.

    Raises:
        Refused: no weight of the generator fits.
    """
    for name, state in (
        ("generator", checkpoint.generator_state(loaded)),
        ("discriminator", checkpoint.discriminator_state(loaded) if discriminator else {}),
    ):
        network = getattr(module, name)
        if network is None or not state:
            continue
        own = network.state_dict()
        fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
        if name == "generator" and not fitting:
            raise Refused(f"init_from: nothing in {path} fits {named(network)}; it was trained with another generator")
        network.load_state_dict(fitting, strict=False)
        told = ""
        for what, names in (("new", {*own} - {*fitting}), ("left behind", {*state} - {*fitting})):
            told += f"; {what}: {listed(sorted(names))}" if names else ""
        print(f"init_from: {len(fitting)} of {len(own)} tensors of the {name}{told}")
    module.ema.network.load_state_dict(module.generator.state_dict())


# ---- a module and a checkpoint of another config or another version ----


def check_fit(state: dict[str, Any], module: "InpaintingGAN") -> None:
    """Whether the networks in a checkpoint are those of `module`.

    Raises:
        CheckpointError: naming the tensors that are missing, too many, or of another shape, and who wrote the file.
    """
    theirs, ours = state["state_dict"], module.state_dict()
    differences = (
        ("missing", [name for name in ours if name not in theirs]),
        ("unexpected", [name for name in theirs if name not in ours]),
        ("of another shape", [n for n, value in ours.items() if n in theirs and theirs[n].shape != value.shape]),
    )
    told = [
        f"{what}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for what, names in differences
        if names
    ]
    if told:
        said = state["inpaint"]
        raise CheckpointError(
            f"resume: the checkpoint of update {said['update']}, written by inpaint {said['version']}, holds other "
            f"networks than these ({'; '.join(told)}); choose another hydra.run.dir, or that version"
        )


def follow_config(state: dict[str, Any], module: "InpaintingGAN") -> None:
    """Give the optimizers in a checkpoint the learning rates and other settings of `module`'s; their moments stay.

    torch restores both from the file, so a run that is continued with another rate would keep the old one in silence.

    Raises:
        CheckpointError: a schedule that is no function of the step alone, so its rate at this step cannot be told.
    """
    schedules = iter(state["lr_schedulers"])
    for held, entry in zip(state["optimizer_states"], module.configure_optimizers(), strict=True):
        for group, own in zip(held["param_groups"], entry["optimizer"].param_groups, strict=True):
            group.update({name: value for name, value in own.items() if name != "params"})
        if (scheduler := entry.get("lr_scheduler")) is None:
            continue
        if not isinstance(scheduler, LambdaLR):
            raise CheckpointError(f"resume: {type(scheduler).__name__} cannot go on at another rate; take it back")
        schedule = next(schedules)
        schedule["last_epoch"] = state["inpaint"]["update"]  # an older version counted the steps of the optimizer
        schedule["base_lrs"] = scheduler.base_lrs
        rates = zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
        schedule["_last_lr"] = [rate * share(schedule["last_epoch"]) for rate, share in rates]
        for group, rate in zip(held["param_groups"], schedule["_last_lr"], strict=True):
            group["lr"] = rate
