"""LaMa's masks as its training code draws them: one after another, with OpenCV and numpy, for comparison.

Written from the published parameters (Suvorov et al. 2022): polylines of `cv2.line` with the brush, the length and one
of eight directions drawn for each segment, and boxes. It keeps the published painter's quirk of one stroke more than
its configuration says.
"""

import cv2
import numpy as np

# name: side, (strokes, widest brush, longest segment), and boxes: share of the masks, margin, sides, how many
SETS = {
    "lama_thin": (256, ((4, 50), 10, 40), None),
    "lama_medium": (256, ((4, 5), 50, 100), (0.3, 0, (10, 50), (1, 5))),
    "lama_thick": (256, ((1, 5), 100, 200), (0.3, 10, (30, 150), (1, 3))),
    "lama_thin_512": (512, ((4, 70), 20, 100), None),
    "lama_medium_512": (512, ((4, 10), 100, 200), (0.3, 0, (30, 150), (1, 5))),
    "lama_train": (256, ((1, 5), 100, 200), (1, 10, (30, 150), (1, 4))),
    "lama_thick_512": (512, ((1, 5), 250, 450), (0.3, 10, (30, 300), (1, 4))),
}


def strokes(random, side, times, widest, longest):
    mask = np.zeros((side, side), np.float32)
    for number in range(random.integers(times[0], times[1] + 2)):
        x, y = random.integers(side, size=2)
        for _ in range(1 + random.integers(5)):
            angle = 0.01 + random.integers(4)
            if number % 2 == 0:
                angle = 2 * np.pi - angle
            length, brush = 10 + random.integers(longest), 5 + random.integers(widest)
            to_x = int(np.clip(int(x + length * np.sin(angle)), 0, side))
            to_y = int(np.clip(int(y + length * np.cos(angle)), 0, side))
            cv2.line(mask, (int(x), int(y)), (to_x, to_y), 1.0, int(brush))
            x, y = to_x, to_y
    return mask


def boxes(random, side, margin, sides, times):
    mask = np.zeros((side, side), np.float32)
    for _ in range(random.integers(times[0], times[1] + 1)):
        width, height = random.integers(sides[0], sides[1] + 1, size=2)
        x = random.integers(margin, side - margin - width + 1)
        y = random.integers(margin, side - margin - height + 1)
        mask[y : y + height, x : x + width] = 1
    return mask


def paint(name, random):
    """One mask of a set, float32 ``(side, side)``; nothing is redrawn."""
    side, brush, box = SETS[name]
    # Both kinds have weights in the published configuration, 1 and `share`, which it normalises.
    if box is not None and random.random() < box[0] / (1 + box[0]):
        return boxes(random, side, *box[1:])
    return strokes(random, side, *brush)


def draw(lines, side):
    """A mask of given lines: whole numbers x0, y0, x1, y1 and thickness of each, in pixels."""
    mask = np.zeros((side, side), np.float32)
    for x0, y0, x1, y1, thickness in lines:
        cv2.line(mask, (x0, y0), (x1, y1), 1.0, thickness)
    return mask
