"""How long is a command at work before it works: imports, composition of the config, building, data?

    python experiments/benchmarks/starts.py --seconds 60

A command runs in a process of its own, from the shell's start of it to its first update, picture or line. Imports are
all import statements outside of others, wherever they stand; the other parts are without the imports in them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import spread, table

CLOCKED = Path(__file__).with_name("clocked.py")
PARTS = ("imports", "composition", "building", "data", "between", "work")
PROMISED = {"train --help": 1.0, "train": 12.0}


def once(command, words):
    """Seconds of a command by part, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = [word.replace("FOLDER", folder) for word in words]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"CLOCKS": f"{folder}/clocks.json", "BEGUN": str(time.time())}
        line = [sys.executable, str(CLOCKED), command, *settings]
        done = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True)
        if not (path := Path(folder, "clocks.json")).is_file():
            raise RuntimeError(f"{command} did not begin to work:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return json.loads(path.read_text())


def pictures(folder):
    """One photograph and its hole, for the commands that repair."""
    import numpy as np
    from PIL import Image
    from skimage import data

    hole = np.zeros((512, 512), np.uint8)
    hole[200:300, 200:300] = 255
    for name, pixels in (("images", data.astronaut()), ("holes", hole)):
        Path(folder, name).mkdir()
        Image.fromarray(pixels).save(Path(folder, name, "0.png"))


def measured(seconds, least=2, most=5, said=print):
    """Seconds of each command by part, in turns until the time is over."""
    with tempfile.TemporaryDirectory() as folder:
        pictures(folder)
        repair = [f"images={folder}/images", f"holes={folder}/holes"]
        commands = {
            "train --help": ("train", ["--help"]),
            "train": ("train", ["hydra.run.dir=FOLDER/run"]),
            "evaluate": ("evaluate", ["generator=builtin", "baselines=[]", "hydra.run.dir=FOLDER/run"]),
            "predict": ("predict", [*repair, "output=FOLDER/out"]),
            "preview": ("preview", ["hydra.run.dir=FOLDER/run"]),
        }
        found = {name: [] for name in commands}
        begun = time.perf_counter()
        for turn in range(most + 1):  # the first one has files to read and to compile
            if turn > least and time.perf_counter() - begun > seconds * turn / (turn + 1):
                break
            said(f"starts, round {turn + 1}")
            for name, (command, words) in commands.items():
                each = once(command, words)
                found[name] += [each] if turn else []
    return [
        {"command": name, **{part: spread([each[part] for each in runs]) for part in ("whole", *PARTS)}}
        for name, runs in found.items()
    ]


def shown(rows):
    """The parts of each command."""
    lines = []
    for row in rows:
        whole = row["whole"]
        promised = f"{PROMISED[row['command']]:g}" if row["command"] in PROMISED else ""
        lines.append(
            [
                f"`inpaint-{row['command']}`",
                *(f"{row[part]['median']:.2f}" for part in PARTS),
                f"{whole['median']:.2f} ({whole['low']:.2f} to {whole['high']:.2f})",
                promised,
            ]
        )
    heading = ["command", *PARTS[:-1], "first update or picture", "until then", "promised"]
    return f"Seconds, medians of {rows[0]['whole']['count']} rounds:\n\n{table(heading, lines)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="of all rounds, roughly")
    print(shown(measured(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
