"""The autoencoder: what it sees and when, and what it learns of digits, made of nothing and in holes."""

import copy
import logging

import pytest
import torch

from inpaint import rng
from inpaint.batch import paint, teach
from inpaint.evaluation.measuring import evaluate
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.evidence import KL, Likelihood
from inpaint.losses.feature_matching import FeatureMatching
from inpaint.masks import Boxes
from inpaint.networks.discriminators import DCGAN
from inpaint.networks.generators.vae import VAE
from inpaint.training.gan import InpaintingGAN
from inpaint.training.watch import CollapseWatch
from tests.digits import digits
from tests.training.updates import fit


def picture(count=3, height=16, width=16):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, 3, height, width, generator=generator) * 2 - 1
    mask = torch.zeros(count, 1, height, width)
    mask[:, :, height // 4 :, : width // 2] = 1
    return {"image": image, "mask": mask, "index": torch.arange(count)}


def small():
    torch.manual_seed(0)
    return VAE(width=8, levels=2, latent=6)


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (13, 7), (2, 3)])
def test_any_size_and_known_pixels_stay(size):
    batch = picture(2, *size)
    for outputs in (paint(small(), batch), teach(small(), batch)):
        assert outputs.output.shape == batch["image"].shape and outputs.output.isfinite().all()
        known = (batch["mask"] == 0).expand_as(batch["image"])
        assert torch.equal(outputs.composite[known], batch["image"][known])


def test_the_truth_is_seen_in_training_and_nowhere_else():
    network, batch = small(), picture()
    other = batch | {"image": torch.where(batch["mask"] > 0, -batch["image"], batch["image"])}
    keys = torch.arange(3)

    def both(function):
        found = []
        for each in (batch, other):
            with rng.of_samples(keys):
                found.append(function(copy.deepcopy(network), each).output)
        return found

    assert torch.equal(*both(paint)) and not torch.equal(*both(teach))
    assert paint(network, batch).posterior is None and teach(network, batch).posterior.mean.shape == (3, 6)


def test_a_fill_is_its_samples_and_differs_by_noise_and_by_what_is_known():
    network, batch = small().eval(), picture()
    keys = torch.arange(3)
    with rng.of_samples(keys):
        together = paint(network, batch).output
    with rng.of_samples(keys[1:2]):
        alone = paint(network, {name: value[1:2] for name, value in batch.items()}).output
    assert torch.allclose(alone, together[1:2], atol=1e-6)
    latent = {"latent": torch.zeros(3, 6)}
    still, noisy = paint(network, batch | latent).output, paint(network, batch | {"latent": torch.ones(3, 6)}).output
    assert (still - noisy).abs().mean() > 1e-4
    seen = paint(network, batch | latent | {"image": batch["image"] * 0.5}).output
    assert (still - seen).abs().mean() > 1e-4


def test_every_parameter_learns():
    network, batch = small(), picture(4)
    outputs = teach(network, batch)
    (Likelihood()(outputs, batch) + KL()(outputs, batch)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def adam(parameters):
    return torch.optim.Adam(parameters, 3e-3)


def module(losses, **settings):
    rng.seed_all(0)
    return InpaintingGAN(VAE(width=16, levels=1, latent=8), losses, adam, ema_decay=0.9, **settings)


def learnt(caplog, made, rows, updates):
    """After so many updates; what the watch said of it."""
    watch = CollapseWatch(updates // 2)
    with caplog.at_level(logging.WARNING, "inpaint.training.watch"):
        trainer = fit(made, updates, rows, [watch], batch_size=64)
    return trainer, [record.args[0] for record in caplog.records if record.name == "inpaint.training.watch"]


def stacked(rows):
    return {"image": torch.stack([row["image"] for row in rows]), "mask": torch.stack([row["mask"] for row in rows]),
            "index": torch.tensor([row["index"] for row in rows])}  # fmt: skip


def bound(network, rows):
    """The terms of the evidence bound of held-out pictures, in nats of one of the three equal channels."""
    batch = stacked(rows)
    with torch.no_grad(), rng.of_samples(batch["index"]):
        outputs = teach(network, batch)
    return Likelihood(1 / 3, "bernoulli")(outputs, batch).item() / 3, KL()(outputs, batch).item()


def test_the_bound_of_held_out_digits_rises_and_the_noise_is_used(caplog):
    """Digits are grey, so a third of the likelihood is that of one channel, and the sum the bound of grey pictures."""
    rows = digits(1797)
    made = module({"likelihood": Likelihood(1 / 3, "bernoulli"), "kl": KL()})
    before = sum(bound(made.ema.network, rows[1500:]))
    trainer, said = learnt(caplog, made, rows[:1500], 120)
    likelihood, nats = bound(made.ema.network, rows[1500:])
    assert likelihood + nats < 27 < before and nats > 1
    logged = {name: float(value) for name, value in trainer.logged_metrics.items()}
    assert logged["train/nats"] > 1 and 1 <= logged["train/active_units"] <= 8
    assert not {"samples are all alike", "the generator does not depend on its input"} & {*said}
    samples = paint(made.ema.network, stacked(rows[1500:])).output
    assert samples.std(dim=0).mean() > 0.4 * stacked(rows[1500:])["image"].std(dim=0).mean()


def test_a_hole_is_filled_in_several_ways_and_the_best_is_better(caplog):
    """With the game that VAE-GAN plays: the discriminator judges, and its features are matched."""
    rows = digits(768, masks=Boxes((1, 1), (0.75, 0.75), position=(0.5, 0.5)))
    game = {"discriminator": DCGAN(width=8, levels=1), "discriminator_optimizer": adam}
    losses = {"likelihood": Likelihood(), "kl": KL(), "feature_matching": FeatureMatching()}
    made = module(losses, adversarial=NonSaturating(of="output"), **game)
    fresh = copy.deepcopy(made.ema.network)
    trainer, _ = learnt(caplog, made, rows[:512], 48)
    assert trainer.logged_metrics["train/nats"] > 1

    class Held:
        def parts(self):
            return [slice(512, 768)]

        def batch(self, part, device):
            return stacked(rows[part])

        def name(self, index):
            return str(index)

        photograph = name

    def means(network):
        records = evaluate({"vae": network}, Held(), figures=["hole_psnr"], samples=8).records
        names = ("hole_psnr", "best_hole_psnr", "diversity")
        return {name: sum(record[name] for record in records) / len(records) for name in names}

    found, before = means(made.ema.network), means(fresh)
    assert found["hole_psnr"] > before["hole_psnr"] + 0.5 and found["best_hole_psnr"] > found["hole_psnr"] + 1
    assert found["diversity"] > 5 > before["diversity"]


def test_noise_that_is_given_up_is_said(caplog):
    """The posterior's collapse: the decoder reads none of its noise."""
    made = module({"likelihood": Likelihood(), "kl": KL()})
    for network in (made.generator, made.ema.network):
        network.from_latent.weight.requires_grad_(False).zero_()
    _, said = learnt(caplog, made, digits(256), 8)
    assert "samples are all alike" in said
