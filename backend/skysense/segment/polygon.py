"""A mask's outline as polygons in pixel coordinates: x to the right, y down, pixel (0, 0) spans 0 … 1."""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from shapely.geometry import MultiPolygon, Polygon, shape


def outline(mask: NDArray[np.bool_], *, simplify_px: float = 0.0, fill_holes_px: int = 0) -> MultiPolygon:
    """The 4-connected parts of a mask with their holes.

    Args:
        mask: (H, W).
        simplify_px: how far the outline may move; 0 keeps every pixel corner.
        fill_holes_px: holes of at most this many pixels are filled first.

    Returns:
        A valid multipolygon, empty for an empty mask. Without simplification its area is the number of pixels.
    """
    filled = _fill_holes(mask, fill_holes_px) if fill_holes_px > 0 else mask
    if not filled.any():
        return MultiPolygon()
    parts = [shape(part) for part, _ in shapes(filled.astype(np.uint8), mask=filled, connectivity=4)]
    found = _multi(MultiPolygon(parts))
    if simplify_px <= 0:
        return found
    simple = _multi(shapely.simplify(found, simplify_px, preserve_topology=True))
    return found if simple.is_empty else simple


def _fill_holes(mask: NDArray[np.bool_], largest_px: int) -> NDArray[np.bool_]:
    """Fill the background's 4-connected parts up to a size, unless they reach the rim."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    fill = stats[:, cv2.CC_STAT_AREA] <= largest_px
    fill[0] = False  # label 0 is the mask itself
    fill[np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])] = False
    return np.asarray(mask | fill[parts])


def _multi(geometry: shapely.Geometry) -> MultiPolygon:
    """Valid polygons only: rings that touch themselves at a corner are taken apart."""
    valid = geometry if geometry.is_valid else shapely.make_valid(geometry)
    return MultiPolygon([part for part in shapely.get_parts(_flat(valid)) if isinstance(part, Polygon)])


def _flat(geometry: shapely.Geometry) -> shapely.Geometry:
    """A collection's members without nesting."""
    parts = shapely.get_parts(geometry)
    return shapely.geometrycollections(shapely.get_parts(parts)) if len(parts) else geometry
