"""What came from the environment is written down by its name, whatever that is; the run computes with the value.

The whole command, with its files, its checkpoint and what it prints, is in tests/reliability/test_secrets.py.
"""

import json
import shlex

import pytest
import yaml
from omegaconf import OmegaConf

from inpaint.cli.command import call
from inpaint.cli.job import trained_longer
from inpaint.config import check
from inpaint.config.references import fingerprints, without_environment, without_values
from inpaint.files.checkpoint import stamp
from inpaint.provenance import renamed, without_secrets
from inpaint.settings import ConfigError, Refused
from inpaint.train import _named_as_recorded
from inpaint.training.record import RunRecord
from inpaint.training.resume import Start
from tests.options import compose

VALUES = {
    *("GITHUB_PAT=ghp_0123456789", "REDIS_AUTH=redispass", "SLACK_WEBHOOK=https://hooks/T0/B0/X0", "PLAIN=innocent"),
    *("DATABASE_URL=db://me:hunter2@host", "SHORT=kQ9x", "PIN=73519284", "WIDTH=64"),
}


@pytest.fixture
def environment(monkeypatch):
    values = dict(line.split("=", 1) for line in VALUES)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ABSENT", raising=False)
    return values


def test_neither_name_nor_length_nor_type_decides(environment, tmp_path):
    settings = [f"+paths.{name.lower()}='${{oc.env:{name}}}'" for name in environment]
    computed = ["+paths.port='${oc.decode:${oc.env:PIN}}'", "+paths.again='${paths.port}'"]
    listed = ["+paths.all=['${oc.env:SHORT}',2]", "+paths.whole='${oc.select:paths.short}'"]
    default = ["+paths.fallback='${oc.env:ABSENT,here}'", "+paths.nothing='${oc.env:ABSENT,null}'"]
    cfg = compose(*settings, *computed, *listed, *default)
    cfg.name = "x_${oc.env:PLAIN}"
    check(cfg)
    assert cfg.paths.port == 73519284 and cfg.paths.short == "kQ9x", "the run itself has the values"
    _named_as_recorded(cfg)
    state = {}
    stamp(state, RunRecord(str(tmp_path), without_environment(cfg)).config, 1)
    written = state["inpaint"]["config"] + yaml.safe_dump(without_environment(cfg)) + cfg.name
    assert not [name for name, value in environment.items() if value in written and name != "WIDTH"]
    paths = json.loads(state["inpaint"]["config"])["paths"]
    assert paths["port"] == paths["again"] == "<oc.decode:<oc.env:PIN>>" and paths["all"] == ["<oc.env:SHORT>", 2]
    assert paths["fallback"] == "here" and paths["nothing"] is None, "what no variable said is a value like any other"
    assert cfg.name == "x_<oc.env:PLAIN>" and paths["whole"] == "<oc.env:SHORT>"


def test_a_record_can_be_compared_and_is_no_reference(environment):
    """Resumed, the same command has the same record; nothing in it would be filled in by whoever reads it."""
    first, second = (without_environment(compose("+paths.x='${oc.env:SHORT}'")) for _ in range(2))
    assert first == second and "${" not in json.dumps(first)
    old = {"token": "${oc.env:HF_TOKEN}", "list": ["s3://${oc.env:A}@host"]}  # as earlier versions wrote it
    assert renamed(old) == {"token": "<oc.env:HF_TOKEN>", "list": ["s3://<oc.env:A>@host"]}


def test_what_a_run_took_from_the_environment_is_asked_for(environment):
    """An evaluation says which setting it needs, and does not open a folder of that name."""
    data = without_environment(compose("data=folder", "data.root='${oc.env:PLAIN}'"))["data"]
    with pytest.raises(ConfigError, match=r"data\.root: the run took it from the environment variable PLAIN; give "):
        check(OmegaConf.create({"data": data}))
    with pytest.raises(Refused, match=r"generator\.width: a checkpoint says what its network is; write the value in"):
        _named_as_recorded(compose("generator.width='${oc.decode:${oc.env:WIDTH}}'"))


def test_messages_have_the_names(environment):
    cfg = compose("+paths.x='${oc.env:SHORT}'", "+paths.y='${oc.env:DATABASE_URL}'", "+paths.z='${oc.env:ABSENT,kQ9x}'")
    message = "paths: db://me:hunter2@host/kQ9x and kQ9xy are not there"
    assert without_values(message, cfg) == "paths: <oc.env:DATABASE_URL>/<oc.env:SHORT> and kQ9xy are not there"


def test_messages_in_python_have_them_too(environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(cfg):
        raise Refused(f"paths.x: there is no {cfg.paths.x}")

    with pytest.raises(Refused, match=r"^paths\.x: there is no <oc\.env:DATABASE_URL>$"):
        call("train", run, ["+paths.x=${oc.env:DATABASE_URL}"])


def test_a_command_to_type_again_refers_to_the_environment(environment):
    written = ["+paths.x=<oc.env:SHORT>", "+paths.y=<oc.decode:<oc.env:PIN>>", "a=<b>"]
    command = trained_longer(written, 10)
    assert shlex.split(command)[1:4] == ["+paths.x=${oc.env:SHORT}", "+paths.y=${oc.decode:${oc.env:PIN}}", "a=<b>"]


def test_a_variable_that_changed_is_noticed_by_those_who_may_know(environment, tmp_path, monkeypatch, capsys):
    """Of a checkpoint that is passed on, nobody can try passwords: the digests have a key that stays here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cfg = compose("+paths.x='${oc.env:SHORT}'", "+paths.y='${oc.env:PIN}'", "+paths.z='${oc.env:ABSENT,1}'")
    before = fingerprints(cfg)
    assert set(before) == {"", "SHORT", "PIN"} and before == fingerprints(cfg)
    assert not [value for value in environment.values() if len(value) > 3 and value in str(before)]
    (key,) = (tmp_path / "state").rglob("*.key")
    assert key.stat().st_mode & 0o777 == 0o600
    start = Start(tmp_path, "auto")
    start.path, start.checkpoint = tmp_path, {"inpaint": {"environment": before}}

    def introduced(now):
        start.introduce({}, now)
        return capsys.readouterr().out

    assert "changed since" not in introduced(before)
    monkeypatch.setenv("SHORT", "kQ9y")
    assert "changed since: the environment's SHORT\n" in introduced(fingerprints(cfg))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of another user"))
    other = fingerprints(cfg)
    assert other["PIN"] != before["PIN"] and "changed since" not in introduced(other)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert fingerprints(cfg) == {} == fingerprints(compose()) and "changed since" not in introduced({})


@pytest.mark.parametrize("name", ["GITHUB_PAT", "REDIS_AUTH", "SLACK_WEBHOOK", "DATABASE_URL", "PIN"])
def test_what_a_shell_filled_in_is_known_by_the_name_of_its_variable(name, environment):
    assert without_secrets({"x": f"a {environment[name]}"}) == {"x": f"a <oc.env:{name}>"}
    if name == "PIN":
        assert without_secrets([73519284, 1, True, None]) == ["<oc.env:PIN>", 1, True, None]


@pytest.mark.parametrize("name", ["PATH", "XAUTHORITY", "GIT_AUTHOR_NAME", "PWD", "OLDPWD", "HOMEPAGE_URL"])
def test_what_holds_no_secret_stays(name, monkeypatch):
    monkeypatch.setenv(name, "https://somewhere/else")
    assert without_secrets("https://somewhere/else") == "https://somewhere/else"
