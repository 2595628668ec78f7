"""A finished run that is started again does nothing, exits with 0, and changes no file but its lock's date."""

import pytest

from tests.reliability.runs import SMALL, command, files, train


def test_a_run_that_began_at_a_file_goes_on_from_its_own_checkpoints(tmp_path, capfd):
    """The same command must not begin at that file again: under a scheduler it would never end."""
    first = [*SMALL, "trainer.max_steps=2", f"hydra.run.dir={tmp_path}/first"]
    file = tmp_path / "first" / "checkpoints" / "update_00000002.ckpt"
    assert command(train, *first) == 0
    again = [*SMALL, f"resume={file}", f"hydra.run.dir={tmp_path}/again", "trainer.max_steps=4"]
    assert command(train, *again) == 0
    assert f"going on from {file}" in capfd.readouterr().out
    before = files(tmp_path / "again")
    assert command(train, *again) == 0
    assert files(tmp_path / "again") == before
    assert capfd.readouterr().out.strip().splitlines()[-1].endswith("again is finished, nothing to do")
    newest = tmp_path / "again" / "checkpoints" / "update_00000004.ckpt"
    assert command(train, *again, "trainer.max_steps=5") == 0
    assert f"going on from {newest}" in capfd.readouterr().out
    assert not list(tmp_path.rglob("*.aside"))


def test_it_does_nothing(tmp_path, capfd):
    arguments = [*SMALL, "trainer.max_steps=2", f"hydra.run.dir={tmp_path}/run"]
    assert command(train, *arguments) == 0
    before = files(tmp_path / "run")
    assert command(train, *arguments) == 0
    assert files(tmp_path / "run") == before
    assert capfd.readouterr().out.strip().splitlines()[-1].endswith("run is finished, nothing to do")

    for changes in (["generator_optimizer.lr=1e-5", "losses.l1.weight=100"], ["trainer.max_steps=1"]):
        assert command(train, *arguments, *changes) == 2  # no update would have them, and the record would say so
        assert "run has its 2 updates, so generator_" in capfd.readouterr().err
        assert files(tmp_path / "run") == before

    assert command(train, *arguments, "baselines=[mean]") == 0  # measured anew, not trained anew
    assert "| all | mean |" in (tmp_path / "run" / "results.md").read_text()
    after = files(tmp_path / "run")
    assert all(after[path] == before[path] for path in before if path.suffix in (".ckpt", ".sha256"))
    (tmp_path / "run" / "summary.json").unlink()  # killed before it was measured
    assert command(train, *arguments) == 0
    assert (tmp_path / "run" / "summary.json").is_file()


def test_one_whose_end_is_counted_in_epochs_keeps_its_record(tmp_path, capfd):
    arguments = [*SMALL, "trainer.max_steps=-1", "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}/run"]
    assert command(train, *arguments) == 0
    record = (tmp_path / "run" / "config.yaml").read_bytes()
    capfd.readouterr()
    assert command(train, *arguments, "generator_optimizer.lr=1e-5") == 2
    assert "would change nothing" in capfd.readouterr().err
    assert (tmp_path / "run" / "config.yaml").read_bytes() == record


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (["trainer.max_steps=0"], "trainer.max_steps: without an update nothing is trained"),
        (["+trainer.limit_train_batches=0"], "trainer.limit_train_batches: without a batch nothing is trained"),
        (["+trainer.max_time=00:00:00:00"], "trainer: nothing was trained; trainer.max_time is over"),
    ],
)
def test_a_run_without_an_update_is_refused(tmp_path, capfd, ends, message):
    assert command(train, *SMALL, *ends, f"hydra.run.dir={tmp_path}/run") == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "run" / "summary.json").exists() and not list(tmp_path.rglob("results.*"))
