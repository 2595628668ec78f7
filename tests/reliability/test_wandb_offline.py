"""Offline, nothing is asked of anybody, account or not.

Real: `inpaint-train`, wandb's client, its files, `wandb sync`. Stand-in: the server, on this machine.
"""

import os
import subprocess
import sys

import pytest

from tests.commands import SMALL
from tests.training.wandb_records import sessions
from tests.training.wandb_server import serving

# Any connection that Python itself would open beyond this machine is an error. The client's own process can only go
# where the settings say, which is the tests' server.
ALONE = """
import socket, sys
connect = socket.socket.connect
def refuse(self, address):
    if isinstance(address, tuple) and not address[0].startswith("127."):
        raise AssertionError(f"a connection to {address}")
    return connect(self, address)
socket.socket.connect = refuse
from inpaint.train import main
main()
"""


@pytest.mark.slow
def test_offline_asks_nobody_and_syncs_later(tmp_path):
    with serving() as server:
        account = server.environment() | {"https_proxy": server.url, "http_proxy": server.url}
        fewer = [*(s for s in SMALL if "panel" not in s), "~callbacks.panel", "trainer.max_steps=2", "baselines=[]"]
        settings = ["logger=wandb", "logger.wandb.mode=offline", "hydra.run.dir=one"]
        done = subprocess.run(
            [sys.executable, "-c", ALONE, *fewer, *settings],
            cwd=tmp_path, env={**os.environ, **account, "WANDB_DATA_DIR": str(tmp_path / "data")},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        assert server.asked == [] and "wandb: offline; later: wandb sync" in done.stdout
        (stored,) = sessions(tmp_path / "one")
        assert stored.exit_code == 0 and len(stored.history) >= 4
        (folder,) = (tmp_path / "one" / "wandb").glob("offline-run-*")
        sync = [sys.executable, "-m", "wandb", "sync", str(folder)]
        subprocess.run(sync, env={**os.environ, **server.environment()}, capture_output=True, timeout=60)
        assert [row["update"] for row in server.history[stored.run_id]] == [row["update"] for row in stored.history]
