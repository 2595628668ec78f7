"""Checkpoints that are larger than they look, or not what they look like: refused before anything is allocated.

Archives that are packed, that are two at once, or whose pickle copies and refers to itself; configs of networks that
their weights are not of. What is wrong in a plainer way is in test_malformed_checkpoints.py.
"""

import functools
import pickle
import re
import zipfile
from collections import Counter

import pytest
import torch
from torch import nn

from inpaint.files import checkpoint
from inpaint.networks.generators.residual_unet import ResidualUNet
from tests.security.archives import two_in_one
from tests.security.test_malformed_checkpoints import NAME, NODE, config, genuine, told


def packed(path, method):
    """The same file with its members compressed, as zip tools write it and torch reads it."""
    with zipfile.ZipFile(path) as given:
        members = {info.filename: given.read(info) for info in given.infolist()}
    with zipfile.ZipFile(path, "w", method) as written:
        for name, content in members.items():
            written.writestr(name, content)


def test_a_packed_file_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    content = genuine()
    content["state_dict"]["ema.network.more"] = torch.zeros(1 << 20)
    torch.save(content, tmp_path / "x.ckpt")
    packed(tmp_path / "x.ckpt", zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(torch, "load", lambda *args, **settings: pytest.fail("it was read"))
    assert "is packed" in told(tmp_path / "x.ckpt")


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """A directory in which a hundred members are the same place of the file."""
    torch.save(genuine(), tmp_path / "x.ckpt")
    with zipfile.ZipFile(tmp_path / "x.ckpt", "a") as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
        for number in range(100):
            again = zipfile.ZipInfo(f"archive/data/{1000 + number}")
            again.file_size = again.compress_size = largest.file_size
            again.header_offset, again.CRC = largest.header_offset, largest.CRC
            archive.filelist.append(again)
        archive._didModify = True
    assert "larger than the file" in told(tmp_path / "x.ckpt")


LARGE = {
    "width": (NODE | {"width": 1_000_000_000}, "more than 65536"),
    "channels": (NODE | {"width": 60_000}, "larger network"),
    "layers": (NODE | {"blocks": 60_000}, "larger network"),
    "layers without values": (NODE | {"blocks": 60_000, "width": 1}, "larger network"),
    "a list of layers": (
        {"_target_": "inpaint.networks.generators.mat.MAT", "width": 6, "depths": [60_000], "windows": [8]},
        "larger network",
    ),
    "layers, and an argument of no kind": (NODE | {"width": 60_000, "norm": "x"}, "norm|larger network"),
    "another width": (NODE | {"width": 5}, "not those of the ResidualUNet"),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_config_of_a_larger_network_is_refused_before_that_is_built(kind, tmp_path, monkeypatch):
    """A billion channels take forty bytes of text; no tensor gets values before its shape is known to be the file's."""
    node, message = LARGE[kind]
    content = genuine()
    config(generator=node)(content)
    torch.save(content, tmp_path / "x.ckpt")
    register, largest = nn.Module.register_parameter, []

    def watched(module, name, value):
        if value is not None and value.device.type != "meta":
            largest.append(value.numel())
        register(module, name, value)

    monkeypatch.setattr(nn.Module, "register_parameter", watched)
    assert re.search(message, told(tmp_path / "x.ckpt")) and not largest


def test_a_network_that_can_only_be_built_with_values_is_compared_all_the_same(tmp_path, monkeypatch):
    """As that of a part whose constructor reads a weight."""
    build = ResidualUNet.__init__

    @functools.wraps(build)
    def reads(self, *args, **settings):
        build(self, *args, **settings)
        next(self.parameters()).flatten()[0].item()

    monkeypatch.setattr(ResidualUNet, "__init__", reads)
    torch.save(genuine(), tmp_path / "x.ckpt")
    assert told(tmp_path / "x.ckpt") is None
    content = genuine()
    content["state_dict"].pop(NAME)
    torch.save(content, tmp_path / "x.ckpt")
    assert "not those of the ResidualUNet" in told(tmp_path / "x.ckpt")


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {member.filename: archive.read(member) for member in archive.infolist()}


def stored(path, *pairs):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in pairs:
            archive.writestr(name, content)


def test_names_without_regard_to_their_case(tmp_path):
    """torch finds its data.pkl by any case, and one of two."""
    torch.save(genuine() | {"more": Allocates(bytearray, 1 << 10)}, tmp_path / "evil.ckpt")
    torch.save(genuine(), tmp_path / "x.ckpt")
    evil, good = members(tmp_path / "evil.ckpt"), members(tmp_path / "x.ckpt")
    stored(tmp_path / "evil.ckpt", *((name.replace("data.pkl", "DATA.PKL"), text) for name, text in evil.items()))
    assert "no state dict needs" in told(tmp_path / "evil.ckpt")
    stored(tmp_path / "x.ckpt", *good.items(), ("x/Data.PKL", good["x/data.pkl"]))
    assert "two of its parts have one name" in told(tmp_path / "x.ckpt")


def test_a_file_that_is_two_archives(tmp_path):
    """Python reads one of them, torch the other."""
    for name, content in {"good": genuine(), "evil": genuine() | {"more": Allocates(bytearray, 1 << 10)}}.items():
        torch.save(content, tmp_path / name)
    good, evil = ((tmp_path / name).read_bytes() for name in ("good", "evil"))
    (tmp_path / "x.ckpt").write_bytes(two_in_one(good, evil))
    with zipfile.ZipFile(tmp_path / "x.ckpt") as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"good"}
    assert "its directory is none of torch's" in told(tmp_path / "x.ckpt")


def test_a_file_with_something_before_its_archive(tmp_path):
    torch.save(genuine(), tmp_path / "x.ckpt")
    with zipfile.ZipFile(tmp_path / "x.ckpt") as archive:
        contents = {member.filename: archive.read(member) for member in archive.infolist()}
    (tmp_path / "x.ckpt").write_bytes(b"\0\0\0\0PTMF")
    with zipfile.ZipFile(tmp_path / "x.ckpt", "a") as archive:  # whose directory counts from the file's beginning
        for name, content in contents.items():
            archive.writestr(name, content)
    assert "its directory is none of torch's" in told(tmp_path / "x.ckpt")


def copies(*, calls):
    """A list of a thousand, and a call that copies it, again and again."""
    thousand = b"](" + b"K\x01" * 1000 + b"eq\x00"
    return b"\x80\x02" + thousand + b"cbuiltins\nset\nq\x01" + b"h\x01h\x00\x85R" * calls + b"."


DOUBLED = b"\x80\x02]q\x00" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(40)) + b"."
PICKLES = {
    "copies": (copies(calls=10_000), "over and over"),
    "lists that double 40 times": (DOUBLED, "stands for far more"),
    "a list that holds itself": (b"\x80\x02]q\x00h\x00a.", "refers to itself"),
    "a later protocol": (pickle.dumps([1], protocol=4), "none of torch's"),
    "a list that grows after it was put into what is copied": (
        b"\x80\x02]q\x00\x85q\x02cbuiltins\nset\nq\x01h\x00(" + b"K\x01" * 1000 + b"e" + b"h\x01h\x02R" * 10_000 + b".",
        "over and over",
    ),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_that_makes_much_of_little(kind, tmp_path, monkeypatch):
    pickled, message = PICKLES[kind]
    torch.save(genuine(), tmp_path / "x.ckpt")
    stored(tmp_path / "x.ckpt", *(members(tmp_path / "x.ckpt") | {"x/data.pkl": pickled}).items())
    monkeypatch.setattr(torch, "load", lambda *args, **settings: pytest.fail("it was read"))
    assert message in told(tmp_path / "x.ckpt")


def test_what_python_can_pickle_of_plain_data_is_still_read(tmp_path):
    """As the state of a callback of one's own."""
    content = genuine() | {
        "callbacks": {"mine": {"set": {1, 2}, "bytes": b"abc", "shape": torch.Size([2, 3]), "count": Counter("aab")}}
    }
    content["callbacks"]["again"] = content["callbacks"]["mine"]
    torch.save(content, tmp_path / "x.ckpt")
    assert checkpoint.load(tmp_path / "x.ckpt")["callbacks"] == content["callbacks"]


class Allocates:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [bytearray, torch.Tensor])
def test_what_the_restricted_unpickler_would_still_call_is_refused(function, tmp_path):
    """`torch.load(weights_only=True)` allows both, with any size."""
    content = genuine() | {"more": Allocates(function, 1 << 10)}
    torch.save(content, tmp_path / "x.ckpt")
    assert "no state dict needs" in told(tmp_path / "x.ckpt")


def test_the_older_format_is_none(tmp_path):
    """It says how much to allocate before the values come."""
    torch.save(genuine(), tmp_path / "x.ckpt", _use_new_zipfile_serialization=False)
    assert "is not a checkpoint (" in told(tmp_path / "x.ckpt")
    (tmp_path / "x.ckpt").write_bytes(pickle.dumps(genuine()["inpaint"]))
    assert "is not a checkpoint (" in told(tmp_path / "x.ckpt")
