"""Spatial blocks: neighbouring pixels look alike, so that whole blocks are held out, never single pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from skysense.scene.grid import Grid, Window
from skysense.training.labels import Labels

ENOUGH_BLOCKS = 12  # labelled ones; blocks are halved until there are so many
SMALLEST_BLOCK_PX = 8
MOST_BLOCKS = 4000  # looked at, evenly over the labels


@dataclass(frozen=True)
class Blocks:
    """The labelled blocks of a scene and which of them are held out."""

    side_px: int
    corners: NDArray[np.int64]  # (N, 2) row and column of the block, in blocks
    counts: NDArray[np.int64]  # (N, K) labelled pixels of each class
    held_out: NDArray[np.bool_]  # (N,)

    def split(self, labels: NDArray[np.uint8], window: Window, ignore: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Labels (h, w) of a window for training and for validation, each with the other's pixels ignored."""
        rows = np.arange(window.row, window.row + window.height) // self.side_px
        columns = np.arange(window.column, window.column + window.width) // self.side_px
        inside = (self.corners >= (rows[0], columns[0])).all(axis=1) & (self.corners <= (rows[-1], columns[-1])).all(axis=1)
        side = np.full((rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1), -1, np.int8)  # not labelled
        at = self.corners[inside] - (rows[0], columns[0])
        side[at[:, 0], at[:, 1]] = self.held_out[inside]
        of_pixel = side[np.ix_(rows - rows[0], columns - columns[0])]
        return np.where(of_pixel == 0, labels, ignore).astype(np.uint8), np.where(of_pixel == 1, labels, ignore).astype(np.uint8)


def find_blocks(labels: Labels, grid: Grid, largest_px: int, share: float, seed: int) -> Blocks:
    """Labelled blocks, as large as leaves enough of them, and the held-out share.

    Args:
        labels: polygons.
        grid: of the scene.
        largest_px: side of the largest blocks; smaller ones are halves of it, again and again.
        share: of the blocks to hold out.
        seed: of the choice.
    """
    generator = np.random.default_rng(seed)
    side = largest_px
    corners, counts = _labelled(labels, grid, side)
    while len(corners) < ENOUGH_BLOCKS and side % 2 == 0 and side // 2 >= SMALLEST_BLOCK_PX:
        side //= 2
        corners, counts = _labelled(labels, grid, side)
    return Blocks(side, corners, counts, hold_out(counts, share, generator))


def hold_out(counts: NDArray[np.int64], share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which blocks (N,) of `counts` (N, K) are held out.

    Every class keeps a block to learn from. Where a class has two or more, at least one of them is held out, rare
    classes first; then blocks by chance, up to the share.
    """
    there = counts > 0
    held = np.zeros(len(counts), bool)
    order = generator.permutation(len(counts))

    def may_go(block: int) -> bool:
        left = there[~held].sum(axis=0) - there[block]
        return bool((left[there[block]] >= 1).all())

    for index in np.argsort(there.sum(axis=0), kind="stable"):
        if share > 0 and not there[held, index].any():
            candidates = [block for block in order if there[block, index] and not held[block] and may_go(block)]
            if candidates:
                held[candidates[0]] = True
    for block in order:
        if held.sum() >= round(share * len(counts)):
            break
        if not held[block] and may_go(block):
            held[block] = True
    return held


def _labelled(labels: Labels, grid: Grid, side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Corners (N, 2) and class counts (N, K) of the blocks that hold labelled pixels, row by row."""
    near = sorted(_near(labels, grid, side))
    corners, counts = [], []
    for row, column in near[:: max(1, -(-len(near) // MOST_BLOCKS))]:
        height, width = min(side, grid.height - row * side), min(side, grid.width - column * side)
        drawn = labels.draw(grid.window(Window(row * side, column * side, height, width)))
        found = np.bincount(drawn.ravel(), minlength=256)[: len(labels.classes)]
        if found.any():
            corners.append((row, column))
            counts.append(found)
    return np.array(corners, np.int64).reshape(-1, 2), np.array(counts, np.int64).reshape(-1, len(labels.classes))


def _near(labels: Labels, grid: Grid, side: int) -> set[tuple[int, int]]:
    """Row and column of all blocks that the bounds of a polygon touch."""
    found = set()
    for west, south, east, north in shapely.bounds(labels.shapes):
        if grid.transform.e > 0:  # rows of pixel space grow downwards
            south, north = north, south
        part = grid.cut(west, south, east, north)
        for row in range(part.row // side, -(-(part.row + part.height) // side)):
            for column in range(part.column // side, -(-(part.column + part.width) // side)):
                found.add((row, column))
    return found
