"""Nothing in a file is executed, whatever it is given to; addresses of the web are refused."""

import ast
import pickle
import re
from pathlib import Path

import pytest
import torch

import inpaint
from inpaint import evaluate, predict
from inpaint.files import checkpoint
from tests.checkpoints import latest_valid
from tests.reliability.runs import command, train


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "executed"
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(Malicious(marker)))
    torch.save({"inpaint": {"kind": checkpoint.KIND}, "state_dict": Malicious(marker)}, tmp_path / "zip.ckpt")
    torch.save(Malicious(marker), tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    return marker


USES = {
    "resume": (train, ["resume={}", "baselines=[]"]),
    "init_from": (train, ["init_from={}", "baselines=[]", "data.crop=32"]),
    "evaluate": (evaluate.main, ["checkpoint={}"]),
    "predict": (predict.main, ["checkpoint={}", "images=images", "holes=images/a.png", "output=out"]),
}


@pytest.mark.parametrize("use", USES)
def test_nothing_is_executed(marker, capfd, use):
    from PIL import Image

    Path("images").mkdir()
    Image.linear_gradient("L").resize((8, 8)).point(lambda level: 255 * (level > 128)).save("images/a.png")
    main, arguments = USES[use]
    for file in ("plain.ckpt", "zip.ckpt", "old.ckpt"):
        given = [argument.format(file) for argument in arguments]
        assert command(main, *given, f"hydra.run.dir=run/{file}") == 2
        error = capfd.readouterr().err
        assert f"checkpoint: {file} is not a checkpoint (" in error and len(error.strip().splitlines()) == 1
    assert not marker.exists()
    torch.load("zip.ckpt", weights_only=False)  # it does work
    assert marker.exists()


def test_nothing_is_executed_in_a_run_folder(marker):
    Path("checkpoints").mkdir()
    Path("zip.ckpt").rename("checkpoints/update_00000001.ckpt")
    assert latest_valid(".") is None
    assert not marker.exists()


@pytest.mark.parametrize("address", ["https://host/model.ckpt", "s3://bucket/run"])
def test_addresses_are_refused(address, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert command(train, f"resume={address}") == 2
    assert f"checkpoint: {address} is no file; download it" in capfd.readouterr().err
    with pytest.raises(checkpoint.CheckpointError, match="download it"):
        checkpoint.load(address)


def test_no_code_could():
    for path in Path(inpaint.__file__).parent.rglob("*.py"):
        text = path.read_text()
        unsafe = r"weights_only=False|load_from_checkpoint|(import|from) (pickle|dill)\b|hub\.load\("
        assert not re.search(unsafe, text), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "torch.load",
                "trainer.fit",
                "parts.trainer.fit",
            ):
                settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert settings.get("weights_only") == "True", f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                assert "allow_pickle" not in {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"
