"""Put the generator of a run into the package, with its figures on the bundled photographs and its card.

    python experiments/014-model-in-the-box/ship.py RUN [--lpips-weights FILE]

writes `inpaint/builtin/`: model.safetensors, config.json, MODEL_CARD.md, and the hashes in its code.
"""

import argparse
import copy
import csv
import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import inpaint
from inpaint import builtin
from inpaint.exchange import card, models, weights
from inpaint.files import checkpoint as checkpoints
from inpaint.groups import named_files

HERE = Path(__file__).parent
KEPT = ("generator", "discriminator", "adversarial", "losses", "masks", "validation_masks", "data", "seed")
OF_PHOTOGRAPHS = ("root", "share", "train", "validation", "resize")  # settings of data=dead_leaves that need a folder
HOLES = {
    "text": "masks=text",
    "scratches": "masks=scratches",
    "thin strokes": "masks=strokes masks.width=[0.01,0.04]",
    "LaMa thin": "masks=lama_thin",
    "LaMa medium": "masks=lama_medium",
}
FILLS = ["harmonic", "telea", "navier_stokes", "biharmonic"]
CROPS = 8  # of each photograph in the table of the card
MOST = 2_000_000  # bytes of the weights
# What the test of the package repeats.
SMALL_SET = {"data": "photos", "masks": "damage", "data.crop": 64, "data.validation_crops": 2}


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """What the weights come with: no name of a file or folder, of this machine or another."""
    kept = {name: config[name] for name in KEPT if name in config}
    data = dict(kept["data"])
    kept["data"] = data | {name: None for name in OF_PHOTOGRAPHS if name in data}
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


def measured(folder: Path, *overrides: str, **settings: Any) -> list[dict[str, Any]]:
    """Averages over holes of all sizes by method."""
    fills = {"baselines": FILLS}
    inpaint.measure(*overrides, generator=builtin.NAME, folder=folder, **(fills | settings))
    return [row for row in inpaint.rows(folder) if row["area"] == "all"]


def table(lpips_weights: str | None, scratch: Path) -> list[str]:
    """The figures of the card, a line for each kind of holes."""
    judged = {"lpips": "alex", "lpips_weights": lpips_weights} if lpips_weights else {}
    columns = {"hole_psnr": max, **({"lpips_alex": min} if judged else {})}
    titles = {"hole_psnr": "hole PSNR", "lpips_alex": "LPIPS"}
    lines = [f"| holes | {' | '.join(f'{titles[name]} | best fill' for name in columns)} |"]
    lines.append("|---|" + "---:|---|" * len(columns))
    for name, words in HOLES.items():
        rows = measured(
            scratch / name.replace(" ", "_"),
            *words.split(),
            "data=photos",
            **judged,
            **{"data.crop": 128, "data.validation_crops": CROPS},
        )
        cells = []
        for column, best in columns.items():
            ours = next(row[column] for row in rows if row["method"] == builtin.NAME)
            fill = best((row for row in rows if row["method"] != builtin.NAME), key=lambda row: row[column])
            digits = 2 if column == "hole_psnr" else 4
            cells.append(f"{ours:.{digits}f} | {fill[column]:.{digits}f} {fill['method']}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def text_of_card(config: dict[str, Any], updates: int, parameters: int, figures: list[str]) -> str:
    """What the model is, learnt from, reaches, and owes."""
    with (HERE / "photographs.csv").open(newline="") as file:
        photographs = list(csv.DictReader(file))
    share = config["data"].get("share")
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
            f"It is the moving average after {updates} updates of `inpaint-train` on synthetic pictures (dead leaves, "
            f"share {0.5 if share is None else share:g}) and on windows of the fourteen photographs below, and on "
            "nothing else. `config.json` holds the settings, `experiments/014-model-in-the-box` in the repository the "
            "commands.",
            "",
            "## Figures",
            "",
            "Hole PSNR in dB (higher is better)"
            + (" and LPIPS of AlexNet (lower is better)" if "LPIPS" in figures[0] else "")
            + " over 32 crops of 128 pixels of the four photographs that `data=photos` validates on, which it has not "
            "seen, beside the best of the classical fills:",
            "",
            *figures,
            "",
            "Four photographs say little about others. Measure it on your own: `inpaint-evaluate generator=builtin "
            "images=DIR holes=DIR`.",
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
    arguments = parser.parse_args()
    model = models.load(arguments.run)
    generator = models.generator_of(model)
    config, updates = checkpoints.config_of(model), model["inpaint"]["update"]
    stripped = model | {"inpaint": model["inpaint"] | {"config": json.dumps(settings_of(config))}}
    # In 16 bits, half the size; the figures below are of what is read back.
    weights.write_weights(builtin.FOLDER / weights.WEIGHTS, copy.deepcopy(generator).half())
    (builtin.FOLDER / weights.WEIGHTS).chmod(0o644)
    if (size := (builtin.FOLDER / weights.WEIGHTS).stat().st_size) > MOST:
        raise SystemExit(f"ship: {size} bytes are more than {MOST}")
    weights.write_config(builtin.FOLDER / weights.CONFIG, stripped, {"licence": "apache-2.0"})
    seal()
    with tempfile.TemporaryDirectory() as scratch:
        measured(Path(scratch) / "small", baselines=["harmonic"], **SMALL_SET)
        figures = card.figures_of(Path(scratch) / "small", builtin.NAME)
        weights.write_config(builtin.FOLDER / weights.CONFIG, stripped, {"licence": "apache-2.0", "figures": figures})
        seal()
        lines = table(arguments.lpips_weights, Path(scratch))
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    (builtin.FOLDER / "MODEL_CARD.md").write_text(text_of_card(config, updates, parameters, lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
