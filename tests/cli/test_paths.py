"""Settings that are paths: taken as they are typed, or refused with what to write, in every command."""

import os
import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from inpaint.cli.command import call
from inpaint.cli.paths import Folders, quoted, unreadable
from inpaint.compare import runs
from inpaint.files import checkpoint
from inpaint.files.folder import expanded
from inpaint.settings import Refused
from inpaint.study.__main__ import main as study

# A setting of each command, what else it needs, and where the setting is in the config.
KEYS = [
    ("train", ("data=folder",), "data.root"),
    ("train", ("masks=files",), "masks.root"),
    ("train", ("masks@validation_masks=files",), "validation_masks.root"),
    ("train", ("data=folder", "data.root=x"), "data.masks_root"),
    ("train", ("data=folder", "data.root=x"), "data.train"),
    ("train", (), "init_from"),
    ("train", (), "lpips_weights"),
    ("evaluate", (), "checkpoint"),
    ("evaluate", (), "images"),
    ("evaluate", (), "frozen"),
    ("predict", ("holes=h", "output=o"), "images"),
    ("predict", ("holes=h", "output=o"), "video"),
    ("predict", ("images=i", "holes=h"), "output"),
    ("predict", ("images=i", "holes=h", "output=o"), "truth"),
    ("predict", ("images=i", "holes=h", "output=o", "refine=texture"), "refine.weights"),
    ("train", ("losses=[perceptual]",), "losses.perceptual.weights"),
    ("train", (), "callbacks.checkpoint.folder"),
    ("train", (), "logger.csv.folder"),
    ("preview", (), "freeze"),
    ("sample", ("output=o",), "checkpoint"),
    ("stylise", ("content=c", "output=o"), "style"),
    ("stylise", ("content=c", "style=s", "output=o"), "method.weights"),
    ("stylise", ("content=c", "style=s", "output=o", "method=face_swap"), "method.points"),
    ("probe", ("data.root=x",), "data.root"),
]


@pytest.fixture(autouse=True)
def a_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def setting(command, key, *overrides):
    return call(command, lambda cfg: OmegaConf.select(cfg, key), overrides)


@pytest.mark.parametrize(("command", "others", "key"), KEYS)
def test_the_text_of_every_path_is_taken(command, others, key, a_home):
    assert setting(command, key, *others, f"{key}=2019_01") == "2019_01"
    assert setting(command, key, *others, f"{key}='~/it\\'s'") == str(a_home / "it's")


@pytest.mark.parametrize("text", ["2019", "1e5", "true", "nan", "0x10", "-3", "~nobody_there", "[a]", "C:\\x (old)"])
def test_odd_names(text):
    typed = f"'{text}'" if text[0] in "[~C" else text
    assert setting("predict", "images", f"images={typed}", "holes=h", "output=o") == text


def test_what_is_no_text_is_refused_with_what_to_write():
    for typed, says in {
        "images=[old]": """images: [old] is no path; for one of that name write "images='[old]'\"""",
        "images=photos (1)": """need quotes that reach Hydra: "images='photos (1)'\"""",
        "images=a=b": """need quotes that reach Hydra: "images='a=b'\"""",
        "images=a,b": """for one path of that name write "images='a,b'\"""",
        "images=C:\\x (old)": """need quotes that reach Hydra: "images='C:\\x (old)'\"""",
        "images=it's": """need quotes that reach Hydra: "images='it\\'s'\"""",
        "images=~/x": """need quotes that reach Hydra: "images='~/x'\"""",
        "images=''": "images: empty; give a file or folder",
    }.items():
        with pytest.raises(Refused) as caught:
            setting("predict", "images", typed, "holes=h", "output=o")
        assert says in str(caught.value), typed
    with pytest.raises(Refused, match=r"results\.lama: 2019 is no text; put quotes around"):
        setting("evaluate", "results", "results={lama: 2019}")
    assert setting("evaluate", "results", "results={lama: '~/a', b: c}")["lama"].endswith("home/a")
    assert setting("evaluate", "checkpoint", "checkpoint=['~/a',b]")[1] == "b"


def test_what_is_said_to_write_is_what_a_shell_hands_on_and_hydra_reads(tmp_path):
    for text in ("photos (1)", "it's", "a=b", "a,b", "[old]", "C:\\x (old)", 'the "old"', "$HOME", "`x`"):
        typed = subprocess.run(["sh", "-c", f"printf %s {quoted('images', text)}"], capture_output=True, text=True)
        assert setting("predict", "images", typed.stdout, "holes=h", "output=o") == text


def test_a_share_stays_a_number_and_a_sweep_a_sweep():
    assert setting("train", "data.validation", "data=folder", "data.root=x", "data.validation=0.2") == 0.2
    assert setting("preview", "images", "images=true") is True
    assert unreadable("train", ["data.root=a,b", "-m"]) is None


def test_what_is_no_utf_8_is_refused(monkeypatch, tmp_path):
    latin = os.fsdecode(b"caf\xe9")
    with pytest.raises(Refused, match="no UTF-8, so no config can hold it; rename the folder, or give a link"):
        setting("train", "data.root", "data=folder", f"data.root='{latin}'")
    (tmp_path / latin).mkdir()
    monkeypatch.chdir(tmp_path / latin)
    assert "no UTF-8" in unreadable("train", [])


def test_the_folders_of_runs_and_sweeps(a_home):
    for kind, hook in (("run", Folders().on_run_start), ("sweep", Folders().on_multirun_start)):
        for typed, read, folder in (
            ("'~/it\\'s'", "~/it's", a_home / "it's"),
            ("2019_01", "201901", "2019_01"),
            ("'~/${now:%Y}'", "~/${now:%Y}", f"{a_home}/${{now:%Y}}"),
        ):
            overrides = {"hydra": [f"hydra.{kind}.dir={typed}"]}
            config = OmegaConf.create({"hydra": {kind: {"dir": read}, "overrides": overrides}})
            hook(config=config)
            assert config.hydra[kind]._get_node("dir")._value() == str(folder)
    assert call("train", lambda cfg: cfg.paths.run, ["hydra.run.dir='~/runs'"]) == str(a_home / "runs")


def test_paths_outside_configs(a_home, tmp_path, capsys):
    assert expanded("~nobody_there/x") == Path("~nobody_there/x")
    (a_home / "run").mkdir(parents=True)
    (a_home / "run" / "results.csv").touch()
    assert runs.expand(["~/run"]) == ([a_home / "run"], [])
    with pytest.raises(Refused, match=f"no valid checkpoint in {a_home}"):
        checkpoint.find("~/run")
    with pytest.raises(SystemExit) as ended:
        study(["build", "a=~/run", "--output=~/study"])
    assert ended.value.code == 2 and not (tmp_path / "~").exists() and capsys.readouterr().err
