"""How noisy, how blocky and how blurred a picture is: one figure each, from its grey levels alone.

Every function takes float32 ``(H, W)``, 0..255, and none knows a threshold: `diagnosis.py` decides.
"""

import cv2
import numpy as np

LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # of which noise of deviation 1 makes 6
MEDIAN = 0.6745  # the median of a standard normal variable's absolute value
BLOCK = 16  # side of the blocks that noise is measured in, pixels
CALM = 0.1  # share of the blocks that shows noise rather than texture
CALMEST = 0.86  # of the deviation, which the tenth of such blocks shows where noise is all there is
FEWEST = 8  # blocks of a picture from which some may be left out
FEWEST_EDGES = 20  # pixels on edges, below which no blur can be measured
REBLUR = 1.0  # deviation of the Gaussian by which a picture is blurred again, pixels
STEEP = 0.05  # share of pixels that count as edges
FAINT = 2.0  # slope below which nothing is an edge, levels a pixel


def noise(grey: np.ndarray) -> float:
    """Standard deviation of the noise, in levels; about 0.8 of it where all channels have their own.

    Immerkaer's kernel (1996), which lines and slopes leave near 0, with the median in place of the mean (3.4 % of
    outliers do not matter). A picture of grass is as loud as noise, so what counts is its calmest tenth: the blocks of
    16 pixels with the lowest figures, without those that are clipped to black or white.
    """
    response = np.abs(cv2.filter2D(grey, cv2.CV_32F, LAPLACIAN, borderType=cv2.BORDER_REFLECT))
    if min(grey.shape) < BLOCK:
        return float(np.median(response)) / MEDIAN / 6
    figures = np.median(_blocks(response), 1) / MEDIAN / 6
    usable = _blocks(((grey > 4) & (grey < 251)).astype(np.float32)).mean(1) > 0.9
    if usable.sum() >= FEWEST:
        figures = figures[usable]
    return float(np.quantile(figures, CALM)) / CALMEST


def blockiness(grey: np.ndarray) -> float:
    """How much higher the steps are on one grid of 8 pixels than between its lines, in levels; of JPEG's blocks.

    A step is the difference of two neighbours beyond the mean of those on both its sides, which a slope leaves at 0. Of
    the eight places that a grid may have, as pictures are cropped, the highest counts, less twice the second: no grid
    gives about 0. Of rows and columns the lower counts, as a texture of 8 pixels hardly ever goes both ways.
    """
    return min(_grid(grey), _grid(grey.T))


def _grid(grey: np.ndarray) -> float:
    if grey.shape[1] < 2 * BLOCK:
        return 0.0
    steps = np.abs(np.diff(grey, axis=1))
    beyond = (steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2).clip(-20, 20).mean(0)
    places = np.sort([beyond[place::8].mean() for place in range(8)])
    return float(places[-1] - np.median(places) - 2 * max(places[-2], 0))


def blur(grey: np.ndarray) -> float | None:
    """Deviation of the Gaussian that the picture's sharper edges are as soft as, in pixels; None without edges.

    Zhuo and Sim (2011): an edge of blur s, blurred again by 1, loses a factor sqrt(1 + 1 / s^2) of its steepness. Of
    the steepest twentieth of the pixels, the quarter with the least blur is the figure: a shallow depth of field is no
    damage.
    """
    slope, softer = _slope(grey), _slope(cv2.GaussianBlur(grey, (0, 0), REBLUR))
    crest = slope >= cv2.dilate(slope, np.ones((3, 3))) - 1e-6
    edges = crest & (slope > max(float(np.quantile(slope, 1 - STEEP)), FAINT))
    if edges.sum() < FEWEST_EDGES:
        return None
    ratio = slope[edges] / softer[edges].clip(1e-3)
    return float(np.quantile(REBLUR / np.sqrt((ratio**2 - 1).clip(1e-3)), 0.25))


def _slope(grey: np.ndarray) -> np.ndarray:
    """Levels a pixel, float32 ``(H, W)``."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *way, ksize=3) / 8 for way in ((1, 0), (0, 1)))
    return np.hypot(across, down)


def _blocks(values: np.ndarray) -> np.ndarray:
    """``(H, W)`` -> ``(blocks, 256)``; what is left over at the right and the bottom is dropped."""
    height, width = (side // BLOCK for side in values.shape)
    tiles = values[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK)
    return tiles.swapaxes(1, 2).reshape(height * width, BLOCK * BLOCK)
