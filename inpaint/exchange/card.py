"""The model card: ``README.md`` of an exported folder, as the Hugging Face hub shows it, its table in YAML first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from inpaint.exchange.contract import graph_sizes
from inpaint.files.untrusted import Unreadable, parse_json, read_text
from inpaint.settings import printable

CARD = "README.md"
SHOWN = ("hole_l1", "hole_psnr", "hole_ssim", "psnr", "ssim", "psnr_y", "ssim_y", "lpips_alex", "fid")  # if there
UNSTATED = (
    "The licence of the weights is not stated. It follows from the photographs that they were trained on, and from the "
    "licence of the weights that training began with, if there were any. The code is Apache-2.0."
)


def figures_of(run: Path, name: str) -> dict[str, Any]:
    """What a run's ``results.json`` says of its network over holes of all sizes; empty where there is none.

    Args:
        run: its folder.
        name: of the method in its tables.

    Returns:
        ``pictures``, and ``values``: by figure ``mean``, ``title``, ``unit`` and ``definition``.
    """
    try:
        results = parse_json(read_text(run / "results.json", 16 << 20))
        rows = [row for row in results["rows"] if row["area"] == "all"]
        row = next(row for row in rows if row["method"] == name)
        known = results["definitions"]
        values = {
            figure: {key: known[figure][key] for key in ("title", "unit", "definition")} | {"mean": row[figure]["mean"]}
            for figure in SHOWN
            if isinstance(row.get(figure), dict) and isinstance(row[figure].get("mean"), int | float)
        }
        return {"pictures": row["images"], "values": values}
    except (OSError, Unreadable, LookupError, TypeError, AttributeError, StopIteration):
        return {}


def card(
    config: Mapping[str, Any], update: int, parameters: int, files: Sequence[tuple[str, str]], about: Mapping[str, Any]
) -> str:
    """The text of the card.

    Args:
        config: of the run.
        update: after how many updates.
        parameters: of the network.
        files: names of the exported files, and what each is.
        about: ``figures`` as `figures_of` returns them, ``licence``, None where it is not stated, and what ``int8``
            costs, where there is such a file; ``scale`` of a network that restores whole pictures.
    """
    name = _cell(config.get("name") or "generator")
    network = _class(config.get("generator"))
    figures, licence = _sound(about.get("figures")), about.get("licence")
    licence = licence if isinstance(licence, str) else None
    smallest, largest = graph_sizes()
    does, contract, holes = _purpose(about.get("scale"))
    head = {
        "license": licence or "other",
        **({} if licence else {"license_name": "not-stated"}),
        "library_name": "inpaint-lightning",
        "pipeline_tag": "image-to-image",
        "tags": ["image-inpainting", "image-restoration", "pytorch"],
        **({"model-index": [_index(name, config, figures)]} if figures.get("values") else {}),
    }
    lines = ["---", yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(), "---", "", f"# {name}", ""]
    lines += [
        f"A network that {does}: `{network}`, {parameters:,} parameters, the moving average "
        f"after {update} updates of inpaint-train. It was trained on `{_class(config.get('data'))}` at crops of "
        f"{_setting(config, 'data', 'crop')} pixels. `config.json` holds every setting.",
        "",
        "| file | what it is |",
        "|---|---|",
        *(f"| `{file}` | {text} |" for file, text in files),
        "",
        f"Every graph takes an image `(1, 3, H, W)` in [0, 1]{contract} TorchScript takes pictures of any size, "
        f"the other graphs those of {smallest} to {largest} pixels a side.",
        "",
        "```",
        f"inpaint-predict checkpoint=model.safetensors images=DAMAGED{holes} output=REPAIRED",
        "```",
        "",
    ]
    if values := figures.get("values"):
        lines += ["## Figures", "", f"Of {figures['pictures']} pictures that it was not trained on:", ""]
        lines += ["| figure | mean | what it is |", "|---|---|---|"]
        for value in values.values():
            title, unit, definition = (_cell(value[key]) for key in ("title", "unit", "definition"))
            lines.append(f"| {title} | {value['mean']:.4g} {unit} | {definition} |")
        lines.append("")
    if isinstance(cost := about.get("int8"), str):
        lines += ["## 8 bits", "", f"`model.int8.onnx`: {_cell(cost)}.", ""]
    lines += ["## Licence", "", f"The weights: {_cell(licence)}." if licence else UNSTATED, ""]
    return "\n".join(lines)


def _purpose(scale: int | None) -> tuple[str, str, str]:
    """What a network does, what its graphs take and return, and what `inpaint-predict` wants besides pictures."""
    if scale is None:
        returned = "returns the composite in [0, 1]; known pixels are those of the image."
        taken = f" and a mask `(1, 1, H, W)`, 1 = hole, both float32, and {returned}"
        return "paints the holes of photographs", taken, " holes=MASKS"
    size = "(1, 3, H, W)" if scale == 1 else f"(1, 3, {scale} H, {scale} W)"
    does = "restores photographs" if scale == 1 else f"makes photographs {scale} times as large"
    return does, f", float32, and returns what it makes of it, `{size}` in [0, 1].", ""


def _sound(figures: Any) -> dict[str, Any]:
    """Figures in the form of `figures_of`; empty where a file that somebody sent has something else."""
    try:
        values = {
            str(figure): {key: str(value[key]) for key in ("title", "unit", "definition")}
            | {"mean": float(value["mean"])}
            for figure, value in figures["values"].items()
        }
        return {"pictures": int(figures["pictures"]), "values": values}
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        return {}


def _index(name: str, config: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """The hub's own form of a table of results."""
    data = _class(config.get("data"))
    metrics = [
        {"type": figure, "name": str(value["title"]), "value": round(float(value["mean"]), 4)}
        for figure, value in figures["values"].items()
    ]
    task = {"type": "image-to-image", "name": "Image inpainting"}
    return {
        "name": name,
        "results": [{"task": task, "dataset": {"type": data, "name": data}, "metrics": metrics}],
    }


def _class(node: Any) -> str:
    target = node.get("_target_") if isinstance(node, dict) else None
    return _cell(target).rpartition(".")[2] if isinstance(target, str) else "unknown"


def _setting(config: Mapping[str, Any], group: str, key: str) -> str:
    node = config.get(group)
    return _cell(node.get(key)) if isinstance(node, dict) else "unknown"


def _cell(value: Any) -> str:
    return printable(str(value)).replace("|", "\\|").replace("`", "").replace("<", "&lt;").replace("[", "\\[")[:300]
