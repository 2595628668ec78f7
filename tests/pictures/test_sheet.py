"""Sheets: every pixel where it belongs, text where there is room for it."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from inpaint.batch import to_uint8
from inpaint.pictures.sheet import LINE, _shortened, chart, panel, stacked


def test_titles_stand_above_their_columns():
    picture = torch.zeros(1, 3, 40, 40)
    page = np.array(panel({"hole": picture, "truth": picture}))
    for half in (page[:18, :80], page[:18, 80:]):
        assert (half < 100).any() and (half == 255).mean() > 0.5


@pytest.mark.parametrize("across", [1, 2, 3, 9])
def test_samples_side_by_side_under_their_captions(across):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(5, 3, 20, 30, generator=generator) * 2 - 1 for _ in "ab")
    page = np.array(panel({"a": first, "b": second}, ["one", "two", "three", "four", "five"], across, scale=3))
    columns = min(across, 5)
    assert page.shape == (LINE + -(-5 // columns) * (LINE + 60), columns * 188 - 8, 3)
    for sample in range(5):
        y, x = LINE + sample // columns * (LINE + 60), sample % columns * 188
        caption = page[y : y + LINE, x : x + 180]
        assert (caption < 100).any() and (caption == 255).mean() > 0.5
        for place, images in enumerate((first, second)):
            window = page[y + LINE : y + LINE + 60 : 3, x + 90 * place : x + 90 * (place + 1) : 3]
            assert np.array_equal(window, to_uint8(images[sample]).permute(1, 2, 0))


def test_long_captions_lose_their_middle():
    draw = ImageDraw.Draw(Image.new("RGB", (9, 9)))
    assert _shortened("short", 500, draw) == "short"
    short = _shortened("12 %  " + "folder/" * 40 + "name.jpg", 200, draw)
    assert draw.textlength(short) <= 200 and short.startswith("12 %") and short.endswith("name.jpg") and "..." in short
    assert _shortened("ß 絵.png", 500, draw) == "ß ?.png"


def test_bars_are_as_high_as_their_shares():
    page = np.array(chart("title", {"a": 0.5, "b": 0.25, "c": 0.0, "d": 0.25}, width=400, height=100))
    bars = (page == 128).all(2).sum(0)
    heights = [int(bars[50 + 100 * place]) for place in range(4)]
    assert heights == [101, 51, 1, 51]
    assert chart("nothing", {"a": 0.0, "b": 0.0}, width=100).width == 100


def test_pages_are_stacked():
    page = stacked([Image.new("RGB", (10, 4), "red"), Image.new("RGB", (6, 3), "blue")])
    assert page.size == (10, 7) and page.getpixel((9, 3)) == (255, 0, 0)
    assert page.getpixel((5, 6)) == (0, 0, 255) and page.getpixel((6, 6)) == (255, 255, 255)
