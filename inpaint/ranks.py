"""What the processes of a distributed run do together. Alone, each function gives back what it was given."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


@torch.no_grad()
def average_(tensors: Sequence[Tensor]) -> Tensor | None:
    """Each tensor becomes its mean over the ranks, in one reduction; all ranks give the same shapes of one dtype.

    A NaN or an infinity of any rank reaches all of them, so they agree on what is finite.

    Returns:
        Whether all numbers of this rank were finite, a bool scalar on their device; None where it is alone.
    """
    if count() == 1 or not tensors:
        return None
    flat = torch.cat([tensor.flatten() for tensor in tensors]).div_(count())
    own = flat.isfinite().all()
    distributed.all_reduce(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(list(tensors), [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])
    return own


def mean(value: Tensor) -> Tensor:
    """The mean over the ranks of a tensor of one shape, whose gradient reaches the values of all.

    What a loss divides by, or compares with, belongs to the whole batch and not to a rank's share of it.
    """
    return value if count() == 1 else _Mean.apply(value)


class _Mean(torch.autograd.Function):
    """A mean, and backwards too: each rank's value is a share of what all ranks got, and their losses are averaged."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        value = value / count()
        distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Mean.forward(ctx, gradient)


def average_statistics(network: nn.Module) -> None:
    """Running statistics become means over the ranks, so that every rank has the same network.

    Those are batch norm's, which normalises within a rank, and the buffers that a layer names as `running`. The mean of
    the ranks' variances is a little less than the variance over all their samples, by the variance of the ranks' means;
    `sync_batchnorm` of the trainer is exact, and slower.
    """
    if count() == 1:
        return
    moved: list[Tensor | None] = []
    for layer in network.modules():
        if layer.training and isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats:
            moved += [layer.running_mean, layer.running_var]
        elif layer.training:
            moved += [getattr(layer, name) for name in getattr(layer, "running", ())]
    average_([value for value in moved if value is not None])


def gather(values: Tensor) -> Tensor:
    """The tensors of all ranks, which have one shape and dtype, stacked: ``(ranks, ...)``."""
    if count() == 1:
        return values[None]
    found = [torch.empty_like(values) for _ in range(count())]
    distributed.all_gather(found, values)
    return torch.stack(found)


def gather_texts(text: str) -> list[str]:
    """The texts of all ranks."""
    found = [text] * count()
    if count() > 1:
        distributed.all_gather_object(found, text)
    return found
