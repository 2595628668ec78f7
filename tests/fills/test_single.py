"""Fills that take one picture at a time."""

import pytest
import torch

from inpaint.fills import Telea


@pytest.mark.parametrize("threads", [1, 2])
def test_pictures_are_filled_in_threads_under_inference_mode(threads):
    """As an evaluation calls fills: what was made under it may be written under it alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        image, mask = torch.rand(3, 3, 16, 16) * 2 - 1, torch.zeros(3, 1, 16, 16)
        mask[..., 4:9, 5:9] = 1
        expected = Telea()(image, mask).composite
        with torch.inference_mode():
            assert torch.equal(Telea()(image.clone(), mask.clone()).composite, expected)
    finally:
        torch.set_num_threads(before)
