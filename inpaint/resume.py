"""What a run goes on from, and what may be different then."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from inpaint import __version__
from inpaint.folder import shown
from inpaint.provenance import flat, without_secrets
from inpaint.settings import OPTIMIZATION, Refused, listed

if TYPE_CHECKING:
    from inpaint.module import InpaintingGAN

log = logging.getLogger("inpaint.resume")

LOCK = "run.lock"  # in the run folder, held by the run that is at work in it

# What may differ between a checkpoint and the run that goes on from it: where, how long and how fast, not what.
SAID_ALOUD = ("losses", "adversarial", "module", "trainer", *OPTIMIZATION)
MAY_CHANGE = (
    "name",
    "paths",
    "callbacks",
    "logger",
    "baselines",
    "resume",
    "sweep",
    *SAID_ALOUD,
)
MAY_CHANGE_IN_DATA = ("data.workers", "data.cache")  # how samples are read, not which
UNCHANGED_IN_OPTIMIZATION = "_target_"  # another optimizer has another state


class Start:
    """Where a run begins: nowhere, or at a checkpoint.

    Args:
        cfg: the config of the run; its `resume` decides. A run that began at a file goes on from its own checkpoints.

    Raises:
        Refused: no such checkpoint, the run would be another one, ``resume=never`` would write over a run, or none
            of the checkpoints that are there can be read.
    """

    def __init__(self, cfg: DictConfig) -> None:
        from inpaint import checkpoint

        self.cfg, self.folder = cfg, Path(cfg.paths.run)
        self.path: Path | None = None
        self.checkpoint: dict[str, Any] = {}
        self.changed: dict[str, str] = {}
        if not isinstance(cfg.resume, str):
            raise Refused(f"resume: give auto, never or the path of a checkpoint; got {cfg.resume}")
        refused: list[str] = []
        found = checkpoint.newest(self.folder, refused)
        for reason in refused:
            log.warning(f"resume: {reason}")
        if cfg.resume not in ("auto", "never"):
            if found is None or checkpoint.config_of(found[1]).get("resume") != cfg.resume:
                path = checkpoint.find(cfg.resume)
                found = path, checkpoint.load(path)
        elif found is None and refused:
            raise Refused(
                f"resume: none of the {len(refused)} checkpoints in {shown(self.folder)} can be used ({refused[0]}); "
                "choose another hydra.run.dir, or delete them to begin anew"
            )
        elif found is not None and cfg.resume == "never":
            raise Refused(f"resume: never, but {shown(self.folder)} holds a run; choose another hydra.run.dir")
        if found is None:
            return
        self.path, self.checkpoint = found
        if "optimizer_states" not in self.checkpoint:
            raise Refused(
                f"resume: {shown(self.path)} holds a generator alone, of which no run can go on; "
                f"init_from={shown(self.path)} begins one with it"
            )
        self._settle()
        self._compare()

    @property
    def update(self) -> int:
        """The updates that are done."""
        return self.checkpoint["inpaint"]["update"] if self.checkpoint else 0

    @property
    def validation_due(self) -> bool:
        """Whether the run was stopped before the last of them was validated."""
        return bool(self.checkpoint) and self.checkpoint["inpaint"].get("validation_due", False)

    def _settle(self) -> None:
        """Settings that are automatic are what the run began with, whatever the machine is now.

        How often a run of another length is validated is decided anew.
        """
        from inpaint import checkpoint
        from inpaint.data.automatic import AUTO, SETTINGS

        before = checkpoint.config_of(self.checkpoint)
        longer = before.get("trainer", {}).get("max_steps") != self.cfg.trainer.max_steps
        for key in SETTINGS:
            group, setting = key.split(".")
            if (
                (group != "trainer" or not longer)
                and self.cfg[group].get(setting) == AUTO
                and setting in before.get(group, {})
            ):
                self.cfg[group][setting] = before[group][setting]

    def _compare(self) -> None:
        from inpaint import checkpoint

        before = flat(checkpoint.config_of(self.checkpoint))
        now = flat(without_secrets(OmegaConf.to_container(self.cfg, resolve=True)))
        keys = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
        self.changed = {key: f"{key} {before.get(key)} -> {now.get(key)}" for key in keys}
        other = [told for key, told in self.changed.items() if not _may_change(key)]
        if other:
            assert self.path is not None
            version = self.checkpoint["inpaint"]["version"]
            by = f" of inpaint {version}" if version != __version__ else ""
            raise Refused(
                f"resume: {shown(self.path)}{by} belongs to another run ({', '.join(other[:4])}"
                f"{', ...' if len(other) > 4 else ''}); choose another hydra.run.dir, or take the change back"
            )

    def introduce(self) -> None:
        """Say where it goes on, and with what that was not so before."""
        if self.path is None:
            return
        print(f"going on from {shown(self.path)}")
        for key, told in self.changed.items():
            if key.split(".")[0] in SAID_ALOUD:
                print(f"  changed since: {told}")


def finished(cfg: DictConfig) -> dict[str, float] | None:
    """The figures of the results, if this very run is done to its end and measured."""
    folder = Path(cfg.paths.run)
    try:
        summary = json.loads((folder / "summary.json").read_text())
        figures, updates = dict(summary["figures"]), summary["updates"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    start = Start(cfg)
    measured = (folder / "results.csv").is_file()
    return figures if start.checkpoint and not start.changed and updates == start.update and measured else None


def _may_change(key: str) -> bool:
    group, _, setting = key.partition(".")
    if group in OPTIMIZATION and setting == UNCHANGED_IN_OPTIMIZATION:
        return False
    return group in MAY_CHANGE or key in MAY_CHANGE_IN_DATA


def named(network: object) -> str:
    """A network and its size."""
    parameters = sum(p.numel() for p in network.parameters())  # type: ignore[attr-defined]
    return f"{type(network).__name__} ({parameters / 1e6:.2f} M parameters)"


def begin_with(path: str, module: "InpaintingGAN", discriminator: bool) -> None:
    """Take the weights of another run's networks wherever name and shape are the same, and say what was not the same.

    The generator begins with the other's moving average, the discriminator with the other's or, where `discriminator`
    is false, anew. Unlike `resume`, nothing else is taken over.

    Raises:
        Refused: no weight of the generator fits.
    """
    from inpaint import checkpoint

    loaded = checkpoint.load(path)
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
