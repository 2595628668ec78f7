"""inpaint-stylise: the file that it writes, what it is marked as, stops, and what is refused before it begins."""

import signal

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint.cli.command import call
from inpaint.degradations.tone import luma
from inpaint.settings import Refused
from inpaint.stylise import command, methods
from tests.conftest import smooth_picture

SMALL = ["method.backbone=vgg16", "method.weights=random", "method.style_layers=[relu1_1,relu2_1]", "device=cpu"]
SMALL += ["method.content_layers=[relu2_1]", "steps=2", "size=48"]
SOURCE = b"digitalsourcetype/compositeSynthetic"


@pytest.fixture
def painted(tmp_path):
    """The file that the settings make, of two small pictures."""
    content = Image.fromarray(smooth_picture(1, 60, 72))
    content.save(tmp_path / "content.png")
    Image.fromarray(smooth_picture(2, 40, 50)).save(tmp_path / "style.jpg")

    def paint(output, *settings):
        given = {key: value for key, _, value in (setting.partition("=") for setting in settings)}
        files = {"content": "content.png", "style": "style.jpg"} | {k: v for k, v in given.items() if k == "content"}
        words = [f"{key}={tmp_path / file}" for key, file in files.items()]
        rest = [setting for setting in settings if not setting.startswith("content=")]
        call("stylise", command.run, [*words, f"output={tmp_path / output}", *SMALL, *rest])
        return tmp_path / output

    return paint


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_a_result_says_that_it_is_made(painted, suffix, capsys):
    file = painted(f"out.{suffix}", *(["method=patches"] if suffix == "jpg" else []))
    with Image.open(file) as written:
        assert written.size == (48, 40) and written.mode == "RGB"
        packet = written.tag_v2[700] if suffix == "tif" else written.info["xmp"]
    assert SOURCE in (packet.encode() if isinstance(packet, str) else packet)
    printed = capsys.readouterr().out
    assert "vgg16 with random weights" in printed and "48 x 40 pixels, marked as made" in printed
    painted(f"out.{suffix}")  # its own result is replaced


def test_16_bits_and_transparency_stay(painted, tmp_path):
    import cv2

    deep = np.dstack([smooth_picture(1, 60, 72).astype(np.uint16) * 257, np.full((60, 72), 40_000, np.uint16)])
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    file = painted("out.png", "content=deep.png")
    written = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint16 and written.shape == (40, 48, 4) and (written[..., 3] == 40_000).all()
    assert SOURCE in file.read_bytes() and (written[..., :3] % 257 != 0).any()
    with pytest.raises(Refused, match=r"output: .*deep\.png has 16 bits a channel, which \.jpg cannot hold"):
        painted("out.jpg", "content=deep.png")


def test_colours_are_kept_where_that_is_asked_for(painted, tmp_path):
    content = np.asarray(Image.open(tmp_path / "content.png").resize((48, 40), Image.Resampling.BOX)).astype(float)
    free, kept = (pixels(painted(f"{k}.png", f"keep_colours={k}", "steps=6")) for k in ("false", "true"))
    before, after, other = (
        x - luma(torch.tensor(x, dtype=torch.double).permute(2, 0, 1)[None])[0, 0].numpy()[..., None]
        for x in (content, kept.astype(float), free.astype(float))
    )
    inside = ((kept > 0) & (kept < 255)).all(axis=2)  # elsewhere a channel is cut
    assert abs(after - before)[inside].mean() < 2.5 < abs(other - before)[inside].mean()
    assert abs(kept - content).mean() > 3


def test_ctrl_c_keeps_what_there_is(painted, monkeypatch, capsys):
    calls, real = [], methods.Gram.energy

    def impatient(*arguments):
        energy = real(*arguments)

        def counted(now):
            calls.append(1)
            if len(calls) == 3:
                signal.raise_signal(signal.SIGINT)
            return energy(now)

        return counted

    monkeypatch.setattr(methods.Gram, "energy", impatient)
    file = painted("out.png", "steps=500")
    assert len(calls) < 10 and file.is_file()
    assert "stopped early" in capsys.readouterr().out


def test_what_is_refused(painted, tmp_path):
    (tmp_path / "mine.png").write_bytes((tmp_path / "content.png").read_bytes())
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "link.png").symlink_to(tmp_path / "content.png")
    for output, settings, says in (
        ("out.gif", [], r"output: out\.gif should end in one of"),
        ("out.bmp", [], r"output: out\.bmp should end in one of"),
        ("content.png", [], r"content\.png is content and would be overwritten"),
        ("link.png", [], r"link\.png is content and would be overwritten"),
        ("mine.png", [], r"mine\.png is there already, and inpaint-stylise did not write it"),
        ("out.png", ["content=nowhere.png"], r"nowhere\.png: cannot be opened"),
        ("out.png", ["content=text.png"], r"text\.png: not a readable picture"),
        ("out.png", ["steps=0"], "steps: 0 is no whole number"),
        ("out.png", ["size=5000"], "size: 5000 is more than 4096"),
        ("out.png", ["strength=-1"], "strength: give a number from 0 up"),
        ("out.png", ["keep_colours=maybe"], "keep_colours: give true or false; got maybe"),
        ("mine.png/out.png", [], r"output: nothing can be written into .*mine\.png"),
        ("out.png", ["start=style"], "start: give one of content, noise"),
        ("out.png", ["method.weights=nowhere.pth"], "method.weights: there is no file"),
        ("out.png", ["size=32"], "content: 32 x 27 pixels at this scale; 32 a side are the least"),
    ):
        with pytest.raises(Refused, match=says):
            painted(output, *settings)
    assert not (tmp_path / "out.png").exists()


def test_weights_that_are_nowhere_are_said_in_a_line(painted, monkeypatch, tmp_path):
    def offline(*arguments, **settings):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Refused, match=r"method\.weights: put torchvision's vgg16-397923af\.pth into .* or give a file"):
        painted("out.png", "method.weights=null")


def test_a_link_is_replaced_and_what_it_leads_to_stays(painted, tmp_path):
    painted("first.png")
    before = (tmp_path / "first.png").read_bytes()
    (tmp_path / "link.png").symlink_to(tmp_path / "first.png")
    painted("link.png", "steps=1")
    assert (tmp_path / "first.png").read_bytes() == before and not (tmp_path / "link.png").is_symlink()
