"""What does the hardware give? All of it side by side, in one run of limited time: `make bench`, `make bench-gpu`.

    python experiments/benchmarks/bench.py                          # 25 minutes on two cores with nothing else at work
    python experiments/benchmarks/bench.py --device cuda
    python experiments/benchmarks/bench.py --only updates --seconds 300

What is compared takes turns, so that all meet the same neighbours. Results with machine and commit go to `results.json`
(`results-gpu.json`), their figure to `updates.png`, and both into the README of this folder; a part that is not
measured this time stays as it was.
"""

import argparse
import json
import os
import platform
import subprocess
import textwrap
import time
from datetime import date
from pathlib import Path

import data
import drawing
import fills
import gpu
import rates
import scaling
import starts
import torch
import updates
from measuring import settle

FOLDER = Path(__file__).parent
SECONDS = 1500
BUSY = 0.5  # load of a machine that has other work


def machine(device):
    """What it was measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    able = [name for name, there in torch.cpu.get_capabilities().items() if there is True and "bf16" in name]
    described = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores ({', '.join([model, *able])})"
    if device == "cuda":
        described = f"{torch.cuda.get_device_name()}, {described}"
    return f"{described}; torch {torch.__version__}, Python {platform.python_version()}"


def commit():
    """By its short name; a star where files differ from it."""
    asked = ["git", "-C", str(FOLDER), "describe", "--always", "--dirty=*", "--exclude=*"]
    done = subprocess.run(asked, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def parts(device, tiny):
    """What is measured, by name: its share of the time, the work, and how it is shown."""
    if tiny:  # whether all of it works
        small = {"count": 8, "rounds": 1, "kinds": ((64, 16, None),)}
        case = {"tiny": updates.TINY["tiny"]}
        points = {"batches": (1, 2), "sizes": (32,), "processes": (), "fixed": case["tiny"], "updates": 1}
        evaluated = {"crop": 64, "fills": ("mean",), "sides": (64,)}
        return {
            "updates": (0, lambda seconds, said: updates.measured(case, seconds, said=said), updates.shown),
            "scaling": (0, lambda seconds, said: scaling.measured(seconds, said=said, **points), scaling.shown),
            "crops": (0, lambda seconds, said: data.crops(None, said=said, **small), data.shown_crops),
            "fills": (0, lambda seconds, said: fills.measured((32,), 1, said=said), fills.shown),
            "rates": (0, lambda seconds, said: rates.measured(seconds, said=said, **evaluated), rates.shown),
            "device": (
                0,
                lambda seconds, said: gpu.measured(seconds, "cpu", {"tiny": case["tiny"]}, said, crop=32, batch=2),
                gpu.shown,
            ),
        }
    found = {
        "updates": (
            0.45,
            lambda seconds, said: updates.measured(
                updates.ON_GPU if device == "cuda" else updates.CASES, seconds, device, said
            ),
            updates.shown,
        ),
        "scaling": (0.15, lambda seconds, said: scaling.measured(seconds, device, said=said), scaling.shown),
    }
    if device == "cuda":
        found["device"] = (0.15, lambda seconds, said: gpu.measured(seconds, device, said=said), gpu.shown)
        return found
    return found | {
        "starts": (0.15, lambda seconds, said: starts.measured(seconds, said=said), starts.shown),
        "crops": (0.08, lambda seconds, said: data.crops(None, 48, 3, said=said), data.shown_crops),
        "photographs": (0.03, lambda seconds, said: data.start((1000, 8000)), data.shown_start),
        "fills": (0.06, lambda seconds, said: fills.measured(said=said), fills.shown),
        "rates": (0.08, lambda seconds, said: rates.measured(seconds, said=said), rates.shown),
    }


TITLES = {
    "updates": "An update",
    "scaling": "Growth",
    "starts": "Starts of the commands",
    "crops": "A training crop of a photograph (processor time)",
    "photographs": "A start with many photographs",
    "fills": "The search of `nearest_patch` (processor time of a picture)",
    "rates": "Evaluation and prediction",
    "device": "What else a GPU does",
}


def page(results, shown, figure):
    """The results as a section of the README."""
    lines = []
    for name, title in TITLES.items():
        if name not in results:
            continue
        about = results[name]["about"]
        beside = f" The machine was at work (load {about['load']}): ratios count." if about["load"] > BUSY else ""
        said = f"{about['machine']}; commit {about['commit']}, {about['date']}.{beside}"
        lines += [f"### {title}", "", said, "", shown[name](results[name]["found"]), ""]
        if name == "updates":
            lines += [f"![bars of an update, with the networks' own time as a line]({figure})", ""]
    return "\n".join(wrapped(line) for line in "\n".join(lines).splitlines())


def wrapped(line):
    """Prose in lines of a page; tables and pictures stay whole."""
    return (
        line
        if line.startswith(("|", "!"))
        else textwrap.fill(line, 118, subsequent_indent=" " * 2 * line.startswith("- "))
    )


def put(readme, mark, text):
    """Put a text between the marks of that name in a README, if it has them."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    whole = readme.read_text(encoding="utf-8")
    if begin in whole:
        before, rest = whole.split(begin, 1)
        readme.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of all parts together, roughly")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--only", nargs="+", choices=TITLES, help="some parts; each has its share of the time")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where the results, the figure and the README are")
    parser.add_argument("--tiny", action="store_true", help="a try of everything; its figures say nothing")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no GPU here")
    settle()
    load = os.getloadavg()[0]
    if load > BUSY:
        print(f"the machine is at work (load {load:.1f}): ratios stay right, times do not")
    suffix = "-gpu" if arguments.device == "cuda" else ""
    file, figure = arguments.output / f"results{suffix}.json", f"updates{suffix}.png"
    results = json.loads(file.read_text()) if file.is_file() else {}
    about = {
        "machine": machine(arguments.device),
        "commit": commit(),
        "date": str(date.today()),
        "load": round(load, 1),
    }
    available = parts(arguments.device, arguments.tiny)
    chosen = {name: part for name, part in available.items() if arguments.only is None or name in arguments.only}
    shown = {name: part[2] for name, part in available.items()}
    begun, whole = time.perf_counter(), sum(share for share, *_ in chosen.values()) * arguments.seconds

    def said(what):
        passed = time.perf_counter() - begun
        print(f"{passed:5.0f} s, about {max(0.0, whole - passed):.0f} s left: {what}", flush=True)

    for name, (share, work, _) in chosen.items():
        seconds = share * arguments.seconds
        results[name] = {"about": about, "found": json.loads(json.dumps(work(seconds, said)))}
        print(f"\n{TITLES[name]}\n\n{shown[name](results[name]['found'])}\n", flush=True)
        file.write_text(json.dumps(results, indent=1) + "\n")
    if "updates" in results:
        drawing.bars(results["updates"]["found"], updates.WAYS).save(arguments.output / figure)
    if (readme := arguments.output / "README.md").is_file():
        put(readme, f"results{suffix}", page(results, shown, figure))
    print(f"{file}, {arguments.output / figure}: {time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
