"""Which parts of a mask belong to the clicks, and which holes are none."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

LEAST_HOLE_PX = 60  # smaller holes are filled, or those below 1 % of the mask


def box_of(mask: NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice] | None:
    """The rows and columns that the mask occupies, with a margin; None when it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    height, width = mask.shape
    return (
        slice(max(rows[0] - margin, 0), min(rows[-1] + 1 + margin, height)),
        slice(max(columns[0] - margin, 0), min(columns[-1] + 1 + margin, width)),
    )


def clicked_parts(
    mask: NDArray[np.bool_], positive: Sequence[tuple[int, int]], negative: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """The 4-connected parts that hold a positive click, with small holes filled.

    Args:
        mask: (h, w).
        positive: columns and rows of the clicks for the object; without any, all parts stay.
        negative: those against it: a hole that holds one stays open.
    """
    box = box_of(mask, margin=1)
    if box is None:
        return mask
    result = np.zeros_like(mask)
    top, left = box[0].start, box[1].start
    part = mask[box]
    if positive:
        _, parts = cv2.connectedComponents(part.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        held = np.zeros(int(parts.max()) + 1, bool)
        held[[parts[y - top, x - left] for x, y in positive if mask[y, x]]] = True
        part = part & held[parts]
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~part).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    fill = stats[:, cv2.CC_STAT_AREA] < max(LEAST_HOLE_PX, 0.01 * np.count_nonzero(part))
    fill[0] = False  # label 0 is the mask itself
    rim = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    fill[rim] = False  # open to the outside: no hole
    rows, columns = part.shape
    for x, y in negative:
        if 0 <= y - top < rows and 0 <= x - left < columns:
            fill[holes[y - top, x - left]] = False
    result[box] = part | fill[holes]
    return result
