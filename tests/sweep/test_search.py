"""Searches: what is proposed, told, continued, pruned and reported."""

import csv
import json
import time
from pathlib import Path

import lightning as L
import optuna
import pytest
import torch
from optuna.trial import TrialState

from inpaint.settings import SweepError
from inpaint.sweep import search
from inpaint.sweep.grid import read_jobs
from inpaint.sweep.pruning import Pruning, open_storage

# A file to append to is written in less time than a database.
OPTUNA = ("+sweep=optuna", "sweep.storage=${hydra:sweep.dir}/study.log")
SEARCH = (*OPTUNA, "sweep.trials=6", "lr=tag(log,interval(1e-4,1))", "width=choice(8,16)")
RANDOM = "sweep.sampler._target_=optuna.samplers.RandomSampler"


def quality(cfg):
    """Best at lr 0.01 and width 16."""
    from math import log10

    return {"hole_psnr": 20 - (log10(cfg.lr) + 2) ** 2 + cfg.width / 16, "parameters": cfg.width, "ms": 1.0}


def study(address="sweep/study.log", name="search"):
    return optuna.load_study(study_name=name, storage=open_storage(address))


def proposed(*rest, **where):
    return [(trial.params["lr"], trial.params["width"]) for trial in study(*rest, **where).trials]


def test_a_search_reports_what_it_found(sweep):
    done = sweep(quality, *SEARCH, "sweep.trials=12", "name=x")
    trials = study().trials
    assert done.code == 0 and [trial.state for trial in trials] == [TrialState.COMPLETE] * 12
    for trial in trials:
        cfg = type("cfg", (), {"lr": trial.params["lr"], "width": int(trial.params["width"])})
        assert trial.value == quality(cfg)["hole_psnr"] and trial.user_attrs["came_out"]["parameters"] == cfg.width
    best = max(trials, key=lambda trial: trial.value)
    told = json.loads(Path("sweep/optuna.json").read_text())
    assert told["best"][0]["trial"] == best.number and told["trials"]["complete"] == 12
    assert set(told["importances"]["hole_psnr"]) == {"lr", "width"}
    command = told["best"][0]["command"]
    assert command.startswith("inpaint-train name=x lr=") and command.endswith("trainer.max_steps=100")
    assert command in done.out and f"lr={best.params['lr']}" in command and "sweep" not in command
    rows = list(csv.DictReader(Path("sweep/trials.csv").read_text().splitlines()))
    assert [float(row["hole_psnr"]) for row in rows] == [trial.value for trial in trials]
    assert {Path(job.folder).name for job in read_jobs(Path("sweep"))} == {str(number) for number in range(12)}


def test_proposals_depend_on_seed_and_number_alone(sweep):
    """The same whether a search is begun once or often; others with another seed."""
    sweep(quality, *SEARCH, RANDOM, "sweep.trials=4")
    whole = proposed()
    for trials in (1, 2, 4):
        sweep(quality, *SEARCH, RANDOM, f"sweep.trials={trials}", "hydra.sweep.dir=parts")
    assert proposed("parts/study.log") == whole and len(set(whole)) == 4
    sweep(quality, *SEARCH, RANDOM, "sweep.trials=4", "sweep.parallel=3", "hydra.sweep.dir=together")
    assert proposed("together/study.log") == whole
    sweep(quality, *SEARCH, RANDOM, "sweep.seed=1", "sweep.trials=2", "hydra.sweep.dir=other")
    assert not set(proposed("other/study.log")) & set(whole)


def test_a_journal_below_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    optuna.create_study(study_name="s", storage=open_storage("~/searches/journal.log"))
    assert (tmp_path / "searches" / "journal.log").is_file()


@pytest.mark.parametrize("address", ["sqlite:///shared.db", "folder/journal.log", "$STUDY"])
def test_machines_share_a_study(sweep, address, monkeypatch):
    monkeypatch.setenv("STUDY", "hidden.log")
    shared = (*SEARCH, f"sweep.storage={address}", "sweep.study=both", RANDOM)
    sweep(quality, *shared, "sweep.trials=2", "hydra.sweep.dir=one")
    done = sweep(quality, *shared, "sweep.trials=5", "hydra.sweep.dir=two")
    assert done.code == 0 and len(set(proposed(address, name="both"))) == 5
    assert [path.name for path in sorted(Path("two").glob("[0-9]*"))] == ["2", "3", "4"]
    assert "hidden" not in Path("two/optuna.json").read_text()


def test_every_combination_once(sweep):
    done = sweep(
        quality,
        *OPTUNA,
        "sweep.sampler._target_=optuna.samplers.BruteForceSampler",
        "width=8,16",
        "seed=range(3)",
    )
    assert done.code == 0 and len({tuple(trial.params.values()) for trial in study().trials}) == 6 == len(
        study().trials
    )


def test_what_was_tried_is_not_tried_again_and_a_search_of_few_settings_ends(sweep):
    ran = []

    def once(cfg):
        ran.append((cfg.width, cfg.seed))
        return {"hole_psnr": float(cfg.width), "parameters": cfg.width, "ms": 1.0}

    done = sweep(once, *OPTUNA, RANDOM, "width=choice(8,16)", "seed=choice(1,2)", "sweep.trials=60")
    trials = study().trials
    assert done.code == 0 and len(ran) == len({*ran}) == 4 and 4 < len(trials) < 60, len(trials)
    assert all(trial.state == TrialState.COMPLETE and trial.value == float(trial.params["width"]) for trial in trials)
    again = next(trial for trial in trials if "same_as" in trial.user_attrs["came_out"])
    assert trials[again.user_attrs["came_out"]["same_as"]].params == again.params
    assert f"trial {again.number}: the settings of trial" in done.out
    assert "no winner: 2 trials reached the same hole_psnr" in done.out and "trained longer" not in done.out
    assert len(json.loads(Path("sweep/optuna.json").read_text())["best"]) == 2


def test_too_few_trials_for_importances_say_so(sweep):
    done = sweep(quality, *SEARCH, "sweep.trials=2")
    told = json.loads(Path("sweep/optuna.json").read_text())
    assert told["importances"] == {"hole_psnr": {}}
    assert told["no_importances"] == {"hole_psnr": "10 finished trials say it, and there are 2"}
    assert "what mattered for hole_psnr is not known: 10 finished trials say it, and there are 2" in done.out


def test_several_objectives(sweep):
    def trade(cfg):
        return {"hole_psnr": float(cfg.width), "parameters": cfg.width**2, "ms": 1.0}

    done = sweep(
        trade, *OPTUNA, "+sweep.objectives.parameters=minimize", "width=int(interval(4,64))",
        "sweep.sampler._target_=optuna.samplers.NSGAIISampler", "sweep.trials=5",
    )  # fmt: skip
    told = json.loads(Path("sweep/optuna.json").read_text())
    assert done.code == 0 and study().directions == [2, 1]
    widths = [best["params"]["width"] for best in told["best"]]
    assert sorted({trial.params["width"] for trial in study().trials}, reverse=True) == list(dict.fromkeys(widths))


def test_a_search_in_which_nothing_works_exits_1(sweep):
    def fails(cfg):
        raise RuntimeError("always")

    assert sweep(fails, *SEARCH, "sweep.trials=2").code == 1


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_trial_without_its_figure_has_failed(sweep, value):
    def half(cfg):
        return quality(cfg) if cfg.width == 8 else {"ms": 1.0} | ({"hole_psnr": value} if value else {})

    sweep(half, *SEARCH, "sweep.trials=5", RANDOM)
    states = {trial.params["width"]: trial.state for trial in study().trials}
    assert states == {"8": TrialState.COMPLETE, "16": TrialState.FAIL}


def test_a_trial_of_another_machine_that_died_is_marked_failed(sweep, monkeypatch):
    sweep(quality, *SEARCH, "sweep.trials=1")
    lost, busy = study().ask(), study().ask()
    lost.set_user_attr("alive", time.time() - search.STALE - 1)
    busy.set_user_attr("alive", time.time())
    sweep(quality, *SEARCH, "sweep.trials=5")
    C, F, R = TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING
    assert [trial.state for trial in study().trials] == [C, F, R, C, C]


def test_running_trials_give_signs_of_life(sweep, monkeypatch):
    monkeypatch.setattr(search, "BEAT", 0.02)
    seen = []

    def watched(cfg):
        def sign():
            return study().trials[cfg.sweep.trial].user_attrs["alive"]

        first, end = sign(), time.monotonic() + 20
        while sign() == first and time.monotonic() < end:
            time.sleep(0.02)
        seen.append(sign() > first)
        return quality(cfg)

    sweep(watched, *SEARCH, "sweep.trials=1")
    assert seen == [True]


BAD = {
    "figure": ("+sweep.objectives.hole_psnrs=maximize", "sweep.objectives.hole_psnrs: no such figure; did you mean"),
    "direction": ("sweep.objectives.hole_psnr=up", "sweep.objectives.hole_psnr: maximize or minimize; got up"),
    "sampler": ("sweep.sampler._target_=optuna.samplers.BaseSampler", "give one of optuna.samplers: TPESampler"),
    "dangerous": ("sweep.sampler._target_=os.system", "os.system is not a sampler"),
    "argument": ("+sweep.sampler.n_startups=1", "sweep.sampler.n_startups: optuna.samplers.TPESampler takes no such"),
    "pruner": ("sweep.pruner={_target_: optuna.samplers.RandomSampler}", "sweep.pruner"),
    "count": ("sweep.trials=0", "sweep.trials: 0 is no whole number from 1 up"),
    "password": ("sweep.storage=postgresql://me:secret@host/db", "inpaint-train: sweep.storage: has a password"),
    "variable": ("sweep.storage=$NOWHERE", "sweep.storage: the environment has no $NOWHERE"),
    "storage": ("sweep.storage=sqlite:////nowhere/study.db", "sweep.storage: sqlite:////nowhere/study.db: "),
    "value": ("trainer.max_step=choice(1,2)", "trainer.max_step: no such setting"),
    "option": ("paths=choice(default,defaults)", "paths=defaults: no such option; did you mean default?"),
    "space": ("lr=interval(2,1)", "lr: interval(2,1) cannot be searched"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_settings(sweep, case):
    override, message = BAD[case]
    done = sweep(quality, *SEARCH, override)
    assert done.code == 2 and message in done.err and not Path("sweep/0").exists(), done.err


def test_another_search_in_the_study_is_refused(sweep):
    sweep(quality, *SEARCH, "sweep.trials=1")
    done = sweep(quality, *SEARCH, "width=choice(8,32)")
    assert done.code == 2 and "sweep.study: search in " in done.err and "(width differ)" in done.err


def test_ranks_do_not_search_by_themselves(sweep, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "each rank would run a sweep of its own" in sweep(quality, *SEARCH).err


# ---- pruning --------------------------------------------------------------------------------------------------------


class Slope(L.LightningModule):
    """Validates to `slope` times the update."""

    def __init__(self, slope):
        super().__init__()
        self.weight, self.slope = torch.nn.Parameter(torch.zeros(())), slope

    def training_step(self, batch, index):
        return self.weight * 0

    def validation_step(self, batch, index):
        self.log("val/hole_psnr", self.slope * (self.trainer.global_step + 1.0))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(slope, callback, max_steps=4):
    trainer = L.Trainer(
        max_steps=max_steps, val_check_interval=1, check_val_every_n_epoch=None, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
    )  # fmt: skip
    trainer.fit(Slope(slope), torch.utils.data.DataLoader(range(8)), torch.utils.data.DataLoader(range(1)))
    return trainer


def test_a_hopeless_trial_is_pruned_and_recorded_as_such(sweep):
    def train(cfg):
        pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2)
        callback = Pruning(cfg.sweep.storage, cfg.sweep.study, cfg.sweep.trial, cfg.sweep.objectives, pruner)
        slope = 3.0 - cfg.sweep.trial
        fit(slope, callback)
        return {"hole_psnr": slope}

    done = sweep(train, *SEARCH, "sweep.trials=3")
    first, *others = study().trials
    assert first.state == TrialState.COMPLETE
    assert first.intermediate_values == {update: 3.0 * (update + 1) for update in range(1, 5)}
    assert [trial.state for trial in others] == [TrialState.PRUNED] * 2
    assert [list(trial.intermediate_values) for trial in others] == [[1, 2], [1, 2]]
    assert done.code == 0 and [job.status for job in read_jobs(Path("sweep"))] == ["finished", "pruned", "pruned"]
    assert "failed" not in done.out + done.err


def test_a_resumed_trial_reports_each_update_once(tmp_path, recwarn):
    address = f"sqlite:///{tmp_path}/study.db"
    made = optuna.create_study(study_name="s", storage=address, direction="maximize")
    made.ask()
    for _ in range(2):
        fit(1.0, Pruning(address, "s", 0, {"hole_psnr": "maximize"}))
    assert made.trials[0].intermediate_values == {1: 2.0, 2: 3.0, 3: 4.0, 4: 5.0}
    assert not [warning for warning in recwarn if "reported" in str(warning.message)]


@pytest.mark.parametrize(
    ("trial", "objectives"), [(None, {"hole_psnr": "maximize"}), (0, {"hole_psnr": "maximize", "ms": "minimize"})]
)
def test_nothing_is_reported_outside_a_search_or_for_several_objectives(trial, objectives):
    assert fit(1.0, Pruning("sqlite:////nowhere/study.db", "s", trial, objectives)).global_step == 4


@pytest.mark.parametrize("option", ["optuna", "successive_halving"])
def test_the_recipes_build(option):
    import hydra
    from omegaconf import OmegaConf

    from inpaint.config import check, conf_dir

    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", [f"+sweep={option}", "sweep.trial=3", "sweep.storage=x"])
    cfg.name, cfg.paths.run = "test", "."
    check(cfg)
    callback = hydra.utils.instantiate(OmegaConf.create(cfg).callbacks.pruning, _convert_="all")
    assert callback.metric == "val/hole_psnr" and isinstance(callback.pruner, optuna.pruners.BasePruner)
    assert isinstance(search._sampler(cfg.sweep)(0), optuna.samplers.TPESampler), "it refers to settings outside of it"


def test_a_figure_of_ones_own_may_be_the_objective():
    import hydra

    from inpaint.config import conf_dir

    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", ["+sweep=optuna", "sweep.storage=x", "+sweep.objectives.colour_shift=minimize"])
    cfg.name, cfg.paths.run = "test", "."
    with pytest.raises(SweepError, match=r"sweep\.objectives\.colour_shift: no such figure"):
        search._sampler(cfg.sweep)
    search._sampler(cfg.sweep, own_figures={"colour_shift": {}})
