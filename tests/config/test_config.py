import json

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from inpaint.config import check, conf_dir
from inpaint.config.sent import load_generator
from inpaint.files import checkpoint
from inpaint.settings import ConfigError, nearest

RAMP = "inpaint.schedules.Ramp"
L1 = {"_target_": "inpaint.losses.reconstruction.L1"}
UNET = "inpaint.networks.generators.residual_unet.ResidualUNet"


def problems(config):
    with pytest.raises(ConfigError) as caught:
        check(OmegaConf.create(config))
    return str(caught.value).splitlines()


def test_all_problems_at_once_with_the_nearest_names():
    found = problems(
        {
            "generator": {"_target_": UNET, "widht": 3, "levels": 2},
            "generator_optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "beta": [0.5, 0.9]},
            "discriminator_optimizer": {"_target_": "torch.optim.Adamm", "_partial_": True},
            "data": {"root": "???"},
        }
    )
    assert found == [
        "data.root: needs a value (data.root=...)",
        f"generator.widht: {UNET} takes no such argument; did you mean width?",
        "generator_optimizer.beta: torch.optim.Adam takes no such argument; did you mean betas?",
        "discriminator_optimizer._target_: there is no torch.optim.Adamm; did you mean Adam?",
    ]


def test_missing_arguments_except_those_that_are_supplied():
    found = problems(
        {
            "data": {"_target_": "inpaint.data.datamodule.FolderData"},
            "losses": {"style": {"_target_": "inpaint.losses.reconstruction.L1", "weight": {"_target_": RAMP}}},
        }
    )
    assert found == [
        "data.root: inpaint.data.datamodule.FolderData needs it",
        *(f"losses.style.weight.{name}: {RAMP} needs it" for name in ("begin", "end", "first", "last")),
    ]


def test_arguments_of_the_parent_class_count():
    check(OmegaConf.create({"data": {"_target_": "inpaint.data.datamodule.FolderData", "root": "x", "crop": 64}}))


@pytest.mark.parametrize(
    "target", ["os.system", "builtins.eval", "subprocess.run", "functools.partial", "inpaintx.y", "posix.system"]
)
def test_targets_outside_the_list_are_refused_before_they_are_imported(target):
    (line,) = problems({"losses": {"x": {"_target_": target}}})
    assert line.startswith(f"losses.x._target_: {target} is not a loss (inpaint.losses.term.Term in inpaint.losses; ")


def test_targets_in_lists_are_found():
    (line,) = problems({"callbacks": [{"_target_": "os.system"}]})
    assert line.startswith("callbacks.0._target_")


def test_half_precision_floats_are_refused():
    config = {
        "module": {},
        "discriminator": {},
        "adversarial": {},
        "losses": {"l1": L1},
        "trainer": {"precision": "16-mixed"},
    }
    (line,) = problems(config)
    assert line.startswith("trainer.precision: 32-true and bf16-mixed are")


def test_arguments_that_are_groups_of_their_own():
    assert problems(
        {
            "trainer": {"_target_": "lightning.Trainer", "callbacks": []},
            "module": {"_target_": "inpaint.training.gan.InpaintingGAN", "generator": 1},
        }
    ) == [
        "trainer.callbacks: it is made of the group callbacks=...",
        "module.generator: it is made of the group generator=...",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": 7}, "name: 7 is no text; name=run_7, for one, is"),
        ({"name": None}, "name: None is no text; name=run_None, for one, is"),
        ({"baselines": "telea"}, "baselines: give a list, baselines=[telea]"),
    ],
)
def test_names_are_texts_and_baselines_a_list(settings, message):
    parts = {"module": {}, "discriminator": {}, "adversarial": {}, "losses": {"l1": L1}, "trainer": {"precision": 32}}
    assert message in problems(parts | settings)


def test_nearest():
    assert nearest("generater", ["generator", "masks"]) == "; did you mean generator?"
    assert nearest("xyz", ["generator"]) == ""


def test_conf_dir_is_this_checkouts():
    assert (conf_dir() / "train.yaml").is_file()


def stored(config, network):
    state = {"state_dict": {f"ema.network.{name}": value for name, value in network.state_dict().items()}}
    checkpoint.stamp(state, config, 1)
    return state


def test_a_generator_comes_back_from_its_checkpoint():
    from inpaint.networks.generators.residual_unet import ResidualUNet

    torch.manual_seed(0)
    network = ResidualUNet(width=4)
    for parameter in network.parameters():
        parameter.data.add_(torch.randn(parameter.shape) * 0.1)
    loaded = load_generator(stored({"generator": {"_target_": UNET, "width": 4}}, network))
    image, mask = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    assert torch.equal(loaded(image, mask).output, network.eval()(image, mask).output)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_a_config_inside_a_checkpoint_is_checked_like_any_other():
    with pytest.raises(ConfigError, match=r"os\.system is not a generator"):
        load_generator(stored({"generator": {"_target_": "os.system", "command": "true"}}, nn.Linear(1, 1)))
    assert json.loads(stored({"a": 1}, nn.Linear(1, 1))["inpaint"]["config"]) == {"a": 1}


def test_positional_arguments_are_refused():
    found = problems({"generator": {"_target_": UNET, "_args_": [3]}})
    assert found == [f"generator._args_: name the arguments of {UNET}"]
