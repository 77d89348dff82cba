"""Live curves of a training run."""

from __future__ import annotations

from qgis.PyQt.QtCore import QPointF, QRectF, Qt
from qgis.PyQt.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget

from ..protocol.messages import Series

COLOURS = ("#2f7ed8", "#f28f1c", "#2ca02c", "#d62728")


class Curves(QWidget):
    """One line a series over its steps, each on a scale of its own from the least to the largest value."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: dict[str, list[tuple[int, float]]] = {}
        self.setMinimumHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def clear(self) -> None:
        self._points = {}
        self.update()

    def add(self, points: tuple[Series, ...]) -> None:
        for point in points:
            self._points.setdefault(point.name, []).append((point.step, point.value))
        if points:
            self.update()

    def latest(self) -> dict[str, float]:
        return {name: points[-1][1] for name, points in self._points.items()}

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(self.foregroundRole())
        painter.setPen(text)
        frame = QRectF(8, 8, self.width() - 16, self.height() - 40)
        if not self._points:
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, self.tr("The curves appear with the first steps."))
            return
        faint = QColor(text)
        faint.setAlpha(70)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(frame)
        last = max(points[-1][0] for points in self._points.values()) or 1
        left = 12.0
        for number, (name, points) in enumerate(self._points.items()):
            colour = QColor(COLOURS[number % len(COLOURS)])
            low, high = min(v for _, v in points), max(v for _, v in points)
            span = (high - low) or 1.0
            line = QPolygonF(
                [QPointF(frame.left() + frame.width() * step / last, frame.bottom() - frame.height() * (value - low) / span)
                 for step, value in points]
            )  # fmt: skip
            painter.setPen(QPen(colour, 2))
            painter.drawPolyline(line)
            label = f"{name} {points[-1][1]:.3f}"
            painter.drawText(QPointF(left, self.height() - 12.0), label)
            left += painter.fontMetrics().horizontalAdvance(label) + 16
        painter.setPen(text)
        steps = self.tr("step {}").format(last)
        painter.drawText(QPointF(self.width() - 12.0 - painter.fontMetrics().horizontalAdvance(steps), self.height() - 12.0), steps)
