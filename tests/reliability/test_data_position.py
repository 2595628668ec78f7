"""What was seen before a kill and after it is each sample of an epoch once, on every rank."""

import pytest

from inpaint.data.loader import KeyedSampler, ResumableLoader, ShardBatches
from tests.reliability.runs import At, fork, seen


def test_every_sample_of_an_epoch_once(tmp_path, whole):
    assert fork(tmp_path, act=At("done", 8)) < 0
    assert fork(tmp_path) == 0
    last = dict(seen(tmp_path))  # an update that was begun again saw the same
    assert all(last[update] == samples for update, samples in seen(tmp_path))
    assert last == dict(seen(whole))
    for epoch in range(2):
        samples = [index for update in range(5 * epoch, 5 * epoch + 5) for index in last[update]]
        assert len(samples) == len(set(samples)) == 20


class Rows:
    def __getitem__(self, row):
        return row[1]


def loader(rank, epoch, ranks=2, batch_size=3, length=25):
    sampler = KeyedSampler(length, seed=3, shuffle=True, rank=rank, ranks=ranks)
    sampler.set_epoch(epoch)
    return ResumableLoader(Rows(), sampler, batch_size, drop_last=True)


@pytest.mark.parametrize("stop", range(4))
def test_each_rank_goes_on_where_it_was(stop):
    for epoch in range(2):
        parts = []
        for rank in range(2):
            first, second = loader(rank, epoch), loader(rank, epoch)
            before = [batch.tolist() for _, batch in zip(range(stop), first, strict=False)]
            second.load_state_dict(first.state_dict())
            parts += [*before, *(batch.tolist() for batch in second)]
        samples = [index for part in parts for index in part]
        assert len(samples) == len(set(samples)) == 24


def test_a_position_of_another_number_of_devices_is_refused():
    with pytest.raises(ValueError, match=r"resume: an epoch had 8 batches .* and has 4 now; restore .* number of dev"):
        loader(0, 0).load_state_dict(loader(0, 0, ranks=1).state_dict())
    with pytest.raises(ValueError, match=r"resume: an epoch had 3 devices .* and has 2 now"):  # both of 2 batches
        loader(0, 0, length=12).load_state_dict(loader(0, 0, ranks=3, length=18).state_dict() | {"samples": 12})


def test_a_position_in_other_photographs_is_refused():
    """One more, and the order of all is another, though it makes no batch more."""
    loaders = loader(0, 0, ranks=1), loader(0, 0, ranks=1, length=26)
    assert len(loaders[0]) == len(loaders[1])
    with pytest.raises(ValueError, match=r"resume: an epoch had 25 samples .* and has 26 now; restore data"):
        loaders[1].load_state_dict(loaders[0].state_dict())
    rows = [25, 40]
    shards = [ResumableLoader(Rows(), ShardBatches([*rows, more], 8, seed=3, shuffle=True)) for more in (10, 11)]
    with pytest.raises(ValueError, match=r"resume: an epoch had 75 samples .* and has 76 now; restore data"):
        shards[1].load_state_dict(shards[0].state_dict())
    loaders[0].load_state_dict({"handed_out": 1, "batches": 8})  # as 0.1.0 wrote it
    assert loaders[0].batches.skip == 1
