"""Networks that say what they saw, or paint what can be worked out by hand."""

import torch
from torch import nn

from inpaint import rng
from inpaint.batch import compose


class Level(nn.Module):
    """Paints one value, and notes the sizes and the largest number of pixels that it saw."""

    def __init__(self, level=0.5):
        super().__init__()
        self.level, self.sizes, self.masks = level, [], []

    def forward(self, image, mask):
        self.sizes.append(tuple(image.shape))
        self.masks.append(mask)
        return compose(torch.full_like(image, self.level), image, mask)


class Noise(nn.Module):
    """Paints noise of its own for each sample."""

    def forward(self, image, mask):
        return compose(rng.uniform_for(image, *image.shape[1:]) * 2 - 1, image, mask)


class Grain(nn.Module):
    """Paints texture around the mean of the known pixels, which differs from tile to tile."""

    def forward(self, image, mask):
        known = (image * (1 - mask)).sum((2, 3), keepdim=True) / (1 - mask).sum((2, 3), keepdim=True).clamp(min=1)
        return compose(known + 0.04 * (rng.uniform_for(image, *image.shape[1:]) - 0.5), image, mask)
