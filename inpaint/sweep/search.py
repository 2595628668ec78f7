"""A search: Optuna proposes settings, jobs try them, and what they reach decides what is proposed next.

The study is on disk from the first trial on, so that a search goes on after an interruption and several machines can
work on one.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import optuna
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.samplers import BaseSampler, BruteForceSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from inpaint import rng
from inpaint.cli.job import Job, numbers
from inpaint.config import check
from inpaint.metrics.columns import COLUMNS
from inpaint.settings import ConfigError, SweepError, nearest
from inpaint.sweep.grid import folder_of, parse, read_jobs, say_how_many, session, write_jobs
from inpaint.sweep.launch import Asked, launch
from inpaint.sweep.pruning import open_storage
from inpaint.sweep.space import Parameter, parse_space
from inpaint.sweep.trials import report

COUNTS = ("parameters", "updates", "train_seconds")
SAMPLERS = ("TPESampler", "GPSampler", "NSGAIISampler", "CmaEsSampler", "RandomSampler", "BruteForceSampler")
BEAT, STALE = 30.0, 300.0  # seconds between two signs of life of a running trial; without one for so long it has failed


def search(sweeper: Asked, arguments: Sequence[str]) -> list[Job]:
    """Run trials until the study has `sweep.trials` of them, on all machines together.

    Raises:
        SweepError: impossible settings, or a study that searches something else.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    HydraConfig.instance().set_config(sweeper.config)
    folder, wanted = folder_of(sweeper).resolve(), sweeper.config.sweep
    fixed, space = parse_space(parse(sweeper, arguments))
    sampler = Keyed(_sampler(wanted, own_figures=sweeper.config.get("figures") or {}), wanted.seed)
    samples = [parameter.samples for parameter in space]
    rows = range(max(map(len, samples)))
    sweeper.validate_batch_is_legal([[*fixed, *(column[row % len(column)] for column in samples)] for row in rows])
    with session(sweeper):
        study = _open(wanted, space, sampler)
        size = math.prod(parameter.size for parameter in space)
        trials = int(min(wanted.trials, size)) if sampler.exhaustive else wanted.trials
        say_how_many(folder, trials, sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False)))
        jobs = {Path(job.folder).name: job for job in read_jobs(folder)}
        interrupted = _interrupted(study, folder)
        with _signs_of_life() as alive:
            while True:
                _bury(study)
                answer = report(study, folder, fixed, space, sweeper.config)
                write_jobs(folder, "search", [*jobs.values()], answer)
                batch, interrupted = interrupted[: wanted.parallel], interrupted[wanted.parallel :]
                begun = sum(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False))
                if len(_tried(study)) < size:  # else all were tried
                    batch += [_ask(study, folder) for _ in range(min(wanted.parallel - len(batch), trials - begun))]
                if not batch:
                    return [*jobs.values()]
                alive |= {trial.number: trial for trial in batch}
                overrides = {t: [*fixed, *(p.choose(t) for p in space), f"sweep.trial={t.number}"] for t in batch}
                tried = _tried(study)
                for trial in [trial for trial in batch if _settings(trial) in tried]:
                    jobs[str(trial.number)] = _take_over(study, trial, tried[_settings(trial)], overrides.pop(trial))
                    del alive[trial.number]
                new = [*overrides]
                launched = launch(sweeper, [*overrides.values()], first=new[0].number) if new else []
                for trial, job in zip(new, launched, strict=True):
                    del alive[trial.number]
                    _tell(study, trial, job, wanted.objectives)
                    jobs[str(trial.number)] = job


class Keyed(BaseSampler):
    """A sampler whose random numbers depend on the seed and the number of the trial alone: a new one for each trial.

    One sampler would propose the same again after every restart, on every machine, and other things to trials that are
    begun together.

    Args:
        make: a sampler with a given seed.
        seed: of the search.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self.make, self.seed = make, seed
        self.exhaustive = isinstance(make(0), BruteForceSampler)
        self.samplers: dict[int, BaseSampler] = {}

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if trial.number not in self.samplers:
            self.samplers[trial.number] = self.make(rng.key(self.seed, "trial", trial.number) % 2**32)
        return self.samplers[trial.number]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Asks the sampler of this trial."""
        self._of(trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Asks the sampler of this trial."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Asks the sampler of this trial."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Asks the sampler of this trial."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Tells the sampler of this trial, but for one that would then stop a loop of Optuna's, which does not run."""
        if not self.exhaustive:
            self._of(trial).after_trial(study, trial, state, values)
        self.samplers.pop(trial.number, None)


# ---- before the first trial -----------------------------------------------------------------------------------------


def _sampler(wanted: DictConfig, own_figures: Iterable[str] = ()) -> Callable[[int], BaseSampler]:
    """Check the settings of the search; returns what makes its sampler of a seed.

    Args:
        own_figures: names of those that each trial is measured with beside the built-in ones.
    """
    figures = (*COLUMNS, *own_figures, *COUNTS)
    problems = []
    try:
        # Resolved here, as it refers to settings of the run.
        check(OmegaConf.create({"sweep": OmegaConf.to_container(wanted, resolve=True)}))
    except ConfigError as error:
        problems += str(error).splitlines()
    for key in ("trials", "parallel"):
        if not isinstance(wanted[key], int) or wanted[key] < 1:
            problems.append(f"sweep.{key}: {wanted[key]} is no whole number from 1 up")
    for figure, direction in wanted.objectives.items():
        if figure not in figures:
            problems.append(f"sweep.objectives.{figure}: no such figure{nearest(figure, figures)}")
        if direction not in ("maximize", "minimize"):
            problems.append(f"sweep.objectives.{figure}: maximize or minimize; got {direction}")
    if not wanted.objectives:
        problems.append("sweep.objectives: empty; give {hole_psnr: maximize}")
    module, _, name = str(wanted.sampler._target_).rpartition(".")
    if module != "optuna.samplers" or name not in SAMPLERS:
        problems.append(f"sweep.sampler._target_: give one of optuna.samplers: {', '.join(SAMPLERS)}; got {name}")
    if wanted.pruner is not None and not str(wanted.pruner._target_).startswith("optuna.pruners."):
        problems.append(f"sweep.pruner._target_: give one of optuna.pruners, or sweep.pruner=null; got {wanted.pruner}")
    if problems:
        raise SweepError("\n".join(problems))
    return lambda seed: hydra.utils.instantiate(wanted.sampler, seed=seed, _convert_="all")


def _open(wanted: DictConfig, space: Sequence[Parameter], sampler: BaseSampler) -> Study:
    """The study, new or as it was left.

    Raises:
        SweepError: it cannot be opened, or another search is stored there under this name.
    """
    asked = {p.name: distribution_to_json(p.distribution) for p in space} | dict(wanted.objectives)
    try:
        study = optuna.create_study(
            study_name=wanted.study,
            storage=open_storage(wanted.storage),
            sampler=sampler,
            directions=list(wanted.objectives.values()),
            load_if_exists=True,
        )
    except Exception as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SweepError(
            text if isinstance(error, ValueError) else f"sweep.storage: {wanted.storage}: {text}"
        ) from error
    stored = study.user_attrs.get("search")
    if stored is None:
        study.set_user_attr("search", asked)
    elif stored != asked:
        other = sorted(key for key in {*stored, *asked} if stored.get(key) != asked.get(key))
        raise SweepError(
            f"sweep.study: {wanted.study} in {wanted.storage} searches something else ({', '.join(other)} differ); "
            "choose another hydra.sweep.dir, or another sweep.study"
        )
    return study


# ---- trials ---------------------------------------------------------------------------------------------------------


def _ask(study: Study, folder: Path) -> Trial:
    trial = study.ask()
    trial.set_user_attr("folder", str(folder))
    trial.set_user_attr("alive", time.time())
    return trial


def _interrupted(study: Study, folder: Path) -> list[Trial]:
    """Trials that began in this folder and did not end; nobody else is at work here, so their process is gone."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [Trial(study, trial._trial_id) for trial in running if trial.user_attrs.get("folder") == str(folder)]


def _settings(trial: Trial | FrozenTrial) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(trial.params.items()))


def _tried(study: Study) -> dict[tuple[tuple[str, Any], ...], FrozenTrial]:
    """The first finished trial of each combination of settings."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return {_settings(trial): trial for trial in reversed(complete)}


def _take_over(study: Study, trial: Trial, tried: FrozenTrial, overrides: Sequence[str]) -> Job:
    """Of a trial that was tried before: training is a function of its settings, so it would come to the same."""
    print(f"trial {trial.number}: the settings of trial {tried.number}, whose figures it takes over", flush=True)
    came_out = {**tried.user_attrs.get("came_out", {}), "same_as": tried.number}
    trial.set_user_attr("came_out", came_out)
    study.tell(trial, tried.values, TrialState.COMPLETE)
    values = {name: value for name, value in came_out.items() if name not in ("seconds", "error", "same_as")}
    folder = Path(str(trial.user_attrs["folder"])) / str(trial.number)
    return Job([*overrides], str(folder), "finished", numbers(values))


def _bury(study: Study) -> None:
    """Trials of other folders that give no sign of life any more have failed."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if time.time() - trial.user_attrs.get("alive", time.time()) > STALE:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


@contextmanager
def _signs_of_life() -> Iterator[dict[int, Trial]]:
    """While it is open, the trials in it, by number, say that they are running."""
    alive: dict[int, Trial] = {}
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            for trial in list(alive.values()):
                try:
                    trial.set_user_attr("alive", time.time())
                except Exception as error:  # the database is away for a moment, or another machine gave the trial up
                    optuna.logging.get_logger(__name__).warning("trial %d: %s", trial.number, error)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield alive
    finally:
        over.set()
        thread.join()


def _tell(study: Study, trial: Trial, job: Job, objectives: DictConfig) -> None:
    """Into the study with what came out, a failure and its reason included."""
    if study.trials[trial.number].state.is_finished():
        return
    values = [job.values.get(str(figure), math.nan) for figure in objectives]
    if job.status == "finished" and any(map(math.isnan, values)):
        job.status, job.error = "failed", f"not all of {', '.join(map(str, objectives))} came out as numbers"
    # One attribute, as each is a write to the disk.
    trial.set_user_attr("came_out", job.values | {"seconds": job.seconds} | ({"error": job.error} if job.error else {}))
    state = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(job.status, TrialState.FAIL)
    study.tell(trial, values if state == TrialState.COMPLETE else None, state, skip_if_finished=True)
