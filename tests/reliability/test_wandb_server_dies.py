"""A server that goes away while a run is going on: the run does not notice, and its end does not wait.

Real: `inpaint-train`, wandb's client. Stand-in: the server, which ends after a few updates.
"""

import csv
import json
import os
import subprocess
import sys
import time

import pytest

from tests.commands import ROOT, SMALL
from tests.reliability.commands import LIMIT
from tests.training.wandb_records import sessions
from tests.training.wandb_server import serving


@pytest.mark.slow
def test_the_server_dies_mid_run(tmp_path):
    settings = ["logger=wandb", "logger.wandb.finish_timeout=2", "baselines=[]", "hydra.run.dir=one"]
    small = [setting for setting in SMALL if "panel" not in setting]
    longer = ["trainer.max_steps=100000", "+trainer.max_time=00:00:00:05", "trainer.val_check_interval=100000"]
    longer += ["~callbacks.panel", "callbacks.checkpoint.every=100000", "generator.width=4"]
    with serving() as server:
        training = subprocess.Popen(
            [sys.executable, "-m", "inpaint.train", *small, *settings, *longer],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), **server.environment()},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        progress, until = tmp_path / "one" / "wandb_progress.json", time.monotonic() + LIMIT
        while not (progress.is_file() and json.loads(progress.read_text())["update"] >= 1):
            assert training.poll() is None and time.monotonic() < until
            time.sleep(0.05)
    printed, _ = training.communicate(timeout=240)
    assert training.returncode == 0, printed[-3000:]
    said = [line for line in printed.splitlines() if line.startswith("wandb: ")]
    assert "wandb: not all was sent in 2 s; later: wandb sync" in printed and "next:" in printed, said
    written = list(csv.DictReader((tmp_path / "one" / "metrics.csv").open()))
    (stored,) = sessions(tmp_path / "one")
    updates = {int(row["step"]) for row in written}
    assert updates <= {row["update"] for row in stored.history}, "the client keeps what it could not send"
    assert max(updates) > 1 and not server.history
