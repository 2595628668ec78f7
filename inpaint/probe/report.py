"""What a probe says: lines of accuracies and of paired differences, as a table and as files.

results.csv    the lines with their intervals, every digit kept
results.json   the same, with the settings, the definitions and the accuracies of every split
results.md     a table to read
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig

from inpaint.config.references import without_environment

if TYPE_CHECKING:
    from torch import Tensor, nn

    from inpaint.evaluation.terminal import Cell
    from inpaint.probe.classifiers import Interval, Split

FIGURES = {"linear": "linear probe (%)", "neighbours": "{k}-NN (%)"}


class Pictures(NamedTuple):
    """What is probed.

    crops: uint8 ``(N, 3, crop, crop)``.
    labels: int64 ``(N,)``, 0 to classes - 1.
    classes: their names.
    """

    crops: "Tensor"
    labels: "Tensor"
    classes: list[str]


class Encoder(NamedTuple):
    """Where features come from: what a generator declares, or one of its layers.

    random: the table's name of the untrained twin that this encoder is compared with; an untrained one names itself.
    definition: what the table says of it.
    """

    network: "nn.Module"
    layer: str | None
    random: str
    definition: str


class Line(NamedTuple):
    """A line of the table: a kind of features, or its difference to another kind. Figures are in percent."""

    features: str
    minus: str | None
    dimensions: int | None
    figures: dict[str, "Interval"]


def summarise(
    records: list[dict[str, Any]],
    features: dict[str, "Tensor"],
    encoders: dict[str, Encoder],
    splits: Sequence["Split"],
) -> list[Line]:
    """Each kind of features, then what each trained encoder has over HOG and random weights in the same splits."""
    from inpaint.probe.classifiers import Interval, resampled_interval

    ratio = len(splits[0].test) / len(splits[0].train)

    def values(name: str, figure: str) -> list[float]:
        return [record[figure] for record in records if record["features"] == name]

    lines = []
    for name, rows in features.items():
        found = {figure: resampled_interval(values(name, figure), ratio) for figure in FIGURES}
        # An accuracy ends at 0 and 100 %, which the t-interval does not know.
        inside = {f: Interval(i.mean, max(i.low, 0.0), min(i.high, 100.0)) for f, i in found.items()}
        lines.append(Line(name, None, rows.shape[1], inside))
    for name, encoder in encoders.items():
        for other in ("hog", "hog pooled", encoder.random) if name != encoder.random else ():
            differences = {
                figure: [a - b for a, b in zip(values(name, figure), values(other, figure), strict=True)]
                for figure in FIGURES
            }
            figures = {figure: resampled_interval(found, ratio) for figure, found in differences.items()}
            lines.append(Line(name, other, None, figures))
    return lines


def figure_definitions(cfg: DictConfig, pictures: Pictures) -> dict[str, str]:
    """What the columns mean."""
    counts = pictures.labels.bincount()
    k = cfg.neighbours
    return {
        "linear probe": "held-out accuracy of multinomial logistic regression on standardised features; its L2 penalty "
        f"is chosen by log loss on a fifth of the training part, of {', '.join(f'{p:g}' for p in cfg.penalties)}",
        f"{k}-NN": f"accuracy of the vote of the {k} training pictures nearest by cosine, same features",
        "95 % interval": f"of the mean over {cfg.splits} stratified splits that hold {cfg.test:.0%} out: corrected "
        "resampled t (Nadeau and Bengio 2003); it says nothing of another training run or other random weights",
        "a - b": "difference over the same splits; bold where its interval is on one side of 0",
        "chance": f"{100 * counts.max().item() / counts.sum().item():.1f} %: always the largest of "
        f"{len(counts)} classes, {counts.sum().item()} pictures of {cfg.data.crop} x {cfg.data.crop} pixels",
    }


def cells(lines: Sequence[Line], neighbours: int) -> "tuple[list[str], list[list[list[Cell]]]]":
    """Headings, and two blocks of lines: accuracies with the best marked, differences with the certain ones marked."""
    from inpaint.evaluation.terminal import Cell

    headings = ["features", "dimensions"]
    for title in FIGURES.values():
        headings += [title.format(k=neighbours), "95 % interval"]
    plain = [line for line in lines if line.minus is None]
    best = {figure: max(round(line.figures[figure].mean, 1) for line in plain) for figure in FIGURES}
    accuracies: list[list[Cell]] = []
    differences: list[list[Cell]] = []
    for line in lines:
        row = [
            Cell(line.features if line.minus is None else f"{line.features} - {line.minus}"),
            Cell(str(line.dimensions or "")),
        ]
        for figure, (mean, low, high) in line.figures.items():
            marked = round(mean, 1) == best[figure] if line.minus is None else low > 0 or high < 0
            sign = "" if line.minus is None else "+"
            row += [Cell(f"{mean:{sign}.1f}", marked), Cell(f"{low:{sign}.1f} .. {high:{sign}.1f}")]
        (accuracies if line.minus is None else differences).append(row)
    return headings, [block for block in (accuracies, differences) if block]


def write_results(
    lines: Sequence[Line], records: list[dict[str, Any]], definitions: dict[str, str], cfg: DictConfig, folder: Path
) -> None:
    """The table as ``results.md`` and ``results.csv``; ``results.json`` adds settings, definitions and every split."""
    from inpaint.evaluation.table import grid, marked
    from inpaint.files.folder import write_whole
    from inpaint.files.writing import write_json, write_table

    flat = [
        {"features": line.features, "minus": line.minus, "dimensions": line.dimensions}
        | {
            f"{figure}{suffix}": value
            for figure, interval in line.figures.items()
            for suffix, value in zip(("", "_low", "_high"), interval, strict=True)
        }
        for line in lines
    ]
    write_table(folder / "results.csv", [*flat[0]], flat)
    settings = without_environment(cfg)
    whole = {"settings": settings, "definitions": definitions, "rows": flat, "splits": records}
    write_json(folder / "results.json", whole, indent=1)

    headings, blocks = cells(lines, cfg.neighbours)
    text = grid(headings, [[marked(cell) for cell in row] for row in chain(*blocks)], 1)
    notes = "".join(f"- {title}: {definition}\n" for title, definition in definitions.items())
    write_whole(folder / "results.md", f"{text}\n\n{notes}")
