"""TorchScript is code: what would act is refused before it is loaded, and no config names what is run.

Real: files as `torch.jit.save` writes them; the module's attributes and comments may hold any text.
"""

import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from inpaint.config.sent import load_generator
from inpaint.exchange import formats
from inpaint.metrics.foreign import ACTS
from inpaint.metrics.recognition import Recogniser
from inpaint.settings import Refused
from tests.config.test_config import stored
from tests.security.archives import two_in_one


class Means(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


class Prints(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("\x1b]0;title\x07")
        return x.mean(dim=(2, 3))


def scripted(path, network=None, **replaced):
    """A TorchScript file, in whose code words are replaced by others."""
    torch.jit.save(torch.jit.script(network or Means()), str(path))
    with zipfile.ZipFile(path) as given:
        members = [(info.filename, given.read(info)) for info in given.infolist()]
    with zipfile.ZipFile(path, "w") as written:
        for name, content in members:
            if name.endswith(".py"):
                for word, other in replaced.items():
                    assert word.encode() in content
                    content = content.replace(word.encode(), other.encode())
            written.writestr(name, content)
    return path


ACTIONS = {
    "writes a file": 'torch.save(x, "written"); _0 = torch.mean',
    "maps a file, and makes it": 'torch.from_file("written", True, 4); _0 = torch.mean',
    "with spaces": 'torch . save (x, "written"); _0 = torch.mean',
    "in pieces": 'getattr(torch, "sa" + "ve")(x, "written"); _0 = torch.mean',
    "asks another machine": 'rpc_sync("there", "f"); _0 = torch.mean',
    "a library of operators": "ops.image.read_file; _0 = torch.mean",
    "prints otherwise": 'ops.prim.Print("text"); _0 = torch.mean',
    "and otherwise": 'torch._print("text"); _0 = torch.mean',
    "in a thread": "fork(f); _0 = torch.mean",
    "loads": 'ops.debugprims.load_tensor("written"); _0 = torch.mean',
}


@pytest.mark.parametrize("action", ACTIONS)
def test_acts_are_refused_before_anything_runs(action, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.jit, "load", lambda *args, **settings: pytest.fail("it was loaded"))
    with pytest.raises(Refused, match=r"^recogniser: .*x\.pt says .* in .*\.py, which no network needs; use ONNX"):
        Recogniser(scripted(tmp_path / "x.pt", **{"torch.mean": ACTIONS[action]}))
    assert not Path("written").exists()


def test_a_file_does_not_talk_to_the_terminal(tmp_path, capfd):
    with pytest.raises(Refused, match="says 'print'"):
        Recogniser(scripted(tmp_path / "x.pt", Prints()))
    assert capfd.readouterr().out == ""


def test_a_hidden_member_is_looked_at_too(tmp_path):
    """torch finds members whatever the case of their names."""
    path = scripted(tmp_path / "x.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x/CODE/__TORCH__/More.PY", "torch.save(x, 'written')")
    with pytest.raises(Refused, match="says 'save'"):
        Recogniser(path)


def test_a_file_that_is_two_archives(tmp_path, monkeypatch):
    """Python reads one, torch the other, whose code would act."""
    (tmp_path / "good").mkdir()
    torch.jit.save(torch.jit.script(Means()), str(tmp_path / "good" / "x.pt"))
    torch.jit.save(torch.jit.script(Prints()), str(tmp_path / "evil.pt"))
    file = two_in_one((tmp_path / "good" / "x.pt").read_bytes(), (tmp_path / "evil.pt").read_bytes())
    (tmp_path / "x.pt").write_bytes(file)
    assert "print" in torch.jit.load(tmp_path / "x.pt").code
    monkeypatch.setattr(torch.jit, "load", lambda *args, **settings: pytest.fail("it was loaded"))
    with pytest.raises(Refused, match="its directory is none of torch's"):
        Recogniser(tmp_path / "x.pt")
    with pytest.raises(Refused, match="its directory is none of torch's"):
        formats.read(tmp_path / "x.pt", "torchscript")


class Warns(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        warnings.warn("\x1b]0;title\x07", stacklevel=2)
        return x.mean(dim=(2, 3))


def test_what_it_warns_of_is_not_shown(tmp_path, capfd, recwarn):
    torch.jit.save(torch.jit.script(Warns()), str(tmp_path / "x.pt"))
    Recogniser(tmp_path / "x.pt", 8)(torch.zeros(1, 3, 8, 8))
    assert (
        not [warning for warning in recwarn if "title" in str(warning.message)]
        and "title" not in capfd.readouterr().err
    )


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.called = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.called:
            raise RuntimeError("\x1b]0;title\x07")
        self.called = True
        return x.mean(dim=(2, 3))


def test_one_that_fails_later_is_refused_in_a_line(tmp_path):
    torch.jit.save(torch.jit.script(Fails()), str(tmp_path / "x.pt"))
    recogniser = Recogniser(tmp_path / "x.pt", 8)
    with pytest.raises(Refused, match=r"^recogniser: .*x.pt cannot judge a picture of 8 x 8 pixels \(.*title") as told:
        recogniser(torch.zeros(1, 3, 8, 8))
    assert str(told.value).isprintable()


# ---- that paint ------------------------------------------------------------------------------------------------------


class Painter(nn.Module):
    """What keeps the contract of `exchange`, but for one thing."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.kind == "fails":
            raise RuntimeError("\x1b]0;title\x07")
        if self.kind == "is smaller":
            return image[:, :, :8]
        if self.kind == "has one channel":
            return mask
        if self.kind == "has no numbers":
            return image > 0
        if self.kind == "writes into what it is given":
            mask.zero_()
            image.fill_(0.25)
        if self.kind == "changes the size of what it is given":
            image.resize_(1, 3, 2, 2)
        return image


def painter(path, kind):
    torch.jit.save(torch.jit.script(Painter(kind)), str(path))
    return formats.read(path, "torchscript")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("fails", "cannot paint a picture of 12 x 16 pixels"),
        ("is smaller", r"makes torch.float32 \(1, 3, 8, 12\) of a picture of 12 x 16 pixels; what is needed is"),
        ("has one channel", r"makes torch.float32 \(1, 1, 16, 12\)"),
        ("has no numbers", r"makes torch.bool \(1, 3, 16, 12\)"),
        ("changes the size of what it is given", r"cannot paint|makes torch.float32 \(1, 3, 2, 2\)"),
    ],
)
def test_a_graph_that_makes_no_picture_is_refused_in_a_line(kind, message, tmp_path):
    graph = painter(tmp_path / "x.pt", kind)
    with pytest.raises(Refused, match=rf"^checkpoint: x.pt {message}") as told:
        graph(torch.zeros(2, 3, 16, 12), torch.ones(2, 1, 16, 12))
    assert str(told.value).isprintable()


def test_a_graph_changes_neither_mask_nor_picture(tmp_path):
    """Other methods are measured under the same ones."""
    graph = painter(tmp_path / "x.pt", "writes into what it is given")
    image, mask = torch.full((2, 3, 16, 12), -1.0), torch.zeros(2, 1, 16, 12)
    mask[:, :, 4:8] = 1
    before = image.clone(), mask.clone()
    composite = graph(image, mask).composite
    assert torch.equal(image, before[0]) and torch.equal(mask, before[1])
    assert torch.equal(composite, torch.where(mask > 0, -0.5, -1.0).expand_as(image))


def test_code_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path):
    path = scripted(tmp_path / "x.pt")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/extra/much", bytes(65 << 20))
    with pytest.raises(Refused, match="holds more than 64 MB that are no weights"):
        Recogniser(path)


def test_a_genuine_one_works_and_the_prompt_says_what_it_is(tmp_path, caplog):
    assert Recogniser(scripted(tmp_path / "x.pt"), mean=(0, 0.2, 0.1))(torch.zeros(1, 3, 8, 8)).tolist() == [0]
    assert (
        "x.pt is TorchScript, a program that runs here with your rights; take one from people you trust" in caplog.text
    )


def test_operators_that_take_a_files_name_are_known():
    """Should torch get another one, this fails."""
    schemas = torch._C._jit_get_all_schemas()
    takes = {s.name for s in schemas if any("filename" in a.name or a.name == "url" for a in s.arguments)}
    assert takes and all(ACTS.search(name.partition("::")[2].encode()) for name in takes), takes


@pytest.mark.parametrize("kind", ["inpaint.metrics.foreign.Foreign", "inpaint.metrics.recognition.Recogniser"])
def test_a_checkpoint_names_no_file_that_is_run(kind, tmp_path, monkeypatch):
    """Such a file is given by the command line alone."""
    monkeypatch.setattr(torch.jit, "load", lambda *args, **settings: pytest.fail("it was loaded"))
    node = {"_target_": kind, "file": str(scripted(tmp_path / "x.pt"))}
    node |= {"key": "generator"} if kind.endswith("Foreign") else {}
    with pytest.raises(Refused, match="is not a generator"):
        load_generator(stored({"generator": node}, nn.Linear(1, 1)))


def test_onnx_reads_nothing_outside_its_folder(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(24))
    (tmp_path / "in" / "link.bin").symlink_to(tmp_path / "secret.bin")
    (tmp_path / "in" / "beside.bin").write_bytes(bytes(24))
    helper, kinds = onnx.helper, onnx.TensorProto

    def model(location):
        weight = kinds(name="w", data_type=kinds.FLOAT, dims=[3], data_location=kinds.EXTERNAL)
        for key, value in (("location", location), ("offset", "0"), ("length", "12")):
            weight.external_data.add(key=key, value=value)
        graph = helper.make_graph(
            [
                helper.make_node("GlobalAveragePool", ["x"], ["p"]),
                helper.make_node("Flatten", ["p"], ["f"]),
                helper.make_node("Add", ["f", "w"], ["y"]),
            ],
            "g",
            [helper.make_tensor_value_info("x", kinds.FLOAT, ["N", 3, 8, 8])],
            [helper.make_tensor_value_info("y", kinds.FLOAT, ["N", 3])],
            [weight],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (tmp_path / "in" / "x.onnx").write_bytes(made.SerializeToString())
        return tmp_path / "in" / "x.onnx"

    assert Recogniser(model("beside.bin"), 8)(torch.zeros(1, 3, 8, 8)).shape == (1,)
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin"):
        with pytest.raises(Refused, match="is not ONNX"):
            Recogniser(model(location), 8)
