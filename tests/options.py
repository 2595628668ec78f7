"""The options of ``conf/``: their names, what they compose to, and what they build at a small size."""

import hydra
import torch
from omegaconf import OmegaConf

from inpaint.cli.command import bounded_yaml
from inpaint.config import conf_dir
from inpaint.groups import UNTRAINED

CONF = conf_dir()
SIZE = 64  # pixels of the crops and of `samples`
# Numbers of generators at which they are built in no time; the published widths are built without memory.
TINY = {"width": 8, "blocks": 2, "bottleneck": 8, "heads": 2, "base": 8, "most": 8, "latent": 8, "style": 8}


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_"))


def others(group):
    return [name for name in options(group) if name != "none"]


def trainable(option):
    return not OmegaConf.load(CONF / "generator" / f"{option}.yaml")._target_.startswith(
        (*UNTRAINED, "inpaint.builtin")
    )


def compose(*overrides, name="train"):
    with bounded_yaml(), hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose(name, [*overrides])
    OmegaConf.set_struct(cfg, False)
    if "paths" in cfg:  # what Hydra fills in when a command runs
        cfg.name, cfg.paths.run = "test", "."
        if "wandb" in cfg.get("logger", {}):
            cfg.logger.wandb.tags = {}
    return cfg


def option(group, name, **settings):
    """The object that an option makes; `settings` where it has them."""
    cfg = OmegaConf.merge({"data": {"crop": SIZE}}, {"option": OmegaConf.load(conf_dir() / group / f"{name}.yaml")})
    node = cfg.option[name] if group == "losses" else cfg.option
    for key, value in settings.items():
        if key in node:
            node[key] = value
    return hydra.utils.instantiate(node, _convert_="all")


def generator_for(term):
    """A generator that gives what a loss needs, as an argument of a module; nothing where any does."""
    return {"generator": option("generator", "vae", **TINY)} if "posterior" in term.needs else {}


def samples(count=6):
    generator = torch.Generator().manual_seed(3)
    rows = []
    for index in range(count):
        mask = torch.zeros(1, SIZE, SIZE)
        mask[:, 8 + 4 * index : 30 + 4 * index, 10:40] = 1
        rows.append({"image": torch.rand(3, SIZE, SIZE, generator=generator) * 2 - 1, "mask": mask, "index": index})
    return rows
