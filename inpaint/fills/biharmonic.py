"""The biharmonic fill."""

import torch
from torch import Tensor, nn

from inpaint.batch import Outputs
from inpaint.fills.single import one_by_one


class Biharmonic(nn.Module):
    """The biharmonic equation in the hole, which continues slopes as well as colours (Damelin and Hoang 2018).

    scikit-image's version, an exact sparse solve in double precision. split_regions: solve each connected hole alone.
    """

    def __init__(self, split_regions: bool = False) -> None:
        super().__init__()
        self.split_regions = split_regions

    def _fill(self, picture: Tensor, hole: Tensor) -> Tensor:
        from skimage.restoration import inpaint_biharmonic

        rgb = picture.permute(1, 2, 0).double().numpy()
        filled = inpaint_biharmonic(rgb, hole.numpy(), split_into_regions=self.split_regions, channel_axis=-1)
        return torch.from_numpy(filled).permute(2, 0, 1).float().clamp(-1, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Fill the hole; shapes and ranges as in `inpaint.fills`."""
        return one_by_one(image, mask, self._fill)
