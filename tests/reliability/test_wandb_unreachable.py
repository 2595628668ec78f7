"""A server that cannot be reached costs seconds before the start, one line, and nothing else.

Real: `inpaint-train`, wandb's client. Stand-in: an address from where nothing comes back.
"""

import csv

import pytest

from inpaint.training import wandb_client
from tests.commands import SMALL, run
from tests.training.wandb_records import sessions
from tests.training.wandb_server import ACCOUNT, black_hole, silent


@pytest.mark.parametrize("kind", [black_hole, pytest.param(silent, marks=pytest.mark.slow)])
def test_training_starts_offline(kind, tmp_path):
    with kind() as url:
        settings = ["logger=wandb", "baselines=[]", "trainer.max_steps=2", "hydra.run.dir=one"]
        account = {"WANDB_BASE_URL": url, "WANDB_API_KEY": ACCOUNT}
        done = run("train", *SMALL, *settings, cwd=tmp_path, **account)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("wandb:")]
    assert len(said) == 1 and said[0].startswith(f"wandb: offline ({url} "), said
    assert len(list(csv.DictReader((tmp_path / "one" / "metrics.csv").open()))) >= 2
    assert sessions(tmp_path / "one")[0].exit_code == 0


def test_the_probe_ends_in_time():
    """The limit itself is tested by `test_wandb_logger.py`, at a smaller one; this is the promise of ten seconds."""
    assert wandb_client.PROBE_SECONDS + 1 <= 10
