"""A config names classes of the listed packages, and nothing else by any path or alias.

Every name is one that Python can resolve; the check refuses it before Hydra builds anything.
"""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from inpaint.config import check
from inpaint.config.sent import load_generator
from inpaint.files import checkpoint
from inpaint.settings import ConfigError
from tests.reliability.commands import finish, start

OUTSIDE = [
    *("os.system", "posix.system", "subprocess.Popen", "builtins.exec", "builtins.eval", "importlib.import_module"),
    *("functools.partial", "pickle.loads", "torch.load", "torch.hub.load", "torch.jit.load", "shutil.rmtree"),
    *("hydra.utils.instantiate", "hydra.utils.get_method", "omegaconf.OmegaConf.load", "yaml.unsafe_load"),
    *("inpaintx.y", "inpaint", "torch.nn", "", ".", "..os.system", "os. system", "OS.system", "inpaint/../os.system"),
]
THROUGH_ALLOWED = [
    "inpaint.config.os.system",
    "inpaint.config.Path.touch",
    "inpaint.config.hydra.utils.instantiate",
    "inpaint.training.callbacks.subprocess.run",
    "inpaint.training.callbacks.subprocess.Popen",
    "inpaint.training.gan.torch.load",
    "inpaint.train.sys.exit",
    "torch.nn.modules.module.torch.load",
    "torch.nn.modules.module.functools.partial",
    "torch.nn.modules.module.warnings.warn",
    "torch.optim.optimizer.functools.partial",
    "torchmetrics.metric.inspect.sys.exit",
    "kornia.core.external.importlib.import_module",
]
FUNCTIONS_OF_ALLOWED = [  # each would run, load or fetch something by its arguments
    "inpaint.config.untrained.build_baseline",
    "inpaint.config.untrained.build_fill",
    "inpaint.cli.command.command",
    "inpaint.train.main",
    "inpaint.files.checkpoint.load",
    "torch.nn.init.zeros_",
    "torch.nn.Module.load_state_dict",
    "lightning.pytorch.callbacks.Callback.load_state_dict",
    "lightning.pytorch.loggers.WandbLogger.download_artifact",
]
UNLISTED_PARTS = [
    "lightning.pytorch.LightningModule.load_from_checkpoint",
    "lightning.pytorch.cli.LightningCLI",
    "lightning.fabric.utilities.cloud_io._load",
    "lightning.pytorch.core.saving.load_hparams_from_yaml",
]


@pytest.mark.parametrize("target", OUTSIDE + THROUGH_ALLOWED + FUNCTIONS_OF_ALLOWED + UNLISTED_PARTS)
def test_refused(target):
    for config in (
        {"losses": {"x": {"_target_": target}}},
        {"callbacks": [{"_target_": target, "_partial_": True}]},
        {"data": {"_target_": "inpaint.data.datamodule.PhotosData", "augmentation": {"_target_": target}}},
        {"name": target, "data": {"_target_": "${name}"}},
    ):
        with pytest.raises(ConfigError, match=r"_target_: "):
            check(OmegaConf.create(config))


COMPUTED = [  # OmegaConf's own resolvers make nodes of texts, and an escaped text is one that Hydra resolves again
    "${oc.create:{_target_: tempfile.mkdtemp}}",
    "${oc.decode:'{_target_: tempfile.mkdtemp}'}",
    "${oc.create:{a: {_target_: tempfile.mkdtemp}}}",
    "${oc.create:[{_target_: tempfile.mkdtemp}]}",
    r"\${oc.create:{_target_: tempfile.mkdtemp}}",
    r"${oc.create:{a: '\${oc.create:{_target_: tempfile.mkdtemp}}'}}",
]


@pytest.mark.parametrize("text", COMPUTED)
def test_refused_where_it_is_computed(text):
    for config in (
        {"losses": text},
        {"losses": {"x": text}},
        {"generator": {"_target_": "inpaint.networks.generators.residual_unet.ResidualUNet", "width": text}},
        {"losses": ["${other}"], "other": text},
    ):
        with pytest.raises(ConfigError, match=r"tempfile\.mkdtemp"):
            check(OmegaConf.create(config))
    check(OmegaConf.create({"a": {"b": [1, "x"]}, "same": "${a}", "made": "${oc.create:{a: 1}}", "key": "$NAME"}))


def test_nothing_is_imported_or_called(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w').close()\ndef f(**k): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError):
        check(OmegaConf.create({"generator": {"_target_": "trap.f"}}))
    assert not (tmp_path / "sprung").exists()


def test_in_a_checkpoint_that_someone_sent(tmp_path):
    unet = "inpaint.networks.generators.residual_unet.ResidualUNet"
    trap = f"_target_: tempfile.mkdtemp, dir: {tmp_path}, prefix: sprung"
    for node in (
        {"_target_": "os.system", "command": f"touch {tmp_path}/sprung"},
        {"_target_": "inpaint.config.os.system", "command": f"touch {tmp_path}/sprung"},
        {"_target_": "inpaint.config.untrained.build_baseline", "name": "../../x"},
        {"_target_": unet, "width": f"${{oc.create:{{{trap}}}}}"},
    ):
        state = {"state_dict": {"ema.network.x": torch.zeros(1)}}
        checkpoint.stamp(state, {"generator": node, "name": "x"}, 1)
        torch.save(state, tmp_path / "sent.ckpt")
        with pytest.raises(ConfigError, match=r"generator\..*(_target_|refers)"):
            load_generator(checkpoint.load(tmp_path / "sent.ckpt"))
    assert [path.name for path in tmp_path.iterdir()] == ["sent.ckpt"]


def test_on_the_command_line_before_anything_runs(tmp_path):
    """By our list for the parts of a run; by Hydra's own for its callbacks, which it builds before we are asked."""
    marker = Path(tmp_path / "sprung")
    typed = {
        "ours": [f"+losses.x={{_target_: os.system, command: 'touch {marker}'}}"],
        "hydras": [f"+hydra.callbacks.x={{_target_: os.system, command: 'touch {marker}'}}"],
    }
    started = {case: start("train", *arguments, cwd=tmp_path) for case, arguments in typed.items()}
    for case, process in started.items():
        code, _, errors = finish(process)
        assert code != 0 and "os.system" in errors, case
        assert case == "hydras" or errors.startswith("inpaint-train: losses.x._target_: os.system is not a loss")
    assert not marker.exists()
