"""What a drawn layer is drawn on: pixels of a CRS, and the GeoTIFF that holds them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, hypot
from pathlib import Path

import numpy as np
from osgeo import gdal
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransformContext, QgsRectangle

from ..protocol.requests import RasterDescription
from ..protocol.scene_source import Extent
from .crs import crs_from_text
from .extents import extent_from_rectangle, transformed_box
from .sources import LayerError

BLOCK_PX = 1024
LARGEST_SIDE_PX = 16_384  # a service is asked for thousands of tiles beyond that


@dataclass(frozen=True)
class Sheet:
    """Where and how finely a layer is drawn: square pixels from the north-western corner on."""

    crs: QgsCoordinateReferenceSystem
    west: float
    north: float
    pixel: float  # in units of the CRS
    width: int
    height: int

    def blocks(self) -> Iterator[tuple[int, int, int, int]]:
        """(column, row, width, height) of each block, row by row."""
        for row in range(0, self.height, BLOCK_PX):
            for column in range(0, self.width, BLOCK_PX):
                yield column, row, min(BLOCK_PX, self.width - column), min(BLOCK_PX, self.height - row)

    def rectangle(self, column: int, row: int, width: int, height: int) -> QgsRectangle:
        """A block on the ground."""
        west, north = self.west + column * self.pixel, self.north - row * self.pixel
        return QgsRectangle(west, north - height * self.pixel, west + width * self.pixel, north)


def sheet_for(extent: Extent, pixel: float) -> Sheet:
    """The extent in pixels of this size, in units of its CRS.

    Raises:
        LayerError: no CRS, no area, or more pixels than can be asked of a service.
    """
    crs = crs_from_text(extent.crs)
    if not crs.isValid() or pixel <= 0:
        raise LayerError("A layer that QGIS draws needs an extent with a CRS and a pixel size above zero.")
    width, height = ceil((extent.east - extent.west) / pixel - 1e-6), ceil((extent.north - extent.south) / pixel - 1e-6)
    if width < 1 or height < 1:
        raise LayerError("The extent to draw has no area. Draw a larger rectangle.")
    if max(width, height) > LARGEST_SIDE_PX:
        raise LayerError(
            f"Drawing {width} x {height} pixels is more than the {LARGEST_SIDE_PX} a side that are allowed. "
            "Choose a smaller extent or larger pixels."
        )
    return Sheet(crs, extent.west, extent.north, pixel, width, height)


def finest(descriptions: Iterable[RasterDescription]) -> RasterDescription | None:
    """The file that the output will lie on, among those with a CRS."""
    placed = [described for described in descriptions if described.crs and described.gsd_m]
    return min(placed, key=lambda described: described.gsd_m, default=None)


def sheet_beside(
    file: RasterDescription, extent: Extent | None, pixel: float | None, transforms: QgsCoordinateTransformContext
) -> Sheet:
    """For a layer that is drawn to go with a file: where that lies, inside the extent, as finely.

    Args:
        file: with a CRS.
        extent: where to work; None for the whole file.
        pixel: another pixel size, in units of the file's CRS.
        transforms: of the project.

    Raises:
        LayerError: extent and file do not meet, or it is too large to draw.
    """
    crs = crs_from_text(file.crs)
    a, b, c, d, e, f = file.transform
    corners = [(column, row) for column in (0, file.width) for row in (0, file.height)]
    xs = [a * column + b * row + c for column, row in corners]
    ys = [d * column + e * row + f for column, row in corners]
    box = QgsRectangle(min(xs), min(ys), max(xs), max(ys))
    if extent is not None:
        wanted = QgsRectangle(extent.west, extent.south, extent.east, extent.north)
        box = box.intersect(transformed_box(wanted, crs_from_text(extent.crs), crs, transforms))
    return sheet_for(extent_from_rectangle(box, crs), pixel or hypot(a, d))


class SheetFile:
    """The GeoTIFF being filled: red, green, blue, and 0 where nothing was drawn. Removed unless it is finished."""

    def __init__(self, path: Path, sheet: Sheet, name: str) -> None:
        """Begin the file.

        Raises:
            LayerError: it cannot be written there, or the disk has no space for it.
        """
        self._path, self._sheet, self._name = path, sheet, name
        self._missing = 0
        self._file: gdal.Dataset | None = None
        needed = 4 * sheet.width * sheet.height  # uncompressed: a full disk is better known before than met
        if path.parent.is_dir() and shutil.disk_usage(path.parent).free < needed:
            raise LayerError(f"Drawing {name} needs {needed / 1e6:.0f} MB in {path.parent}. Free some space first.")
        with self._in_words():
            self._file = gdal.GetDriverByName("GTiff").Create(
                str(path), sheet.width, sheet.height, 3, gdal.GDT_Byte,
                ["TILED=YES", "COMPRESS=DEFLATE", "ZLEVEL=1", "PHOTOMETRIC=RGB", "INTERLEAVE=PIXEL", "BIGTIFF=IF_SAFER"],
            )  # fmt: skip
        self._file.SetProjection(sheet.crs.toWkt())
        self._file.SetGeoTransform((sheet.west, sheet.pixel, 0.0, sheet.north, 0.0, -sheet.pixel))
        self._file.SetMetadataItem("SKYSENSE_DRAWN_FROM", name)
        for band in (1, 2, 3):
            self._file.GetRasterBand(band).SetNoDataValue(0)

    def put(self, column: int, row: int, colours: np.ndarray, drawn: np.ndarray) -> None:
        """One block: colours (H, W, 3), and where anything was drawn (H, W).

        Raises:
            LayerError: it cannot be written.
        """
        height, width = drawn.shape
        values = np.where(drawn[..., None], np.maximum(colours, 1), 0).astype(np.uint8)  # black is no hole
        with self._in_words():
            for band in range(3):
                data = np.ascontiguousarray(values[..., band]).tobytes()
                self._file.GetRasterBand(band + 1).WriteRaster(column, row, width, height, data)
        self._missing += int(drawn.size - drawn.sum())

    def finish(self) -> float:
        """Close the file; the share of pixels that could not be drawn.

        Raises:
            LayerError: nothing could be drawn, or the file cannot be finished.
        """
        missing = self._missing / (self._sheet.width * self._sheet.height)
        if missing == 1.0:
            self.drop()
            raise LayerError(
                f"Nothing of {self._name} could be drawn here. Check the connection, and that the layer shows at this scale."
            )
        with self._in_words():
            self._file.FlushCache()
        self._file = None
        return missing

    def drop(self) -> None:
        """Leave nothing behind."""
        self._file = None
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """GDAL's failures as ours, whether its exceptions are on or off; the half-done file goes."""
        errors: list[str] = []
        gdal.PushErrorHandler(lambda level, _, text: errors.append(text) if level >= gdal.CE_Failure else None)
        try:
            yield
        except RuntimeError as error:
            errors.append(str(error))
        finally:
            gdal.PopErrorHandler()
        if errors:
            self.drop()
            raise LayerError(
                f"{self._path.name} cannot be written: {errors[0]}. Check free space and rights of {self._path.parent}."
            )
