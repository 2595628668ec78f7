"""A run that is killed and goes on has the same id and an axis that never goes back.

Real: `inpaint-train`, SIGKILL, wandb's client, `wandb sync`. Stand-in: the server, on this machine.
"""

import json
import os
import subprocess
import sys
import time

from tests.commands import SMALL
from tests.reliability.commands import run, start
from tests.training.wandb_records import sessions
from tests.training.wandb_server import serving


def test_killed_and_continued(tmp_path):
    settings = ["logger=wandb", "logger.wandb.mode=offline", "baselines=[]", "hydra.run.dir=one"]
    settings += ["~callbacks.panel", "callbacks.checkpoint.every=4", "trainer.val_check_interval=3"]
    settings += ["scheduler@generator_scheduler=none"]
    small = [setting for setting in SMALL if "panel" not in setting]
    data = tmp_path / "data"
    training = start("train", *small, *settings, "trainer.max_steps=100000", cwd=tmp_path, WANDB_DATA_DIR=f"{data}")
    progress, until = tmp_path / "one" / "wandb_progress.json", time.monotonic() + 120
    while not (progress.is_file() and json.loads(progress.read_text())["update"] >= 6):
        assert training.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    training.kill()
    training.wait()
    last = json.loads(progress.read_text())["update"]
    saved = max(int(path.stem[-8:]) for path in (tmp_path / "one" / "checkpoints").glob("*.ckpt"))
    assert saved <= last + 1
    end = f"trainer.max_steps={last + 6}"
    run("train", *small, *settings, end, cwd=tmp_path, WANDB_DATA_DIR=f"{data}")

    first, second = sessions(tmp_path / "one")
    assert first.run_id == second.run_id == (tmp_path / "one" / "wandb_id.txt").read_text().strip()
    rows = [row for stored in (first, second) for row in stored.history]
    updates = [row["update"] for row in rows]
    assert updates == sorted(updates) and updates[-1] == last + 6
    steps = [row["_step"] for row in rows]
    assert steps == sorted(set(steps))
    # Rows that were on their way to the client's file when the process died are lost; none is said twice.
    trained = [row["update"] for row in rows if "train/l1" in row]
    lost = sorted(set(range(last + 6)) - set(trained))
    assert len(trained) == len(set(trained)) and lost == list(range(last + 1 - len(lost), last + 1))

    with serving() as server:
        folders = sorted(map(str, (tmp_path / "one" / "wandb").glob("offline-run-*")))
        sync = [sys.executable, "-m", "wandb", "sync", *folders]
        environment = {**os.environ, "WANDB_DATA_DIR": f"{data}"} | server.environment()
        done = subprocess.run(sync, env=environment, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        assert [row["update"] for row in server.history[first.run_id]] == updates, "one run there, with all rows"
