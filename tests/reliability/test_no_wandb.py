"""Without account and without wandb: the default run needs neither, and `logger=wandb` says what is missing.

Real: `inpaint-train`. Stand-in: an installation without wandb.
"""

import ast
from pathlib import Path

import pytest

import inpaint
from tests.commands import SMALL
from tests.reliability import commands

WITHOUT = "import sys\nsys.modules['wandb'] = None\nfrom inpaint.train import main\nmain()"


@pytest.mark.parametrize(
    ("logger", "code", "said"),
    [
        pytest.param("csv", 0, "", marks=pytest.mark.slow),
        ("wandb", 2, "inpaint-train: logger: wandb is not installed; pip install wandb"),
    ],
)
def test_without_wandb(logger, code, said, tmp_path):
    settings = [f"logger={logger}", "baselines=[]", "trainer.max_steps=1", "hydra.run.dir=one"]
    (tmp_path / "without.py").write_text(WITHOUT)
    _, errors = commands.run(tmp_path / "without.py", *SMALL, *settings, cwd=tmp_path, code=code)
    assert said in errors and "Traceback" not in errors


def test_no_module_needs_wandb_to_be_imported():
    """The processes above are forks of one that has imported the modules, with wandb there."""
    for path in Path(inpaint.__file__).parent.rglob("*.py"):
        for statement in ast.parse(path.read_text()).body:
            names = [name.name for name in statement.names] if isinstance(statement, ast.Import) else []
            module = statement.module or "" if isinstance(statement, ast.ImportFrom) else ""
            assert not any(name.split(".")[0] == "wandb" for name in [*names, module]), path
