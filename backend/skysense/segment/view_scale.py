"""The scale a view is worked at, and the way there and back.

The method wants objects of some 30-100 px in a picture of at most 512 px: this matters as much as the scorer.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE_PX = 512  # at view scale
LARGE_OBJECT_PX = 55.0  # sqrt(area) of a typical object above which the view is halved
SMALL_OBJECT_PX = 30.0  # and below which it is doubled


def choose_scale(height: int, width: int, object_px: float | None = None) -> float:
    """The factor from full resolution to view scale: 2, 1, 1/2, 1/4 …

    Args:
        height: rows of the view.
        width: columns of the view.
        object_px: side of a typical object in pixels, where the user or the layer says so.

    Returns:
        The factor that the object asks for, halved until the long side is at most 512 px. Without an object, the
        largest factor up to 1 that fits.
    """
    factor = 1.0 if object_px is None else factor_for_object(object_px)
    while factor * max(height, width) > LONGEST_SIDE_PX:
        factor /= 2
    return factor


def factor_for_object(object_px: float) -> float:
    """1/2 for large objects, 2 for small ones, else 1."""
    if object_px > LARGE_OBJECT_PX:
        return 0.5
    return 2.0 if object_px < SMALL_OBJECT_PX else 1.0


def to_view_scale(rgb: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """(H, W, 3) -> (h, w, 3): area mean downwards, bicubic upwards."""
    if factor == 1:
        return rgb
    height, width = rgb.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(
        cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), dtype=np.uint8
    )


def mask_to_full(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) -> (H, W): bilinear upwards, area mean downwards, then at least one half."""
    height, width = shape
    if mask.shape == shape:
        return mask
    way = cv2.INTER_LINEAR if mask.shape[1] < width or mask.shape[0] < height else cv2.INTER_AREA
    return np.asarray(cv2.resize(mask.astype(np.float32), (width, height), interpolation=way) >= 0.5)


def mask_to_view(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) -> (h, w): the share of the object in each pixel of the view."""
    height, width = shape
    share = mask.astype(np.float32)
    if mask.shape == shape:
        return share
    way = cv2.INTER_AREA if mask.shape[1] > width or mask.shape[0] > height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(share, (width, height), interpolation=way), dtype=np.float32)
