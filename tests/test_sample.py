"""inpaint-sample: the files, what a seed and a limit do, ways from one to another, and who has nothing to sample."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import rng, sample
from inpaint.batch import compose
from inpaint.cli.command import call
from inpaint.files import checkpoint
from inpaint.networks.generators.dcgan import DCGAN
from inpaint.networks.generators.mat import MAT
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.settings import Refused

SETTINGS = {"width": 4, "levels": 2, "latent": 8}
SMALL_MAT = {"width": 16, "heads": 2, "depths": [1, 2, 1], "windows": [4, 4, 4], "halvings": 1, "base": 16, "most": 32}
SMALL_MAT |= {"latent": 8, "mapping": 2}


def saved(folder, kind, **settings):
    """A checkpoint of a fresh generator."""
    rng.seed_all(0)
    target = f"{kind.__module__}.{kind.__qualname__}"
    config = {"name": "small", "generator": {"_target_": target, **settings}, "data": {"crop": 16}}
    folder.mkdir()
    checkpoint.save_generator(folder / "generator.ckpt", kind(**settings).eval(), config, 1)
    return folder / "generator.ckpt"


@pytest.fixture
def made(tmp_path):
    """Samples, by the settings of the command; the folder."""
    model = saved(tmp_path / "run", DCGAN, **SETTINGS)

    def make(name, *settings):
        call("sample", sample.run, [f"checkpoint={model}", f"output={tmp_path / name}", "device=cpu", *settings])
        return tmp_path / name

    return make


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_a_sheet_and_files(made, capsys):
    folder = made("out", "n=7", "interpolations=2", "steps=5")
    files = sorted((folder / "samples").iterdir())
    assert [file.name for file in files] == [f"{number:05d}.png" for number in range(7)]
    pictures = [pixels(file) for file in files]
    assert all(picture.shape == (16, 16, 3) for picture in pictures) and (pictures[0] != pictures[1]).any()
    sheet, times = pixels(folder / "sheet.png"), 6  # 16 px become 96, in 3 rows of 3
    assert sheet.shape == (3 * 96, 3 * 96, 3) and (sheet[192:, 96:] == 255).all()
    assert np.array_equal(sheet[96:192:times, 96:192:times], pictures[4])
    ways = pixels(folder / "interpolations.png")
    assert ways.shape == (2 * 96, 5 * 96, 3)
    ends = [ways[top : top + 96 : times, left : left + 96 : times] for top in (0, 96) for left in (0, 4 * 96)]
    assert max(abs(end - picture).max() for end, picture in zip(ends, pictures, strict=False)) <= 1
    assert "7 samples of 16 x 16 pixels" in capsys.readouterr().out


def test_a_sample_follows_from_seed_and_number_alone(made):
    some, others, again = made("a", "n=5"), made("b", "n=9", "batch_size=2"), made("c", "n=5", "seed=1")
    for number in range(5):
        name = f"samples/{number:05d}.png"
        assert abs(pixels(some / name) - pixels(others / name)).max() <= 1
        assert (pixels(some / name) != pixels(again / name)).any()
    made("b", "n=2", "interpolations=0")
    assert len([*(others / "samples").iterdir()]) == 2 and not (others / "interpolations.png").exists()


def test_a_limit_cuts_the_normal_distribution():
    free, cut = (sample.latents(200, 50, 0, limit) for limit in (None, 1.0))
    assert free.abs().max() > 3 and cut.abs().max() <= 1 and free.std().item() == pytest.approx(1, abs=0.03)
    assert (free.argsort(dim=1) == cut.argsort(dim=1)).all(), "the same order of the same numbers"
    inside = math.erf(1 / math.sqrt(2))  # variance of the cut normal: 1 - 2 phi(1) / that
    variance = 1 - 2 * math.exp(-0.5) / math.sqrt(2 * math.pi) / inside
    assert cut.var().item() == pytest.approx(variance, rel=0.03)


def test_ways_lie_on_the_sphere():
    noise = torch.tensor([[3.0, 0.0], [0.0, 3.0], [1.0, 1.0], [1.0, 1.0], [5.0, 5.0]])
    first, same = sample.interpolated(noise, 2, 3)
    assert torch.allclose(first, torch.tensor([[3.0, 0.0], [3 / 2**0.5, 3 / 2**0.5], [0.0, 3.0]]), atol=1e-5)
    assert torch.allclose(same, torch.ones(3, 2), atol=1e-5)


def test_generators_of_holes_that_paint_from_noise_are_sampled_too(tmp_path):
    model = saved(tmp_path / "mat", MAT, **SMALL_MAT)
    settings = [f"checkpoint={model}", f"output={tmp_path / 'out'}", "n=2", "device=cpu"]
    call("sample", sample.run, settings)
    first, second = (pixels(tmp_path / "out" / "samples" / f"0000{number}.png") for number in range(2))
    assert (first != second).any()
    with pytest.raises(Refused, match="truncation: this generator normalises its noise"):
        call("sample", sample.run, [*settings, "truncation=1"])


def test_classes_and_texts(tmp_path, monkeypatch):
    """All classes in turn, or one; the same noise is another picture of another class, and a text another again."""
    monkeypatch.setattr(torch.nn.init, "zeros_", torch.nn.init.normal_)  # it listens from the start
    model = saved(tmp_path / "told", DCGAN, **SETTINGS, condition={"label": 3, "words": 16})

    def make(name, *settings):
        arguments = [f"checkpoint={model}", f"output={tmp_path / name}", "device=cpu", "n=4", *settings]
        call("sample", sample.run, arguments)
        return [pixels(tmp_path / name / "samples" / f"{number:05d}.png") for number in range(4)]

    turns, twos, worded = make("turns", "interpolations=0"), make("twos", "label=2"), make("worded", "caption=red")
    same = [abs(own - two).max() <= 1 for own, two in zip(turns, twos, strict=True)]
    assert same == [False, False, True, False] and (turns[0] != worded[0]).any()
    with pytest.raises(Refused, match="label: there is no class 3; give 0 to 2"):
        make("three", "label=3")
    plain = saved(tmp_path / "plain", DCGAN, **SETTINGS)
    for setting in ("label=0", "caption=red"):
        with pytest.raises(
            Refused, match=f"{setting.split('=')[0]}: DCGAN was told no {setting.split('=')[0]} in training"
        ):
            call("sample", sample.run, [f"checkpoint={plain}", f"output={tmp_path / 'out'}", setting])


def test_what_is_refused(tmp_path, made):
    model = saved(tmp_path / "unet", ResidualUNet, width=4, levels=1)
    with pytest.raises(Refused, match="checkpoint: ResidualUNet paints from no noise, so there is nothing to sample"):
        call("sample", sample.run, [f"checkpoint={model}", f"output={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()
    for setting, says in {"n=0": "n: 0 is no", "truncation=-1": "truncation: give", "size=9999": "size: 9999"}.items():
        with pytest.raises(Refused, match=says):
            made("other", setting)
    (tmp_path / "mine" / "samples").mkdir(parents=True)
    (tmp_path / "mine" / "samples" / "00001.png").touch()
    with pytest.raises(Refused, match="no sampling wrote it"):
        made("mine")


def test_what_no_sampling_wrote_is_never_replaced(made):
    """Files of our names in folders of our names: of a data set, of another program, or of the user's."""
    folder = made("out", "n=4", "interpolations=1")
    picture = Image.new("RGB", (16, 16))
    for name in (
        "samples/000001.jpg",
        "samples/2024/00001.png",
        "samples/00003.png",
        "sheet.png",
        "interpolations.png",
    ):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        before = file.read_bytes() if file.exists() else None
        picture.save(file)
        mine = file.read_bytes()
        with pytest.raises(Refused, match=f"output: .*{name.split('/')[1 if '2024' in name else -1]}.* no sampling"):
            made("out", "n=4")
        assert file.read_bytes() == mine
        if before is not None:
            file.write_bytes(before)
        else:
            file.unlink()
            if "2024" in name:
                file.parent.rmdir()
    made("out", "n=4")
    bare = folder.parent / "bare"
    bare.mkdir()
    picture.save(bare / "sheet.png")
    with pytest.raises(Refused, match=r"sheet\.png is there already"):
        made("bare")
    assert [file.name for file in bare.iterdir()] == ["sheet.png"]


def test_a_sheet_has_bounds(made, monkeypatch):
    monkeypatch.setattr(sample, "PAGE", 48)
    folder = made("out", "n=25", "interpolations=2", "steps=6")
    sheet, first = pixels(folder / "sheet.png"), Image.open(folder / "samples" / "00000.png")
    assert sheet.shape == (45, 45, 3) and pixels(folder / "interpolations.png").shape == (16, 48, 3)
    assert np.array_equal(sheet[:9, :9], np.asarray(first.resize((9, 9), Image.Resampling.LANCZOS)))
    with pytest.raises(Refused, match="interpolations: 257 are more than 256"):
        made("other", "interpolations=257")


def test_ways_end_in_samples_whatever_other_noise_a_network_draws(made, monkeypatch):
    plain = DCGAN.forward

    def noisy(self, image, mask, latent=None):
        output = plain(self, image, mask, latent).output / 2 + rng.normal_for(image, 1)[:, :, None, None].tanh() / 2
        return compose(output, image, mask)

    monkeypatch.setattr(DCGAN, "forward", noisy)
    folder = made("out", "n=2", "steps=3")
    ways = pixels(folder / "interpolations.png")
    for number, left in ((0, 0), (1, 2 * 96)):
        end = ways[:96:6, left : left + 96 : 6]
        assert abs(end - pixels(folder / "samples" / f"0000{number}.png")).max() <= 1
