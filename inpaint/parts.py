"""A researcher's own parts: packages outside this one, whose classes a config may name.

A package that declares itself (``[project.entry-points."inpaint.parts"] mylab = "mylab"``) is one as soon as it is
installed. A file or a package that is not installed is one for as long as the environment variable ``INPAINT_PARTS``
names its module (several with commas between them). Neither a config nor a checkpoint can add one: they are looked up
here only. The options of a part are in a folder ``conf/``, inside the package or beside the single file.
"""

import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple

from inpaint.provenance import targets_of
from inpaint.settings import Refused

ENTRY_POINTS = "inpaint.parts"
VARIABLE = "INPAINT_PARTS"
PROVIDER = "the part "  # before the name of a part, where Hydra says which folder an option is of
UNPACKAGED = ""  # of a part that the environment names


class Part(NamedTuple):
    """A part.

    module: its name in Python; classes below it may be named.
    package: what is installed by that name; empty for a module that the environment names.
    version: of the package.
    conf: the folder of its options; None where it has none.
    """

    module: str
    package: str
    version: str
    conf: Path | None


@cache
def parts() -> dict[str, Part]:
    """All parts by their module, as they were when they were first asked for.

    Raises:
        Refused: the environment names a module that is not there, or one of this package.
    """
    found: dict[str, Part] = {}
    for point in metadata.entry_points(group=ENTRY_POINTS):
        package = point.dist
        name, version = (package.name, package.version) if package is not None else (UNPACKAGED, "")
        if (spec := _spec(point.module)) is not None:
            found[point.module] = Part(point.module, name, version, _conf(spec))
    for module in filter(None, (word.strip() for word in os.environ.get(VARIABLE, "").split(","))):
        here = str(Path.cwd())
        spec = _spec(module)
        if spec is None and here not in sys.path:
            sys.path.append(here)  # a file beside a notebook; child processes take over the path
            spec = _spec(module)
        if spec is None:
            raise Refused(f"{VARIABLE}: there is no module {module}, neither installed nor in {here}")
        if module.split(".")[0] in ("inpaint", "hydra_plugins"):
            raise Refused(f"{VARIABLE}: {module} is no package of your own")
        found.setdefault(module, Part(module, UNPACKAGED, "", _conf(spec)))
    return found


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None


def _conf(spec: ModuleSpec) -> Path | None:
    """The folder of a part's options."""
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if not places and spec.origin is not None:
        places = [Path(spec.origin).parent]
    return next((place / "conf" for place in places if (place / "conf").is_dir()), None)


def conf_dirs() -> list[Path]:
    """The folders of all parts' options."""
    return [part.conf for part in parts().values() if part.conf is not None]


def part_of(name: str) -> Part | None:
    """The part that a dotted name in Python belongs to."""
    return next((part for module, part in parts().items() if f"{name}.".startswith(f"{module}.")), None)


def raised_in(error: BaseException) -> str:
    """The innermost line of a part that an error came through, for a message; empty where it came through none."""
    places = [(frame.f_globals.get("__name__", ""), frame, line) for frame, line in walk_tb(error.__traceback__)]
    own = [(frame, line) for module, frame, line in places if part_of(str(module)) is not None]
    return f" ({Path(own[-1][0].f_code.co_filename).name}, line {own[-1][1]})" if own else ""


def refuse_from_config(environment: Iterable[str]) -> None:
    """A config that sets the variable for a job.

    Raises:
        Refused: it does.
    """
    if VARIABLE in environment:
        raise Refused(f"hydra.job.env_set: no config sets {VARIABLE}; set it where the command is started")


# ---- which parts a run used ------------------------------------------------------------------------------------------


def used(config: Any) -> dict[str, dict[str, str]]:
    """The parts whose classes a config names: by module, the package and its version."""
    named = (part_of(target) for _, target in targets_of(config))
    return {part.module: {"package": part.package, "version": part.version} for part in named if part is not None}


def missing(config: Any, recorded: Any) -> list[str]:
    """What to say of the parts that a recorded config used and that are not here.

    Args:
        config: the recorded config.
        recorded: what `used` said of it then; it may be anybody's, so nothing is made of what is no such record.
    """
    said = []
    for module, package in recorded.items() if isinstance(recorded, dict) else ():
        absent = part_of(str(module)) is None
        if not absent or not any(f"{target}.".startswith(f"{module}.") for _, target in targets_of(config)):
            continue
        name, version = (
            str(package.get(key, "")) if isinstance(package, dict) else "" for key in ("package", "version")
        )
        plain = all(re.fullmatch(r"[\w.+!-]{0,80}", text) for text in (str(module), name, version))
        if plain and name:
            said.append(f"it needs the package {name} {version} with the part {module}, which is not installed here")
        elif plain:
            said.append(
                f"it needs the part {module}, which is not here; {VARIABLE}={module} names it, where its file is"
            )
    return said
