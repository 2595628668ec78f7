"""Parts of one's own: found where they declare themselves, told in a line where they break their promise."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from PIL import Image

from inpaint import evaluate, parts, preview, probe, train
from inpaint.config import check, conf_dir, options
from inpaint.config.sent import load_generator
from inpaint.files import checkpoint
from inpaint.metrics.columns import COLUMNS
from inpaint.metrics.figure import known, one_a_picture
from inpaint.settings import ConfigError, Refused
from inpaint.training.contract import check_parts
from inpaint.training.gan import InpaintingGAN
from tests.reliability.commands import SMALL
from tests.test_conf import compose

EXAMPLE = Path(__file__).parents[1] / "experiments" / "008-own-parts"
LENT = ["trainer.max_steps=1", *(word for word in SMALL if not word.startswith(("trainer.max_steps", "generator")))]

# One of each kind that is right, and what is wrong with others; a part of a single file.
SOURCE = """
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from inpaint.batch import Outputs, Verdict, compose
from inpaint.data.datamodule import InpaintingData
from inpaint.data.sources import Photos
from inpaint.losses.adversarial import Adversarial
from inpaint.losses.term import Term
from inpaint.masks.kind import Masks
from inpaint.metrics.figure import Figure

class Painter(nn.Module):
    def __init__(self, wrong=None):
        super().__init__()
        self.wrong, self.layer = wrong, nn.Conv2d(4, 3, 1)
        if wrong == "coarse": self.returns = ("coarse",)
        if wrong == "made": raise KeyError("a weight")
        if wrong == "truth": self.needs = ("image", "latent", "truth")
    def forward(self, image, mask):
        output = self.layer(torch.cat([image, mask], 1)).tanh()
        if self.wrong == "tensor": return output
        if self.wrong == "bytes": return compose(255 * output.abs() + 100, image, mask)
        if self.wrong == "shape": return Outputs(output[..., 1:], image)
        if self.wrong == "nan": return compose(output / 0 - output / 0, image, mask)
        if self.wrong == "small": return compose(output[..., ::2, ::2], image, mask)
        if self.wrong == "cut": return compose(output.detach(), image, mask)
        if self.wrong == "known": return Outputs(output, output)
        return compose(output, image, mask)

class Judge(nn.Module):
    def __init__(self, wrong=None):
        super().__init__()
        self.wrong, self.layer = wrong, nn.Conv2d(3, 1, 4, 2)
    def forward(self, image, mask):
        logits = self.layer(image)
        if self.wrong == "tensor": return logits
        if self.wrong == "none": return Verdict(())
        if self.wrong == "features": return Verdict((logits,), (logits,))
        if self.wrong == "flat": return Verdict((logits,), ((logits.flatten(1),),))
        return Verdict((logits,))

class Game(Adversarial):
    def __init__(self, wrong=None):
        if wrong == "base": torch.nn.Module.__init__(self)
        else: super().__init__()
        self.wrong = wrong
    def judge(self, real, fake, mask): return fake - real if self.wrong == "map" else (fake - real).mean()
    def fool(self, real, fake, mask): return (real - fake).mean() if self.wrong == "real" else -fake.mean()

class Loss(Term):
    def __init__(self, weight=1.0, wrong=None):
        super().__init__(weight, ["output"])
        self.wrong = wrong
    def forward(self, outputs, batch):
        error = outputs.output.square()
        if self.wrong == "label": return error.mean() * batch["label"]
        scalar = error.mean()
        return {"each": error, "half": scalar.half(), "cut": scalar.detach(), None: scalar}[self.wrong]

class Hole(Masks):
    def __init__(self, wrong=None):
        if wrong != "base": super().__init__()
        self.wrong = wrong
    def make(self, keys, size):
        mask = torch.zeros(len(keys), 1, *size)
        mask[..., :4, :4] = 1
        if self.wrong == "half": return mask / 2
        if self.wrong == "bool": return mask.bool()
        if self.wrong == "random": return (torch.rand(mask.shape) > 0.5).float()
        return mask

class Data(InpaintingData):
    def __init__(self, masks, **settings): super().__init__(Photos(), masks, **settings)

class Watcher(Callback): pass
class Rows(CSVLogger): pass
class Step(torch.optim.SGD): pass
def rate(optimizer, wrong=None):
    return "a rate" if wrong else torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)

class Bare(Term):
    def __init__(self): nn.Module.__init__(self)
    def forward(self, outputs): return outputs.output.mean()

class Shift(Figure):
    def __init__(self, wrong=None):
        super().__init__()
        self.wrong = wrong
    def forward(self, painted, truth, mask):
        error = (painted - truth).mean((1, 2, 3))
        return error.mean() if self.wrong else error

class Nameless(Figure):
    def forward(self, painted, truth, mask): return painted.mean((1, 2, 3))

class Plain: pass
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A file of parts beside a notebook, named by the environment."""
    place = tmp_path / "beside"
    place.mkdir()
    (place / "ownlab.py").write_text(SOURCE)
    monkeypatch.setenv(parts.VARIABLE, "ownlab, mylab")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    parts.parts.cache_clear()
    yield place
    parts.parts.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] in ("ownlab", "mylab")]:
        del sys.modules[name]
    COLUMNS.pop("colour_shift", None)


def part(key, name, **settings):
    """Overrides that replace what stands at a key."""
    words = ", ".join(f"{k}: {v}" for k, v in {"_target_": f"ownlab.{name}", **settings}.items())
    return [f"~{key}", f"+{key}={{{words}}}"]


def test_every_kind_of_part_trains(lab, command):
    every = [
        *(part("generator", "Painter") + part("discriminator", "Judge") + part("adversarial", "Game")),
        *(part("masks", "Hole") + part("generator_optimizer", "Step", _partial_="true", lr=0.1)),
        *part("generator_scheduler", "rate", _partial_="true"),
        *("+losses.mine={_target_: ownlab.Loss}", "+callbacks.mine={_target_: ownlab.Watcher}"),
        *("+logger.mine={_target_: ownlab.Rows, save_dir: rows}", "data._target_=ownlab.Data"),
        *("figures=[mylab_colour_shift]", "~losses.feature_matching"),  # the judge here gives no features
    ]
    lent = [word for word in LENT if not word.startswith("discriminator")]
    printed = command(train, *every, *lent, "name=mine", "hydra.run.dir=run")
    assert "colour shift" in printed and "losses l1, mine, adversarial" in printed
    said = json.loads(Path("run/versions.json").read_text())["parts"]
    assert said == {name: {"package": "", "version": ""} for name in ("ownlab", "mylab")}
    held = checkpoint.load("run")
    assert type(load_generator(held)).__name__ == "Painter" and held["inpaint"]["parts"] == said
    printed = command(evaluate, "checkpoint=run", "data=photos", "data.crop=32", "masks=boxes", "baselines=[]")
    assert "mine" in printed


def test_a_run_of_parts_goes_on_and_is_probed(lab, command, tmp_path):
    """Both read the parts from what the run wrote down."""
    mine = ["generator=mylab_dilated", "losses=[l1,mylab_edges]", "masks=mylab_torn_corner", "figures=[]"]
    command(train, *mine, *LENT, "name=mine", "hydra.run.dir=run")
    printed = command(train, *mine, *LENT, "name=mine", "hydra.run.dir=run", "trainer.max_steps=2")
    assert "going on from run/checkpoints/update_00000001.ckpt" in printed
    assert checkpoint.load("run")["inpaint"]["update"] == 2
    for label, level in (("dark", 40), ("bright", 200)):
        (tmp_path / "textures" / label).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (32, 32), (level + number,) * 3).save(tmp_path / "textures" / label / f"{number}.png")
    few = ["data.root=textures", "data.crop=32", "splits=2", "neighbours=1", "queries=1", "hydra.run.dir=probed"]
    printed = command(probe, "checkpoint=run", "layer=layers.1", *few)
    assert "mine layers.1" in printed and Path("probed/results.csv").is_file()
    assert "layer=" in command(probe, "checkpoint=run", *few, code=2)  # it declares no features


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (part("generator", "Plain"), "generator._target_: ownlab.Plain is not a generator (torch.nn.Module"),
        (part("generator", "Missing"), "generator._target_: there is no ownlab.Missing"),
        (part("generator", "Paintr"), "generator._target_: there is no ownlab.Paintr; did you mean Painter?"),
        (part("generator", "Painter", widht=3), "no such argument; ~generator.widht leaves it out"),
        (["~generator", "+generator={width: 3}"], "generator: no _target_; the yaml of a generator has the form {_"),
        (["~generator", "+generator={}"], "generator: no _target_; the yaml of a generator has the form {_"),
        (
            ["+losses._target_=ownlab.Loss"],
            "losses: its parts have names; the yaml of a loss has the form NAME: {_",
        ),
        (["+losses.weight=1.0"], "losses.weight: got 1.0; the yaml of a loss has the form NAME: {_target_"),
        (
            ["~masks", "+masks={mine: {_target_: ownlab.Hole}}"],
            "masks.mine: a name too many; the yaml of a kind of",
        ),
        (
            part("generator_optimizer", "Step", lr=0.1),
            "generator_optimizer._partial_: the yaml of an optimizer has",
        ),
        (["+callbacks.x={_target_: ownlab.Rows}"], "callbacks.x._target_: ownlab.Rows is not a callback"),
    ],
)
def test_a_yaml_of_the_wrong_form_is_told_the_right_one(lab, words, message):
    with pytest.raises(ConfigError) as caught:
        check(compose(*words))
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("group", "name", "wrong", "message"),
    [
        ("generator", "Painter", "tensor", "generator: ownlab.Painter should give inpaint.batch.Outputs"),
        ("generator", "Painter", "bytes", r"should give output in \[-1, 1\]; it gave values from 1"),
        ("generator", "Painter", "shape", r"output as floats \(2, 3, 16, 16\); it gave float32 \(2, 3, 16, 15\)"),
        ("generator", "Painter", "nan", "it gave values from nan"),
        ("generator", "Painter", "small", r"an output \(2, 3, 16, 16\); it gave float32 \(2, 3, 8, 8\)"),
        ("generator", "Painter", "cut", "output with a gradient; it gave one that no parameter has a part in"),
        ("generator", "Painter", "coarse", r"coarse as floats \(2, 3, 16, 16\); it gave a NoneType"),
        (
            "generator",
            "Painter",
            "truth",
            r"Painter should give needs among latent, label, .*, frames and truth; it gave \['image'\]",
        ),
        ("generator", "Painter", "known", "a composite with the known pixels as they are"),
        ("discriminator", "Judge", "tensor", "discriminator: ownlab.Judge should give inpaint.batch.Verdict"),
        ("discriminator", "Judge", "none", "a tuple of logits; it gave a tuple"),
        ("discriminator", "Judge", "features", r"features as 1 tuples of activations.* gave float32 \(2, 1, 7, 7\)"),
        ("discriminator", "Judge", "flat", r"activations \(2, C, h, w\); it gave float32 \(2, 49\)"),
        ("adversarial", "Game", "map", "adversarial: ownlab.Game should give a scalar as judge, for one map of logits"),
        ("adversarial", "Game", "real", r"ownlab.Game raised TypeError: .*'NoneType'.* \(ownlab.py, line \d+\); HYDRA"),
        ("adversarial", "Game", "base", r"lacks weight, of; its __init__ calls super\(\).__init__\(weight, of\)"),
        (
            "losses",
            "Loss",
            "label",
            r"ownlab.Loss raised KeyError: 'label' \(ownlab.py, line \d+\); HYDRA",
        ),
        ("masks", "Hole", "base", r"masks: ownlab.Hole lacks area; its __init__ calls super\(\).__init__\(area\)"),
        ("figures", "Shift", "scalar", r"figures.mine: a figure gives floats \(2,\).*got torch.float32 \(\)"),
        ("losses", "Loss", "each", r"losses.mine: ownlab.Loss should give a scalar, float32 \(\); it"),
        ("losses", "Loss", "half", r"it gave float16 \(\)"),
        ("losses", "Loss", "cut", "a term with a gradient"),
        ("masks", "Hole", "half", "masks: ownlab.Hole should give exactly 0 or 1; it gave values from 0 to 0.5"),
        ("masks", "Hole", "bool", r"it gave bool \(3, 1, 24, 32\)"),
        ("masks", "Hole", "random", "the same mask for the same key"),
    ],
)
def test_a_broken_promise_is_told_in_a_line(lab, batch, group, name, wrong, message):
    """By the class, what it should give and what it gave; the right parts beside it say nothing."""
    import ownlab

    made = {
        "generator": ownlab.Painter(),
        "discriminator": ownlab.Judge(),
        "losses": ownlab.Loss(),
        "masks": ownlab.Hole(),
        "adversarial": ownlab.Game(),
        "figures": ownlab.Shift(),
    }
    two = {key: value[:2] for key, value in batch.items()}
    data = SimpleNamespace(
        masks=made["masks"], validation_masks=None, degradation=None, validation_batch=lambda *_: two
    )

    def tried(parts):
        losses = {"mine": parts["losses"]}
        check_parts(
            SimpleNamespace(**{**parts, "losses": losses}),
            SimpleNamespace(**{**vars(data), "masks": parts["masks"]}),
            {"mine": parts["figures"]},
        )

    before = torch.random.get_rng_state()
    tried(made)
    assert torch.equal(before, torch.random.get_rng_state()), "the run's random numbers are as they were"
    with pytest.raises(Refused, match=message) as caught:
        tried(made | {group: getattr(ownlab, name)(wrong=wrong)})
    assert len(str(caught.value).splitlines()) == 1


def test_a_loss_without_its_base_or_with_other_arguments_is_told_so(lab, batch):
    import ownlab

    with pytest.raises(Refused, match=r"losses.mine: Bare has no needs; its __init__ calls super\(\)"):
        InpaintingGAN(ownlab.Painter(), {"mine": ownlab.Bare()}, torch.optim.Adam)
    bare = ownlab.Bare()
    bare.needs = frozenset({"output"})
    data = SimpleNamespace(masks=None, validation_masks=None, degradation=None, validation_batch=lambda *_: batch)
    run = SimpleNamespace(generator=ownlab.Painter(), discriminator=None, adversarial=None, losses={"mine": bare})
    with pytest.raises(Refused, match=r"losses.mine: ownlab.Bare is called with \(outputs, batch\); too many"):
        check_parts(run, data)


def test_the_traceback_of_a_part_is_there_for_the_asking(lab, command, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    words = ["+losses.mine={_target_: ownlab.Loss, wrong: label}", *LENT, "hydra.run.dir=run"]
    with pytest.raises(Refused, match="HYDRA_FULL_ERROR=1 shows the traceback") as caught:
        command(train, *words, "generator.width=4")
    assert isinstance(caught.value.__cause__, KeyError)


def test_figures_and_schedules_keep_theirs(lab):
    import ownlab

    with pytest.raises(Refused, match=r"figures.x: Nameless has no attribute column"):
        known({"x": ownlab.Nameless()})
    from mylab.figures import ColourShift

    with pytest.raises(Refused, match=r"figures.psnr: another figure is called psnr"):
        known({"psnr": ColourShift()})
    with pytest.raises(Refused, match=r"one for each picture; got torch.float32 \(\)"):
        one_a_picture("x", torch.zeros(()), 2)


def test_before_the_first_update_and_with_exit_code_2(lab, command):
    said = command(
        train, *LENT, *part("generator", "Painter", wrong="tensor"), "name=mine", "hydra.run.dir=run", code=2
    )
    assert said.startswith("inpaint-train: generator: ownlab.Painter should give") and len(said.splitlines()) == 1
    assert not Path("run/checkpoints").exists()


def test_what_a_part_raises_while_it_is_made_or_imported_is_told_with_its_line(lab, command, monkeypatch):
    said = command(train, *LENT, *part("generator", "Painter", wrong="made"), "name=mine", "hydra.run.dir=run", code=2)
    line = SOURCE.splitlines().index('        if wrong == "made": raise KeyError("a weight")') + 1
    assert said == f"inpaint-train: generator: 'a weight' (ownlab.py, line {line})\n"
    (lab / "faulty.py").write_text("WIDTH = 3\nDEPTH = WIDHT\n")
    monkeypatch.setenv(parts.VARIABLE, "faulty")
    parts.parts.cache_clear()
    with pytest.raises(ConfigError, match=r"no faulty.Net \(NameError: .*WIDHT.* is not defined \(faulty.py, line 2\)"):
        check(compose("~generator", "+generator={_target_: faulty.Net}"))


def test_an_option_of_a_part_without_a_class_is_no_silent_nothing(lab, command):
    (lab / "conf" / "scheduler").mkdir(parents=True)
    (lab / "conf" / "scheduler" / "ownlab_rate.yaml").write_text("_partial_: true\n")
    said = command(train, "scheduler@generator_scheduler=ownlab_rate", "hydra.run.dir=run", code=2)
    assert said.startswith("inpaint-train: generator_scheduler: no _target_; the yaml of a schedule has the form {_tar")
    assert "_partial_: true" in said and len(said.splitlines()) == 1


def test_options_of_a_part_are_options(lab, command):
    assert options("generator")["mylab_dilated"].parent.parent == EXAMPLE / "mylab" / "conf"
    assert "reach: no such setting" not in command(preview, "masks=mylab_torn_corner", "measured=4", "samples=2")
    assert "there are" in (said := command(preview, "masks=mylab_torn", code=2)) and "mylab_torn_corner" in said


def test_a_namesake_of_a_packaged_option_is_refused(lab, command):
    (lab / "conf" / "masks").mkdir(parents=True)
    (lab / "conf" / "masks" / "boxes.yaml").write_text("_target_: ownlab.Hole\n")
    said = command(preview, "masks=boxes", code=2)
    assert said.startswith("inpaint-preview: the part ownlab: ") and "has the name of a packaged option" in said


def test_other_programs_of_hydra_do_not_see_them(lab, tmp_path):
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    (tmp_path / "theirs").mkdir()
    for folder, seen in ((tmp_path / "theirs", False), (conf_dir(), True)):
        with hydra.initialize_config_dir(str(folder), version_base="1.3"):
            path = GlobalHydra.instance().config_loader().get_search_path().get_path()
            assert any("mylab" in element.path for element in path) == seen


def test_what_is_missing_is_said(lab, command, monkeypatch):
    state = {"state_dict": {"ema.network.x": torch.zeros(1)}}
    config = {"name": "x", "generator": {"_target_": "mylab.generators.Dilated"}}
    checkpoint.stamp(state, config, 1)
    state["inpaint"]["parts"] = {"mylab": {"package": "mylab-inpainting", "version": "0.1.0"}}
    monkeypatch.setenv(parts.VARIABLE, "")
    parts.parts.cache_clear()
    message = "needs the package mylab-inpainting 0.1.0 with the part mylab, which is not installed here"
    with pytest.raises(ConfigError, match=message):
        load_generator(state)
    for lie in ({"mylab": {"package": "\x1b[31m pip install evil"}}, {"torch": {"package": "evil"}}, "evil", None):
        state["inpaint"]["parts"] = lie
        with pytest.raises(ConfigError, match="not a generator") as caught:
            load_generator(state)
        assert "evil" not in str(caught.value)


def test_a_module_that_is_not_there_is_refused(monkeypatch, command):
    monkeypatch.setenv(parts.VARIABLE, "nolab")
    parts.parts.cache_clear()
    assert "INPAINT_PARTS: there is no module nolab" in command(preview, code=2)
    monkeypatch.setenv(parts.VARIABLE, "inpaint.study")
    parts.parts.cache_clear()
    with pytest.raises(Refused, match="no package of your own"):
        parts.parts()
    parts.parts.cache_clear()


def test_the_example_is_small_and_documented():
    for name, most in (("generators", 45), ("losses", 25), ("masks", 35)):
        assert len((EXAMPLE / "mylab" / f"{name}.py").read_text().splitlines()) <= most
    for path in (EXAMPLE / "mylab" / "conf").rglob("*.yaml"):
        assert path.read_text().startswith("# ") and path.stem.startswith("mylab_") and yaml.safe_load(path.read_text())
