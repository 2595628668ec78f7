"""Where the configs are, what is wrong with one, and how it becomes objects."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, Node, OmegaConf, ValueNode

from inpaint.config import references, trainer_arguments
from inpaint.config.targets import check_forms, check_target, chosen
from inpaint.groups import OPTIMIZATION, UNTRAINED
from inpaint.parts import conf_dirs
from inpaint.provenance import PLACEHOLDER
from inpaint.settings import ConfigError, Refused, choice, nearest

if TYPE_CHECKING:  # imported where they are needed, so that --help and --cfg need not wait for torch
    import lightning as L

    from inpaint.data.datamodule import InpaintingData
    from inpaint.evaluation.judges import Judges
    from inpaint.metrics.figure import Figure
    from inpaint.training.gan import InpaintingGAN


# ---- where the configs are ------------------------------------------------------------------------------------------


def conf_dir() -> Path:
    """The folder of the configs: inside the installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: in neither place.
    """
    here = Path(__file__).resolve().parents[1]
    for place in (here / "conf", here.parent / "conf"):
        if (place / "train.yaml").is_file():
            return place
    raise FileNotFoundError(f"no conf/train.yaml in {here} or {here.parent}")


def options(group: str) -> dict[str, Path]:
    """The yaml of each option of a group by its name, those of installed parts after our own."""
    found: dict[str, Path] = {}
    for folder in (conf_dir(), *conf_dirs()):
        for path in sorted((folder / group).glob("[!_]*.yaml")):
            found.setdefault(path.stem, path)
    return found


def groups() -> list[str]:
    """The groups that there are, those of installed parts among them, in alphabetical order."""
    return sorted({path.name for folder in (conf_dir(), *conf_dirs()) for path in folder.iterdir() if path.is_dir()})


# ---- what is wrong with a config ------------------------------------------------------------------------------------


def check(cfg: DictConfig) -> None:
    """Find every misspelt key, missing argument and impossible combination before anything is built.

    Raises:
        ConfigError: with all of them.
    """
    references.measure(cfg)
    problems = [f"{key}: needs a value ({key}=...)" for key in sorted(OmegaConf.missing_keys(cfg))]
    for path, node in _nodes(cfg, ()):
        if isinstance(node, DictConfig) and "_target_" in node:
            problems += check_target(path, node)
        elif isinstance(node, ValueNode) and ("${" in str(node) or isinstance(node._value(), dict | list)):
            problems.append(f"{'.'.join(path)}: {str(node)[:80]} would be evaluated again; write the value itself")
        elif isinstance(node, ValueNode) and (named := PLACEHOLDER.search(str(node._value()))):
            key = ".".join(path)
            problems.append(f"{key}: the run took it from the environment variable {named[1]}; give {key}=...")
    problems += [] if problems else check_forms(cfg)
    problems += [] if problems else _check_combinations(cfg)
    if problems:
        raise ConfigError("\n".join(problem.replace("\n", "\\n") for problem in problems))


def _nodes(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All nodes with their keys, as they are once what they refer to or compute has taken its place."""
    yield path, node
    if isinstance(node, DictConfig):
        keys: Iterable[Any] = (key for key in node if not OmegaConf.is_missing(node, key))
    elif isinstance(node, ListConfig):
        keys = range(len(node))
    else:
        return
    for key in keys:
        child = cast(Node, node._get_node(key))._maybe_dereference_node()
        yield from _nodes(child, (*path, str(key)))


def _check_combinations(cfg: DictConfig) -> list[str]:
    """Problems between settings, each as `keys: what is wrong and what to do`."""
    problems = []
    if not isinstance(seed := cfg.get("seed", 0), int):
        problems.append(f"seed: give a whole number; got {str(seed)[:40]!r}")
    if "module" in cfg:
        if chosen(cfg.discriminator) != chosen(cfg.adversarial):
            lacking = "adversarial" if chosen(cfg.discriminator) else "discriminator"
            problems.append(
                f"discriminator, adversarial: one needs the other, but {lacking}=none; choose both, or "
                "discriminator=none adversarial=none"
            )
        if not cfg.losses and not chosen(cfg.adversarial):
            problems.append("losses: empty, and adversarial=none: there is nothing to train by")
        problems += trainer_arguments.problems(plain(cfg.trainer))
        target = str(cfg.generator._target_) if chosen(cfg.get("generator")) else ""
        if target.startswith(tuple(f"{module}." for module in UNTRAINED)):
            problems.append(f"generator: {target} has nothing to train; measure it with inpaint-evaluate")
        elif target.startswith("inpaint.builtin."):
            model = cfg.generator.get("model", "builtin")
            problems.append(f"generator: {model} is trained already; init_from={model} trains it further")
        elif not isinstance(name := cfg.get("name", ""), str):
            problems.append(f"name: {name} is no text; name=run_{name}, for one, is")
        elif name in cfg.get("baselines", []):
            problems.append(f"name: {name} is one of the baselines; give the run another name")
    if isinstance(cfg.get("baselines"), str):
        return [*problems, f"baselines: give a list, baselines=[{cfg.baselines}]"]
    known = options("generator")
    problems += [
        f"baselines: there is no generator {name}{nearest(name, known)}"
        for name in cfg.get("baselines", [])
        if name not in known
    ]
    return problems


# ---- from config to objects -----------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """What a training run is made of; `judges` measure what it has come to at its end."""

    module: "InpaintingGAN"
    data: "InpaintingData"
    trainer: "L.Trainer"
    judges: "Judges"


def build(cfg: DictConfig) -> Parts:
    """A checked config as module, data and trainer; the networks' initial weights are keyed by the seed."""
    import torch

    from inpaint import rng
    from inpaint.data import automatic
    from inpaint.training import trainer as training
    from inpaint.training.record import RunRecord
    from inpaint.training.validation import Validation
    from inpaint.training.watch import RankAgreement

    def make(node: Any, **supplied: Any) -> Any:
        """An object, a partial, or None for an option that is empty."""
        return hydra.utils.instantiate(node, _convert_="all", **supplied) if chosen(node) else None

    data = build_data(cfg)
    data.setup("fit")
    if cfg.trainer.get("val_check_interval") == automatic.AUTO:
        batches = len(data.evaluation_dataloader())
        cfg.trainer.val_check_interval = automatic.validation_interval(batches, cfg.trainer.max_steps)
    judges = build_judges(cfg)
    # Its own, as Lightning moves and rounds what belongs to the module.
    lpips = copy.deepcopy(next(iter(judges.lpips.values()), None))
    rng.seed_all(rng.key(cfg.seed, "weights"))
    module = make(
        cfg.module,
        generator=make(cfg.generator),
        discriminator=make(cfg.discriminator),
        losses={name: make(node) for name, node in cfg.losses.items()},
        adversarial=make(cfg.adversarial),
        **{group: make(cfg[group]) for group in OPTIMIZATION},
        validation=Validation(lpips, data.restores_whole),
    )
    training.settle(cfg.trainer, module, partial(data.validation_batch, 1, torch.device("cpu")))
    record = RunRecord(cfg.paths.run, references.without_environment(cfg), references.fingerprints(cfg))
    trainer = make(
        cfg.trainer,
        callbacks=[  # panel=null: without it
            *(RankAgreement(record.config), record),
            *(make(node) for node in cfg.callbacks.values() if chosen(node)),
        ],
        logger=[make(node) for node in cfg.logger.values()] or False,
    )
    return Parts(module, data, trainer, judges)


def build_data(cfg: DictConfig) -> "InpaintingData":
    """The data module with its masks and degradation; what was automatic in `cfg` has its value from then on."""
    from inpaint.data.automatic import AUTO, SETTINGS

    arguments = {
        name: hydra.utils.instantiate(cfg[name], _convert_="all") if chosen(cfg.get(name)) else None
        for name in ("masks", "validation_masks", "degradation")
    }
    data = hydra.utils.instantiate(cfg.data, **arguments, _convert_="all")
    for key in SETTINGS:
        group, setting = key.split(".")
        if group == "data" and cfg.data.get(setting) == AUTO:
            cfg.data[setting] = getattr(data, setting)
    return data


def build_figures(cfg: DictConfig) -> "dict[str, Figure]":
    """The figures of one's own, whose columns are known from then on."""
    if not (figures := cfg.get("figures")):
        return {}
    from inpaint.metrics.figure import known

    check(OmegaConf.create({"figures": figures}))
    return known({name: hydra.utils.instantiate(node, _convert_="all") for name, node in figures.items()})


def build_judges(cfg: DictConfig) -> "Judges":
    """What a training run's table has besides the figures of pixels: one variant of LPIPS, and figures of one's own.

    Raises:
        ConfigError: more than one variant.
    """
    from inpaint.evaluation.judges import Judges

    if not isinstance(cfg.lpips, str | None):
        raise ConfigError(f"lpips: a training run has one variant, or null; got {cfg.lpips}")
    lpips = [cfg.lpips] if cfg.lpips else []
    return Judges(lpips, lpips_weights=cfg.lpips_weights, figures=build_figures(cfg))


def build_refinement(name: str, own: Mapping[str, Any]) -> Any:
    """What an option of ``conf/refine`` makes; None of ``none``.

    Args:
        name: of the option.
        own: settings of it in place of its file's, by their names as in ``refine.steps``.

    Raises:
        Refused: no such option or setting, or a value that means nothing.
    """
    node = OmegaConf.load(options("refine")[choice("refine", name, options("refine"))])
    assert isinstance(node, DictConfig)
    for key, value in own.items():
        if key.removeprefix("refine.") not in node:
            raise ConfigError(
                f"{key}: no setting of refine={name}{nearest(key, [f'refine.{each!s}' for each in node])}"
            )
        node[key.removeprefix("refine.")] = value
    check(OmegaConf.create({"refine": node}))
    try:
        return hydra.utils.instantiate(node, _convert_="all") if chosen(node) else None
    except InstantiationException as error:
        raise (error.__cause__ if isinstance(error.__cause__, Refused) else error) from None


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
