"""The alternating update, driven by a real Trainer on tiny networks."""

import copy
import math
from functools import partial

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from inpaint.batch import Verdict
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.reconstruction import L1, L2
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.context_encoder import ContextEncoder
from inpaint.schedules import Ramp, cosine
from inpaint.settings import Refused
from inpaint.training.gan import InpaintingGAN
from tests.training.updates import Watching, changed, fit, make, samples, sgd, weights


def test_terms_that_read_verdicts_wait_for_the_discriminator(caplog):
    watching, always = Watching(), Watching(needs=("output",))
    module = make(losses={"watching": watching, "always": always}, adversarial_start=3)
    fit(module, 5)
    assert watching.calls == [["real", "fake"]] * 2
    assert always.calls == [[]] * 3 + [["real", "fake"]] * 2
    with pytest.raises(Refused, match=r"losses: nothing to train by without a discriminator"):
        make(adversarial=False, losses={"watching": Watching()})
    caplog.clear()
    assert list(make(adversarial=False, losses={"watching": Watching(), "always": always}).losses) == ["always"]
    assert [record.message for record in caplog.records] == [
        "losses.watching reads the discriminator, and adversarial=none has none: it is left out"
    ]
    with pytest.raises(ValueError, match=r"losses\.l1: needs \['coarse'\], which ResidualUNet does not give"):
        make(losses={"l1": L1(of="coarse")})


def test_a_games_penalty_trains_the_discriminator_alone():
    class Penalised(NonSaturating):
        def penalty(self, discriminator, image, fake, mask):
            assert not fake.requires_grad and image.shape == fake.shape
            return 1e3 * discriminator(fake, mask).logits[0].square().mean()

    plain, penalised = make(), make(adversarial=Penalised(weight=0.1))
    for module in (plain, penalised):
        fit(module, 1)
    picture, mask = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    judged = [module.discriminator(picture, mask).logits[0] for module in (plain, penalised)]
    assert not torch.equal(*judged)


def test_weights_may_follow_the_update():
    seen = []

    class Logged(InpaintingGAN):
        def phase(self, name, parts, terms_of):
            terms = terms_of(parts[0])
            seen.append((terms["l1"] / self.losses["l1"](self(parts[0]), parts[0])).item())
            super().phase(name, parts, terms_of)

    module = make(adversarial=False, losses={"l1": L1(weight=Ramp(1.0, 3.0, 1, 3))})
    module.__class__ = Logged
    fit(module, 5)
    assert seen == pytest.approx([1, 1, 2, 3, 3])


# ---- the clock --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"generator_every": 3}, {"discriminator_every": 2}, {"adversarial": False}])
def test_one_clock(settings):
    """global_step counts updates whatever steps within them."""

    class Count(L.Callback):
        batches = 0

        def on_train_batch_end(self, trainer, *_):
            self.batches += 1
            assert trainer.global_step == self.batches

    count = Count()
    trainer = fit(make(**settings), 7, callbacks=[count])
    assert trainer.global_step == count.batches == 7


@pytest.mark.parametrize(
    ("cadence", "expected"),
    [
        (
            {"generator_every": 3, "discriminator_every": 2, "adversarial_start": 4},
            {"generator": [0, 3, 6, 9], "discriminator": [4, 6, 8, 10]},
        ),
        (
            {"adversarial_start": 3, "discriminator_alone": 4},  # the three phases of Iizuka et al. 2017
            {"generator": [0, 1, 2, 7, 8, 9, 10, 11], "discriminator": [*range(3, 12)]},
        ),
    ],
)
def test_the_cadence(cadence, expected):
    module = make(**cadence)
    steps = {"generator": [], "discriminator": []}
    original = InpaintingGAN.phase

    def spy(self, name, parts, terms_of):
        steps[name].append(self.updates)
        return original(self, name, parts, terms_of)

    InpaintingGAN.phase = spy
    try:
        fit(module, 12)
    finally:
        InpaintingGAN.phase = original
    assert steps == expected


# ---- the phases -------------------------------------------------------------------------------------------------


def test_each_phase_changes_only_its_own_network():
    module = make()
    seen = []
    original = InpaintingGAN.phase

    def spy(self, name, parts, terms_of):
        other = "generator" if name == "discriminator" else "discriminator"
        own_before, other_before = weights(getattr(self, name)), weights(getattr(self, other))
        gradients = [None if p.grad is None else p.grad.clone() for p in getattr(self, other).parameters()]
        result = original(self, name, parts, terms_of)
        assert changed(own_before, getattr(self, name)), f"{name} did not move"
        assert not changed(other_before, getattr(self, other)), f"{name}'s phase moved the {other}"
        for parameter, before in zip(getattr(self, other).parameters(), gradients, strict=True):
            assert parameter.requires_grad
            same = before is None if parameter.grad is None else torch.equal(parameter.grad, before)
            assert same, f"{name}'s phase left gradients in the {other}"
        seen.append(name)
        return result

    InpaintingGAN.phase = spy
    try:
        fit(module, 3)
    finally:
        InpaintingGAN.phase = original
    assert seen == ["discriminator", "generator"] * 3


def hand_written(module, rows, updates, batch_size=4):
    """The same training as a plain PyTorch loop: separate forward passes, no Lightning."""
    generator, discriminator = module.generator, module.discriminator
    g_optimizer, d_optimizer = sgd(generator.parameters()), sgd(discriminator.parameters())
    batches = list(DataLoader(rows, batch_size=batch_size))
    for update in range(updates):
        batch = batches[update % len(batches)]
        image, mask = batch["image"], batch["mask"]
        with torch.no_grad():
            fake = generator(image * (1 - mask), mask).composite
        verdict = discriminator(torch.cat([image, fake]), torch.cat([mask, mask]))
        d_optimizer.zero_grad()
        module.adversarial.discriminator(*verdict.halves(), mask).backward()
        d_optimizer.step()
        outputs = generator(image * (1 - mask), mask)
        loss = sum(term.weight * term(outputs, batch) for term in module.losses.values())
        loss = loss + module.adversarial.weight * module.adversarial.generator(
            None, discriminator(outputs.composite, mask), mask
        )
        g_optimizer.zero_grad()
        loss.backward()
        g_optimizer.step()


def test_equals_a_hand_written_loop():
    module, by_hand = make(), make()
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), by_hand.parameters(), strict=True))
    fit(module, 20)
    hand_written(by_hand, samples(), 20)
    for name in ("generator", "discriminator"):
        pairs = zip(getattr(module, name).parameters(), getattr(by_hand, name).parameters(), strict=True)
        assert max((a - b).abs().max() for a, b in pairs) < 1e-6


def test_weight_zero_equals_no_discriminator():
    """The discriminator's presence draws nothing from the generator's randomness."""
    with_zero = make(adversarial=True)
    with_zero.adversarial.weight = 0.0
    without = make(adversarial=False)
    without.generator.load_state_dict(with_zero.generator.state_dict())
    fit(with_zero, 8)
    fit(without, 8)
    for a, b in zip(with_zero.generator.parameters(), without.generator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_batch_norm_statistics_move_once_an_update():
    module = make(generator=ContextEncoder(width=4, levels=2, bottleneck=8))
    fit(module, 5)
    (tracked, *_) = [m.num_batches_tracked for m in module.generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert tracked == 5


def test_batch_norm_does_not_mix_real_and_fake():
    """Patches are judged together, 8 pictures at a time; with batch norm real and fake are two batches of 4."""
    for norm, expected in (("none", [8, 4]), ("batch", [4, 4, 4])):
        module = make(discriminator=Patch(width=4, layers=1, spectral=False, norm=norm))
        sizes = []
        module.discriminator.register_forward_pre_hook(lambda network, given, sizes=sizes: sizes.append(len(given[0])))
        fit(module, 1)
        assert sizes == expected


def test_realism_shows_the_verdict_and_leaves_the_discriminator_alone():
    discriminator = Patch(width=4, layers=1, spectral=True, norm="batch")
    module = make(discriminator=discriminator).train()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    batch = {name: torch.stack([row[name] for row in samples(4)]) for name in ("image", "mask")}
    batch["index"] = torch.arange(4)
    outputs = module.repair(batch)
    shown = module.realism(outputs, batch)
    assert shown.shape == batch["image"].shape and discriminator.training
    assert all(torch.equal(before[name], value) for name, value in discriminator.state_dict().items())
    (logits,) = discriminator.eval()(outputs.composite, batch["mask"]).logits
    nearest = torch.arange(16) * logits.shape[-1] // 16
    expected = 2 * logits[:, 0].sigmoid() - 1
    assert torch.allclose(shown[:, 1], expected[:, nearest][:, :, nearest], atol=1e-6)
    assert make(adversarial=False).realism(outputs, batch) is None


def test_accumulated_parts_give_the_gradient_of_the_whole_batch():
    whole, parts = make(losses={"l2": L2()}), make(losses={"l2": L2()}, accumulate=4)
    fit(whole, 3, batch_size=8)
    fit(parts, 3, batch_size=8)
    # Spectral norm iterates at every forward pass, so the discriminators differ a little: hence the tolerance.
    for a, b in zip(whole.generator.parameters(), parts.generator.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-4)


@pytest.mark.parametrize("of", ["output", "composite"])
def test_what_the_discriminator_judges_in_both_phases(of):
    generator = ContextEncoder(width=4, levels=2, bottleneck=8)
    module = make(generator=generator, adversarial=NonSaturating(weight=0.1, of=of))
    painted, judged = [], []
    module.generator.register_forward_hook(lambda network, given, outputs: painted.append(outputs))
    module.discriminator.register_forward_pre_hook(lambda network, given: judged.append(given[0].detach()))
    fit(module, 1)
    expected = getattr(painted[0], of)
    assert not torch.equal(painted[0].output, painted[0].composite)
    assert torch.equal(judged[0].chunk(2)[1], expected) and torch.equal(judged[1], expected)


def test_r1_is_lazy_and_scaled():
    module = make(r1_gamma=2.0, r1_every=4, discriminator=Patch(width=4, layers=1, spectral=False))
    seen, values = [], []
    original = InpaintingGAN.phase

    def spy(self, name, parts, terms_of):
        def watched(part):
            terms = terms_of(part)
            seen.append((self.updates, name, sorted(terms)))
            if "r1" in terms:
                image = part["image"].clone().requires_grad_(True)
                (gradient,) = torch.autograd.grad(self.discriminator(image, part["mask"]).logits[0].sum(), image)
                gradient = gradient / self.discriminator(image, part["mask"]).logits[0][0].numel()
                squares = gradient.square().sum() / len(image)
                values.append((terms["r1"].item(), 2.0 / 2 * 4 * squares.item()))
            return terms

        return original(self, name, parts, watched)

    InpaintingGAN.phase = spy
    try:
        fit(module, 6)
    finally:
        InpaintingGAN.phase = original
    with_r1 = [update for update, name, terms in seen if "r1" in terms]
    assert [value for value, _ in values] == pytest.approx([expected for _, expected in values], rel=1e-4)
    assert with_r1 == [0, 4] and all(name == "discriminator" for update, name, terms in seen if "r1" in terms)


@pytest.mark.parametrize(("of", "times"), [("mean", 1), ("sum", 256)])
def test_r1_is_of_the_mean_or_the_sum_of_the_logits(of, times):
    """A convolution of 1 x 1 with weights w: a logit's gradient is w at its pixel, and there are 256 of them."""

    class Pixel(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 1, 1)

        def forward(self, image, mask):
            return Verdict((self.layer(image),))

    network = Pixel()
    module = make(discriminator=network, r1_gamma=2.0, r1_every=1, r1_of=of)
    expected = network.layer.weight.square().sum().item() / 256 * times**2
    fit(module, 1)
    assert module.latest["r1"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("precision", "passes"), [("32-true", [4, 4, 4]), ("bf16-mixed", [4, 8, 4])])
def test_r1_shares_the_real_pass_of_the_game(precision, passes):
    """In float32 the truth is judged once, fakes twice; half precision needs a pass in float32 beside it."""
    pictures = []

    class Counted(Patch):
        def forward(self, image, mask):
            pictures.append(len(image))
            return super().forward(image, mask)

    fit(make(discriminator=Counted(width=4, layers=1), r1_gamma=1.0, r1_every=1), 1, precision=precision)
    assert pictures == passes


def test_clipping_bounds_the_step():
    module = make(generator_clip=1e-3, adversarial=False)
    before = weights(module.generator)
    fit(module, 1)
    step = torch.cat([(value.detach() - before[name]).flatten() for name, value in module.generator.named_parameters()])
    assert step.norm().item() == pytest.approx(0.01 * 1e-3, rel=1e-3)


@pytest.mark.parametrize("settings", [{}, {"generator_every": 5}, {"discriminator_every": 3}, {"adversarial_start": 4}])
def test_schedules_count_updates_whoever_steps(settings):
    """So both rates are those of the last update after the last one; the rates of each update are logged."""
    rates = {}

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            for name in ("generator", "discriminator"):
                rates.setdefault(name, []).append(float(trainer.callback_metrics[f"lr/{name}"]))

    schedules = {f"{name}_scheduler": partial(cosine, steps=8) for name in ("generator", "discriminator")}
    trainer = fit(make(**schedules, **settings), 8, callbacks=[Watch()])
    expected = [0.01 * (1 + math.cos(math.pi * update / 8)) / 2 for update in range(8)]
    assert rates["generator"] == rates["discriminator"] == pytest.approx(expected)
    assert [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("limits", "steps", "length", "updates"),
    [
        ({"max_epochs": 2, "max_steps": 1000}, 1000, 6, 6),
        ({"max_epochs": 2, "max_steps": -1}, -1, 6, 6),
        ({"max_epochs": 2, "max_steps": 4}, 4, 4, 4),
        ({"max_epochs": 2, "max_steps": 1000, "limit_train_batches": 2}, 1000, 4, 4),
        ({"max_steps": 4}, 12, 12, 4),  # a length of its own stays
    ],
)
def test_a_schedule_lasts_as_long_as_the_run(limits, steps, length, updates):
    trainer = fit(make(generator_scheduler=partial(cosine, steps=steps)), rows=samples(12), updates=None, **limits)
    done = trainer.global_step
    assert done == updates
    expected = 0.01 * (1 + math.cos(math.pi * done / length)) / 2
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(expected, abs=1e-9)


def test_a_run_that_ends_by_the_clock_alone_has_no_length_for_a_schedule():
    module = make(generator_scheduler=partial(cosine, steps=-1))
    with pytest.raises(Refused, match="generator_scheduler: cosine needs the length of the run"):
        fit(module, -1, max_time="00:00:00:10")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("generator_optimizer", torch.optim.LBFGS, "generator_optimizer: LBFGS computes the loss several times a step"),
        (
            "generator_scheduler",
            lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=3),
            r"generator_scheduler\.total_steps: 3 are fewer than the 4 updates",
        ),
        ("generator_scheduler", torch.optim.lr_scheduler.OneCycleLR, "generator_scheduler: .*missing.*max_lr"),
        (
            "discriminator_scheduler",
            torch.optim.lr_scheduler.ReduceLROnPlateau,
            r"discriminator_scheduler\.mode: give max; it looks at val/hole_psnr",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_update(setting, value, message):
    with pytest.raises(Refused, match=message):
        fit(make(**{setting: value}), 4)


def test_a_plateau_is_one_of_validation():
    def plateau(optimizer):
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=0)

    module = make(generator_scheduler=plateau)
    trainer = fit(module, 1)
    for figure in (20.0, 21.0, 20.5, 20.0):
        module.step_plateaus(figure)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.01 / 4


# ---- the moving average -----------------------------------------------------------------------------------------


def test_the_moving_average_is_there_from_the_start_and_follows():
    module = make(ema_decay=0.9)
    names = set(module.state_dict())
    assert {f"ema.network.{name}" for name in module.generator.state_dict()} < names
    average = copy.deepcopy(module.ema)

    class Follow(L.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            average.update(module.generator, trainer.global_step - 1)

    fit(module, 6, callbacks=[Follow()])
    for a, b in zip(module.ema.parameters(), average.parameters(), strict=True):
        assert torch.equal(a, b)
    assert set(module.state_dict()) == names


def test_validation_measures_the_moving_average():
    module = make(adversarial=False)
    rows = samples(8)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (before,) = trainer.validate(module, DataLoader(rows, batch_size=4), verbose=False)
    for parameter in module.generator.parameters():
        parameter.data.add_(1.0)
    (after,) = trainer.validate(module, DataLoader(rows, batch_size=3), verbose=False)
    assert before == pytest.approx(after, rel=1e-5)
    names = {"hole_l1", "hole_psnr", "psnr", "ssim", "texture"}
    assert set(before) == {f"val/{kind}{name}" for kind in ("", "harmonic_") for name in names}


def test_figures_of_a_batch_in_parts_are_means_over_all_its_samples():
    class Counting(InpaintingGAN):
        def _generator_terms(self, batch, *others):
            self.figures |= {"row": batch["index"].float().mean()}
            return super()._generator_terms(batch, *others)

    module = make(accumulate=2)
    module.__class__ = Counting
    fit(module, 1, samples(5), batch_size=5)
    assert module.figures["row"] == 2, "parts of three and of two"
    assert {"told_apart", "discriminator", "row", "l1"} <= {*module.figures}
