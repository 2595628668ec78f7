"""What happens when a loss or a gradient is NaN or infinite: the run stops, or the update is skipped and counted."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from inpaint.settings import choice, whole


class NonFiniteError(RuntimeError):
    """A loss or a gradient is NaN or infinite; raised on all ranks before any of them steps.

    Attributes:
        update, phase: where it happened.
        mine: whether this rank's own numbers are at fault.
    """

    def __init__(self, message: str, update: int, phase: str, mine: bool) -> None:
        super().__init__(message)
        self.update, self.phase, self.mine = update, phase, mine


def check(update: int, phase: str, terms: dict[str, Tensor], norm: Tensor, own: Tensor | None) -> None:
    """Look at a phase before its step.

    Args:
        update, phase: for the message.
        terms: the phase's losses, means over the ranks, each a scalar.
        norm: the norm of its gradient, a mean over the ranks, a scalar.
        own: whether the losses and the gradient of this rank alone are finite; None where it is alone.

    Raises:
        NonFiniteError: on every rank alike, as the numbers of all are in the means.
    """
    if torch.isfinite(torch.stack([*terms.values(), norm])).all():
        return
    bad = [term for term, value in terms.items() if not torch.isfinite(value)]
    what = f"the loss {', '.join(bad)}" if bad else "a gradient"
    raise NonFiniteError(
        f"update {update}, {phase} phase: {what} is NaN or infinite "
        f"({', '.join(f'{term} {value:.4g}' for term, value in terms.items())}, gradient norm {norm:.4g}). "
        f"Nothing was changed. A lower {phase}_optimizer.lr or module.{phase}_clip=1 may help; "
        "module.non_finite=skip leaves such updates out.",
        update,
        phase,
        mine=own is None or not own,
    )


class Before:
    """What an update changes before its last check, as it was: a refused update gives it back.

    Args:
        tensors: parameters and buffers.
        optimizer: of some of them; None where none steps.
    """

    def __init__(self, tensors: Iterable[Tensor], optimizer: Optimizer | None = None) -> None:
        self.values = [(tensor, tensor.detach().clone()) for tensor in tensors]
        self.optimizer = optimizer
        if optimizer is not None:  # not its `state_dict`, of which a deep copy takes as long as all of the rest
            self.state = {parameter: _copied(held) for parameter, held in optimizer.state.items()}
            self.groups = [_copied(group, but="params") for group in optimizer.param_groups]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back."""
        for tensor, value in self.values:
            tensor.copy_(value)
        if self.optimizer is not None:
            self.optimizer.state.clear()
            self.optimizer.state.update(self.state)
            for group, held in zip(self.optimizer.param_groups, self.groups, strict=True):
                group |= held


def _copied(held: Mapping[str, Any], but: str = "") -> dict[str, Any]:
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in held.items()
        if name != but
    }


class Policy:
    """Stops, or lets a limited number of updates be skipped.

    Args:
        non_finite: ``stop`` or ``skip``.
        most: updates that may be skipped; one more stops the run.

    Raises:
        Refused: another word, or no whole number from 1 up.
    """

    def __init__(self, non_finite: Literal["stop", "skip"], most: int) -> None:
        choice("module.non_finite", non_finite, ("stop", "skip"))
        whole("module.max_skipped", most, 1)
        self.skips, self.most, self.skipped = non_finite == "skip", most, 0

    def skip_or_stop(self, error: NonFiniteError) -> None:
        """Count an update as skipped, or raise `error`."""
        if not self.skips:
            raise error
        if self.skipped == self.most:
            message = f"{error} {self.skipped} updates were skipped before, as many as module.max_skipped allows."
            raise NonFiniteError(message, error.update, error.phase, error.mine) from None
        self.skipped += 1
