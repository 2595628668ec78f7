"""NaN and infinity in a loss, in a gradient only, in one rank only: no parameter moves anywhere, and it is told.

Real: the trainer, two gloo processes, the files. Stand-in: the term that makes the NaN.
"""

from pathlib import Path

import pytest
import torch
from torch import nn

from inpaint.losses.reconstruction import L1
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.context_encoder import ContextEncoder
from inpaint.training import seams
from inpaint.training.finite import NonFiniteError
from inpaint.training.watch import NonFiniteBatches
from tests.reliability.ranks import fit, loader, rows, state, together
from tests.reliability.runs import assert_equal
from tests.training.gan import sgd, tiny

BAD = (2, 3)  # updates at which the term below is not finite


class Poison(nn.Module):
    """L1 that is not finite at the updates of `BAD`: as a loss, or in its gradient alone."""

    weight, needs = 1.0, frozenset({"output"})

    def __init__(self, how, here=True, at=BAD):
        super().__init__()
        self.how, self.here, self.at, self.update = how, here, at, -1

    def forward(self, outputs, batch):
        self.update += 1
        loss = (outputs.output - batch["image"]).abs().mean()
        if not self.here or self.update not in self.at:
            return loss
        if self.how == "gradient":
            # sqrt has an infinite slope at 0, and 0 * inf is NaN: the value is finite, the gradient is not.
            return loss + 0 * torch.sqrt(outputs.output - outputs.output.detach()).sum()
        return loss * float(self.how)


class Before(NonFiniteBatches):
    """Writes refused batches, and remembers the weights before each update."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        super().on_train_batch_start(trainer, module, batch, batch_idx)
        self.before = state(module)


def changed(before, module):
    return [name for name, value in module.state_dict().items() if not torch.equal(before[name], value)]


def poisoned(rank, ranks, folder, how, where, **settings):
    """Train with poison in rank `where`; the error, what changed in the update, and the module's state."""
    norms = {
        "generator": ContextEncoder(width=4, levels=2, bottleneck=8),
        "discriminator": Patch(width=4, layers=1, norm="batch", spectral=False),
    }
    module = tiny(losses={"poison": Poison(how, here=rank == where)}, **norms, **settings)
    watch = Before(folder)
    try:
        fit(module, loader(rows(), 4, rank, ranks), 6, [watch], ranks)
    except NonFiniteError as error:
        return {"error": str(error), "mine": error.mine, "changed": changed(watch.before, module)}
    return {"state": state(module), "skipped": module.policy.skipped}


@pytest.mark.parametrize("how", ["nan", "inf", "gradient"])
def test_one_ranks_poison_stops_all_and_changes_nothing(how, tmp_path):
    found = together(poisoned, 2, str(tmp_path), how, 1)
    said = "a gradient" if how == "gradient" else "the loss poison"
    for result in found:
        assert result["error"].startswith(f"update 2, generator phase: {said} is NaN or infinite")
        assert result["changed"] == [], "the discriminator, which stepped before, has stepped back"
    assert [result["mine"] for result in found] == [False, True]

    (written,) = tmp_path.iterdir()
    assert written.name == "update_00000002_rank1.pt"
    content = torch.load(written, weights_only=True)
    assert content["update"] == 2 and content["phase"] == "generator" and content["message"] == found[1]["error"]
    assert content["batch"]["index"].tolist() == [row["index"] for row in rows()[1::2][8:12]]
    assert content["batch"]["image"].equal(torch.stack([row["image"] for row in rows()[1::2][8:12]]))


@pytest.mark.parametrize("how", ["nan", "gradient"])
def test_ranks_skip_together(how, tmp_path):
    first, second = together(skipping, str(tmp_path), how)
    assert first["skipped"] == second["skipped"] == len(BAD)
    for name, value in first["state"].items():
        assert value.isfinite().all(), name
        assert torch.equal(value, second["state"][name]), name


def skipping(rank, folder, how):
    return poisoned(rank, 2, folder, how, 1, non_finite="skip")


def test_the_discriminators_phase_is_named_and_left_as_it_was():
    module = tiny()
    module.discriminator.last.bias.data.fill_(torch.nan)
    before = state(module)
    with pytest.raises(NonFiniteError, match=r"update 0, discriminator phase: the loss discriminator is NaN"):
        fit(module, loader(rows(), 4), 2)
    assert [name for name in changed(before, module) if "last.bias" not in name] == []


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2)


def constant(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: 1.0)


class Rough(L1):
    """L1 that is not finite on pictures that have the number 0.125 in a corner: the generator's phase breaks alone."""

    def forward(self, outputs, batch):
        return super().forward(outputs, batch) * (torch.nan if (batch["image"][:, 0, 0, 0] == 0.125).any() else 1.0)


@pytest.mark.parametrize("phase", ["discriminator", "generator"])
@pytest.mark.parametrize("first", [0, 8])
def test_a_skipped_update_is_one_that_never_was(phase, first):
    """Two skipped updates leave what a run without these batches has, but for the clock; also before Adam has a state.

    Networks, their statistics and optimizers; schedules are part of the clock.
    """
    samples = rows()
    spoilt = list(samples)
    for row in range(first, first + 8):
        image = samples[row]["image"] * torch.nan if phase == "discriminator" else samples[row]["image"].clone()
        image[:, 0, 0] = 0.125
        spoilt[row] = samples[row] | {"image": image}

    def make(**settings):
        settings |= {f"{name}_optimizer": adam for name in ("generator", "discriminator")}
        settings |= {f"{name}_scheduler": constant for name in ("generator", "discriminator")}
        norm = Patch(width=4, layers=1, norm="batch")
        generator = ContextEncoder(width=4, levels=2, bottleneck=8)
        return tiny(generator=generator, discriminator=norm, losses={"rough": Rough()}, ema_decay=0.0, **settings)

    with_bad, without = make(non_finite="skip"), make()
    without.load_state_dict(with_bad.state_dict())
    skipped = fit(with_bad, loader(spoilt, 4), 6)
    never = fit(without, loader(samples[:first] + samples[first + 8 :], 4), 4)
    assert skipped.global_step == 6 and with_bad.policy.skipped == 2
    for name, value in without.state_dict().items():
        assert torch.equal(value, with_bad.state_dict()[name]), name
    for ours, theirs in zip(skipped.optimizers, never.optimizers, strict=True):
        assert_equal(ours.state_dict(), theirs.state_dict(), "optimizer")
    assert [s.scheduler.last_epoch for s in skipped.lr_scheduler_configs] == [6, 6], (
        "they count updates, skipped or not"
    )


def test_skips_are_counted_in_the_metrics_and_limited(tmp_path):
    seen = []

    class Count(NonFiniteBatches):
        def on_train_batch_end(self, trainer, module, *rest):
            super().on_train_batch_end(trainer, module, *rest)
            seen.append(int(trainer.callback_metrics["train/skipped"]))

    fit(tiny(losses={"poison": Poison("nan")}, non_finite="skip"), loader(rows(), 4), 5, [Count(str(tmp_path / "a"))])
    assert seen == [0, 0, 1, 2, 2]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [f"update_{n:08d}_rank0.pt" for n in BAD]

    limited = tiny(losses={"poison": Poison("nan")}, non_finite="skip", max_skipped=1)
    with pytest.raises(NonFiniteError, match=r"update 3, .*1 updates were skipped before, as many as module\.max_skip"):
        fit(limited, loader(rows(), 4), 5, [Count(str(tmp_path / "b"))])
    assert len(list((tmp_path / "b").iterdir())) == 2


def test_the_count_goes_on_after_a_resume():
    module = tiny(losses={"poison": Poison("nan")}, non_finite="skip")
    trainer = fit(module, loader(rows(), 4), 4)
    stored = seams.state_of(trainer)
    again = tiny(losses={"poison": Poison("nan")}, non_finite="skip")
    again.on_load_checkpoint(stored)
    assert again.policy.skipped == 2
    again.on_load_checkpoint({})  # written before there was a count
    assert again.policy.skipped == 0


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_half_precision_is_treated_alike(precision):
    """bfloat16 has the exponents of float32, so nothing overflows that would not in float32; losses are float32."""
    module = tiny(losses={"poison": Poison("inf")}, non_finite="skip")
    trainer = fit(module, loader(rows(), 4), 5, precision=precision)
    assert trainer.global_step == 5 and module.policy.skipped == 2
    assert all(value.isfinite().all() for value in module.parameters())


def test_in_parts_one_bad_part_is_enough():
    module = tiny(losses={"l1": L1()}, accumulate=4, non_finite="skip")
    samples = rows(16)
    samples[6] = samples[6] | {"image": samples[6]["image"] * torch.inf}
    fit(module, loader(samples, 8), 2)
    assert module.policy.skipped == 1 and all(value.isfinite().all() for value in module.parameters())


def test_unwritable_batches_do_not_hide_the_error(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NonFiniteError, match="update 2, generator phase"):
        fit(tiny(losses={"poison": Poison("nan")}), loader(rows(), 4), 5, [NonFiniteBatches(str(tmp_path / "file"))])
    assert "could not be written" in caplog.text


def test_a_full_disk_stops_no_run_that_skips(tmp_path, caplog, monkeypatch):
    """Real: the kernel's refusal, of /dev/full in place of the first batch."""
    write = Path.write_bytes

    def full(path, content):
        return write(Path("/dev/full") if path.name.startswith(".update_00000002") else path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    module = tiny(losses={"poison": Poison("nan")}, non_finite="skip")
    assert fit(module, loader(rows(), 4), 5, [NonFiniteBatches(str(tmp_path))]).global_step == 5
    assert "update 2, generator phase" in caplog.text and "No space left on device" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["update_00000003_rank0.pt"], "and no half file stays"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"non_finite": "ignore"}, r"module\.non_finite: give one of stop, skip; got 'ignore'"),
        ({"max_skipped": 0}, r"module\.max_skipped: 0 is no whole number from 1 up"),
        ({"max_skipped": 1.5}, r"module\.max_skipped: 1\.5 is no whole number"),
    ],
)
def test_impossible_policies(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(generator_optimizer=sgd, **settings)
