"""A checkpoint of an epoch's last batch is followed by a whole epoch: not by none, nor by the same again."""

import pytest

from inpaint.files import checkpoint
from tests.checkpoints import latest_valid
from tests.reliability.runs import UPDATES, assert_equal, assert_same, run, seen


def test_a_whole_epoch_follows(tmp_path, whole):
    run(tmp_path, updates=5, every=5)
    assert latest_valid(tmp_path).name == "update_00000005.ckpt"
    run(tmp_path)
    assert [update for update, _ in seen(tmp_path)] == list(range(UPDATES))
    assert seen(tmp_path) == seen(whole)
    assert_same(tmp_path, whole)


def test_a_run_that_max_epochs_ended_goes_on_at_the_next(tmp_path, whole):
    """Saved when Lightning already counts the epoch as done."""
    run(tmp_path, updates=-1, every=100, max_epochs=2)
    assert latest_valid(tmp_path).name == "update_00000010.ckpt"
    run(tmp_path)
    assert seen(tmp_path) == seen(whole)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("update", [7, 9, 10])
@pytest.mark.parametrize("validation", [True, False])
def test_a_run_that_a_callback_ended_goes_on_where_it_was(tmp_path, whole, update, validation):
    """By `should_stop`, as `max_time` and early stopping do: within an epoch, at a validation, at an epoch's end."""

    def stop(when, trainer):
        if (when, trainer.global_step) == ("done", update):
            trainer.should_stop = True

    settings = {"every": 100} | ({} if validation else {"limit_val_batches": 0})
    run(tmp_path, act=stop, **settings)
    assert checkpoint.update_of(latest_valid(tmp_path)) == update
    run(tmp_path, **settings)
    assert seen(tmp_path) == seen(whole)
    (ours, theirs) = (checkpoint.load(folder) for folder in (tmp_path, whole))
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(ours[part], theirs[part], part)


@pytest.mark.parametrize("stop", [3, 4, 6])
def test_an_epoch_that_is_cut_short_is_followed_by_a_whole_one(tmp_path, stop):
    """By `limit_train_batches`: the loader has more batches than the epoch."""
    settings = {"limit_train_batches": 3, "updates": 9}
    run(tmp_path / "whole", **settings)
    run(tmp_path / "run", **settings | {"updates": stop})
    run(tmp_path / "run", **settings)
    assert seen(tmp_path / "run") == seen(tmp_path / "whole")
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("stops", [(5, 6), (5, 7, 10, 11), (3, 5, 9)])
def test_several_resumes(tmp_path, whole, stops):
    """The second begins in an epoch that the first began: Lightning's own counts go wrong there."""
    for updates in (*stops, UPDATES):
        run(tmp_path, updates)
    assert seen(tmp_path) == seen(whole)
    assert_same(tmp_path, whole)
