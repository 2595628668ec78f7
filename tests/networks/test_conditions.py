"""What is said of pictures as vectors, and features that listen: nothing said is no change, words have an order."""

import pytest
import torch

from inpaint import rng
from inpaint.batch import words
from inpaint.networks import discriminators
from inpaint.networks.conditions import Conditions, FiLM
from inpaint.networks.generators.dcgan import DCGAN
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.settings import Refused

EVERYTHING = {"label": 10, "words": 64, "embedding": 5}


def made(sizes, **settings):
    rng.seed_all(0)
    return Conditions(sizes, 8, "generator", **settings)


def test_a_vector_is_the_sum_of_what_is_said():
    layer, like = made(EVERYTHING), torch.zeros(2, 3, 4, 4)
    said = {"label": torch.tensor([3, 4]), "words": words(["a red disc", "red"]), "embedding": torch.rand(2, 5)}
    alone = [layer(like, {kind: value}) for kind, value in said.items()]
    assert torch.allclose(layer(like, said), sum(alone), atol=1e-6)
    assert torch.equal(alone[0], layer.label.weight[3:5])
    assert torch.allclose(alone[2], said["embedding"] @ layer.embedding.weight.T)
    assert not layer(like, {}).any() and not made(None)(like, said).any()


def test_words_are_read_in_order_alone_or_beside_longer_texts():
    layer = made({"words": 64}).eval()

    def read(*captions):
        return layer(torch.zeros(len(captions), 1), {"words": words(captions)})

    red, turned = read("a red disc and a blue square", "a blue square and a red disc")
    assert (red - turned).abs().max() > 1e-3
    alone, beside = read("red disc"), read("Red, disc!", "one two three four five six seven eight nine ten")
    assert torch.allclose(alone[0], beside[0], atol=1e-6), "without regard to case, signs and neighbours"
    assert not read("", "red")[0].any()


def test_a_sample_is_told_nothing_by_a_lot_of_its_own():
    layer, keys = made({"label": 2}, dropped=0.25), torch.arange(400)
    like, label = torch.zeros(400, 1), torch.ones(400, dtype=torch.int64)
    with rng.of_samples(keys):
        told = layer(like, {"label": label}).any(dim=1)
    with rng.of_samples(keys[100:200]):
        assert torch.equal(told[100:200], layer(like[:100], {"label": label[:100]}).any(dim=1))
    assert 0.68 < told.float().mean() < 0.82
    assert layer.eval()(like, {"label": label}).any(dim=1).all()


def test_features_that_listen_start_as_they_are_and_end_scaled_and_shifted():
    layer, x, condition = FiLM(2, 3), torch.randn(2, 3, 4, 4), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert torch.equal(layer(x, condition), x)
    with torch.no_grad():
        layer.linear.weight[:, 0] = torch.arange(6.0)
    shown = layer(x, condition)
    assert torch.equal(shown[1], x[1])
    for channel in range(3):
        assert torch.allclose(shown[0, channel], x[0, channel] * (1 + channel) + 3 + channel)


@pytest.mark.parametrize("kind", [DCGAN, ResidualUNet])
def test_a_fresh_network_that_listens_is_the_one_that_does_not(kind):
    """Bit for bit, in its weights and in what it paints, whatever is said; and it is so later where nothing is."""
    networks = []
    for condition in (None, EVERYTHING):
        rng.seed_all(0)
        networks.append(kind(width=4, levels=1, condition=condition))
    plain, listening = networks
    own = listening.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in plain.state_dict().items())
    image, mask = torch.rand(2, 3, 16, 16) * 2 - 1, torch.zeros(2, 1, 16, 16)
    mask[:, :, 4:12, 4:12] = 1
    said = {"label": torch.tensor([0, 1]), "words": words(["red", "blue"]), "embedding": torch.ones(2, 5)}

    def painted(network, **said):
        with rng.of_samples(torch.arange(2)), torch.no_grad():
            return network(image, mask, **said).output

    for network in networks:
        torch.nn.init.normal_(next(iter(network.eval().parameters())), 0, 0.1)  # a last layer may start at zero
    plain.load_state_dict({name: listening.state_dict()[name] for name in plain.state_dict()})
    assert torch.equal(painted(plain), painted(listening, **said))
    with torch.no_grad():
        for name, value in listening.named_parameters():
            if name.startswith(("films", "head", "layers")):
                value.add_(0.1)
    plain.load_state_dict({name: listening.state_dict()[name] for name in plain.state_dict()})
    assert torch.equal(painted(plain), painted(listening))
    assert not torch.allclose(painted(plain), painted(listening, **said), atol=1e-3)


def test_a_projection_is_an_inner_product_with_the_last_features():
    rng.seed_all(0)
    judge = discriminators.DCGAN(width=4, levels=2, condition={"label": 3})
    image, mask, label = torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16), torch.tensor([2, 0])
    told, untold = judge(image, mask, label=label), judge(image, mask)
    last = told.features[0][-1].mean(dim=(2, 3))
    by_hand = torch.stack([judge.condition.label.weight[n] @ row for n, row in zip(label.tolist(), last, strict=True)])
    assert torch.allclose((told.logits[0] - untold.logits[0]).flatten(), by_hand, atol=1e-5)
    assert judge.needs == ("label",) and discriminators.DCGAN(width=4).needs == ()


def test_what_cannot_be_said_is_refused():
    with pytest.raises(Refused, match=r"generator.condition: smell is none of label, words, embedding"):
        made({"smell": 3})
    with pytest.raises(Refused, match=r"generator.condition: give kinds and their sizes"):
        made(["label"])
    with pytest.raises(Refused, match=r"generator.condition.label"):
        made({"label": 0})
    for label in (EVERYTHING["label"], -1):
        with pytest.raises(Refused, match=r"generator.condition.label: \d+, and a picture is of class"):
            made(EVERYTHING)(torch.zeros(2, 1), {"label": torch.tensor([0, label])})
    with pytest.raises(Refused, match=r"generator.condition.embedding: 5, and the embeddings have 4 numbers"):
        made(EVERYTHING)(torch.zeros(2, 1), {"embedding": torch.zeros(2, 4)})
