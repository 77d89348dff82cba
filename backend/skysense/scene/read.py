"""The reader: acquisitions as windows on one grid, in canonical units, with one validity mask.

Values come bilinearly, masks by the nearest pixel. Nodata, mask bands, alpha, NaN and infinities all become "not
valid".
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date as calendar_date
from functools import lru_cache
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.features import geometry_mask
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds, transform_geom
from shapely import from_wkt
from shapely.errors import ShapelyError
from shapely.geometry import mapping

from skysense.errors import BandError, DateError, GridError, RequestError
from skysense.protocol.scene_source import AcquisitionSource, Extent, SceneSource
from skysense.protocol.sensors import SENSORS
from skysense.scene.grid import Grid, Window, parse_crs
from skysense.scene.ground import pixel_size_m
from skysense.scene.normalise import to_units
from skysense.scene.open import GDAL_ERRORS, open_raster
from skysense.scene.warp import is_turned, native_grid, read_window, warped

BANDS_REMEDY = "Say which band is which: in the scene table, under Bands in Processing, or by --bands in the shell."
Box = tuple[float, float, float, float]  # west, south, east, north


class AcquisitionReader:
    """One acquisition on a grid of its own choosing."""

    def __init__(self, source: AcquisitionSource, dataset: DatasetReader) -> None:
        self.source = source
        self.sensor = SENSORS[source.sensor]
        self.dataset = dataset
        self.native = native_grid(dataset)
        self.day = day_of_year(source)
        self._warped: dict[Grid, WarpedVRT] = {}

    def read(self, grid: Grid, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Values (C, h, w) of the source's bands, in its order and in canonical units, and validity (h, w)."""
        indexes = [band.index for band in self.source.bands]
        stored, valid = self._stored(grid, window, indexes)
        values = to_units(stored, self.source.scaling)
        valid &= np.isfinite(values).all(axis=0)
        values[:, ~valid] = 0.0
        return values, valid

    def _stored(self, grid: Grid, window: Window, indexes: list[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """As in the file, on the grid; what lies beyond grid or file is not valid."""
        values = np.zeros((len(indexes), window.height, window.width), np.float32)
        valid = np.zeros((window.height, window.width), bool)
        inside = _within(window, grid)
        if inside is not None:
            part, rows, columns = inside
            source = self.dataset if grid == self.native and not is_turned(self.dataset) else self._on(grid)
            values[:, rows, columns], valid[rows, columns] = read_window(source, indexes, part, self.source.nodata)
        return values, valid

    def _on(self, grid: Grid) -> WarpedVRT:
        if grid not in self._warped:
            if grid != self.native and (grid.crs is None or self.dataset.crs is None):
                raise GridError(
                    f"{self.source.name or self.source.path} and the reference do not both have a coordinate reference "
                    "system, and their pixels differ.",
                    "Set the CRS of both layers, or use rasters of the same size.",
                )
            self._warped[grid] = warped(self.dataset, grid, Resampling.bilinear, self.source.nodata)
        return self._warped[grid]

    def close(self) -> None:
        for vrt in self._warped.values():
            vrt.close()


@dataclass(frozen=True)
class Patch:
    """A window of one acquisition."""

    values: NDArray[np.float32]  # (C, h, w)
    valid: NDArray[np.bool_]  # (h, w)


class SceneReader:
    """A scene that is open for reading; a context manager.

    Attributes:
        grid: the reference grid, cut to the extent; all windows refer to it.
        readers: one per acquisition, in the order of the source.
    """

    def __init__(self, source: SceneSource) -> None:
        """Open all files.

        Raises:
            RequestError: no acquisitions. RasterError: a file that cannot be used. BandError: bands that the file or
            the sensor does not have. DateError: an impossible date. GridError: nothing in common with the extent.
        """
        if not source.acquisitions:
            raise RequestError("The scene has no layers.", "Add at least one raster layer to the scene.")
        self._stack = ExitStack()
        try:
            self.source = source
            self.readers = [self._open(acquisition) for acquisition in source.acquisitions]
            reference = self.readers[_reference(source, self.readers)]
            self.reference = reference
            self._window = _extent_window(reference, source.extent)
            self.grid = reference.native.window(self._window)
            self._polygon = _polygon(source.extent, self.grid)
            for reader in self.readers:
                _check_meets(reader, self.grid)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, acquisition: AcquisitionSource) -> AcquisitionReader:
        dataset = self._stack.enter_context(open_raster(acquisition.path, acquisition.crs))
        check_bands(acquisition, dataset.count)
        reader = AcquisitionReader(acquisition, dataset)
        self._stack.callback(reader.close)
        return reader

    def __enter__(self) -> SceneReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def of_sensor(self, sensor: str) -> list[AcquisitionReader]:
        """Its acquisitions by date, undated ones first; Landsat counts as Sentinel-2."""
        keys = ("s2", "landsat") if sensor == "s2" else (sensor,)
        found = [reader for reader in self.readers if reader.source.sensor in keys]
        return sorted(found, key=lambda reader: reader.source.date or "")

    @property
    def offset(self) -> tuple[int, int]:
        """Row and column of the extent's corner in the reference's own pixels."""
        return self._window.row, self._window.column

    def coarseness(self, reader: AcquisitionReader) -> int:
        """Reference pixels per pixel of this acquisition, as a whole number: what it is read at."""
        if reader.native.crs is None:
            return 1
        ratio = _gsd_m(reader.native) / _gsd_m(self.reference.native)
        return max(1, min(round(ratio), max(self.grid.height, self.grid.width)))

    def read(self, reader: AcquisitionReader, window: Window, coarseness: int = 1) -> Patch:
        """A window of the scene's grid, in pixels of `coarseness` reference pixels, counted from the reference's corner.

        Pixels beyond the extent still come where the file has them, so that they serve as halo.
        """
        row, column = window.row + self._window.row, window.column + self._window.column
        grid = self.reference.native if coarseness == 1 else self.reference.native.coarsen(coarseness)
        top, left = row // coarseness, column // coarseness
        bottom, right = -(-(row + window.height) // coarseness), -(-(column + window.width) // coarseness)
        return Patch(*reader.read(grid, Window(top, left, bottom - top, right - left)))

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Which pixels (h, w) of the window lie in the extent, polygon included."""
        rows = np.arange(window.row, window.row + window.height)
        columns = np.arange(window.column, window.column + window.width)
        mask = ((rows >= 0) & (rows < self.grid.height))[:, None] & ((columns >= 0) & (columns < self.grid.width))
        if self._polygon is not None:
            t = self.grid.window(window).transform
            mask &= geometry_mask([self._polygon], mask.shape, t, invert=True)
        return mask


def day_of_year(source: AcquisitionSource) -> int:
    """1..366, 0 where the date is not known.

    Raises:
        DateError: not a day of the calendar.
    """
    if source.date is None:
        return 0
    try:
        return calendar_date.fromisoformat(source.date).timetuple().tm_yday
    except ValueError as error:
        raise DateError(
            f"The date {source.date!r} of {source.name or source.path} is no day of the calendar.",
            "Write it as year-month-day, for instance 2024-02-29.",
        ) from error


def check_bands(source: AcquisitionSource, count: int) -> None:
    """Raises BandError for an unknown sensor, no bands, a band that sensor or file does not have."""
    name = source.name or source.path
    if source.sensor not in SENSORS:
        raise BandError(f"{name}: there is no sensor {source.sensor!r}.", f"Choose one of {', '.join(SENSORS)}.")
    if not source.bands:
        raise BandError(f"{name}: no band is mapped to {SENSORS[source.sensor].label}.", BANDS_REMEDY)
    for band in source.bands:
        if band.band not in SENSORS[source.sensor].band_names:
            raise BandError(
                f"{name}: {SENSORS[source.sensor].label} has no band {band.band!r}.",
                f"Choose among {', '.join(SENSORS[source.sensor].band_names)}.",
            )
        if not 1 <= band.index <= count:
            raise BandError(f"{name} has {count} bands, band {band.index} was asked for.", BANDS_REMEDY)


def _within(window: Window, grid: Grid) -> tuple[Window, slice, slice] | None:
    """The part of the window inside the grid, and where it lies in the window."""
    top, left = max(window.row, 0), max(window.column, 0)
    bottom = min(window.row + window.height, grid.height)
    right = min(window.column + window.width, grid.width)
    if bottom <= top or right <= left:
        return None
    rows = slice(top - window.row, bottom - window.row)
    columns = slice(left - window.column, right - window.column)
    return Window(top, left, bottom - top, right - left), rows, columns


def _reference(source: SceneSource, readers: list[AcquisitionReader]) -> int:
    if source.reference is not None:
        if not 0 <= source.reference < len(readers):
            raise RequestError(
                f"The scene has {len(readers)} layers, number {source.reference} cannot be its reference.",
                "Choose one of the scene's layers.",
            )
        return source.reference
    return min(range(len(readers)), key=lambda i: round(_gsd_m(readers[i].native), 3))


@lru_cache(maxsize=64)  # asked for each tile; PROJ takes 40 ms to name a CRS
def _gsd_m(grid: Grid) -> float:
    if grid.crs is None:
        return 0.0
    west, south, east, north = grid.bounds
    return pixel_size_m(grid.crs_text, grid.transform, (west + east) / 2, (south + north) / 2)


def _extent_window(reference: AcquisitionReader, extent: Extent | None) -> Window:
    grid = reference.native
    if extent is None:
        return Window(0, 0, grid.height, grid.width)
    box = extent.west, extent.south, extent.east, extent.north
    if bool(extent.crs) != (grid.crs is not None):
        raise GridError(
            f"The extent is given in {extent.crs or 'pixels'}, the layer lies in {grid.crs_text or 'pixel space'}.",
            "Set the layer's CRS, or use the layer's own extent.",
        )
    if grid.crs is not None:
        box = _box_in(parse_crs(extent.crs), grid.crs, box, "the extent")
    window = grid.cut(*box)
    if window.height == 0 or window.width == 0:
        raise GridError(
            f"The extent ({_numbers(box)}) and {reference.source.name or reference.source.path} "
            f"({_numbers(grid.bounds)}) have nothing in common.",
            "Choose an extent on the layer.",
        )
    return window


def _polygon(extent: Extent | None, grid: Grid) -> dict[str, object] | None:
    if extent is None or extent.polygon_wkt is None:
        return None
    try:
        shape = from_wkt(extent.polygon_wkt)
    except ShapelyError as error:
        raise RequestError(f"The extent's polygon cannot be read: {error}.", "Choose a polygon layer again.") from error
    if shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise RequestError(f"The extent is a {shape.geom_type}, not a polygon.", "Choose a layer with polygons.")
    geometry: dict[str, object] = mapping(shape)
    if grid.crs is not None and parse_crs(extent.crs) != grid.crs:
        geometry = transform_geom(parse_crs(extent.crs), grid.crs, geometry)
    return geometry


def _box_in(crs: CRS, target: CRS, box: Box, what: str) -> Box:
    """The box around the box in another CRS.

    Raises:
        GridError: it has no place there.
    """
    if crs == target:
        return box
    try:
        moved: Box = transform_bounds(crs, target, *box, densify_pts=21)
    except (*GDAL_ERRORS, ValueError):  # PROJ says: outside of the projection's domain
        moved = (math.inf,) * 4
    if not all(math.isfinite(value) for value in moved):
        raise GridError(
            f"{what} ({_numbers(box)} in {crs.to_string()[:60]}) has no place in {target.to_string()[:60]}.",
            "Check the coordinate reference systems of the layers.",
        )
    return moved


def _check_meets(reader: AcquisitionReader, grid: Grid) -> None:
    """Every layer has to share ground with the reference."""
    own = reader.native
    name = reader.source.name or reader.source.path
    if (own.crs is None) != (grid.crs is None):
        raise GridError(f"{name} has {'no' if own.crs is None else 'a'} CRS, the reference differs.", "Set the CRS of all layers.")
    box = own.bounds
    if own.crs is not None and grid.crs is not None:
        box = _box_in(own.crs, grid.crs, box, name)
    west, south, east, north = grid.bounds
    if grid.crs is not None and (box[0] >= east or box[2] <= west or box[1] >= north or box[3] <= south):
        raise GridError(
            f"{name} ({_numbers(box)}) does not meet the scene ({_numbers(grid.bounds)}).",
            "Choose layers of the same place, or check their CRS.",
        )


def _numbers(box: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in box)
