"""Which labelled region each cell belongs to: what somebody would draw as one example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from skysense.evaluate.cells import Tile, in_cells, picture_labels
from skysense.evaluate.folders import check_sizes, read_labels

NO_REGION = -1


def cell_regions(tile: Tile, classes: Sequence[int]) -> NDArray[np.intp]:
    """(n,) a number of a region for each of the tile's cells.

    A region is a 4-connected area of one class, and of one object where the picture has instances, so that houses wall
    to wall are several; it ends at the tile's rim. A cell belongs to the region that has most of its pixels of the
    cell's class.

    Raises:
        LabelError: instances of another size than the mask.
    """
    labels = picture_labels(tile.picture)
    areas = labels[tile.window].astype(np.int64)
    if tile.picture.instances is not None:
        objects = read_labels(tile.picture.instances)
        check_sizes(tile.picture.instances, objects.shape, labels.shape)
        areas += (int(areas.max()) + 1) * objects[tile.window]  # one number a pair of class and object
    regions = label(areas, connectivity=1, background=NO_REGION)  # type: ignore[no-untyped-call]
    place = tuple(tile.cells.T)
    own = in_cells(labels[tile.window])[place] == np.array(classes)[tile.labels][:, None]  # (n, 64)
    return _commonest(np.where(own, in_cells(regions)[place], NO_REGION))


def _commonest(numbers: NDArray[np.integer]) -> NDArray[np.intp]:
    """(n, m) -> (n,) the number that a row holds most often, the smaller of equals; those below zero do not count."""
    ordered = np.sort(numbers, axis=1)
    width = ordered.shape[1]
    # How far each entry lies behind the first of its kind; the longest run ends where that is largest.
    starts = np.concatenate([np.ones((len(ordered), 1), bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    run = np.arange(width) - np.maximum.accumulate(np.where(starts, np.arange(width), 0), axis=1)
    run[ordered < 0] = -1
    return ordered[np.arange(len(ordered)), run.argmax(axis=1)].astype(np.intp)
