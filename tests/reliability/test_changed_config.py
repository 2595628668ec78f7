"""Resume with another config: what may change is said and takes effect, the rest is refused, nothing is silent."""

import math

import pytest
import torch
import yaml

from inpaint.config.sent import load_generator
from inpaint.files import checkpoint
from inpaint.files.checkpoint import CheckpointError
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.training.resume import check_fit
from tests.checkpoints import latest_valid
from tests.reliability.runs import SMALL, command, fork, fork_two, module, run, train


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of three updates, in the middle of its second epoch."""
    folder = tmp_path_factory.mktemp("changed") / "run"
    assert command(train, *SMALL, f"hydra.run.dir={folder}") == 0
    return folder


OTHER_RUNS = {
    "architecture": ("generator.width=8", "generator.width 4 -> 8"),
    "batch size": ("data.batch_size=2", "data.batch_size 4 -> 2"),
    "optimizer": ("optimizer@generator_optimizer=adadelta", "generator_optimizer._target_ torch.optim.Adam -> "),
    "schedule": ("scheduler@generator_scheduler=none", "generator_scheduler._target_ inpaint.schedules.cosine -> "),
    "discriminator": ("discriminator=multiscale", "discriminator._target_"),
    "seed": ("seed=1", "seed 0 -> 1"),
    "beginning": ("init_from=elsewhere", "init_from None -> elsewhere"),  # it would have no effect
}


@pytest.mark.parametrize("what", OTHER_RUNS)
def test_another_run_is_refused(stopped, capfd, what):
    override, told = OTHER_RUNS[what]
    assert command(train, *SMALL, f"hydra.run.dir={stopped}", override, "trainer.max_steps=4") == 2
    error = capfd.readouterr().err
    assert error.startswith("inpaint-train: resume: ") and "belongs to another run (" in error and told in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("value", ["null", "true", "3", "nothing.ckpt"])
def test_what_is_no_place_to_resume_from_is_refused(tmp_path, capfd, value):
    assert command(train, *SMALL, f"hydra.run.dir={tmp_path}/run", f"resume={value}") == 2
    problem = "got None" if value == "null" else f"{value} does not exist"  # a number or true may be a file's name
    told = f"inpaint-train: resume: {problem}; give auto, never or a checkpoint's path\n"
    assert capfd.readouterr().err == told and not (tmp_path / "run" / "config.yaml").exists()


def test_a_generator_alone_is_no_run(stopped, tmp_path, capfd):
    file, held = tmp_path / "generator.ckpt", checkpoint.load(stopped)
    checkpoint.save_generator(file, load_generator(held), checkpoint.config_of(held), 3)
    assert command(train, *SMALL, f"hydra.run.dir={tmp_path}/run", f"resume={file}") == 2
    assert f"generator.ckpt holds a generator alone, of which no run can go on; init_from={file} " in (
        capfd.readouterr().err
    )


def test_what_was_automatic_stays_as_it_was(photo_folder, tmp_path, capfd, monkeypatch):
    """A run that began on a machine without a GPU goes on where there is one, on crops of the same size."""
    folder = tmp_path / "run"
    parts = [part for part in SMALL if not part.startswith(("data.crop", "data.validation", "trainer.val_check"))]
    settings = [*parts, "data=folder", f"data.root={photo_folder}", "data.validation=0.2", f"hydra.run.dir={folder}"]
    assert command(train, *settings) == 0
    said = capfd.readouterr().out
    for line in ("data.crop=auto: 64 px", "data.validation_crops=auto: ", "trainer.val_check_interval=auto: "):
        assert line in said
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["data"]["crop"] == 64 and config["data"]["validation_crops"] == 32
    assert config["trainer"]["val_check_interval"] == config["callbacks"]["checkpoint"]["every"] == 3
    monkeypatch.setattr("inpaint.data.automatic.crop", lambda source: 32)
    assert command(train, *settings) == 0 and "is finished, nothing to do" in capfd.readouterr().out
    assert command(train, *settings, "trainer.max_steps=4") == 0
    assert "changed since: trainer.val_check_interval 3 -> auto" in capfd.readouterr().out
    assert yaml.safe_load((folder / "config.yaml").read_text())["data"]["crop"] == 64


def test_what_may_change_is_said(stopped, capfd):
    changes = [
        "generator_optimizer.lr=5e-4",
        "losses.l1.weight=2",
        "trainer.max_steps=4",
        "trainer.precision=bf16-mixed",
    ]
    assert command(train, *SMALL, f"hydra.run.dir={stopped}", *changes) == 0
    told = capfd.readouterr().out
    for line in (
        "generator_optimizer.lr 0.001 -> 0.0005",
        "generator_scheduler.steps 3 -> 4",
        "losses.l1.weight 1.0 -> 2",
        "trainer.max_steps 3 -> 4",
        "trainer.precision 32-true -> bf16-mixed",
    ):
        assert f"  changed since: {line}\n" in told
    (group,) = checkpoint.load(stopped)["optimizer_states"][0]["param_groups"]
    assert group["initial_lr"] == 5e-4 and group["lr"] == 0  # at the end of half a cosine


def test_a_new_rate_takes_effect_with_the_old_moments(tmp_path):
    run(tmp_path, updates=4)
    moments = checkpoint.load(tmp_path)["optimizer_states"][0]["state"]
    rates = []

    def look(when, trainer):
        if when == "update":
            rates.append([group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups])
            if trainer.global_step == 4:
                own = trainer.optimizers[0].state_dict()["state"]
                assert all(torch.equal(own[name]["exp_avg"], moments[name]["exp_avg"]) for name in moments)

    optimization = {"generator_optimizer": {"lr": 2e-3}, "discriminator_optimizer": {"lr": 2e-3}}
    run(tmp_path, updates=7, act=look, lr=2e-3, steps=40, config={"name": "tiny", **optimization})
    cosine = [(1 + math.cos(math.pi * update / 40)) / 2 for update in (4, 5, 6)]
    assert rates == [[2e-3 * share, 2e-3] for share in cosine]


def test_another_number_of_devices_is_refused_within_an_epoch(tmp_path):
    assert fork(tmp_path, updates=3) == 0
    assert fork_two(tmp_path, updates=4) == [1, 1]
    assert latest_valid(tmp_path).name == "update_00000003.ckpt"


def test_another_architecture_under_the_same_config_is_named(tmp_path):
    """As a change of the code makes it."""
    run(tmp_path, updates=1)
    with pytest.raises(
        CheckpointError, match=r"written by inpaint \S+, holds other networks .*missing: generator\."
    ) as e:
        check_fit(checkpoint.load(tmp_path), module(ResidualUNet(width=4, levels=2)))
    assert "of another shape: " in str(e.value) or "unexpected: " in str(e.value)
    check_fit(checkpoint.load(tmp_path), module())
