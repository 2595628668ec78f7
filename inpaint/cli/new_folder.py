"""A folder that is named after the time is a new one, however many commands start in the same second."""

import os
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from inpaint.cli.typed import literal
from inpaint.files.folder import first_rank, make_new
from inpaint.settings import Refused

SEVERAL = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")  # how many processes torchrun or srun has started


class NewFolder(Callback):
    """Hydra calls it before a command begins, and it makes the folder, with a suffix where the name is taken.

    A folder that is named otherwise is what the user says, new or not. Where this process is one of several that
    something else started, nothing is made: they could not agree on a name (`refuse_clocks`).
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Of a single run."""
        _make(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Of a sweep, whose jobs are composed anew, each from the sweep's overrides."""
        if (folder := _make(config, "sweep")) is not None:
            with read_write(config.hydra):
                config.hydra.overrides.hydra.append(f"hydra.sweep.dir={literal('hydra.sweep.dir', folder)}")


def refuse_clocks() -> None:
    """Each of several ranks would name the run folder by its own clock.

    Raises:
        Refused: torchrun or srun started them, and they were given no folder.
    """
    config = HydraConfig.get()
    if _several() and config.mode != RunMode.MULTIRUN and _named_by_time(config, "run"):
        raise Refused("hydra.run.dir: each rank would name it by its own clock; give all of them hydra.run.dir=DIR")


def _make(config: DictConfig, kind: Literal["run", "sweep"]) -> Path | None:
    if not _named_by_time(config.hydra, kind) or _several() or not first_rank():
        return None
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)  # a name may refer to what Hydra knows
    try:
        folder = make_new(Path(OmegaConf.select(config, f"hydra.{kind}.dir")))
    finally:
        HydraConfig.instance().cfg = before
    with read_write(config.hydra):
        config.hydra[kind].dir = str(folder)
    return folder


def _named_by_time(hydra: Any, kind: str) -> bool:
    return "${now:" in str(hydra[kind]._get_node("dir")._value())


def _several() -> bool:
    return any(int(os.environ.get(name) or 1) > 1 for name in SEVERAL)
