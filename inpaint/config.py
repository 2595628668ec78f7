"""Hydra lives here: where the configs are, what is wrong with one, and how it becomes objects.

A command is `main = lambda: command("train", run)`: Hydra's grammar, and one clear line with exit code 2 for bad input.
"""

import errno
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, Node, OmegaConf, ValueNode
from omegaconf.errors import OmegaConfBaseException

from inpaint.explain import conf_dir, config_folder, explain, refuse_namesakes, shortened, too_long
from inpaint.settings import OPTIMIZATION, ConfigError, SweepError, nearest
from inpaint.sweep import job as sweep_job

if TYPE_CHECKING:  # imported where they are needed, so that --help and --cfg need not wait for torch
    import lightning as L
    from torch import nn

    from inpaint.data.datamodule import InpaintingData
    from inpaint.module import InpaintingGAN

# What a config may name with `_target_`: classes below these. Everything else is refused before it is imported.
# Of Lightning only what a run is made of: its command line, for one, calls whatever its arguments name.
TARGET_ROOTS = (
    *("inpaint.", "torch.optim.", "torch.nn.", "torchmetrics.", "kornia.", "lightning.Trainer"),
    *(f"lightning.pytorch.{part}." for part in ("callbacks", "loggers", "plugins", "profilers", "strategies")),
    *("optuna.samplers.", "optuna.pruners."),
)
FUNCTIONS_OF = "inpaint.schedules"  # the only functions among them

# Arguments that `build` makes of groups of their own.
SUPPLIED = {
    "data": {"masks", "validation_masks"},
    "module": {"generator", "discriminator", "losses", "adversarial", *OPTIMIZATION},
    "trainer": {"callbacks", "logger"},
}
DISK = (
    errno.EACCES,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
)  # what a user's folder can be at fault for
HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_"}


# ---- what is wrong with a config ------------------------------------------------------------------------------------


def check(cfg: DictConfig) -> None:
    """Find every misspelt key, missing argument and impossible combination before anything is built.

    Raises:
        ConfigError: with all of them.
    """
    if "wandb" in cfg:
        raise ConfigError("wandb: conf/wandb/sweep.yaml is a file for `wandb sweep`; logger=wandb logs a run there")
    problems = [f"{key}: needs a value ({key}=...)" for key in sorted(OmegaConf.missing_keys(cfg))]
    for path, node in _nodes(cfg, ""):
        if isinstance(node, DictConfig) and "_target_" in node:
            problems += _check_target(path, node)
        elif isinstance(node, ValueNode) and ("${" in str(node) or isinstance(node._value(), dict | list)):
            problems.append(f"{path}: {str(node)[:80]} would be evaluated again; write the value itself")
    if not problems:
        problems += _check_combinations(cfg)
    if problems:
        raise ConfigError("\n".join(problems))


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All nodes with their dotted paths, as they are once what they refer to or compute has taken its place."""
    yield path, node
    if isinstance(node, DictConfig):
        keys: Iterable[Any] = (key for key in node if not OmegaConf.is_missing(node, key))
    elif isinstance(node, ListConfig):
        keys = range(len(node))
    else:
        return
    for key in keys:
        child = cast(Node, node._get_node(key))._maybe_dereference_node()
        yield from _nodes(child, f"{path}.{key}" if path else str(key))


def _check_target(path: str, node: DictConfig) -> list[str]:
    """Problems of one node: a target that is not allowed or not there, keys it does not take or lacks."""
    target = str(node._target_)
    if not target.startswith(TARGET_ROOTS):
        return [f"{path}._target_: {target[:80]} is not below {', '.join(TARGET_ROOTS)}"]
    try:
        called = hydra.utils.get_object(target)
    except Exception:
        return [f"{path}._target_: there is no {target[:80]}"]
    # Where it was written: through a module that imports others, everything in Python can be reached.
    home = f"{getattr(called, '__module__', '')}."
    listed = home.startswith((*TARGET_ROOTS, "lightning.pytorch.trainer."))
    if not listed or not (inspect.isclass(called) or home == f"{FUNCTIONS_OF}."):
        return [f"{path}._target_: {target} is no class of {', '.join(TARGET_ROOTS)}"]
    if "_args_" in node:
        return [f"{path}._args_: name the arguments of {target}"]
    accepted, required = _arguments(called)
    given = {str(key) for key in node} - HYDRA_KEYS
    problems = [
        f"{path}.{key}: {target} takes no such argument{nearest(key, sorted(accepted))}"
        for key in sorted(given - accepted)
    ]
    supplied = SUPPLIED.get(path, set())
    problems += [f"{path}.{key}: it is made of the group {key}=..." for key in sorted(given & supplied)]
    if not node.get("_partial_"):
        problems += [f"{path}.{key}: {target} needs it" for key in sorted(required - given - supplied)]
    return problems


def _arguments(called: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """Names that may and that must be given; `**settings` stands for the arguments of the class's parent."""
    accepted: set[str] = set()
    required: set[str] = set()
    for level in called.__mro__ if inspect.isclass(called) else [called]:
        parameters = list(inspect.signature(level.__init__ if inspect.isclass(level) else level).parameters.values())
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
        first = level is called
        accepted |= {p.name for p in named}
        required |= {p.name for p in named if first and p.default is p.empty}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return accepted, required


def _chosen(node: Any) -> bool:
    """Whether a group has an option other than `none`, of which a recipe may leave single settings without effect."""
    return bool(node) and "_target_" in node


def _check_combinations(cfg: DictConfig) -> list[str]:
    """Problems between settings, each as `keys: what is wrong and what to do`."""
    problems = []
    if not isinstance(seed := cfg.get("seed", 0), int):
        problems.append(f"seed: give a whole number; got {str(seed)[:40]!r}")
    if "module" in cfg:
        if _chosen(cfg.discriminator) != _chosen(cfg.adversarial):
            lacking = "adversarial" if _chosen(cfg.discriminator) else "discriminator"
            problems.append(
                f"discriminator, adversarial: one needs the other, but {lacking}=none; choose both, or "
                "discriminator=none adversarial=none"
            )
        if not cfg.losses and not _chosen(cfg.adversarial):
            problems.append("losses: empty, and adversarial=none: there is nothing to train by")
        if str(cfg.trainer.get("precision", "")) not in ("32", "32-true", "bf16-mixed"):
            problems.append("trainer.precision: 32-true and bf16-mixed are what GAN losses and the fills are made for")
        if not str(strategy := cfg.trainer.get("strategy", "auto")).startswith(("auto", "ddp")):
            problems.append(f"trainer.strategy: {strategy} is no ddp, which is what alternating updates are made for")
        for theirs, ours in (("gradient_clip_val", "generator_clip"), ("accumulate_grad_batches", "accumulate")):
            if cfg.trainer.get(theirs):
                problems.append(f"trainer.{theirs}: has no effect on alternating updates; use module.{ours}")
        target = str(cfg.generator._target_) if _chosen(cfg.get("generator")) else ""
        if target.startswith("inpaint.fills."):
            problems.append(f"generator: {target} has nothing to train; measure it with inpaint-evaluate")
        elif not isinstance(name := cfg.get("name", ""), str):
            problems.append(f"name: {name} is no text; name=run_{name}, for one, is")
        elif name in cfg.get("baselines", []):
            problems.append(f"name: {name} is one of the baselines; give the run another name")
    if isinstance(cfg.get("baselines"), str):
        return [*problems, f"baselines: give a list, baselines=[{cfg.baselines}]"]
    fills = [("baselines", name) for name in cfg.get("baselines", [])]
    if isinstance(cfg.get("generator"), str):
        fills.append(("generator", cfg.generator))
    options = sorted(path.stem for path in (conf_dir() / "generator").glob("*.yaml"))
    problems += [
        f"{key}: there is no generator {name}{nearest(name, options)}" for key, name in fills if name not in options
    ]
    return problems


# ---- from config to objects -----------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """What a training run is made of."""

    module: "InpaintingGAN"
    data: "InpaintingData"
    trainer: "L.Trainer"


def build(cfg: DictConfig) -> Parts:
    """A checked config as module, data and trainer; the networks' initial weights are keyed by the seed."""
    from inpaint import rng
    from inpaint.callbacks import RunRecord
    from inpaint.watch import RankAgreement

    def make(node: Any, **supplied: Any) -> Any:
        """An object, a partial, or None for an option that is empty."""
        return hydra.utils.instantiate(node, _convert_="all", **supplied) if _chosen(node) else None

    data = build_data(cfg)
    data.setup("fit")
    rng.seed_all(rng.key(cfg.seed, "weights"))
    module = make(
        cfg.module,
        generator=make(cfg.generator),
        discriminator=make(cfg.discriminator),
        losses={name: make(node) for name, node in cfg.losses.items()},
        adversarial=make(cfg.adversarial),
        **{group: make(cfg[group]) for group in OPTIMIZATION},
    )
    record = RunRecord(cfg.paths.run, plain(cfg))
    trainer = make(
        cfg.trainer,
        callbacks=[  # panel=null: without it
            *(RankAgreement(record.config), record),
            *(make(node) for node in cfg.callbacks.values() if _chosen(node)),
        ],
        logger=[make(node) for node in cfg.logger.values()] or False,
    )
    return Parts(module, data, trainer)


def build_data(cfg: DictConfig) -> "InpaintingData":
    """The data module with its masks."""
    masks = {
        name: hydra.utils.instantiate(cfg[name], _convert_="all") if _chosen(cfg.get(name)) else None
        for name in ("masks", "validation_masks")
    }
    return hydra.utils.instantiate(cfg.data, **masks, _convert_="all")


def build_fill(node: Any) -> "nn.Module":
    """A generator that needs no training, from its config.

    Raises:
        ConfigError: it has weights.
    """
    generator = hydra.utils.instantiate(node, _convert_="all")
    if any(True for _ in generator.parameters()):
        raise ConfigError(f"generator: {type(generator).__name__} must be trained first; give checkpoint=...")
    return generator.eval()


def build_baseline(name: str) -> "nn.Module":
    """The same by the name of its option in ``conf/generator``."""
    return build_fill(OmegaConf.load(conf_dir() / "generator" / f"{name}.yaml"))


def load_generator(checkpoint: dict[str, Any]) -> "nn.Module":
    """The moving average of the generator in a checkpoint that `checkpoint.load` has read.

    Raises:
        ConfigError: its config names something that is not allowed or no longer there.
    """
    from inpaint.checkpoint import generator_state

    generator = _generator_of(checkpoint)
    generator.load_state_dict(generator_state(checkpoint))
    return generator.eval().requires_grad_(False)


def untrained_generator(checkpoint: dict[str, Any], seed: int) -> "nn.Module":
    """The same generator as a run with `seed` begins with."""
    from inpaint import rng

    rng.seed_all(rng.key(seed, "weights"))
    return _generator_of(checkpoint).eval().requires_grad_(False)


def _generator_of(checkpoint: dict[str, Any]) -> "nn.Module":
    from inpaint.checkpoint import config_of

    cfg = OmegaConf.create({"generator": config_of(checkpoint)["generator"]})
    check(cfg)
    return hydra.utils.instantiate(cfg.generator, _convert_="all")


def choose_device(device: str) -> str:
    """`auto` is the GPU if there is one.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device: {device} was asked for, but no GPU is available; device=cpu works everywhere")
    return device


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A config with every reference resolved, as dicts and lists."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))


# ---- commands -------------------------------------------------------------------------------------------------------


def command(name: str, run: Callable[[DictConfig], Any]) -> None:
    """Run `run` with the config ``conf/<name>.yaml`` under Hydra; exits with 2 after one line for bad input."""
    folder = config_folder(name)
    if message := too_long(sys.argv[1:]):
        _leave(name, message)

    def chosen(cfg: DictConfig) -> Any:
        refuse_namesakes()
        return run(cfg)

    def task(cfg: DictConfig) -> Any:
        if sweep_job.ours():
            return sweep_job.run_job(name, cfg, chosen, lambda error: _told(name, error))
        try:
            return chosen(cfg)
        except Exception as error:
            # In a sweep Hydra keeps the error, goes on with the other jobs and raises it at the end.
            message = _for_the_user(error)
            if message and HydraConfig.get().mode == RunMode.MULTIRUN:
                print(f"inpaint-{name}: job {HydraConfig.get().job.num} failed: {message}", file=sys.stderr)  # noqa: T201
            if message is None and isinstance(error, InstantiationException):
                message = explain(name, error)
            if message is None or HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            _leave(name, message)

    shown = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them
    try:
        hydra.main(version_base="1.3", config_path=str(folder), config_name=name)(task)()
    except Exception as error:
        if shown:
            raise
        if message := _for_the_user(error):
            _leave(name, message, code=2 if isinstance(error, SweepError) or not HydraConfig.initialized() else 1)
        if not isinstance(error, HydraException | OmegaConfBaseException):
            raise
        _leave(name, explain(name, error))
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if shown is not None:
            os.environ["HYDRA_FULL_ERROR"] = shown


def _told(name: str, error: Exception) -> str:
    """What to say of an error in a job of a sweep, whoever raised it."""
    if message := _for_the_user(error):
        return message
    return explain(name, error) if isinstance(error, InstantiationException) else f"{type(error).__name__}: {error}"


def _for_the_user(error: BaseException) -> str | None:
    """The message of a ValueError that our own code raised, or of a disk; None for what a library below it raised."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__  # `instantiate` wraps what a constructor raises
    if isinstance(error, ValueError) and re.match(r"Caught \w+ in DataLoader worker", str(error)):
        return str(error).strip().splitlines()[-1].partition(": ")[2]
    if isinstance(error, OSError) and error.errno in DISK:
        return f"{error.filename or 'the disk'}: {error.strerror}"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{Path(str(error.filename)).name[:40]}...: no file can have a name of that length"
    if isinstance(error, RecursionError):
        return "config: nested more deeply than can be followed"
    last = traceback.extract_tb(error.__traceback__)[-1:]
    ours = bool(last) and Path(last[0].filename).resolve().is_relative_to(Path(__file__).resolve().parent)
    return str(error) if ours and isinstance(error, ValueError) else None


def _leave(name: str, message: str, code: int = 2) -> None:
    for line in shortened(message):
        print(f"inpaint-{name}: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(code)
