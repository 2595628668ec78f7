"""Ranks have different samples, masks and noise, and a sample has those of a single process (two processes)."""

import torch
from lightning.pytorch.callbacks import Callback

from inpaint import rng
from inpaint.data.datamodule import PhotosData
from inpaint.masks import Boxes
from tests.reliability.ranks import fit, together
from tests.training.gan import tiny


class Samples(Callback):
    """By (epoch, index): crop, mask and noise of each sample; and a number drawn after each update's seeding."""

    def __init__(self):
        self.seen, self.noise = {}, []

    def forward(self, network, given):
        self.drawn = rng.normal_for(given[0], 4)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        for index, *what in zip(batch["index"].tolist(), batch["image"], batch["mask"], self.drawn, strict=True):
            self.seen[trainer.current_epoch, index] = what
        self.noise.append(torch.rand(1).item())


def run(rank, ranks=2):
    samples = Samples()
    data = PhotosData(Boxes(), crop=32, crops_per_image=2, validation_crops=1, batch_size=4 // ranks)
    module = tiny()
    module.generator.register_forward_pre_hook(samples.forward)  # as a generator draws, in every update
    fit(module, data, 8, [samples], ranks)  # an epoch has five updates
    return samples.seen, samples.noise


def test_masks_and_noise():
    (first, noise_first), (second, noise_second) = together(run)
    whole, noise_alone = run(0, ranks=1)
    assert not first.keys() & second.keys()
    both = first | second
    assert both.keys() == whole.keys() and len(both) == 8 * 4
    for key, sample in whole.items():
        assert all(map(torch.equal, both[key], sample)), key
    for what in (1, 2):
        different = {sample[what].numpy().tobytes() for sample in whole.values()}
        assert len(different) > 0.9 * len(whole), "masks and noise of different samples are different"
    assert len({*noise_first, *noise_second}) == 16 and noise_first == noise_alone
