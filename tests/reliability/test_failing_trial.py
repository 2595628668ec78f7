"""A search with a failing trial goes on; begun again, it adds trials and repeats none."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from inpaint.cli.job import Job
from inpaint.sweep.pruning import open_storage

SEARCH = ("+sweep=optuna", "sweep.trials=4", "lr=interval(0,1)")


def study():
    return optuna.load_study(study_name="search", storage=open_storage("sqlite:///sweep/study.db"))


def test_a_failing_trial_is_recorded_and_the_study_goes_on(sweep):
    tried = []

    def fails_at_one(cfg):
        tried.append(cfg.sweep.trial)
        if cfg.sweep.trial == 1:
            raise MemoryError("out of memory")
        return {"hole_psnr": cfg.lr}

    done = sweep(fails_at_one, *SEARCH)
    C, F = TrialState.COMPLETE, TrialState.FAIL
    assert done.code == 0 and [trial.state for trial in study().trials] == [C, F, C, C]
    assert study().trials[1].user_attrs["came_out"]["error"] == "MemoryError: out of memory"
    assert "failed: MemoryError: out of memory" in done.out and "1 fail" in done.out
    sweep(fails_at_one, *SEARCH, "sweep.trials=6")
    assert tried == [0, 1, 2, 3, 4, 5] and len(study().trials) == 6
    before = Path("sweep/optuna.json").read_text()
    assert sweep(fails_at_one, *SEARCH, "sweep.trials=6").code == 0
    assert len(tried) == 6 and Path("sweep/optuna.json").read_text() == before


def test_an_interrupted_trial_goes_on_with_its_settings(sweep):
    seen = []

    def interrupted_at_one(cfg):
        seen.append((cfg.sweep.trial, cfg.lr))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return {"hole_psnr": cfg.lr}

    with pytest.raises(KeyboardInterrupt):
        sweep(interrupted_at_one, *SEARCH)
    assert study().trials[1].state == TrialState.RUNNING and Job.read(Path("sweep/1")).status == "running"
    sweep(interrupted_at_one, *SEARCH)
    assert [number for number, _ in seen] == [0, 1, 1, 2, 3] and seen[1] == seen[2]
    assert [trial.state for trial in study().trials] == [TrialState.COMPLETE] * 4
    assert [trial.params["lr"] for trial in study().trials] == [lr for _, lr in (seen[0], *seen[2:])]


def test_a_trial_that_ended_and_was_not_told_is_not_repeated(sweep, monkeypatch):
    seen = []

    def counted(cfg):
        seen.append(cfg.sweep.trial)
        return {"hole_psnr": cfg.lr}

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("inpaint.sweep.search._tell", killed)
        sweep(counted, *SEARCH)
    sweep(counted, *SEARCH)
    assert seen == [0, 1, 2, 3]
    assert [trial.value for trial in study().trials] == [trial.params["lr"] for trial in study().trials]
