"""What is seen in the cells of a feature map beside the encoder's features: the bands themselves.

Legend: C bands, T dates, H W pixels, h w cells of stride x stride pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

# A pixel's bands are smoothed by this share of a cell: noise and texture are none of its colour.
SMOOTHING = 3 / 16


def mean_of_dates(values: Pixels, valid: Mask) -> tuple[Pixels, Mask]:
    """(T, C, H, W) and (T, H, W) -> the mean of the dates that saw a pixel (C, H, W), and whether any did (H, W)."""
    count = np.maximum(valid.sum(axis=0, dtype=np.float32), 1)
    total = np.where(valid[:, None], values, np.float32(0)).sum(axis=0, dtype=np.float32)
    return (total / count).astype(np.float32), np.logical_or.reduce(valid, axis=0)


def share_in_cells(mask: Mask, stride: int) -> Pixels:
    """(H, W) -> (h, w): the share of each cell's pixels."""
    return _sums(mask.astype(np.float32), stride) / np.float32(stride**2)


def cell_bands(values: Pixels, valid: Mask, stride: int) -> tuple[Pixels, Pixels]:
    """Mean and deviation (C, h, w) of the bands (C, H, W) over the valid pixels of each cell; 0 where there are none."""
    count = np.maximum(_sums(valid.astype(np.float32), stride), 1)
    known = np.where(valid, values, np.float32(0))
    mean: Pixels = (_sums(known, stride) / count).astype(np.float32)
    if stride == 1:
        return mean, np.zeros_like(mean)
    square = (_sums(known * known, stride) / count).astype(np.float32)
    return mean, np.sqrt(np.maximum(square - mean * mean, 0))


def smooth(values: Pixels, stride: int) -> Pixels:
    """The bands (C, H, W) of pixels without what is finer than a part of a cell."""
    if stride == 1:
        return values
    return np.stack([cv2.GaussianBlur(band, (0, 0), SMOOTHING * stride) for band in values])


def to_pixels(cells: Pixels, stride: int, height: int, width: int) -> Pixels:
    """(h, w) -> (height, width), bilinear between the middles of the cells."""
    if stride == 1:
        return cells[:height, :width]
    rows, columns = cells.shape
    large = cv2.resize(cells, (columns * stride, rows * stride), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[:height, :width], np.float32)


def _sums(values: Pixels, stride: int) -> Pixels:
    """(..., H, W) -> (..., h, w)."""
    height, width = values.shape[-2:]
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(0, -height % stride), (0, -width % stride)])
    rows, columns = padded.shape[-2] // stride, padded.shape[-1] // stride
    return padded.reshape(*values.shape[:-2], rows, stride, columns, stride).sum(axis=(-3, -1), dtype=np.float32)
