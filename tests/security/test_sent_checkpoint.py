"""A checkpoint that someone sent acts in no command: nothing it names is looked up, called or opened unasked.

Each attack is a file as `inpaint-train` writes it, but for one group of its config.
"""

import http.server
import sqlite3
import threading

import pytest
import torch
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from torch import nn

from inpaint import evaluate, preview, train
from inpaint.config.sent import load_generator, recorded
from inpaint.files import checkpoint
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.settings import ConfigError
from tests.reliability.commands import SMALL

TOKEN = "a-token-of-this-machine"
UNET = {"_target_": "inpaint.networks.generators.residual_unet.ResidualUNet", "width": 4}
PHOTOS = {"_target_": "inpaint.data.datamodule.PhotosData", "crop": 32, "validation_crops": 1}
BOXES = {"_target_": "inpaint.masks.Boxes"}


@pytest.fixture
def asked():
    """What a server on this machine was asked for, and its address."""
    paths = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield paths, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """Writes a checkpoint with other groups than a genuine one."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    def write(**groups):
        network = ResidualUNet(width=4)
        state = {"state_dict": {f"ema.network.{name}": value for name, value in network.state_dict().items()}}
        config = {"name": "sent", "seed": 0, "generator": UNET, "data": PHOTOS, "masks": BOXES, **groups}
        checkpoint.stamp(state, config, 1)
        torch.save(state, tmp_path / "sent.ckpt")
        return tmp_path / "sent.ckpt"

    return write


def shards(address):
    return {
        "_target_": "inpaint.data.datamodule.ShardsData",
        "train": f"{address}/leak.tar?tok=${{oc.env:HF_TOKEN}}",
        "validation": f"{address}/other.tar",
    }


def refused(write, message, **groups):
    with pytest.raises(ConfigError, match=message):
        load_generator(checkpoint.load(write(**groups)))


def test_a_generator_that_reads_an_address(sent, asked):
    paths, address = asked
    reader = {"_target_": "inpaint.data.tar.Reader", "name": "x", "wanted": ["a"], "images": ["b"]}
    for text in (f"{address}/leak?tok=${{oc.env:HF_TOKEN}}", f"{address}/leak"):
        refused(sent, "^generator", generator=reader | {"address": text})
    assert not paths


def test_data_of_an_address(sent, asked, command):
    paths, address = asked
    genuine = shards(address) | {"train": f"{address}/leak.tar"}
    for data, message in ((shards(address), "refers to something of this machine"), (genuine, "is an address")):
        for words in ([], ["trust_paths=true"]):
            said = command(evaluate, f"checkpoint={sent(data=data)}", "baselines=[]", *words, code=2)
            assert message in said and len(said.splitlines()) == 1 and TOKEN not in said
    assert not paths


def test_a_generator_that_alters_a_database(sent, tmp_path):
    with sqlite3.connect(tmp_path / "mine.sqlite") as database:
        database.execute("create table kept (x)")
    before = (tmp_path / "mine.sqlite").read_bytes()
    refused(
        sent,
        "not a generator",
        generator={"_target_": "inpaint.study.votes.Votes", "study": "x", "path": str(tmp_path / "mine.sqlite")},
    )
    assert (tmp_path / "mine.sqlite").read_bytes() == before


def test_a_generator_that_loads_code(sent, tmp_path):
    class Network(nn.Module):
        def forward(self, x):
            return x

    torch.jit.script(Network()).save(str(tmp_path / "beside.pt"))
    foreign = {"_target_": "inpaint.metrics.foreign.Foreign", "file": str(tmp_path / "beside.pt"), "key": "x"}
    refused(sent, "not a generator", generator=foreign)
    refused(sent, "not a layer", generator=UNET | {"width": foreign})


@pytest.mark.parametrize(
    "target",
    ["torch.hub.load_state_dict_from_url", "torch.load", "nn.Sequential", "np.fromfile", "torch.utils.data.DataLoader"],
)
def test_what_a_module_of_generators_imports_is_no_generator(target, sent, monkeypatch):
    """Through its names, everything in Python can be reached."""
    monkeypatch.setattr("hydra.utils.instantiate", lambda *args, **settings: pytest.fail("it was constructed"))
    for module in ("inpaint.fills", "inpaint.networks.generators.residual_unet"):
        refused(sent, "^generator.*(is not a generator|there is no)", generator={"_target_": f"{module}.{target}"})


def test_files_are_read_when_it_is_asked_for(sent, photo_folder, mask_folder, command):
    """The photographs of one's own run: one word, or the folder itself; the message says both."""
    folder = {**PHOTOS, "_target_": "inpaint.data.datamodule.FolderData", "root": str(photo_folder), "validation": 0.4}
    file = sent(data=folder)
    said = command(evaluate, f"checkpoint={file}", "baselines=[mean]", code=2)
    assert "trust_paths=true" in said and f"data.root={photo_folder}" in said and len(said.splitlines()) == 1
    few = ["baselines=[mean]", "metrics=[psnr]", "pictures=0"]
    for words in (["trust_paths=true"], [f"++data.root={photo_folder}"]):
        assert "written to" in command(evaluate, f"checkpoint={file}", *words, *few, "hydra.run.dir=out")
    masks = {"_target_": "inpaint.masks.Files", "root": str(mask_folder)}
    nested = {"_target_": "inpaint.masks.Mixture", "kinds": {"files": masks}}
    for group in (masks, nested):
        assert "trust_paths" in command(evaluate, f"checkpoint={sent(masks=group)}", "baselines=[]", code=2)


def test_nothing_is_written_where_a_checkpoint_says(sent, tmp_path, caplog):
    """Even where its paths are trusted, which is said of reading; numbers that are there already are read."""
    for name in ("counts", "cache_dir"):
        loaded = checkpoint.load(sent(data=shards("x") | {"train": "a.tar", name: str(tmp_path / "new")}))
        assert name not in recorded(loaded, "data", True) and f"data.{name}: the checkpoint's is not" in caplog.text
        assert name in recorded(loaded, "data", True, [f"data.{name}"])
    (tmp_path / "new").write_text('{"a.tar": 3}')
    loaded = checkpoint.load(sent(data=shards("x") | {"train": "a.tar", "counts": str(tmp_path / "new")}))
    assert recorded(loaded, "data", True)["counts"] == str(tmp_path / "new")


@pytest.mark.parametrize("words", [["baselines=[mean,telea]"], ["generator=telea", "baselines=[]"]])
def test_it_does_not_take_the_place_of_a_fill(words, sent, command):
    """In the table it would stand for what everybody knows."""
    said = command(evaluate, f"checkpoint={sent(name='telea')}", *words, code=2)
    assert "checkpoint: one is called telea, as a fill is; name it" in said and len(said.splitlines()) == 1


def test_nothing_is_built_for_an_automatic_setting_of_a_run_that_goes_on(sent, tmp_path, command):
    """A neighbour: what `auto` became is taken from the checkpoint, after the config was checked."""
    state = torch.load(sent(), weights_only=True)
    votes = {"_target_": "inpaint.study.votes.Votes", "study": "x", "path": str(tmp_path / "mine.sqlite")}
    for value in (votes, "${oc.env:HF_TOKEN}"):
        state["optimizer_states"] = []
        checkpoint.stamp(state, {"data": PHOTOS | {"crop": value}, "trainer": value}, 1)
        torch.save(state, tmp_path / "sent.ckpt")
        small = [word for word in SMALL if not word.startswith("data.crop=")]
        said = command(train, *small, "data.crop=auto", f"resume={tmp_path / 'sent.ckpt'}", code=2)
        assert "belongs to another run" in said and TOKEN not in said
        assert not (tmp_path / "mine.sqlite").exists()


def test_no_config_names_a_part(tmp_path, monkeypatch, command):
    """A neighbour: neither a checkpoint nor a yaml of someone else's makes a module a part."""
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = command(preview, "+hydra.job.env_set.INPAINT_PARTS=trap", code=2)
    assert "no config sets INPAINT_PARTS" in said
    said = command(preview, "masks._target_=trap.Mask", code=2)
    assert "trap.Mask is not a kind of mask" in said and not (tmp_path / "sprung").exists()


def test_files_that_a_generator_names(sent):
    generator = UNET | {"norm": "../secret"}
    refused(sent, r"trust_paths: .*generator\.norm=\.\./secret", generator=generator)
    with pytest.raises(InstantiationException, match="give one of none, batch"):
        load_generator(checkpoint.load(sent(generator=generator)), trust_paths=True)


def test_a_written_config_has_the_same_list():
    from inpaint.config import check

    for config in (
        {
            "data": {
                **shards("http://x"),
                "train": "x.tar",
                "validation": {"_target_": "inpaint.study.votes.Votes", "path": "x"},
            }
        },
        {"callbacks": {"x": {"_target_": "inpaint.study.votes.Votes", "path": "x"}}},
        {"generator": {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 3, "kernel_size": 3}},
        {"losses": {"x": {"_target_": "inpaint.networks.generators.residual_unet.ResidualUNet"}}},
        {"baselines": {"_target_": "inpaint.fills.Mean"}},
        {"losses": {"a.b": {"_target_": "torch.nn.ReLU"}}},
    ):
        with pytest.raises(ConfigError, match=r"_target_: "):
            check(OmegaConf.create(config))
