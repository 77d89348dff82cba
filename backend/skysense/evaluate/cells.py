"""Cells of labelled pictures, the unit of the dense probe and of its few-shot form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysense.errors import LabelError
from skysense.evaluate.folders import (
    LabelledPicture,
    LabelledSet,
    check_sizes,
    read_bands,
    read_labels,
    read_rgb,
    tile_windows,
)

CELL_PX = 8
TILE_PX = 1024
CELLS_A_PICTURE = 1200
COVERED, CLEAR = 0.75, 0.05  # share of a cell that names it; of the object, at most, in a background cell

Bands = NDArray[np.float32]  # (3 or 4, H, W) of 0..1


@dataclass(frozen=True)
class Tile:
    """One picture, or a whole tile of a larger one, with the cells drawn from it."""

    bands: Bands
    cells: NDArray[np.intp]  # (n, 2) rows and columns
    labels: NDArray[np.intp]  # (n,) index of the class
    labelled: str  # the set's name
    group: str  # over all sets
    picture: LabelledPicture
    window: tuple[slice, slice]  # of the picture


def find_classes(sets: Sequence[LabelledSet]) -> list[int]:
    """The values of all masks that are classes, in order; raises LabelError for fewer than two."""
    found: set[int] = set()
    for labelled in sets:
        for picture in labelled.pictures:
            found |= set(np.unique(picture_labels(picture)).tolist()) - labelled.ignored
    if len(found) < 2:
        raise LabelError(f"The masks hold the classes {sorted(found)}, a probe needs two.", "Check masks/ and classes.json.")
    return sorted(found)


def draw_tiles(sets: Sequence[LabelledSet], classes: Sequence[int], seed: int) -> list[Tile]:
    """All tiles with their cells.

    Raises:
        LabelError: masks of another size than their images; fewer than two groups that hold cells.
    """
    tiles = list(_tiles(sets, classes, seed))
    groups = len({tile.group for tile in tiles})
    if groups < 2:
        raise LabelError(
            f"The folders hold {groups} group of labelled pictures, leaving one out needs two.",
            "Add a folder, or split the pictures with --group-by.",
        )
    return tiles


def _tiles(sets: Sequence[LabelledSet], classes: Sequence[int], seed: int) -> Iterator[Tile]:
    generator = np.random.default_rng(seed)
    for labelled in sets:
        for picture in labelled.pictures:
            bands, labels = _bands(picture), picture_labels(picture)
            check_sizes(picture.image, bands.shape[1:], labels.shape)
            for window in tile_windows(labels.shape[0], labels.shape[1], TILE_PX, TILE_PX):
                named = cell_labels(labels[window], classes)
                cells = np.argwhere(named >= 0)
                if len(cells) > CELLS_A_PICTURE:
                    cells = cells[np.sort(generator.choice(len(cells), CELLS_A_PICTURE, replace=False))]
                if len(cells):
                    tile = bands[(slice(None), *window)]
                    yield Tile(tile, cells, named[tuple(cells.T)], labelled.name, picture.group, picture, window)


def cell_labels(labels: NDArray[np.integer], classes: Sequence[int]) -> NDArray[np.intp]:
    """(H, W) -> (H // 8, W // 8): the class that covers the cell, -1 where none does."""
    cells = in_cells(labels)
    shares = np.stack([(cells == value).mean(axis=-1) for value in classes])  # (K, rows, columns)
    named = np.where(shares.max(axis=0) >= COVERED, shares.argmax(axis=0), -1)
    if len(classes) == 2:
        named = np.where((named == 0) & (shares[1] > CLEAR), -1, named)
    return named


def in_cells(pixels: NDArray[np.integer]) -> NDArray[np.integer]:
    """(H, W) -> (H // 8, W // 8, 64)."""
    rows, columns = pixels.shape[0] // CELL_PX, pixels.shape[1] // CELL_PX
    cells = pixels[: rows * CELL_PX, : columns * CELL_PX].reshape(rows, CELL_PX, columns, CELL_PX)
    return np.moveaxis(cells, 2, 1).reshape(rows, columns, CELL_PX * CELL_PX)


def picture_labels(picture: LabelledPicture) -> NDArray[np.integer]:
    """Classes (H, W): the mask; where there is none, 1 on every instance."""
    if picture.mask is not None:
        return read_labels(picture.mask)
    return (read_labels(picture.objects) > 0).astype(np.uint8)


def _bands(picture: LabelledPicture) -> Bands:
    bands = read_bands(picture.image)
    if bands.dtype == np.uint8 and len(bands) in (3, 4):
        return bands.astype(np.float32) / np.float32(255)
    return np.moveaxis(read_rgb(picture.image), -1, 0).astype(np.float32) / np.float32(255)
