from collections import Counter
from itertools import pairwise
from multiprocessing import resource_sharer

import pytest
from lightning.fabric.utilities.data import _set_sampler_epoch
from torch.utils.data import Dataset

from inpaint.data.loader import KeyedSampler, ResumableLoader, ShardBatches
from inpaint.settings import Refused


class Rows(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, row):
        return row[0] * 1000 + row[1]


def loader(workers=0, shuffle=True, drop_last=True):
    sampler = KeyedSampler(20, seed=1, shuffle=shuffle)
    return ResumableLoader(
        Rows(), sampler, batch_size=3, drop_last=drop_last, num_workers=workers, persistent_workers=workers > 0
    )


def epochs(made, count, first=0):
    found = []
    for epoch in range(first, first + count):
        made.batch_sampler.sampler.set_epoch(epoch)
        found.append([batch.tolist() for batch in made])
    return found


def test_ranks_share_an_epoch_without_overlap():
    for length, ranks in ((20, 1), (20, 3), (7, 2)):
        dealt = []
        for rank in range(ranks):
            sampler = KeyedSampler(length, 5, shuffle=True, rank=rank, ranks=ranks)
            sampler.set_epoch(2)
            rows = list(sampler)
            assert len(rows) == len(sampler) == length // ranks
            dealt += rows
        assert len(set(dealt)) == len(dealt) and all(epoch == 2 for epoch, index in dealt)


def test_unshuffled_ranks_cover_everything_once():
    dealt = [index for rank in range(3) for _, index in KeyedSampler(20, 5, shuffle=False, rank=rank, ranks=3)]
    assert sorted(dealt) == list(range(20))


def test_epochs_differ_and_repeat_exactly():
    first, second = epochs(loader(), 2)
    assert [row % 1000 for batch in first for row in batch] != [row % 1000 for batch in second for row in batch]
    assert epochs(loader(), 2) == [first, second]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 3, 5, 6])
def test_goes_on_at_the_next_batch(workers, stop):
    """Stop after any number of batches, also an epoch's last one, in a fresh loader: nothing twice or left out."""
    whole = epochs(loader(), 2)
    interrupted = loader(workers)
    seen = []
    for batch in interrupted:
        seen.append(batch.tolist())
        state = interrupted.state_dict()  # as Lightning asks for it, while the batch is being used
        if len(seen) == stop:
            break
    assert (state["handed_out"], state["batches"]) == (stop % 6, 6)
    fresh = loader(workers)
    fresh.load_state_dict(state)
    rest = epochs(fresh, 2) if stop < 6 else [[], *epochs(fresh, 1, first=1)]
    assert [seen + rest[0], rest[1]] == whole


def test_another_epoch_length_is_refused():
    with pytest.raises(ValueError, match=r"resume: an epoch had 7 batches .* has 6 now"):
        loader().load_state_dict({"handed_out": 2, "batches": 7})


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "Connection reset by peer"),
        ConnectionRefusedError(111, "Connection refused"),
        FileNotFoundError(2, "No such file or directory"),
        EOFError(),
        OSError("got end of file during message"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_worker_that_dies_while_it_hands_a_batch_over(error, monkeypatch):
    """The connection breaks while the system does not count the worker as dead yet; here it is told so, and lives."""

    def detach(shared):
        raise error

    monkeypatch.setattr(resource_sharer.DupFd, "detach", detach)
    with pytest.raises(Refused, match=r"^data\.workers: one exited unexpectedly, .*; data\.workers=0 needs less"):
        next(iter(loader(workers=1)))


class Unreadable(Rows):
    def __init__(self, error):
        self.error = error

    def __getitem__(self, row):
        raise self.error


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("error", [FileNotFoundError("no photograph"), EOFError("cut short")])
def test_what_cannot_be_read_is_no_death(error, workers):
    """Also where a worker reads, whose errors torch raises again in this process."""
    made = ResumableLoader(Unreadable(error), KeyedSampler(20, seed=1, shuffle=True), 3, num_workers=workers)
    with pytest.raises(type(error), match=str(error)):
        next(iter(made))


def test_a_disk_that_fails_here_is_no_death(monkeypatch):
    def detach(shared):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resource_sharer.DupFd, "detach", detach)
    with pytest.raises(OSError, match="No space left"):
        next(iter(loader(workers=1)))


# ---- shards

SHARDS = [40, 7, 0, 25, 64, 1, 33]  # 170 rows
BEGINS = [0, 40, 47, 47, 72, 136, 137, 170]


def line(batch_size=4, rank=0, ranks=1, streams=3, block=8, shuffle=True, seed=5, shards=SHARDS):
    return ShardBatches(shards, batch_size, seed, shuffle, rank, ranks, streams, block)


def dealt(sampler, epoch=0):
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert all(number == epoch for batch in batches for number, _ in batch)
    return [[row for _, row in batch] for batch in batches]


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("streams", [1, 3, 50])
def test_ranks_share_the_rows_of_shards_without_overlap(ranks, streams):
    """Whole batches, as many on each rank, no row twice; at most what fills no batch on every rank is left out."""
    for epoch in range(3):
        parts = [dealt(line(rank=rank, ranks=ranks, streams=streams), epoch) for rank in range(ranks)]
        assert {len(part) for part in parts} == {170 // (4 * ranks)}
        rows = [row for part in parts for batch in part for row in batch]
        assert all(len(batch) == 4 for part in parts for batch in part)
        assert len(rows) == len({*rows}) > 170 - 4 * ranks and {*rows} <= {*range(170)}


@pytest.mark.parametrize("shards", [SHARDS, [50]])
def test_what_an_epoch_leaves_out_changes(shards):
    """No row is always left out, not even where one shard is all there is."""
    left_out = Counter()
    for epoch in range(60):
        taken = {row for rank in (0, 1) for batch in dealt(line(9, rank, 2, shards=shards), epoch) for row in batch}
        left_out.update({*range(sum(shards))} - taken)
    assert 0 < max(left_out.values()) < 30


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("streams", [1, 4])
def test_validation_over_shards_is_complete_and_in_order(ranks, streams):
    parts = [dealt(line(rank=rank, ranks=ranks, streams=streams, shuffle=False)) for rank in range(ranks)]
    rows = [row for part in parts for batch in part for row in batch]
    assert sorted(rows) == list(range(170))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    if streams == 1:
        assert rows == list(range(170))


def test_each_stream_reads_shards_from_one_end_to_the_other():
    """Its blocks in sequence: a block is entered once, and a shard is not gone back in."""
    batches = dealt(line(streams=3))
    entered = 0
    for stream in range(3):
        rows = [row for batch in batches[stream::3] for row in batch]
        shard_of = [max(s for s in range(7) if BEGINS[s] <= row and SHARDS[s]) for row in rows]
        blocks = [(shard, (row - BEGINS[shard]) // 8) for shard, row in zip(shard_of, rows, strict=True)]
        visits = [blocks[0], *(b for a, b in pairwise(blocks) if a != b)]
        assert len(visits) == len({*visits})
        entered += len(visits)
        for shard in {*shard_of}:
            inside = [block for s, block in visits if s == shard]
            assert inside == list(range(inside[0], inside[0] + len(inside)))
    assert entered <= 24 + 2  # two neighbours among the streams may share a block


def test_rows_are_shuffled_within_blocks_and_shards_among_each_other():
    first, again, next_epoch, other = (dealt(line(seed=s), e) for s, e in ((5, 0), (5, 0), (5, 1), (6, 0)))
    assert first == again and first != next_epoch and first != other
    rows = [row for batch in dealt(line(streams=1)) for row in batch]
    assert rows != sorted(rows)
    one = [row for batch in dealt(line(streams=1, shards=[64])) for row in batch]
    places = [one.index(row) for row in range(64)]
    assert any(a > b for a, b in pairwise(places[:8]))
    orders = {tuple(row % 8 for row in one[start : start + 8]) for start in range(0, 64, 8)}
    assert len(orders) == 8  # each block has its own


class Whole(Dataset):
    def __getitem__(self, row):
        return row[0] * 1000 + row[1]


def shard_loader(workers=0):
    return ResumableLoader(Whole(), line(20, streams=2), num_workers=workers, persistent_workers=workers > 0)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("stop", "before", "after"), [(1, 0, 0), (3, 0, 0), (3, 2, 0), (5, 0, 2), (8, 3, 0)])
def test_goes_on_at_the_next_batch_of_shards_with_any_number_of_workers(stop, before, after):
    whole = []
    for epoch in range(2):
        reference = shard_loader()
        _set_sampler_epoch(reference, epoch)  # as Lightning does
        whole.append([batch.tolist() for batch in reference])
    assert len(whole[0]) == 8 and whole[0][0][0] // 1000 == 0 and whole[1][0][0] // 1000 == 1
    interrupted, seen = shard_loader(before), []
    for batch in interrupted:
        seen.append(batch.tolist())
        if len(seen) == stop:
            state = interrupted.state_dict()
            break
    assert (state["handed_out"], state["batches"]) == (stop % 8, 8)
    fresh = shard_loader(after)
    fresh.load_state_dict(state)
    rest = [batch.tolist() for batch in fresh] if stop < 8 else []
    _set_sampler_epoch(fresh, 1)
    assert [seen + rest, [batch.tolist() for batch in fresh]] == whole
