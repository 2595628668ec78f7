"""A long run needs no more memory, files, threads and hooks at its end than when it was warm; and it learns."""

import gc
import json
import os
import threading
from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from inpaint import rng
from inpaint.losses.reconstruction import L1
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.training.gan import InpaintingGAN
from tests.reliability.runs import fork, run

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks")


def measure(trainer):
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    module = trainer.lightning_module
    hooks = sum(len(getattr(layer, name)) for layer in module.modules() for name in HOOKS)
    hooks += sum(len(p._backward_hooks or ()) for p in module.parameters())
    hooks += sum(len(o._optimizer_step_pre_hooks) + len(o._optimizer_step_post_hooks) for o in trainer.optimizers)
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return {"resident": resident, "files": files, "threads": threading.active_count(), "hooks": hooks}


def watched(folder, updates):
    found = []

    def act(when, trainer):
        if when == "done" and trainer.global_step % (updates // 10) == 0:
            found.append(measure(trainer))

    settings = {"val_check_interval": updates // 10, "every": updates // 10, "best": 2, "log_every_n_steps": 1}
    run(folder, updates, act=act, **settings)
    (folder / "found.json").write_text(json.dumps(found))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("updates", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_nothing_grows(tmp_path, updates):
    assert fork(tmp_path, updates, target=watched, timeout=600) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    warm, rest = found[2], found[3:]
    for kind in ("files", "threads", "hooks"):
        assert {values[kind] for values in rest} == {warm[kind]}, kind
    grown = [values["resident"] - warm["resident"] for values in rest]
    assert max(grown) < 6e6, f"bytes since it was warm: {grown}"


def test_one_batch_is_learned_by_heart():
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.interpolate(torch.rand(4, 3, 4, 4, generator=generator) * 2 - 1, 32, mode="bilinear")
    mask = torch.zeros(4, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    rng.seed_all(0)
    module = InpaintingGAN(ResidualUNet(width=8, levels=2), {"l1": L1()}, lambda p: torch.optim.Adam(p, lr=3e-3))
    losses = []

    class Losses(L.Callback):
        def on_train_batch_end(self, trainer, *rest):
            losses.append(trainer.callback_metrics["train/l1"].item())

    rows = [{"image": i, "mask": m, "index": n} for n, (i, m) in enumerate(zip(image, mask, strict=True))]
    trainer = L.Trainer(
        max_steps=100,
        accelerator="cpu",
        logger=False,
        callbacks=[Losses()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(rows, batch_size=4))
    assert losses[-1] < 0.25 * losses[0], (losses[0], losses[-1])
