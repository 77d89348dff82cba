"""Live curves of a training run."""

from __future__ import annotations

from qgis.PyQt.QtCore import QPointF, QRectF, Qt
from qgis.PyQt.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget

from ..protocol.messages import Series

LOSSES, SHARES = ("#2f7ed8", "#7a5fb5"), ("#d9730d", "#2c8a3c")  # hold on light and dark windows
SHARE_NAMES = ("IoU", "accuracy")  # series of such names are shares of 1, on the right-hand axis
LINES = 4  # of the grid
MARGIN, FOOT, AXIS = 8, 26, 44  # pixels


class Curves(QWidget):
    """Losses on the left axis, from 0 to the largest; shares (mean IoU) on the right one, from 0 to 1."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: dict[str, list[tuple[int, float]]] = {}
        self.setMinimumHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

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
        frame = QRectF(AXIS, MARGIN, self.width() - 2 * AXIS, self.height() - MARGIN - FOOT - painter.fontMetrics().height())
        if not self._points:
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.tr("The curves appear with the first steps."))
            return
        shares = [name for name in self._points if any(part in name for part in SHARE_NAMES)]
        losses = [name for name in self._points if name not in shares]
        last = max(points[-1][0] for points in self._points.values()) or 1
        most = max((value for name in losses for _, value in self._points[name]), default=1.0) or 1.0
        self._grid(painter, frame, last, most if losses else None, bool(shares))
        left = frame.left()
        for names, colours, top in ((losses, LOSSES, most), (shares, SHARES, 1.0)):
            for number, name in enumerate(names):
                colour = QColor(colours[number % len(colours)])
                painter.setPen(QPen(colour, 2))
                self._line(painter, frame, self._points[name], last, top)
                label = f"{name} {self._points[name][-1][1]:.3f}"
                painter.drawText(QPointF(left, self.height() - MARGIN), label)
                left += painter.fontMetrics().horizontalAdvance(label) + 2 * MARGIN

    def _grid(self, painter: QPainter, frame: QRectF, last: int, most: float | None, shares: bool) -> None:
        """Lines with their values; the steps below."""
        text = self.palette().color(self.foregroundRole())
        faint = QColor(text)
        faint.setAlpha(50)
        height = painter.fontMetrics().height()
        for line in range(LINES + 1):
            part = line / LINES
            y = frame.bottom() - part * frame.height()
            painter.setPen(QPen(faint, 1))
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            painter.setPen(text)
            beside = QRectF(0, y - height / 2, AXIS - MARGIN, height)
            if most is not None:
                painter.drawText(beside, Qt.AlignmentFlag.AlignRight, f"{part * most:.2f}")
            if shares:
                beside.moveLeft(frame.right() + MARGIN)
                painter.drawText(beside, Qt.AlignmentFlag.AlignLeft, f"{part:.2f}")
        below = QRectF(frame.left(), frame.bottom() + 2, frame.width(), height)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, self.tr("step {}").format(last))

    def _line(self, painter: QPainter, frame: QRectF, points: list[tuple[int, float]], last: int, top: float) -> None:
        placed = [
            QPointF(
                frame.left() + frame.width() * step / last,
                frame.bottom() - frame.height() * min(max(value / top, 0.0), 1.0),
            )
            for step, value in points
        ]
        painter.drawPolyline(QPolygonF(placed))
        if len(placed) < 30:  # single points are seen, many are a line
            for point in placed:
                painter.drawEllipse(point, 2.0, 2.0)
