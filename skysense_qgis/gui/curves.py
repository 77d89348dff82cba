"""Live curves of a training run."""

from __future__ import annotations

from collections.abc import Callable

from qgis.PyQt.QtCore import QLineF, QPointF, QRectF, Qt
from qgis.PyQt.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget

from ..protocol.messages import Series

# Hold on light and dark windows, and are told apart where a colour is missing in the eye.
LOSSES = ("#2f7ed8", "#7a5fb5", "#d9730d", "#2c8a3c", "#c2417c", "#8a6d3b", "#4b9aa8")
SHARES = ("#d9730d", "#2c8a3c", "#2f7ed8", "#7a5fb5", "#c2417c", "#8a6d3b")
SHARE_NAMES = ("IoU", "accuracy")  # series of such names are shares of 1, on the right-hand axis
LINES = 4  # of the grid
MARGIN, AXIS = 8, 48  # pixels
MOST_POINTS = 800  # of a curve, an even number


def is_share(name: str) -> bool:
    return any(part in name for part in SHARE_NAMES)


class Curves(QWidget):
    """Losses on the left axis, from 0 (or the smallest) to the largest; shares (mean IoU) on the right one, from 0 to 1."""

    def __init__(
        self, parent: QWidget | None = None, is_share: Callable[[str], bool] = is_share, from_zero: bool = True
    ) -> None:
        super().__init__(parent)
        self._is_share, self._from_zero = is_share, from_zero
        self._curves: dict[str, _Curve] = {}
        self.setMinimumHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def add(self, points: tuple[Series, ...]) -> None:
        """A run that goes on from an earlier step replaces what it had drawn beyond."""
        for point in points:
            self._curves.setdefault(point.name, _Curve()).add(point.step, point.value)
        if points:
            self.update()

    def clear(self) -> None:
        self._curves = {}
        self.update()

    def points(self) -> dict[str, list[tuple[int, float]]]:
        """What is drawn: step and value, by name."""
        return {name: curve.points for name, curve in self._curves.items()}

    def latest(self) -> dict[str, float]:
        return {name: points[-1][1] for name, points in self.points().items()}

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        drawn = self.points()
        if not drawn:
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.tr("The curves appear with the first steps."))
            return
        shares = [name for name in drawn if self._is_share(name)]
        losses = [name for name in drawn if name not in shares]
        colours = {name: QColor(LOSSES[number % len(LOSSES)]) for number, name in enumerate(losses)}
        colours |= {name: QColor(SHARES[number % len(SHARES)]) for number, name in enumerate(shares)}
        labels = {name: f"{name} {drawn[name][-1][1]:.3f}" for name in colours}
        rows = _rows(labels, self.width() - 2 * AXIS, painter.fontMetrics())
        line = painter.fontMetrics().height()
        foot = line + MARGIN + len(rows) * line
        frame = QRectF(AXIS, MARGIN, self.width() - 2 * AXIS, self.height() - 2 * MARGIN - foot)
        last = max(points[-1][0] for points in drawn.values()) or 1
        span = self._span([value for name in losses for _, value in drawn[name]])
        self._grid(painter, frame, last, span if losses else None, bool(shares))
        for name, colour in colours.items():
            painter.setPen(QPen(colour, 2))
            self._line(painter, frame, drawn[name], last, span if name in losses else (0.0, 1.0))
        for number, row in enumerate(reversed(rows)):
            for left, name in row:
                painter.setPen(colours[name])
                painter.drawText(QPointF(frame.left() + left, self.height() - MARGIN - number * line), labels[name])

    def _span(self, values: list[float]) -> tuple[float, float]:
        """The values at the lower and the upper end of the left axis."""
        most = max(values, default=1.0) or 1.0
        least = 0.0 if self._from_zero else min(values, default=0.0)
        return (least, most) if most > least else (0.0, most)

    def _grid(self, painter: QPainter, frame: QRectF, last: int, span: tuple[float, float] | None, shares: bool) -> None:
        """Lines with their values; the steps below."""
        text = self.palette().color(self.foregroundRole())
        faint = QColor(text)
        faint.setAlpha(50)
        height = painter.fontMetrics().height()
        lines = max(1, min(LINES, int(frame.height() / (1.2 * height))))  # as many as their values find room
        for line in range(lines + 1):
            part = line / lines
            y = frame.bottom() - part * frame.height()
            painter.setPen(QPen(faint, 1))
            painter.drawLine(QPointF(frame.left(), y), QPointF(frame.right(), y))
            painter.setPen(text)
            beside = QRectF(0, y - height / 2, AXIS - MARGIN, height)
            if span is not None:
                painter.drawText(beside, Qt.AlignmentFlag.AlignRight, f"{span[0] + part * (span[1] - span[0]):.2f}")
            if shares:
                beside.moveLeft(frame.right() + MARGIN)
                painter.drawText(beside, Qt.AlignmentFlag.AlignLeft, f"{part:.2f}")
        below = QRectF(frame.left(), frame.bottom() + 2, frame.width(), height)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, self.tr("step {}").format(last))

    def _line(
        self, painter: QPainter, frame: QRectF, points: list[tuple[int, float]], last: int, span: tuple[float, float]
    ) -> None:
        low, high = span
        placed = [
            QPointF(
                frame.left() + frame.width() * step / last,
                frame.bottom() - frame.height() * min(max((value - low) / (high - low), 0.0), 1.0),
            )
            for step, value in points
        ]
        # As one polyline, Qt takes a hundred times as long, half a second for a thousand points.
        painter.drawLines([QLineF(one, other) for one, other in zip(placed, placed[1:])])
        if len(placed) < 30:  # single points are seen, many are a line
            for point in placed:
                painter.drawEllipse(point, 2.0, 2.0)


def _rows(labels: dict[str, str], width: int, metrics: QFontMetrics) -> list[list[tuple[int, str]]]:
    """Where each label begins, in as many rows as they need."""
    rows: list[list[tuple[int, str]]] = [[]]
    left = 0
    for name, label in labels.items():
        needed = metrics.horizontalAdvance(label)
        if rows[-1] and left + needed > width:
            rows.append([])
            left = 0
        rows[-1].append((left, name))
        left += needed + 2 * MARGIN
    return rows


class _Curve:
    """Points of a curve, at most so many: in a long run each is the mean of as many steps as all others."""

    def __init__(self) -> None:
        self._whole: list[tuple[int, float]] = []
        self._recent: list[tuple[int, float]] = []  # that do not make a point yet
        self._each = 1  # values in a point

    def add(self, step: int, value: float) -> None:
        for points in (self._recent, self._whole):
            while points and points[-1][0] >= step:
                points.pop()
        self._recent.append((step, value))
        if len(self._recent) >= self._each:
            self._whole.append((step, sum(value for _, value in self._recent) / len(self._recent)))
            self._recent = []
        if len(self._whole) == MOST_POINTS:
            pairs = zip(self._whole[::2], self._whole[1::2])
            self._whole = [(step, (first + second) / 2) for (_, first), (step, second) in pairs]
            self._each *= 2

    @property
    def points(self) -> list[tuple[int, float]]:
        """The last one is the latest value itself."""
        return [*self._whole, *self._recent[-1:]]
