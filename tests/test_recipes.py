"""Every recipe of the literature composes with its published numbers and trains, small, for 20 updates."""

import math

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from inpaint.config import build, check, conf_dir

RECIPES = sorted(path.stem for path in (conf_dir() / "experiment").glob("[a-z]*.yaml"))


def compose(*overrides):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", [*overrides, "logger={}"])
    OmegaConf.set_struct(cfg, False)
    cfg.paths.run = "."  # what Hydra fills in when a command runs
    return cfg


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_says_what_it_is(recipe):
    text = (conf_dir() / "experiment" / f"{recipe}.yaml").read_text()
    assert text.startswith("# @package _global_\n# ") and " et al. 20" in text.split("\n")[1]
    cfg = compose(f"+experiment={recipe}")
    assert cfg.name == recipe and not OmegaConf.missing_keys(cfg)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = compose(f"+experiment={recipe}", "+debug=tiny", "+trainer.limit_val_batches=1")
    cfg.paths.run, cfg.callbacks = str(tmp_path), {}
    cfg.module.adversarial_start = min(cfg.module.adversarial_start, 8)  # so that a late discriminator plays, too
    cfg.module.discriminator_alone = min(cfg.module.discriminator_alone, 4)
    check(cfg)
    parts = build(cfg)
    before = [parameter.detach().clone() for parameter in parts.module.generator.parameters()]
    parts.trainer.fit(parts.module, parts.data)
    assert parts.trainer.global_step == 20
    logged = {name: float(value) for name, value in parts.trainer.logged_metrics.items()}
    assert all(map(math.isfinite, logged.values())) and logged["val/hole_psnr"] > 0
    expected = {f"train/{name}" for name in cfg.losses} | ({"train/adversarial"} if cfg.adversarial else set())
    assert expected <= set(logged)
    moved = [not torch.equal(a, b) for a, b in zip(before, parts.module.generator.parameters(), strict=True)]
    assert any(moved)


NUMBERS = {  # from the papers
    "partial_conv": {
        "losses.hole.weight": 6,
        "losses.known.weight": 1,
        "losses.perceptual.weight": 0.05,
        "losses.style.weight": 120,
        "losses.total_variation.weight": 0.1,
        "generator_optimizer.lr": 2e-4,
        "data.batch_size": 6,
    },
    "partial_conv_stage2": {"generator.freeze_encoder_norm": True, "generator_optimizer.lr": 5e-5},
    "deepfill_v2": {"adversarial.weight": 1, "losses.coarse.of": "coarse", "generator_optimizer.betas": [0.5, 0.999]},
    "aot_gan": {"losses.style.weight": 250, "losses.perceptual.weight": 0.1, "adversarial.weight": 0.01},
    "global_local": {
        "adversarial.weight": 4e-4,
        "module.adversarial_start": 90_000,
        "module.discriminator_alone": 10_000,
    },
    "lama_fourier": {
        "losses.l1.weight": 5,
        "losses.l1.region": "known",
        "losses.feature_matching.weight": 100,
        "adversarial.weight": 10,
        "module.r1_gamma": 0.008,
        "module.generator_clip": 1,
        "generator_optimizer.lr": 1e-3,
        "discriminator_optimizer.lr": 1e-4,
    },
    "big_lama": {"generator.blocks": 18, "losses.feature_matching.weight": 100},
    "edge_connect": {"module.stage": "edge", "losses.feature_matching.weight": 10, "discriminator_optimizer.lr": 1e-5},
    "edge_connect_inpaint": {"losses.style.weight": 250, "adversarial.weight": 0.1, "losses.l1.weight": 1},
    "pix2pixhd": {"losses.feature_matching.weight": 10, "losses.perceptual.weight": 10, "generator_optimizer.lr": 2e-4},
    "sagan_unet": {"generator_optimizer.lr": 1e-4, "discriminator_optimizer.lr": 4e-4, "generator.attention": 1},
    "mat_small": {"module.r1_gamma": 10, "losses.perceptual.weight": 0.1, "generator_optimizer.betas": [0.0, 0.99]},
    "context_encoder_features": {"data.crop": 227, "losses.l2.region": "hole"},
}


@pytest.mark.parametrize("recipe", NUMBERS)
def test_a_recipes_numbers_are_the_papers(recipe):
    cfg = compose(f"+experiment={recipe}")
    assert {key: OmegaConf.select(cfg, key) for key in NUMBERS[recipe]} == NUMBERS[recipe]
