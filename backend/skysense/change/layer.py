"""A layer of scores on disk, so that statistics over all of it need no more memory than a strip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysense.change.statistics import Histogram
from skysense.scene.grid import Window

STRIP_ROWS = 256


class ScoreLayer:
    """One 16-bit float per pixel, NaN where nothing is known. 16 bits are what the score raster stores.

    The file belongs to the layer's user, who gives its folder and takes it away.
    """

    def __init__(self, path: Path, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._path = path
        with path.open("wb") as file:
            file.truncate(2 * height * width)  # sparse: costs no disk before it is written
        self._values = np.memmap(path, np.float16, "r+", shape=(height, width))
        for rows in self.strips():
            self._values[rows] = np.nan

    def write(self, window: Window, values: NDArray[np.float32]) -> None:
        """A window (h, w) inside the layer."""
        rows, columns = _slices(window)
        self._values[rows, columns] = values

    def read(self, window: Window) -> NDArray[np.float32]:
        """A window (h, w) inside the layer."""
        rows, columns = _slices(window)
        return np.asarray(self._values[rows, columns], dtype=np.float32)

    def strips(self) -> Iterator[slice]:
        """Rows, a few at a time, from the top."""
        for start in range(0, self.height, STRIP_ROWS):
            yield slice(start, min(start + STRIP_ROWS, self.height))

    def histogram(self) -> Histogram:
        """Of all values."""
        histogram = Histogram()
        for rows in self.strips():
            histogram.add(self._values[rows])
        return histogram


def _slices(window: Window) -> tuple[slice, slice]:
    return slice(window.row, window.row + window.height), slice(window.column, window.column + window.width)
