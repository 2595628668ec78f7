"""The order of samples, and a loader that can stop anywhere and go on at the next batch.

What happens to sample `index` in `epoch` depends on nothing else: not on the batch it is in, the worker that reads it,
the number of ranks, or whether the run was interrupted.
"""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, Sampler

from inpaint import rng


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
    """

    def __init__(self, dataset: Any, sampler: KeyedSampler, batch_size: int, drop_last: bool, **settings: Any) -> None:
        batches = _SkippingBatchSampler(sampler, batch_size, drop_last)  # type: ignore[arg-type]
        super().__init__(dataset, batch_sampler=batches, **settings)
        self.handed_out = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        assert isinstance(self.batch_sampler, _SkippingBatchSampler)
        self.handed_out = self.batch_sampler.skip
        for batch in super().__iter__():
            self.handed_out += 1
            yield batch
        self.handed_out = 0

    def state_dict(self) -> dict[str, int]:
        """The position; after an epoch's last batch it is 0, the beginning of the next (or nothing would follow)."""
        return {"handed_out": self.handed_out % len(self), "batches": len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches of `state`.

        Raises:
            ValueError: the epoch had another number of batches then, so the position means nothing now.
        """
        if state["batches"] != len(self):
            raise ValueError(
                f"resume: an epoch had {state['batches']} batches when the checkpoint was written and has {len(self)} "
                "now; restore data, batch size and number of devices"
            )
        assert isinstance(self.batch_sampler, _SkippingBatchSampler)
        self.batch_sampler.skip = state["handed_out"]
