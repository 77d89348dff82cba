"""Features that need no network: texture and raw values on cells. What a learnt feature has to beat."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOWS_PX = (8, 32, 64)
ORIENTATIONS = 8


def texture(rgb: NDArray[np.float32], cell_px: int) -> NDArray[np.float32]:
    """(3, H, W) of 0..1 -> (42, H // cell, W // cell).

    At each window: mean and deviation of R, G, B, and the histogram of gradient orientations of their mean, weighted
    by magnitude.
    """
    layers = [*rgb, *np.square(rgb), *_orientations(rgb.mean(axis=0))]
    found = []
    for window in WINDOWS_PX:
        means = [_at_centres(cv2.blur(layer, (window, window), borderType=cv2.BORDER_REFLECT), cell_px) for layer in layers]
        colour, square, histogram = means[:3], means[3:6], means[6:]
        deviation = [np.sqrt(np.maximum(s - m * m, 0)) for m, s in zip(colour, square)]
        found += [*colour, *deviation, *histogram]
    return np.stack(found).astype(np.float32)


def raw(bands: NDArray[np.float32], cell_px: int) -> NDArray[np.float32]:
    """(C, H, W) -> band means on cells, with the vegetation index where the fourth band is near infrared."""
    _, height, width = bands.shape
    rows, columns = height // cell_px, width // cell_px
    cells = bands[:, : rows * cell_px, : columns * cell_px].reshape(len(bands), rows, cell_px, columns, cell_px)
    means: NDArray[np.float32] = cells.mean(axis=(2, 4))
    if len(bands) < 4:
        return means
    index = (means[3] - means[0]) / np.maximum(means[3] + means[0], 1e-3)
    return np.concatenate([means, index[None]])


def _orientations(grey: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    magnitude = np.hypot(across, down)
    turn = np.arctan2(down, across) % np.pi / np.pi  # an edge and its reverse are one orientation
    bins = np.minimum((turn * ORIENTATIONS).astype(int), ORIENTATIONS - 1)
    return [np.where(bins == i, magnitude, 0).astype(np.float32) for i in range(ORIENTATIONS)]


def _at_centres(layer: NDArray[np.float32], cell_px: int) -> NDArray[np.float32]:
    rows, columns = layer.shape[0] // cell_px, layer.shape[1] // cell_px
    half = cell_px // 2
    return layer[half::cell_px, half::cell_px][:rows, :columns]
