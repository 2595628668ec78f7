"""A few updates on random crops, for tests of what an update does."""

import lightning as L
import torch
from torch.utils.data import DataLoader

from inpaint.losses.adversarial import NonSaturating
from inpaint.losses.term import Term
from tests.training.gan import tiny


def samples(count=64, size=16):
    generator = torch.Generator().manual_seed(3)
    rows = []
    for index in range(count):
        mask = torch.zeros(1, size, size)
        mask[:, index % 5 : index % 5 + 6, 4:12] = 1
        rows.append({"image": torch.rand(3, size, size, generator=generator) * 2 - 1, "mask": mask, "index": index})
    return rows


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.01)


def make(adversarial=True, seed=0, **settings):
    parts = {"generator_optimizer": sgd, "discriminator_optimizer": sgd}
    if isinstance(adversarial, NonSaturating):
        parts["adversarial"] = adversarial
    elif not adversarial:
        parts |= {"discriminator": None, "adversarial": None, "discriminator_optimizer": None}
    return tiny(seed, **(parts | settings))


def fit(module, updates, rows=None, callbacks=(), batch_size=4, **settings):
    settings = {"max_epochs": -1, "max_steps": updates} | settings
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **settings,
    )
    trainer.fit(module, DataLoader(rows or samples(), batch_size=batch_size))
    return trainer


def weights(network):
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def changed(before, network):
    return {name for name, value in network.named_parameters() if not torch.equal(before[name], value)}


class Watching(Term):
    """Reads both verdicts, and remembers at which updates and with which gradients it was asked."""

    def __init__(self, weight=1.0, needs=("real", "fake")):
        super().__init__(weight, needs)
        self.calls = []

    def forward(self, outputs, batch):
        self.calls.append([name for name in ("real", "fake") if getattr(outputs, name) is not None])
        if "real" not in self.needs:
            return outputs.output.square().mean()
        assert outputs.fake.logits[0].requires_grad
        pairs = zip(outputs.real.features[0], outputs.fake.features[0], strict=True)
        return sum((real - fake).abs().mean() for real, fake in pairs)
