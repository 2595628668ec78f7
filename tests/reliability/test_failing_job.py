"""One failing job of three. The others complete, the sweep exits 1, the table names it and its error."""

from pathlib import Path

from inpaint.sweep.grid import read_jobs
from inpaint.train import run
from tests.sweeps import TINY


def test_one_of_three_real_runs_fails(start):
    done = start(run, *TINY, "data.crop=16,1000,24")
    jobs = read_jobs(Path("sweep"))
    assert done.code == 1 and [job.status for job in jobs] == ["finished", "failed", "finished"]
    table = done.out[done.out.rindex("overrides") :]
    assert "failed: data" in table and "data.crop=1000" in table
    for number in (0, 2):
        assert set(jobs[number].values) >= {"hole_psnr", "hole_l1", "ssim", "ms", "parameters", "updates"}
        assert Path("sweep", str(number), "results.csv").is_file()
    assert not Path("sweep/1/results.csv").exists() and Path("sweep/1/error.txt").is_file()
