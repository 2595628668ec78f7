"""How a run's sums are rounded, which its config does not say."""

from typing import Any

import lightning as L
import torch


def arithmetic(trainer: L.Trainer) -> dict[str, Any]:
    """What a run must have in common with the one it goes on from, beside config and data, to be the same bit for bit.

    The order in which a sum is added up, and with it the last digits, follows from the number of threads that torch
    shares it among, the processor's instructions, the kind of GPU, the number of ranks and torch's own version. After
    a few updates more than the last digits differ: weights by 8e-4 after six, on two threads in place of one.
    """
    device = trainer.strategy.root_device
    return {
        "threads": torch.get_num_threads(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "ranks": trainer.world_size,
        "torch": str(torch.__version__),  # torch.__version__ is no plain text
    }
