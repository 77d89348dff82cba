"""The map tool: clicks and boxes become prompts, keys become commands."""

from __future__ import annotations

from qgis.core import QgsPointXY, QgsRectangle
from qgis.gui import QgsMapCanvas, QgsMapMouseEvent, QgsMapTool
from qgis.PyQt.QtCore import QPoint, QRect, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import QKeyEvent
from qgis.PyQt.QtWidgets import QRubberBand

DRAG_PX = 6  # a shorter movement is a click


class PromptTool(QgsMapTool):
    """Left click for, right click or Shift against, drag a box; points are in the canvas's CRS."""

    clicked = pyqtSignal(QgsPointXY, bool)
    boxed = pyqtSignal(QgsRectangle)
    undo = pyqtSignal()
    redo = pyqtSignal()
    keep = pyqtSignal()
    drop = pyqtSignal()
    class_chosen = pyqtSignal(int)  # 0-based

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._start: QPoint | None = None
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, canvas)

    def canvasPressEvent(self, event: QgsMapMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._start = event.pixelPoint()

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:
        if self._start is not None and self._dragged(event.pixelPoint()):
            self._band.setGeometry(QRect(self._start, event.pixelPoint()).normalized())
            self._band.show()

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        start, self._start = self._start, None
        self._band.hide()
        if event.button() == Qt.MouseButton.RightButton:
            self.clicked.emit(self.toMapCoordinates(event.pixelPoint()), False)
        elif event.button() == Qt.MouseButton.LeftButton and start is not None:
            if self._dragged(event.pixelPoint(), start):
                a, b = self.toMapCoordinates(start), self.toMapCoordinates(event.pixelPoint())
                self.boxed.emit(QgsRectangle(a, b))
            else:
                against = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
                self.clicked.emit(self.toMapCoordinates(event.pixelPoint()), not against)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        key = event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.keep.emit()
        elif key == Qt.Key.Key_Escape:
            self.drop.emit()
        elif control and key == Qt.Key.Key_Z:
            (self.redo if shift else self.undo).emit()
        elif control and key == Qt.Key.Key_Y:
            self.redo.emit()
        elif event.text().isdigit() and event.text() != "0" and not control:
            self.class_chosen.emit(int(event.text()) - 1)
        else:
            return
        event.accept()  # or QGIS would take Ctrl+Z for its own

    def deactivate(self) -> None:
        self._start = None
        self._band.hide()
        super().deactivate()

    def remove(self) -> None:
        """Take the rubber band off the canvas."""
        self._band.setParent(None)
        self._band.deleteLater()

    def _dragged(self, to: QPoint, start: QPoint | None = None) -> bool:
        moved = to - (start or self._start)
        return QSize(abs(moved.x()), abs(moved.y())).width() > DRAG_PX or abs(moved.y()) > DRAG_PX
