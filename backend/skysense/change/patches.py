"""Connected patches of change in a layer that is seen strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from shapely.geometry import shape as to_shape
from shapely.geometry.base import BaseGeometry

from skysense.scene.grid import Grid, Window
from skysense.scene.ground import pixel_size_m

TOLD_EACH = 1000  # patches


@dataclass(frozen=True)
class Patch:
    """One 4-connected area of one kind of change."""

    outline: BaseGeometry  # in the grid's CRS, along pixel edges
    kind: int
    pixels: int
    area_m2: float  # on the ground; NaN without a CRS
    mean_score: float
    max_score: float


@dataclass(frozen=True)
class Pieces:
    """The parts of patches that lie in one strip, an entry each."""

    outlines: NDArray[np.object_]
    kinds: NDArray[np.uint8]
    pixels: NDArray[np.int64]
    areas_m2: NDArray[np.float64]
    totals: NDArray[np.float64]  # of the score
    highest: NDArray[np.float64]  # score


class PatchFinder:
    """Takes strips of full width from the top to the bottom; pieces that touch across strips become one patch.

    It keeps the outline and five numbers of every piece, so its memory grows with the number of patches, not of pixels.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._strips: list[Pieces] = []
        self._count = 0
        self._touching: list[NDArray[np.int64]] = []  # pairs of pieces (N, 2)
        self._last_row: NDArray[np.int64] = np.full(grid.width, -1)  # piece of each pixel of the row above
        self._last_kind: NDArray[np.uint8] = np.zeros(grid.width, np.uint8)

    def add(self, rows: slice, kinds: NDArray[np.uint8], scores: NDArray[np.float32]) -> None:
        """The next strip: kinds (h, W), 0 where nothing changed, and scores (h, W)."""
        labels, count = _label(kinds)
        strip = self._grid.window(Window(rows.start, 0, rows.stop - rows.start, self._grid.width))
        self._strips.append(_measure(labels, count, kinds, scores, strip))
        ids = np.where(labels > 0, labels.astype(np.int64) + self._count - 1, -1)
        touching = (ids[0] >= 0) & (self._last_row >= 0) & (kinds[0] == self._last_kind)
        self._touching.append(np.unique(np.stack([self._last_row[touching], ids[0][touching]], axis=1), axis=0))
        self._last_row, self._last_kind = ids[-1], kinds[-1].copy()
        self._count += count

    def patches(self, minimum_area_m2: float, told: Callable[[float], None]) -> list[Patch]:
        """All patches of at least this area, in the order of their first pixel, after the last strip.

        Args:
            minimum_area_m2: patches without a known area stay.
            told: hears the share done, and stops it by what it raises.
        """
        groups, areas = self._groups
        if not self._count:
            return []
        outlines, kinds, pixels, totals, highest = (
            np.concatenate([getattr(strip, name) for strip in self._strips])
            for name in ("outlines", "kinds", "pixels", "totals", "highest")
        )
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        patches = []
        for group, pieces in enumerate(np.split(order, starts[1:])):
            if group % TOLD_EACH == 0:
                told(group / len(starts))
            if areas[group] < minimum_area_m2:
                continue
            count = int(pixels[pieces].sum())
            patches.append(
                Patch(
                    outline=outlines[pieces[0]] if len(pieces) == 1 else shapely.union_all(outlines[pieces]),
                    kind=int(kinds[pieces[0]]),
                    pixels=count,
                    area_m2=float(areas[group]),
                    mean_score=float(totals[pieces].sum() / count),
                    max_score=float(highest[pieces].max()),
                )
            )
        return patches

    def kept(self, minimum_area_m2: float) -> Iterator[NDArray[np.bool_]]:
        """For each strip, in order: which of its labels (1 …, as `add` numbered them) belong to such a patch."""
        groups, areas = self._groups
        keep = ~(areas[groups] < minimum_area_m2)
        first = 0
        for strip in self._strips:
            yield np.concatenate([[False], keep[first : first + len(strip.kinds)]])
            first += len(strip.kinds)

    @cached_property
    def _groups(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The patch of each piece, numbered by their first pieces, and the area of each patch."""
        if not self._count:
            return np.zeros(0, np.int64), np.zeros(0)
        pairs = np.concatenate(self._touching)
        graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(self._count, self._count))
        _, found = connected_components(graph, directed=False)
        _, first, groups = np.unique(found, return_index=True, return_inverse=True)
        groups = np.argsort(np.argsort(first))[groups]
        areas = np.bincount(groups, np.concatenate([strip.areas_m2 for strip in self._strips]))
        return groups, areas.astype(np.float64)


def without_small(kinds: NDArray[np.uint8], keep: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The strip's kinds, 0 where its label is not kept; the same labels as in `PatchFinder.add`."""
    labels, _ = _label(kinds)
    return np.where(keep[labels], kinds, 0).astype(np.uint8)


def _label(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """4-connected areas of equal kind, numbered from 1."""
    labels = np.zeros(kinds.shape, np.int32)
    total = 0
    for kind in np.unique(kinds[kinds > 0]):
        count, found = cv2.connectedComponents((kinds == kind).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        labels[found > 0] = found[found > 0] + total
        total += count - 1
    return labels, total


def _measure(
    labels: NDArray[np.int32], count: int, kinds: NDArray[np.uint8], scores: NDArray[np.float32], strip: Grid
) -> Pieces:
    inside = labels > 0
    at = labels[inside] - 1
    pixels = np.bincount(at, minlength=count)
    total = np.bincount(at, scores[inside], count).astype(np.float64)
    highest = np.full(count, -np.inf)
    np.maximum.at(highest, at, scores[inside])
    kind = np.zeros(count, np.uint8)
    kind[at] = kinds[inside]
    outlines = np.empty(count, dtype=object)
    for geometry, value in shapes(labels, mask=inside, connectivity=4, transform=strip.transform):
        outlines[int(value) - 1] = to_shape(geometry)
    return Pieces(outlines, kind, pixels, (pixels * _pixel_area_m2(strip)).astype(np.float64), total, highest)


def _pixel_area_m2(strip: Grid) -> float:
    """At the strip's centre; a strip is low enough for one figure, also in degrees."""
    if strip.crs is None:
        return float("nan")
    west, south, east, north = strip.bounds
    return pixel_size_m(strip.crs_text, strip.transform, (west + east) / 2, (south + north) / 2) ** 2
