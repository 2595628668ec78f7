"""An option of one's own with the name of a packaged one is reported: Hydra would take the latter."""

import shutil

from inpaint.config import conf_dir
from tests.reliability.commands import finish, run, start


def test_namesakes_are_refused_and_other_names_work(tmp_path):
    theirs = tmp_path / "meine Optionen"
    (theirs / "losses").mkdir(parents=True)
    packaged = (conf_dir() / "losses" / "l1.yaml").read_text()
    (theirs / "losses" / "l1.yaml").write_text(packaged.replace("weight: 1.0", "weight: 77.0"))
    refused = {
        "--config-dir": start("train", "--config-dir", theirs, cwd=tmp_path),
        "hydra.searchpath": start("train", f"hydra.searchpath=['file://{theirs}']", cwd=tmp_path),
        "in a sweep": start("train", "-m", "--config-dir", theirs, "hydra.sweep.dir=sweep", cwd=tmp_path),
    }

    same = tmp_path / "same"
    (same / "losses").mkdir(parents=True)
    (same / "losses" / "mine.yaml").write_text(packaged.replace("weight: 1.0", "weight: 77.0").replace("l1:", "mine:"))
    shutil.copy(conf_dir() / "losses" / "l2.yaml", same / "losses" / "l2.yaml")  # a copy changes nothing
    printed, _ = run("train", "-cd", same, "losses=[mine]", "--cfg", "job", cwd=tmp_path)
    assert "weight: 77.0" in printed
    _, errors = run("train", "-cd", same, "losses=[mine]", "baselines=[telia]", cwd=tmp_path, code=2)
    assert "there is no generator telia" in errors, "it came past the folder"

    for case, process in refused.items():
        code, _, errors = finish(process)
        option = "--config-dir" if case == "in a sweep" else case
        assert f"{option}: " in errors and "losses/l1.yaml has the name of a packaged option" in errors, case
        assert (code, errors.count("\n")) == (2, 1) if case != "in a sweep" else code == 1, errors
