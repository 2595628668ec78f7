"""A few updates of a network that restores degraded pictures, and what they gain."""

from itertools import chain, islice

import torch

from inpaint.batch import paint, scale
from inpaint.metrics.image import measure
from inpaint.restoration import Bicubic


def gain(model, data, updates, figure):
    """By how much a figure of validation crops is better than that of what is given, after so many updates of L1."""
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, updates)
    for raw in islice(chain.from_iterable(iter(data.train_dataloader, None)), updates):
        batch = data.to_batch(raw, "cpu")
        loss = (paint(model, batch).output - batch["image"]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    test = data.validation_batch(32, torch.device("cpu"))
    border = scale(test) if scale(test) > 1 else 0
    mine, given = (
        measure(paint(method, test), test["image"], test["mask"], [figure], border)[figure].mean().item()
        for method in (model, Bicubic())
    )
    return mine - given
