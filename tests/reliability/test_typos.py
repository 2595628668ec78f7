"""A misspelt key, group, option, loss, metric or target: one line with the nearest name, exit code 2.

That every option and recipe composes, checks and builds is tests/test_conf.py; more typos, each as a command,
are in tests/test_commands.py. Here all commands are typed at, and a config with many errors shows all of them.
"""

import pytest
from omegaconf import OmegaConf

from inpaint.config import check
from inpaint.settings import ConfigError
from tests.reliability.commands import finish, start

TYPED = {
    "train": [
        ("generator.widht=8", "generator.widht: no such setting; did you mean generator.width?"),
        ("callbacks.colapse.every=3", "did you mean callbacks.collapse"),
        ("module.non_finit=skip", "did you mean module.non_finite?"),
        ("callbacks.checkpoint.monitor=hole_psn", "got 'hole_psn'; did you mean hole_psnr?"),
        (
            "experiment=aot_gan",
            "experiment: nothing is chosen there that could be replaced; +experiment=OPTION adds one",
        ),
    ],
    "evaluate": [("chekpoint=x", "chekpoint: no such setting; did you mean checkpoint?")],
    "predict": [("imges=x", "imges: no such setting; did you mean images?")],
    "preview": [("maks=boxes", "maks: no such setting; did you mean masks?")],
}


@pytest.mark.parametrize("command", TYPED)
def test_one_line_and_exit_code_2(command, tmp_path):
    started = [start(command, typed, cwd=tmp_path) for typed, _ in TYPED[command]]
    for process, (typed, message) in zip(started, TYPED[command], strict=True):
        code, printed, errors = finish(process)
        assert code == 2 and message in errors, (typed, errors)
        assert len(errors.strip().splitlines()) == 1 and "Traceback" not in printed + errors
        assert errors.startswith(f"inpaint-{command}: ")


def test_all_errors_of_a_file_at_once():
    """Hydra accepts any key that is written in a yaml; the walk over `_target_` does not."""
    config = {
        "losses": {"l1": {"_target_": "inpaint.losses.reconstruction.L1", "wieght": 2, "reigon": "hole"}},
        "generator_optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "beta": [0.5, 0.9]},
        "discriminator": {"_target_": "inpaint.networks.discriminators.Pach"},
        "callbacks": {"collapse": {"_target_": "inpaint.training.watch.CollapseWatch", "evry": 3}},
    }
    with pytest.raises(ConfigError) as caught:
        check(OmegaConf.create(config))
    assert str(caught.value).splitlines() == [
        "losses.l1.reigon: inpaint.losses.reconstruction.L1 takes no such argument; did you mean region?",
        "losses.l1.wieght: inpaint.losses.reconstruction.L1 takes no such argument; did you mean weight?",
        "generator_optimizer.beta: torch.optim.Adam takes no such argument; did you mean betas?",
        "discriminator._target_: there is no inpaint.networks.discriminators.Pach; did you mean Patch?",
        "callbacks.collapse.evry: inpaint.training.watch.CollapseWatch takes no such argument; did you mean every?",
    ]
