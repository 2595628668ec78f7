"""Commands that are printed to be typed do what is meant."""

import shlex

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from inpaint.cli import typed
from inpaint.cli.command import bounded_yaml
from inpaint.config import check, conf_dir

FOLDERS = [
    "runs/2026-03-01/10-00-00", "a=b", "a,b", "photos (1)", "2019", "1e5", "true", "null", "[old]", "it's",
    r"C:\x (old)",
    "a b", "Bündel", "ends with \\", "#1", "{a: b}", "$HOME", "~/res",
]  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_reaches_hydra_as_it_is_called(folder):
    name, word = shlex.split(typed.line("inpaint-predict", typed.setting("checkpoint", folder)))
    override = OverridesParser.create().parse_override(word)
    value = override.value()
    assert name == "inpaint-predict" and override.key_or_group == "checkpoint"
    assert (value if isinstance(value, str) else value.text) == folder and not override.is_sweep_override()


def test_a_list_of_folders_reaches_hydra_as_they_are_called():
    _, word = shlex.split(typed.line("inpaint-evaluate", typed.several("checkpoint", FOLDERS)))
    override = OverridesParser.create().parse_override(word)
    assert [value if isinstance(value, str) else value.text for value in override.value()] == FOLDERS
    assert typed.several("checkpoint", ["runs/a", "runs/b"]) == "checkpoint=[runs/a,runs/b]"


def test_a_plain_folder_is_not_quoted():
    assert typed.line("inpaint-evaluate", typed.setting("checkpoint", "runs/a")) == "inpaint-evaluate checkpoint=runs/a"


RUNS = {
    "default": ([], {"generator": "residual_unet,context_encoder", "adversarial": "hinge,none"}),
    "another network": (["generator=aot"], {"generator": "aot,residual_unet", "adversarial": "hinge,none"}),
    "own photographs": (
        ["data=folder", "data.root=/my, photos", "masks=boxes", "masks.count=[1,1]", "seed=3", "hydra.run.dir=x"],
        {"generator": "residual_unet,context_encoder", "adversarial": "hinge,none"},
    ),
    "wider": (["generator.width=8"], {"adversarial": "hinge,none"}),
    "no discriminator": (["adversarial=none"], {"generator": "residual_unet,context_encoder"}),
    "a recipe": (["+experiment=aot_gan", "+debug=tiny", "seed=7"], {"seed": "0,1,2"}),
    "fine-tuned": (["init_from=runs/a", "losses=[l1,l2]", "name=mine", "resume=never"], {"seed": "0,1,2"}),
}


@pytest.mark.parametrize("case", RUNS)
def test_the_comparison_that_a_run_proposes_keeps_its_photographs_and_holes(case):
    words, axes = RUNS[case]
    words = [typed.setting(*word.split("=", 1)) if word.startswith("data.root") else word for word in words]

    def composed(overrides):
        with bounded_yaml(), hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = hydra.compose(
                "train", [f"hydra.run.dir={case.replace(' ', '_')}", *overrides], return_hydra_config=True
            )
        generator, cfg.name, cfg.paths.run = cfg.hydra.runtime.choices.generator, "x", "runs"
        del cfg.hydra
        return generator, cfg

    words_without = [word for word in words if not word.startswith("hydra")]
    generator, mine = composed(words_without)
    name, many, *proposed = shlex.split(typed.comparison(words, {"generator": generator}))
    assert (name, many, proposed[-1]) == ("inpaint-train", "-m", "baselines=[]")
    parsed = OverridesParser.create().parse_overrides(proposed)
    swept = {o.key_or_group: o.get_value_string() for o in parsed if o.is_sweep_override()}
    assert swept == axes
    fixed = [o.input_line for o in parsed if not o.is_sweep_override()]
    for place in range(2):
        _, theirs = composed([*fixed, *(f"{key}={values.split(',')[place]}" for key, values in axes.items())])
        check(theirs)
        assert theirs.seed == (place if "seed" in axes else mine.seed)
        theirs.seed = mine.seed
        for group in ("data", "masks", "losses", "trainer"):
            assert theirs[group] == mine[group], group
