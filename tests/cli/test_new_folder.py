"""A folder that is named after the time is a new one for every command; here the time is the year."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from inpaint.cli.command import call
from inpaint.cli.new_folder import refuse_clocks
from inpaint.config import conf_dir
from inpaint.files.folder import make_new
from inpaint.settings import Refused
from tests.sweeps import stub_conf

TIMED = "${now:%Y}"


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """The run folder of a command with these overrides."""
    monkeypatch.chdir(tmp_path)
    folder = stub_conf(tmp_path / "conf")
    for module in ("config", "cli.command"):
        monkeypatch.setattr(f"inpaint.{module}.conf_dir", lambda: folder)

    def run(*overrides):
        return Path(call("train", lambda cfg: cfg.paths.run, overrides)).relative_to(tmp_path)

    return run


@pytest.mark.parametrize("environment", [{}, {"SLURM_JOB_ID": "4711", "SLURM_PROCID": "0"}])
def test_of_one_second_each_command_has_its_own(ran, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folders = [ran(f"hydra.run.dir=deep/{TIMED}") for _ in range(3)]
    year = folders[0].name
    assert folders == [Path("deep", year), Path("deep", f"{year}-2"), Path("deep", f"{year}-3")]
    assert all(folder.is_dir() for folder in folders)


def test_a_name_that_refers_to_what_hydra_knows(ran):
    before = HydraConfig.initialized()
    timed = "'${hydra.job.config_name} ${hydra:job.config_name} " + TIMED + "'"
    first, second = (ran(f"hydra.run.dir={timed}") for _ in range(2))
    assert first.name.startswith("train train 2") and second.name == f"{first.name}-2"
    assert HydraConfig.initialized() == before


def test_a_folder_that_the_user_names_is_gone_on_with(ran):
    assert [ran("hydra.run.dir=mine") for _ in range(2)] == [Path("mine")] * 2


def test_every_default_folder_is_one_of_them():
    folders = OmegaConf.to_container(OmegaConf.load(conf_dir() / "hydra" / "default.yaml"), resolve=False)
    assert all("${now:" in folders[kind]["dir"] for kind in ("run", "sweep"))
    for command in ("train", "evaluate", "probe"):
        assert "hydra: default" in (conf_dir() / f"{command}.yaml").read_text(), command


def test_sweeps_too_and_their_jobs_are_in_it(sweep, tmp_path):
    def job(cfg):
        return {"hole_psnr": float(cfg.seed)}

    for place in range(2):
        assert sweep(job, f"hydra.sweep.dir=many/{TIMED}", f"seed={place},7").code == 0
    first, second = sorted((tmp_path / "many").iterdir())
    assert second.name == f"{first.name}-2"
    for place, folder in enumerate((first, second)):
        jobs = json.loads((folder / "jobs.json").read_text())["jobs"]
        assert [job["overrides"] for job in jobs] == [[f"seed={place}"], ["seed=7"]]
        assert [Path(job["folder"]) for job in jobs] == [folder / "0", folder / "1"]


@pytest.mark.parametrize("name", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_ranks_that_something_else_starts_are_given_one_folder(ran, monkeypatch, name):
    monkeypatch.setenv(name, "2")

    def run(*overrides):
        return call("train", lambda cfg: refuse_clocks(), overrides)

    with pytest.raises(Refused, match=r"hydra\.run\.dir: each rank .* give all of them hydra\.run\.dir=DIR"):
        run(f"hydra.run.dir={TIMED}")
    run("hydra.run.dir=shared")


def test_of_many_at_once_each_gets_its_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: make_new(tmp_path / "a" / "x"), range(40)))
    assert made == {*(tmp_path / "a").iterdir()} and len(made) == 40
