"""The live mask and the prompts on the canvas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
)
from qgis.gui import QgsMapCanvas, QgsMapCanvasItem
from qgis.PyQt.QtCore import QPointF, QRectF, Qt
from qgis.PyQt.QtGui import QBrush, QColor, QImage, QPainter, QPen, QPolygonF, QTransform

from ..protocol.requests import Prompt
from ..protocol.scene_source import ArrayFile, Extent

FILL_ALPHA, RIM_ALPHA = 100, 255
MARK_PX = 5.0
FOR, AGAINST = QColor("#2ca02c"), QColor("#d62728")


class MaskItem(QgsMapCanvasItem):
    """Draws one view's mask in the colour of its class, and the prompts over it."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._image: QImage | None = None
        self._extent: Extent | None = None
        self._crs = QgsCoordinateReferenceSystem()
        self._prompts: tuple[Prompt, ...] = ()
        self.setZValue(90)

    def open(self, extent: Extent, crs: QgsCoordinateReferenceSystem) -> None:
        """A view has been encoded: from now on masks lie there."""
        self._extent, self._crs, self._image, self._prompts = extent, crs, None, ()
        self._place()

    def show_mask(self, mask: ArrayFile, prompts: tuple[Prompt, ...], colour: QColor) -> None:
        """Show the mask (H, W) and the prompts it answers."""
        self._prompts = prompts
        self._image = mask_image(mask, colour)
        self._place()

    def clear(self) -> None:
        self._image, self._prompts = None, ()
        self._place()

    @property
    def has_mask(self) -> bool:
        return self._image is not None

    def paint(self, painter: QPainter, option=None, widget=None) -> None:
        if self._extent is None:
            return
        origin = self.pos()
        e = self._extent
        if self._image is not None:
            corners = [(e.west, e.north), (e.east, e.north), (e.east, e.south), (e.west, e.south)]
            placed = QPolygonF([self._pixel(x, y) - origin for x, y in corners])
            width, height = self._image.width(), self._image.height()
            square = QPolygonF([QPointF(0, 0), QPointF(width, 0), QPointF(width, height), QPointF(0, height)])
            transform = QTransform()
            if QTransform.quadToQuad(square, placed, transform):
                painter.save()
                painter.setTransform(transform, True)
                painter.drawImage(0, 0, self._image)
                painter.restore()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for prompt in self._prompts:
            colour = FOR if prompt.positive else AGAINST
            at = self._pixel(prompt.x, prompt.y) - origin
            if prompt.x2 is not None and prompt.y2 is not None:
                painter.setPen(QPen(FOR, 1.5, Qt.PenStyle.DashLine))
                painter.setBrush(QBrush(Qt.BrushStyle.NoBrush))
                painter.drawRect(QRectF(at, self._pixel(prompt.x2, prompt.y2) - origin).normalized())
            else:
                painter.setPen(QPen(QColor("white"), 1.5))
                painter.setBrush(QBrush(colour))
                painter.drawEllipse(at, MARK_PX, MARK_PX)

    def updatePosition(self) -> None:
        """The canvas moved."""
        self._place()

    def _place(self) -> None:
        """The item covers the whole canvas: prompts may lie at a view's very rim."""
        self.setRect(self._canvas.extent() if not self._canvas.extent().isEmpty() else QgsRectangle(0, 0, 1, 1))
        self.update()

    def _pixel(self, x: float, y: float) -> QPointF:
        """View coordinates to canvas pixels."""
        point = QgsPointXY(x, y)
        canvas_crs = self._canvas.mapSettings().destinationCrs()
        if self._crs.isValid() and canvas_crs.isValid() and self._crs != canvas_crs:
            context = QgsProject.instance().transformContext()
            point = QgsCoordinateTransform(self._crs, canvas_crs, context).transform(point)
        return self.toCanvasCoordinates(point)


def mask_image(mask: ArrayFile, colour: QColor) -> QImage:
    """The mask's file as a picture: filled at 40 %, its rim opaque."""
    height, width = mask.shape
    inside = np.frombuffer(Path(mask.path).read_bytes(), np.uint8).reshape(height, width) > 0
    core = inside.copy()
    core[1:] &= inside[:-1]
    core[:-1] &= inside[1:]
    core[:, 1:] &= inside[:, :-1]
    core[:, :-1] &= inside[:, 1:]
    pixels = np.zeros((height, width, 4), np.uint8)  # B, G, R, A
    pixels[inside] = (colour.blue(), colour.green(), colour.red(), FILL_ALPHA)
    pixels[inside & ~core, 3] = RIM_ALPHA
    return QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_ARGB32).copy()
