"""pix2pix: the size of the code's networks, a picture of a picture, and noise that stays in evaluation."""

import pytest
import torch

from inpaint import rng
from inpaint.batch import Batch, paint, said_to
from inpaint.exchange.contract import draws_noise
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.pix2pix import Pix2Pix
from inpaint.settings import Refused


def made(**settings):
    rng.seed_all(0)
    return Pix2Pix(width=4, levels=4, **settings).eval()


def painted(network, image, keys):
    with rng.of_samples(keys), torch.no_grad():
        return network(image, torch.ones_like(image[:, :1])).output


def test_both_have_the_sizes_of_the_code():
    """The authors' pytorch-CycleGAN-and-pix2pix prints 54.414 M and 2.769 M parameters."""
    with torch.device("meta"):
        generator = Pix2Pix(norm="batch")
        judge = Patch(64, 3, spectral=False, sees_mask=False, norm="batch", sees_given=True, bias=False)
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (generator, judge)]
    assert [round(size / 1e6, 3) for size in sizes] == [54.415, 2.769]


@pytest.mark.parametrize("size", [(16, 16), (40, 23)])
def test_all_of_a_picture_becomes_another_one(size):
    network, image, keys = made(dropout=0.0), torch.rand(2, 3, *size) * 2 - 1, torch.arange(2)
    output = painted(network, image, keys)
    assert output.shape == image.shape and output.abs().max() <= 1
    changed = image.clone()
    changed[0, :, 3, 5] += 0.5
    assert (painted(network, changed, keys)[0] != output[0]).any()
    assert torch.allclose(painted(network, image[1:], keys[1:]), output[1:], atol=1e-5)


def test_what_is_dropped_is_a_samples_own_noise():
    network, image = made(), (torch.rand(1, 3, 32, 32) * 2 - 1).expand(3, -1, -1, -1)
    output = painted(network, image, torch.tensor([1, 2, 1]))
    assert torch.equal(output[0], output[2]) and (output[0] != output[1]).any()
    assert torch.allclose(painted(network, image[:1], torch.tensor([2])), output[1:2], atol=1e-5)
    assert draws_noise(network, "cpu", 1) and not draws_noise(made(dropout=0.0), "cpu", 1)


def test_its_discriminator_sees_what_was_given():
    rng.seed_all(0)
    judge, other = Patch(width=4, layers=1, sees_given=True), torch.rand(2, 3, 16, 16)
    image, mask = torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    batch = Batch(image=image, mask=mask, index=torch.arange(2), given=other)
    assert torch.equal(said_to(judge, batch)["given"], other)
    logits = [judge(image, mask, given=seen).logits[0] for seen in (other, other.flip(-1))]
    assert not torch.allclose(*logits)
    for seen in (None, other[..., :8, :8]):
        with pytest.raises(Refused, match=r"discriminator.sees_given: .* no picture of the truth's size"):
            judge(image, mask, given=seen)
    assert paint(made(), batch).output.shape == image.shape


def test_what_is_refused():
    for settings, says in (({"levels": 1}, "levels"), ({"dropout": 1.0}, "dropout"), ({"norm": "layer"}, "norm")):
        with pytest.raises(Refused, match=f"generator.{says}"):
            Pix2Pix(**settings)
