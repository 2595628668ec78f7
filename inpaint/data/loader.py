"""The order of samples, and a loader that can stop anywhere and go on at the next batch.

What happens to sample `index` in `epoch` depends on nothing else: not on the batch it is in, the worker that reads it,
the number of ranks, or whether the run was interrupted.
"""

import multiprocessing
import os
import re
import signal
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import accumulate
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, Sampler

from inpaint import rng
from inpaint.files.folder import let_go
from inpaint.settings import Refused
from inpaint.system import USR2


class KeyedSampler(Sampler[tuple[int, int]]):
    """Pairs (epoch, index): a permutation of all rows keyed by (seed, epoch), dealt out to the ranks in turn.

    Every rank gets the same number; up to ``ranks - 1`` rows of an epoch are left out for that, others the next time.

    Args:
        length: rows of the data set.
        seed: keys the permutations.
        shuffle: False keeps the rows in order and drops none (validation).
        rank, ranks: this process and how many there are.
    """

    def __init__(self, length: int, seed: int, shuffle: bool, rank: int = 0, ranks: int = 1) -> None:
        self.length, self.seed, self.shuffle = length, seed, shuffle
        self.rank, self.ranks = rank, ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.ranks if self.shuffle else len(range(self.rank, self.length, self.ranks))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if self.shuffle:
            order = rng.permutation(rng.key(self.seed, "order", self.epoch), self.length)
        else:
            order = list(range(self.length))
        for index in order[self.rank :: self.ranks][: len(self)]:
            yield self.epoch, index


class ShardBatches(Sampler[list[tuple[int, int]]]):
    """Batches of pairs (epoch, index) for rows that lie in shards, which are cheap to read in sequence only.

    In training, all rows of an epoch stand in one line: the shards in an order keyed by (seed, epoch), and within a
    shard its blocks in turn, `block` successive rows each, in an order keyed by (seed, epoch, shard, block). The line
    is a ring; where it begins in the first shard is keyed, too. It is cut into equal successive parts, one for each
    rank, and each of those into one for each stream; batch k of a rank is the next of stream ``k % streams``. All ranks
    get the same number of whole batches; rows that fill no batch on every rank are left out, others the next time.

    The order does not depend on the number of workers. Where that divides `streams`, each worker reads its streams
    from one end to the other; else each worker passes over what the others read.

    Unshuffled (validation), rows keep their order, each rank gets a successive part, and none is left out.

    Batch k is a function of (seed, epoch, rank, k), so a resumed epoch begins to read where it goes on.

    Args:
        shards: rows of each shard.
        batch_size: rows a batch.
        seed: keys the order.
        shuffle: whether this is training.
        rank, ranks: this process and how many there are.
        streams: places of the line that a rank reads from in turn.
        block: successive rows of a shard that are shuffled, and held in memory by the reader of a stream.
    """

    def __init__(
        self,
        shards: Sequence[int],
        batch_size: int,
        seed: int,
        shuffle: bool,
        rank: int = 0,
        ranks: int = 1,
        streams: int = 8,
        block: int = 256,
    ) -> None:
        self.shards, self.batch_size, self.seed, self.shuffle = list(shards), batch_size, seed, shuffle
        self.begins = [0, *accumulate(self.shards)]
        self.streams, self.block, self.ranks = streams, block, ranks
        self.length = rows = self.begins[-1]
        if shuffle:
            self.batches = rows // (ranks * batch_size)
            self.first = rank * self.batches * batch_size
            self.last = self.first + self.batches * batch_size
        else:
            self.first, self.last = rows * rank // ranks, rows * (rank + 1) // ranks
            self.batches = -(-(self.last - self.first) // batch_size)
        self.skip = 0  # batches that the next pass leaves out, once
        self.set_epoch(0)

    @property
    def sampler(self) -> "ShardBatches":
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch
        if self.shuffle and self.shards:
            key = rng.key(self.seed, "shards", epoch)
            self.order = rng.permutation(key, len(self.shards))
            blocks = -(-self.shards[self.order[0]] // self.block)
            self.start = self.block * rng.permutation(rng.key(key, "start"), max(1, blocks))[0]
        else:
            self.order, self.start = list(range(len(self.shards))), 0
        self.places = [0, *accumulate(self.shards[shard] for shard in self.order)]

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        skip, self.skip = self.skip, 0
        for number in range(skip, self.batches):
            yield self.batch(number)

    def batch(self, number: int) -> list[tuple[int, int]]:
        """Batch `number` of this rank."""
        stream, turn = number % self.streams, number // self.streams
        before = stream * (self.batches // self.streams) + min(stream, self.batches % self.streams)
        begin = self.first + (before + turn) * self.batch_size
        end = min(begin + self.batch_size, self.last)
        rows: list[int] = []
        while begin + len(rows) < end:
            rows += self._rest_of_block(begin + len(rows), end - begin - len(rows))
        return [(self.epoch, row) for row in rows]

    def _rest_of_block(self, place: int, most: int) -> list[int]:
        """Rows that stand in line from `place` to the end of the block there, `most` at most."""
        place = (place + self.start) % self.begins[-1]
        turn = bisect_right(self.places, place) - 1
        shard, position = self.order[turn], place - self.places[turn]
        block, offset = divmod(position, self.block)
        first = block * self.block
        length = min(self.block, self.shards[shard] - first)
        if self.shuffle:
            order = rng.permutation(rng.key(self.seed, "block", self.epoch, shard, block), length)
        else:
            order = list(range(length))
        return [self.begins[shard] + first + row for row in order[offset : offset + most]]


class _SkippingBatchSampler(BatchSampler):
    """Leaves out the first `skip` batches of its next pass, once."""

    skip = 0

    def __iter__(self) -> Iterator[list[Any]]:
        skip, self.skip = self.skip, 0
        for number, batch in enumerate(super().__iter__()):
            if number >= skip:
                yield batch


class ResumableLoader(DataLoader):
    """A DataLoader whose state is the number of batches handed out in this epoch.

    Lightning stores the state in each checkpoint and gives it back on resume; the epoch then goes on at the next batch.
    Counted where batches are handed out, so what workers have read ahead is not lost.

    Args:
        dataset: rows by pairs (epoch, index).
        sampler: their order; a KeyedSampler's rows are put into batches here, ShardBatches makes its own.
        batch_size, drop_last: of a KeyedSampler's batches.
        settings: as in torch.
    """

    def __init__(
        self,
        dataset: Any,
        sampler: KeyedSampler | ShardBatches,
        batch_size: int = 1,
        drop_last: bool = False,
        **settings: Any,
    ) -> None:
        if isinstance(sampler, KeyedSampler):
            self.batches: Any = _SkippingBatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        else:
            self.batches = sampler
        super().__init__(dataset, batch_sampler=self.batches, **settings)
        self.handed_out = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.handed_out = self.batches.skip
        batches = super().__iter__()
        while True:
            with handing_over() if self.num_workers else nullcontext():
                batch = next(batches, None)
            if batch is None:
                break
            self.handed_out += 1
            yield batch
        self.handed_out = 0

    def state_dict(self) -> dict[str, int]:
        """The position; after an epoch's last batch it is 0, the beginning of the next (or nothing would follow)."""
        return {"handed_out": self.handed_out % len(self), **self._epoch()}

    def _epoch(self) -> dict[str, int]:
        """The sizes of an epoch; a position that was stored with other sizes is refused."""
        order = self.batches.sampler
        return {"batches": len(self), "samples": order.length, "devices": order.ranks}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches of `state`.

        Raises:
            Refused: the epoch had other batches then, so the position means nothing now.
        """
        for what, now in self._epoch().items():
            if (then := state.get(what, now)) != now:  # 0.1.0 wrote down the batches alone
                raise Refused(
                    f"resume: an epoch had {then} {what} when the checkpoint was written and has {now} now; restore "
                    "data, batch size and number of devices"
                )
        self.batches.skip = state["handed_out"]


@contextmanager
def deaths() -> Iterator[None]:
    """What torch raises where a worker has died or has no memory to hand batches over in, told in a line.

    Torch learns of a death by a signal, so its error may be raised anywhere, not only where a batch is waited for.

    Raises:
        Refused: in place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if any(sign in str(error) for sign in ("out of shared memory", "unable to write to file </torch", "Bus error")):
            raise Refused(
                "data.workers: /dev/shm, the memory that they share with this process, is too small; data.workers=0 "
                "needs none (in Docker, --shm-size=8g makes it larger)"
            ) from error
        if death := re.match(r"DataLoader worker .*(exited unexpectedly|is killed by signal: \w+)", str(error)):
            # One that dies while it hands a batch over has only exited, whatever ended it.
            raise Refused(
                f"data.workers: one {death[1]}, as in a /dev/shm that is too small (in Docker, --shm-size=8g makes it "
                "larger), or out of memory; data.workers=0 needs less of both"
            ) from error
        raise


@contextmanager
def handing_over() -> Iterator[None]:
    """`deaths` where a batch is waited for. The system closes the sockets of a process before that counts as dead, so a
    connection that breaks is the first that is heard of a worker's death.

    Raises:
        Refused: in place of the connection's error; what a worker raised itself while it read stays as it is.
    """
    with deaths():
        try:
            yield
        except (OSError, EOFError) as error:
            broken = isinstance(error, ConnectionError | EOFError | FileNotFoundError) or error.errno is None
            if not broken or re.match(r"Caught \w+ in DataLoader worker", str(error)):
                raise
            raise RuntimeError(f"DataLoader worker exited unexpectedly ({type(error).__name__}: {error})") from error


def shelter(worker: int) -> None:
    """Runs in each loading worker: it ignores Ctrl-C, SIGUSR2 and any SIGTERM that its parent did not send.

    Ctrl-C and schedulers signal all processes alike; a worker that died of it would take the run with it before it is
    saved. The worker exits when its parent does, and holds no lock of the run folder in the moment between.
    """
    let_go()
    parent = multiprocessing.parent_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if USR2 is not None:
        signal.signal(USR2, signal.SIG_IGN)
    if parent is None or not hasattr(signal, "sigtimedwait"):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def watch() -> None:
        while parent.is_alive():
            received = signal.sigtimedwait({signal.SIGTERM}, 1.0)
            if received is not None and received.si_pid == parent.pid:
                break
        os._exit(0)

    threading.Thread(target=watch, name="shelter", daemon=True).start()
