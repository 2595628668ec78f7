"""A sweep of wandb's: its own agent starts `inpaint-train` with what experiments/wandb_sweep.yaml has.

Real: `wandb agent`, the file's command and parameters, the run that the agent starts, wandb's client in it. Stand-in:
the server, which plans one run, with further settings that make it small.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.commands import ROOT
from tests.sweeps import TINY
from tests.training.wandb_server import serving


@pytest.mark.slow
def test_the_agent_starts_the_run_that_the_server_plans(tmp_path):
    text = (ROOT / "experiments" / "wandb_sweep.yaml").read_text()
    chosen = {
        name: setting.get("value", setting.get("min", setting.get("values", [None])[0]))
        for name, setting in yaml.safe_load(text)["parameters"].items()
    }
    chosen |= dict(setting.split("=", 1) for setting in (*TINY, "logger.wandb.mode=online"))
    plan = [
        {
            "type": "run",
            "id": "c",
            "run_id": "planned1",
            "program": "",
            "args": {k: {"value": v} for k, v in chosen.items()},
        }
    ]
    with serving() as server:
        answer = server.graphql

        def graphql(name, variables):
            if name == "Viewer":
                return {"viewer": {"id": "v", "entity": "e", "username": "e", "flags": "{}", "teams": {"edges": []}}}
            if name == "SweepWithRuns":
                return {"project": {"sweep": {"config": text, "runs": {"edges": []}}}}
            if name == "CreateAgent":
                return {"createAgent": {"agent": {"id": "a"}}}
            if name == "Heartbeat":
                commands, plan[:] = list(plan), []
                return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(commands)}}
            return answer(name, variables)

        server.graphql = graphql
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, **server.environment(), "PYTHONPATH": str(ROOT), "PATH": path}
        agent = [sys.executable, "-m", "wandb", "agent", "--count", "1", "e/p/planned"]
        done = subprocess.run(agent, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (server.asked, done.stderr[-3000:])
        history = server.history["planned1"]
    folder = tmp_path / "runs" / "planned" / "planned1"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["figures"]["hole_psnr"] == history[-1]["test/hole_psnr"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (
        config["generator_optimizer"]["lr"] == chosen["generator_optimizer.lr"] and config["trainer"]["max_steps"] == 2
    )
    assert (folder / "wandb_id.txt").read_text() == "planned1\n"
