"""Deciding the neighbourhood of a mask's outline anew by the colours on either side.

One pass of GrabCut (Rother, Kolmogorov, Blake: GrabCut, 2004) in a band around the outline: Gaussian mixtures of the
colours inside and outside, and a cut that prefers strong edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from skysense.segment.components import box_of

BAND_PX = 3  # on either side of the outline
MARGIN_PX = 20  # of background around the mask that the colours are taken from
ITERATIONS = 1


def recolour(
    bgr: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    positive: Sequence[tuple[int, int]],
    negative: Sequence[tuple[int, int]],
) -> NDArray[np.bool_]:
    """The mask (h, w), decided anew within the band; clicks keep their pixels.

    Args:
        bgr: (h, w, 3), the picture.
        mask: (h, w).
        positive: columns and rows of the clicks for the object.
        negative: those against it.
    """
    box = box_of(mask, MARGIN_PX)
    if box is None:
        return mask
    inside = mask[box].astype(np.uint8)
    band = np.ones((2 * BAND_PX + 1, 2 * BAND_PX + 1), np.uint8)
    classes = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    classes[cv2.erode(inside, band, borderType=cv2.BORDER_REPLICATE) > 0] = cv2.GC_FGD
    classes[cv2.dilate(inside, band) == 0] = cv2.GC_BGD
    top, left = box[0].start, box[1].start
    for points, kind in ((negative, cv2.GC_BGD), (positive, cv2.GC_FGD)):
        for x, y in points:
            if 0 <= y - top < inside.shape[0] and 0 <= x - left < inside.shape[1]:
                classes[y - top, x - left] = kind
    if not 0 < np.count_nonzero(classes % 2) < classes.size:
        return mask  # nothing outside to compare with
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    whole = (0, 0, 0, 0)  # not used with a mask
    part = np.ascontiguousarray(bgr[box])
    cv2.setRNGSeed(0)  # its k-means draws: the same prompts must give the same mask
    cv2.grabCut(part, classes, whole, background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    result = mask.copy()
    result[box] = classes % 2 == 1  # GC_FGD 1, GC_PR_FGD 3
    return result
