"""Ranks have different samples, masks and noise, and a sample has those of a single process. Item 27; two processes."""

import torch
from lightning.pytorch.callbacks import Callback

from inpaint.data.datamodule import PhotosData
from inpaint.masks import Boxes
from tests.gan import tiny
from tests.reliability.ranks import fit, together


class Samples(Callback):
    """By (epoch, index): crop and mask of each sample; and a number drawn after each update's seeding."""

    def __init__(self):
        self.seen, self.noise = {}, []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        for index, image, mask in zip(batch["index"].tolist(), batch["image"], batch["mask"], strict=True):
            self.seen[trainer.current_epoch, index] = (image, mask)
        self.noise.append(torch.rand(1).item())


def run(rank, ranks=2):
    samples = Samples()
    data = PhotosData(Boxes(), crop=32, crops_per_image=2, validation_crops=1, batch_size=4 // ranks)
    fit(tiny(), data, 8, [samples], ranks)  # an epoch has five updates
    return samples.seen, samples.noise


def test_masks_and_noise():
    (first, noise_first), (second, noise_second) = together(run)
    whole, noise_alone = run(0, ranks=1)
    assert not first.keys() & second.keys()
    both = first | second
    assert both.keys() == whole.keys() and len(both) == 8 * 4
    for key, (image, mask) in whole.items():
        assert torch.equal(both[key][0], image) and torch.equal(both[key][1], mask), key
    masks = {mask.numpy().tobytes() for _, mask in whole.values()}
    assert len(masks) > 0.9 * len(whole), "masks of different samples are different"
    assert len({*noise_first, *noise_second}) == 16 and noise_first == noise_alone
