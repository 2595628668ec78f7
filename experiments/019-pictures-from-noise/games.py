"""Games and conditions on digits of 8 x 8 pixels, in one table: recognised, sliced Wasserstein distance, diversity.

    python experiments/019-pictures-from-noise/games.py [--updates 1000]

It prints the table, and writes the digits of the best told pair as told.png: a class a row, and ways from each class to
the next under one noise.
"""

import argparse
import logging
from pathlib import Path

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from torch.utils.data import DataLoader

from inpaint import rng
from inpaint.batch import Batch, to_uint8
from inpaint.losses.adversarial import Hinge, LeastSquares, NonSaturating, RelativisticAverage
from inpaint.metrics.sliced import patches, sliced_wasserstein
from inpaint.networks.discriminators import DCGAN as Judge
from inpaint.networks.generators.dcgan import DCGAN
from inpaint.training.gan import InpaintingGAN

HERE = Path(__file__).parent
TRAIN = 1400  # of 1797 digits; the others measure
GAMES = {
    "nonsaturating": NonSaturating,
    "hinge": Hinge,
    "lsgan": LeastSquares,
    "relativistic_average": RelativisticAverage,
}
CONDITIONS = {"none": (None, 0.0), "label": ({"label": 10}, 0.0), "label, third verdict": ({"label": 10}, 0.5)}


def real():
    """All digits as pictures float32 ``(1797, 3, 8, 8)`` in [-1, 1], and their classes."""
    known = load_digits()
    light = torch.from_numpy(known.images).float() / 8 - 1
    return light[:, None].expand(-1, 3, -1, -1).contiguous(), torch.from_numpy(known.target)


def trained(game, condition, mismatched, updates):
    """A pair of DCGAN's form after so many updates of 64 digits."""
    images, labels = real()
    mask = torch.ones(1, 8, 8)
    rows = [{"image": images[n], "label": int(labels[n]), "mask": mask, "index": n} for n in range(TRAIN)]
    rng.seed_all(0)

    def adam(parameters):
        return torch.optim.Adam(parameters, 5e-4, betas=(0.5, 0.999))

    generator = DCGAN(width=64, levels=1, latent=16, condition=condition)
    judge, played = Judge(width=64, levels=1, condition=condition), GAMES[game](of="output", weight=1.0)
    module = InpaintingGAN(generator, {}, adam, judge, played, adam, ema_decay=0.98, mismatched=mismatched)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(accelerator="cpu", max_epochs=-1, max_steps=updates, enable_model_summary=False, **quiet)
    trainer.fit(module, DataLoader(rows, batch_size=64, shuffle=True, drop_last=True))
    return module.eval()


def made(module, count):
    """So many digits, of all classes in turn: ``(count, 3, 8, 8)``, and the classes."""
    label = torch.arange(count) % 10
    blank, hole = torch.zeros(count, 3, 8, 8), torch.ones(count, 1, 8, 8)
    with torch.no_grad():
        return module.repair(Batch(image=blank, mask=hole, index=torch.arange(count), label=label)).output, label


def spread(pictures, labels):
    """Root mean square about the mean of the class, in percent of [0, 255]."""
    squares = [pictures[labels == one].var(dim=0).mean() for one in labels.unique()]
    return 50 * torch.stack(squares).mean().sqrt().item()


def distance(pictures, to):
    """Sliced Wasserstein distance of as many pictures."""
    index = torch.arange(len(to))
    parts = [patches(each[: len(to)], index) for each in (to, pictures)]
    return sliced_wasserstein(*parts, torch.ones(1, len(to))).item()


def shown(module):
    """Twelve digits of each class, and beside them the ways from each class to the next under one noise."""
    pictures, _ = made(module, 120)
    rows = pictures.view(12, 10, 3, 8, 8).transpose(0, 1)
    table = module.ema.network.condition.label
    own = table.weight.detach().clone()
    ways = []
    for label in range(10):
        with torch.no_grad():
            for place, share in enumerate(torch.linspace(0, 1, 8)):
                table.weight[place] = torch.lerp(own[label], own[(label + 1) % 10], share)
            blank, hole = torch.zeros(8, 3, 8, 8), torch.ones(8, 1, 8, 8)
            latent = rng.normal(torch.full((8,), 3), 16)
            ways.append(module.ema.network(blank, hole, latent, label=torch.arange(8)).output)
            table.weight.copy_(own)
    page = torch.cat([rows, torch.ones(10, 1, 3, 8, 8), torch.stack(ways)], dim=1)
    page = F.pad(page, (1, 1, 1, 1), value=1.0)
    grid = to_uint8(page).permute(0, 3, 1, 4, 2).reshape(100, -1, 3).numpy()
    return Image.fromarray(np.kron(grid, np.ones((4, 4, 1), np.uint8)))


def main():
    """Train all, print, and show the best."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=1000)
    updates = parser.parse_args().updates
    logging.disable(logging.WARNING)
    images, labels = real()
    judge = SVC(gamma=0.001, C=10).fit(((images[:TRAIN].mean(1) + 1) * 8).flatten(1), labels[:TRAIN])

    def recognised(pictures, classes):
        light = ((pictures.mean(1) + 1) * 8).flatten(1).numpy()
        return 100 * (judge.predict(light) == classes.numpy()).mean()

    held = images[TRAIN:]
    print("| game | told | recognised (%) | SWD | diversity (%) |\n|---|---|---:|---:|---:|")
    line = "| {} | {} | {:.1f} | {:.1f} | {:.1f} |"
    row = recognised(held, labels[TRAIN:]), distance(images[: len(held)], held), spread(held, labels[TRAIN:])
    print(line.format("*real digits*", "", *row), flush=True)
    best = 0.0
    for game in GAMES:
        for told, (condition, mismatched) in CONDITIONS.items():
            module = trained(game, condition, mismatched, updates)
            pictures, classes = made(module, 1000)
            share = recognised(pictures, classes)
            print(line.format(game, told, share, distance(pictures, held), spread(pictures, classes)), flush=True)
            if condition and share > best:
                best = share
                shown(module).save(HERE / "told.png")


if __name__ == "__main__":
    main()
