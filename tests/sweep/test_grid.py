"""Grids: every combination, failures that stop nothing, restarts that repeat nothing."""

import json
import logging
from pathlib import Path

import pytest

from inpaint.cli.isolation import RUNNING
from inpaint.cli.job import Job
from inpaint.files.folder import only_one
from inpaint.sweep.grid import read_jobs


def psnr_of_the_seed(cfg):
    return {"hole_psnr": 20.0 + cfg.seed, "parameters": 7}


def fails_at_one(cfg):
    if cfg.seed == 1:
        raise RuntimeError("first line\nthe seed is one")
    return psnr_of_the_seed(cfg)


def test_every_combination_in_hydras_order(sweep):
    done = sweep(psnr_of_the_seed, "seed=range(0,3)", "trainer.max_steps=5,6", "name=x")
    jobs = read_jobs(Path("sweep"))
    assert done.code == 0 and len(jobs) == 6 and {job.status for job in jobs} == {"finished"}
    assert [job.overrides[:2] for job in jobs[:3]] == [
        ["seed=0", "trainer.max_steps=5"], ["seed=0", "trainer.max_steps=6"], ["seed=1", "trainer.max_steps=5"],
    ]  # fmt: skip
    assert [job.values["hole_psnr"] for job in jobs] == [20, 20, 21, 21, 22, 22]
    assert [Path(job.folder).name for job in jobs] == list("012345")
    assert "in all jobs  name=x" in done.out and "(6 of 6)" in done.out


def test_a_job_prints_a_line_and_its_own_log_has_the_rest(sweep):
    def talkative(cfg):
        print("many\nlines")
        logging.getLogger("inpaint.anything").info("a note")
        logging.getLogger("inpaint.anything").warning("look here")
        return psnr_of_the_seed(cfg)

    done = sweep(talkative, "seed=0,1")
    jobs = [line for line in done.out.splitlines() if line.startswith("job ") and "finished" in line]
    assert [line.partition(" finished in")[0] for line in jobs] == ["job 0", "job 1"] and jobs[1].endswith(": seed=1")
    assert "many" not in done.out and "a note" not in done.out and "job 1: look here" in done.out
    for number in (0, 1):
        log = Path(f"sweep/{number}/job.log").read_text().splitlines()
        assert log[:2] == ["many", "lines"] and any("a note" in line for line in log)
    sweep(talkative, "seed=0,1")  # nothing is done again, and nothing is added
    assert Path("sweep/1/job.log").read_text().splitlines() == log


def test_a_failing_job_is_named_with_the_last_line_of_its_error(sweep):
    done = sweep(fails_at_one, "seed=0,1,2")
    assert done.code == 1
    assert [job.status for job in read_jobs(Path("sweep"))] == ["finished", "failed", "finished"]
    table = done.out[done.out.index("overrides") :]
    assert "failed: the seed is one" in table and "22.00" in table
    assert "job 1 failed: RuntimeError: first line" in done.err
    assert "in fails_at_one" in Path("sweep/1/error.txt").read_text()


def test_a_restart_does_what_is_missing_and_returns_the_rest(sweep):
    sweep(fails_at_one, "seed=0,1,2")
    done = []

    def counted(cfg):
        done.append(cfg.seed)
        return psnr_of_the_seed(cfg)

    again = sweep(counted, "seed=0,1,2")
    assert again.code == 0 and done == [1]
    assert [job.values["hole_psnr"] for job in read_jobs(Path("sweep"))] == [20, 21, 22]
    sweep(counted, "seed=0,1,2,3")  # more values are more jobs
    assert done == [1, 3]


def test_another_sweep_in_the_folder_is_refused(sweep):
    sweep(psnr_of_the_seed, "seed=0,1")
    before = Path("sweep/jobs.json").read_text()
    done = sweep(psnr_of_the_seed, "seed=0,2")
    assert done.code == 2 and Path("sweep/jobs.json").read_text() == before
    assert done.err.startswith("inpaint-train: hydra.sweep.dir: sweep holds another sweep: its job 1 was seed=1, now")


def test_a_job_folder_with_another_job_is_refused_and_kept(sweep):
    sweep(psnr_of_the_seed, "seed=0,1")
    Path("sweep/jobs.json").unlink()
    before = Path("sweep/1/job.json").read_text()
    done = sweep(psnr_of_the_seed, "seed=0,2")
    assert done.code == 1 and "1 holds another job (seed=1)" in " ".join(done.out.split())
    assert Path("sweep/1/job.json").read_text() == before


def test_how_a_sweep_is_run_may_change_between_restarts(sweep):
    sweep(psnr_of_the_seed, "seed=0,1")
    assert sweep(fails_at_one, "seed=0,1", "+sweep.gpu_a_job=false").code == 0


def test_a_half_done_job_goes_on(sweep):
    def interrupted(cfg):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(interrupted, "seed=0,1")
    assert Job.read(Path("sweep/0")).status == "running" and not Path("sweep/1").exists()
    assert sweep(psnr_of_the_seed, "seed=0,1").code == 0


def test_one_process_at_a_time(sweep, monkeypatch):
    monkeypatch.setattr("inpaint.sweep.grid.only_one", lambda *rest, patience: only_one(*rest))
    with only_one(Path("sweep", RUNNING), ""):
        done = sweep(psnr_of_the_seed, "seed=0,1")
    assert done.code == 2 and "a sweep in sweep is at work in another process" in done.err
    with only_one(Path("sweep/0/job.lock"), ""):
        done = sweep(psnr_of_the_seed, "seed=0,1")
    assert done.code == 1 and "job 0 in " in done.out and "is at work in another process" in done.out
    assert sweep(psnr_of_the_seed, "seed=0,1").code == 0


def test_bad_values_are_refused_before_any_job(sweep):
    done = sweep(psnr_of_the_seed, "seed=0,1", "trainer.max_step=2")
    assert done.code == 2 and "trainer.max_step: no such setting" in done.err and not Path("sweep/0").exists()


def test_batches_and_values_from_a_config(sweep):
    with Path("conf/train.yaml").open("a") as conf:
        conf.write("hydra: {sweeper: {max_batch_size: 2, params: {seed: 'range(0,3)'}}}\n")
    assert sweep(psnr_of_the_seed, "name=x").code == 0
    jobs = read_jobs(Path("sweep"))
    assert [job.overrides for job in jobs] == [[f"seed={k}", "name=x"] for k in range(3)]
    assert [Path(job.folder).name for job in jobs] == ["0", "1", "2"]


def test_other_sweepers_hear_of_errors_as_before(sweep):
    plain = "hydra.sweeper._target_=hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
    with pytest.raises(RuntimeError, match="the seed is one"):
        sweep(fails_at_one, "seed=0,1,2", plain)
    assert not Path("sweep/jobs.json").exists()


def test_ranks_other_than_the_first_write_nothing(sweep, monkeypatch):
    """As in a job of SLURM, whose tasks all run it."""
    monkeypatch.setenv("SLURM_PROCID", "1")
    sweep(psnr_of_the_seed, "seed=0,1")
    assert not Path("sweep/0/job.json").exists()


def test_ranks_do_not_sweep_by_themselves(sweep, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = sweep(psnr_of_the_seed, "seed=0,1")
    assert done.code == 2 and "each rank would run a sweep of its own" in done.err and not Path("sweep/0").exists()


def test_records_are_json(sweep):
    sweep(psnr_of_the_seed, "seed=3")
    record = json.loads(Path("sweep/0/job.json").read_text())
    assert record["status"] == "finished" and record["values"] == {"hole_psnr": 23.0, "parameters": 7.0}
