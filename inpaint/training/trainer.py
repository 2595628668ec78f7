"""Lightning's trainer, and by which arithmetic it computes: what this machine does fastest, or what is exact."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from inpaint import rng
from inpaint.batch import Batch, paint, said_to
from inpaint.settings import choice
from inpaint.training.phases import PHASES, Phases

log = logging.getLogger("inpaint.training.trainer")
say = rank_zero_only(log.info)

AUTO: Final = "auto"
# The settings that decide it, each with its value in float32 without any haste.
REFERENCE: Final[dict[str, str | bool]] = {
    "precision": "32-true",
    "memory_format": "contiguous",
    "fused": False,
    "compile": False,
    "tf32": False,
}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
WRONG = 0.1  # relative error of a gradient in bfloat16, which rounds to 0.004


class Trainer(L.Trainer):
    """Lightning's, with what it does not have: how networks lie in memory, and what is fused and compiled.

    Args:
        memory_format: of the networks' weights, and with them of what passes through; the figures stay the same.
        fused: optimizers that can step in one kernel do so.
        compile: `torch.compile` of the networks; the first updates take the time of it. Penalties on gradients stay as
            they are, as torch cannot differentiate a compiled network twice.
        tf32: products in float32 with 10 bits of mantissa on a GPU that has them (Ampere and later).
        arguments: those of `lightning.Trainer`, the callbacks apart.

    Raises:
        Refused: `memory_format` is none of the two.
    """

    def __init__(
        self,
        memory_format: Literal["contiguous", "channels_last"] = "contiguous",
        fused: bool = False,
        compile: bool = False,
        tf32: bool = False,
        callbacks: list[Callback] | None = None,
        **arguments: Any,
    ) -> None:
        choice("trainer.memory_format", memory_format, LAYOUTS)
        self.tf32 = tf32
        arithmetic = Arithmetic(memory_format, fused, compile)
        super().__init__(callbacks=[arithmetic, *(callbacks or ())], **arguments)

    def fit(self, *arguments: Any, **settings: Any) -> None:
        """Train, with the precision of float32 products as it was before afterwards."""
        with _products_of(self.tf32):
            super().fit(*arguments, **settings)


class Arithmetic(Callback):
    """Lays the networks out, compiles them, and lets the module's optimizers step in one kernel.

    Args:
        memory_format, fused, compile: as of `Trainer`.
    """

    def __init__(self, memory_format: str, fused: bool, compile: bool) -> None:
        self.layout = LAYOUTS[memory_format]
        self.fused, self.compile = fused, compile

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Before the optimizers are made of the parameters."""
        if isinstance(pl_module, Phases):
            pl_module.fused = self.fused
        _lay_out(pl_module, self.layout)
        if self.compile:
            for name in PHASES:
                if (network := getattr(pl_module, name)) is not None:
                    for block in _blocks(network):
                        block.compile()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lay the moments out as their weights, which those of a checkpoint need not be.

        torch's step in one kernel on a CPU takes both for equally laid out (2.13), and is wrong where they are not.
        """
        for optimizer in trainer.optimizers:
            for parameter, held in optimizer.state.items():
                for name, value in held.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        held[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock before the first update, which compiles."""
        self.started = time.monotonic() if self.compile else None

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Say once how long that took."""
        if self.compile and self.started is not None and trainer.is_global_zero:
            self.compile = False
            say(f"trainer.compile: the first update took {time.monotonic() - self.started:.0f} s with it")


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The modules that a network's `forward` calls.

    They are compiled one by one: it takes less time than all of them together, and what lies between them, such as the
    fill that a network starts from or the choice to compute a block twice, is no work of a compiler's.
    """
    apart = nn.ModuleList | nn.ModuleDict
    if getattr(network, "checkpointing", False):
        apart |= nn.Sequential
    for child in network.children():
        if isinstance(child, apart) or getattr(child, "checkpointing", False):
            yield from _blocks(child)
        else:
            yield child


def _lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    """Kernels of two dimensions in `layout`; everything else stays as it is."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=layout)


@contextmanager
def _products_of(tf32: bool) -> Iterator[None]:
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution


# ---- what `auto` is --------------------------------------------------------------------------------------------------


def settle(settings: Any, module: Phases, batch: Callable[[], Batch]) -> None:
    """Put the values in place of ``auto``, and say them in a line.

    bfloat16 is taken where the hardware multiplies it and gets the gradients of these networks right; where it was
    asked for, a wrong gradient and hardware that has no bfloat16 are warned of.

    Args:
        settings: of the trainer, a mapping; it is changed.
        module: with the networks. A generator that is faster in another layout on a processor says so by
            `memory_format`.
        batch: makes a batch of one picture on the CPU.
    """
    device = _device(str(settings.accelerator))
    automatic = [name for name in REFERENCE if settings.get(name, REFERENCE[name]) == AUTO]
    best = fastest(device)
    if device == "cpu":
        best["memory_format"] = getattr(module.generator, "memory_format", best["memory_format"])
    for name in automatic:
        settings[name] = best[name]
    if settings.precision == "bf16-mixed" and device in ("cpu", "cuda") and not multiplies_bfloat16(device):
        hardware = "processor" if device == "cpu" else "GPU"
        log.warning(
            f"trainer.precision=bf16-mixed: this {hardware} does not multiply bfloat16 and is many times slower with "
            "it; trainer.precision=32-true is the faster one here"
        )
    doubt = ""
    if device == "cpu" and settings.precision == "bf16-mixed" and (wrong := wrong_gradients(module, batch())):
        doubt = f"bfloat16 gradients of {wrong} are wrong on this processor"
        if "precision" in automatic:
            settings.precision = "32-true"
        else:
            log.warning(f"trainer.precision=bf16-mixed: {doubt}; trainer.precision=32-true has them right")
    if automatic:
        choices = ", ".join(f"{name}={str(settings[name]).lower()}" for name in automatic)
        reason = f", as {doubt}" if doubt and "precision" in automatic else ""
        say(f"trainer: {choices}{reason}; trainer=reference is exact float32")


def fastest(device: str) -> dict[str, str | bool]:
    """What a kind of device computes fastest with."""
    return {
        "precision": "bf16-mixed" if multiplies_bfloat16(device) else "32-true",
        "memory_format": "channels_last" if device in ("cpu", "cuda") else "contiguous",
        "fused": device in ("cpu", "cuda"),
        "compile": device == "cuda",
        "tf32": device == "cuda",
    }


def _device(accelerator: str) -> str:
    """The kind of device that Lightning takes for a word."""
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return {"gpu": "cuda" if torch.cuda.is_available() else "mps"}.get(accelerator, accelerator)


def multiplies_bfloat16(device: str) -> bool:
    """Whether the hardware itself multiplies it: AMX, AVX-512 BF16, or a GPU from Ampere on."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return device == "cpu" and any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def wrong_gradients(module: Phases, batch: Batch) -> str | None:
    """The first convolution whose gradient this processor gets wrong in bfloat16, by name; None where all are right.

    oneDNN's kernels with AMX return anything for the weights of a strided convolution whose map has one position
    (torch 2.13), so such layers are tried with the sizes that they meet.

    Args:
        module: `generator` and `discriminator` are looked at.
        batch: one picture.
    """
    with rng.untouched(), torch.no_grad():
        generator, discriminator = module.generator, module.discriminator
        suspects = dict(_strided_to_one_position(generator, lambda: paint(generator, batch), "generator"))
        if discriminator is not None:
            image, mask = batch["image"], batch["mask"]
            suspects |= dict(
                _strided_to_one_position(
                    discriminator, lambda: discriminator(image, mask, **said_to(discriminator, batch)), "discriminator"
                )
            )
        with torch.enable_grad():
            return next((name for name, (layer, size) in suspects.items() if not gradient_is_right(layer, size)), None)


def _strided_to_one_position(
    network: nn.Module, run: Callable[[], Any], name: str
) -> Iterator[tuple[str, tuple[nn.Conv2d, torch.Size]]]:
    """Such convolutions by name, with the size of what they are given."""
    met: list[tuple[str, tuple[nn.Conv2d, torch.Size]]] = []

    def note(place: str, layer: nn.Conv2d, inputs: tuple[Tensor, ...], output: Any) -> None:
        features = output[0] if isinstance(output, tuple) else output  # a partial convolution has its mask beside them
        if features.shape[-2:].numel() == 1:
            met.append((place, (layer, inputs[0].shape)))

    strided = [
        (place, layer)
        for place, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and max(layer.stride) > 1
    ]
    handles = [layer.register_forward_hook(partial(note, f"{name}.{place}")) for place, layer in strided]
    training = network.training
    try:
        if strided:
            network.eval()
            with suppress(RuntimeError):  # a picture that is too small for it, which its first update says
                run()
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    yield from met


def gradient_is_right(layer: nn.Conv2d, size: torch.Size) -> bool:
    """Whether the weights' gradient in bfloat16 is near that in float32, for pictures `size`, ``(B, C, H, W)``."""
    picture = torch.arange(4 * size[1:].numel()).sin().abs().view(4, *size[1:])  # so that no sum cancels out
    values = torch.arange(layer.weight.numel()).cos().view_as(layer.weight)
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        weight = values.clone().to(dtype).requires_grad_()
        painted = torch.nn.functional.conv2d(
            picture.to(dtype), weight, None, layer.stride, layer.padding, layer.dilation, layer.groups
        )
        painted.float().sum().backward()
        assert weight.grad is not None
        gradients.append(weight.grad.float())
    exact, rounded = gradients
    return bool((rounded - exact).norm() <= WRONG * exact.norm())
