"""The package in Python: what the commands do, for notebooks and scripts.

Overrides are those of the command line: texts in Hydra's grammar, or keywords, whose values are taken as they are,
whatever signs a path or a name contains. Each function runs what the command of the same config runs, so nothing here
is a second way to do anything, and bad input raises `Refused` with the line that the command would print.

Examples:
    Two updates stand for a longer run.

    >>> import numpy as np, inpaint
    >>> run = inpaint.fit("+debug=tiny", "trainer.max_steps=2", folder="runs/mine", losses=["l1", "ssim"])
    ResidualUNet ...
    >>> repair = inpaint.load(run)
    >>> picture = np.full((50, 70, 3), 200, dtype=np.uint8)
    >>> hole = np.zeros((50, 70), dtype=bool)
    >>> hole[20:30, 20:40] = True
    >>> repaired = repair(picture, hole)
    >>> repaired.shape, repaired.dtype, bool((repaired[~hole] == 200).all())
    ((50, 70, 3), dtype('uint8'), True)
    >>> folder = inpaint.measure(checkpoint=run, masks="boxes", baselines=["mean"], folder="runs/on_boxes")
    hole L1 ...
    >>> [(row["method"], row["images"]) for row in inpaint.rows(folder) if row["area"] == "all"]
    [('residual_unet', 4), ('mean', 4)]
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from inpaint import config, evaluate, train
from inpaint.cli.command import call
from inpaint.cli.explain import options
from inpaint.cli.typed import literal
from inpaint.compare import runs
from inpaint.config import untrained
from inpaint.files.folder import inside, shown
from inpaint.files.untrusted import Unreadable, read_table
from inpaint.predict import predictor
from inpaint.predict.predictor import Predictor
from inpaint.settings import Refused, choice

if TYPE_CHECKING:
    from inpaint.config import Parts

__all__ = ["Predictor", "Refused", "build", "fit", "load", "measure", "options", "rows"]

Override = str | int | float | bool | None | Path | list | tuple | dict

TABLES = {
    "results": "averages by hole area and method, with the ends of their 95 % intervals",
    "records": "every figure of every picture",
    "validation": "which pictures under which holes",
    "metrics": "what was logged in training, by update",
}
WORDS = {"method", "photograph", "name", "image_sha256", "mask_sha256"}  # columns that are never numbers


def build(*overrides: str, folder: str | Path | None = None, **settings: Override) -> "Parts":
    """A new run's module, data and trainer, checked and built; nothing is trained and nothing resumed.

    The global random numbers are seeded as they are for training.

    Args:
        overrides: as of `inpaint-train`, ``"+experiment=aot_gan"``.
        folder: the run folder; None is a new one below ``runs``.
        settings: overrides as keywords, ``losses=["l1", "style"]``, ``**{"generator.width": 16}``.

    Raises:
        Refused: bad settings, each with the nearest valid name.

    Examples:
        >>> import inpaint
        >>> parts = inpaint.build("+debug=tiny", generator="context_encoder", **{"data.crop": 32})
        >>> batch = parts.data.to_batch(next(iter(parts.data.train_dataloader())), "cpu")
        >>> batch["image"].shape, batch["mask"].shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2, 1, 32, 32]))
        >>> type(parts.module.generator).__name__
        'ContextEncoder'
    """

    def parts(cfg: DictConfig) -> "Parts":
        from inpaint.training.launching import quiet

        config.check(cfg)
        quiet()
        return config.build(cfg)

    return call("train", parts, _overrides(overrides, folder, settings))


def fit(*overrides: str, folder: str | Path | None = None, **settings: Override) -> Path:
    """Train a model and evaluate it, as `inpaint-train` does; what it prints is printed.

    Random numbers, signal handlers, warnings and torch's settings are afterwards what they were before.

    Args:
        overrides, settings: as of `build`.
        folder: the run folder; a run that is in there goes on, or is left alone where it is finished.

    Returns:
        The run folder.

    Raises:
        Refused: bad input.

    Examples:
        >>> import inpaint
        >>> inpaint.fit("generator.widht=16")
        Traceback (most recent call last):
            ...
        inpaint.settings.Refused: generator.widht: no such setting; did you mean generator.width? ...
    """
    return _run("train", train.run, _overrides(overrides, folder, settings))


def measure(*overrides: str, folder: str | Path | None = None, **settings: Override) -> Path:
    """Measure trained models, fills and results of other tools, as `inpaint-evaluate` does, and print the table.

    Args:
        overrides, settings: as of `inpaint-evaluate`: ``checkpoint=run``, ``generator="telea"``, ``masks="boxes"``.
        folder: of the results; None is a new one below ``runs``.

    Returns:
        The folder of the results.

    Raises:
        Refused: bad input.

    Examples:
        >>> import inpaint
        >>> inpaint.measure(generator="mean", baselines=[], folder="runs/mean", **{"data.validation_crops": 1})
        hole L1 ...
        PosixPath('runs/mean')
    """
    return _run("evaluate", evaluate.run, _overrides(overrides, folder, settings))


def load(
    checkpoint: str | Path | None = None,
    *,
    generator: str | None = None,
    device: str = "auto",
    trust_paths: bool = False,
    **settings: Any,
) -> Predictor:
    """A trained generator, or a classical fill, that repairs arrays.

    Args:
        checkpoint: a run folder, of which the newest valid checkpoint is taken, or a checkpoint; with no generator
            either, the model in the box repairs.
        generator: in place of it, the option of a fill: ``"harmonic"``, ``"telea"``, ...
        device: ``auto`` is a GPU where there is one.
        trust_paths: whether files that the checkpoint's generator names may be opened.
        settings: of `inpaint-predict`, as `Predictor` takes them: ``strategy="crop"``, ``refine="pyramid"``,
            ``**{"refine.steps": 30}``.

    Raises:
        Refused: both given, nothing there that could be loaded, no such fill or device, or a setting that
            means nothing.

    Examples:
        >>> import numpy as np, inpaint
        >>> repair = inpaint.load(generator="harmonic")
        >>> repair(np.full((20, 30, 3), 0.5), np.ones((20, 30))).shape
        (20, 30, 3)
    """
    fill = None
    if generator is not None:
        fill = untrained.build_baseline(choice("generator", generator, config.options("generator")))
    return predictor.load(checkpoint, fill, device, trust_paths, **settings)


def rows(*folders: str | Path, table: str = "results") -> list[dict[str, Any]]:
    """A table of one or of several runs, made for ``pandas.DataFrame(inpaint.rows("runs/mine"))``.

    Args:
        folders: of runs and evaluations, or folders and patterns that hold some: ``"multirun/first"``, ``"runs/*_l1"``.
        table: ``results`` (averages by hole area and method, with the ends of their 95 % intervals), ``records``
            (every figure of every picture), ``validation`` (which pictures under which holes) or ``metrics`` (what was
            logged in training, by update).

    Returns:
        A dict for each line, its folder first as ``run``. Numbers are numbers, and an empty field is NaN. A folder
        that lacks the file, as an evaluation lacks metrics, has no lines.

    Raises:
        Refused: no such table, nothing there, or no folder that has the table.

    Examples:
        >>> import inpaint
        >>> [row["method"] for row in inpaint.rows("runs/mean") if row["area"] == "all"]
        ['mean']
        >>> [*inpaint.rows("runs/mean", table="records")[0]][:5]
        ['run', 'method', 'index', 'area', 'hole_l1']
    """
    name = f"{choice('table', table, TABLES)}.csv"
    places, nowhere = runs.expand(folders)
    if nowhere or not places:
        raise Refused(nowhere[0] if nowhere else f"{', '.join(map(str, folders)) or 'rows'}: no run folder")
    files = [inside(place, name) for place in places if (place / name).exists()]
    if not files:
        raise Refused(f"table: {', '.join(map(str, folders))} has no {name}")
    return [{"run": str(shown(file.parent)), **line} for file in files for line in _lines(file)]


# ---- overrides and their results ------------------------------------------------------------------------------------


def _run(name: str, run: Any, overrides: Sequence[str]) -> Path:
    """A command in this process, which is afterwards as it was; the folder that it wrote."""
    from inpaint.cli.isolation import isolated

    def task(cfg: DictConfig) -> Path:
        folder = Path(cfg.paths.run)
        run(cfg)
        return shown(folder)

    with isolated():
        return call(name, task, overrides)


def _overrides(overrides: Sequence[str], folder: str | Path | None, settings: dict[str, Override]) -> list[str]:
    """All of them as texts of Hydra's grammar."""
    places = {} if folder is None else {"hydra.run.dir": folder}
    return [*overrides, *(f"{key}={literal(key, value)}" for key, value in {**settings, **places}.items())]


def _lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a CSV file; a last one that is being written is left out."""
    try:
        lines = [line for line in read_table(file) if None not in line.values() and None not in line]
    except (Unreadable, csv.Error) as error:
        raise Refused(f"{file}: {error}") from None
    return [{name: _value(name, field) for name, field in line.items()} for line in lines]


def _value(name: str, field: str) -> Any:
    if name in WORDS:
        return field
    if not field:
        return math.nan
    for kind in (int, float):
        try:
            return kind(field)
        except ValueError:
            continue
    return field
