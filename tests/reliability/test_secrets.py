"""Keys and tokens of the environment are in no file of a run and go to no logger.

Real: `inpaint-train`, its files, its checkpoint, a wandb run written offline. Stand-in: the secrets.
"""

import json

import torch
from omegaconf import OmegaConf

from inpaint.files import checkpoint
from inpaint.provenance import without_secrets
from inpaint.training.record import RunRecord
from tests.reliability.commands import SMALL, run

SECRETS = {
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "DATABASE_PASSWORD": "correct horse battery",
    "HF_TOKEN": "hf_abcdefghijklmnop",
    "DB_PASS": "battery horse correct",
    "SSH_PASSPHRASE": "horse correct battery",
    "DATABASE_URL": "db://someone:hunter22@host",
    "GITHUB_PAT": "github_pat_11ABCDEFG",
    "REDIS_AUTH": "redis-has-a-password",
    "SLACK_WEBHOOK": "https://hooks.slack/T00/B00/XXXX",
}
# Known by their references alone: too short to be looked for, of a harmless name, or computed with.
REFERRED = {"SHORT": "kQ9x", "HARMLESS": "an-innocent-name", "DOOR": "73519284"}


def test_nothing_that_is_written_holds_one(tmp_path):
    """Settings that take them from the environment, one that was typed, and the whole environment unasked."""
    settings = [
        "+paths.token=${oc.env:HF_TOKEN}",
        "+paths.database='db://me:${oc.env:DATABASE_PASSWORD}@host'",
        f"+paths.key={SECRETS['WANDB_API_KEY']}",
        "+paths.short=${oc.env:SHORT}",
        "+paths.door='${oc.decode:${oc.env:DOOR}}'",
        "name=run_${oc.env:HARMLESS}",
        *(f"+paths.{name.lower()}={SECRETS[name]}" for name in ("GITHUB_PAT", "REDIS_AUTH")),
        "logger=wandb",
    ]
    fewer = ["trainer.max_steps=1", "trainer.val_check_interval=1", "callbacks.checkpoint.every=1"]
    environment = {"WANDB_MODE": "offline", **SECRETS, **REFERRED}
    printed = run("train", *SMALL, *settings, *fewer, "hydra.run.dir=one", cwd=tmp_path, **environment)
    assert not [name for name, value in (SECRETS | REFERRED).items() if value in "".join(printed)]
    written = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert any(path.suffix == ".ckpt" for path in written) and any(path.suffix == ".wandb" for path in written)
    found = {
        (path.relative_to(tmp_path).as_posix(), name)
        for path in written
        for name, value in (SECRETS | REFERRED).items()
        if value.encode() in path.read_bytes()
    }
    # What was typed stands where Hydra and wandb themselves keep the command line; no value of a variable does.
    assert {name for _, name in found} <= {"WANDB_API_KEY", "GITHUB_PAT", "REDIS_AUTH"}, found
    ours = {"config.yaml", "versions.json", "metrics.csv", "results.csv", "results.md", "summary.json"}
    assert not [path for path, _ in found if path.removeprefix("one/") in ours or "checkpoints" in path], found
    config = OmegaConf.load(tmp_path / "one" / "config.yaml")
    assert OmegaConf.to_container(config, resolve=False)["paths"] == {
        "run": str(tmp_path / "one"),
        "token": "<oc.env:HF_TOKEN>",
        "database": "db://me:<oc.env:DATABASE_PASSWORD>@host",
        "key": "<oc.env:WANDB_API_KEY>",
        "short": "<oc.env:SHORT>",
        "door": "<oc.decode:<oc.env:DOOR>>",
        "github_pat": "<oc.env:GITHUB_PAT>",
        "redis_auth": "<oc.env:REDIS_AUTH>",
    }


def test_names_stand_for_values(monkeypatch, tmp_path):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHORT_KEY", "l1")
    monkeypatch.setenv("HARMLESS", "a long value that is no secret")
    rest = {"b": {"c": "a long value that is no secret"}, "losses": "l1", "n": 3}
    config = {"a": [f"s3://{value}@host" for value in SECRETS.values()], **rest}
    assert without_secrets(config) == {"a": [f"s3://<oc.env:{name}>@host" for name in SECRETS], **rest}

    state = {}
    checkpoint.stamp(state, RunRecord(str(tmp_path), config).config, 1)
    assert SECRETS["HF_TOKEN"] not in json.dumps(state)
    torch.save(state, tmp_path / "x.pt")
    assert SECRETS["HF_TOKEN"].encode() not in (tmp_path / "x.pt").read_bytes()
