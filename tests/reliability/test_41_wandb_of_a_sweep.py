"""Each job of a sweep is a run of its own, in the sweep's group, failed if it failed, without secrets. Items 31, 41.

Real: `inpaint-train -m` with a job whose loss becomes infinite, wandb's client. Stand-in: the secrets.
"""

from tests.test_commands import SMALL, run
from tests.wandb_records import sessions
from tests.wandb_server import ACCOUNT

SECRETS = {"WANDB_API_KEY": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG", "PASSPHRASE": "correct horse"}


def test_jobs_of_a_sweep(tmp_path):
    settings = ["logger=wandb", "baselines=[]", "hydra.sweep.dir=multirun/first", "adversarial=none"]
    rates = "generator_optimizer.lr=1e30,1e-4"
    run("train", "-m", *SMALL[:-1], *settings, rates, cwd=tmp_path, code=1, WANDB_MODE="offline", **SECRETS)
    jobs = [sessions(tmp_path / "multirun" / "first" / job) for job in "01"]
    assert [len(job) for job in jobs] == [1, 1]
    failed, good = (job[0] for job in jobs)
    assert failed.run_id != good.run_id and (failed.exit_code, good.exit_code) == (1, 0)
    assert {stored.runs[-1].run_group for stored in (failed, good)} == {"first"}
    assert good.config["generator_optimizer.lr"] == 1e-4 and failed.config["generator_optimizer.lr"] == 1e30
    assert "test/hole_psnr" in good.history[-1] and "test/hole_psnr" not in failed.history[-1]
    written = b"".join(path.read_bytes() for path in (tmp_path / "multirun").rglob("*") if path.is_file())
    assert written and not [name for name, value in SECRETS.items() if value.encode() in written]
