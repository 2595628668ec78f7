"""Five pictures on two ranks: no hang, and each counts once (two gloo processes)."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from inpaint.data.datamodule import FolderData
from inpaint.masks import Boxes
from tests.reliability.ranks import fit, together
from tests.training.gan import tiny


class Seen(Callback):
    def __init__(self):
        self.rows = []

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.rows += batch["index"].tolist()


def run(rank, root, ranks):
    """Three updates with a validation at the end: its figures and the rows that were seen."""
    data = FolderData(Boxes(), str(root), **LISTS, crop=48, batch_size=2, crops_per_image=3, validation_crops=1)
    seen = Seen()
    settings = {"val_check_interval": 3, "check_val_every_n_epoch": None}
    try:
        trainer = fit(tiny(), data, 3, [seen], ranks, num_sanity_val_steps=1, **settings)
    except ValueError as error:
        return str(error)
    return {name: v.item() for name, v in trainer.callback_metrics.items() if name.startswith("val/")}, seen.rows


LISTS = {"train": "train.txt", "validation": "validation.txt"}
NAMES = [(n, ("png", "jpg", "webp")[n % 3]) for n in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11)]


def with_lists(root, validation):
    """The folder with lists of five pictures to train and so many to validate, before any rank reads them."""
    names = [f"photo {number:02d}.{suffix}" for number, suffix in NAMES]
    (root / "train.txt").write_text("\n".join(names[5:]))
    (root / "validation.txt").write_text("\n".join(names[:validation]))
    return root


def untrained(rank, root, ranks):
    """The figures before anything is trained, so that they do not depend on the number of ranks."""
    data = FolderData(Boxes(), str(root), **LISTS, crop=48, batch_size=2, validation_crops=1)

    class Frozen(torch.optim.SGD):
        def step(self, closure=None):
            return closure() if closure else None

    still = tiny(generator_optimizer=lambda p: Frozen(p, 1e-9), discriminator_optimizer=lambda p: Frozen(p, 1e-9))
    seen = Seen()
    trainer = fit(still, data, 1, [seen], ranks, val_check_interval=1)
    return {name: v.item() for name, v in trainer.callback_metrics.items() if name.startswith("val/")}, seen.rows


def test_every_picture_counts_once_and_the_figures_are_a_single_process_s(photo_folder):
    with_lists(photo_folder, 5)
    (first, rows_first), (second, rows_second) = together(untrained, photo_folder, 2)
    alone, rows_alone = untrained(0, photo_folder, 1)
    assert sorted(rows_first + rows_second) == sorted(rows_alone) == [0, 1, 2, 3, 4]
    assert first == second and first == pytest.approx(alone, rel=1e-6) and set(first) >= {"val/hole_psnr", "val/ssim"}


def test_fewer_validation_pictures_than_ranks_are_refused(photo_folder):
    for message in together(run, with_lists(photo_folder, 1), 2):
        assert message.startswith("data.validation_crops: 1 validation crops are fewer than the 2 devices; raise it")


def test_unequal_batches_do_not_hang(photo_folder):
    (figures, rows_first), (_, rows_second) = together(run, with_lists(photo_folder, 3), 2)
    # The sanity check sees the first batch of each rank before.
    assert sorted({*rows_first, *rows_second}) == [0, 1, 2] and len(figures) >= 4
