"""Train one model, evaluate it, and say where everything is.

    inpaint-train                                                    # the default run, on whatever machine
    inpaint-train data=folder data.root=DIR trainer.max_steps=100000 # your own photographs
    inpaint-train +experiment=lama_fourier data=folder data.root=DIR # a recipe of the literature
    inpaint-train hydra.run.dir=runs/mine                            # again in this folder: goes on where it stopped
    inpaint-train -m generator=context_encoder,residual_unet 'losses=[l1],[l2]'    # a sweep

The run folder holds config.yaml, versions.json, metrics.csv, panels/, checkpoints/, summary.json and what an evaluation
writes (`inpaint.results`). The settings are in conf/train.yaml, each with its unit.
"""

import json
import sys
from pathlib import Path

from omegaconf import DictConfig

from inpaint.config import Parts, build, build_baseline, check, command
from inpaint.evaluate import about_data
from inpaint.resume import Start, begin_with, named, shown
from inpaint.table import ALL, read_csv

SHOWN = 12  # pictures that the final evaluation stores


def run(cfg: DictConfig) -> float:
    """Train and evaluate; returns the hole PSNR over all validation crops, which searches maximise."""
    from inpaint.signals import stacks_on_sigusr1

    check(cfg)
    _quiet()
    start = Start(cfg)
    if (results := start.finished()) is not None:
        print(f"{shown(cfg.paths.run)} is finished, nothing to do")
        return next(row for row in read_csv(results) if row.area == ALL and row.method == cfg.name).means["hole_psnr"]
    with stacks_on_sigusr1():
        return _train(cfg, start)


def _train(cfg: DictConfig, start: Start) -> float:
    from inpaint.checkpoint import check_fit
    from inpaint.metrics_file import MetricsFile

    parts = build(cfg)
    folder = shown(cfg.paths.run)
    _introduce(cfg, parts)
    start.introduce()
    if start.path is not None:
        check_fit(start.checkpoint, parts.module)
    elif cfg.init_from:
        begin_with(cfg.init_from, parts.module, cfg.init_discriminator)
    for logger in parts.trainer.loggers:
        if isinstance(logger, MetricsFile) and parts.trainer.is_global_zero:
            logger.begin(start.update)
    start.checkpoint.clear()  # its memory; the trainer reads the file itself
    failed = True
    try:
        parts.trainer.fit(parts.module, parts.data, ckpt_path=start.path, weights_only=True)
        psnr = _report(cfg, parts, folder)
        failed = False
        return psnr
    finally:
        _finish_wandb(failed)


def _finish_wandb(failed: bool) -> None:
    """End the run at wandb, marked failed if it is; left open, the next job of a sweep would write into it."""
    if (wandb := sys.modules.get("wandb")) is not None and wandb.run is not None:
        wandb.finish(exit_code=int(failed))


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
    against = f"against {named(module.discriminator)}" if module.discriminator is not None else "without discriminator"
    losses = [*cfg.losses, *(["adversarial"] if module.adversarial is not None else [])]
    print(f"{named(module.generator)} {against}; losses {', '.join(losses)}")
    train, validation = data.tiles["train"], data.tiles["validation"]
    print(
        f"{train.count - len(train.bad)} photographs to train, {validation.count - len(validation.bad)} to validate: "
        f"{len(train)} and {len(validation)} crops of {data.crop} px"
    )
    print(f"run folder: {shown(cfg.paths.run)}", flush=True)


def _report(cfg: DictConfig, parts: Parts, folder: Path) -> float:
    """The table on held-out photographs, the files of the run folder, and what to do next."""
    from inpaint import table
    from inpaint.callbacks import RunRecord
    from inpaint.measuring import ValidationCrops, evaluate
    from inpaint.results import Manifest, write

    module = parts.module
    record = next(c for c in parts.trainer.callbacks if isinstance(c, RunRecord))  # type: ignore[attr-defined]
    seconds = record.seconds
    if not parts.trainer.is_global_zero:
        return float("nan")
    methods = {cfg.name: module.ema.network} | {name: build_baseline(name) for name in cfg.baselines}
    pictures = ValidationCrops(parts.data)
    manifest = Manifest.of(pictures.crops())
    measured = evaluate(methods, pictures, str(module.device), chosen={*manifest.spread(SHOWN)})
    results = table.aggregate(measured.records)
    write(folder, results, measured, manifest, about_data(cfg))
    mine = next(row for row in results.rows if row.area == table.ALL and row.method == cfg.name)
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
    for logger in parts.trainer.loggers:
        logger.finalize("success")

    table.print_table(results)
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
