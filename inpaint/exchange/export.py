"""Write a trained generator as files that other programs read, and prove each against the network.

    inpaint-export checkpoint=runs/DATE/TIME output=DIR
    inpaint-export checkpoint=FILE output=DIR 'formats=[safetensors,onnx]'

DIR then holds model.safetensors with config.json, model.pt2 (torch.export), model.onnx, model.pt (TorchScript) and
README.md, a model card. Each graph is loaded back and paints pictures of three sizes as the network does, to 1e-4, or
it is not kept. inpaint-predict and inpaint-evaluate take each of them as checkpoint=...
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from inpaint.cli.command import command
from inpaint.config import check
from inpaint.files.folder import only_one, write_whole
from inpaint.settings import ConfigError, Refused, choice

if TYPE_CHECKING:
    from torch import nn

    from inpaint.exchange.formats import Written

SAFETENSORS = "safetensors"
DESCRIPTIONS = {
    SAFETENSORS: "the weights, with `config.json`",
    "torch_export": "a program of torch.export",
    "onnx": "ONNX, height and width free",
    "torchscript": "TorchScript, as IOPaint loads it through `LAMA_MODEL_URL`",
}


def run(cfg: DictConfig) -> None:
    """Check everything, write, compare, and print the table.

    Raises:
        Refused: a setting that means nothing, no checkpoint, or a folder that holds something else.
    """
    from inpaint.exchange import formats, models, weights
    from inpaint.exchange.card import CARD, card, figures_of
    from inpaint.files import checkpoint as checkpoints

    check(cfg)
    names = _formats(cfg.formats, [SAFETENSORS, *formats.GRAPHS])
    if cfg.licence is not None and not isinstance(cfg.licence, str):
        raise ConfigError(f"licence: give the name of one, as cc-by-4.0; got {cfg.licence}")
    model = models.load(cfg.checkpoint)
    if "graph" in model:
        raise Refused(f"checkpoint: {cfg.checkpoint} is exported already; give its run, or its safetensors")
    generator = models.generator_of(model, cfg.trust_paths)
    folder = Path(cfg.output)
    _refuse_others(folder)
    config = checkpoints.config_of(model)
    source = Path(cfg.checkpoint)
    run_folder = source if source.is_dir() else checkpoints.run_of(source)
    figures = figures_of(run_folder, str(config.get("name"))) or model["inpaint"].get("figures", {})
    about = {"licence": cfg.licence or model["inpaint"].get("licence"), "figures": figures}
    with only_one(folder / ".inpaint-export.lock", "output: an export"):
        for file in _files():
            (folder / file).unlink(missing_ok=True)
        weights.write_config(folder / weights.CONFIG, model, about)
        written, problems, wrong = _write(names, generator, folder)
        parameters = sum(parameter.numel() for parameter in generator.parameters())
        described = [(each.file, DESCRIPTIONS[each.format]) for each in written]
        write_whole(folder / CARD, card(config, model["inpaint"]["update"], parameters, described, about))
    _print(written)
    for problem in problems:
        print(f"inpaint-export: {problem}", file=sys.stderr)
    print(f"written to {folder}")
    if wrong or (problems and cfg.formats is not None):
        raise SystemExit(1)


def _formats(asked: Any, known: list[str]) -> list[str]:
    if asked is None:
        return known
    if not isinstance(asked, ListConfig) or not asked:
        raise ConfigError(f"formats: give a list of {', '.join(known)}, or null for all; got {asked}")
    return [choice("formats", str(name), known) for name in dict.fromkeys(asked)]


def _files() -> list[str]:
    from inpaint.exchange import card, formats, weights

    return [weights.WEIGHTS, *(graph.file for graph in formats.GRAPHS.values()), weights.CONFIG, card.CARD]


def _refuse_others(folder: Path) -> None:
    """Nothing is written over but what an export wrote.

    Raises:
        Refused: the folder holds files of these names, and no ``config.json`` of an export.
    """
    from inpaint.exchange import weights

    taken = [file for file in _files() if (folder / file).exists() or (folder / file).is_symlink()]
    if not taken:
        return
    try:
        weights.read_config(folder / weights.CONFIG)
    except Refused:
        raise Refused(f"output: {folder} holds {taken[0]}, which no export wrote; choose another folder") from None


def _write(names: list[str], generator: "nn.Module", folder: Path) -> "tuple[list[Written], list[str], bool]":
    """Every file that is kept, what is to be said of the others, and whether one of these came out wrong."""
    from inpaint.exchange import formats, weights

    written, problems, wrong = [], [], False
    for name in names:
        try:
            if name == SAFETENSORS:
                weights.write_weights(folder / weights.WEIGHTS, generator)
                size = (folder / weights.WEIGHTS).stat().st_size
                written.append(formats.Written(name, weights.WEIGHTS, size, None, 0.0))
            else:
                written.append(formats.write(name, generator, folder))
        except formats.CannotHold as error:
            problems.append(f"{name}: this network has no such form: {error}")
        except formats.Differs as error:
            wrong = True
            problems.append(f"{name}: {formats.GRAPHS[name].file} is not kept: {error}")
    return written, problems, wrong


def _print(written: "list[Written]") -> None:
    """The table of what was written."""
    rows = [
        ("file", "MB", "opset", "largest difference"),
        *((each.file, f"{each.size / 1e6:.2f}", str(each.opset or ""), f"{each.difference:.1e}") for each in written),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells))


def main() -> None:
    """`inpaint-export`."""
    command("export", run)


if __name__ == "__main__":
    main()
