"""An option of `--config-dir` with the name of a packaged one is reported: Hydra would take the latter. Item 45."""

import shutil

from inpaint.config import conf_dir
from tests.reliability.commands import SMALL, finish, run, start


def test_namesakes_are_refused_and_other_names_work(tmp_path):
    theirs = tmp_path / "meine Optionen"
    (theirs / "losses").mkdir(parents=True)
    packaged = (conf_dir() / "losses" / "l1.yaml").read_text()
    (theirs / "losses" / "l1.yaml").write_text(packaged.replace("weight: 1.0", "weight: 77.0"))
    refused = start("train", "--config-dir", theirs, cwd=tmp_path)

    same = tmp_path / "same"
    (same / "losses").mkdir(parents=True)
    (same / "losses" / "mine.yaml").write_text(packaged.replace("weight: 1.0", "weight: 77.0").replace("l1:", "mine:"))
    shutil.copy(conf_dir() / "losses" / "l2.yaml", same / "losses" / "l2.yaml")  # a copy changes nothing
    fewer = ["trainer.max_steps=1", "trainer.val_check_interval=1", "hydra.run.dir=one"]
    run("train", "-cd", same, *SMALL, *fewer, "losses=[mine]", cwd=tmp_path)
    assert "weight: 77.0" in (tmp_path / "one" / "config.yaml").read_text()

    code, _, errors = finish(refused)
    assert code == 2 and errors.count("\n") == 1
    assert "--config-dir: " in errors and "losses/l1.yaml has the name of a packaged option" in errors
