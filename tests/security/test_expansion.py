"""What is small on the disk and enormous once it is read: refused by what it says of itself, in a line.

Runs and their files are in test_broken_runs.py, checkpoints in test_malformed_checkpoints.py. Nothing here takes memory
or time when it is refused as it should be; where it is not, a test fails by the reader that must not be called.
"""

import gzip
import io
import json
import os
import tarfile

import pytest
from omegaconf import OmegaConf

from inpaint import predict
from inpaint.cli.command import bounded_yaml
from inpaint.config import check, references
from inpaint.config.sent import load_generator
from inpaint.data import tar
from inpaint.data.shards import Shards
from inpaint.masks.objects import Objects
from inpaint.pictures.reading import LARGEST_FILE, BadImage, open_image
from inpaint.settings import ConfigError, Refused
from tests.config.test_config import stored
from tests.data.test_shards import encoded, write
from tests.security.test_broken_runs import ALIASES, MERGES
from tests.security.test_malformed_checkpoints import NETWORK, NODE

DOUBLED = {
    "texts": lambda n: f"${{a{n - 1}}}${{a{n - 1}}}",
    "lists": lambda n: [f"${{a{n - 1}}}", f"${{a{n - 1}}}"],
    "mappings": lambda n: {"x": f"${{a{n - 1}}}", "y": f"${{a{n - 1}}}"},
    "by a resolver": lambda n: f"${{oc.select:a{n - 1}}}${{oc.select:a{n - 1}}}",
}


@pytest.mark.parametrize("kind", DOUBLED)
def test_references_that_double_34_times(kind, monkeypatch):
    cfg = OmegaConf.create({"a0": "x"} | {f"a{n}": DOUBLED[kind](n) for n in range(1, 35)})
    monkeypatch.setattr("inpaint.config._nodes", lambda *args: pytest.fail("they were filled in"))
    with pytest.raises(ConfigError, match=r"^a\d+: with its references filled in, it has more than 1000000 charac"):
        check(cfg)


def test_siblings_that_double(monkeypatch):
    group = {"a0": "x"} | {f"a{n}": f"${{.a{n - 1}}}${{..g.a{n - 1}}}" for n in range(1, 35)}
    with pytest.raises(ConfigError, match="with its references filled in"):
        references.measure(OmegaConf.create({"g": group}))


def test_a_checkpoints_references_are_not_filled_in_either(monkeypatch):
    doubled = {"a0": "x"} | {f"a{n}": f"${{generator.more.a{n - 1}}}" * 2 for n in range(1, 35)}
    with pytest.raises(Refused):
        load_generator(stored({"generator": NODE | {"more": doubled}}, NETWORK))


def test_references_as_people_write_them_stay():
    cfg = OmegaConf.create({"seed": 1, "data": {"seed": "${seed}", "all": "${oc.dict.keys:data}"}, "d": "${data}"})
    references.measure(cfg)
    assert cfg.d.seed == 1


@pytest.mark.parametrize("content", [ALIASES, MERGES, "a: &a [*a]\n", "a: " + "[" * 5000, "x" * (1 << 20) + "yz"])
def test_yaml_that_hydra_reads(content, tmp_path):
    (tmp_path / "x.yaml").write_text(content)
    with bounded_yaml():
        for given in (tmp_path / "x.yaml", (tmp_path / "x.yaml").open()):
            with pytest.raises(ConfigError, match=rf"{tmp_path}/x\.yaml: (its aliases|\*a refers|it is nested|it has)"):
                OmegaConf.load(given)
    (tmp_path / "x.yaml").write_text("usual: &usual {lr: 0.1}\nfirst: *usual\n")
    with bounded_yaml():
        assert OmegaConf.load(tmp_path / "x.yaml").first.lr == 0.1


def test_an_experiment_of_somebody_else(command, tmp_path):
    """The whole way: one line, exit code 2. `predict` composes no groups, so it is the quickest command."""
    (tmp_path / "cfg" / "experiment").mkdir(parents=True)
    (tmp_path / "cfg" / "experiment" / "sent.yaml").write_text("# @package _global_\n" + ALIASES)
    needed = ["images=x", "masks=x", "output=x"]
    for place in ("--config-dir=cfg", f"hydra.searchpath=[file://{tmp_path}/cfg]"):
        error = command(predict, place, "+experiment=sent", *needed, code=2)
        assert "sent.yaml: its aliases stand for more than" in error and len(error.splitlines()) == 1


MALFORMED = ["oc.create:{a: 1", "oc.create:{a:", 'oc.create:"{a: [1,2"', 'oc.decode:"[["', 'oc.create:"x: &a [*a]"']


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_expression_is_told_in_a_line(text, command):
    error = command(predict, f"+x='${{{text}}}'", "images=x", "masks=x", "output=x", code=2)
    assert len(error.splitlines()) == 1 and len(error) < 600


# ---- data -----------------------------------------------------------------------------------------------------------


def coco(path, segmentation, **note):
    note = {"id": 1, "image_id": 1, "segmentation": segmentation} | note
    path.write_text(json.dumps({"images": [{"id": 1, "height": 640, "width": 640}], "annotations": [note]}))
    return str(path)


OUTLINES = {
    "200 000 points across the picture": [[0, 0, 1200, 1200] * 100_000],
    "many outlines of many points": [[0, 0, 1200, 1200] * 200] * 1000,
    "run lengths without end": {"size": [640, 640], "counts": "o" * 1_000_000},
}


@pytest.mark.parametrize("kind", OUTLINES)
def test_outlines_are_measured_before_they_are_drawn(kind, tmp_path, monkeypatch):
    coco_masks = pytest.importorskip("pycocotools.mask")
    monkeypatch.setattr(coco_masks, "frPyObjects", lambda *args: pytest.fail("it was drawn"))
    with pytest.raises(Refused, match=r"annotation 1: no valid outline \((outlines of more than|a run length of more)"):
        Objects(coco(tmp_path / "x.json", OUTLINES[kind]))


def test_other_annotations_that_are_none(tmp_path):
    pytest.importorskip("pycocotools")
    with pytest.raises(Refused, match="there is no image"):
        Objects(coco(tmp_path / "x.json", [[0, 0, 9, 0, 9, 9]], image_id=[1]))
    for content in ("[" * 100_000, '{"images": [{"id": 1, "height": 1e400, "width": 1}], "annotations": []}'):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(Refused, match="is no COCO-format JSON"):
            Objects(str(tmp_path / "x.json"))
    os.truncate(tmp_path / "x.json", 3 << 30)
    with pytest.raises(Refused, match="bytes, more than"):
        Objects(str(tmp_path / "x.json"))


def shard(path, *entries):
    with gzip.open(path, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return str(path)


@pytest.mark.parametrize("seekable", [True, False])
def test_a_packed_shard_holds_no_more_than_it_may(seekable, tmp_path, monkeypatch):
    """A member that nobody asked for, which had to be unpacked to be passed over."""
    monkeypatch.setattr(tar, "ANY", 1 << 16)
    if not seekable:
        monkeypatch.setattr("fsspec.implementations.local.LocalFileOpener.seekable", lambda self: False)
        monkeypatch.setattr(tar, "UNKNOWN", 1 << 16)
    bomb = shard(tmp_path / "0.tar.gz", (tarfile.TarInfo("x.bin"), bytes(8 << 20)))
    assert (tmp_path / "0.tar.gz").stat().st_size < 20_000
    other = tmp_path / "1.tar"
    write(str(other), [("a.png", encoded(0))])
    with pytest.raises(Refused, match=r"0\.tar\.gz: the shard is packed and holds more than"):
        Shards(bomb, str(other))


def test_a_name_of_megabytes_is_not_read(tmp_path):
    long = tarfile.TarInfo("././@LongLink")
    long.type = tarfile.GNUTYPE_LONGNAME
    bomb = shard(tmp_path / "0.tar.gz", (long, bytes(2 << 20)))
    with pytest.raises(Refused, match=r"0: the shard .*a name of 2097152 bytes"):
        tar.Reader(bomb, "0", {"png"}, ["png"])


def test_packed_shards_of_pictures_are_read(tmp_path):
    for number in range(2):
        write(str(tmp_path / f"{number}.tar.gz"), [(f"{number}.png", encoded(number))], mode="w:gz")
    assert Shards(str(tmp_path / "0.tar.gz"), str(tmp_path / "1.tar.gz")).count("train") == 1


def test_a_picture_of_3_gb_is_not_opened(tmp_path):
    (tmp_path / "x.jpg").touch()
    os.truncate(tmp_path / "x.jpg", LARGEST_FILE + 1)
    with pytest.raises(BadImage, match="bytes, more than"):
        open_image(tmp_path / "x.jpg")
