"""What a run notices about itself: ranks that are not alike, batches that broke an update, a game that is over."""

import hashlib
import io
import json
import logging
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from inpaint import ranks, rng
from inpaint.batch import Batch, Outputs, given, noise_of, paint, with_noise
from inpaint.files.folder import replacing
from inpaint.provenance import flat
from inpaint.settings import Refused, whole
from inpaint.training.run_logger import told
from inpaint.training.verdicts import Validations, Windows, apart, change, spread

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
    - Samples are all alike, where a generator paints from noise: two fills of one hole, by the moving average, differ
      by less than 2 % of what true pictures do.
    - A gradient exploded: its norm is 100 times the median of the windows before. R1 exploded: it is more than ten
      times the discriminator's loss without an opinion.

    And it looks at the validations, of which the first stands for the beginning, from the one after `validations` on:

    - The model is not better than the harmonic fill, neither in hole PSNR nor in LPIPS (where that is not measured, the
      texture error).
    - The loss has not moved: the hole's L1 is within 0.2 % of what it was at first.

    Validations are not looked at where nothing is known of the pictures, as what is made then is none of them.

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
                if noise_of(module.generator) is not None:
                    self._add("apart", apart(*_two_fills(module.ema.network, painted), image, mask))

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


@torch.no_grad()
def _two_fills(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """What a network in evaluation makes of a batch by two lots of noise, the same each time: ``(B, 3, H, W)``."""
    first, second = (rng.fold(batch["index"], f"watch {lot}") for lot in (1, 2))

    def fill(keys: Tensor) -> Tensor:
        return paint(network, with_noise(network, batch, keys)).output.float()

    return fill(first), fill(second)


@rank_zero_only
def _warn(trainer: L.Trainer, title: str, text: str) -> None:
    """Say it in the log and to whoever watches the dashboard."""
    log.warning("%s: %s", title, text)
    for logger in told(trainer):
        logger.alert(title, text)
