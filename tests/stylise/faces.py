"""Faces that are drawn, with their key points: nobody's."""

import cv2
import numpy as np

BIG = 8  # pixels of the drawing along one of the picture


def ring(middle, width, height, count=8):
    angles = np.arange(count) * 2 * np.pi / count
    return np.stack([middle[0] + width * np.cos(angles), middle[1] + height * np.sin(angles)], axis=1)


def drawn_face(size, middle, radius, turn, skin, iris, background, light=6):
    """A face on a plain background, uint8 ``(H, W, 3)``, and its points by part.

    Nothing but the eyes has the colour of the iris.
    """
    height, width = size
    picture = np.empty((height * BIG, width * BIG, 3))
    picture[:] = background
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def at(points):
        return (np.atleast_2d(points) * radius) @ turned.T + middle

    def fill(points, colour):
        cv2.fillPoly(picture, [np.round((at(points) + 0.5) * BIG).astype(np.int32)], colour, cv2.LINE_AA)

    fill(ring((0, 0), 0.9, 1.15, 40), skin)
    parts = {"outline": ring((0, 0), 0.75, 1.0, 16), "mouth": ring((0, 0.55), 0.3, 0.1)}
    parts |= {"left_eye": ring((-0.36, -0.2), 0.22, 0.14), "right_eye": ring((0.36, -0.2), 0.22, 0.14)}
    fill(parts["mouth"], (150, 40, 50))
    for eye in (-0.36, 0.36):
        fill(ring((eye, -0.2), 0.22, 0.14), (240, 240, 240))
        fill(ring((eye, -0.2), 0.12, 0.12), iris)
    picture += light * np.sin(np.arange(width * BIG) / BIG / 5)[None, :, None]  # light that changes
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return small.round().clip(0, 255).astype(np.uint8), {part: at(points) for part, points in parts.items()}


GREEN, BLUE = (30, 150, 40), (40, 60, 220)


def content():
    return drawn_face((72, 64), (31, 36), 25, -0.1, (205, 160, 130), GREEN, (110, 120, 130))


def style(light=6):
    return drawn_face((88, 96), (50, 42), 30, 0.25, (160, 115, 90), BLUE, (150, 150, 120), light)
