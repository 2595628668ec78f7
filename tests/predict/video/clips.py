"""Drawn clips whose motion is known: a window that moves over a picture of many scales."""

import cv2
import numpy as np


def photograph(seed=0, height=200, width=260):
    """Colours that change over many distances, as a photograph's do: uint8 ``(H, W, 3)``."""
    random = np.random.default_rng(seed)
    layers = []
    for sigma in (1, 2, 4, 8, 16):
        noise = cv2.GaussianBlur(random.normal(size=(height, width, 3)), (0, 0), sigma)
        layers.append(noise / noise.std())
    values = sum(layers)
    return (128 + 35 * values / values.std()).clip(0, 255).astype(np.uint8)


def pan(frames, step, size=(96, 128), seed=0):
    """What a camera sees that goes `step` pixels right and down a frame; the flow to the next frame is ``-step``."""
    picture = photograph(seed).astype(np.float32)
    y, x = np.indices(size, dtype=np.float32)
    places = [(x + 20 + step[0] * number, y + 20 + step[1] * number) for number in range(frames)]
    seen = [cv2.remap(picture, *place, cv2.INTER_CUBIC) for place in places]
    return [np.rint(frame).clip(0, 255).astype(np.uint8) for frame in seen]


def box(left, top, width=24, height=24, size=(96, 128)):
    """A hole: bool ``(H, W)``."""
    hole = np.zeros(size, bool)
    hole[top : top + height, left : left + width] = True
    return hole


def emptied(frame, hole, level=255):
    """The frame with something else in its hole."""
    return np.where(hole[..., None], np.uint8(level), frame)
