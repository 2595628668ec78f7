"""Train one model, evaluate it, and say where everything is.

    inpaint-train                                                    # the default run, on whatever machine
    inpaint-train data=folder data.root=DIR trainer.max_steps=100000 # your own photographs
    inpaint-train +experiment=context_encoder                        # a recipe of the literature
    inpaint-train hydra.run.dir=runs/mine                            # again in this folder: goes on where it stopped
    inpaint-train -m generator=context_encoder,residual_unet 'losses=[l1],[l2]'    # a sweep

The run folder holds config.yaml, versions.json, metrics.csv, panels/, checkpoints/, results.csv, results.md and
summary.json. The settings are in conf/train.yaml, each with its unit.
"""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from inpaint.config import Parts, build, build_baseline, check, command
from inpaint.evaluate import evaluate, write_results

if TYPE_CHECKING:
    import lightning as L

    from inpaint.module import InpaintingGAN


def run(cfg: DictConfig) -> float:
    """Train and evaluate; returns the hole PSNR over all validation crops, which searches maximise."""
    check(cfg)
    _quiet()
    resume = _resume_from(cfg)
    parts = build(cfg)
    folder = _shown(cfg.paths.run)
    _introduce(cfg, parts)

    if resume is not None:
        _continue_csv(parts.trainer, folder, resume)
    elif cfg.init_from:
        _begin_with(cfg.init_from, parts.module)
    failed = True
    try:
        parts.trainer.fit(parts.module, parts.data, ckpt_path=resume, weights_only=True)
        psnr = _report(cfg, parts, folder)
        failed = False
        return psnr
    finally:
        _finish_wandb(parts.trainer, failed)


def _begin_with(path: str, module: "InpaintingGAN") -> None:
    """Take the weights of another run's networks wherever name and shape are the same, and say what was not the same.

    The generator begins with the other's moving average. Unlike `resume`, nothing else is taken over.

    Raises:
        ValueError: no weight of the generator fits.
    """
    from inpaint import checkpoint
    from inpaint.files import listed

    loaded = checkpoint.load(path)
    for name, state in (
        ("generator", checkpoint.generator_state(loaded)),
        ("discriminator", checkpoint.discriminator_state(loaded)),
    ):
        network = getattr(module, name)
        if network is None or not state:
            continue
        own = network.state_dict()
        fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
        if name == "generator" and not fitting:
            raise ValueError(
                f"init_from: nothing in {path} fits {_named(network)}; it was trained with another generator"
            )
        network.load_state_dict(fitting, strict=False)
        missing = sorted({*own} - {*fitting})
        new = f"; new: {listed(missing)}" if missing else ""
        print(f"init_from: {len(fitting)} of {len(own)} tensors of the {name}{new}")
    module.ema.network.load_state_dict(module.generator.state_dict())


def _finish_wandb(trainer: "L.Trainer", failed: bool) -> None:
    from inpaint.wandb_logger import WandbLogger

    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.finish(failed)


def _quiet() -> None:
    """Lightning's notices about what is so by design here are for those who write a Trainer."""
    import logging
    import warnings

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for notice in (
        "does not have many workers",  # the bundled photographs need none
        "in eval mode at the start of training",  # the moving average
        "Experiment logs directory .* exists and is not empty",  # the run folder
        "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # between Lightning and torch
    ):
        warnings.filterwarnings("ignore", message=f".*{notice}")


def _introduce(cfg: DictConfig, parts: Parts) -> None:
    """Three lines before the first update: what plays against what, on which data, and where it will be."""
    module, data = parts.module, parts.data
    against = f"against {_named(module.discriminator)}" if module.discriminator is not None else "without discriminator"
    losses = [*cfg.losses, *(["adversarial"] if module.adversarial is not None else [])]
    print(f"{_named(module.generator)} {against}; losses {', '.join(losses)}")
    train, validation = data.tiles["train"], data.tiles["validation"]
    print(
        f"{train.count - len(train.bad)} photographs to train, {validation.count - len(validation.bad)} to validate: "
        f"{len(train)} and {len(validation)} crops of {data.crop} px"
    )
    print(f"run folder: {_shown(cfg.paths.run)}", flush=True)


def _shown(folder: str) -> Path:
    """Relative to where the user is, if it is below."""
    path = Path(folder)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _named(network: object) -> str:
    parameters = sum(p.numel() for p in network.parameters())  # type: ignore[attr-defined]
    return f"{type(network).__name__} ({parameters / 1e6:.2f} M parameters)"


# What may differ between a checkpoint and the run that goes on from it: where and how long, not what.
SAID_ALOUD = ("losses", "adversarial", "module")
MAY_CHANGE = ("name", "init_from", "paths", "callbacks", "logger", "baselines", "resume", "trainer", *SAID_ALOUD)
MAY_CHANGE_IN_DATA = ("data.workers", "data.cache")  # how samples are read, not which


def _resume_from(cfg: DictConfig) -> Path | None:
    """The checkpoint to go on from, after a look at what has changed since it was written.

    Raises:
        ValueError: it is none, the run would be another one, or ``resume=never`` would write over a run.
    """
    from inpaint import checkpoint
    from inpaint.callbacks import flat

    newest = checkpoint.latest_valid(cfg.paths.run)
    if cfg.resume == "never":
        if newest is not None:
            raise ValueError(f"resume: never, but {_shown(cfg.paths.run)} holds a run; choose another hydra.run.dir")
        return None
    if cfg.resume == "auto" and newest is None:
        return None
    path = newest if cfg.resume == "auto" else checkpoint.find(cfg.resume)
    assert path is not None
    before = flat(checkpoint.config_of(checkpoint.load(path)))
    now = flat(OmegaConf.to_container(cfg, resolve=True))
    # `steps` is the length of a schedule, which follows trainer.max_steps.
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key) and not key.endswith(".steps")]
    other = [key for key in changed if key.split(".")[0] not in MAY_CHANGE and key not in MAY_CHANGE_IN_DATA]
    if other:
        listed = ", ".join(f"{key} {before.get(key)} -> {now.get(key)}" for key in other[:4])
        raise ValueError(
            f"resume: {_shown(str(path))} belongs to another run ({listed}{', ...' if len(other) > 4 else ''}); "
            "choose another hydra.run.dir, or take the change back"
        )
    print(f"going on from {_shown(str(path))}")
    for key in changed:
        if key.split(".")[0] in SAID_ALOUD:
            print(f"  changed since: {key} {before.get(key)} -> {now.get(key)}")
    return path


def _continue_csv(trainer: "L.Trainer", folder: Path, resume: Path) -> None:
    """Keep the rows of ``metrics.csv`` up to the checkpoint; Lightning's logger would begin an empty file."""
    from lightning.pytorch.loggers import CSVLogger

    from inpaint import checkpoint

    update = checkpoint.load(resume)["inpaint"]["update"]
    file = folder / "metrics.csv"
    if not file.is_file():
        return
    with file.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["step"].isdigit() and int(row["step"]) < update]
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger) and rows:
            writer = logger.experiment  # deletes the file
            writer.metrics_keys = list(rows[0])
            with file.open("w", newline="") as lines:
                table = csv.DictWriter(lines, writer.metrics_keys)
                table.writeheader()
                table.writerows(rows)


def _report(cfg: DictConfig, parts: Parts, folder: Path) -> float:
    """The table on held-out photographs, the files of the run folder, and what to do next."""
    from inpaint import checkpoint, table
    from inpaint.callbacks import RunRecord
    from inpaint.wandb_logger import WandbLogger

    module = parts.module
    record = next(c for c in parts.trainer.callbacks if isinstance(c, RunRecord))  # type: ignore[attr-defined]
    seconds = record.seconds
    if not parts.trainer.is_global_zero:
        return float("nan")
    methods = {cfg.name: module.ema.network} | {name: build_baseline(name) for name in cfg.baselines}
    rows = table.aggregate(evaluate(methods, parts.data, str(module.device)))
    write_results(rows, parts.data, folder)
    mine = next(row for row in rows if row.area == table.ALL and row.method == cfg.name)
    summary = {
        "method": cfg.name,
        "parameters": sum(p.numel() for p in module.generator.parameters()),
        "updates": parts.trainer.global_step,
        "train_seconds": round(seconds, 1),
        "overrides": _overrides(),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    for logger in parts.trainer.loggers:
        logger.log_metrics(
            {f"test/{name}": value for name, value in mine.means.items()}, step=parts.trainer.global_step
        )
        logger.finalize("success")
        if isinstance(logger, WandbLogger) and logger.log_model:
            path = folder / "generator.ckpt"
            checkpoint.save_generator(path, module.ema.network, record.config, parts.trainer.global_step)
            logger.log_generator(path, {"updates": parts.trainer.global_step, **mine.means})

    table.print_table(rows)
    print(f"{parts.trainer.global_step} updates in {seconds:.0f} s; the run is in {folder}")
    print("next:")
    print(f"  inpaint-evaluate checkpoint={folder} masks=boxes")
    print(f"  inpaint-predict checkpoint={folder} images=DIR masks=DIR output=DIR")
    print("  inpaint-train -m generator=context_encoder,residual_unet adversarial=hinge,none baselines=[]")
    return mine.means["hole_psnr"]


def _overrides() -> list[str]:
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task)


def main() -> None:
    """`inpaint-train`."""
    command("train", run)


if __name__ == "__main__":
    main()
