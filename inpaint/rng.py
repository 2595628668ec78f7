"""Keyed randomness: every random number is a pure function of a key, and this is the only file that seeds.

Lightning seeds all ranks alike and stores no generator state, so anything drawn from the global generator is the same
on every rank and different after a resume. Here a sample's numbers depend on (seed, epoch, index), and those that
networks draw for it on (seed, update, index), hence not on batch size, worker count, world size or the point of a
resume. What others draw from the global generator depends on (seed, rank, update).
"""

import hashlib
import math
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor

_MASK_64 = (1 << 64) - 1


def _signed(value: int) -> int:
    """The 64-bit pattern of `value` as the signed integer that torch.int64 stores."""
    value &= _MASK_64
    return value - (1 << 64) if value >> 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def key(*parts: int | str) -> int:
    """A signed 64-bit key of any sequence of integers and words, the same on every machine and in every process.

    A word may be the name of a file that is no UTF-8, as Python has it.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift (torch's is arithmetic)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014); int64 products wrap, which is what it wants."""
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def fold(keys: Tensor, stream: str) -> Tensor:
    """An independent family of keys for the purpose `stream`: int64 ``(B,)`` to int64 ``(B,)``."""
    return _mix(keys + key(stream))


def uniform(keys: Tensor, count: int) -> Tensor:
    """`count` numbers in [0, 1) for each key: int64 ``(B,)`` to float32 ``(B, count)`` on the keys' device.

    Integer arithmetic up to the last step, so CPU and GPU agree to the bit, and no host synchronisation.
    """
    counter = torch.arange(1, count + 1, device=keys.device, dtype=torch.int64)
    bits = _mix(keys[:, None] + counter * _GOLDEN)
    return _shift(bits, 40).to(torch.float32) * 2.0**-24


def normal(keys: Tensor, count: int) -> Tensor:
    """`count` numbers of the standard normal distribution for each key: int64 ``(B,)`` to float32 ``(B, count)``."""
    return torch.special.ndtri(uniform(keys, count).double() + 2.0**-25).float()


class _Samples:
    """Whose numbers are being drawn: their keys, and how often they were asked for."""

    def __init__(self, keys: Tensor) -> None:
        self.keys, self.draws = keys, 0

    def next(self, count: int) -> Tensor:
        self.draws += 1
        assert count == len(self.keys), "one number for each sample of the batch"
        return fold(self.keys, f"draw {self.draws}")


_samples: list[_Samples] = []


@contextmanager
def of_samples(keys: Tensor) -> Iterator[None]:
    """Inside, `uniform_for` and `normal_for` draw for the samples with these keys, int64 ``(B,)``.

    A network's noise is then that of its sample, whichever rank has it, in however many parts a batch goes through; and
    the same again in a second pass under the same keys.
    """
    _samples.append(_Samples(keys))
    try:
        yield
    finally:
        _samples.pop()


def repeating() -> AbstractContextManager[None]:
    """Inside, `uniform_for` and `normal_for` draw what they draw from this call on; may be entered elsewhere and later.

    It is for a pass that is computed twice, as in `layers.checkpointed`.
    """
    return _repeated(_samples[-1].keys, _samples[-1].draws) if _samples else nullcontext()


@contextmanager
def _repeated(keys: Tensor, draws: int) -> Iterator[None]:
    with of_samples(keys):
        _samples[-1].draws = draws
        yield


def uniform_for(x: Tensor, *shape: int) -> Tensor:
    """Numbers in [0, 1), float32 ``(B, *shape)``, for a batch of B on its device; see `of_samples`.

    Outside of it they are the global generator's.
    """
    if not _samples:
        return torch.rand(len(x), *shape, device=x.device)
    return uniform(_samples[-1].next(len(x)), math.prod(shape)).view(len(x), *shape)


def normal_for(x: Tensor, *shape: int) -> Tensor:
    """Numbers of the standard normal distribution for `x`, by the keys that `uniform_for` would take."""
    if not _samples:
        return torch.randn(len(x), *shape, device=x.device)
    return normal(_samples[-1].next(len(x)), math.prod(shape)).view(len(x), *shape)


_clips: list[int] = []


@contextmanager
def of_clips(frames: int) -> Iterator[None]:
    """Inside, keys ``(B,)`` are of pictures of which so many in a row are a clip and have one key; see `each_frame`."""
    _clips.append(frames)
    try:
        yield
    finally:
        _clips.pop()


def each_frame(keys: Tensor) -> Tensor:
    """Other keys for each frame of a clip, as noise needs them, where the frames share what else is drawn: ``(B,)``.

    The first frame keeps its key, and so does a picture outside of `of_clips`.
    """
    if not _clips or _clips[-1] == 1:
        return keys
    number = torch.arange(len(keys), device=keys.device) % _clips[-1]
    return torch.where(number == 0, keys, _mix(keys + number * _MIX_1))


def permutation(key: int, length: int) -> list[int]:
    """0 .. length - 1 in an order that only the key decides."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(key & _MASK_64)).tolist()


def seed_all(seed: int) -> None:
    """Seed torch's global generators in this process: before networks are built, and once an update."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed & _MASK_64)
    else:  # as that does, which notes where it was called from for devices that are not there, in a millisecond
        torch.default_generator.manual_seed(seed & _MASK_64)


@contextmanager
def untouched() -> Iterator[None]:
    """The global generators of Python, NumPy and torch are afterwards as before.

    Those of GPUs only where CUDA is in use already: asking for their state would start it on every GPU.
    """
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        for gpu, state in enumerate(gpus):
            torch.cuda.set_rng_state(state, gpu)
