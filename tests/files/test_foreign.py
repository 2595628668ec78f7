"""Files of weights in every format, and files that are made to harm who reads them."""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import nn

from inpaint.files import foreign
from inpaint.files.foreign import read_weights
from inpaint.files.untrusted import Unreadable

generator = torch.Generator().manual_seed(0)
WEIGHTS = {
    "first.weight": torch.randn(4, 3, 2, 2, generator=generator),
    "first.bias": torch.randn(4, generator=generator).half(),
    "norm.count": torch.tensor(7),
    "turned": torch.randn(5, 3, generator=generator).t(),
    "part": torch.randn(9, generator=generator)[2:6],
    "empty": torch.zeros(0, 3),
}


class Theirs:
    """A class of somebody's code, with what it keeps."""

    def __init__(self):
        self.settings = {"lr": 1e-3}


def module_of(weights):
    """A module whose tensors have these dotted names."""
    root = nn.Identity()
    for name, value in weights.items():
        *path, last = name.split(".")
        node = root
        for part in path:
            if not hasattr(node, part):
                node.add_module(part, nn.Identity())
            node = getattr(node, part)
        node.register_buffer(last, value)
    return root


def write(path, weights, how):
    """A file in one of the formats; what is not read stands around the tensors."""
    around = {"epoch": 3, "hyper_parameters": OmegaConf.create({"a": [1, 2]}), "of": Theirs(), "set": {1}, "b": b"x"}
    around |= {"state_dict": OrderedDict(weights), "optimizers": [{"state": {0: {"moment": torch.ones(3)}}}]}
    if how == "safetensors":
        save_file({name: value.contiguous() for name, value in weights.items()}, path)
    elif how == "torchscript":
        torch.jit.save(torch.jit.script(module_of(weights)), path)
    else:
        torch.save(around, path, _use_new_zipfile_serialization=how == "torch")
    return path


@pytest.mark.parametrize("how", ["torch", "before 2020", "torchscript", "safetensors"])
def test_tensors_are_read_by_their_names(tmp_path, how):
    found = read_weights(write(tmp_path / "weights", WEIGHTS, how))
    prefix = "state_dict." if how in ("torch", "before 2020") else ""
    assert set(found) == {prefix + name for name in WEIGHTS}
    for name, value in WEIGHTS.items():
        weight = found[prefix + name]
        assert weight.shape == tuple(value.shape)
        assert torch.equal(weight.read(), value) and weight.read().dtype == value.dtype


def test_a_parameter_is_its_tensor_and_shared_memory_is_read_for_each(tmp_path):
    shared = torch.arange(12.0)
    torch.save({"a": nn.Parameter(shared[:6].view(2, 3)), "b": shared[3:]}, tmp_path / "w")
    found = read_weights(tmp_path / "w")
    assert torch.equal(found["a"].read(), shared[:6].view(2, 3)) and torch.equal(found["b"].read(), shared[3:])
    assert found["b"].read().untyped_storage().nbytes() == 9 * 4, "memory of its own"


# ---- files from anyone -----------------------------------------------------------------------------------------------


class Calls:
    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_called(tmp_path, zipped):
    trap = tmp_path / "trap"
    content = {"a": torch.ones(2), "x": Calls(os.mkdir, str(trap)), "y": Calls(eval, f"open({str(trap)!r}, 'w')")}
    torch.save(content, tmp_path / "w", _use_new_zipfile_serialization=zipped)
    found = read_weights(tmp_path / "w")
    assert list(found) == ["a"] and found["a"].read().tolist() == [1, 1]
    assert not trap.exists()


def archived(path, pickled, **members):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", pickled)
        for name, content in members.items():
            archive.writestr(f"w/data/{name.removeprefix('n')}", content)
    return path


def tensor(shape, strides, count=4, offset=0, kind="FloatStorage"):
    """The pickle of a table with one tensor, as torch writes it."""
    file = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value if isinstance(value, tuple) and value[:1] == ("storage",) else None

    storage = ("storage", getattr(torch, kind), "0", "cpu", count)
    Pickler(file, 2).dump({"a": Calls(torch._utils._rebuild_tensor_v2, storage, offset, shape, strides, False, {})})
    return file.getvalue()


NUMBERS = struct.pack("<4f", 1, 2, 3, 4)


def test_a_tensor_has_no_more_values_than_the_file(tmp_path):
    assert read_weights(archived(tmp_path / "w", tensor((2, 2), (2, 1)), n0=NUMBERS))["a"].read().tolist() == [
        [1, 2],
        [3, 4],
    ]
    for shape, strides, settings in [
        ((1 << 40,), (0,), {}),
        ((2, 2), (3, 1), {}),
        ((4,), (1,), {"offset": 1}),
        ((4,), (-1,), {"offset": 3}),
        ((5,), (1,), {"count": 5}),
        ((1 << 40,), (1,), {"count": 1 << 40}),
        ((4, 1), (1,), {}),
        (("4",), (1,), {}),
        ((1,) * 9, (1,) * 9, {}),
    ]:
        with pytest.raises(Unreadable):
            read_weights(archived(tmp_path / "w", tensor(shape, strides, **settings), n0=NUMBERS))


def laughs():
    """A table of tables that stands for a billion names in a few lines."""
    node = {"a": 1}
    for _ in range(30):
        node = {"l": node, "r": node}
    return pickle.dumps(node, 2)


def deep():
    node = {"a": 1}
    for _ in range(200):
        node = {"a": node}
    return pickle.dumps(node, 2)


def copies():
    """One list of pairs, of which a thousand tables are made."""
    pairs = b"](" + b"](X\x01\x00\x00\x00aX\x01\x00\x00\x00be" * 2000 + b"e"
    table = b"ccollections\nOrderedDict\n"
    again = b"(" + (table + b"h\x00\x85R") * 1000 + b"l"
    return b"\x80\x02" + pairs + b"q\x000" + again + b"."


HOSTILE = {
    "one list copied again and again": copies(),
    "too deep": deep(),
    "no end": b"\x80\x02}",
    "an empty stack": b"\x80\x02.",
    "nothing before it": b"\x80\x02h\x05.",
    "another pickle's extension": b"\x80\x02\x82\x01.",
    "a long text": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "a long number": b"\x80\x02I" + b"9" * 100_000 + b"\n.",
    "names that grow": b"\x80\x04\x8c\x01ax" + b"\x94h\x00h\x00\x93" * 100 + b".",
}


def test_a_table_is_looked_at_once(tmp_path):
    assert read_weights(archived(tmp_path / "w", laughs())) == {}
    around: dict = {"a": torch.ones(1)}
    around["itself"] = around
    torch.save(around, tmp_path / "w")
    assert list(read_weights(tmp_path / "w")) == ["a"]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_pickle_that_is_made_to_harm_is_refused(tmp_path, what):
    with pytest.raises(Unreadable):
        read_weights(archived(tmp_path / "w", HOSTILE[what]))


def test_damaged_files_are_refused(tmp_path, monkeypatch):
    for how in ("torch", "before 2020", "torchscript", "safetensors"):
        whole = write(tmp_path / "whole", WEIGHTS, how).read_bytes()
        for length in (0, 5, 40, len(whole) // 2, len(whole) - 30):
            (tmp_path / "cut").write_bytes(whole[:length])
            with pytest.raises(Unreadable):
                for weight in read_weights(tmp_path / "cut").values():
                    weight.read()
    for content in (
        b"",
        b"no weights at all",
        b"\x89PNG\r\n\x1a\n" * 10,
        bytes(1000),
        b'\xff\xff\xff\xff\xff\xff\xff\x7f{"a":1}',
    ):
        (tmp_path / "w").write_bytes(content)
        with pytest.raises(Unreadable):
            read_weights(tmp_path / "w")
    with zipfile.ZipFile(tmp_path / "w", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", tensor((4,), (1,)))
        archive.writestr("w/data/0", bytes(1 << 20))
    with pytest.raises(Unreadable, match="packed"):
        read_weights(tmp_path / "w")
    monkeypatch.setattr(foreign, "PICKLE", 10)
    with pytest.raises(Unreadable, match="bytes"):
        read_weights(archived(tmp_path / "w", tensor((4,), (1,)), n0=NUMBERS))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="no regular file"):
        read_weights(tmp_path / "pipe")
