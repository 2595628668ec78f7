"""Noise, blocks and blur: figures of pictures with known amounts of each."""

import cv2
import numpy as np
import pytest
from skimage import data

from inpaint.damage import levels

CAMERA = data.camera().astype(np.float32)


@pytest.mark.parametrize("sigma", [10, 20, 40])
def test_noise_of_a_flat_picture_is_its_deviation(sigma):
    flat = np.full((200, 300), 128, np.float32)
    noisy = flat + np.random.default_rng(0).normal(0, sigma, flat.shape).astype(np.float32)
    assert levels.noise(noisy) == pytest.approx(sigma, rel=0.05)
    assert levels.noise(flat) == 0


def test_noise_is_told_from_texture_by_the_calmest_blocks():
    rng = np.random.default_rng(0)
    half = np.full((128, 256), 128, np.float32)
    half[:, :128] += rng.normal(0, 40, (128, 128)).astype(np.float32)  # a lawn on the left
    assert levels.noise(half) < 1
    half[:, 128:] += rng.normal(0, 12, (128, 128)).astype(np.float32)
    assert 10 < levels.noise(half) < 14


def test_noise_does_not_see_slopes_nor_straight_edges():
    step = np.tile((np.arange(256) > 128) * np.float32(200), (64, 1))
    slope = np.tile(np.arange(256, dtype=np.float32), (64, 1))
    assert levels.noise(step) == 0 and levels.noise(slope) == 0


def test_blocks_of_jpeg_are_seen_wherever_the_grid_lies():
    coded = cv2.imdecode(cv2.imencode(".jpg", data.camera(), [cv2.IMWRITE_JPEG_QUALITY, 10])[1], 0).astype(np.float32)
    assert levels.blockiness(coded) > 2
    assert levels.blockiness(coded[3:, 5:]) > 2
    assert levels.blockiness(CAMERA) < 0.5
    stripes = np.tile(np.repeat(np.arange(64) % 2, 8)[:512] * 50.0, (512, 1)).astype(np.float32)
    assert levels.blockiness(stripes) < 0.5  # a texture of 8 pixels that goes one way


@pytest.mark.parametrize("sigma", [1.5, 2.5])
def test_blur_of_a_step_is_the_gaussians_deviation(sigma):
    step = np.tile((np.arange(256, dtype=np.float32) > 128) * 200, (64, 1)).astype(np.float32)
    assert levels.blur(cv2.GaussianBlur(step, (0, 0), sigma)) == pytest.approx(sigma, rel=0.2)


def test_blur_grows_with_blur_and_nothing_can_be_said_without_edges():
    figures = [levels.blur(CAMERA), *(levels.blur(cv2.GaussianBlur(CAMERA, (0, 0), sigma)) for sigma in (1, 2, 3))]
    assert figures == sorted(figures) and figures[0] < 1 < figures[-1]
    assert levels.blur(np.full((64, 64), 100, np.float32)) is None


def test_pictures_of_a_few_pixels_have_figures():
    for size in ((1, 1), (3, 40), (20, 9)):
        tiny = np.zeros(size, np.float32)
        assert levels.noise(tiny) == 0 and levels.blockiness(tiny) == 0 and levels.blur(tiny) is None
