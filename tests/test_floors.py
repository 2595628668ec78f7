"""The architecture as a table: what may import what.

A room is a folder of `inpaint/` or a file beside them. It imports rooms of its own floor and of those below.
"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import inpaint

ROOT = Path(inpaint.__file__).parents[1]

FLOORS = [
    [
        *("batch", "rng", "ranks", "settings", "schedules", "progress", "provenance"),
        *("system", "files", "groups", "parts", "portable"),
    ],
    ["pictures", "fills"],
    ["networks", "masks", "degradations", "restoration"],
    ["losses", "metrics", "data", "damage", "builtin"],
    [
        "training",
        "evaluation",
        "optimise",
    ],
    ["config"],
    ["cli"],
    ["study", "compare", "exchange"],
    ["train", "evaluate", "preview", "predict", "probe", "sample", "stylise", "sweep"],  # commands
    ["api", "hydra_plugins"],
]
COMMANDS = FLOORS[-2]
# The lowest room that imports a library; so do the rooms above its floor, and no other.
LOWEST = {"lightning": "data", "hydra": "config", "omegaconf": "config"}

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """`masks` of ``inpaint.masks.kind``."""
    first, *inside = module.split(".")
    room = inside[0] if first == "inpaint" else first
    assert room in FLOOR, f"{room} has no floor: add it to the table"
    return room


def is_ours(module: str) -> bool:
    return module.startswith(("inpaint.", "hydra_plugins."))


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it; `from a import b` counts as a.b where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = ROOT.joinpath(*node.module.split("."), alias.name)
                is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
                found.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return found


PATHS = [path for place in ("inpaint", "hydra_plugins") for path in sorted((ROOT / place).rglob("*.py"))]
FILES = {module_of(path): path for path in PATHS}
del FILES["inpaint"]
IMPORTS = {module: imports(path) for module, path in FILES.items()}


@pytest.mark.parametrize("module", FILES)
def test_no_import_goes_up(module):
    room, floor = room_of(module), FLOOR[room_of(module)]
    for name in IMPORTS[module]:
        library = name.split(".")[0]
        assert library != "experiments", f"{module} imports {name}"
        if is_ours(name):
            assert FLOOR[room_of(name)] <= floor, f"{module} (floor {floor}) imports {name}, which is above it"
        elif library in LOWEST:
            lowest = LOWEST[library]
            assert room == lowest or floor > FLOOR[lowest], f"{module} imports {name}: for {lowest} and above alone"


def test_no_files_import_each_other_in_a_circle():
    TopologicalSorter({module: filter(is_ours, names) for module, names in IMPORTS.items()}).prepare()


def test_no_command_imports_another():
    for module, names in IMPORTS.items():
        if (room := room_of(module)) in COMMANDS:
            others = {room_of(name) for name in names if is_ours(name)} & {*COMMANDS} - {room}
            assert not others, f"{module} imports {others}"


def test_only_the_public_face_imports_a_command_wherever_it_lies():
    """`inpaint.exchange.export` lies in a room; the ``__init__`` of a room may hand its command on."""
    commands = {module for module, path in FILES.items() if "\ndef main(" in path.read_text()}
    for module, names in IMPORTS.items():
        is_face = module == "inpaint.api" or FILES[module].name == "__init__.py"
        assert is_face or not names & commands, f"{module} imports {names & commands}"


def test_training_and_what_is_beside_it_do_not_know_each_other():
    (floor,) = [rooms for rooms in FLOORS if "training" in rooms]
    for module, names in IMPORTS.items():
        room, used = room_of(module), {room_of(name) for name in names if is_ours(name)}
        assert room != "training" or not used & {*floor} - {"training"}, module
        assert room == "training" or room not in floor or "training" not in used, module


def test_every_row_is_a_room():
    assert {room_of(module) for module in FILES} == {*FLOOR} and len(FLOOR) == sum(map(len, FLOORS))


def test_only_rng_seeds():
    for path in FILES.values():
        if path.name != "rng.py":
            text = path.read_text()
            assert "manual_seed" not in text and "np.random" not in text and "seed_everything" not in text, path


def test_few_files_lie_flat():
    assert len([*(ROOT / "inpaint").glob("[a-z]*.py")]) <= 17, "a room is where a file belongs"


def test_files_stay_readable():
    for path in FILES.values():
        assert len(path.read_text().splitlines()) <= 400, f"{path.name} is past 400 lines"
