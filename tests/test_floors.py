"""The architecture as a table: what may import what. A newcomer can read it as such."""

import ast
from pathlib import Path

import pytest

import inpaint

ROOT = Path(inpaint.__file__).parent

# The first matching prefix decides. An import never goes up a floor.
FLOORS = {
    "inpaint.batch": 0,
    "inpaint.rng": 0,
    "inpaint.ranks": 0,
    "inpaint.finite": 0,
    "inpaint.folder": 0,
    "inpaint.provenance": 0,
    "inpaint.settings": 0,
    "inpaint.networks": 1,
    "inpaint.files": 1,
    "inpaint.masks": 1,
    "inpaint.fills": 1,
    "inpaint.losses": 1,
    "inpaint.schedules": 1,
    "inpaint.features": 1,
    "inpaint.retrieval": 1,
    "inpaint.metrics": 1,
    "inpaint.statistics": 1,
    "inpaint.table": 1,
    "inpaint.pairs": 1,
    "inpaint.progress": 1,
    "inpaint.sheet": 1,
    "inpaint.data": 2,
    "inpaint.module": 2,
    "inpaint.edge_module": 2,
    "inpaint.checkpoint": 2,
    "inpaint.callbacks": 2,
    "inpaint.saving": 2,
    "inpaint.signals": 2,
    "inpaint.metrics_file": 2,
    "inpaint.measuring": 2,
    "inpaint.results": 2,
    "inpaint.sweep.end": 4,
    "inpaint.sweep.isolation": 2,
    "inpaint.sweep.pruning": 2,
    "inpaint.sweep": 3,
    "inpaint.watch": 2,
    "inpaint.explain": 3,
    "inpaint.wandb_client": 1,
    "inpaint.wandb_logger": 2,
    "inpaint.config": 3,
    "inpaint.resume": 3,
    "inpaint.train": 4,
    "inpaint.evaluate": 4,
    "inpaint.predict": 4,
    "inpaint.compare": 4,
    "inpaint.preview": 4,
    "inpaint.probe": 4,
    "inpaint.study": 4,
}
LOWEST_FLOOR_OF = {"lightning": 2, "hydra": 3, "omegaconf": 3}


def floor_of(module: str) -> int:
    for prefix, floor in FLOORS.items():
        if module == prefix or module.startswith(prefix + "."):
            return floor
    raise AssertionError(f"{module} has no floor: add it to the table")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


FILES = [path for path in sorted(ROOT.rglob("*.py")) if module_of(path) != "inpaint"]


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it; `from a import b` counts as a.b where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = ROOT.parent.joinpath(*node.module.split("."), alias.name)
                is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
                found.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return found


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_import_goes_up(path):
    floor = floor_of(module_of(path))
    for name in imports(path):
        assert name.split(".")[0] != "experiments", f"{path} imports {name}"
        if name.startswith("inpaint."):
            assert floor_of(name) <= floor, f"{module_of(path)} (floor {floor}) imports {name} (floor {floor_of(name)})"
        lowest = LOWEST_FLOOR_OF.get(name.split(".")[0], 0)
        assert floor >= lowest, f"{module_of(path)} (floor {floor}) imports {name} (floor {lowest} and above)"


def test_only_rng_seeds():
    for path in FILES:
        if path.name != "rng.py":
            text = path.read_text()
            assert "manual_seed" not in text and "np.random" not in text and "seed_everything" not in text, path


def test_nothing_unsafe_is_unpickled():
    for path in FILES:
        text = path.read_text()
        assert "weights_only=False" not in text and "load_from_checkpoint" not in text and "import pickle" not in text


def test_files_stay_readable():
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 400, f"{path.name} is past 400 lines"
