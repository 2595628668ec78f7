"""Networks that are told something: they learn to paint it, and only where it was true in training."""

from types import SimpleNamespace

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from torch.utils.data import default_collate

from inpaint import rng
from inpaint.batch import Verdict, paint, said_to
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.reconstruction import L1
from inpaint.metrics.image import measure
from inpaint.networks import discriminators
from inpaint.networks.generators.dcgan import DCGAN
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.settings import Refused
from inpaint.training.fitting import check_conditions
from inpaint.training.gan import InpaintingGAN
from tests.digits import digits
from tests.shapes import COLOURS, shapes
from tests.training.updates import fit, make

LEARNT_FROM = 1400  # digits; the others say how good the judge is


def adam(rate):
    return lambda parameters: torch.optim.Adam(parameters, rate, betas=(0.5, 0.999))


def told_game(sizes, width, rate=1e-3, **settings):
    """DCGAN's pair, for pictures of 8 px, both of which are told something."""
    rng.seed_all(0)
    generator = DCGAN(width=width, levels=1, latent=16, condition=sizes)
    judge = discriminators.DCGAN(width=width, levels=1, condition=sizes)
    game = NonSaturating(of="output")
    return InpaintingGAN(generator, {}, adam(rate), judge, game, adam(rate), ema_decay=0.98, **settings)


def recognised(updates, width, classes=10, rate=1e-3, shuffled=False):
    """The share of made digits that a support vector machine, which knows real ones, takes for what they should be."""
    known = load_digits()
    judge = SVC(gamma=0.001, C=10).fit(known.data[:LEARNT_FROM], known.target[:LEARNT_FROM])
    assert judge.score(known.data[LEARNT_FROM:], known.target[LEARNT_FROM:]) > 0.95
    labels = known.target[:LEARNT_FROM]
    if shuffled:
        labels = labels[rng.permutation(3, LEARNT_FROM)]
    rows = [row | {"label": int(label)} for row, label in zip(digits(LEARNT_FROM), labels, strict=True)]
    rows = [row for row in rows if row["label"] < classes]
    module = told_game({"label": classes}, width, rate, mismatched=0.5)
    fit(module, updates, rows, batch_size=64)
    label = torch.arange(500) % classes
    batch = {"image": torch.zeros(500, 3, 8, 8), "mask": torch.ones(500, 1, 8, 8), "index": torch.arange(500)}
    with torch.no_grad():
        made = module.repair(batch | {"label": label}).output
    light = (made.mean(dim=1) + 1) * 8
    return (judge.predict(light.flatten(1).numpy()) == label.numpy()).mean()


def test_a_class_is_painted_as_it_is_called():
    """Of four classes, of which one in four is chance; the slow test below has all ten."""
    assert recognised(250, 24, classes=4) > 0.6


@pytest.mark.slow
def test_classes_are_recognised_nine_times_in_ten_and_by_chance_where_labels_were_shuffled():
    assert recognised(2000, 64, rate=5e-4) > 0.9
    assert recognised(1000, 64, rate=5e-4, shuffled=True) < 0.2


def test_words_tell_what_a_hole_hides():
    """Hole PSNR is 5 dB better with words than without, and 1.5 dB worse with wrong ones than without."""
    rng.seed_all(0)
    network = ResidualUNet(width=8, levels=2, shuffle=1, condition={"words": 512})
    module = InpaintingGAN(network, {"l1": L1()}, lambda p: torch.optim.Adam(p, 5e-3), ema_decay=0.9)
    fit(module, 120, shapes(256), batch_size=16)
    right = default_collate(shapes(288)[256:])
    next_colour = dict(zip(COLOURS, [*COLOURS][1:] + [*COLOURS][:1], strict=True))
    turned = [" ".join(next_colour.get(word, word) for word in text.split()) for text in right["caption"]]
    untold = {name: value for name, value in right.items() if name != "caption"}

    def psnr(batch):
        with torch.no_grad():
            outputs = paint(module.ema.network, batch)
        return measure(outputs, batch["image"], batch["mask"], ["hole_psnr"])["hole_psnr"].mean().item()

    with_words, without, wrong = psnr(right), psnr(untold), psnr(right | {"caption": turned})
    assert with_words > without + 5 and without > wrong + 1.5


def test_a_discriminator_learns_that_texts_have_to_fit():
    """The third verdict: real pictures under wrong texts score lower than under their own, those not seen too."""
    module = told_game({"words": 512}, 16, rate=2e-3, mismatched=0.5)
    fit(module, 150, shapes(256, side=8, hidden=False), batch_size=32)
    judge = module.discriminator.eval()
    right = default_collate(shapes(288, side=8, hidden=False)[256:])
    wrong = right | {"caption": right["caption"][1:] + right["caption"][:1]}
    with torch.no_grad():
        fits, fails = (judge(b["image"], b["mask"], **said_to(judge, b)).scores() for b in (right, wrong))
    assert (fits > fails).float().mean() > 0.9


def test_the_third_verdict_is_a_share_of_what_is_called_fake():
    """8.3 of the paper's code: real, and by `mismatched` wrong texts and made pictures; by hand for one batch."""
    logits = {"right": torch.tensor([0.3, -0.2]), "made": torch.tensor([0.7, 0.1]), "wrong": torch.tensor([-0.4, 1.1])}
    asked = []

    def judge(image, mask, label):
        asked.append(label.tolist())
        return Verdict((logits["wrong"].view(2, 1, 1, 1),))

    real, made = (Verdict((logits[name].view(2, 1, 1, 1),)) for name in ("right", "made"))
    game = NonSaturating()
    plain = game.discriminator(real, made, torch.ones(2, 1, 4, 4))
    own = SimpleNamespace(discriminator=judge, adversarial=game, mismatched=0.25, figures={})
    terms = [
        InpaintingGAN._with_mismatched(
            own, plain, real, torch.zeros(2, 3, 4, 4), torch.ones(2, 1, 4, 4), {"label": torch.tensor(labels)}
        )
        for labels in ([4, 7], [5, 5])
    ]
    entropy = torch.nn.functional.softplus
    by_hand = entropy(-logits["right"]).mean() + 0.75 * entropy(logits["made"]).mean()
    assert torch.allclose(terms[0], by_hand + 0.25 * entropy(logits["wrong"]).mean()) and asked[0] == [7, 4]
    assert torch.equal(terms[1], plain), "no picture has another text"


def test_what_data_does_not_say_is_refused_before_training():
    def data(batch, **source):
        return SimpleNamespace(validation_batch=lambda *_: batch, source=SimpleNamespace(**source))

    batch = default_collate(shapes(1, hidden=False))
    told = told_game({"label": 2}, 4)
    check_conditions(told, data(batch, classes=["a", "b"]))
    with pytest.raises(Refused, match=r"generator.condition.label: 2, and there are 3 classes"):
        check_conditions(told, data(batch, classes=["a", "b", "c"]))
    with pytest.raises(Refused, match=r"without label; give data.label=folder"):
        check_conditions(told, data({name: value for name, value in batch.items() if name != "label"}))
    with pytest.raises(Refused, match=r"without embedding; give data.embeddings=FILE"):
        check_conditions(told_game({"embedding": 4}, 4), data(batch))
    with pytest.raises(Refused, match=r"module.mismatched: nothing is said of pictures to this discriminator"):
        make(mismatched=0.5)
    with pytest.raises(Refused, match=r"module.mismatched: 1"):
        told_game({"label": 2}, 4, mismatched=1)
