"""The logger with wandb's real client: offline by what it stores, and with servers of this machine in a bad way."""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from inpaint.batch import to_uint8
from inpaint.config import check
from inpaint.training import wandb_client, wandb_logger
from inpaint.training.wandb_client import why_unreachable
from inpaint.training.wandb_logger import WandbLogger, sweep_of, tags_of
from tests.options import compose
from tests.training import wandb_records
from tests.training.wandb_server import ACCOUNT, black_hole, closed, serving, silent


@pytest.fixture(autouse=True)
def client(monkeypatch, tmp_path):
    """A client that knows nothing of the account and settings of whoever runs the tests."""
    import wandb

    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    monkeypatch.setattr("wandb.sdk.lib.wbauth.authenticate._session_auth", None)
    wandb.teardown()
    yield
    wandb.teardown()


def logged(folder, updates, end="finished", **settings):
    """A session that logs a falling loss, and a validation at each second update."""
    logger = WandbLogger(str(folder), **{"mode": "offline", **settings})
    for update in updates:
        logger.log_metrics({"train/l1": 1 / (update + 1)}, update)
        if update % 2:
            logger.log_metrics({"val/hole_psnr": float(30 - abs(update - 3)), "val/hole_l1": float(update)}, update)
    logger.end(end)
    return logger


def sessions(folder):
    import wandb

    wandb.teardown()
    return wandb_records.sessions(folder)


# ---- what is stored ---------------------------------------------------------------------------------------------


def test_config_axis_best_values_alert_and_end(tmp_path):
    logger = WandbLogger(str(tmp_path), name="mine", group="first", tags={"data": "photos"}, mode="offline")
    logger.log_config({"generator.width": 8, "losses": ["l1"], "versions.commit": "abc"})
    logger.log_metrics({"val/hole_psnr": 20.0, "val/hole_l1": 5.0, "epoch": 0}, 1)
    logger.log_metrics({"val/hole_psnr": 19.0, "val/hole_l1": 4.0, "epoch": 0}, 3)
    logger.log_metrics({"val/hole_psnr": float("nan")}, 5)
    logger.alert("collapse", "the outputs do not depend on the input")
    logger.end("failed")
    (stored,) = sessions(tmp_path)
    assert stored.config["generator.width"] == 8 and stored.config["losses"] == ["l1"]
    run = stored.runs[-1]
    assert (run.display_name, run.run_group, run.job_type, list(run.tags)) == (
        "mine",
        "first",
        "train",
        ["data=photos"],
    )
    assert [row["update"] for row in stored.history] == [1, 3, 5]
    assert {m.step_metric for m in stored.metrics if m.glob_name == "*"} == {"update"}
    best = {"hole_psnr": 20.0, "hole_psnr_update": 1, "hole_l1": 4.0, "hole_l1_update": 3}
    assert {f"best/{name}": value for name, value in best.items()}.items() <= stored.summary.items()
    assert [(alert.title, alert.level) for alert in stored.alerts] == [("collapse", "WARN")]
    assert stored.exit_code == 1
    assert (tmp_path / "wandb_id.txt").read_text().strip() == stored.run_id == logger.version


def test_a_continued_run_has_its_id_and_says_nothing_twice(tmp_path):
    logged(tmp_path, range(6))
    # From a checkpoint at update 2, and of the last update one figure more than before.
    logged(tmp_path, range(2, 9))
    again = WandbLogger(str(tmp_path), mode="offline")
    again.log_metrics({"train/l1": 0.0}, 8)
    again.log_metrics({"train/l1": 0.0, "test/hole_psnr": 21.0}, 8)
    again.end("finished")
    first, second, third = sessions(tmp_path)
    assert first.run_id == second.run_id == third.run_id
    rows = [row for stored in (first, second, third) for row in stored.history]
    updates = [row["update"] for row in rows]
    assert updates == sorted(updates) and set(updates) == set(range(9))
    assert [row["update"] for row in rows if "train/l1" in row] == list(range(9))
    assert third.history[0] | {"test/hole_psnr": 21.0, "update": 8} == third.history[0] and len(third.history) == 1
    steps = [row["_step"] for row in rows]
    assert steps == list(range(len(rows))), "the client's own step goes on too"
    # The best value of the first session stays the best, and is in the summary of each.
    assert [stored.summary["best/hole_psnr"] for stored in (first, second, third)] == [30.0] * 3
    assert third.summary["best/hole_psnr_update"] == 3 and third.summary["best/hole_l1"] == 1.0


def test_another_id_in_the_folder_begins_anew(tmp_path):
    logged(tmp_path, range(4))
    (tmp_path / "wandb_id.txt").unlink()
    (tmp_path / "wandb_progress.json").write_text("")  # and what cannot be read is nothing
    logged(tmp_path, range(2))
    first, second = sorted(sessions(tmp_path), key=lambda stored: -len(stored.history))
    assert first.run_id != second.run_id and [row["update"] for row in second.history] == [0, 1, 1]


def test_runs_of_one_process_are_runs_of_their_own_and_leave_nothing(tmp_path):
    before = dict(os.environ)
    unfinished = WandbLogger(str(tmp_path / "0"), mode="offline")
    unfinished.log_metrics({"train/l1": 1.0}, 0)
    logged(tmp_path / "1", range(2), end="failed")
    logged(tmp_path / "2", range(2))
    stored = [sessions(tmp_path / name)[0] for name in "012"]
    assert len({one.run_id for one in stored}) == 3
    assert [len(one.history) for one in stored] == [1, 3, 3]
    assert [one.exit_code for one in stored[1:]] == [1, 0]
    import wandb

    assert wandb.run is None
    assert {name for name in os.environ if os.environ[name] != before.get(name)} <= {"WANDB_SERVICE"}


def test_a_table_of_samples_has_index_area_and_pictures(tmp_path, batch):
    image, mask = batch["image"].repeat(3, 1, 1, 1), batch["mask"].repeat(3, 1, 1, 1)
    logger = WandbLogger(str(tmp_path), mode="offline")
    logger.log_samples("samples", torch.arange(12) + 40, mask, {"truth": image, "hole": image * (1 - mask)}, 7)
    logger.end("finished")
    staged = {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in tmp_path.glob("home/artifacts/staging/*")}
    (table,) = (json.loads(file.read_bytes()) for file in staged.values() if b'"columns"' in file.read_bytes())
    assert table["columns"] == ["index", "hole area (%)", "truth", "hole"]
    assert [row[0] for row in table["data"]] == list(range(40, 48)), "at most 8 rows"
    for number, row in enumerate(table["data"]):
        assert row[1] == pytest.approx(100 * float(mask[number].mean()), abs=0.01)
        for column, pictures in ((2, image), (3, image * (1 - mask))):
            shown = torch.from_numpy(np.array(Image.open(staged[row[column]["sha256"]]))).permute(2, 0, 1)
            assert torch.equal(shown, to_uint8(pictures[number]))
    assert [row["update"] for row in sessions(tmp_path)[0].history] == [7]


@pytest.mark.parametrize(
    ("end", "code", "preempted", "tags"),
    [
        ("finished", 0, False, []),
        ("failed", 1, False, []),
        ("stopped", 1, True, []),
        ("pruned", 0, False, ["end=pruned"]),
    ],
)
def test_only_what_failed_is_marked_failed(tmp_path, end, code, preempted, tags):
    logged(tmp_path, range(2), end=end, tags={"data": "photos"})
    (stored,) = sessions(tmp_path)
    assert (stored.exit_code, stored.preempted) == (code, preempted)
    assert list(stored.runs[-1].tags) == ["data=photos", *tags]


def test_the_generator_is_an_artifact(tmp_path):
    file = tmp_path / "generator.ckpt"
    file.write_bytes(b"trained weights")
    logger = WandbLogger(str(tmp_path), mode="offline", log_model=True)
    logger.log_generator(file, {"updates": 4, "hole_psnr": 20.5})
    file.unlink()  # the client has a copy
    logger.end("finished")
    ((artifact,),) = (stored.artifacts for stored in sessions(tmp_path))
    assert (artifact.name, artifact.type) == (f"generator-{logger.version}", "model")
    assert json.loads(artifact.metadata) == {"updates": 4, "hole_psnr": 20.5} and list(artifact.aliases) == ["latest"]
    (content,) = artifact.manifest.contents
    assert (content.path, Path(content.local_path).read_bytes()) == ("generator.ckpt", b"trained weights")
    assert base64.b64decode(content.digest) == hashlib.md5(b"trained weights").digest()


def test_secrets_of_the_environment_are_nowhere(tmp_path, monkeypatch):
    secrets = {
        "WANDB_API_KEY": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
        "PASSPHRASE": "correct horse",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    logged(tmp_path, range(2))
    written = b"".join(path.read_bytes() for path in (tmp_path / "wandb").rglob("*") if path.is_file())
    assert written and not [name for name, value in secrets.items() if value.encode() in written]


# ---- names ------------------------------------------------------------------------------------------------------


def test_tags_and_group(tmp_path):
    given = {"experiment": None, "generator": "aot", "losses": ["l1", "style"], "data": "", "x": "y" * 80}
    assert tags_of(given) == ("generator=aot", "losses=l1", "losses=style", "x=" + "y" * 62)
    job = tmp_path / "first" / "3"
    job.mkdir(parents=True)
    assert sweep_of(job) is None
    (tmp_path / "first" / "multirun.yaml").touch()
    assert sweep_of(job) == "first" and sweep_of(job / "deeper") == "first"
    assert WandbLogger(str(job), mode="offline").group == "first"
    assert WandbLogger(str(job), mode="offline", group="mine").group == "mine"


def test_bad_settings_and_no_client(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"logger\.wandb\.mode: 'on' is none of auto, online, offline"):
        WandbLogger(str(tmp_path), mode="on")
    with pytest.raises(ValueError, match=r"logger\.wandb\.finish_timeout"):
        WandbLogger(str(tmp_path), finish_timeout=0)
    with pytest.raises(ValueError, match=r"logger\.wandb\.mode: online, but wandb cannot start .*; mode=auto"):
        _ = WandbLogger(str(tmp_path), mode="online").experiment
    monkeypatch.setattr(wandb_logger, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"logger: wandb is not installed; pip install wandb"):
        WandbLogger(str(tmp_path))


# ---- auto: which mode, decided before the client starts -----------------------------------------------------------


def test_a_server_is_reachable_whatever_it_answers_below_500():
    with serving() as server:
        assert why_unreachable(server.url, {}) == ""


@pytest.mark.parametrize(
    ("kind", "said"),
    [(black_hole, "cannot be reached|does not answer"), (silent, "cannot be reached|does not answer"),
     (lambda: nullcontext(closed()), "refused")],
    ids=["black hole", "silent", "closed"],
)  # fmt: skip
def test_a_server_that_is_not_reachable(kind, said, monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    with kind() as url:
        assert re.search(said, why_unreachable(url, {}, seconds=0.2))


def test_a_name_that_takes_for_ever_to_look_up_is_given_up(monkeypatch):
    found, given_up = threading.Event(), threading.Event()

    def look_up(*handlers):
        found.wait(60)
        given_up.set()
        raise OSError("nobody waits for this any more")

    monkeypatch.setattr(wandb_client, "build_opener", look_up)
    assert "does not answer" in why_unreachable("http://nowhere.invalid", {}, seconds=0.1)
    found.set()
    assert given_up.wait(60)


def test_proxies_are_asked_instead_of_the_server(monkeypatch):
    with serving() as proxy:
        assert why_unreachable("http://nowhere.invalid", {"http": proxy.url}) == ""
        monkeypatch.setenv("http_proxy", proxy.url)
        assert why_unreachable("http://nowhere.invalid", {}) == ""
    assert "cannot be reached" in why_unreachable("http://nowhere.invalid", {"http": closed()}, seconds=0.5)


def test_auto_without_an_account_is_offline_in_one_line(tmp_path, capfd):
    logged(tmp_path, range(2), mode="auto")
    printed = [line for line in "".join(capfd.readouterr()).splitlines() if line]
    assert len(printed) == 1 and printed[0].startswith("wandb: offline (no account here;"), printed
    assert "later: wandb sync" in printed[0] and len(sessions(tmp_path)) == 1


def test_auto_follows_the_environment(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logged(tmp_path, range(2), mode="auto").alert("a", "b")
    assert not list(tmp_path.glob("wandb/*run-*")) and not (tmp_path / "wandb_id.txt").exists()
    assert capsys.readouterr().out == "" and os.environ["WANDB_MODE"] == "disabled"


def test_auto_is_online_where_there_is_an_account_and_a_server(tmp_path, monkeypatch):
    with serving() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        logged(tmp_path, range(4), mode="auto")
        run_id = (tmp_path / "wandb_id.txt").read_text().strip()
        # Again in the folder, beyond what was logged: the server hears the rest.
        logged(tmp_path, range(2, 8), mode="auto")
        rows = server.history[run_id]
    assert [row["update"] for row in rows if "train/l1" in row] == list(range(8))
    assert [row["_step"] for row in rows] == list(range(len(rows)))


def test_auto_goes_offline_when_the_server_refuses_at_the_last_moment(tmp_path, monkeypatch, capsys):
    """It answers the probe, but nothing that the client can use."""
    with serving() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        server.graphql = lambda name, variables: {"upsertBucket": None, "model": 3}
        logged(tmp_path, range(2), mode="auto")
    assert "wandb: offline (" in capsys.readouterr().out
    assert sorted(len(stored.history) for stored in sessions(tmp_path)) == [0, 3]


# ---- what lets a run down --------------------------------------------------------------------------------------------


def test_a_table_that_the_server_refuses_costs_the_table_alone(tmp_path, batch, monkeypatch, capsys):
    """The client asks the server before it sends a table, and this one does not know the account."""
    with serving() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        logger = WandbLogger(str(tmp_path), mode="online")
        for update in range(3):
            logger.log_samples("samples", batch["index"], batch["mask"], {"truth": batch["image"]}, update)
            logger.log_metrics({"train/l1": 1.0}, update)
        logger.end("finished")
        (rows,) = server.history.values()
    assert capsys.readouterr().out.count("wandb: log_samples failed (") == 1
    assert [row["update"] for row in rows] == [0, 1, 2] and all("train/l1" in row for row in rows)


def test_what_takes_too_long_is_left_behind():
    late, done = threading.Event(), threading.Event()
    with pytest.raises(TimeoutError, match="no answer within"):
        wandb_client.within(0.05, lambda: late.wait(60) and done.set())
    late.set()
    assert done.wait(60)
    with pytest.raises(KeyError):
        wandb_client.within(60, lambda: {}["missing"])


def test_a_client_that_is_killed_is_said_once_and_done_without(tmp_path, capsys):
    logger = WandbLogger(str(tmp_path / "0"), mode="offline")
    logger.log_metrics({"train/l1": 1.0}, 0)
    started = subprocess.run(["pgrep", "-P", str(os.getpid()), "wandb-core"], capture_output=True, text=True).stdout
    (core,) = map(int, started.split())
    os.kill(core, signal.SIGKILL)
    for update in range(1, 300):
        logger.log_metrics({"train/l1": 1.0}, update)
    logger.alert("a", "b")
    logger.end("finished")
    assert capsys.readouterr().out.count("failed (") == 1
    logged(tmp_path / "1", range(2))
    assert len(sessions(tmp_path / "1")[0].history) == 3, "the next run has a client again"


# ---- sweeps of wandb's ------------------------------------------------------------------------------------------


def test_the_sweeps_agent_drives_the_same_command():
    """Every choice of experiments/wandb_sweep.yaml, spelt as wandb's agent spells it, is a config that checks."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = OmegaConf.to_container(OmegaConf.load(Path("experiments/wandb_sweep.yaml")), resolve=False)
    command = create_sweep_command(list(sweep["command"]))
    assert command[:3] == ["${env}", "inpaint-train", "${args_no_hyphens}"]
    # What the agent does not know itself is left to Hydra.
    assert command[3:] == ["hydra.run.dir=runs/${oc.env:WANDB_SWEEP_ID}/${oc.env:WANDB_RUN_ID}"]
    choices = {
        name: setting.get("values") or [setting["value"]] if "min" not in setting else [setting["min"], setting["max"]]
        for name, setting in sweep["parameters"].items()
    }
    most = max(len(values) for values in choices.values())
    for place in range(most):
        chosen = {name: {"value": values[place % len(values)]} for name, values in choices.items()}
        cfg = compose(*create_sweep_command_args({"args": chosen})["args_no_hyphens"])
        check(cfg)
        assert "wandb" in cfg.logger and cfg.trainer.max_steps == 5000
    assert sweep["metric"]["name"].startswith("test/")


def test_an_agents_run_keeps_the_agents_place_and_id(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcdefgh")
    monkeypatch.setenv("WANDB_RUN_ID", "given123")
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    logged(tmp_path, range(2), project="ours")
    (stored,) = sessions(tmp_path)
    assert (stored.run_id, stored.runs[-1].project, stored.runs[-1].sweep_id) == ("given123", "theirs", "abcdefgh")
    assert (tmp_path / "wandb_id.txt").read_text() == "given123\n"
