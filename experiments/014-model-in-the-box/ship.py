"""Put the generator of a run into the package, with its figures on the bundled photographs and its card.

    python experiments/014-model-in-the-box/ship.py RUN [--photographs DIR] [--lpips-weights FILE]

writes the folder of the run's name in `inpaint/builtin/`: model.safetensors, config.json, MODEL_CARD.md, and the hashes
in its code.
"""

import argparse
import copy
import hashlib
import json
import re
import tempfile
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from cards import text_of_card

import inpaint
from inpaint import builtin
from inpaint.evaluation.intervals import ALL, Results, aggregate
from inpaint.exchange import card, models, weights
from inpaint.files import checkpoint as checkpoints
from inpaint.groups import named_files

KEPT = (
    "generator",
    "discriminator",
    "adversarial",
    "losses",
    "masks",
    "validation_masks",
    "degradation",
    "data",
    "seed",
)
OF_PHOTOGRAPHS = ("root", "share", "train", "validation", "resize")  # settings of data=dead_leaves that need a folder
SIDES = (128, 320)  # pixels; the larger is all that the shorter side of BSDS500's photographs has
MOST = 2_000_000  # bytes of all weights
BUNDLED = {"data": "photos", "data.crop": 64, "data.validation_crops": 2}
LARGE = {"data": "folder", "data.validation": 0.3, "data.validation_crops": 1}


class Measured(NamedTuple):
    """What a model is measured on, and beside what.

    small: settings of a few crops of the bundled photographs, which the test of the package repeats.
    called: what the card calls these.
    kinds: overrides for other photographs, by what the card calls them.
    beside: classical methods.
    figures: by column of the tables: title, which is better, digits.
    """

    small: dict[str, Any]
    called: str
    kinds: dict[str, str]
    beside: list[str]
    figures: dict[str, tuple[str, Any, int]]


WHOLE = {
    "psnr": ("PSNR", max, 2),
    "psnr_y": ("PSNR-Y", max, 2),
    "ssim": ("SSIM", max, 4),
    "lpips_alex": ("LPIPS", min, 4),
}
MEASURED = {
    "builtin": Measured(
        BUNDLED | {"masks": "damage"},
        "captions, cracks or pen strokes, 8 crops of the bundled photographs, 64 px",
        {
            "text": "masks=text",
            "scratches": "masks=scratches",
            "thin strokes": "masks=strokes masks.width=[0.015,0.06]",
            "LaMa thin": "masks=lama_thin",
            "LaMa medium": "masks=lama_medium",
        },
        ["harmonic", "telea", "navier_stokes", "biharmonic"],
        {"hole_psnr": ("hole PSNR", max, 2), "lpips_alex": ("LPIPS", min, 4)},
    ),
    "builtin_x2": Measured(
        BUNDLED | {"degradation": "resize"},
        "8 crops of the bundled photographs, 64 px",
        {"photographs": "degradation=resize"},
        ["bicubic"],
        WHOLE,
    ),
    "builtin_denoise": Measured(
        BUNDLED | {"degradation": "noise"},
        "noise of 25 levels, 8 crops of the bundled photographs, 64 px",
        {
            "noise of 15 levels": "degradation=noise degradation.sigma=15",
            "noise of 25 levels": "degradation=noise degradation.sigma=25",
            "noise of 25 levels, as a file holds it": "degradation=noise degradation.sigma=25 degradation.stored=true",
            "noise of 50 levels": "degradation=noise degradation.sigma=50",
        },
        ["bicubic", "non_local_means", "total_variation"],
        WHOLE,
    ),
}


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
    return {"name": config["name"], **kept}


def seal(folder: str) -> None:
    """Write the hashes of the files of a folder into the code, and take them for this process."""
    source = builtin.FOLDER / "__init__.py"
    text = source.read_text()
    for name in (name for name in builtin.SHA256 if name.startswith(f"{folder}/")):
        digest = hashlib.sha256((builtin.FOLDER / name).read_bytes()).hexdigest()
        builtin.SHA256[name] = digest
        text = re.sub(rf'("{re.escape(name)}": )"[0-9a-f]*"', rf'\1"{digest}"', text)
    source.write_text(text)


def measured(name: str, folder: Path, lpips_weights: str | None, *overrides: str, **settings: Any) -> Results:
    """Averages and differences of the model and what stands beside it, over every picture."""
    judged = {"lpips": "alex", "lpips_weights": lpips_weights} if lpips_weights else {}
    beside = MEASURED[name].beside
    inpaint.measure(*overrides, generator=name, baselines=beside, folder=folder, **judged, **settings)
    return aggregate(inpaint.rows(folder, table="records"))


def means(results: Results) -> dict[str, dict[str, float]]:
    """Averages over all pictures, by method."""
    return {row.method: row.means for row in results.rows if row.area == ALL}


def best_other(name: str, results: Results, figure: str) -> str:
    """The other method with the best average."""
    averages, suite = means(results), MEASURED[name]
    return suite.figures[figure][1](suite.beside, key=lambda other: averages[other][figure])


def to_best_other(name: str, results: Results, figure: str) -> str:
    """The difference to the best other with its 95 % interval: of PSNR in dB, of LPIPS in percent of the other's."""
    other = best_other(name, results, figure)
    difference = results.difference(ALL, figure, name, other)
    assert difference is not None  # both have measured every picture
    scale, digits, unit = 1.0, 2, " dB"
    if figure == "lpips_alex":
        scale, digits, unit = 100 / means(results)[other][figure], 0, " %"
    elif figure == "ssim":
        digits, unit = 4, ""
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in difference[1:])
    return f"{mean}{unit} ({low} to {high}), {other}"


def shown_figures(name: str, measurements: dict[str, Results]) -> list[str]:
    """LPIPS is there where its weights are."""
    first = means(next(iter(measurements.values())))[name]
    return [figure for figure in MEASURED[name].figures if figure in first]


def table(name: str, measurements: dict[str, Results]) -> list[str]:
    """The figures of the card: a line for each kind of pictures, and beside each figure how it compares."""
    figures, shown = MEASURED[name].figures, shown_figures(name, measurements)
    lines = [f"| pictures | {' | '.join(f'{figures[figure][0]} | to the best other' for figure in shown)} |"]
    lines.append("|---|" + "---:|---|" * len(shown))
    for kind, results in measurements.items():
        ours = means(results)[name]
        cells = [f"{ours[figure]:.{figures[figure][2]}f} | {to_best_other(name, results, figure)}" for figure in shown]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def compared(name: str, measurements: dict[str, Results]) -> list[str]:
    """On which pictures it is better than every other, on which another is, and on which that cannot be told."""
    lines, suite = [], MEASURED[name]
    for figure in shown_figures(name, measurements):
        title, best, _ = suite.figures[figure]
        kinds: dict[str, list[str]] = {"better than each of the others": [], "level with the best": [], "worse": []}
        for kind, results in measurements.items():
            difference = results.difference(ALL, figure, name, best_other(name, results, figure))
            assert difference is not None
            better = difference.mean > 0 if best is max else difference.mean < 0
            verdict = (
                "level with the best" if not difference.is_real else ("worse", "better than each of the others")[better]
            )
            kinds[verdict].append(kind if kind != suite.called else "the bundled photographs")
        verdicts = [f"{verdict} on {'; '.join(names)}" for verdict, names in kinds.items() if names]
        lines.append(f"In {title} it is {', and '.join(verdicts)}.")
    return lines


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
    name = str(config["name"])
    folder, suite = builtin.FOLDER / builtin.MODELS[name], MEASURED[name]
    folder.mkdir(exist_ok=True)
    if arguments.before:
        updates = f"{arguments.before} and {updates} from there"
    stripped = model | {"inpaint": model["inpaint"] | {"config": json.dumps(settings_of(config))}}
    # In 16 bits, half the size; the figures below are of what is read back.
    weights.write_weights(folder / weights.WEIGHTS, copy.deepcopy(generator).half())
    (folder / weights.WEIGHTS).chmod(0o644)
    if (size := sum(path.stat().st_size for path in builtin.FOLDER.rglob(weights.WEIGHTS))) > MOST:
        raise SystemExit(f"ship: {size} bytes of all models are more than {MOST}")
    weights.write_config(folder / weights.CONFIG, stripped, {"licence": "apache-2.0"})
    seal(folder.name)
    others = ""
    with tempfile.TemporaryDirectory() as scratch:
        lpips = arguments.lpips_weights
        found = {suite.called: measured(name, Path(scratch) / "small", lpips, **suite.small)}
        figures = card.figures_of(Path(scratch) / "small", name)
        weights.write_config(folder / weights.CONFIG, stripped, {"licence": "apache-2.0", "figures": figures})
        seal(folder.name)
        for number, (side, (kind, words)) in enumerate(product(SIDES, suite.kinds.items())):
            if arguments.photographs is None:
                break
            settings = LARGE | {"data.root": arguments.photographs, "data.crop": side}
            results = measured(name, Path(scratch) / str(number), lpips, *words.split(), **settings)
            found[f"{kind}, {side} px"] = results
            sizes = [row.images for row in results.rows if row.area == ALL]
            others = f", squares of {' and '.join(map(str, SIDES))} px are of {sizes[0]} {arguments.called}"
    lines = table(name, found)
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    (folder / "MODEL_CARD.md").write_text(
        text_of_card(config, updates, parameters, others, lines, compared(name, found))
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
