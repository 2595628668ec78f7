"""What is said of a command line that does not fit: the setting at fault, what is wrong with it, and what to write."""

import pytest
from hydra._internal.utils import get_args_parser

from inpaint import evaluate, preview, train
from inpaint.cli.command import call
from inpaint.cli.explain import FLAGS, no_setting
from inpaint.config import check
from inpaint.settings import Refused

WRONG = {
    "an unset variable": (
        ["data=folder", "data.root=${oc.env:NOWHERE_X}"],
        "data.root: the environment has no variable NOWHERE_X; set it (export NOWHERE_X=...), or give data.root=...",
    ),
    "an unset variable in a path of the command's own": (
        ["hydra.run.dir=${oc.env:NOWHERE_X}/a"],
        "hydra.run.dir: the environment has no variable NOWHERE_X; set it",
    ),
    "a reference to nothing": (
        ["name=${data.cropp}"],
        "name: it refers to data.cropp, which is no setting; did you mean",
    ),
    "an unknown resolver": (["seed=${oc.nope:1}"], "Unsupported interpolation type oc.nope"),
    "a typo beside a search": (
        ["+sweep=optuna", "generator_optimizer.lrr=1", "adversarial=hinge,lsgan"],
        "generator_optimizer.lrr: no such setting; did you mean generator_optimizer.lr?",
    ),
    "an option that is not there beside a search": (
        ["+sweep=optuna", "adversarial=hinge,lsgan", "generator=aott"],
        "generator=aott: no such option; did you mean aot?",
    ),
    "a sweep without -m": (
        ["adversarial=hinge,lsgan"],
        "adversarial: several values; -m runs a job for each of hinge,lsgan",
    ),
    "a setting of another option": (
        ["data.root=photos"],
        "of the option that was chosen; data=dead_leaves, data=folder, data=frames, data=pan_and_zoom have it",
    ),
    "a setting of other options": (
        ["data.masks_root=x", "data.counts=y"],
        "data.masks_root: no such setting of the option that was chosen; data=folder has it",
    ),
    "a word": (["seed"], "seed: settings are given as KEY=VALUE"),
    "a word like another": (["baseline"], "baseline: settings are given as KEY=VALUE; did you mean baselines?"),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_setting_at_fault_is_named(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # Hydra makes a run's folder before it knows what the settings are
    overrides, message = WRONG[case]
    with pytest.raises(Refused) as refused:
        call("train", check, overrides)
    assert message in str(refused.value), refused.value
    assert "Ambiguous" not in str(refused.value)


DASHED = {
    "--images x": (["checkpoint=a", "--images", "x y"], "--images: settings have no dashes; write 'images=x y'"),
    "--images=x": (["--images=x"], "--images: settings have no dashes; write images=x"),
    "-images": (["-images", "x"], "-images: settings have no dashes; write images=x"),
    "--batch-size": (["--batch-size", "4"], "--batch-size: settings have no dashes; write data.batch_size=4"),
    "nothing follows": (["--images", "holes=y"], "--images: settings have no dashes; write images=..."),
    "none": (
        ["--imagse", "x"],
        "--imagse: settings have no dashes, and there is none called imagse",
    ),
    "=": (["=3"], "=3: no setting stands before the ="),
}


@pytest.mark.parametrize("case", DASHED)
def test_a_setting_with_dashes_is_answered_with_one_without(case):
    arguments, message = DASHED[case]
    assert (no_setting("evaluate", arguments) or "").startswith(message)


def test_the_commands_say_so(command):
    assert "write images=x" in command(evaluate, "--images", "x", code=2)
    assert "no such setting" in command(preview, "maskss.area=1", code=2)
    assert "=3: no setting" in command(train, "=3", code=2)
    said = command(train, "data=folder", "data.root='${oc.env:NOWHERE_X}'", code=2)
    assert said.count("\n") == 1 and said.startswith("inpaint-train: data.root: the environment has no variable")


def test_flags_are_hydras():
    parser = get_args_parser()
    assert {flag for action in parser._actions for flag in action.option_strings} == {*FLAGS}
    assert no_setting("train", [*FLAGS, "--conf", "-m", "seed=1", "-1"]) is None
