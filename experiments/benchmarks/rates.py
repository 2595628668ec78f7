"""How many pictures a second does an evaluation measure, and does a prediction repair?

    python experiments/benchmarks/rates.py --seconds 60

The evaluation is that of the final table: each method on the same pictures of the bundled photographs, with all figures
of pixels. The prediction is the default generator, untrained, from bytes to bytes.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from measuring import in_turns, run_of, settle, spread, table

from inpaint import rng
from inpaint.config.untrained import build_baseline
from inpaint.data.sources import Photos
from inpaint.evaluation.measuring import ValidationCrops, evaluate
from inpaint.masks import Strokes
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.predict.predictor import Predictor

FILLS = ("mean", "harmonic", "telea", "navier_stokes", "biharmonic", "nearest_patch")


def evaluated(seconds, crop=256, fills=FILLS, least=2):
    """Pictures a second of a whole evaluation, and milliseconds of each method on a picture."""
    parts = run_of(
        "data=photos", f"data.crop={crop}", "data.on_small_image=skip", "data.validation_crops=2", "data.batch_size=4"
    )
    parts.data.setup("validate")
    methods = {"residual_unet": parts.module.ema.network} | {name: build_baseline(name) for name in fills}
    whole, each = [], {name: [] for name in methods}
    begun = time.perf_counter()
    while len(whole) < least or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        measured = evaluate(methods, ValidationCrops(parts.data))
        count = len(measured.records) / len(methods)
        whole.append(count / (time.perf_counter() - start))
        for name in methods:
            found = [record["ms"] for record in measured.records if record["method"] == name]
            each[name].append(statistics.fmean(found))
    return {"crop": crop, "rate": spread(whole), "milliseconds": {name: spread(found) for name, found in each.items()}}


def repaired(seconds, sides=(256, 512), device="cpu"):
    """Pictures a second of the default generator, by their side."""
    predictor = Predictor(ResidualUNet().eval().to(device))
    photograph = Photos().read("train", 0)["image"].permute(1, 2, 0).numpy()
    rates = {}
    for side in sides:
        picture = np.ascontiguousarray(photograph[:side, :side])
        hole = Strokes()(torch.tensor([rng.key("bench")]), picture.shape[:2])[0, 0].numpy() > 0.5
        found = in_turns({"one": lambda p=picture, h=hole: predictor(p, h)}, seconds / len(sides), device=device)
        rates[side] = spread([1 / each for each in found["one"]])
    return rates


def measured(seconds, device="cpu", crop=256, fills=FILLS, sides=(256, 512), said=print):
    """Both, in half of the time each."""
    said("evaluation")
    found = {"evaluation": evaluated(seconds / 2, crop, fills)}
    said("prediction")
    return found | {"prediction": repaired(seconds / 2, sides, device)}


def shown(found):
    """A sentence and a table."""
    evaluation, rates = found["evaluation"], found["prediction"]
    rate = evaluation["rate"]
    lines = [
        [f"`{name}`", f"{figure['median']:.1f} ({figure['low']:.1f} to {figure['high']:.1f})"]
        for name, figure in evaluation["milliseconds"].items()
    ]
    said = ", ".join(f"{figure['median']:.1f} at {side} px" for side, figure in rates.items())
    return (
        f"An evaluation with all of these methods measures {rate['median']:.2f} pictures of {evaluation['crop']} px a "
        f"second ({rate['low']:.2f} to {rate['high']:.2f}):\n\n{table(['method', 'milliseconds a picture'], lines)}\n\n"
        f"Pictures a second that the default generator repairs, from bytes to bytes: {said}."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="of both, roughly")
    arguments = parser.parse_args()
    settle()
    print(shown(measured(arguments.seconds)))


if __name__ == "__main__":
    main()
