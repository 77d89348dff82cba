"""Two dates on the same pixels, and which of them may be compared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

RIM_PX = 3  # values beside a gap are mixed with it by resampling and JPEG, and by windows of 7 px
MARGIN_PX = RIM_PX + 2  # around a window, so that its validity does not depend on where it was cut


@dataclass(frozen=True)
class PixelPair:
    """A window of both dates, in the same units, with or without a halo around the pixels that count."""

    before: NDArray[np.float32]  # (C, h, w)
    after: NDArray[np.float32]  # (C, h, w)
    valid: NDArray[np.bool_]  # (h, w): seen on both dates, away from gaps
    counted: NDArray[np.bool_]  # (h, w): valid, and neither halo nor outside the extent


def comparable(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels seen on both dates, less a rim of 3 px around gaps; single missing pixels are missing without a rim.

    Args:
        seen: (h, w), both dates together. What lies beyond the array counts as seen.
    """
    return seen & (cv2.dilate(solid(~seen).astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2, np.uint8)) == 0)


def solid(missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Missing pixels (h, w) that form areas: opened by 3 x 3, so that dark or bright single pixels are no gap."""
    return cv2.morphologyEx(missing.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
