"""Connected patches of change in a layer that is seen strip by strip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from shapely.geometry import shape as to_shape
from shapely.geometry.base import BaseGeometry

from skysense.scene.grid import Grid, Window
from skysense.scene.ground import pixel_size_m


@dataclass(frozen=True)
class Patch:
    """One 4-connected area of one kind of change."""

    outline: BaseGeometry  # in the grid's CRS, along pixel edges
    kind: int
    pixels: int
    area_m2: float  # on the ground; NaN without a CRS
    mean_score: float
    max_score: float


class PatchFinder:
    """Takes strips of full width from the top to the bottom; pieces that touch across strips become one patch."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._parent: list[int] = []  # of each piece, union-find
        self._pieces: list[Patch] = []
        self._last_row: NDArray[np.int64] = np.full(grid.width, -1)  # piece of each pixel of the row above
        self._last_kind: NDArray[np.uint8] = np.zeros(grid.width, np.uint8)
        self._pieces_of_strip: list[tuple[int, int]] = []

    def add(self, rows: slice, kinds: NDArray[np.uint8], scores: NDArray[np.float32]) -> None:
        """The next strip: kinds (h, W), 0 where nothing changed, and scores (h, W)."""
        first = len(self._pieces)
        labels, count = _label(kinds)
        strip = self._grid.window(Window(rows.start, 0, rows.stop - rows.start, self._grid.width))
        self._pieces += _measure(labels, count, kinds, scores, strip)
        self._parent += range(first, first + count)
        ids = np.where(labels > 0, labels.astype(np.int64) + first - 1, -1)
        touching = (ids[0] >= 0) & (self._last_row >= 0) & (kinds[0] == self._last_kind)
        for a, b in np.unique(np.stack([self._last_row[touching], ids[0][touching]], axis=1), axis=0):
            self._join(int(a), int(b))
        self._last_row, self._last_kind = ids[-1], kinds[-1].copy()
        self._pieces_of_strip.append((first, count))

    def patches(self, minimum_area_m2: float = 0.0) -> list[Patch]:
        """All patches of at least this area, in the order of their first pixel."""
        return [patch for patch in self._merged().values() if not patch.area_m2 < minimum_area_m2]

    def kept(self, minimum_area_m2: float) -> Iterator[NDArray[np.bool_]]:
        """For each strip, in order: which of its labels (1 …, as `add` numbered them) belong to such a patch."""
        merged = self._merged()
        for first, count in self._pieces_of_strip:
            keep = [not merged[self._root(first + i)].area_m2 < minimum_area_m2 for i in range(count)]
            yield np.array([False, *keep])

    def _merged(self) -> dict[int, Patch]:
        members: dict[int, list[Patch]] = {}
        for number, piece in enumerate(self._pieces):
            members.setdefault(self._root(number), []).append(piece)
        return {root: _merge(pieces) for root, pieces in members.items()}

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def _join(self, a: int, b: int) -> None:
        a, b = sorted((self._root(a), self._root(b)))
        self._parent[b] = a


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
) -> list[Patch]:
    inside = labels > 0
    at = labels[inside] - 1
    pixels = np.bincount(at, minlength=count)
    total = np.bincount(at, scores[inside], count)
    highest = np.full(count, -np.inf)
    np.maximum.at(highest, at, scores[inside])
    kind = np.zeros(count, np.uint8)
    kind[at] = kinds[inside]
    outlines: list[list[BaseGeometry]] = [[] for _ in range(count)]
    for geometry, value in shapes(labels, mask=inside, connectivity=4, transform=strip.transform):
        outlines[int(value) - 1].append(to_shape(geometry))
    area = _pixel_area_m2(strip)
    return [
        Patch(
            outline=outlines[i][0],
            kind=int(kind[i]),
            pixels=int(pixels[i]),
            area_m2=float(pixels[i] * area),
            mean_score=float(total[i] / pixels[i]),
            max_score=float(highest[i]),
        )
        for i in range(count)
    ]


def _merge(pieces: list[Patch]) -> Patch:
    if len(pieces) == 1:
        return pieces[0]
    pixels = sum(piece.pixels for piece in pieces)
    return Patch(
        outline=shapely.union_all([piece.outline for piece in pieces]),
        kind=pieces[0].kind,
        pixels=pixels,
        area_m2=sum(piece.area_m2 for piece in pieces),
        mean_score=sum(piece.mean_score * piece.pixels for piece in pieces) / pixels,
        max_score=max(piece.max_score for piece in pieces),
    )


def _pixel_area_m2(strip: Grid) -> float:
    """At the strip's centre; a strip is low enough for one figure, also in degrees."""
    if strip.crs is None:
        return float("nan")
    west, south, east, north = strip.bounds
    return pixel_size_m(strip.crs_text, strip.transform, (west + east) / 2, (south + north) / 2) ** 2
