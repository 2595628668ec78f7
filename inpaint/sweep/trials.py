"""What came out of a search: trials.csv, optuna.json, and a few lines."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from inpaint.cli.job import trained_longer, write_json
from inpaint.files.writing import write_table
from inpaint.sweep.space import Parameter

ENOUGH = 10  # finished trials before anything is said of what mattered


def report(study: Study, folder: Path, fixed: Sequence[str], space: Sequence[Parameter], cfg: DictConfig) -> list[str]:
    """Write ``trials.csv`` (one line a trial) and ``optuna.json`` (best trials, importances, command) into `folder`.

    Args:
        fixed: overrides of all trials.
        cfg: of the sweep.

    Returns:
        Lines for the terminal.
    """
    trials = study.get_trials(deepcopy=False)
    objectives = list(cfg.sweep.objectives)
    _write_trials(trials, objectives, folder / "trials.csv")
    counts = {state.name.lower(): sum(trial.state == state for trial in trials) for state in TrialState}
    best = _best(study)
    mattered = {figure: _importances(study, place) for place, figure in enumerate(objectives)}
    few = counts["complete"] < ENOUGH
    unknown = f"{ENOUGH} finished trials say it, and there are {counts['complete']}" if few else "all trials are alike"
    commands = [_longer(trial, fixed, space, cfg) for trial in best]
    write_json(
        folder / "optuna.json",
        {
            "study": study.study_name,
            "storage": cfg.sweep.storage,
            "objectives": dict(cfg.sweep.objectives),
            "trials": counts,
            "best": [
                {"trial": trial.number, "values": trial.values, "params": trial.params, "command": command}
                for trial, command in zip(best, commands, strict=True)
            ],
            "importances": mattered,
            "no_importances": {figure: unknown for figure, shares in mattered.items() if not shares},
        },
    )
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lines = [f"study {study.study_name}: {told}; in {folder}: trials.csv, optuna.json"]
    for trial in best:
        values = ", ".join(f"{figure} {value:.6g}" for figure, value in zip(objectives, trial.values, strict=True))
        chosen = " ".join(p.override(trial.params[p.name]) for p in space if p.name in trial.params)
        lines.append(f"best: trial {trial.number}, {values}: {chosen}")
    for figure, shares in mattered.items():
        if shares:
            said = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
            lines.append(f"what mattered for {figure} (PED-ANOVA, {counts['complete']} trials): {said}")
        elif best:
            lines.append(f"what mattered for {figure} is not known: {unknown}")
    if len(best) > 1 and len(objectives) == 1:
        return [*lines, f"no winner: {len(best)} trials reached the same {objectives[0]}"]
    return [*lines, "the winner, trained longer:", f"  {commands[0]}"] if commands else lines


def _best(study: Study) -> list[FrozenTrial]:
    """Trials that no other beats, best in the first objective first: of one objective, those with the best value.

    Of several with the same settings, the first.
    """
    best = study.best_trials if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) else []
    sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1
    different = {tuple(sorted(trial.params.items())): trial for trial in reversed(best)}
    return sorted(different.values(), key=lambda trial: (sign * trial.values[0], trial.number))


def _importances(study: Study, objective: int) -> dict[str, float]:
    """How much each setting decides whether a trial is among the best tenth; empty where there are too few trials."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < ENOUGH:
        return {}
    sign = -1 if study.directions[objective] == StudyDirection.MAXIMIZE else 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that lower targets count as better
        return optuna.importance.get_param_importances(study, target=lambda trial: sign * trial.values[objective])


def _longer(trial: FrozenTrial, fixed: Sequence[str], space: Sequence[Parameter], cfg: DictConfig) -> str:
    chosen = [p.override(trial.params[p.name]) for p in space if p.name in trial.params]
    return trained_longer([*fixed, *chosen], cfg.trainer.max_steps)


def _write_trials(trials: Sequence[FrozenTrial], objectives: Sequence[str], file: Path) -> None:
    """One line a trial: number, state, objectives, chosen settings, and all else that came out."""
    rows: list[dict[str, Any]] = []
    for trial in trials:
        values = dict(zip(objectives, trial.values or [], strict=False))
        came_out = trial.user_attrs.get("came_out", {})
        rows.append({"trial": trial.number, "state": trial.state.name.lower(), **values, **trial.params, **came_out})
    columns = list(dict.fromkeys(["trial", "state", *objectives, *(key for row in rows for key in row)]))
    write_table(file, columns, rows)
