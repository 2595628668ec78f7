"""DCGAN's pair: layers as published, noise by sample, and a game on digits that ends in pictures like them."""

import logging

import pytest
import torch
from torch import nn

from inpaint import rng
from inpaint.batch import compose
from inpaint.losses.adversarial import NonSaturating
from inpaint.metrics.sliced import patches, sliced_wasserstein
from inpaint.networks import discriminators
from inpaint.networks.generators.dcgan import DCGAN
from inpaint.training.gan import InpaintingGAN
from inpaint.training.watch import CollapseWatch
from tests.digits import digits
from tests.options import option
from tests.training.updates import fit


def blank(count=3, side=64):
    return torch.zeros(count, 3, side, side), torch.ones(count, 1, side, side)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_both_have_the_sizes_of_the_code():
    """examples/dcgan of PyTorch prints 3,576,704 and 2,765,568 parameters; the form of 32 px by hand."""
    assert count(option("generator", "dcgan")) == 3_576_704
    assert count(option("discriminator", "dcgan")) == 2_765_568
    small = 16 * (100 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 2 * (256 + 128 + 64)
    assert count(option("generator", "dcgan_32")) == small
    assert count(option("discriminator", "dcgan_32")) == 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256) + 2 * (128 + 256)
    (slope,) = {
        layer.negative_slope for layer in option("generator", "dcgan_32").modules() if hasattr(layer, "negative_slope")
    }
    assert slope == 0.2


def test_weights_start_as_published():
    torch.manual_seed(0)
    for network in (DCGAN(width=16), discriminators.DCGAN(width=16)):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                assert layer.bias is None and layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.weight.mean().item() == pytest.approx(1, abs=0.05) and not layer.bias.any()


def test_a_picture_is_its_samples_whatever_is_beside_it():
    network = DCGAN(width=4, latent=8).eval()
    image, mask = blank(5)
    keys = rng.fold(torch.arange(5), "noise")
    with rng.of_samples(keys):
        together = network(image, mask).output
    for sample in range(5):
        with rng.of_samples(keys[sample : sample + 1]):
            alone = network(image[:1], mask[:1]).output
        assert torch.allclose(alone, together[sample : sample + 1], atol=1e-6)
    assert together.std(dim=0).mean() > 0 and together.abs().max() <= 1
    assert torch.allclose(network(image, mask, rng.normal(rng.fold(keys, "draw 1"), 8)).output, together, atol=1e-6)


def test_a_validation_has_the_same_noise_each_time_and_in_any_batch():
    module, (image, mask) = game(DCGAN(width=4, levels=1, latent=8)), blank(4, 8)
    batch = {"image": image, "mask": mask, "index": torch.arange(4)}
    first = module.repair(batch).output
    assert torch.equal(module.repair(batch).output, first) and first.std(dim=0).mean() > 0
    part = {name: value[2:] for name, value in batch.items()}
    assert torch.allclose(module.repair(part).output, first[2:], atol=1e-6)


def test_known_pixels_stay_and_other_sizes_are_resized_to():
    network = DCGAN(width=4).eval()
    image = torch.rand(2, 3, 40, 56)
    mask = torch.zeros(2, 1, 40, 56)
    mask[..., 10:30, 5:20] = 1
    outputs = network(image, mask)
    assert outputs.output.shape == image.shape
    assert torch.equal(outputs.composite[(mask == 0).expand_as(image)], image[(mask == 0).expand_as(image)])
    judged = discriminators.DCGAN(width=4)(image, mask)
    assert judged.logits[0].shape == (2, 1, 1, 1) and [layer.shape[1] for layer in judged.features[0]] == [4, 8, 16, 32]


def adam(parameters):
    return torch.optim.Adam(parameters, 2e-3, betas=(0.5, 0.999))


def game(generator, **settings):
    rng.seed_all(0)
    return InpaintingGAN(
        generator,
        {},
        adam,
        discriminators.DCGAN(width=8, levels=1),
        NonSaturating(of="output"),
        adam,
        ema_decay=0.9,
        **settings,
    )


def played(generator, caplog, updates):
    """A game on digits, and what the watch said of it."""
    module, rows = game(generator), digits(512)
    with caplog.at_level(logging.WARNING, "inpaint.training.watch"):
        fit(module, updates, rows, [CollapseWatch(updates // 4)], batch_size=32)
    return module, rows, [record.args[0] for record in caplog.records if record.name == "inpaint.training.watch"]


def distance(pictures, rows):
    real = torch.stack([row["image"] for row in rows[: len(pictures)]])
    index = torch.arange(len(pictures))
    return sliced_wasserstein(patches(real, index), patches(pictures, index), torch.ones(1, len(pictures))).item()


def test_digits_are_learnt_from_nothing(caplog):
    """Twice as near to real ones as before, different from each other, and nothing to warn of."""
    module, rows, said = played(DCGAN(width=16, levels=1, latent=16), caplog, 120)
    image, mask = blank(256, 8)
    with rng.of_samples(torch.arange(256)), torch.no_grad():
        made = module.ema.network(image, mask).output
    fresh = game(DCGAN(width=16, levels=1, latent=16)).generator.eval()
    with torch.no_grad():
        before = fresh(image, mask).output
    assert distance(made, rows) < distance(before, rows) / 2
    truth = torch.stack([row["image"] for row in rows[:256]])
    assert made.std(dim=0).mean() > 0.25 * truth.std(dim=0).mean()
    assert not {"samples are all alike", "the generator does not depend on its input"} & {*said}


class Deaf(DCGAN):
    """Paints the same picture whatever the noise."""

    def forward(self, image, mask, latent=None):
        still = torch.ones(len(image), self.latent)
        still[::2] = -1  # batch norm wants two
        made = super().forward(image, mask, still)
        return compose(made.output.mean(dim=0, keepdim=True).expand_as(made.output), image, mask)


def test_samples_that_are_all_alike_are_said(caplog):
    _, _, said = played(Deaf(width=8, levels=1, latent=8), caplog, 32)
    assert said.count("samples are all alike") == 1
    assert "two fills of one hole by other noise differ by 0.00% of what true pictures do" in caplog.text


def test_the_game_alone_has_nothing_to_begin_with():
    with pytest.raises(ValueError, match=r"module\.adversarial_start: without losses"):
        game(DCGAN(width=4, levels=1), adversarial_start=5)
    with pytest.raises(ValueError, match=r"generator\.slope: 1 is not at least 0"):
        DCGAN(slope=1)
