"""Put the generator of a run into the package, with its figures on the bundled photographs and its card.

    python experiments/014-model-in-the-box/ship.py RUN [--photographs DIR] [--lpips-weights FILE]

writes `inpaint/builtin/holes/`: model.safetensors, config.json, MODEL_CARD.md, and the hashes in its code.
"""

import argparse
import copy
import csv
import hashlib
import json
import re
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import inpaint
from inpaint import builtin
from inpaint.data.splits import place
from inpaint.evaluation.intervals import ALL, Results, aggregate
from inpaint.exchange import card, models, weights
from inpaint.files import checkpoint as checkpoints
from inpaint.groups import named_files

HERE = Path(__file__).parent
FOLDER = builtin.FOLDER / builtin.MODELS[builtin.NAME]
KEPT = ("generator", "discriminator", "adversarial", "losses", "masks", "validation_masks", "data", "seed")
OF_PHOTOGRAPHS = ("root", "share", "train", "validation", "resize")  # settings of data=dead_leaves that need a folder
HOLES = {
    "text": "masks=text",
    "scratches": "masks=scratches",
    "thin strokes": "masks=strokes masks.width=[0.015,0.06]",
    "LaMa thin": "masks=lama_thin",
    "LaMa medium": "masks=lama_medium",
}
SIDES = (128, 320)  # pixels; the larger is all that the shorter side of BSDS500's photographs has
FILLS = ["harmonic", "telea", "navier_stokes", "biharmonic"]
MOST = 2_000_000  # bytes of the weights
COLUMNS = {"hole_psnr": ("hole PSNR", max, 2), "lpips_alex": ("LPIPS", min, 4)}
# What the test of the package repeats.
SMALL_SET = {"data": "photos", "masks": "damage", "data.crop": 64, "data.validation_crops": 2}
SMALL = "captions, cracks or pen strokes, 8 crops of the bundled photographs, 64 px"
LARGE_SET = {"data": "folder", "data.validation": 0.3, "data.validation_crops": 1}


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """What the weights come with: no name of a file or folder, of this machine or another."""
    kept = {name: config[name] for name in KEPT if name in config}
    data = dict(kept["data"])
    kept["data"] = data | {name: None for name in OF_PHOTOGRAPHS if name in data}
    # A loss's features are torchvision's: null, as a user writes it who has them in the hub's cache.
    kept["losses"] = {
        name: loss | {"weights": None} if "weights" in loss else loss for name, loss in kept["losses"].items()
    }
    for group in KEPT:
        if isinstance(kept.get(group), dict) and (files := named_files(group, kept[group])):
            raise SystemExit(f"ship: {group} names files: {files}")
    return {"name": builtin.NAME, **kept}


def seal() -> None:
    """Write the hashes of the files into the code, and take them for this process."""
    source = builtin.FOLDER / "__init__.py"
    text = source.read_text()
    for name in builtin.SHA256:
        digest = hashlib.sha256((builtin.FOLDER / name).read_bytes()).hexdigest()
        builtin.SHA256[name] = digest
        text = re.sub(rf'("{re.escape(name)}": )"[0-9a-f]*"', rf'\1"{digest}"', text)
    source.write_text(text)


def measured(folder: Path, lpips_weights: str | None, *overrides: str, **settings: Any) -> Results:
    """Averages and differences of the model and the fills, over every picture."""
    judged = {"lpips": "alex", "lpips_weights": lpips_weights} if lpips_weights else {}
    inpaint.measure(*overrides, generator=builtin.NAME, baselines=FILLS, folder=folder, **judged, **settings)
    return aggregate(inpaint.rows(folder, table="records"))


def means(results: Results) -> dict[str, dict[str, float]]:
    """Averages over holes of all sizes, by method."""
    return {row.method: row.means for row in results.rows if row.area == ALL}


def best_fill(results: Results, figure: str) -> str:
    """The fill with the best average."""
    averages = means(results)
    return COLUMNS[figure][1](FILLS, key=lambda fill: averages[fill][figure])


def to_best_fill(results: Results, figure: str) -> str:
    """The difference to the best fill with its 95 % interval: of PSNR in dB, of LPIPS in percent of the fill's."""
    fill = best_fill(results, figure)
    difference = results.difference(ALL, figure, builtin.NAME, fill)
    assert difference is not None  # both have measured every picture
    if figure == "hole_psnr":
        scale, digits, unit = 1.0, 2, "dB"
    else:
        scale, digits, unit = 100 / means(results)[fill][figure], 0, "%"
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in difference[1:])
    return f"{mean} {unit} ({low} to {high}), {fill}"


def shown_figures(measurements: dict[str, Results]) -> list[str]:
    """LPIPS is there where its weights are."""
    first = means(next(iter(measurements.values())))[builtin.NAME]
    return [figure for figure in COLUMNS if figure in first]


def table(measurements: dict[str, Results]) -> list[str]:
    """The figures of the card: a line for each kind of holes, and beside each figure how it compares."""
    shown = shown_figures(measurements)
    lines = [f"| holes | {' | '.join(f'{COLUMNS[figure][0]} | to the best fill' for figure in shown)} |"]
    lines.append("|---|" + "---:|---|" * len(shown))
    for holes, results in measurements.items():
        ours = means(results)[builtin.NAME]
        cells = [f"{ours[figure]:.{COLUMNS[figure][2]}f} | {to_best_fill(results, figure)}" for figure in shown]
        lines.append(f"| {holes} | {' | '.join(cells)} |")
    return lines


def compared(measurements: dict[str, Results]) -> list[str]:
    """Under which holes it is better than every fill, under which a fill is, and under which that cannot be told."""
    lines = []
    for figure in shown_figures(measurements):
        title, best, _ = COLUMNS[figure]
        kinds: dict[str, list[str]] = {"better than each of the fills": [], "level with the best": [], "worse": []}
        for holes, results in measurements.items():
            difference = results.difference(ALL, figure, builtin.NAME, best_fill(results, figure))
            assert difference is not None
            better = difference.mean > 0 if best is max else difference.mean < 0
            verdict = (
                "level with the best" if not difference.is_real else ("worse", "better than each of the fills")[better]
            )
            kinds[verdict].append(holes if holes != SMALL else "damage of the bundled photographs")
        verdicts = [f"{verdict} on {', '.join(names)}" for verdict, names in kinds.items() if names]
        lines.append(f"In {title} it is {'; '.join(verdicts)}.")
    return lines


def text_of_card(
    config: dict[str, Any], updates: str, parameters: int, others: str, figures: list[str], verdicts: list[str]
) -> str:
    """What the model is, learnt from, reaches, and owes."""
    with (HERE / "photographs.csv").open(newline="") as file:
        photographs = list(csv.DictReader(file))
    share, validation = config["data"].get("share"), config["data"].get("validation") or 0.1
    validating = [row["file"] for row in photographs if place(row["file"]) < validation]
    credits = [f"| {row['file']} | {row['author']} | {row['licence']} | {row['source']} |" for row in photographs]
    return "\n".join(
        [
            "# The model in the box",
            "",
            f"A {config['generator']['_target_'].rpartition('.')[2]} of {parameters:,} parameters that paints holes in "
            "photographs, beginning with their harmonic fill. It is made for thin damage: scratches, cracks, captions, "
            "dates, thin strokes. `inpaint-predict images=DIR holes=DIR output=DIR` takes it where no other is named; "
            "`inpaint-train init_from=builtin data=folder data.root=PHOTOS` trains it further.",
            "",
            "## Data",
            "",
            f"It is the moving average after {updates} of `inpaint-train` on synthetic pictures (dead leaves, "
            f"share {0.5 if share is None else share:g}) and on windows of the photographs below, but for "
            f"{' and '.join(validating)}, which validated, and on nothing else. `config.json` holds the settings, "
            "`experiments/014-model-in-the-box` in the repository the commands.",
            "",
            "## Figures",
            "",
            "Hole PSNR in dB (higher is better)"
            + (" and LPIPS of AlexNet (lower is better)" if "LPIPS" in figures[0] else "")
            + " beside the best of four classical fills (harmonic, Telea, Navier-Stokes, biharmonic), on photographs "
            f"that it has not seen; differences have 95 % intervals over photographs{others}:",
            "",
            *figures,
            "",
            *verdicts,
            "",
            "Measure it on your own photographs: `inpaint-evaluate generator=builtin images=DIR holes=DIR`.",
            "",
            "## Limits",
            "",
            "It knows texture and edges, no objects: what a wide hole hid is smooth, or a texture, and never a face. "
            "Nothing is promised of holes that are wider than about 20 pixels or cover more than a quarter of a "
            "picture; larger pictures with larger damage want to be shrunk. Where the table names a fill with a better "
            "figure, that fill is better there.",
            "",
            "## Licence and credits",
            "",
            "The weights are Apache-2.0, as the code. They were trained on these photographs, whose licences ask for "
            "this credit or for none:",
            "",
            "| photograph | by | licence | from |",
            "|---|---|---|---|",
            *credits,
            "",
            "The texts of these licences: https://creativecommons.org/licenses/by/4.0/, "
            "https://creativecommons.org/licenses/by/2.0/, https://creativecommons.org/publicdomain/zero/1.0/. The "
            "photographs were cut, shrunk and damaged for training; none of them is in the package.",
            "",
        ]
    )


def main() -> None:
    """Export, measure, describe, seal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--lpips-weights", help="AlexNet's features, as lpips_weights of inpaint-evaluate")
    parser.add_argument("--photographs", help="others, of which about a third are measured under each kind of holes")
    parser.add_argument("--called", default="other photographs", help="what the card calls these")
    parser.add_argument("--before", help="what this run began with, in words: 3000 updates of L1")
    arguments = parser.parse_args()
    model = models.load(arguments.run)
    generator = models.generator_of(model)
    config, updates = checkpoints.config_of(model), f"{model['inpaint']['update']} updates"
    if arguments.before:
        updates = f"{arguments.before} and {updates} from there"
    stripped = model | {"inpaint": model["inpaint"] | {"config": json.dumps(settings_of(config))}}
    # In 16 bits, half the size; the figures below are of what is read back.
    weights.write_weights(FOLDER / weights.WEIGHTS, copy.deepcopy(generator).half())
    (FOLDER / weights.WEIGHTS).chmod(0o644)
    if (size := (FOLDER / weights.WEIGHTS).stat().st_size) > MOST:
        raise SystemExit(f"ship: {size} bytes are more than {MOST}")
    weights.write_config(FOLDER / weights.CONFIG, stripped, {"licence": "apache-2.0"})
    seal()
    with tempfile.TemporaryDirectory() as scratch:
        lpips = arguments.lpips_weights
        found = {SMALL: measured(Path(scratch) / "small", lpips, **SMALL_SET)}
        figures = card.figures_of(Path(scratch) / "small", builtin.NAME)
        weights.write_config(FOLDER / weights.CONFIG, stripped, {"licence": "apache-2.0", "figures": figures})
        seal()
        if arguments.photographs:
            for side, (name, words) in product(SIDES, HOLES.items()):
                results = measured(
                    Path(scratch) / f"{name.replace(' ', '_')}_{side}", lpips, *words.split(),
                    f"data.root={arguments.photographs}", **LARGE_SET, **{"data.crop": side},
                )  # fmt: skip
                found[f"{name}, {side} px"] = results
        lines = table(found)
    sizes = [row.images for row in found[next(reversed(found))].rows if row.area == ALL]
    others = f", squares of {' and '.join(map(str, SIDES))} px are of {sizes[0]} {arguments.called}"
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    (FOLDER / "MODEL_CARD.md").write_text(
        text_of_card(config, updates, parameters, others if arguments.photographs else "", lines, compared(found))
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
