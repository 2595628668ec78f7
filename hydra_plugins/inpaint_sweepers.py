"""Where Hydra looks for plugins: it takes sweepers from this namespace alone. What they do is in `inpaint.sweep`.

Hydra imports this file whenever a command starts, so nothing heavy is imported here.
"""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """Every combination; see `inpaint.sweep.grid`.

    Args:
        max_batch_size: jobs that the launcher gets at once; None is all of them.
        params: sweeps as on the command line, by key.
    """

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        self.max_batch_size, self.params = max_batch_size, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives and make the launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run all jobs."""
        from inpaint.sweep.grid import grid

        return grid(self, arguments)


class SearchSweeper(GridSweeper):
    """Optuna chooses the values; see `inpaint.sweep.search`."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until there are as many as `sweep.trials` says."""
        from inpaint.sweep.search import search

        return search(self, arguments)
