"""A layer of scores on disk, so that statistics over all of it need no more memory than a strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysense.change.statistics import Histogram
from skysense.scene.grid import Window
from skysense.scene.write import cannot_write

STRIP_ROWS = 256
STRIP_PX = 2**19  # at most, of wide layers: about half a second of work where much of it has changed


class ScoreLayer:
    """One 16-bit float per pixel, NaN where nothing is known. 16 bits are what the score raster stores.

    The file belongs to the layer's user, who gives its folder and takes it away.
    """

    def __init__(self, path: Path, height: int, width: int) -> None:
        """All unknown.

        The file is written to its end here: where a file has holes, a full disk is found only when memory that stands
        for it is written to, and the system answers that by killing the process.

        Raises:
            OutputError: the disk has no room for it.
        """
        self.height, self.width = height, width
        try:
            with path.open("wb") as file:
                for rows in self.strips():
                    file.write(np.full((rows.stop - rows.start, width), np.nan, np.float16).tobytes())
            self._values = np.memmap(path, np.float16, "r+", shape=(height, width))
        except OSError as error:
            raise cannot_write(path, error) from error

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
        count = max(1, min(STRIP_ROWS, STRIP_PX // self.width))
        for start in range(0, self.height, count):
            yield slice(start, min(start + count, self.height))

    def histogram(self, told: Callable[[float], None]) -> Histogram:
        """Of all values; `told` hears the share done, and stops it by what it raises."""
        histogram = Histogram()
        for rows in self.strips():
            told(rows.start / self.height)
            histogram.add(self._values[rows])
        return histogram


def _slices(window: Window) -> tuple[slice, slice]:
    return slice(window.row, window.row + window.height), slice(window.column, window.column + window.width)
