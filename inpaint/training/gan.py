"""The alternating update of discriminator and generator: who plays whom, and by which terms.

`InpaintingGAN.training_step` is the only place where anything is trained; how a network takes its step is in
`phases.py`. A method of the literature differs by the parts that are handed in (generator, discriminator, losses,
optimizers), never by a branch here.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from inpaint import ranks, rng
from inpaint.batch import SAID, Batch, Outputs, Verdict, mismatched, paint, said_to, split, teach, twice
from inpaint.losses.adversarial import Adversarial, judge_for_r1, r1_penalty
from inpaint.losses.term import Term
from inpaint.networks.ema import MovingAverage
from inpaint.schedules import weight_at
from inpaint.settings import Refused, choice, whole
from inpaint.training import seams
from inpaint.training.finite import NonFiniteError, Policy
from inpaint.training.phases import PLATEAU, OptimizerFactory, Phases, SchedulerFactory
from inpaint.training.validation import Validation

warn = rank_zero_only(logging.getLogger("inpaint.training.gan").warning)

VERDICTS = frozenset({"real", "fake"})  # what the discriminator adds to `Outputs`


def _without_verdicts(losses: Mapping[str, Term]) -> dict[str, Term]:
    """The terms that need no discriminator."""
    kept = {name: term for name, term in losses.items() if not set(getattr(term, "needs", ())) & VERDICTS}
    for name in losses:
        if name not in kept:
            warn(f"losses.{name} reads the discriminator, and adversarial=none has none: it is left out")
    return kept


class InpaintingGAN(Phases):
    """A generator that paints holes, trained by reconstruction losses and, if there is one, against a discriminator.

    One *update* is one call of `training_step`, one batch: first the discriminator's phase, then the generator's, which
    the new discriminator judges.
    `trainer.global_step` counts updates. Every forward pass of the generator goes through `batch.teach` in training and
    `batch.paint` elsewhere, so the truth cannot leak in.

    Args:
        generator: ``(image, mask) -> Outputs``.
        losses: named terms ``term(outputs, batch) -> scalar``, each with `weight` and `needs`; the names are logged.
            Those that read verdicts are left out, with a warning, where there is no discriminator.
        generator_optimizer: makes the optimizer of given parameters.
        discriminator: ``(image, mask) -> Verdict``, or None for reconstruction alone.
        adversarial: the game that both play; given if and only if there is a discriminator.
        discriminator_optimizer: likewise; its own learning rate gives a two-time-scale update (TTUR).
        generator_scheduler, discriminator_scheduler: make a learning-rate schedule of an optimizer, which counts
            updates.
        discriminator_every, generator_every: the phase runs at every n-th update.
        adversarial_start: updates of reconstruction alone, before the discriminator enters.
        discriminator_alone: updates from then on in which only the discriminator is trained.
        r1_gamma: weight of the R1 penalty, ``gamma / 2 * |gradient of a picture's score|^2``; 0 is off.
        r1_of: the score: the `mean` of the picture's logits, or their `sum`, see `r1_penalty`.
        r1_every: apply it at every n-th step of the discriminator, n times as strong (lazy, Karras et al. 2020).
        mismatched: share of real pictures under what is said of others, right pictures and wrong texts, in what the
            discriminator learns to call fake (GAN-CLS, Reed et al. 2016, section 4.2: 0.5); 0 is off. The others are of
            the same batch, or part of one; where something else is said of none of them, nothing is changed.
        accumulate: split the batch into this many parts whose gradients are summed, for memory.
        generator_clip, discriminator_clip: largest gradient norm; None is no limit.
        ema_decay: see `MovingAverage`.
        non_finite: what a NaN or infinite loss or gradient does: ``stop`` the run, or ``skip`` the update. Either way
            networks and optimizers are as they were before it.
        max_skipped: so many updates of a run may be skipped; one more stops it.
        seed: keys the noise of each sample, with update and index.
        validation: what validation measures; None is `Validation` without LPIPS.

    Raises:
        Refused: a discriminator without an adversarial loss or the reverse, no loss at all, an impossible number,
            or a loss that needs what `Outputs` does not have.
    """

    def __init__(
        self,
        generator: nn.Module,
        losses: Mapping[str, Term],
        generator_optimizer: OptimizerFactory,
        discriminator: nn.Module | None = None,
        adversarial: Adversarial | None = None,
        discriminator_optimizer: OptimizerFactory | None = None,
        generator_scheduler: SchedulerFactory | None = None,
        discriminator_scheduler: SchedulerFactory | None = None,
        discriminator_every: int = 1,
        generator_every: int = 1,
        adversarial_start: int = 0,
        discriminator_alone: int = 0,
        r1_gamma: float = 0.0,
        r1_of: Literal["mean", "sum"] = "mean",
        r1_every: int = 16,
        mismatched: float = 0.0,
        accumulate: int = 1,
        generator_clip: float | None = None,
        discriminator_clip: float | None = None,
        ema_decay: float = 0.999,
        non_finite: Literal["stop", "skip"] = "stop",
        max_skipped: int = 10,
        seed: int = 0,
        validation: Validation | None = None,
    ) -> None:
        if (discriminator is None) != (adversarial is None):
            raise Refused(
                "discriminator, adversarial: a discriminator needs an adversarial loss and the reverse; choose both, "
                "or discriminator=none adversarial=none"
            )
        if discriminator is not None and discriminator_optimizer is None:
            raise Refused("discriminator_optimizer: missing, and the discriminator cannot learn without one")
        if discriminator is None:
            losses = _without_verdicts(losses)
        if not losses and adversarial is None:
            raise Refused("losses: nothing to train by without a discriminator; choose one, as losses=[l1]")
        if not losses and adversarial_start:
            raise Refused("module.adversarial_start: without losses there is nothing to train by before; set it to 0")
        painter = type(generator).__name__
        if not any(p.requires_grad for p in generator.parameters()):
            raise Refused(f"generator: {painter} has no parameters to train; measure it with inpaint-evaluate")
        for name, term in losses.items():
            if not hasattr(term, "needs"):
                own = type(term).__name__
                raise Refused(f"losses.{name}: {own} has no needs; its __init__ calls super().__init__(weight, needs)")
            given = {"output", "composite", *getattr(generator, "returns", ()), *(VERDICTS if discriminator else ())}
            if missing := set(term.needs) - given:
                raise Refused(f"losses.{name}: needs {sorted(missing)}, which {painter} does not give")
        every = {"discriminator_every": discriminator_every, "generator_every": generator_every, "r1_every": r1_every}
        for name, number in (every | {"accumulate": accumulate}).items():
            whole(f"module.{name}", number, 1)
        for name, number in (("adversarial_start", adversarial_start), ("discriminator_alone", discriminator_alone)):
            whole(f"module.{name}", number, 0)
        limits = {"generator_clip": generator_clip, "discriminator_clip": discriminator_clip}
        for name, limit in (limits | {"r1_gamma": r1_gamma or None}).items():
            if limit is not None and not (isinstance(limit, int | float) and limit > 0):
                raise Refused(f"module.{name}: {limit!r} is no number above 0")

        choice("module.r1_of", r1_of, ("mean", "sum"))
        if not (isinstance(mismatched, int | float) and 0 <= mismatched < 1):
            raise Refused(f"module.mismatched: {mismatched!r} is not at least 0 and below 1")
        if mismatched and not {*getattr(discriminator, "needs", ())} & {*SAID}:
            raise Refused(
                "module.mismatched: nothing is said of pictures to this discriminator; give it a condition, as "
                "discriminator=dcgan 'discriminator.condition={label:10}', or 0"
            )

        super().__init__(
            generator,
            discriminator,
            optimizers={"generator": generator_optimizer, "discriminator": discriminator_optimizer},
            schedulers={"generator": generator_scheduler, "discriminator": discriminator_scheduler},
            clips={"generator": generator_clip, "discriminator": discriminator_clip},
            policy=Policy(non_finite, max_skipped),
        )
        judges = discriminator.modules() if discriminator is not None else ()
        self.judged_apart = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in judges)
        self.losses, self.adversarial = nn.ModuleDict(losses), adversarial
        self.ema = MovingAverage(generator, ema_decay)
        self.discriminator_every, self.generator_every = discriminator_every, generator_every
        self.adversarial_start, self.discriminator_alone = adversarial_start, discriminator_alone
        self.r1_gamma, self.r1_of, self.r1_every = r1_gamma, r1_of, r1_every
        self.mismatched, self.accumulate, self.seed = mismatched, accumulate, seed
        shown = ("discriminator", "penalty", "r1", "adversarial", *losses)
        self.shown = {f"train/{name}" for name in shown}  # while it trains
        self.validation = validation or Validation()

    # ---- the networks -----------------------------------------------------------------------------------------------

    def forward(self, batch: Batch) -> Outputs:
        """Paint with the generator in training."""
        return teach(self.generator, batch)

    def repair(self, batch: Batch) -> Outputs:
        """Paint with the moving average of the generator, as validation and all commands do.

        A sample has the same noise each time, so that pictures of one sample show what was learnt between.
        """
        with rng.of_samples(rng.fold(batch["index"], f"{self.seed} repair")):
            return paint(self.ema.network, batch)

    @torch.no_grad()
    def realism(self, outputs: Outputs, batch: Batch) -> Tensor | None:
        """What the discriminator makes of each part of a picture, to look at; None where there is none.

        ``(B, 3, H, W)`` in [-1, 1], grey: the sigmoid of its logits, the mean over its maps; black is fake, white real.
        The discriminator stays as it is, the running statistics of its layers too.
        """
        if self.discriminator is None or self.adversarial is None:
            return None
        training = self.discriminator.training
        self.discriminator.eval()
        mask = batch["mask"]
        verdict = self.discriminator(
            getattr(outputs, self.adversarial.of).to(mask.dtype), mask, **said_to(self.discriminator, batch)
        )
        self.discriminator.train(training)
        size = mask.shape[-2:]
        maps = [F.interpolate(logits.float().sigmoid().mean(1, keepdim=True), size) for logits in verdict.logits]
        return (2 * torch.stack(maps).mean(dim=0) - 1).expand(-1, 3, -1, -1)

    # ---- the alternating update -------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update: the discriminator's phase, the generator's phase, the moving average."""
        update = self.updates
        rng.seed_all(rng.key(self.seed, "update", self.global_rank, update))
        playing = self.discriminator is not None and update >= self.adversarial_start
        judging = playing and update % self.discriminator_every == 0
        painting = update % self.generator_every == 0 and not (
            playing and update < self.adversarial_start + self.discriminator_alone
        )
        parts = split(batch, self.accumulate)

        self.refused, self.figures, self.latest = None, {}, self.latest if batch_idx else {}
        before = self.before(judging)

        # The discriminator's phase leaves the generator as it is, so one forward pass serves both phases. In several
        # parts it would keep the graphs of all of them alive, which is the memory that parts are meant to save.
        shared = self._painted(batch) if painting and len(parts) == 1 else None

        with seams.one_clock(self.trainer):
            try:
                if judging:
                    self.phase("discriminator", parts, lambda part: self._discriminator_terms(part, shared, update))
                if painting:
                    self.phase("generator", parts, lambda part: self._generator_terms(part, shared, playing))
                ranks.average_statistics(self)
                if painting:
                    self.ema.update(self.generator, update)
            except NonFiniteError as error:
                self.refused = error
                before.restore()
                self.policy.skip_or_stop(error)
        rates = self.rates()
        self.step_schedules()
        self.latest |= self.figures | ({"skipped": float(self.policy.skipped)} if self.policy.skips else {})
        figures = {f"train/{name}": value for name, value in self.latest.items()}
        seams.log(self, figures | {f"lr/{name}": rate for name, rate in rates.items()}, self.shown)

    def _painted(self, batch: Batch) -> Outputs:
        with rng.of_samples(self._keys(batch, "generator")):
            return self(batch)

    def _keys(self, batch: Batch, stream: str) -> Tensor:
        """A sample's noise depends on the update, not on the rank or the part that the sample is in."""
        return rng.fold(batch["index"], f"{self.seed} {self.updates} {stream}")

    def _discriminator_terms(self, batch: Batch, shared: Outputs | None, update: int) -> dict[str, Tensor]:
        """Weighted terms of the discriminator's loss; real and fake go through it together."""
        assert self.discriminator is not None and self.adversarial is not None
        image, mask = batch["image"], batch["mask"]
        if shared is None:
            with torch.no_grad():
                shared = self._painted(batch)
        fake = getattr(shared, self.adversarial.of).detach().to(image.dtype)
        said = said_to(self.discriminator, batch)
        judge = partial(self.discriminator.forward, **said)  # not compiled, as torch cannot differentiate that twice
        judged_for_r1 = None
        if self.r1_gamma > 0 and update // self.discriminator_every % self.r1_every == 0:
            judged_for_r1, watched = judge_for_r1(judge, image, mask)
        if judged_for_r1 is None or torch.is_autocast_enabled(image.device.type):
            judged_real, judged_fake = self._judge(image, fake, mask, said)
        else:  # the penalty's pass serves the game as well, as in LaMa
            judged_real, judged_fake = judged_for_r1, self.discriminator(fake, mask, **said)
        terms = {"discriminator": self.adversarial.discriminator(judged_real, judged_fake, mask)}
        if self.mismatched:
            terms["discriminator"] = self._with_mismatched(terms["discriminator"], judged_real, image, mask, said)
        with rng.of_samples(self._keys(batch, "penalty")):
            if (penalty := self.adversarial.penalty(judge, image, fake, mask)) is not None:
                terms["penalty"] = penalty
        if judged_for_r1 is not None:
            squares = r1_penalty(judged_for_r1, watched, self.r1_of)
            terms["r1"] = self.r1_gamma / 2 * self.r1_every * squares
        real, fake = judged_real.scores().detach(), judged_fake.scores().detach()
        self.figures |= {"logits_real": real.mean(), "logits_fake": fake.mean()}
        self.figures["told_apart"] = (real > fake).float().mean()
        return terms

    def _with_mismatched(
        self, game: Tensor, judged_real: Verdict, image: Tensor, mask: Tensor, said: dict[str, Any]
    ) -> Tensor:
        """The third verdict: what is called fake are made pictures and, for a share, real ones under wrong texts."""
        assert self.discriminator is not None and self.adversarial is not None
        wrong, several = mismatched(said)
        judged_wrong = self.discriminator(image, mask, **wrong)
        self.figures["logits_mismatched"] = judged_wrong.scores().detach().mean()
        texts = self.adversarial.discriminator(judged_real, judged_wrong, mask)
        return torch.where(several, torch.lerp(game, texts, self.mismatched), game)

    def _judge(self, image: Tensor, fake: Tensor, mask: Tensor, said: dict[str, Any]) -> tuple[Verdict, Verdict]:
        """The verdicts on real and fake, which go through the discriminator together.

        Not where it has batch norm: the generator's phase shows it fake pictures alone, so each kind keeps statistics
        of its own, as in the papers (DCGAN, Context Encoder, LaMa).
        """
        assert self.discriminator is not None
        if self.judged_apart:
            return self.discriminator(image, mask, **said), self.discriminator(fake, mask, **said)
        return self.discriminator(torch.cat([image, fake]), torch.cat([mask, mask]), **twice(said)).halves()

    def _generator_terms(self, batch: Batch, shared: Outputs | None, playing: bool) -> dict[str, Tensor]:
        """Weighted terms of the generator's loss."""
        outputs = shared if shared is not None else self._painted(batch)
        if playing:
            outputs = self._judged(outputs, batch)
        if outputs.posterior is not None:
            self.figures |= outputs.posterior.figures()
        update = self.updates
        terms = {
            name: weight_at(term.weight, update) * term(outputs, batch)
            for name, term in self._terms()
            if playing or not term.needs & VERDICTS
        }
        if playing:
            assert self.adversarial is not None and outputs.fake is not None
            game = self.adversarial.generator(outputs.real, outputs.fake, batch["mask"])
            terms["adversarial"] = weight_at(self.adversarial.weight, update) * game
        return terms

    def _terms(self) -> Iterable[tuple[str, Term]]:
        return cast(Iterable[tuple[str, Term]], self.losses.items())

    def _judged(self, outputs: Outputs, batch: Batch) -> Outputs:
        """With the verdict on what was painted, and on the truth if anything looks at that."""
        assert self.discriminator is not None and self.adversarial is not None
        image, mask, fake = batch["image"], batch["mask"], getattr(outputs, self.adversarial.of)
        said = said_to(self.discriminator, batch)
        if self.adversarial.needs_real or any("real" in term.needs for _, term in self._terms()):
            real_verdict, fake_verdict = self._judge(image, fake.to(image.dtype), mask, said)
            return replace(outputs, real=real_verdict, fake=fake_verdict)
        return replace(outputs, fake=self.discriminator(fake, mask, **said))

    # ---- validation -------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Begin anew."""
        self.validation.start()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the moving average's composites."""
        self.validation.update(self.repair(batch), batch)

    def on_validation_epoch_end(self) -> None:
        """Log the means over all ranks' samples; the sanity check has seen some of them only."""
        if not self.trainer.sanity_checking:
            figures = self.validation.compute()
            self.log_dict({f"val/{name}": value for name, value in figures.items()})
            self.step_plateaus(figures[PLATEAU])
