"""What a GPU is asked beside its updates: masks, waiting for data, synchronisations, and two of them together.

    python experiments/benchmarks/gpu.py

Waiting is what a training with its loader takes longer than one with batches that are there. A synchronisation of the
host, in which the GPU runs dry, is an error while batches are made; the first ones may, as they choose kernels.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
from measuring import in_turns, run_of, settle
from scaling import Clock, in_processes
from torch.utils.data import DataLoader

from inpaint import rng
from inpaint.masks import LamaStrokes

sys.path.append(str(Path(__file__).parent.parent / "002-masks-and-data"))
CASES = {"residual_unet": [], "gated_conv": ["generator=gated_conv"], "lama_fourier": ["generator=lama_fourier"]}


def masks(seconds, device, count=512, side=256):
    """Masks a second here, and with OpenCV on one thread."""
    from opencv_painter import paint

    keys = torch.tensor([rng.key("bench", index) for index in range(count)], device=device)
    ours, random = LamaStrokes(), np.random.default_rng(0)
    found = in_turns({"ours": lambda: ours(keys, (side, side))}, seconds / 2, device=device)["ours"]
    theirs = in_turns({"opencv": lambda: paint("lama_thick", random)}, seconds / 2, most=2000)["opencv"]
    return {"ours": count / statistics.median(found), "opencv": 1 / statistics.median(theirs)}


def waiting(overrides, device, updates=40, crop=256, batch=16):
    """The share of an update that waits for its batch."""
    accelerator = "gpu" if device == "cuda" else "cpu"
    fixed = ["data=photos", "data.on_small_image=skip", f"data.crop={crop}", f"data.batch_size={batch}", "seed=0"]
    found = {}
    for way in ("made", "loaded"):
        parts = run_of(*fixed, *overrides, f"trainer.accelerator={accelerator}", f"trainer.max_steps={updates}")
        clock = Clock(device)
        parts.trainer.callbacks.append(clock)
        if way == "made":
            parts.data.setup("fit")
            raw = next(iter(parts.data.train_dataloader()))
            made = [parts.data.to_batch(raw, device)] * updates
            parts.trainer.fit(parts.module, DataLoader(made, batch_size=None))
        else:
            parts.trainer.fit(parts.module, parts.data)
        found[way] = statistics.median(clock.seconds[updates // 4 :])
    return max(0.0, 1 - found["made"] / found["loaded"])


def synchronises(device, crop=256, batch=16):
    """Whether making a batch waits for the GPU, once it has made some."""
    parts = run_of("data=photos", "data.on_small_image=skip", f"data.crop={crop}", f"data.batch_size={batch}")
    parts.data.setup("fit")
    raw = [each for _, each in zip(range(4), parts.data.train_dataloader(), strict=False)]
    moved = [parts.data.transfer_batch_to_device(each, torch.device(device), 0) for each in raw]
    for each in moved[:2]:
        parts.data.on_after_batch_transfer(each, 0)
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        for each in moved[2:]:
            parts.data.on_after_batch_transfer(each, 0)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return None


def measured(seconds, device="cuda", cases=None, said=print, **sizes):
    """All of it."""
    said("masks")
    found = {"masks": masks(seconds / 4, device)}
    said("synchronisations")
    found["synchronises"] = synchronises(device, **sizes)
    found["waiting"] = {}
    for name, overrides in (CASES if cases is None else cases).items():
        said(f"waiting for data, {name}")
        found["waiting"][name] = waiting(overrides, device, **sizes)
    if device == "cuda" and torch.cuda.device_count() > 1:
        said("two GPUs")
        fixed = ["trainer.accelerator=gpu", "data.crop=64", "data.batch_size=64"]
        found["two GPUs"] = {count: in_processes(count, fixed) for count in (1, 2)}
    return found


def shown(found):
    """In sentences."""
    rates = found["masks"]
    share = ", ".join(f"{100 * part:.1f} % (`{name}`)" for name, part in found["waiting"].items())
    lines = [
        f"- Masks a second: {rates['ours']:.0f}, with OpenCV {rates['opencv']:.0f}: "
        f"{rates['ours'] / rates['opencv']:.0f}x (promised on a GPU: 100x).",
        f"- Waiting for data, of an update: {share} (promised: below 2 %).",
        f"- Synchronisations while batches are made: {found['synchronises'] or 'none'} (promised: none).",
    ]
    if "two GPUs" in found:
        one, two = found["two GPUs"].values()
        lines.append(f"- Two GPUs: an update takes {1e3 * two:.0f} ms, on one {1e3 * one:.0f} ms.")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    arguments = parser.parse_args()
    settle()
    print(shown(measured(arguments.seconds, arguments.device)))


if __name__ == "__main__":
    main()
