"""Where the configs are, what is wrong with one, and how it becomes objects."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import hydra
from omegaconf import DictConfig, ListConfig, Node, OmegaConf, ValueNode

from inpaint.settings import OPTIMIZATION, ConfigError, Refused, nearest

if TYPE_CHECKING:  # imported where they are needed, so that --help and --cfg need not wait for torch
    import lightning as L
    from torch import nn

    from inpaint.data.datamodule import InpaintingData
    from inpaint.evaluation.judges import Judges
    from inpaint.training.gan import InpaintingGAN

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
    "module": {"generator", "discriminator", "losses", "adversarial", "validation", *OPTIMIZATION},
    "trainer": {"callbacks", "logger"},
}
HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_"}


# ---- where the configs are ------------------------------------------------------------------------------------------


def conf_dir() -> Path:
    """The folder of the configs: inside the installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: in neither place.
    """
    here = Path(__file__).resolve().parent
    for place in (here / "conf", here.parent / "conf"):
        if (place / "train.yaml").is_file():
            return place
    raise FileNotFoundError(f"no conf/train.yaml in {here} or {here.parent}")


def config_folder(name: str) -> Path:
    """Where a command's config is: ``conf``, or a folder of its own in there."""
    return conf_dir() / name if (conf_dir() / name).is_dir() else conf_dir()


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
    from inpaint.data import automatic
    from inpaint.training.record import RunRecord
    from inpaint.training.validation import Validation
    from inpaint.training.watch import RankAgreement

    def make(node: Any, **supplied: Any) -> Any:
        """An object, a partial, or None for an option that is empty."""
        return hydra.utils.instantiate(node, _convert_="all", **supplied) if _chosen(node) else None

    data = build_data(cfg)
    data.setup("fit")
    if cfg.trainer.get("val_check_interval") == automatic.AUTO:
        batches = len(data.evaluation_dataloader())
        cfg.trainer.val_check_interval = automatic.validation_interval(batches, cfg.trainer.max_steps)
    rng.seed_all(rng.key(cfg.seed, "weights"))
    module = make(
        cfg.module,
        generator=make(cfg.generator),
        discriminator=make(cfg.discriminator),
        losses={name: make(node) for name, node in cfg.losses.items()},
        adversarial=make(cfg.adversarial),
        **{group: make(cfg[group]) for group in OPTIMIZATION},
        validation=Validation(next(iter(build_lpips(cfg).lpips.values()), None)),
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
    """The data module with its masks; settings that were automatic have their values in `cfg` from then on."""
    from inpaint.data.automatic import AUTO

    masks = {
        name: hydra.utils.instantiate(cfg[name], _convert_="all") if _chosen(cfg.get(name)) else None
        for name in ("masks", "validation_masks")
    }
    data = hydra.utils.instantiate(cfg.data, **masks, _convert_="all")
    for setting in ("crop", "crops_per_image", "validation_crops"):
        if cfg.data.get(setting) == AUTO:
            cfg.data[setting] = getattr(data, setting)
    return data


def build_lpips(cfg: DictConfig, device: str = "cpu") -> "Judges":
    """LPIPS as a training run has it, in validation and in its final table: one variant, or none.

    Raises:
        ConfigError: more than one.
    """
    from inpaint.evaluation.judges import Judges

    if not isinstance(cfg.lpips, str | None):
        raise ConfigError(f"lpips: a training run has one variant, or null; got {cfg.lpips}")
    return Judges([cfg.lpips] if cfg.lpips else [], lpips_weights=cfg.lpips_weights, device=device)


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
    """The generator with the weights that a run with `seed` begins with."""
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
        Refused: a GPU is asked for and there is none.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise Refused(f"device: {device} was asked for, but no GPU is available; device=cpu works everywhere")
    return device


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A config with every reference resolved, as dicts and lists."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
