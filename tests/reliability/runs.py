"""A run so small that it can be killed often: two networks, two optimizers, a schedule, 22 crops of 32 px.

An epoch is 5 updates of 4 samples; every third update is validated, in 2 batches. `fork` runs it in a process of its
own, which a fork server with everything imported starts in no time.
"""

import csv
import gc
import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import hydra
import lightning as L
import skimage.data
import skimage.io  # noqa: F401  a command imports them when it first reads a picture, which forks need not
import torch
import torch.utils.serialization  # likewise, a checkpoint
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import inpaint.config.sent
import inpaint.evaluation.results
import inpaint.exchange.models
import inpaint.metrics.recognition
import inpaint.sweep.end
import inpaint.training.callbacks
import inpaint.training.contract
import inpaint.training.launching
import inpaint.training.watch  # noqa: F401  and these when it needs them
from inpaint import rng
from inpaint.cli.command import bounded_yaml
from inpaint.config import conf_dir
from inpaint.data.datamodule import FolderData
from inpaint.files import checkpoint
from inpaint.files.folder import LOCK
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.reconstruction import L1
from inpaint.masks import Boxes
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.schedules import cosine
from inpaint.train import main as train  # noqa: F401
from inpaint.training.gan import InpaintingGAN
from inpaint.training.metrics_file import MetricsFile
from inpaint.training.record import RunRecord
from inpaint.training.saving import SaveCheckpoint
from inpaint.training.signals import StopOnSignal
from inpaint.training.trainer import Trainer
from tests.conftest import smooth_picture

for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.ERROR)

UPDATES, VALIDATED = 12, 3
# `inpaint-train` at about that size.
SMALL = [
    *("generator.width=4", "generator.levels=1", "discriminator.width=4", "discriminator.layers=1", "baselines=[]"),
    *("data.crop=32", "data.crops_per_image=1", "data.validation_crops=1", "data.batch_size=4", "callbacks.panel=null"),
    *("trainer.max_steps=3", "trainer.num_sanity_val_steps=0", "trainer.val_check_interval=100"),
]
# Nor need forks look for Hydra's plugins, and its parsers learn from a first config.
with bounded_yaml(), hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
    hydra.compose("train")
Image.init()
gc.freeze()  # what is imported stays, and a fork that never looks through it need not copy its pages
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.reliability.runs"])


class Seen(L.Callback):
    """Which samples each update saw, as lines of a file that outlives a kill; `act` does what a test wants."""

    def __init__(self, folder, act=None):
        self.file, self.act = Path(folder) / "seen.jsonl", act

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as file:
            file.write(json.dumps([trainer.global_step, sorted(batch["index"].tolist())]) + "\n")
        self._act("update", trainer)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._act("done", trainer)

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
        if not trainer.sanity_checking:
            self._act(f"validation {batch_idx}", trainer)

    def on_train_end(self, trainer, module):
        self._act("end", trainer)

    def _act(self, when, trainer):
        if self.act is not None:
            self.act(when, trainer)


def module(generator=None, lr=1e-3, steps=20, weight=1.0, rare=False, schedule=None):
    adam = partial(torch.optim.Adam, lr=lr)
    rng.seed_all(5)
    return InpaintingGAN(
        generator or ResidualUNet(width=4, levels=1),
        {"l1": L1(weight=weight)},
        adam,
        discriminator=Patch(width=4, layers=1),
        adversarial=NonSaturating(weight=0.1),
        discriminator_optimizer=adam,
        generator_scheduler=schedule or (lambda optimizer: cosine(optimizer, steps)),
        **({"r1_gamma": 1.0, "r1_every": 4, "generator_every": 2} if rare else {}),
    )


def data(folder, workers=0, batch_size=4):
    """Eleven small photographs to train, two crops each, and four to validate."""
    photographs = Path(folder) / "photographs"
    for split, count in (("train", 11), ("val", 4)):
        (photographs / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            path = photographs / split / f"{number:02d}.png"
            if not path.exists():  # two ranks may both write it, and neither reads half a file
                written = photographs / f"{split} {number} {os.getpid()}"
                Image.fromarray(smooth_picture(number + 100 * len(split), 40, 48)).save(written, "PNG")
                written.replace(path)
    return FolderData(
        Boxes(),
        str(photographs),
        train="train",
        validation="val",
        crop=32,
        crops_per_image=2,
        validation_crops=2,
        batch_size=batch_size,
        workers=workers,
        cache="none" if workers else "ram",  # processes read only what is not kept
    )


def run(folder, updates=UPDATES, act=None, workers=0, every=2, keep=2, resume="auto", config=None, **settings):
    """Train in `folder` to `updates`, from where its newest checkpoint is; returns the trained module."""
    warnings.simplefilter("ignore")
    multiprocessing.set_start_method("fork", force=True)  # for readers, as in a process that no server has forked
    folder = Path(folder)
    parts = {
        key: settings.pop(key) for key in ("generator", "lr", "steps", "weight", "rare", "schedule") if key in settings
    }
    saving = {key: settings.pop(key) for key in ("best", "monitor") if key in settings}
    before = checkpoint.newest(folder) if resume == "auto" else None
    path = before[0] if before is not None else (None if resume == "auto" else resume)
    log = MetricsFile(str(folder), every=1000)
    said = checkpoint.load(path)["inpaint"] if path is not None else {}
    log.begin(said.get("update", 0), said.get("validation_due", False))
    trained = module(**parts)
    callbacks = [
        RunRecord(str(folder), config or {"name": "tiny"}),
        SaveCheckpoint(str(folder / "checkpoints"), every, keep, **saving),
        Seen(folder, act),
        settings.pop("signals", None) or StopOnSignal(grace=60),
        *settings.pop("callbacks", []),
    ]
    trainer = Trainer(
        **{
            "max_steps": updates,
            "max_epochs": -1,
            "accelerator": "cpu",
            "logger": log,
            "log_every_n_steps": 1,
            "callbacks": callbacks,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "use_distributed_sampler": False,
            "num_sanity_val_steps": 0,
            "val_check_interval": VALIDATED,
            "check_val_every_n_epoch": None,
        }
        | settings
    )
    trainer.fit(trained, data(folder, workers), ckpt_path=path, weights_only=True)
    return trained


def fork(*arguments, target=run, wait=True, timeout=60, **settings):
    """The same in a process of its own; returns its exit code (negative: killed by that signal), or the process."""
    process = FORKS.Process(target=target, args=arguments, kwargs=settings)
    process.start()
    if not wait:
        return process
    process.join(timeout)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def rank(number, port, folder, *arguments, **settings):
    """One of two ranks."""
    os.environ |= {"LOCAL_RANK": str(number), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    run(folder, *arguments, devices=2, strategy="ddp", **settings)


def fork_two(folder, wait=True, acts=(None, None), target=rank, **settings):
    """A run on two gloo ranks; their exit codes, or the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        FORKS.Process(target=target, args=(number, port, folder), kwargs={"act": acts[number], **settings})
        for number in range(2)
    ]
    for process in ranks:
        process.start()
    if not wait:
        return ranks
    deadline = time.monotonic() + 60
    for process in ranks:
        process.join(max(0.0, deadline - time.monotonic()))
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    assert None not in codes, f"a rank hangs: {codes}"
    return codes


def command(main, *arguments):
    """A command in this process, as it is typed; returns its exit code."""
    before, sys.argv = sys.argv, ["inpaint", *map(str, arguments)]
    try:
        main()
    except SystemExit as left:
        return left.code
    finally:
        sys.argv = before
        GlobalHydra.instance().clear()
    return 0


class At:
    """Sends this process a signal when a run is at a place: ``At("update", 3)``, ``At("validation 1", 6)``."""

    def __init__(self, when, update, number=signal.SIGKILL, times=1):
        self.when, self.update, self.number, self.times = when, update, number, times

    def __call__(self, when, trainer):
        if (when, trainer.global_step) == (self.when, self.update):
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


def rows(folder):
    """metrics.csv without its clock."""
    with (Path(folder) / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if name != "test/ms"} for row in csv.DictReader(file)]


def seen(folder):
    """Update to samples; a line for each time that an update began."""
    file = Path(folder) / "seen.jsonl"
    return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def files(folder):
    """Every file's bytes and its date; without a date those that Hydra and the lock write anew, to the same bytes."""
    return {
        path: (path.read_bytes(), None if {".hydra", LOCK} & {*path.parts} else path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_same(folder, other):
    """The newest checkpoints hold the same networks, average, optimizers and schedules; the same was logged."""
    (path, ours), (theirs_path, theirs) = (checkpoint.newest(place) for place in (folder, other))
    assert path.name == theirs_path.name
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(ours[part], theirs[part], part)
    for part in ("epoch_progress", "epoch_loop.batch_progress"):
        assert ours["loops"]["fit_loop"][part] == theirs["loops"]["fit_loop"][part]
    assert rows(folder) == rows(other)


def assert_equal(ours, theirs, where):
    assert type(ours) is type(theirs), where
    if isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), where
    elif isinstance(ours, dict):
        assert list(ours) == list(theirs), where
        for key, value in ours.items():
            assert_equal(value, theirs[key], f"{where}.{key}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), where
        for place, (value, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_equal(value, other, f"{where}[{place}]")
    else:
        assert ours == theirs, where
