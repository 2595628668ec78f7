"""What is used of Lightning that is no interface: each test fails when a new version of it is another one."""

import copy
import re
import signal
import subprocess
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

import inpaint
from inpaint.training import seams


class TwoOptimizers(L.LightningModule):
    """One layer for each optimizer; both step in every update."""

    def __init__(self, one_clock=True):
        super().__init__()
        self.automatic_optimization = False
        self.one_clock = one_clock
        self.layers = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(2))
        self.validated = 0

    def step(self, batch):
        for layer, optimizer in zip(self.layers, self.optimizers(), strict=True):
            optimizer.zero_grad()
            self.manual_backward(layer(batch).sum())
            optimizer.step()

    def training_step(self, batch, batch_idx):
        if not self.one_clock:
            return self.step(batch)
        with seams.one_clock(self.trainer):
            self.step(batch)

    def validation_step(self, batch, batch_idx):
        assert not self.trainer.training
        self.validated += 1

    def configure_optimizers(self):
        return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in self.layers]


def trainer(*callbacks, loggers=False, **settings):
    return L.Trainer(
        **{"max_steps": 7, "max_epochs": -1, "limit_val_batches": 0, "callbacks": [*callbacks]} | settings,
        accelerator="cpu",
        logger=loggers,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def fit(module, *callbacks, **settings):
    """Epochs of three batches."""
    fitting = trainer(*callbacks, **settings)
    batches = DataLoader(torch.ones(3, 1), batch_size=1)
    fitting.fit(module, batches, batches if settings.get("limit_val_batches") else None)
    return fitting


def test_one_clock():
    """Lightning counts a step for each optimizer, and once inside `one_clock`."""

    class Batches(L.Callback):
        number = 0

        def on_train_batch_end(self, *_):
            self.number += 1

    for one_clock, batches in ((True, 6), (False, 3)):
        counted = Batches()
        assert fit(TwoOptimizers(one_clock), counted, max_steps=6).global_step == 6
        assert counted.number == batches


class Rows(Logger):
    """What a logger is told."""

    name, version = "rows", 0

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_hyperparams(self, *_):
        pass

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))


@pytest.mark.parametrize("validates", [False, True])
def test_figures_are_logged_as_lightning_logs_them(validates):
    """Everybody sees the same as by `log` alone, which is called once for each figure in an epoch."""

    class Logs(TwoOptimizers):
        def __init__(self, through_seam):
            super().__init__()
            self.through_seam, self.calls, self.seen = through_seam, 0, []

        def log(self, *arguments, **settings):
            self.calls += 1
            super().log(*arguments, **settings)

        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            update = self.trainer.global_step
            figures = {"train/a": torch.tensor(1.5 * update, requires_grad=True), "lr": 0.5 / update}
            figures |= {"train/late": torch.tensor(update, dtype=torch.bfloat16)} if batch_idx else {}
            if self.through_seam:
                seams.log(self, figures, {"train/a"})
            else:
                for name, value in figures.items():
                    self.log(name, value, prog_bar=name == "train/a")

        def on_train_batch_end(self, *_):
            self.seen.append(self.trainer.callback_metrics | {})

        def on_train_batch_start(self, *_):
            self.seen.append((self.trainer.progress_bar_metrics, self.trainer.logged_metrics | {}))

    found = []
    for through_seam in (True, False):
        module, rows = Logs(through_seam), Rows()
        settings = {"limit_val_batches": 1, "val_check_interval": 2} if validates else {}
        fit(module, max_steps=7, loggers=[rows], log_every_n_steps=2, **settings)
        found.append((module.seen, rows.rows))
        assert module.calls == (8 if through_seam else 18), "three epochs, the last one of a single update"
    assert found[0] == found[1]
    steps = [row["train/a"] for _, row in found[0][1] if "train/a" in row]
    assert steps == [3.0, 6.0, 9.0] and all(not figures["train/a"].requires_grad for figures in found[0][0][1::2])


def test_unsynchronised(monkeypatch):
    with seams.unsynchronised(trainer()):
        pass
    several, entered = trainer(strategy="ddp", devices=2), []
    monkeypatch.setattr(type(several.strategy), "block_backward_sync", lambda self: entered.append(self))
    seams.unsynchronised(several)
    assert entered == [several.strategy]


def test_the_state_and_its_counts():
    """In a run that was never interrupted, `count` puts down what is there; of a later epoch and a cut one, too."""

    class Look(L.Callback):
        epochs = ()

        def on_train_batch_end(self, trainer, module, *_):
            state = seams.state_of(trainer)
            assert {"state_dict", "optimizer_states", "lr_schedulers", "loops"} < {*state}
            before = copy.deepcopy(state["loops"]["fit_loop"])
            seams.count(state, False, 3)
            assert state["loops"]["fit_loop"] == before
            self.epochs = (*self.epochs, seams.epoch_of(state))

    look = Look()
    fit(TwoOptimizers(), look)
    assert look.epochs == (0, 0, 0, 1, 1, 1, 2)


def test_rates_of_now_in_a_state_of_before():
    class Scheduled(TwoOptimizers):
        def configure_optimizers(self):
            optimizers = super().configure_optimizers()
            return optimizers, [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5) for optimizer in optimizers]

    class Renew(L.Callback):
        def on_train_batch_end(self, trainer, *_):
            self.state = copy.deepcopy(seams.state_of(trainer))
            for schedule in trainer.lightning_module.lr_schedulers():
                schedule.step()
            seams.renew_rates(trainer, self.state)

    renewed = Renew()
    fit(Scheduled(), renewed, max_steps=1)
    rates = [group["lr"] for held in renewed.state["optimizer_states"] for group in held["param_groups"]]
    assert rates == [0.05, 0.05] == [schedule["_last_lr"][0] for schedule in renewed.state["lr_schedulers"]]


def test_an_epoch_that_is_over():
    """Lightning has counted it in `on_train_epoch_end`; what is put down is the end of its last batch."""
    states = {}

    class Take(L.Callback):
        def on_train_batch_end(self, trainer, *_):
            states["batch"] = copy.deepcopy(seams.state_of(trainer)["loops"]["fit_loop"]["epoch_progress"])

        def on_train_epoch_end(self, trainer, *_):
            state = seams.state_of(trainer)
            seams.count(state, True, 3)
            states["epoch"] = copy.deepcopy(state["loops"]["fit_loop"]["epoch_progress"])

    fit(TwoOptimizers(), Take(), max_steps=3)
    assert states["epoch"] == states["batch"]


def test_validating_before_the_first_update():
    module, seen = TwoOptimizers(), []

    class Validate(L.Callback):
        def on_train_start(self, trainer, module):
            seams.validate_now(trainer, 5)
            assert trainer.training and trainer.fit_loop.epoch_progress.current.completed == 0

        def on_validation_start(self, trainer, module):
            seen.append((trainer.global_step, trainer.fit_loop.epoch_progress.current.completed))

    settings = {"limit_val_batches": 1.0, "val_check_interval": 4, "check_val_every_n_epoch": None}
    assert fit(module, Validate(), **settings).global_step == 7
    assert seen == [(0, 5), (4, 1)] and module.validated == 2 * 3


def test_silent_signals():
    """Lightning puts its own handler on SIGTERM, and asks all ranks before each batch whether one came."""
    handlers = []

    class Look(L.Callback):
        def __init__(self, silent):
            self.silent = silent

        def setup(self, trainer, module, stage):
            if self.silent:
                seams.silence_signals(trainer)

        def on_train_batch_start(self, trainer, *_):
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    for silent in (True, False):
        fit(TwoOptimizers(), Look(silent), max_steps=1)
    assert handlers[0] == before and handlers[1] != before
    assert callable(trainer().fit_loop.epoch_loop._broadcast_sigterm_tensor)


@pytest.mark.parametrize(
    ("strategy", "relaunches", "spawns"),
    [("auto", False, False), ("ddp", True, False), ("ddp_spawn", False, True), ("ddp_fork", False, False)],
)
def test_how_ranks_are_started(strategy, relaunches, spawns):
    one = trainer(strategy=strategy, devices=1 if strategy == "auto" else 2)
    assert (seams.relaunches(one), seams.spawns(one), seams.started(one)) == (relaunches, spawns, [])
    if relaunches:
        with subprocess.Popen(["true"]) as process:
            one.strategy.launcher.procs.append(process)
            assert seams.started(one) == [process]


def test_private_names_stand_here_alone():
    here = Path(seams.__file__)
    names = {*re.findall(r"\._[a-z]\w+|\b_[A-Z]\w+", here.read_text())}
    assert {"._lightning_optimizers", "._checkpoint_connector", "._start_method"} < names
    for path in Path(inpaint.__file__).parent.rglob("*.py"):
        text = path.read_text()
        found = {name for name in names if re.search(rf"{re.escape(name)}\b", text)}
        assert path == here or not found, f"{path.name}: {found}"
        imported = re.findall(r"^\s*from lightning\S* import .*\b_\w+", text, re.M)
        assert path == here or not imported, f"{path.name}: {imported}"
