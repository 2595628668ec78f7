"""How one network takes one step, on all ranks: what every update is made of."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from inpaint import ranks
from inpaint.batch import Batch
from inpaint.settings import Refused
from inpaint.training import finite, seams
from inpaint.training.finite import NonFiniteError, Policy

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]
PhaseName = Literal["discriminator", "generator"]
PHASES: tuple[PhaseName, ...] = ("generator", "discriminator")  # in the order of their optimizers
PLATEAU = "hole_psnr"  # what a schedule that waits for a plateau looks at, higher is better


class Phases(L.LightningModule):
    """Two networks, or one, that are trained in turns, by optimizers and at rates of their own.

    `phase` is one turn. Who plays whom, and when, is the business of the class that builds on this one.

    Args:
        generator: a network.
        discriminator: another one, or None.
        optimizers: each makes the optimizer of given parameters; the discriminator's may be None where there is none.
        schedulers: each makes the learning-rate schedule of an optimizer, or is None. A schedule counts updates, as
            everything does, whether its network steps in one or not; one that waits for a plateau, validations.
        clips: largest gradient norms; None is no limit.
        policy: what a loss or a gradient that is not finite does.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        optimizers: Mapping[PhaseName, OptimizerFactory | None],
        schedulers: Mapping[PhaseName, SchedulerFactory | None],
        clips: Mapping[PhaseName, float | None],
        policy: Policy,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = generator, discriminator
        self.optimizer_factories, self.scheduler_factories, self.clips = optimizers, schedulers, clips
        self.policy, self.fused = policy, False  # fused: optimizers that can step in one kernel do
        # What of each network is trained: to look for it in every update would take a hundredth of a small one's time.
        self.trained: dict[PhaseName, list[nn.Parameter]] = {name: [] for name in PHASES}
        self.refused: NonFiniteError | None = None  # what the last update failed by
        self.figures: dict[str, Tensor] = {}  # what it measured: losses and gradient norms, on the device
        self.latest: dict[str, Any] = {}  # the last of each in this epoch: not every update measures everything

    @property
    def updates(self) -> int:
        """Updates done so far."""
        return self.trainer.global_step

    def before(self, judging: bool) -> finite.Before:
        """A snapshot of what a refused update must give back.

        It has all buffers, and the discriminator with its optimizer, which steps before the generator is checked.

        Args:
            judging: whether the discriminator has a phase.
        """
        buffers = [b for network in (self.generator, self.discriminator) if network for b in network.buffers()]
        if self.discriminator is None or not judging:
            return finite.Before(buffers)
        optimizer = self.optimizer_of("discriminator")
        return finite.Before([*buffers, *self.trained["discriminator"]], optimizer.optimizer)

    def phase(self, name: PhaseName, parts: list[Batch], terms_of: Callable[[Batch], dict[str, Tensor]]) -> None:
        """Train one network with the other held still: losses, gradients, finite check, clipping, step.

        Args:
            name: of the network.
            parts: the batch, in parts whose gradients are summed.
            terms_of: the weighted terms of the network's loss on a part, by name, each a scalar.

        Raises:
            NonFiniteError: on every rank alike, before the step.
        """
        (other,) = {*PHASES} - {name}
        optimizer = self.optimizer_of(name)
        sums: dict[str, Tensor] = {}
        known, seen = self.figures, dict[str, Tensor]()  # of earlier phases, and in this one, by this rank
        # DDP's own reduction is off: it would send both networks' gradients at every backward pass, and look for those
        # that the frozen one has not. The stepping network's are sent below, once.
        with frozen(self.trained[other]), seams.unsynchronised(self.trainer):
            optimizer.zero_grad()
            for part in parts:
                self.figures = {}
                terms = terms_of(part)
                # Parts weigh by their share of the samples, so a mean over samples has the whole batch's gradient.
                share = len(part["index"]) / sum(len(p["index"]) for p in parts)
                self.manual_backward(share * torch.stack(list(terms.values())).sum())
                for term, value in terms.items():
                    sums[term] = sums.get(term, 0) + share * value.detach()
                for figure, value in self.figures.items():
                    seen[figure] = seen.get(figure, 0) + share * value
            self.figures = known | seen
            gradients = [p.grad for p in self.trained[name] if p.grad is not None]
            values = torch.stack(list(sums.values()))
            own = ranks.average_([*gradients, values, *seen.values()])
            sums = dict(zip(sums, values, strict=True))
            norm = torch.nn.utils.get_total_norm(gradients)
            finite.check(self.updates, name, sums, norm, own)
            clip = self.clips[name]
            if clip is not None:
                torch.nn.utils.clip_grads_with_norm_(self.trained[name], clip, norm)
            optimizer.step()
        self.figures |= {**sums, f"{name}_gradient": norm}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the number of skipped updates, and what the next row of metrics repeats of earlier ones."""
        checkpoint["skipped_updates"] = self.policy.skipped
        checkpoint["latest"] = {name: float(value) for name, value in self.latest.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting, and repeating."""
        self.policy.skipped = checkpoint.get("skipped_updates", 0)
        self.latest = checkpoint.get("latest", {})

    # ---- optimizers and their schedules ------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """The generator's optimizer and, where there is a discriminator, its own."""
        configured = []
        for name in PHASES:
            network: nn.Module | None = getattr(self, name)
            parameters = [p for p in network.parameters() if p.requires_grad] if network is not None else []
            self.trained[name] = parameters
            make, schedule = self.optimizer_factories[name], self.scheduler_factories[name]
            if parameters and make is not None:
                try:
                    entry: dict[str, Any] = {"optimizer": _fused(make)(parameters) if self.fused else make(parameters)}
                except (TypeError, ValueError) as error:
                    raise Refused(f"{name}_optimizer: {error}") from None
                _refuse_closures(f"{name}_optimizer", entry["optimizer"])
                if schedule is not None:
                    entry["lr_scheduler"] = self._schedule(name, schedule, entry["optimizer"])
                configured.append(entry)
        return configured

    def _schedule(self, name: PhaseName, make: SchedulerFactory, optimizer: Optimizer) -> LRScheduler:
        """The schedule of an optimizer; where it lasts `trainer.max_steps`, those that the run has by its epochs."""
        steps = make.keywords.get("steps") if isinstance(make, partial) else None
        length = self.trainer.estimated_stepping_batches
        if steps is not None and steps == self.trainer.max_steps and math.isfinite(length):
            make = partial(make, steps=int(length))  # type: ignore[call-arg]
        try:
            schedule = make(optimizer)
        except (TypeError, ValueError) as error:
            raise Refused(f"{name}_scheduler: {str(error).removeprefix('scheduler: ')}") from None
        if not isinstance(schedule, LRScheduler):
            raise Refused(f"{name}_scheduler: made a {type(schedule).__name__}, no torch LRScheduler")
        if isinstance(schedule, ReduceLROnPlateau) and schedule.mode != "max":
            raise Refused(f"{name}_scheduler.mode: give max; it looks at val/{PLATEAU}, of which higher is better")
        if isinstance(schedule, OneCycleLR) and schedule.total_steps < length:
            raise Refused(
                f"{name}_scheduler.total_steps: {schedule.total_steps} are fewer than the {length} updates of the run"
            )
        return schedule

    def optimizer_of(self, name: PhaseName) -> LightningOptimizer:
        """The optimizer of a phase, by its place in `configure_optimizers`."""
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        return optimizers[PHASES.index(name)]

    def _schedules(self) -> list[LRScheduler]:
        schedules = self.lr_schedulers()
        return [s for s in (schedules if isinstance(schedules, list) else [schedules]) if s is not None]

    def rates(self) -> dict[str, float]:
        """The learning rates of this update, by the name of the network."""
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        groups = [optimizer.param_groups[0] for optimizer in optimizers]
        return {name: float(group["lr"]) for name, group in zip(PHASES, groups, strict=False)}

    def step_schedules(self) -> None:
        """One more update is done."""
        with warnings.catch_warnings():
            # By those who step one with its optimizer; here it counts updates, also before the network's first step.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            for schedule in self._schedules():
                if not isinstance(schedule, ReduceLROnPlateau):
                    schedule.step()

    def step_plateaus(self, figure: float) -> None:
        """One more validation is done, by which `figure` is the value of `PLATEAU`."""
        for schedule in self._schedules():
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(figure)


def _fused(make: OptimizerFactory) -> OptimizerFactory:
    """The same optimizer, which steps in one kernel where torch has one for it and the config does not decide that."""
    if not isinstance(make, partial) or "fused" not in inspect.signature(make.func).parameters:
        return make
    decided = {"fused", "foreach", "capturable", "differentiable"} & {*make.keywords}
    return make if decided else partial(make, fused=True)


def _refuse_closures(key: str, optimizer: Optimizer) -> None:
    """Refuse an optimizer that computes the loss several times a step: an update is one forward pass.

    Raises:
        Refused: as LBFGS.
    """
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise Refused(
            f"{key}: {type(optimizer).__name__} computes the loss several times a step, and an update does so once; "
            "Adam, AdamW, RMSprop and SGD, for some, do not"
        )


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """No parameter collects gradients inside; those that did before do again, also after an error."""
    held = [p for p in parameters if p.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)
