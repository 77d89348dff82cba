"""The part of a layer that is clicked in, as the engine wants it: square pixels, at most 1024 a side."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage

from ..protocol.scene_source import ArrayFile, Display, ViewSource
from .extents import extent_from_rectangle
from .sources import LayerError, file_path, is_file_layer

LARGEST_SIDE_PX = 1024


def view_of(
    layer: QgsRasterLayer, seen: QgsRectangle, seen_crs: QgsCoordinateReferenceSystem, project: QgsProject
) -> ViewSource:
    """What of the layer lies in the visible rectangle.

    Raises:
        LayerError: nothing does.
    """
    to_layer = QgsCoordinateTransform(seen_crs, layer.crs(), project.transformContext())
    box = to_layer.transformBoundingBox(seen) if seen_crs.isValid() and layer.crs().isValid() else seen
    files = is_file_layer(layer)
    if files:
        box = box.intersect(layer.extent())
    if box.isEmpty() or box.width() <= 0 or box.height() <= 0:
        raise LayerError(f"{layer.name()} is not in the map view. Zoom to the layer and start again.")
    finest = layer.rasterUnitsPerPixelX() if files else 0.0
    pixel = max(box.width() / LARGEST_SIDE_PX, box.height() / LARGEST_SIDE_PX, finest)
    width = min(LARGEST_SIDE_PX, max(1, ceil(box.width() / pixel - 1e-6)))
    height = min(LARGEST_SIDE_PX, max(1, ceil(box.height() / pixel - 1e-6)))
    whole = QgsRectangle(
        box.xMinimum(), box.yMaximum() - height * pixel, box.xMinimum() + width * pixel, box.yMaximum()
    )
    extent = extent_from_rectangle(whole, layer.crs())
    return ViewSource(extent, height, width, path=file_path(layer) if files else None, name=layer.name())


def with_display(view: ViewSource, display: Display) -> ViewSource:
    """The same view of a file, shown with this display."""
    return ViewSource(view.extent, view.height, view.width, view.path, display, None, view.name)


class RenderedView:
    """A layer that is no file, drawn by QGIS in the background for one view."""

    def __init__(self, layer: QgsRasterLayer, view: ViewSource) -> None:
        settings = QgsMapSettings()
        settings.setLayers([layer])
        settings.setDestinationCrs(layer.crs())
        settings.setOutputSize(QSize(view.width, view.height))
        settings.setExtent(QgsRectangle(view.extent.west, view.extent.south, view.extent.east, view.extent.north))
        settings.setBackgroundColor(QColor(0, 0, 0))
        settings.setOutputImageFormat(QImage.Format.Format_RGB32)
        self.view = view
        self.job = QgsMapRendererSequentialJob(settings)

    def write(self, folder: Path) -> ViewSource:
        """After the job's `finished`: the picture as a raw file.

        Raises:
            LayerError: the service gave errors.
        """
        errors = self.job.errors()
        if errors:
            raise LayerError(f"{self.view.name} could not be drawn: {errors[0].message}. Check the connection and try again.")
        image = self.job.renderedImage().convertToFormat(QImage.Format.Format_RGB32)
        bits = image.constBits()
        bits.setsize(image.sizeInBytes())
        bgra = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
        rgb = np.ascontiguousarray(bgra[:, : image.width(), 2::-1])
        path = folder / "view.rgb"
        path.write_bytes(rgb.tobytes())
        picture = ArrayFile(str(path), "uint8", rgb.shape)
        return ViewSource(self.view.extent, self.view.height, self.view.width, None, None, picture, self.view.name)
