"""Write a trained generator as files that other programs read, and prove each against the network.

    inpaint-export checkpoint=runs/DATE/TIME output=DIR
    inpaint-export checkpoint=FILE output=DIR 'formats=[safetensors,onnx]' int8=true

DIR then holds model.safetensors with config.json, model.pt2 (torch.export), model.onnx, model.pt (TorchScript) and
README.md, a model card. Each graph is loaded back and paints pictures of three sizes as the network does, to 1e-4, or
it is not kept. `int8=true` adds model.int8.onnx and says what whole numbers cost. inpaint-predict and inpaint-evaluate
take each of them as checkpoint=...
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from inpaint.cli.command import command
from inpaint.config import check
from inpaint.config.sent import restoration_scale
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
    "int8": "ONNX for processors, whose convolutions compute with 8 bits",
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
    if cfg.int8 and "onnx" not in names:
        raise ConfigError("int8: is made of the ONNX file; add onnx to formats, or leave formats out")
    if cfg.licence is not None and not isinstance(cfg.licence, str):
        raise ConfigError(f"licence: give the name of one, as cc-by-4.0; got {cfg.licence}")
    model = models.load(cfg.checkpoint)
    if "graph" in model:
        raise Refused(f"checkpoint: {cfg.checkpoint} is exported already; give its run, or its safetensors")
    scale = restoration_scale(model, cfg.trust_paths)
    if cfg.int8 and scale is not None:
        raise ConfigError("int8: is measured on holes, and this model restores whole pictures; leave it out")
    generator = models.generator_of(model, cfg.trust_paths)
    folder = Path(cfg.output)
    _refuse_others(folder)
    config = checkpoints.config_of(model)
    source = Path(cfg.checkpoint)
    run_folder = source if source.is_dir() else checkpoints.run_of(source)
    figures = figures_of(run_folder, str(config.get("name"))) or model["inpaint"].get("figures", {})
    about = {"licence": cfg.licence or model["inpaint"].get("licence"), "figures": figures, "int8": None}
    with only_one(folder / ".inpaint-export.lock", "output: an export"):
        for file in _files():
            (folder / file).unlink(missing_ok=True)
        weights.write_config(folder / weights.CONFIG, model, about)
        written, problems, wrong = _write(names, generator, folder, scale)
        if cfg.int8:
            about["int8"] = _write_int8(folder, written, problems)
            weights.write_config(folder / weights.CONFIG, model, about)
        parameters = sum(parameter.numel() for parameter in generator.parameters())
        told = about | {"scale": scale}
        described = [(each.file, DESCRIPTIONS[each.format]) for each in written]
        write_whole(folder / CARD, card(config, model["inpaint"]["update"], parameters, described, told))
    _print(written)
    if about["int8"]:
        print(about["int8"])
    for problem in problems:
        print(f"inpaint-export: {problem}", file=sys.stderr)
    print(f"written to {folder}")
    if wrong or (problems and (cfg.formats is not None or cfg.int8)):
        raise SystemExit(1)


def _formats(asked: Any, known: list[str]) -> list[str]:
    if asked is None:
        return known
    if not isinstance(asked, ListConfig) or not asked:
        raise ConfigError(f"formats: give a list of {', '.join(known)}, or null for all; got {asked}")
    return [choice("formats", str(name), known) for name in dict.fromkeys(asked)]


def _files() -> list[str]:
    from inpaint.exchange import card, formats, int8, weights

    graphs = [graph.file for graph in formats.GRAPHS.values()]
    return [weights.WEIGHTS, *graphs, int8.FILE, weights.CONFIG, card.CARD]


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


def _write(
    names: list[str], generator: "nn.Module", folder: Path, scale: int | None
) -> "tuple[list[Written], list[str], bool]":
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
                written.append(formats.write(name, generator, folder, scale))
        except formats.CannotHold as error:
            problems.append(f"{name}: this network has no such form: {error}")
        except formats.Differs as error:
            wrong = True
            problems.append(f"{name}: {formats.GRAPHS[name].file} is not kept: {error}")
    return written, problems, wrong


def _write_int8(folder: Path, written: "list[Written]", problems: list[str]) -> str | None:
    """The ONNX file once more with whole numbers, where there is one; what that costs, as the card says it."""
    from inpaint.exchange import formats, int8

    source = folder / formats.GRAPHS["onnx"].file
    if not source.is_file():
        problems.append("int8: there is no ONNX file to make it of")
        return None
    try:
        loss = int8.write(source, folder)
    except (formats.CannotHold, formats.Differs) as error:
        problems.append(f"int8: {int8.FILE} is not there: {error}")
        return None
    opset = next(each.opset for each in written if each.format == "onnx")
    written.append(formats.Written("int8", int8.FILE, loss.size, opset, None))
    return loss.line


def _print(written: "list[Written]") -> None:
    """The table of what was written."""
    rows = [
        ("file", "MB", "opset", "largest difference"),
        *((each.file, f"{each.size / 1e6:.2f}", str(each.opset or ""), _shown(each.difference)) for each in written),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells))


def _shown(difference: float | None) -> str:
    return "" if difference is None else f"{difference:.1e}"


def main() -> None:
    """`inpaint-export`."""
    command("export", run)


if __name__ == "__main__":
    main()
