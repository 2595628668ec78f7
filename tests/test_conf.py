"""conf/ mirrors inpaint/: every class has its yaml, every yaml its class, and everything composes and builds."""

import importlib
import inspect
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from inpaint.config import ConfigError, build, check, conf_dir

CONF = conf_dir()
# Group -> modules whose public classes it offers. Groups that are not here hold classes of libraries, or none.
MIRRORED = {
    "generator": [
        "inpaint.fills",
        *(f"inpaint.networks.generators.{p.stem}" for p in Path("inpaint/networks/generators").glob("[a-z]*.py")),
    ],
    "discriminator": ["inpaint.networks.discriminators"],
    "masks": [f"inpaint.masks.{p.stem}" for p in Path("inpaint/masks").glob("[a-z]*.py")],
    "losses": ["inpaint.losses.reconstruction"],
    "adversarial": ["inpaint.losses.adversarial"],
    "data": ["inpaint.data.datamodule"],
    "module": ["inpaint.module", "inpaint.edge_module"],
}
# Public classes that are parts of others and no option of their own.
NOT_OPTIONS = {"GatedConv", "ContextualAttention", "EdgeGenerator"}
NOT_OPTIONS |= {"Block", "Term", "Shapes", "Masks", "Drawn", "Adversarial", "InpaintingData", "Tiles", "NonFiniteError"}


# Numbers of generators at which they are built in no time; the published widths are built without memory.
TINY = {"width": 8, "bottleneck": 8, "heads": 2, "base": 8, "most": 8, "latent": 8, "style": 8}


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_"))


def compose(*overrides, name="train"):
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose(name, [*overrides])
    OmegaConf.set_struct(cfg, False)
    if "paths" in cfg:  # what Hydra fills in when a command runs
        cfg.name, cfg.paths.run = "test", "."
    return cfg


def targets(node):
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield node._target_
        for key in node:
            if not OmegaConf.is_missing(node, key):
                yield from targets(node._get_node(key))


@pytest.mark.parametrize("group", MIRRORED)
def test_every_public_class_has_a_yaml_and_the_reverse(group):
    offered = set()
    for module_name in MIRRORED[group]:
        module = importlib.import_module(module_name)
        offered |= {
            f"{module_name}.{name}"
            for name, value in vars(module).items()
            if inspect.isclass(value)
            and value.__module__ == module_name
            and not name.startswith("_")
            and name not in NOT_OPTIONS
        }
    named = {
        f"{(found := hydra.utils.get_object(target)).__module__}.{found.__qualname__}"
        for path in (CONF / group).glob("*.yaml")
        for target in targets(OmegaConf.load(path))
        if target.startswith("inpaint.")
    }
    assert named == offered


def trainable(option):
    return not OmegaConf.load(CONF / "generator" / f"{option}.yaml")._target_.startswith("inpaint.fills.")


def tiny(option):
    """Overrides that make a generator small."""
    settings = OmegaConf.load(CONF / "generator" / f"{option}.yaml")
    return [f"generator.{key}={value}" for key, value in TINY.items() if key in settings]


def every_option():
    groups = [
        path.name
        for path in sorted(CONF.iterdir())
        if path.is_dir() and path.name not in ("hydra", "experiment", "predict")
    ]
    for group in groups:
        for option in options(group):
            if group == "losses":
                yield f"losses=[{option}]"
            elif group in ("optimizer", "scheduler"):
                yield f"{group}@generator_{group}={option}"
            elif group != "generator" or trainable(option):
                yield f"{group}={option}"
    for experiment in options("experiment"):
        yield f"+experiment={experiment}"


@pytest.mark.parametrize("override", every_option())
def test_every_option_composes_checks_and_builds(override, photo_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    extra = {"data=folder": [f"data.root={photo_folder}", "data.validation=0.4", "data.crops_per_image=8"]}
    extra["discriminator=none"] = ["adversarial=none"]
    extra |= {f"generator={option}": tiny(option) for option in options("generator")}
    extra["module=edge_connect"] = ["generator=edge_connect", *tiny("edge_connect")]
    cfg = compose(override, *extra.get(override, []))
    check(cfg)
    parts = build(cfg)
    assert isinstance(parts.module.generator, nn.Module)
    assert bool(cfg.discriminator) == (parts.module.discriminator is not None)
    assert set(parts.module.losses) == set(cfg.losses)


@pytest.mark.parametrize("option", options("generator"))
def test_every_generator_composes_for_evaluation(option):
    cfg = compose(f"generator={option}", name="evaluate")
    check(cfg)
    with torch.device("meta"):
        assert isinstance(hydra.utils.instantiate(cfg.generator, _convert_="all"), nn.Module)


def test_a_yamls_numbers_are_the_constructors_defaults_or_named_here():
    """So that a class does the same from Python and from a config; where a config suits 64 px better, it is listed."""
    chosen = {
        "generator/context_encoder.yaml": {"width"},
        "generator/big_lama.yaml": {"blocks"},
        "generator/mat_small.yaml": {
            *("width", "heads", "depths", "windows", "halvings", "base", "most", "latent", "style"),
        },
        "generator/context_encoder_random.yaml": {"levels", "bottleneck"},
        "generator/context_encoder_centre.yaml": {"levels", "bottleneck", "paints"},
        "discriminator/patch.yaml": {"width", "layers"},
        "adversarial/nonsaturating.yaml": {"weight"},
        "adversarial/hinge.yaml": {"weight"},
        "adversarial/lsgan.yaml": {"weight"},
        "masks/centre.yaml": {"count", "side", "position"},
        "masks/mixture.yaml": {"probabilities"},
    }
    for group in ("generator", "discriminator", "adversarial", "masks", "losses"):
        for path in (CONF / group).glob("*.yaml"):
            loaded = OmegaConf.load(path)
            for node in [loaded, *loaded.values()] if loaded else []:
                if not isinstance(node, DictConfig) or "_target_" not in node:
                    continue
                signature = inspect.signature(hydra.utils.get_class(node._target_).__init__)
                for key, value in OmegaConf.to_container(node, resolve=False).items():
                    default = (
                        signature.parameters[key].default if key in signature.parameters else inspect.Signature.empty
                    )
                    if default is inspect.Signature.empty or key in chosen.get(
                        path.relative_to(CONF).as_posix(), set()
                    ):
                        continue
                    default = list(default) if isinstance(default, tuple) else default
                    assert value == default, f"{path}: {key} is {value}, the constructor's default {default}"


def test_losses_select_override_and_stay_apart():
    cfg = compose("losses=[l1,l2]", "losses.l1.weight=6", "losses.l2.region=hole")
    assert list(cfg.losses) == ["l1", "l2"] and cfg.losses.l1.weight == 6 and cfg.losses.l2.region == "hole"
    assert compose("losses=[]").losses == {}


def test_adversarial_none_switches_the_discriminator_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for overrides in (["adversarial=none"], ["+experiment=context_encoder", "adversarial=none"]):
        cfg = compose(*overrides, "baselines=[]")
        check(cfg)
        parts = build(cfg)
        assert parts.module.discriminator is None and parts.module.adversarial is None
    with pytest.raises(ConfigError, match="discriminator, adversarial"):
        check(compose("adversarial=none", "discriminator=patch"))


def test_the_context_encoder_recipe_is_the_papers():
    cfg = compose("+experiment=context_encoder")
    assert cfg.losses.l2.weight == 0.999 and cfg.adversarial.weight == 0.001
    assert cfg.generator_optimizer.lr == 10 * cfg.discriminator_optimizer.lr == 2e-3
    assert list(cfg.losses) == ["l2"] and cfg.generator._target_.endswith("ContextEncoder")


def test_experiment_overlays_compose():
    for path in Path("experiments").glob("*/experiment/*.yaml"):
        with hydra.initialize_config_dir(str(path.parent.parent.resolve()), version_base="1.3"):
            pass
        cfg = OmegaConf.load(path)
        assert path.read_text().startswith("# @package _global_"), path
        assert cfg, path
