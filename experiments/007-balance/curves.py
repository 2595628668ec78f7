"""Draws the validation curves of runs beside each other, as differences to the harmonic fill on the same crops.

python experiments/007-balance/curves.py experiments/007-balance/curves.png "old default=RUN" "new default=RUN"
"""

import argparse
import csv
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

COLOURS = ["#888888", "#1f5fa8", "#c4501b", "#2f8f4e", "#7a4fa3"]
WIDTH, HEIGHT, MARGIN = 560, 360, 64
PANELS = {
    "hole PSNR to the harmonic fill (dB)": lambda row: (
        float(row["val/hole_psnr"]) - float(row["val/harmonic_hole_psnr"])
    ),
    "LPIPS to the harmonic fill (%)": lambda row: (
        100 * (float(row["val/lpips_alex"]) / float(row["val/harmonic_lpips_alex"]) - 1)
    ),
}


def validations(run: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv that hold a validation."""
    with (run / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["val/hole_psnr"]]


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers that cover the span."""
    step = next(s for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 1000, 2000, 5000) if (high - low) / s <= 8)
    return [step * place for place in range(int(low // step), int(-(-high // step)) + 1)]


def draw(panel: ImageDraw.ImageDraw, left: int, title: str, curves: dict[str, list[tuple[float, float]]]) -> None:
    """One panel: axes with ticks, a curve a run."""
    font = ImageFont.load_default(14)
    values = [value for curve in curves.values() for _, value in curve] + [0.0]
    across, up = ticks(0, max(x for curve in curves.values() for x, _ in curve)), ticks(min(values), max(values))
    width, height = WIDTH - MARGIN - 28, HEIGHT - 2 * 40

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + MARGIN + width * x / across[-1],
            40 + height * (1 - (y - up[0]) / (up[-1] - up[0])),
        )

    for y in up:
        panel.line([place(0, y), place(across[-1], y)], "#bbbbbb" if abs(y) < 1e-9 else "#eeeeee", 1)
        panel.text((left + MARGIN - 8, place(0, y)[1]), f"{y:.2g}", "black", font, anchor="rm")
    for x in across:
        panel.text((place(x, up[0])[0], HEIGHT - 34), f"{x:g}", "black", font, anchor="mt")
    panel.text((left + MARGIN, 12), title, "black", font)
    for colour, curve in zip(COLOURS, curves.values(), strict=False):
        panel.line([place(x, y) for x, y in curve], colour, 2, joint="curve")


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("runs", nargs="+", help="NAME=RUN FOLDER")
    arguments = parser.parse_args()
    runs = {name: validations(Path(folder)) for name, folder in (run.split("=", 1) for run in arguments.runs)}
    picture = Image.new("RGB", (2 * WIDTH, HEIGHT + 24 * len(runs)), "white")
    panel = ImageDraw.Draw(picture)
    for place, (title, value) in enumerate(PANELS.items()):
        curves = {name: [(float(row["step"]) + 1, value(row)) for row in rows] for name, rows in runs.items()}
        draw(panel, place * WIDTH, title, curves)
    for number, (name, colour) in enumerate(zip(runs, COLOURS, strict=False)):
        y = HEIGHT + 24 * number
        panel.line([(MARGIN, y + 8), (MARGIN + 32, y + 8)], colour, 3)
        panel.text((MARGIN + 44, y), name, "black", ImageFont.load_default(14))
    picture.save(arguments.output)


if __name__ == "__main__":
    main()
