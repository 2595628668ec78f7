"""A checkpoint of any shape ends in one line and exit code 2, or does what it should: never in a traceback.

Real: files as `torch.save` writes them, and the commands' own reading, in this process. Named kinds are faults that
were there; the seeded ones put a hostile value at any place of a genuine checkpoint.
"""

import json
import math
import random

import pytest
import torch
from hydra.errors import InstantiationException
from PIL import Image

from inpaint import predict
from inpaint.cli.command import _for_the_user
from inpaint.cli.explain import explain, shortened
from inpaint.config.sent import load_generator
from inpaint.files import checkpoint
from inpaint.networks.generators.residual_unet import ResidualUNet

NODE = {"_target_": "inpaint.networks.generators.residual_unet.ResidualUNet", "width": 4}
NETWORK = ResidualUNet(width=4)
NAME = "ema.network." + next(iter(NETWORK.state_dict()))


def genuine():
    state = {f"ema.network.{name}": value.clone() for name, value in NETWORK.state_dict().items()}
    content = {"state_dict": state}
    checkpoint.stamp(content, {"name": "unet", "generator": dict(NODE), "data": {}, "masks": {}}, 3, 1.5)
    return content


def told(path):
    """What the user reads of a file that cannot be used; None where it can."""
    try:
        load_generator(checkpoint.load(path))
        return None
    except Exception as error:
        message = _for_the_user(error)
        if message is None and isinstance(error, InstantiationException):
            message = explain("predict", error)
        if message is None:
            raise
    assert message.strip() and message.isprintable() and len(shortened(message)) == 1, message
    return message


def said(**fields):
    def change(content):
        content["inpaint"] |= fields

    return change


def without(*fields):
    def change(content):
        for field in fields:
            content["inpaint"].pop(field, None)
            content.pop(field, None)

    return change


def config(**fields):
    def change(content):
        whole = json.loads(content["inpaint"]["config"]) | fields
        content["inpaint"]["config"] = json.dumps(whole)

    return change


def weights(value):
    return lambda content: content["state_dict"].update({NAME: value})


KINDS = {
    "no mark": without("inpaint"),
    "a mark that is a text": lambda content: content.update(inpaint="inpaint checkpoint"),
    "no kind": without("kind"),
    "no config": without("config"),
    "config is no text": said(config=["{}"]),
    "config is a list": said(config="[]"),
    "config is deep": said(config="[" * 100_000),
    "config is deep and whole": said(config='{"a":' * 500 + "1" + "}" * 500),
    "config has half a character": said(config='{"generator": {"_target_": "\\ud800"}}'),
    "config has a huge number": said(config='{"generator": {"_target_": "x", "width": 1' + "0" * 5000 + "}}"),
    "config without generator": said(config='{"name": "x"}'),
    "generator is a text": config(generator="unet"),
    "generator is a list": config(generator=[NODE]),
    "generator without a class": config(generator={"width": 4}),
    "generator of another kind": config(generator=NODE | {"_target_": "inpaint.losses.reconstruction.L1"}),
    "class is a number": config(generator=NODE | {"_target_": 7}),
    "class is an escape sequence": config(generator=NODE | {"_target_": "\x1b]0;title\x07"}),
    "argument is a text": config(generator=NODE | {"width": "wide"}),
    "argument is negative": config(generator=NODE | {"width": -4}),
    "argument of another width": config(generator=NODE | {"width": 8}),
    "argument that is none": config(generator=NODE | {"\x1b[2J\n": 1}),
    "update is a text": said(update="3"),
    "update is negative": said(update=-1),
    "update is true": said(update=True),
    "format is a text": said(format="1"),
    "format is infinite": said(format=math.inf),
    "version is a list": said(version=[1], format=2),
    "seconds is a text": said(seconds="long"),
    "seconds is NaN": said(seconds=math.nan),
    "seconds is a number of 600 digits": said(seconds=10**600),
    "no weights": without("state_dict"),
    "weights are a list": lambda content: content.update(state_dict=[1]),
    "no moving average": lambda content: content.update(state_dict={"generator.x": torch.zeros(1)}),
    "a name is a number": lambda content: content["state_dict"].update({7: torch.zeros(1)}),
    "a weight is a text": weights("x"),
    "a weight of another shape": weights(torch.zeros(2, 2)),
    "a weight of another type": weights(torch.zeros(NETWORK.state_dict()[NAME[12:]].shape, dtype=torch.complex64)),
    "a weight on no device": weights(torch.zeros(3, device="meta")),
    "a weight that is sparse": weights(torch.zeros(3, 3).to_sparse()),
    "a weight that claims a billion values": weights(torch.zeros(1).expand(1 << 30)),
    "a weight too many": lambda content: content["state_dict"].update({"ema.network.\x1b[31mx": torch.zeros(1)}),
    "a weight too few": lambda content: content["state_dict"].pop(NAME),
    "lists in lists": lambda content: content.update(more=deep(200)),
}


def deep(levels):
    node = []
    for _ in range(levels):
        node = [node]
    return node


@pytest.mark.parametrize("kind", KINDS)
def test_one_line(kind, tmp_path):
    content = genuine()
    KINDS[kind](content)
    torch.save(content, tmp_path / "x.ckpt")
    message = told(tmp_path / "x.ckpt")
    assert message is not None, "it was taken"


def test_a_genuine_one_is_taken(tmp_path):
    torch.save(genuine(), tmp_path / "x.ckpt")
    assert told(tmp_path / "x.ckpt") is None


HOSTILE = [None, True, -1, 1 << 70, 1e308, math.nan, "", "x" * 1000, "\x1b]52;c;AAAA\x07\n\r", "${oc.env:HOME}", "???"]
HOSTILE += [[], {}, [[[]]], {"_target_": "os.system"}, {"a": {"b": [None]}}, torch.zeros(0), torch.tensor(math.nan)]


def places(node):
    """Every container of a nested structure with each of its keys."""
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places(node[key])


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_any_value_at_any_place(first, tmp_path):
    for seed in range(first, first + 50):
        generator = random.Random(seed)
        content = genuine()
        inner = json.loads(content["inpaint"]["config"])
        container, key = generator.choice([*places(inner)] if seed % 2 else [*places(content)])
        value = generator.choice([each for each in HOSTILE if not (seed % 2 and isinstance(each, torch.Tensor))])
        container[key] = value
        if seed % 2:
            content["inpaint"]["config"] = json.dumps(inner)
        torch.save(content, tmp_path / "x.ckpt")
        try:
            told(tmp_path / "x.ckpt")
        except Exception as error:
            raise AssertionError(f"seed {seed}: {value!r} at {key!r}") from error


@pytest.mark.parametrize("seed", range(60))
def test_any_byte_changed(seed, tmp_path):
    """Without a sha256 beside it; the zip's own checksums find some of them."""
    torch.save(genuine(), tmp_path / "x.ckpt")
    content = bytearray((tmp_path / "x.ckpt").read_bytes())
    generator = random.Random(seed)
    for _ in range(generator.choice([1, 10, 1000])):
        content[generator.randrange(len(content))] = generator.randrange(256)
    cut = generator.choice([len(content), generator.randrange(len(content))])
    (tmp_path / "x.ckpt").write_bytes(content[:cut])
    told(tmp_path / "x.ckpt")


def test_the_command_says_so_in_a_line(command):
    """Exit code 2, and nothing that a terminal would do."""
    content = genuine()
    config(generator=NODE | {"_target_": "\x1b]0;title\x07"})(content)
    torch.save(content, "x.ckpt")
    Image.linear_gradient("L").resize((8, 8)).point(lambda level: 255 * (level > 128)).save("mask.png")
    arguments = ["checkpoint=x.ckpt", "images=mask.png", "holes=mask.png", "output=out"]
    error = command(predict, *arguments, code=2)
    assert "\\x1b]0;title\\x07" in error and "\x1b" not in error and len(error.splitlines()) == 1
