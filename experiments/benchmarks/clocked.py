"""A command with clocks on its parts, which end it with its first update, picture or line: for `starts.py`.

    CLOCKS=FILE BEGUN=SECONDS python experiments/benchmarks/clocked.py train seed=1

It imports nothing but what every interpreter has at hand, as imports are what it measures.
"""

import builtins
import importlib
import json
import os
import sys
import time
from pathlib import Path

# Where each part of a command begins, as module and name in it; what is done before is composition.
STEPS = {
    "train": {
        "inpaint.train:build": "building",
        "inpaint.data.datamodule:InpaintingData.setup": "data",
        "inpaint.training.gan:InpaintingGAN.training_step": "work",
    },
    "evaluate": {
        "inpaint.data.datamodule:InpaintingData.setup": "data",
        "inpaint.evaluation.measuring:_timed": "work",
    },
    "predict": {"inpaint.predict.command:_set_up": "building", "inpaint.predict.command:_repair": "work"},
    "preview": {"inpaint.data.datamodule:InpaintingData.setup": "data", "inpaint.preview:draw": "work"},
}
MODULES = {"train": "inpaint.train", "evaluate": "inpaint.evaluate", "preview": "inpaint.preview"}
MODULES["predict"] = "inpaint.predict.command"
PARTS = ("imports", "composition", "building", "data", "between", "work")


class Clocks:
    """Seconds of a command by part; each part is without the imports in it."""

    def __init__(self, begun):
        self.begun, self.seconds, self.depth = begun, dict.fromkeys(PARTS, 0.0), 0
        self.original = builtins.__import__
        builtins.__import__ = self.imported

    def imported(self, *arguments, **settings):
        """An import statement; those that it leads to count with it."""
        if self.depth:
            return self.original(*arguments, **settings)
        self.depth, start = 1, time.time()
        try:
            return self.original(*arguments, **settings)
        finally:
            self.depth = 0
            self.seconds["imports"] += time.time() - start

    def clocked(self, place, part):
        """Put a clock on a function; the end of the first call of `work` ends the command."""
        module, name = place.split(":")
        owner = importlib.import_module(module)
        *path, name = name.split(".")
        for step in path:
            owner = getattr(owner, step)
        called = getattr(owner, name)

        def timed(*arguments, **settings):
            if not self.seconds["composition"]:
                self.seconds["composition"] = time.time() - self.begun - self.seconds["imports"]
            start, before = time.time(), self.seconds["imports"]
            made = called(*arguments, **settings)
            self.seconds[part] += time.time() - start - (self.seconds["imports"] - before)
            if part == "work":
                self.end()
            return made

        setattr(owner, name, timed)

    def end(self):
        """Say the seconds, and leave."""
        whole = time.time() - self.begun
        self.seconds["between"] = whole - sum(self.seconds.values())
        Path(os.environ["CLOCKS"]).write_text(json.dumps(self.seconds | {"whole": whole}))
        os._exit(0)


def clocked(command, words):
    """Run a command in this process until it works."""
    clocks = Clocks(float(os.environ["BEGUN"]))
    module = __import__(MODULES[command], fromlist=["main"])
    if words[:1] != ["--help"]:
        clocks.depth, start = 1, time.time()  # what clocks are put on, the command would import a little later
        for place, part in STEPS[command].items():
            clocks.clocked(place, part)
        clocks.depth = 0
        clocks.seconds["imports"] += time.time() - start
    sys.argv = [f"inpaint-{command}", *words]
    try:
        module.main()
    finally:
        clocks.seconds["composition"] = time.time() - clocks.begun - clocks.seconds["imports"]
        clocks.end()


if __name__ == "__main__":
    clocked(sys.argv[1], sys.argv[2:])
