"""What each argument of `lightning.Trainer` does here: it works as Lightning says, or it is refused with what to use.

An argument that Lightning's next version brings is refused until it has its row.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Refusal(NamedTuple):
    """An argument that does not work, or not with every value.

    takes: whether a value is allowed.
    instead: why others are not, and what to use.
    """

    takes: Callable[[Any], bool]
    instead: str


def _only(*values: Any) -> Callable[[Any], bool]:
    return lambda value: any(value is v or (value == v and type(value) is type(v)) for v in values)


def _off(value: Any) -> bool:
    return not value


def _some(value: Any) -> bool:
    return value is None or value != 0


def _count(value: Any) -> bool:
    return value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)


WORKS = (
    *("accelerator", "devices", "num_nodes", "min_epochs", "min_steps", "max_time"),
    *("limit_val_batches", "num_sanity_val_steps", "log_every_n_steps", "enable_model_summary"),
    *("deterministic", "benchmark", "inference_mode", "profiler", "detect_anomaly", "enable_autolog_hparams"),
)
REFUSED = {
    "max_steps": Refusal(_some, "without an update nothing is trained; inpaint-evaluate measures a network as it is"),
    "max_epochs": Refusal(_some, "without an epoch nothing is trained; inpaint-evaluate measures a network as it is"),
    "limit_train_batches": Refusal(_some, "without a batch nothing is trained; leave it out for whole epochs"),
    "precision": Refusal(
        lambda value: str(value) in ("auto", "32", "32-true", "bf16-mixed"),
        "32-true and bf16-mixed are what GAN losses and the fills are made for, and auto is one of them",
    ),
    "strategy": Refusal(
        lambda value: str(value).startswith(("auto", "ddp")) or isinstance(value, Mapping),
        "is no ddp, which is what alternating updates are made for",
    ),
    "gradient_clip_val": Refusal(_off, "has no effect on alternating updates; use module.generator_clip"),
    "gradient_clip_algorithm": Refusal(
        _only(None), "has no effect on alternating updates; module.generator_clip limits the norm of the gradient"
    ),
    "accumulate_grad_batches": Refusal(_only(None, 1), "has no effect on alternating updates; use module.accumulate"),
    "fast_dev_run": Refusal(_off, "switches loggers and callbacks off; +debug=tiny tries a run in 20 updates"),
    "overfit_batches": Refusal(
        _off, "each epoch would have other crops and holes all the same; use data.root=DIR with few pictures in it"
    ),
    "limit_test_batches": Refusal(_only(None, 1.0), "nothing is tested by it; inpaint-evaluate measures a run"),
    "limit_predict_batches": Refusal(_only(None, 1.0), "nothing is predicted by it; inpaint-predict repairs pictures"),
    "val_check_interval": Refusal(_count, "give a whole number of updates from 1 up, or auto"),
    "check_val_every_n_epoch": Refusal(_only(None), "updates are what is counted; use trainer.val_check_interval"),
    "enable_checkpointing": Refusal(_off, "callbacks.checkpoint saves; its every, keep and best say when and what"),
    "enable_progress_bar": Refusal(_off, "callbacks.progress shows it; callbacks.progress.seconds says how often"),
    "use_distributed_sampler": Refusal(_off, "our sampler deals the rows out to the ranks itself"),
    "barebones": Refusal(_off, "switches validation, loggers and checkpoints off; callbacks.NAME=null removes one"),
    "plugins": Refusal(
        lambda value: "precision" not in str(value).lower() and "checkpoint" not in str(value).lower(),
        "precision and checkpoints are not given by plugins; use trainer.precision and callbacks.checkpoint",
    ),
    "sync_batchnorm": Refusal(_off, "would change what is measured with the number of devices; use another norm"),
    "reload_dataloaders_every_n_epochs": Refusal(_off, "a loader has nothing to reload; each epoch is drawn anew"),
    "default_root_dir": Refusal(_only(None), "everything is in the run folder; use hydra.run.dir=DIR"),
    "model_registry": Refusal(_only(None), "nothing is uploaded by it; logger=wandb logger.wandb.log_model=true does"),
}
# What our trainer has beside Lightning's arguments.
OURS = {
    "memory_format": Refusal(_only("auto", "contiguous", "channels_last"), "give contiguous, channels_last or auto"),
    **{name: Refusal(_only("auto", True, False), "give true, false or auto") for name in ("fused", "compile", "tf32")},
}
SUPPLIED = ("logger", "callbacks")  # are groups of the config


def problems(trainer: Mapping[str, Any]) -> list[str]:
    """What is wrong with the arguments of a trainer, each as `trainer.NAME: what and what to use`."""
    return [
        f"trainer.{name}: {refusal.instead}; got {trainer[name]}"
        for name, refusal in (REFUSED | OURS).items()
        if name in trainer and not refusal.takes(trainer[name])
    ]
