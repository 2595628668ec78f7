"""The text of a model's card: what it is, learnt from, reaches, and owes."""

import csv
from pathlib import Path
from typing import Any

from inpaint.data.splits import place

HERE = Path(__file__).parent
PURPOSE = {
    "builtin": (
        "that paints holes in photographs, beginning with their harmonic fill. It is made for thin damage: "
        "scratches, cracks, captions, dates, thin strokes. `inpaint-predict images=DIR holes=DIR output=DIR` "
        "takes it where no other is named; `inpaint-train init_from=builtin data=folder data.root=PHOTOS` trains "
        "it further."
    ),
    "builtin_x2": (
        "that makes photographs twice as large, with more detail than a bicubic enlargement has: `inpaint-predict "
        "checkpoint=builtin_x2 images=DIR output=DIR`. `inpaint-train init_from=builtin_x2 degradation=resize "
        "adversarial=none data=folder data.root=PHOTOS` trains it further."
    ),
    "builtin_denoise": (
        "that takes noise off photographs and measures how strong that is: `inpaint-predict "
        "checkpoint=builtin_denoise images=DIR output=DIR`. `inpaint-train init_from=builtin_denoise "
        "degradation=noise adversarial=none data=folder data.root=PHOTOS` trains it further."
    ),
}
BESIDE = {
    "builtin": "the best of four classical fills (harmonic, Telea, Navier-Stokes, biharmonic)",
    "builtin_x2": "bicubic enlargement; what is given has been shrunk as MATLAB does and rounded to 8 bits",
    "builtin_denoise": (
        "the best of the given picture itself (bicubic), non-local means and total variation, which measure the "
        "strength as it does; the noise is neither clipped nor rounded, where nothing else is said"
    ),
}
MEASURE = {
    "builtin": "`inpaint-evaluate generator=builtin images=DIR holes=DIR`",
    "builtin_x2": (
        "`inpaint-evaluate generator=builtin_x2 degradation=resize 'baselines=[bicubic]' data=folder data.root=DIR`"
    ),
    "builtin_denoise": (
        "`inpaint-evaluate generator=builtin_denoise degradation=noise 'baselines=[bicubic,non_local_means]' "
        "data=folder data.root=DIR`"
    ),
}
LIMITS = {
    "builtin": (
        "It knows texture and edges, no objects: what a wide hole hid is smooth, or a texture, and never a face. "
        "Nothing is promised of holes that are wider than about 20 pixels or cover more than a quarter of a "
        "picture; larger pictures with larger damage want to be shrunk. Where the table names a fill with a "
        "better figure, that fill is better there."
    ),
    "builtin_x2": (
        "It makes edges sharp and invents nothing: texture that the small picture does not show is not there "
        "afterwards. It has learnt pictures that were shrunk without noise and without JPEG: of one that has "
        "either, it makes that sharper too, so noise comes off first (`checkpoint=builtin_denoise`). Nothing is "
        "promised of pictures that were blurred, or made smaller by something else than an antialiased bicubic "
        "filter."
    ),
    "builtin_denoise": (
        "It has learnt white noise of up to 50 levels, the same in all of a picture, of three channels or, for a "
        "tenth of the pictures, of grey ones. Noise that a camera or JPEG has smoothed is taken for detail, and what "
        "is finer than the noise is lost. In wide areas of one colour non-local means leaves less noise. A clean "
        "picture changes by less than half a level on average, more where its texture is taken for noise."
    ),
}


def text_of_card(
    config: dict[str, Any], updates: str, parameters: int, others: str, figures: list[str], verdicts: list[str]
) -> str:
    """The whole of it.

    Args:
        config: of the run.
        updates: how many there were, in words.
        parameters: of the network.
        others: which other photographs were measured, and how large they were shown.
        figures: the table's lines.
        verdicts: where it is better, where worse.
    """
    with (HERE / "photographs.csv").open(newline="") as file:
        photographs = list(csv.DictReader(file))
    name, kind = config["name"], config["generator"]["_target_"].rpartition(".")[2]
    share, validation = config["data"].get("share"), config["data"].get("validation") or 0.1
    validating = [row["file"] for row in photographs if place(row["file"]) < validation]
    credits = [f"| {row['file']} | {row['author']} | {row['licence']} | {row['source']} |" for row in photographs]
    return "\n".join(
        [
            "# The model in the box" if name == "builtin" else f"# The model in the box: {name}",
            "",
            f"{'A' if name == 'builtin' else 'An'} {kind} of {parameters:,} parameters {PURPOSE[name]}",
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
            ("Hole PSNR in dB" if name == "builtin" else "PSNR and that of luma in dB, SSIM")
            + " (higher is better)"
            + (" and LPIPS of AlexNet (lower is better)" if "LPIPS" in figures[0] else "")
            + f" beside {BESIDE[name]}; on photographs that it has not seen; differences have 95 % "
            f"intervals over photographs{others}:",
            "",
            *figures,
            "",
            *verdicts,
            "",
            f"Measure it on your own photographs: {MEASURE[name]}.",
            "",
            "## Limits",
            "",
            LIMITS[name],
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
