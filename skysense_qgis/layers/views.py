"""The part of a layer that is clicked in, as the engine wants it: square pixels, at most 1024 a side."""

from __future__ import annotations

from itertools import cycle
from math import ceil
from pathlib import Path

import numpy as np
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapRendererParallelJob,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize

from ..protocol.scene_source import LARGEST_VIEW_PX, ArrayFile, ViewSource
from .drawing import colours_and_mask, map_settings
from .extents import extent_from_rectangle, transformed_box
from .sources import LayerError, file_path, is_file_layer

_turn = cycle(range(4))  # pictures that the engine may still be reading stay as they are


def view_of(
    layer: QgsRasterLayer, seen: QgsRectangle, seen_crs: QgsCoordinateReferenceSystem, project: QgsProject
) -> ViewSource:
    """What of the layer lies in the visible rectangle.

    Raises:
        LayerError: nothing does.
    """
    box = transformed_box(seen, seen_crs, layer.crs(), project.transformContext())
    files = is_file_layer(layer)
    if files:
        box = box.intersect(layer.extent())
    if box.isEmpty() or box.width() <= 0 or box.height() <= 0:
        raise LayerError(f"{layer.name()} is not in the map view. Zoom to the layer and start again.")
    finest = layer.rasterUnitsPerPixelX() if files else 0.0
    pixel = max(box.width() / LARGEST_VIEW_PX, box.height() / LARGEST_VIEW_PX, finest)
    width = min(LARGEST_VIEW_PX, max(1, ceil(box.width() / pixel - 1e-6)))
    height = min(LARGEST_VIEW_PX, max(1, ceil(box.height() / pixel - 1e-6)))
    whole = QgsRectangle(
        box.xMinimum(), box.yMaximum() - height * pixel, box.xMinimum() + width * pixel, box.yMaximum()
    )
    extent = extent_from_rectangle(whole, layer.crs())
    return ViewSource(extent, height, width, path=file_path(layer) if files else None, name=layer.name())


class RenderedView:
    """A layer that is no file, drawn by QGIS in the background for one view."""

    def __init__(self, layer: QgsRasterLayer, view: ViewSource) -> None:
        e = view.extent
        box = QgsRectangle(e.west, e.south, e.east, e.north)
        transforms = QgsProject.instance().transformContext()
        self.view = view
        self.job = QgsMapRendererParallelJob(
            map_settings(layer, layer.crs(), box, QSize(view.width, view.height), transforms)
        )

    def write(self, folder: Path) -> ViewSource:
        """After the job's `finished`: the picture as a raw file.

        Raises:
            LayerError: the service gave errors, or nothing at all.
        """
        errors = self.job.errors()
        if errors:
            raise LayerError(f"{self.view.name} could not be drawn: {errors[0].message}. Check the connection and try again.")
        rgb, drawn = colours_and_mask(self.job.renderedImage())
        if not drawn.any():
            raise LayerError(
                f"Nothing of {self.view.name} could be drawn. Check the connection, and that the layer shows at this scale."
            )
        rgba = np.dstack([rgb, 255 * drawn.astype(np.uint8)])
        path = folder / f"view{next(_turn)}.rgba"
        path.write_bytes(rgba.tobytes())
        picture = ArrayFile(str(path), "uint8", rgba.shape)
        return ViewSource(self.view.extent, self.view.height, self.view.width, None, None, picture, self.view.name)
