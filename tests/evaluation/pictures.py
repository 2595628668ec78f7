"""A few small pictures with holes, and a method that paints grey, for tests of the evaluation loop."""

import torch
from torch import Tensor, nn

from inpaint.batch import Batch, Outputs, compose


class Pictures:
    """Six pictures in parts of four and two, of which another tool made what `painted` says."""

    def __init__(self, painted: Tensor | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        levels = torch.randint(40, 216, (6, 3, 24, 24), generator=generator)
        self.image = levels.float() / 127.5 - 1
        self.mask = torch.zeros(6, 1, 24, 24)
        for sample in range(6):
            self.mask[sample, :, : 2 + 2 * sample, :12] = 1
        self.painted = self.image if painted is None else painted

    def parts(self):
        return [[0, 1, 2, 3], [4, 5]]

    def batch(self, part, device):
        return Batch(image=self.image[part], mask=self.mask[part], index=torch.tensor(part))

    def result(self, method, part, device):
        return self.painted[part]

    def name(self, index):
        return f"picture {index}"

    def photograph(self, index):
        return f"photograph {index // 3}"


class Grey(nn.Module):
    """Paints grey, and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Tensor] = []

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        self.given.append(image.clone())
        return compose(torch.zeros_like(image), image, mask)
