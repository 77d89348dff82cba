"""Layers that are no files (WMS, XYZ, WCS, virtual), drawn by QGIS: a GeoTIFF that can be part of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsMapRendererCustomPainterJob,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QObject, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QImage, QPainter

from ..protocol.scene_source import Extent
from .extents import crs_from_text
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


def map_settings(
    layer: QgsRasterLayer, crs: QgsCoordinateReferenceSystem, box: QgsRectangle, size: QSize,
    transforms: QgsCoordinateTransformContext,
) -> QgsMapSettings:  # fmt: skip
    """For drawing one layer alone on nothing, so that what could not be drawn stays transparent."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(crs)
    settings.setTransformContext(transforms)
    settings.setExtent(box)
    settings.setOutputSize(size)
    settings.setBackgroundColor(QColor(0, 0, 0, 0))
    settings.setOutputImageFormat(QImage.Format.Format_ARGB32_Premultiplied)
    return settings


def colours_and_mask(image: QImage) -> tuple[np.ndarray, np.ndarray]:
    """A drawn picture as red, green, blue (H, W, 3) and where anything was drawn (H, W)."""
    image = image.convertToFormat(QImage.Format.Format_ARGB32)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    bgra = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width()]
    drawn = bgra[..., 3] > 0
    return np.ascontiguousarray(bgra[..., 2::-1]) * drawn[..., None], drawn


class SheetFile:
    """The GeoTIFF being filled: three bands and a mask of what was drawn. Removed unless it is finished."""

    def __init__(self, path: Path, sheet: Sheet, name: str) -> None:
        self._path, self._sheet, self._name = path, sheet, name
        self._missing = 0
        self._file = gdal.GetDriverByName("GTiff").Create(
            str(path), sheet.width, sheet.height, 3, gdal.GDT_Byte,
            ["TILED=YES", "COMPRESS=DEFLATE", "ZLEVEL=1", "PHOTOMETRIC=RGB", "INTERLEAVE=PIXEL", "BIGTIFF=IF_SAFER"],
        )  # fmt: skip
        if self._file is None:
            raise LayerError(f"{path.name} cannot be written. Check free space and rights of {path.parent}.")
        self._file.SetProjection(sheet.crs.toWkt())
        self._file.SetGeoTransform((sheet.west, sheet.pixel, 0.0, sheet.north, 0.0, -sheet.pixel))
        self._file.SetMetadataItem("SKYSENSE_DRAWN_FROM", name)
        gdal.SetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", "YES")
        self._file.CreateMaskBand(gdal.GMF_PER_DATASET)
        gdal.SetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", None)

    def put(self, column: int, row: int, image: QImage) -> None:
        """One block."""
        colours, drawn = colours_and_mask(image)
        height, width = drawn.shape
        for band in range(3):
            data = np.ascontiguousarray(colours[..., band]).tobytes()
            self._file.GetRasterBand(band + 1).WriteRaster(column, row, width, height, data)
        mask = np.where(drawn, np.uint8(255), np.uint8(0)).tobytes()
        self._file.GetRasterBand(1).GetMaskBand().WriteRaster(column, row, width, height, mask)
        self._missing += int(drawn.size - drawn.sum())

    def finish(self) -> float:
        """Close the file; the share of pixels that could not be drawn.

        Raises:
            LayerError: nothing could be drawn.
        """
        missing = self._missing / (self._sheet.width * self._sheet.height)
        if missing == 1.0:
            self.drop()
            raise LayerError(
                f"Nothing of {self._name} could be drawn here. Check the connection, and that the layer shows at this scale."
            )
        self._file.FlushCache()
        self._file = None
        return missing

    def drop(self) -> None:
        """Leave nothing behind."""
        self._file = None
        self._path.unlink(missing_ok=True)


class LayerDrawing(QObject):
    """Draws a layer block by block beside the event loop. Either `finished` or `failed` is emitted once."""

    progressed = pyqtSignal(float)
    finished = pyqtSignal(str, float)  # the GeoTIFF, the share of it that could not be drawn
    failed = pyqtSignal(str)

    def __init__(
        self, layer: QgsRasterLayer, sheet: Sheet, path: Path, transforms: QgsCoordinateTransformContext,
        parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._layer = layer.clone()  # the user may remove or restyle the layer meanwhile
        self._layer.setParent(self)
        self._sheet, self._path, self._transforms = sheet, path, transforms
        self._name = layer.name()
        self._blocks = list(sheet.blocks())
        self._done = 0
        self._file: SheetFile | None = None
        self._job: QgsMapRendererParallelJob | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        try:
            self._file = SheetFile(self._path, self._sheet, self._name)
        except LayerError as error:
            self.failed.emit(str(error))
            return
        self._next()

    def cancel(self) -> None:
        """Stop and leave nothing behind; nothing is emitted any more."""
        self.blockSignals(True)
        if self._job is not None:
            self._job.finished.disconnect(self._drawn)
            self._job.cancelWithoutBlocking()
            self._job = None
        if self._file is not None:
            self._file.drop()
            self._file = None

    def _next(self) -> None:
        column, row, width, height = self._blocks[self._done]
        box = self._sheet.rectangle(column, row, width, height)
        settings = map_settings(self._layer, self._sheet.crs, box, QSize(width, height), self._transforms)
        self._job = QgsMapRendererParallelJob(settings)
        self._job.finished.connect(self._drawn)
        self._job.start()

    def _drawn(self) -> None:
        if self._job is None or self._file is None:
            return
        column, row, _, _ = self._blocks[self._done]
        self._file.put(column, row, self._job.renderedImage())
        self._job.deleteLater()
        self._job = None
        self._done += 1
        self.progressed.emit(self._done / len(self._blocks))
        if self._done < len(self._blocks):
            self._next()
            return
        file, self._file = self._file, None
        try:
            missing = file.finish()
        except LayerError as error:
            self.failed.emit(str(error))
            return
        self.finished.emit(str(self._path), missing)


def draw_and_wait(
    layer: QgsRasterLayer, sheet: Sheet, path: Path, transforms: QgsCoordinateTransformContext, feedback
) -> float:
    """The same within the calling thread, for Processing's own; the share that could not be drawn.

    Args:
        layer: one that belongs to this thread.
        sheet: where and how finely.
        path: the GeoTIFF to write.
        transforms: of the project.
        feedback: asked between blocks whether to go on.

    Raises:
        LayerError: nothing could be drawn, or it was cancelled.
    """
    file = SheetFile(path, sheet, layer.name())
    for column, row, width, height in sheet.blocks():
        if feedback.isCanceled():
            file.drop()
            raise LayerError("Drawing the layer was cancelled. Start it again when you like.")
        box = sheet.rectangle(column, row, width, height)
        image = QImage(QSize(width, height), QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        job = QgsMapRendererCustomPainterJob(map_settings(layer, sheet.crs, box, QSize(width, height), transforms), painter)
        job.renderSynchronously()
        painter.end()
        file.put(column, row, image)
    return file.finish()
