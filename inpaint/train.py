"""Train one model, evaluate it, and say where everything is.

    inpaint-train                                                    # the default run, on whatever machine
    inpaint-train data=folder data.root=DIR trainer.max_steps=100000 # your own photographs
    inpaint-train +experiment=lama_fourier data=folder data.root=DIR # a recipe of the literature
    inpaint-train hydra.run.dir=runs/mine                            # again in this folder: goes on where it stopped
    inpaint-train -m generator=context_encoder,residual_unet 'losses=[l1],[l2]'    # a sweep

The run folder holds config.yaml, versions.json, metrics.csv, panels/, checkpoints/, summary.json and what an evaluation
writes (`inpaint.evaluation.results`). The settings are in conf/train.yaml, each with its unit.
"""

import json
import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from inpaint.cli import typed
from inpaint.cli.command import command
from inpaint.cli.job import is_pruned
from inpaint.cli.new_folder import refuse_clocks
from inpaint.config import Parts, build, check, plain
from inpaint.config.references import command_line, fingerprints, without_environment
from inpaint.config.untrained import baselines
from inpaint.files.folder import LOCK, Held, first_rank, only_one, refuse_links, shown
from inpaint.files.writing import write_json
from inpaint.groups import named_files
from inpaint.provenance import PLACEHOLDER, flat, without_secrets
from inpaint.settings import Refused

if TYPE_CHECKING:
    import lightning as L
    from torch import nn

    from inpaint.training.resume import Start

log = logging.getLogger("inpaint.train")

SHOWN = 12  # pictures that the final evaluation stores


def run(cfg: DictConfig) -> dict[str, float]:
    """Train and evaluate.

    Returns:
        Figures over all validation crops by column of `metrics.columns`, `parameters`, `updates` and `train_seconds`:
        what a sweep shows and a search optimises. Nothing on other ranks than the first.

    Raises:
        Busy: another run is at work in the run folder.
    """
    from inpaint.training.launching import quiet
    from inpaint.training.resume import finished, refuse_without_effect
    from inpaint.training.signals import requeue_on_sigusr2, stacks_on_sigusr1

    refuse_clocks()
    _take_builtin(cfg)
    check(cfg)
    _named_as_recorded(cfg)
    quiet()
    refuse_links(shown(cfg.paths.run), "hydra.run.dir")
    with _owning(cfg), stacks_on_sigusr1(), requeue_on_sigusr2():
        start = _start(cfg)
        if (figures := finished(start)) is not None:
            print(f"{shown(cfg.paths.run)} is finished, nothing to do")
            return figures
        refuse_without_effect(start, cfg.trainer.max_steps)
        return _train(cfg, start)


def _take_builtin(cfg: DictConfig) -> None:
    """Where a run begins with a model in the box and names no other generator, it has that model's."""
    from inpaint import builtin

    if cfg.init_from not in builtin.MODELS:
        return
    words = [word.lstrip("+~") for word in HydraConfig.get().overrides.task]
    if not any(word.startswith(("generator=", "generator.", "experiment=")) for word in words):
        cfg.generator = builtin.settings(cfg.init_from)
        if first_rank():
            print(f"init_from={cfg.init_from}: the generator has the settings of the model in the box")


def _start(cfg: DictConfig) -> "Start":
    """Where the run begins; settings that are automatic are in `cfg` as it began with them."""
    from inpaint.training.resume import Start

    start = Start(cfg.paths.run, cfg.resume)
    for key, value in start.settled(plain(cfg)).items():
        OmegaConf.update(cfg, key, value)
    start.compare(without_environment(cfg))
    return start


def _named_as_recorded(cfg: DictConfig) -> None:
    """The name stands in tables, on pages and in terminals, so what it took from the environment goes no further.

    Raises:
        Refused: the generator took something from there, which those who read its checkpoint would have to guess.
    """
    written = without_environment(cfg)
    for key, value in flat({"generator": written["generator"]}).items():
        if name := PLACEHOLDER.search(str(value)):
            raise Refused(f"{key}: a checkpoint says what its network is; write the value in place of {name[1]}'s")
    cfg.name = written["name"]


def _owning(cfg: DictConfig) -> AbstractContextManager[None]:
    """Nobody else trains in the run folder. The first rank sees to it, and the ranks that it starts share its lock.

    A scheduler may start a run again while a node still ends the one before, which has its grace for that.
    """
    if not first_rank():
        return nullcontext()
    patience = OmegaConf.select(cfg, "callbacks.signals.grace") if "SLURM_JOB_ID" in os.environ else None
    return only_one(shown(cfg.paths.run) / LOCK, "hydra.run.dir: a run", patience or 0.0)


def _train(cfg: DictConfig, start: "Start") -> dict[str, float]:
    from inpaint.exchange import models
    from inpaint.training.contract import check_parts
    from inpaint.training.fitting import check_conditions, check_degradation, check_norms
    from inpaint.training.launching import end_other_ranks, refusals, refuse_to_spawn
    from inpaint.training.resume import begin_with, check_fit
    from inpaint.training.run_logger import told
    from inpaint.training.seams import refuse_broken_state

    parts = build(cfg)
    _refuse_to_relaunch_a_sweep(parts.trainer)
    refuse_to_spawn(parts.trainer, parts.module)
    check_parts(parts.module, parts.data, parts.judges.figures)
    beside = baselines(cfg, parts.data)
    named = {f"baselines.{name}": method for name, method in beside.items()}
    check_degradation({"generator": parts.module.generator} | named, parts.data)
    check_conditions(parts.module, parts.data)
    check_norms(parts.module, parts.data)
    _introduce(cfg, parts, start)
    if start.path is not None:
        check_fit(start.checkpoint, parts.module)
    elif cfg.init_from:
        loaded = models.load(cfg.init_from)
        if "graph" in loaded:
            raise Refused(f"init_from: {cfg.init_from} is a graph, which cannot train; give its run or its safetensors")
        begin_with(loaded, cfg.init_from, parts.module, cfg.init_discriminator)
    if parts.trainer.is_global_zero:
        for logger in told(parts.trainer):
            logger.begin(start.update, start.validation_due)
    start.let_go()
    refuse_broken_state(parts.trainer)
    parts.trainer.held = Held()  # type: ignore[attr-defined]  # goes with it to the ranks that ddp_spawn starts
    error: BaseException | None = None
    try:
        with refusals():
            parts.trainer.fit(parts.module, parts.data, ckpt_path=start.path, weights_only=True)
        return _report(cfg, parts, beside, start)
    except BaseException as raised:
        error = raised
        raise
    finally:
        _end_loggers(parts.trainer, error)
        if error is not None:
            end_other_ranks(parts.trainer)


def _refuse_to_relaunch_a_sweep(trainer: "L.Trainer") -> None:
    """Lightning's ddp starts the other ranks with this command line, so each would run the whole sweep by itself.

    Grids march in step, by luck; a search hands each rank other settings, and averages their gradients all the same.

    Raises:
        Refused: a sweep with such a strategy; the message has the commands that do what was meant.
    """
    from hydra.types import RunMode

    from inpaint.training.seams import relaunches

    if HydraConfig.get().mode != RunMode.MULTIRUN or not relaunches(trainer):
        return
    said = Path(HydraConfig.get().sweep.dir, "sweep.json")  # the job may be in a worker, with other arguments
    arguments = json.loads(said.read_text(encoding="utf-8"))["arguments"] if said.is_file() else sys.argv[1:]
    given = [word for word in arguments if not word.startswith("+sweep=")]
    sweeps = [word[7:].strip("[]") for word in arguments if word.startswith("+sweep=")]
    commands = [
        typed.line("inpaint-train", *given, f"+sweep={option if not sweeps else f'[{sweeps[0]},{option}]'}")
        for option in ("processes", "slurm")
    ]
    raise Refused(
        f"trainer.strategy: two commands that work, the first here, the second on a cluster:\n  {commands[0]}\n  "
        f"{commands[1]}\ntrainer.strategy: in a sweep, the ranks that {type(trainer.strategy).__name__} starts by the "
        "same command line would each run a sweep of their own; +sweep=processes gives each job its processes"
    )


def _end_loggers(trainer: "L.Trainer", error: BaseException | None) -> None:
    from inpaint.training.run_logger import End, told

    how: End = "finished"
    if isinstance(error, Exception):
        how = "pruned" if is_pruned(error) else "failed"
    elif error is not None:  # a signal, after which the same command goes on
        how = "stopped"
    for logger in told(trainer):
        logger.end(how)


def _introduce(cfg: DictConfig, parts: Parts, start: "Start") -> None:
    """Three lines before the first update: what plays against what, on which data, where it will be, and since when."""
    if not parts.trainer.is_global_zero:
        return
    from inpaint.training.arithmetic import arithmetic
    from inpaint.training.resume import named

    module, data = parts.module, parts.data
    against = f"against {named(module.discriminator)}" if module.discriminator is not None else "without discriminator"
    losses = [*cfg.losses, *(["adversarial"] if module.adversarial is not None else [])]
    print(f"{named(module.generator)} {against}; losses {', '.join(losses)}")
    train, validation = data.tiles["train"], data.tiles["validation"]
    print(
        f"{train.count - len(train.bad)} photographs to train, {validation.count - len(validation.bad)} to validate: "
        f"{len(train)} and {len(validation)} crops of {data.crop} px"
    )
    print(f"run folder: {shown(cfg.paths.run)}", flush=True)
    if not _saves(parts.trainer):
        log.warning(
            "callbacks: none of them saves checkpoints, so this run cannot go on after a stop and no command can read "
            "it; callbacks=[default,...] adds others to the default ones"
        )
    start.introduce(arithmetic(parts.trainer), fingerprints(cfg))


def _saves(trainer: "L.Trainer") -> bool:
    from inpaint.training.saving import SaveCheckpoint

    return any(isinstance(callback, SaveCheckpoint) for callback in trainer.callbacks)  # type: ignore[attr-defined]


def _report(cfg: DictConfig, parts: Parts, beside: "dict[str, nn.Module]", start: "Start") -> dict[str, float]:
    """The table on held-out photographs with the baselines `beside`, the files of the run folder, and what to do next.

    Raises:
        Refused: nothing was trained.
    """
    from inpaint.batch import noise_of
    from inpaint.evaluation.intervals import ALL
    from inpaint.evaluation.measuring import ValidationCrops
    from inpaint.evaluation.results import about_data, publish
    from inpaint.files import checkpoint
    from inpaint.training.launching import why_it_ended
    from inpaint.training.record import RunRecord
    from inpaint.training.resume import refuse_untrained
    from inpaint.training.run_logger import told

    module, folder = parts.module, shown(cfg.paths.run)
    record = next(c for c in parts.trainer.callbacks if isinstance(c, RunRecord))  # type: ignore[attr-defined]
    updates, seconds = parts.trainer.global_step, record.seconds
    if not updates and (newest := checkpoint.newest(folder)) is not None:
        # ddp_spawn trained in other processes, and what they counted stayed there.
        updates, seconds = (newest[1]["inpaint"][what] for what in ("update", "seconds"))
    reason = why_it_ended(parts.trainer, updates)
    refuse_untrained(start, updates, reason)
    record.write(parts.trainer)
    if not parts.trainer.is_global_zero:
        return {}
    methods = {cfg.name: module.ema.network} | beside
    device = str(module.device)
    pictures, about = ValidationCrops(parts.data), about_data(without_environment(cfg))
    published = publish(folder, methods, pictures, device, about, judges=parts.judges.to(device), shown=SHOWN)
    mine = next(row for row in published.results.rows if row.area == ALL and row.method == cfg.name)
    figures = {
        **mine.means,
        "parameters": sum(p.numel() for p in module.generator.parameters()),
        "updates": updates,
        "train_seconds": round(seconds, 1),
    }
    summary = {
        "method": cfg.name,
        **{key: figures[key] for key in ("parameters", "updates", "train_seconds")},
        "figures": figures,
        "overrides": without_secrets(command_line()),
    }
    write_json(folder / "summary.json", summary)
    for logger in parts.trainer.loggers:
        logger.log_metrics({f"test/{name}": value for name, value in mine.means.items()}, step=updates)
    for logger in parts.trainer.loggers:
        logger.finalize("success")
    for logger in told(parts.trainer):
        if logger.log_model:
            path = folder / "generator.ckpt"
            checkpoint.save_generator(path, module.ema.network, record.config, updates)
            logger.log_generator(path, {"updates": updates, **mine.means})

    published.print()
    if reason is not None:
        print(f"ended before its last update: {reason}")
    print(f"{updates} updates in {seconds:.0f} s; the run is in {folder}")
    print("next:")
    trust = ["trust_paths=true"] if named_files("data", plain(cfg)["data"]) else []
    model = typed.setting("checkpoint", folder)
    saves, whole, masks = _saves(parts.trainer), parts.data.restores_whole, parts.data.validation_masks
    made_of_nothing = not whole and masks is not None and masks.whole and noise_of(module.generator) is not None
    if saves and whole:
        print(" ", typed.line("inpaint-evaluate", model, "data.crop=128", *trust))
    elif saves and made_of_nothing:
        print(" ", typed.line("inpaint-sample", model, "output=DIR", "n=64"))
    elif saves:
        print(" ", typed.line("inpaint-evaluate", model, "masks=boxes", *trust))
        print(" ", typed.line("inpaint-predict", model, "images=DIR", "holes=DIR", "output=DIR"))
    print(" ", typed.comparison(typed.typed(), HydraConfig.get().runtime.choices))
    return figures


def main() -> None:
    """`inpaint-train`."""
    command("train", run)


if __name__ == "__main__":
    main()
