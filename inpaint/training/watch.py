"""What a run notices about itself: ranks that are not alike, batches that broke an update, a game that is over."""

import hashlib
import io
import json
import logging
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from inpaint import ranks
from inpaint.batch import Batch, Outputs, given
from inpaint.files.folder import replacing
from inpaint.provenance import flat
from inpaint.settings import Refused, whole
from inpaint.training.run_logger import told
from inpaint.training.validation import Validation

log = logging.getLogger("inpaint.training.watch")


class RankAgreement(Callback):
    """Every rank has the same config and beginning, and the same weights and buffers at each checkpoint.

    Ranks that were started with different settings, or of which one does not see the checkpoint that the others go on
    from, would train on, averaging gradients of different runs.

    Args:
        config: the resolved config as a plain dict.

    Raises:
        Refused: in `setup`, with every setting that differs.
        RuntimeError: before a checkpoint is written, with the first tensor that differs.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Compare the configs, and with them the files that the ranks go on from."""
        own = self.config | {"resume": Path(trainer.ckpt_path).name if trainer.ckpt_path else None}
        first, *others = (flat(json.loads(text)) for text in ranks.gather_texts(json.dumps(own)))
        differences = [
            f"{key}: {first.get(key)} on rank 0, {other.get(key)} on rank {rank}"
            for rank, other in enumerate(others, 1)
            for key in sorted({*first, *other})
            if first.get(key) != other.get(key)
        ]
        if differences:
            raise Refused(
                "trainer.devices: the ranks were started with different settings; start all of them by one command "
                "(and, from torchrun or srun, with one hydra.run.dir that all of them see):\n" + "\n".join(differences)
            )

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, state: dict[str, Any]) -> None:
        """Compare the weights; Lightning calls this on all ranks."""
        if ranks.count() == 1:
            return
        tensors = {name: value for name, value in state["state_dict"].items() if isinstance(value, Tensor)}
        digests = torch.tensor([_digest(value) for value in tensors.values()], device=pl_module.device)
        alike = (ranks.gather(digests) == digests).all(dim=0).tolist()
        if different := [name for name, same in zip(tensors, alike, strict=True) if not same]:
            raise RuntimeError(
                f"update {trainer.global_step}: the ranks have drifted apart, in {len(different)} of {len(tensors)} "
                f"tensors, {different[0]} first; no checkpoint was written. Whatever changes a network must do so on "
                "every rank alike"
            )


def _digest(tensor: Tensor) -> int:
    """64 bits of the sha256 of a tensor's bytes."""
    content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return int.from_bytes(hashlib.sha256(content.data).digest()[:8], "little", signed=True)


class NonFiniteBatches(Callback):
    """Writes the batch of an update that was refused, for a look at what was in it.

    ``update_00000012_rank0.pt`` holds update, phase and message, and the batch on the CPU;
    ``torch.load(path, weights_only=True)`` reads it. Only ranks whose own numbers were at fault write.

    Args:
        folder: where they are written.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.batch: Batch | None = None

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        """Remember the batch."""
        self.batch = batch

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Write it, if the update was skipped."""
        self._write(trainer, pl_module)

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Write it, if that stops the run."""
        self._write(trainer, pl_module)

    def _write(self, trainer: L.Trainer, pl_module: Any) -> None:
        refused, batch, self.batch = pl_module.refused, self.batch, None
        if refused is None or not refused.mine or batch is None:
            return
        content = {
            "update": refused.update,
            "phase": refused.phase,
            "message": str(refused),
            "batch": {name: value.cpu() if isinstance(value, Tensor) else value for name, value in batch.items()},
        }
        path = self.folder / f"update_{refused.update:08d}_rank{trainer.global_rank}.pt"
        stream = io.BytesIO()  # on a full disk torch raises errors of its own, and leaves a part of the file
        torch.save(content, stream)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as scratch:
                scratch.write_bytes(stream.getbuffer())
        except OSError as error:  # the message of the update must not get lost for it
            log.warning("%s Its batch could not be written (%s)", refused, error)
        else:
            log.warning("%s Its batch is in %s", refused, path)


# Shares and factors beyond which `CollapseWatch` speaks.
WON = 0.05  # of the discriminator's loss where it has no opinion
APART = 0.98  # pictures whose truth scores above their repair
RETURNED = 0.05  # of what separates the initial fill from the truth
LONG = 2  # windows in a row, for what may be so for a while
STILL = 0.002  # of the first validation's hole L1
LOST = 0.55  # pictures whose truth scores above their repair; 1/2 is chance
DEAD = 0.02  # differences between painted pictures, of those between the true ones
EXPLODED = 100.0  # times the median of the windows before
PENALTY = 10.0  # times the discriminator's loss where it has no opinion


class Windows:
    """What is wrong with a window of updates, beside the windows before it."""

    def __init__(self) -> None:
        self.lasting = {"told_apart": 0, "change": 0}  # windows in a row beyond `APART`, below `RETURNED`
        self.past: dict[str, list[float]] = {}  # gradients of the windows before

    def verdicts(self, means: dict[str, float], module: Any) -> dict[str, str]:
        """By their titles, from the window's means of `InpaintingGAN.figures`, of `spread` and of `change`."""
        found = {}
        self._count("told_apart", means.get("told_apart", 0.0) >= APART)
        self._count("change", means.get("change", 1.0) < RETURNED)
        blind = module.adversarial.blind if module.adversarial is not None else None
        if blind is not None and means.get("discriminator", blind) < WON * blind:
            found["the discriminator has won"] = (
                f"its loss is {means['discriminator']:.3g}, without an opinion it would be {blind:.3g}; it may have "
                f"nothing left to teach; {_calmer(module)}"
            )
        elif self.lasting["told_apart"] >= LONG:
            found["the discriminator tells practically all apart"] = (
                f"it scores the truth above its repair in {means['told_apart']:.1%} of the pictures, "
                f"{self.lasting['told_apart']} windows in a row, and a generator that cannot win gives up; "
                f"{_calmer(module)}"
            )
        if means.get("told_apart", 1.0) < LOST:
            found["the discriminator has lost"] = (
                f"it scores the truth above its repair in {means['told_apart']:.0%} of the pictures, 50 % is chance; a "
                "higher discriminator_optimizer.lr or a lower adversarial.weight may help"
            )
        if means.get("spread", 1.0) < DEAD:
            found["the generator does not depend on its input"] = (
                f"what it paints in holes differs between pictures by {means['spread']:.2%} of what the truth does"
            )
        if self.lasting["change"] >= LONG:
            found["the generator returns what it started from"] = (
                f"in holes it is {means['change']:.1%} as far from its initial fill as the truth is; "
                f"{_faster(module) if module.adversarial is None else _calmer(module)}"
            )
        for name, earlier in self.past.items():
            if means.get(name, 0.0) > EXPLODED * median(earlier) > 0:
                network = name.removesuffix("_gradient")
                found[f"the gradient of the {network} exploded"] = (
                    f"its norm is {means[name]:.3g}, before it was {median(earlier):.3g}; module.{network}_clip=1 or a "
                    f"lower {network}_optimizer.lr may help"
                )
        if "r1" in means and means["r1"] / module.r1_every > PENALTY * (blind or 1.0):
            found["R1 exploded"] = (
                f"it adds {means['r1'] / module.r1_every:.3g} to an update's loss on average, where a discriminator "
                f"without an opinion pays {blind or 1.0:.3g}; a lower module.r1_gamma or discriminator_optimizer.lr "
                "may help"
            )
        for name in ("generator_gradient", "discriminator_gradient"):
            if name in means:
                self.past.setdefault(name, []).append(means[name])
        return found

    def _count(self, name: str, beyond: bool) -> None:
        self.lasting[name] = self.lasting[name] + 1 if beyond else 0


class Validations:
    """What is wrong with a validation, beside the harmonic fill and beside the first validation.

    Args:
        patience: how many may pass before one has to show something.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.hole_l1: list[float] = []  # of each validation

    def verdicts(self, validation: Validation, module: Any) -> dict[str, str]:
        """By their titles; none before there were enough validations to show something."""
        self.hole_l1.append(validation.figures["hole_l1"])
        found: dict[str, str] = {}
        if len(self.hole_l1) <= self.patience:
            return found
        if validation.gain("hole_psnr") <= 0 and validation.gain(validation.seen) <= 0:
            calmer = "losses.l1.weight=10 or adversarial=none show what is reached with less of a game, or none"
            found[f"the model is not better than the {validation.fill_title}"] = (
                f"{validation.line()}, after {len(self.hole_l1)} validations; "
                f"{calmer if module.adversarial is not None else _faster(module)}"
            )
        first, now = self.hole_l1[0], self.hole_l1[-1]
        if abs(now - first) <= STILL * first:
            found["the loss has not moved"] = (
                f"the hole's L1 is {now:.4g} %, and was {first:.4g} % {len(self.hole_l1) - 1} validations ago; "
                f"{_faster(module)}"
            )
        return found


class CollapseWatch(Callback):
    """Warns in the log, and at Weights & Biases, when training goes on but the game is over.

    It looks at means over windows of `every` updates:

    - The discriminator has won: its loss is below 5 % of what it pays without an opinion (`Adversarial.blind`).
    - It tells practically all apart: it scores the truth above its repair in 98 % of the pictures, two windows long.
    - It has lost: it scores the truth above its repair in less than 55 % of the pictures.
    - The generator returns what it started from, if it has an initial fill: over the hole, its output is less than 5 %
      as far from that as the truth is, as root mean square, two windows long.
    - The generator is dead: over the hole, what it paints differs between pictures by less than 2 % of what the truth
      does, as root mean square deviations from the mean picture of a batch. Batches of one picture are not looked at.
    - A gradient exploded: its norm is 100 times the median of the windows before. R1 exploded: it is more than ten
      times the discriminator's loss without an opinion.

    And it looks at the validations, of which the first stands for the beginning, from the one after `validations` on:

    - The model is not better than the harmonic fill, neither in hole PSNR nor in LPIPS (where that is not measured, the
      texture error).
    - The loss has not moved: the hole's L1 is within 0.2 % of what it was at first.

    Each is said when it begins, and again if it went away in between, with its figure and settings to try. Figures add
    up on the device, which is waited for once a window.

    Args:
        every: updates a window.
        validations: how many may pass before one has to show something.

    Raises:
        Refused: a number that is less than 1.
    """

    def __init__(self, every: int = 500, validations: int = 5) -> None:
        self.every = whole("callbacks.collapse.every", every, 1)
        self.windows = Windows()
        self.validations = Validations(whole("callbacks.collapse.validations", validations, 1))
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.updates = 0
        self.known: dict[str, set[str]] = {}
        self.hook: Any = None

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        """Look at what is painted in the last update of a window."""

        def keep(module: Any, arguments: Any, outputs: Any) -> None:
            if isinstance(outputs, Outputs):  # DDP sends whole training steps through the module's call, too
                output, (painted,) = outputs.output.detach().float(), arguments
                image, mask = painted["image"], painted["mask"]
                self._add("spread", spread(output, image, mask))
                if (initial_fill := getattr(module.generator, "initial_fill", None)) is not None:
                    self._add("change", change(output, initial_fill(given(painted), mask), image, mask))

        if (trainer.global_step + 1) % self.every == 0:
            self.hook = pl_module.register_forward_hook(keep)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add up, and judge at the end of a window."""
        for name, value in pl_module.figures.items():
            self._add(name, value)
        self.updates += 1
        if trainer.global_step % self.every == 0:
            self._forget_hook()
            if self.updates == self.every:  # not the rest of a window, after a resume
                self._judge(trainer, pl_module)
            self.sums, self.counts, self.updates = {}, {}, 0

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Leave the module as it was."""
        self._forget_hook()

    def _forget_hook(self) -> None:
        if self.hook is not None:
            self.hook.remove()
            self.hook = None

    def _add(self, name: str, value: Tensor) -> None:
        self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
        self.counts[name] = self.counts.get(name, 0) + 1

    def _judge(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not self.sums:
            return
        totals = torch.stack([value.float() for value in self.sums.values()]).tolist()
        means = {name: total / self.counts[name] for name, total in zip(self.sums, totals, strict=True)}
        found = self.windows.verdicts(means, pl_module)
        self._say(trainer, "window", found, f"updates {trainer.global_step - self.every} to {trainer.global_step}")

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Judge what was validated."""
        if trainer.sanity_checking:
            return
        found = self.validations.verdicts(pl_module.validation, pl_module)
        self._say(trainer, "validation", found, f"validation at update {trainer.global_step}")

    def _say(self, trainer: L.Trainer, source: str, found: dict[str, str], when: str) -> None:
        """Each kind of verdict of a source when it begins."""
        for kind, text in found.items():
            if kind not in self.known.get(source, ()):
                _warn(trainer, kind, f"{when}: {text}")
        self.known[source] = set(found)


def spread(output: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """How much painted pictures differ from each other over the hole, relative to how much the true ones do.

    output, image ``(B, 3, H, W)``; mask ``(B, 1, H, W)``, 1 = hole. Each pixel of a picture's hole is compared with the
    mean of that pixel over all pictures that have a hole there; returns the ratio of the root mean squares, a scalar,
    1 where nothing can be compared.
    """
    holes = mask.sum(dim=0, keepdim=True)
    shared = mask * (holes > 1)

    def variation(picture: Tensor) -> Tensor:
        mean = (picture * mask).sum(dim=0, keepdim=True) / holes.clamp_min(1)
        return ((picture - mean).square() * shared).sum().sqrt()

    true = variation(image)
    return torch.where(true > 0, variation(output) / true.clamp_min(1e-12), 1.0)


def change(output: Tensor, fill: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """How far painted pictures are from an initial fill over the hole, relative to how far the truth is.

    output, fill, image ``(B, 3, H, W)``; mask ``(B, 1, H, W)``, 1 = hole. The ratio of the root mean squares, a scalar:
    0 where nothing was changed, 1 where nothing separates the fill from the truth.
    """
    true = ((image - fill) * mask).square().sum().sqrt()
    return torch.where(true > 0, ((output - fill) * mask).square().sum().sqrt() / true.clamp_min(1e-12), 1.0)


def _calmer(module: Any) -> str:
    """Two settings that hold a discriminator back."""
    rate = _rate(module, "discriminator") / 3
    return f"module.r1_gamma={max(10.0, 3 * module.r1_gamma):g} or discriminator_optimizer.lr={rate:.0e} hold it back"


def _faster(module: Any) -> str:
    """Two settings that let a generator learn more."""
    return f"generator_optimizer.lr={3 * _rate(module, 'generator'):.0e} or a larger generator.width may help"


def _rate(module: Any, network: str) -> float:
    """The learning rate that a network's schedule began with."""
    optimizer = module.optimizer_of(network)
    group = optimizer.param_groups[0]
    return float(group.get("initial_lr", group["lr"]))


@rank_zero_only
def _warn(trainer: L.Trainer, title: str, text: str) -> None:
    """Say it in the log and to whoever watches the dashboard."""
    log.warning("%s: %s", title, text)
    for logger in told(trainer):
        logger.alert(title, text)
