"""The table of config groups is whole, and everything in conf/ stands where it may."""

import pytest
import yaml

from inpaint.config import conf_dir
from inpaint.config.targets import wrong_class
from inpaint.groups import FOLDERS, GROUPS, NO_CHOICE, OPTIMIZATION, classes_at, may_change, named_files
from inpaint.provenance import targets_of

KEYS = {"optimizer": "generator_optimizer", "scheduler": "generator_scheduler"}


def test_every_key_of_a_run_has_a_row():
    config = yaml.safe_load((conf_dir() / "train.yaml").read_text())
    defaults = {
        key.split("@")[-1].split()[-1] for entry in config["defaults"] if isinstance(entry, dict) for key in entry
    }
    keys = ({*config} | defaults) - {"defaults", "hydra/job_logging"}
    assert keys | {"sweep", "refine", "method"} == {*GROUPS}


@pytest.mark.parametrize(
    "path", sorted(conf_dir().glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}={path.stem}"
)
def test_what_conf_names_may_stand_there(path):
    config, group = yaml.safe_load(path.read_text()) or {}, path.parent.name
    place = (KEYS.get(group, group),) if group in {*GROUPS, *KEYS} and group != "sweep" else ()
    config.pop("hydra", None)
    for where, target in targets_of(config, place):
        if place != ("hydra",):
            assert wrong_class(where, target) is None


def test_views():
    assert (
        *("generator_optimizer", "discriminator_optimizer", "generator_scheduler", "discriminator_scheduler"),
    ) == OPTIMIZATION
    assert {"seed", "baselines", "hydra", "sweep", "callbacks"} <= NO_CHOICE and "save_dir" in FOLDERS
    changeable = ["losses.l1.weight", "data.workers", "trainer.max_steps", "generator_optimizer.lr", "name"]
    fixed = ["generator.width", "data.root", "seed", "generator_optimizer._target_", "masks", "unknown.key"]
    assert all(map(may_change, changeable)) and not any(map(may_change, fixed))
    assert [len(classes_at(place)) for place in ((), ("losses",), ("losses", "l1"), ("x",), ("seed",))] == [
        0,
        0,
        1,
        0,
        0,
    ]


def test_files_that_a_recorded_config_names():
    folder = {"_target_": "inpaint.data.datamodule.FolderData", "root": "photos", "validation": "list", "cache": "auto"}
    assert named_files("data", folder) == {"data.root": "photos", "data.validation": "list"}
    hub = {"_target_": "inpaint.data.datamodule.HuggingFaceData", "path": "photos", "train": "train", "image": "image"}
    assert named_files("data", hub) == {"data.path": "photos"}
    theirs = {"_target_": "mylab.data.Scans", "archive": "scans", "cache": "auto", "crop": 64}
    assert named_files("data", theirs) == {"data.archive": "scans"}
    assert named_files("generator", {"_target_": "inpaint.x.Y", "norm": "batch", "of": ["a/b"]}) == {
        "generator.of.0": "a/b"
    }
    neighbour = {"_target_": "inpaint.fills.NearestNeighbour", "collection": "photos", "features": None}
    assert named_files("generator", neighbour) == {"generator.collection": "photos"}
