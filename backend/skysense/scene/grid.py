"""Grids: where pixels lie. A grid is a value; its methods give new ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.transform import Affine, array_bounds

from skysense.errors import RequestError


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels. It may reach beyond its grid; what is outside is not valid."""

    row: int
    column: int
    height: int
    width: int

    def buffer(self, pixels: int) -> Window:
        return Window(self.row - pixels, self.column - pixels, self.height + 2 * pixels, self.width + 2 * pixels)


@dataclass(frozen=True)
class Grid:
    """North-up pixels in a CRS. `crs` None means pixel space: x is the column, y minus the row, as QGIS counts them."""

    crs: CRS | None
    transform: Affine  # pixel corner (column, row) to (x, y)
    height: int
    width: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        return array_bounds(self.height, self.width, self.transform)

    @property
    def crs_text(self) -> str:
        """What `Extent.crs` holds for this grid; "" in pixel space."""
        return _name(self.crs) if self.crs else ""

    def window(self, window: Window) -> Grid:
        """The grid of a window of this one."""
        moved = self.transform @ Affine.translation(window.column, window.row)
        return Grid(self.crs, moved, window.height, window.width)

    def coarsen(self, factor: int) -> Grid:
        """Cells of factor x factor pixels from the same corner; the last ones may reach beyond."""
        bigger = self.transform @ Affine.scale(factor)
        return Grid(self.crs, bigger, ceil(self.height / factor), ceil(self.width / factor))

    def cut(self, west: float, south: float, east: float, north: float) -> Window:
        """The window of whole pixels that covers the rectangle, within the grid; empty where they do not meet."""
        to_pixel = ~self.transform
        left, top = to_pixel @ (west, north)
        right, bottom = to_pixel @ (east, south)
        # An edge that should lie on a pixel border is not moved outwards by rounding.
        row, column = max(0, floor(top + 1e-6)), max(0, floor(left + 1e-6))
        stop_row, stop_column = min(self.height, ceil(bottom - 1e-6)), min(self.width, ceil(right - 1e-6))
        return Window(row, column, max(0, stop_row - row), max(0, stop_column - column))


@lru_cache(maxsize=64)  # asked for each file of a series; PROJ takes 40 ms to name a CRS
def _name(crs: CRS) -> str:
    return str(crs.to_string())


def parse_crs(text: str) -> CRS:
    """Raises RequestError where the text names no CRS."""
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise RequestError(
            f"{text[:60]!r} names no coordinate reference system.", "Choose one that QGIS knows by its code, for instance EPSG:4326."
        ) from error
