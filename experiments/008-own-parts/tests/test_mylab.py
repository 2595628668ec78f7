"""What these parts do; copy it with them."""

import torch
from mylab.figures import ColourShift
from mylab.generators import Dilated
from mylab.losses import Edges
from mylab.masks import TornCorner

from inpaint.batch import Batch, compose, paint

IMAGE = torch.linspace(-1, 1, 2 * 3 * 24 * 32).view(2, 3, 24, 32)
KEYS = torch.tensor([3, 4])


def test_the_generator_paints_the_hole_alone():
    mask = TornCorner()(KEYS, (24, 32))
    painted = paint(Dilated(width=4, layers=2), Batch(image=IMAGE, mask=mask, index=KEYS))
    assert painted.output.shape == IMAGE.shape and painted.output.abs().max() <= 1
    assert torch.equal(painted.composite * (1 - mask), IMAGE * (1 - mask))


def test_a_mask_is_its_keys():
    mask = TornCorner(reach=[0.5, 0.5])(KEYS, (24, 32))
    assert mask[0, 0, 0, :15].all() and not mask[0, 0, 0, 16:].any() and mask[0, 0, :11, 0].all()
    assert torch.equal(TornCorner()(KEYS, (24, 32))[1:], TornCorner()(KEYS[1:], (24, 32)))


def test_loss_and_figure_are_zero_for_the_truth_and_right_for_a_shift():
    mask = torch.zeros(2, 1, 24, 32)
    mask[..., :12, :] = 1
    batch = Batch(image=IMAGE, mask=mask, index=KEYS)
    truth, shifted = compose(IMAGE, IMAGE, mask), compose(IMAGE + 0.1, IMAGE, mask)
    assert Edges()(truth, batch) == 0
    torch.testing.assert_close(Edges()(shifted, batch), torch.tensor(0.1 / 23))  # one row of edges of 23
    torch.testing.assert_close(ColourShift()(shifted.composite, IMAGE, mask), torch.full((2,), 5.0))
