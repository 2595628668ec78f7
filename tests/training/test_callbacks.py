"""Checkpoints, exact resume, panels and the record of a run, on tiny runs with the real data path."""

import json

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from inpaint import rng
from inpaint.batch import to_uint8
from inpaint.data.datamodule import PhotosData
from inpaint.files import checkpoint
from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.reconstruction import L1
from inpaint.masks import Boxes
from inpaint.networks.discriminators import Patch
from inpaint.networks.generators.residual_unet import ResidualUNet
from inpaint.provenance import versions
from inpaint.training.callbacks import ImagePanel, ProgressBar
from inpaint.training.gan import InpaintingGAN
from inpaint.training.record import RunRecord
from inpaint.training.saving import SaveCheckpoint
from tests.checkpoints import latest_valid


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3)


def cosine(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)


def module():
    rng.seed_all(5)
    return InpaintingGAN(
        ResidualUNet(width=4, levels=1),
        {"l1": L1()},
        adam,
        discriminator=Patch(width=4, layers=1),
        adversarial=NonSaturating(weight=0.1),
        discriminator_optimizer=adam,
        generator_scheduler=cosine,
    )


def data(workers=0):
    """Eleven photographs, two crops each: an epoch is 5 updates of 4 samples."""
    return PhotosData(Boxes(), crop=32, crops_per_image=2, validation_crops=1, batch_size=4, workers=workers)


class Losses(L.Callback):
    def __init__(self):
        self.seen = {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        figures = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("train")}
        self.seen[trainer.global_step] = (sorted(batch["index"].tolist()), figures)


def fit(updates, folder, callbacks, resume=None, workers=0, trained=None):
    trained = trained or module()
    trainer = L.Trainer(
        max_steps=updates,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        callbacks=[RunRecord(str(folder), {"name": "tiny"}), *callbacks],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        val_check_interval=4,
        check_val_every_n_epoch=None,
    )
    trainer.fit(trained, data(workers), ckpt_path=resume, weights_only=True)
    return trained


@pytest.mark.parametrize(("stop", "workers"), [(1, 0), (4, 0), (5, 0), (7, 0), (8, 2)])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, stop, workers):
    """Within an epoch, at its last batch, at a validation: weights, average, optimizers and losses to the bit."""
    whole, parts = Losses(), Losses()
    reference = fit(12, tmp_path / "a", [whole, SaveCheckpoint(str(tmp_path / "a"), every=100)])
    fit(stop, tmp_path / "b", [parts, SaveCheckpoint(str(tmp_path / "b"), every=100)], workers=workers)
    path = latest_valid(tmp_path / "b")
    resumed = fit(12, tmp_path / "b", [parts, SaveCheckpoint(str(tmp_path / "b"), every=100)], path, workers)

    assert whole.seen == parts.seen
    for (name, a), b in zip(reference.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    states = [checkpoint.load(tmp_path / run)["optimizer_states"] for run in "ab"]
    for ours, theirs in zip(*states, strict=True):
        for parameter, values in ours["state"].items():
            assert all(torch.equal(value, theirs["state"][parameter][name]) for name, value in values.items())
        assert ours["param_groups"] == theirs["param_groups"]


def test_every_sample_of_an_epoch_is_seen_once(tmp_path):
    losses = Losses()
    fit(10, tmp_path, [losses])
    for epoch in range(2):
        rows = [index for update in range(5) for index in losses.seen[5 * epoch + update + 1][0]]
        assert len(rows) == len(set(rows)) == 20 and max(rows) < 22


def test_checkpoints_are_kept_stamped_and_few(tmp_path):
    fit(7, tmp_path, [SaveCheckpoint(str(tmp_path / "checkpoints"), every=2, keep=2)])
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"update_{n:08d}.ckpt{end}" for n in (6, 7) for end in ("", ".sha256")]
    loaded = checkpoint.load(tmp_path)
    assert loaded["inpaint"]["update"] == loaded["global_step"] == 7
    assert checkpoint.config_of(loaded) == {"name": "tiny"}
    with pytest.raises(ValueError, match=r"callbacks\.checkpoint\.keep"):
        SaveCheckpoint(str(tmp_path), keep=0)


def test_panels_show_the_same_samples_by_the_moving_average(tmp_path):
    trained = fit(3, tmp_path, [ImagePanel(str(tmp_path / "panels"), every=2, samples=3)])
    names = sorted(path.name for path in (tmp_path / "panels").iterdir())
    assert names == ["update_00000002.png", "update_00000003.png"]
    page = np.array(Image.open(tmp_path / "panels" / names[-1]))
    assert page.shape == (3 * 64 + 18, 4 * 64, 3)
    batch = data().validation_batch(3, torch.device("cpu"))
    with torch.no_grad():
        outputs = trained.repair(batch)
    shown = torch.from_numpy(page[18::2, ::2]).permute(2, 0, 1)
    columns = (batch["image"] * (1 - batch["mask"]), outputs.output, outputs.composite, batch["image"])
    for place, column in enumerate(columns):
        for row in range(3):
            window = shown[:, 32 * row : 32 * row + 32, 32 * place : 32 * place + 32]
            assert torch.equal(window, to_uint8(column[row]))


def test_the_record_of_a_run(tmp_path):
    fit(1, tmp_path, [])
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {"name": "tiny"}
    written = json.loads((tmp_path / "versions.json").read_text())
    assert written["torch"] == versions()["torch"] and "commit" in written and "command" in written


def test_a_validation_is_a_line_and_progress_shows_its_gain(tmp_path, capsys):
    validation = fit(5, tmp_path, [ProgressBar(seconds=0.0)]).validation
    psnr, fill = validation.figures["hole_psnr"], validation.fill_figures["hole_psnr"]
    *lines, last = capsys.readouterr().out.strip().splitlines()
    (said,) = [line for line in lines if line.startswith("validation")]
    start = f"validation at update 4: hole PSNR {psnr:.2f} dB (harmonic fill {fill:.2f}), texture error "
    assert said.startswith(start) and f"hole PSNR {psnr - fill:+.2f} dB on the harmonic fill" in last


def test_progress_names_the_losses(tmp_path, capsys):
    fit(3, tmp_path, [ProgressBar(seconds=0.0)])
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("update 3/3  ") and "updates/s" in last and "s left" in last
    for name in ("discriminator", "l1", "adversarial"):
        assert f"  {name} " in last
