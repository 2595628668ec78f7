"""Ridges: lines that are lighter than both their sides."""

import cv2
import numpy as np
import pytest

from inpaint.damage.ridges import faint_cracks, ridge


@pytest.mark.parametrize("angle", [0, 20, 45, 90, 130])
def test_a_line_has_its_contrast_whatever_its_angle(angle):
    canvas = np.zeros((200, 200), np.uint8)
    way = 70 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    cv2.line(canvas, *(tuple(int(part) for part in 100 + sign * way) for sign in (-1, 1)), 255, 3, cv2.LINE_AA)
    response = ridge(100 + canvas.astype(np.float32) * 60 / 255)
    assert 40 < response[100, 100] < 65
    assert ridge(100 - canvas.astype(np.float32) * 60 / 255)[100, 100] < 5  # a dark line is none


def test_an_edge_is_no_ridge_however_steep():
    step = np.tile((np.arange(200) > 100) * np.float32(200), (200, 1))
    assert ridge(step).max() < 1


def test_a_faint_crack_in_a_smooth_wall_is_found_and_grass_is_not():
    rng = np.random.default_rng(0)
    picture = np.full((240, 320), 120, np.float32) + rng.normal(0, 1.5, (240, 320)).astype(np.float32)
    picture[120:] += cv2.GaussianBlur(rng.normal(0, 60, (120, 320)).astype(np.float32), (0, 0), 1.2)
    truth = np.zeros((240, 320), np.uint8)
    cv2.polylines(truth, [np.array([(40, 20), (100, 50), (160, 40), (260, 90)])], False, 255, 2, cv2.LINE_AA)
    picture += truth.astype(np.float32) * 12 / 255
    found = faint_cracks(np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, 2))
    assert (found & (truth > 127)).sum() > 0.7 * (truth > 127).sum()
    assert found[125:].mean() < 0.01
    assert not faint_cracks(np.zeros((5, 300, 3), np.uint8)).any()


def test_large_pictures_are_shrunk():
    picture = np.full((700, 1400, 3), 100, np.uint8)
    picture[300:308, 200:1200] = 140
    found = faint_cracks(picture)
    assert found.shape == (700, 1400) and found[304, 300:1100].all() and found.mean() < 0.03
