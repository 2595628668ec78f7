"""What is said of a run that ends before its last update, or that cannot begin."""

import pytest

from tests.reliability.runs import SMALL, command, train

STOPPING = "{_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/hole_psnr, mode: min, patience: 1}"


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (
            ["trainer.val_check_interval=1", f"+callbacks.stopping={STOPPING}", "+callbacks.stopping.min_delta=100"],
            "callbacks: val/hole_psnr was not better for 1 validations",
        ),
    ],
)
def test_what_ended_a_run_is_said(tmp_path, capfd, ends, reason):
    code = command(train, *SMALL, "trainer.max_steps=9", *ends, f"hydra.run.dir={tmp_path}/run")
    printed = capfd.readouterr()
    assert code == 0, printed.err
    assert f"ended before its last update: {reason}" in printed.out


def test_a_profile_is_printed(tmp_path, capfd):
    assert command(train, *SMALL, "+trainer.profiler=simple", f"hydra.run.dir={tmp_path}/run") == 0
    printed = capfd.readouterr()
    assert (printed.out + printed.err).count("Profiler Report") == 1 and "run_training_batch" in printed.out


BATCH_NORM = ["discriminator.norm=batch", "discriminator.spectral=false", "data.batch_size=2"]


def test_batch_norm_of_one_sample_is_refused_before_the_first_update(tmp_path, capfd):
    code = command(train, *SMALL, *BATCH_NORM, "module.accumulate=2", f"hydra.run.dir={tmp_path}/run")
    # The map has positions enough here; what counts is one number a channel.
    assert code == 0
    few = ["discriminator.layers=5", "discriminator.padding=1"]
    code = command(train, *SMALL, *BATCH_NORM, *few, "module.accumulate=2", f"hydra.run.dir={tmp_path}/few")
    printed = capfd.readouterr().err
    assert code == 2 and "Traceback" not in printed
    assert "module.accumulate: the discriminator's batch norm has no statistics of one sample" in printed
    assert not list((tmp_path / "few").glob("checkpoints/*"))
