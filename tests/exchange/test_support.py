"""The table of generators and formats in the room's page: complete, and what it says is what an export does."""

import re
from pathlib import Path

import pytest
import torch

from inpaint.exchange import formats
from tests.options import TINY, option, options, trainable

PAGE = (Path(formats.__file__).parent / "README.md").read_text()
COLUMNS = ("safetensors", "torch_export", "onnx", "torchscript")
# Those that restore whole pictures, and a scale of each: what their options say of it, or one that they take.
RESTORING = {"vdsr": 4, "srresnet": 4, "edsr": 3, "rrdb": 2, "srvgg": 2, "basicvsr_small": 2}
RESTORING |= dict.fromkeys(("dncnn", "ffdnet", "nafnet", "deblurgan"), 1)
QUICK = [(name, "torchscript") for name in ("pix2pixhd_global", "big_lama", "context_encoder_centre", "rrdb")]


def table():
    """By generator and format, whether the page says that there is one."""
    part = PAGE.split("### Which generator has which")[1].split("\n\n")[1]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines())
    assert [name.lower().replace(".", "_") for name in head[1:]] == [*COLUMNS]
    found = {}
    for names, *cells in rows:
        assert {*cells} <= {"yes", "no"}
        for name in re.findall(r"`(\w+)`", names):
            found |= {(name, column): cell == "yes" for column, cell in zip(COLUMNS, cells, strict=True)}
    return found


TABLE = table()


def test_every_generator_that_is_trained_is_in_the_table():
    assert {name for name, _ in TABLE} == {name for name in options("generator") if trainable(name)}
    assert all(TABLE[name, "safetensors"] for name, _ in TABLE)


def check(name, kinds, folder):
    """Small, at the depth of its yaml; formats together, as two are made of one program."""
    torch.manual_seed(0)
    scale = RESTORING.get(name)
    generator = option("generator", name, **TINY, **({"scale": scale} if scale else {})).eval().requires_grad_(False)
    for kind in kinds:
        if TABLE[name, kind]:
            assert formats.write(kind, generator, folder, scale).difference <= formats.TOLERANCE, kind
        else:
            with pytest.raises((formats.CannotHold, formats.Differs)):
                formats.write(kind, generator, folder, scale)


@pytest.mark.parametrize(("name", "kind"), QUICK)
def test_some_of_the_table(name, kind, tmp_path):
    check(name, [kind], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for name, _ in TABLE}))
def test_all_of_the_table(name, tmp_path):
    kinds = COLUMNS[1:]
    if name.startswith("mat"):  # minutes until torch gives it up, once for each
        kinds = ["torchscript"] if name != "mat_small" else ["torchscript", "torch_export"]
    check(name, kinds, tmp_path)
