import pytest
from torch.utils.data import Dataset

from inpaint.data.loader import KeyedSampler, ResumableLoader


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
    assert state == {"handed_out": stop % 6, "batches": 6}
    fresh = loader(workers)
    fresh.load_state_dict(state)
    rest = epochs(fresh, 2) if stop < 6 else [[], *epochs(fresh, 1, first=1)]
    assert [seen + rest[0], rest[1]] == whole


def test_another_epoch_length_is_refused():
    with pytest.raises(ValueError, match=r"resume: an epoch had 7 batches .* has 6 now"):
        loader().load_state_dict({"handed_out": 2, "batches": 7})
