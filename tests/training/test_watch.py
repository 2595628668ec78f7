"""Each way in which a game ends is provoked, and said once; a healthy run stays silent."""

import logging

import hydra
import lightning as L
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import nn

from inpaint import rng
from inpaint.batch import Verdict, compose
from inpaint.config import conf_dir
from inpaint.data.datamodule import PhotosData
from inpaint.losses.adversarial import LeastSquares, SoftMask
from inpaint.losses.reconstruction import L1
from inpaint.masks import Boxes
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.context_encoder import ContextEncoder
from inpaint.training.verdicts import apart, change, spread
from inpaint.training.wandb_logger import WandbLogger
from inpaint.training.watch import CollapseWatch
from tests.reliability.ranks import fit, loader, rows
from tests.training.gan import tiny

EVERY = 12


def still(parameters):
    return torch.optim.SGD(parameters, lr=0.0)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=2e-3, betas=(0.5, 0.999))


def watched(module, caplog, data=None, **settings):
    """What was said, one title for each warning."""
    watch = CollapseWatch(EVERY)
    with caplog.at_level(logging.WARNING, "inpaint.training.watch"):
        fit(module, data or loader(rows(), 4), 3 * EVERY, [watch], **settings)
    assert not module._forward_hooks
    return [record.args[0] for record in caplog.records if record.name == "inpaint.training.watch"]


def game(**parts):
    """A generator without an initial fill, so that nothing is to be said of returning it."""
    return tiny(**({"generator": ContextEncoder(width=4, levels=2, bottleneck=8)} | parts))


ALONE = {"discriminator": None, "adversarial": None, "discriminator_optimizer": None}


def test_a_healthy_run_is_silent(caplog):
    """A discriminator that learns, on photographs."""
    data = PhotosData(Boxes(), crop=32, crops_per_image=16, validation_crops=1, batch_size=8)
    networks = {
        "discriminator": Patch(width=16, layers=2),
        "generator_optimizer": adam,
        "discriminator_optimizer": adam,
    }
    assert watched(tiny(**networks), caplog, data) == []


def test_without_a_discriminator_there_is_less_to_say(caplog):
    assert watched(game(**ALONE), caplog) == []


class Knows(Patch):
    """Tells real from fake by a mark that only the real pictures of these tests have."""

    def __init__(self, verdict):
        super().__init__(width=4, layers=1)
        self.verdict = verdict

    def forward(self, image, mask):
        real = (image[:, 0, 0, 0] == 0.125).float().view(-1, 1, 1, 1)
        return Verdict((self.verdict * (2 * real - 1) + 0 * super().forward(image, mask).logits[0],))


def marked(module, caplog, **settings):
    """Pictures with the mark, under holes that cover it."""
    found = rows()
    for row in found:
        row["image"][:, 0, 0] = 0.125
        row["mask"][:, 0, 0] = 1
    return watched(module, caplog, loader(found, 4), **settings)


def test_a_discriminator_that_has_won_is_said_once(caplog):
    assert marked(game(discriminator=Knows(8.0)), caplog) == ["the discriminator has won"]
    assert f"updates 0 to {EVERY}: its loss is " in caplog.text and "without an opinion it would be 1.39" in caplog.text
    caplog.clear()
    assert "the discriminator has won" not in marked(game(discriminator=Knows(0.5)), caplog)


@pytest.mark.parametrize("verdict", [0.0, -0.5])
def test_a_discriminator_that_has_lost(verdict, caplog):
    assert marked(game(discriminator=Knows(verdict)), caplog) == ["the discriminator has lost"]


def test_a_dead_generator(caplog):
    generator = ContextEncoder(width=4, levels=2, bottleneck=8)
    last = [layer for layer in generator.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1]
    last.weight.data.zero_()
    module = tiny(generator=generator, generator_optimizer=still, **ALONE)
    assert watched(module, caplog) == ["the generator does not depend on its input"]
    assert "differs between pictures by 0.00% of what the truth does" in caplog.text


@pytest.mark.parametrize(("verdict", "said"), [(0.5, True), (-0.5, False)])
def test_a_discriminator_that_tells_all_apart_for_long(verdict, said, caplog):
    """Its loss is far from nothing, as its verdicts are weak; one window alone says nothing."""
    title = "the discriminator tells practically all apart"
    assert (title in marked(game(discriminator=Knows(verdict)), caplog)) == said
    if said:
        text = caplog.text[caplog.text.index(title) :]
        assert f"updates {EVERY} to {2 * EVERY}: it scores the truth above its repair in 100.0% of the pictures" in text
        assert "module.r1_gamma=10 or discriminator_optimizer.lr=2e-02 hold it back" in text


@pytest.mark.parametrize(("optimizer", "said"), [(still, True), (adam, False)])
def test_a_generator_that_returns_its_initial_fill(optimizer, said, caplog):
    title = "the generator returns what it started from"
    assert (title in watched(tiny(generator_optimizer=optimizer, **ALONE), caplog)) == said
    if said:
        text = caplog.text[caplog.text.index(title) :]
        assert (
            f"updates {EVERY} to {2 * EVERY}: in holes it is 0.0% as far from its initial fill as the truth is" in text
        )


def validated(module, caplog, updates=10, **settings):
    """What was said of validations on smooth pictures after every second update, from the third on."""
    found = rows()
    for row in found:
        row["image"] = F.avg_pool2d(row["image"], 5, 1, 2)
    watch, data = CollapseWatch(validations=2), loader(found, 4)
    trainer = L.Trainer(
        max_steps=updates, val_check_interval=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[watch], **settings,
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "inpaint.training.watch"):
        trainer.fit(module, data, data)
    return [record.getMessage() for record in caplog.records if record.name == "inpaint.training.watch"]


def test_a_loss_that_does_not_move(caplog):
    """A generator that is not trained is as good as the fill that it starts from, and not better."""
    worse, still_there = validated(tiny(generator_optimizer=still, **ALONE), caplog)
    assert worse.startswith("the model is not better than the harmonic fill: validation at update 6: hole PSNR ")
    assert still_there.startswith("the loss has not moved: validation at update 6: the hole's L1 is ")
    assert "generator_optimizer.lr=0e+00 or a larger generator.width may help" in still_there


class Noise(ContextEncoder):
    """Paints something wild whatever it has learnt."""

    def forward(self, image, mask):
        painted = super().forward(image, mask).output
        return compose(3 * torch.sin(1e4 * painted), image, mask)


def test_a_model_that_is_worse_than_the_fill(caplog):
    """Noise has neither a better hole PSNR nor a better texture; the fill's figures are in what is said."""
    generator = Noise(width=4, levels=2, bottleneck=8)
    (said,) = [text for text in validated(game(generator=generator), caplog) if "not better" in text]
    assert "(harmonic fill " in said and "losses.l1.weight=10 or adversarial=none show what is reached" in said


def test_a_run_that_learns_hears_nothing_of_its_validations(caplog):
    module = tiny(generator_optimizer=adam, ema_decay=0.0, **ALONE)
    assert validated(module, caplog, updates=20) == []
    assert module.validation.gain("hole_psnr") > 0 and module.validation.gain("texture") != 0


class Exploding(L1):
    """A million times as steep from an update on."""

    def forward(self, outputs, batch):
        self.calls = getattr(self, "calls", -1) + 1
        return super().forward(outputs, batch) * (1e6 if self.calls >= 2 * EVERY else 1.0)


def test_exploding_gradients(caplog):
    module = game(losses={"l1": Exploding()}, generator_clip=0.01, **ALONE)
    assert watched(module, caplog) == ["the gradient of the generator exploded"]
    assert f"updates {2 * EVERY} to {3 * EVERY}" in caplog.text


def test_exploding_r1(caplog):
    discriminator = Patch(width=4, layers=1, spectral=False)
    for parameter in discriminator.parameters():
        parameter.data.mul_(30)
    module = tiny(discriminator=discriminator, discriminator_optimizer=still, r1_gamma=10.0, r1_every=4)
    assert "R1 exploded" in watched(module, caplog)


def test_what_went_away_is_said_again(caplog):
    watch, module = CollapseWatch(EVERY), tiny()
    trainer = fit(module, loader(rows(), 4), 1)
    with caplog.at_level(logging.WARNING, "inpaint.training.watch"):
        for told_apart in (0.5, 0.5, 0.9, 0.5):
            watch._add("told_apart", torch.tensor(told_apart))
            watch._judge(trainer, module)
            watch.sums, watch.counts = {}, {}
    assert [record.args[0] for record in caplog.records if record.name == "inpaint.training.watch"] == [
        "the discriminator has lost"
    ] * 2


def test_windows_that_a_resume_cut_short_are_not_judged(caplog):
    module, watch = game(discriminator=Knows(-8.0)), CollapseWatch(EVERY)
    watch.updates = -3  # as if the first three had been before
    with caplog.at_level(logging.WARNING, "inpaint.training.watch"):
        fit(module, loader(rows(), 4), 2 * EVERY, [watch])
    (said,) = [record.getMessage() for record in caplog.records if record.name == "inpaint.training.watch"]
    assert said.startswith(f"the discriminator has lost: updates {EVERY} to {2 * EVERY}: "), "the window after it is"


def test_weights_and_biases_is_told(caplog, monkeypatch, tmp_path):
    alerts = []
    for name in ("log_hyperparams", "log_metrics", "save", "finalize", "after_save_checkpoint"):
        monkeypatch.setattr(WandbLogger, name, lambda self, *arguments, **settings: None)
    monkeypatch.setattr(WandbLogger, "alert", lambda self, title, text: alerts.append(title))
    logger = WandbLogger(str(tmp_path), mode="offline")
    assert marked(game(discriminator=Knows(8.0)), caplog, logger=logger) == [*alerts]
    assert alerts == ["the discriminator has won"]


def test_the_device_is_waited_for_once_a_window():
    """Nothing between the ends of windows reads a number; counted at `tolist` and `item`, through which all go."""
    reads, inside = [], []

    def counted(name):
        real = getattr(torch.Tensor, name)

        def read(tensor):
            if not inside:  # under a mode of torch's, a method comes back to the one of this name
                reads.append(name)
            inside.append(name)
            try:
                return real(tensor)
            finally:
                inside.pop()

        return read

    class Counting(CollapseWatch):
        def on_train_batch_end(self, trainer, module, *rest):
            with pytest.MonkeyPatch.context() as patch:
                for name in ("item", "tolist", "__bool__", "__float__"):
                    patch.setattr(torch.Tensor, name, counted(name))
                super().on_train_batch_end(trainer, module, *rest)

    fit(tiny(), loader(rows(), 4), 3 * EVERY, [Counting(EVERY)])
    assert reads == ["tolist"] * 3


def test_spread_by_hand():
    image = rng.uniform(torch.arange(4), 3 * 8 * 8).view(4, 3, 8, 8)
    mask = torch.zeros(4, 1, 8, 8)
    mask[:3, :, 2:5, 2:6] = 1
    mask[3, :, 7, 7] = 1  # a hole that no other picture has says nothing
    assert spread(image, image, mask).item() == pytest.approx(1)
    assert spread(0.25 * image + 3, image, mask).item() == pytest.approx(0.25)
    assert spread(torch.ones_like(image), image, mask).item() == 0
    painted = torch.where(mask > 0, 0.5 * image, 7 * image)
    assert spread(painted, image, mask).item() == pytest.approx(0.5), "what is painted outside the hole does not count"
    one = (image[:1], image[:1], mask[:1])
    assert spread(*one) == 1 and spread(image, image, torch.zeros_like(mask)) == 1


def test_apart_by_hand():
    image = rng.uniform(torch.arange(4), 3 * 8 * 8).view(4, 3, 8, 8)
    mask = torch.zeros(4, 1, 8, 8)
    mask[:3, :, 2:5, 2:6] = 1
    mask[3, :, 7, 7] = 1  # a hole that no other picture has says nothing
    deviations = (image[:3] - image[:3].mean(dim=0))[..., 2:5, 2:6].square().sum().sqrt()
    other = torch.where(mask > 0, image + 0.2, 9.0)
    expected = (3 * 3 * 12 * 0.2**2 / 2) ** 0.5 / deviations
    assert apart(other, image, image, mask).item() == pytest.approx(expected.item(), rel=1e-5)
    assert apart(other, other, image, mask) == 0 and apart(other[:1], image[:1], image[:1], mask[:1]) == 1


def test_change_by_hand():
    image = rng.uniform(torch.arange(2), 3 * 8 * 8).view(2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:5, 2:6] = 1
    fill = torch.zeros_like(image)
    assert change(image, fill, image, mask).item() == pytest.approx(1) and change(fill, fill, image, mask) == 0
    painted = torch.where(mask > 0, 0.25 * image, 7 * image)
    assert change(painted, fill, image, mask).item() == pytest.approx(0.25), "known pixels do not count"
    assert change(image, image, image, mask) == 1, "the fill is right already"


def test_a_window_has_updates():
    with pytest.raises(ValueError, match=r"callbacks\.collapse\.every: 0 is no whole number from 1 up"):
        CollapseWatch(0)
    with pytest.raises(ValueError, match=r"callbacks\.collapse\.validations: 0 is no whole number from 1 up"):
        CollapseWatch(validations=0)


@pytest.mark.parametrize(
    "path", [p for p in sorted((conf_dir() / "adversarial").glob("*.yaml")) if p.stem != "none"], ids=lambda p: p.stem
)
def test_what_a_discriminator_without_an_opinion_pays(path):
    """`blind` is the loss at the middle verdict, 0 or, where labels are 0 and 1, 1/2; under masks of half a hole."""
    game = hydra.utils.instantiate(OmegaConf.load(path), _convert_="all")
    mask = torch.zeros(2, 1, 128, 128)
    mask[:, :, :, 64:] = 1

    def pays(opinion):
        verdict = Verdict((torch.full((2, 1, 16, 16), opinion),))
        return game.discriminator(verdict, verdict, mask).item()

    if game.blind is None:
        assert pays(0.0) == pays(0.5) == pays(3.0), "a game of differences has no middle"
    else:
        middle = 0.5 if isinstance(game, LeastSquares | SoftMask) else 0.0
        assert pays(middle) == pytest.approx(game.blind, rel=0.1)
