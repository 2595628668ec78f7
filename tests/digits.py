"""The digits that come with scikit-learn, as rows for a loader: 1797 pictures of 8 x 8 pixels, drawn by people."""

import torch
from sklearn.datasets import load_digits

from inpaint.masks import Full


def digits(count=1024, side=8, masks=None):
    """So many of them in RGB, enlarged by whole pixels to `side`, under holes that cover all or those of `masks`."""
    light = torch.from_numpy(load_digits().images[:count]).float() / 8 - 1
    times = side // 8
    image = light[:, None].expand(-1, 3, -1, -1).repeat_interleave(times, 2).repeat_interleave(times, 3)
    keys = torch.arange(count)
    mask = (masks or Full())(keys, (side, side))
    return [{"image": image[n].contiguous(), "mask": mask[n], "index": n} for n in range(count)]
