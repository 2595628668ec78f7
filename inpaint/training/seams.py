"""Everything of Lightning that is no interface, a function each: a new version of it is looked at here alone.

``tests/training/test_seams.py`` has a test for each that fails when Lightning changes what the function relies on.
"""

import copy
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import lightning as L
import torch
from lightning.pytorch.core.optimizer import do_nothing_closure
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher, _SubprocessScriptLauncher
from lightning.pytorch.trainer.connectors.checkpoint_connector import _CheckpointConnector
from torch import Tensor
from torch.optim import Optimizer

from inpaint.files.checkpoint import CheckpointError
from inpaint.settings import Refused

# ---- the update ------------------------------------------------------------------------------------------------------


@contextmanager
def one_clock(trainer: L.Trainer) -> Iterator[None]:
    """Count one step for all that optimizers do inside.

    Lightning counts each optimizer's steps, so two optimizers would make `global_step`, `max_steps` and every interval
    run at double speed. It counts through two hooks that it puts on each optimizer: they are silenced and called once.
    """
    optimizers = list(trainer.strategy._lightning_optimizers)
    before, after = optimizers[0]._on_before_step, optimizers[0]._on_after_step
    for optimizer in optimizers:
        optimizer._on_before_step = optimizer._on_after_step = do_nothing_closure
    yield
    before()
    after()


def unsynchronised(trainer: L.Trainer) -> AbstractContextManager[None]:
    """Backward passes inside send no gradients to other ranks."""
    strategy = trainer.strategy
    return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()


def log(module: L.LightningModule, figures: Mapping[str, Tensor | float], shown: Collection[str]) -> None:
    """Log the figures of an update, as `module.log` of `training_step` does; to be called there.

    That takes about 0.6 ms a figure, on one thread however many there are. So it registers a figure once in an epoch,
    and later values are put where it would leave them.

    Args:
        module: that is trained.
        figures: scalars by the names that loggers and callbacks know them by; the same names in every update.
        shown: which of them the progress shows.
    """
    results = module.trainer._results
    assert results is not None
    for name, value in figures.items():
        held = results.get(f"training_step.{name}")
        if held is None or held.has_reset:
            module.log(name, value, prog_bar=name in shown)
        else:
            held.value = held._forward_cache = torch.as_tensor(value).detach().float()


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def state_of(trainer: L.Trainer) -> dict[str, Any]:
    """What Lightning would write into a checkpoint now; nothing is copied."""
    return trainer._checkpoint_connector.dump_checkpoint()


class _Connector(_CheckpointConnector):
    """Lightning's, whose own errors about a checkpoint are told in a line."""

    def resume_start(self, checkpoint_path: Any = None, weights_only: bool | None = None) -> None:
        """Reads the file and looks at who wrote it."""
        with _state_is_refused(self.trainer):
            super().resume_start(checkpoint_path, weights_only)

    def _restore_modules_and_callbacks(self, checkpoint_path: Any = None, weights_only: bool | None = None) -> None:
        with _state_is_refused(self.trainer):
            super()._restore_modules_and_callbacks(checkpoint_path, weights_only)

    def restore_training_state(self) -> None:
        """Gives optimizers, schedules and loops their states."""
        with _state_is_refused(self.trainer):
            super().restore_training_state()
            for optimizer in self.trainer.strategy.optimizers:
                _refuse_state_of_another_form(optimizer)


def _refuse_state_of_another_form(optimizer: Optimizer) -> None:
    """Its first update would fail, somewhere in torch.

    What an optimizer keeps of a parameter is seen by an update of a parameter of that shape that has no values.
    Optimizers that are not torch's are believed, as not all of them can do that.

    Raises:
        ValueError: something that it keeps is missing, or of another shape.
    """
    if not type(optimizer).__module__.startswith("torch.optim."):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not (held := optimizer.state.get(parameter)):
                continue
            empty = torch.empty_like(parameter, device="meta", requires_grad=True)
            empty.grad = torch.empty_like(empty)
            tried = copy.copy(optimizer)
            tried.state = defaultdict(dict)
            options: dict[str, Any] = {name: False for name in ("foreach", "fused", "capturable") if name in group}
            tried.param_groups = [{**group, **options, "params": [empty]}]
            tried.step()
            for name, value in tried.state[empty].items():
                own, needed = _shape(held.get(name)), _shape(value)
                if own != needed:
                    raise ValueError(f"an optimizer has {own} as {name} of a parameter that needs {needed}")


def _shape(kept: Any) -> str:
    """Of something that an optimizer keeps, for a message; numbers of Python are as good as tensors of one."""
    if isinstance(kept, Tensor):
        return f"{list(kept.shape)} numbers" if kept.dim() else "one number"
    return "one number" if isinstance(kept, int | float) else "nothing" if kept is None else type(kept).__name__


@contextmanager
def _state_is_refused(trainer: L.Trainer) -> Iterator[None]:
    try:
        yield
    except (Refused, OSError):
        raise
    except Exception as error:  # whatever is made of a value of another kind
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise CheckpointError(f"resume: no run can go on with the state in {trainer.ckpt_path} ({reason})") from None


def refuse_broken_state(trainer: L.Trainer) -> None:
    """A checkpoint with a state that Lightning or torch cannot take is refused, and no traceback of theirs is shown."""
    trainer._checkpoint_connector.__class__ = _Connector


def renew_rates(trainer: L.Trainer, state: dict[str, Any]) -> None:
    """Put the learning rates and schedules of now into a checkpoint that was taken before a validation changed them."""
    state["lr_schedulers"] = [config.scheduler.state_dict() for config in trainer.strategy.lr_scheduler_configs]
    for held, optimizer in zip(state["optimizer_states"], trainer.optimizers, strict=True):
        for group, own in zip(held["param_groups"], optimizer.param_groups, strict=True):
            group["lr"] = own["lr"]


def epoch_of(state: dict[str, Any]) -> int:
    """The epochs that were over when a checkpoint was taken."""
    return state["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"]


def count(state: dict[str, Any], epoch_is_over: bool, batches: int) -> None:
    """Put down in a checkpoint what Lightning counts at the end of a batch in a run that was never interrupted.

    From there it goes on right. From the end of an epoch it does not, it leaves out the rest of one that was cut short,
    and in the epoch after a resume its own counts are not those of a run without one.

    Args:
        state: as `state_of` returns it.
        epoch_is_over: whether Lightning has counted the epoch already.
        batches: of an epoch.
    """
    counts = state["loops"]["fit_loop"]
    epoch, batch = counts["epoch_progress"], counts["epoch_loop.batch_progress"]
    done = epoch["current"]["processed"] - epoch_is_over  # epochs; it keys their order
    for scope in ("total", "current"):
        epoch[scope] |= {"ready": done + 1, "started": done + 1, "processed": done, "completed": done}
        batch[scope]["completed"] = batch[scope]["processed"] - 1
    counts["epoch_loop.state_dict"]["_batches_that_stepped"] = batch["total"]["processed"] - 1
    for position in counts["state_dict"].get("combined_loader", []):
        position["handed_out"] %= batches  # an epoch may have fewer than its loader (`limit_train_batches`)


def validate_now(trainer: L.Trainer, epoch: int) -> None:
    """Validate before the first update of a run that was stopped in a validation, as Lightning does after an update.

    Lightning takes a validation at this point for done, and counts an epoch that the update was the last of as over.

    Args:
        trainer: in `on_train_start`.
        epoch: that the validation belongs to, as `epoch_of` has it.
    """
    trainer.validating = True
    epochs, loop = trainer.fit_loop.epoch_progress.current, trainer.fit_loop.epoch_loop.val_loop
    over, epochs.completed = epochs.completed, epoch
    loop.restarting = False
    loop.run()
    trainer.training, epochs.completed = True, over


# ---- signals and processes -------------------------------------------------------------------------------------------


def silence_signals(trainer: L.Trainer) -> None:
    """Switch Lightning's handlers off, and with them its question to all ranks before each batch."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def relaunches(trainer: L.Trainer) -> bool:
    """Whether the other ranks are started by this process's command line."""
    return isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher)


def spawns(trainer: L.Trainer) -> bool:
    """Whether the other ranks are new processes to which the networks are sent, pickled."""
    launcher = trainer.strategy.launcher
    return isinstance(launcher, _MultiProcessingLauncher) and launcher._start_method == "spawn"


def started(trainer: L.Trainer) -> list[subprocess.Popen]:
    """The processes of other ranks that this one has started by its command line."""
    launcher = trainer.strategy.launcher
    return list(launcher.procs) if isinstance(launcher, _SubprocessScriptLauncher) else []
