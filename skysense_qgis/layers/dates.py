"""Dates of layers, as days in UTC."""

from __future__ import annotations

from qgis.core import Qgis, QgsDateTimeRange, QgsMapLayer, QgsRasterLayer
from qgis.PyQt.QtCore import QDate, QDateTime, Qt, QTime


def date_of_layer(layer: QgsMapLayer | None) -> str | None:
    """The first day of the layer's fixed temporal range; None where the user set none."""
    if not isinstance(layer, QgsRasterLayer):
        return None
    temporal = layer.temporalProperties()
    if not temporal.isActive() or temporal.mode() != Qgis.RasterTemporalMode.FixedTemporalRange:
        return None
    begin = temporal.fixedTemporalRange().begin()
    return begin.toUTC().date().toString(Qt.DateFormat.ISODate) if begin.isValid() else None


def set_date(layer: QgsRasterLayer, day: str) -> None:
    """Give a layer the whole of one day."""
    date = QDate.fromString(day, Qt.DateFormat.ISODate)
    begin = QDateTime(date, QTime(0, 0, 0), Qt.TimeSpec.UTC)
    end = QDateTime(date, QTime(23, 59, 59), Qt.TimeSpec.UTC)
    temporal = layer.temporalProperties()
    temporal.setMode(Qgis.RasterTemporalMode.FixedTemporalRange)
    temporal.setFixedTemporalRange(QgsDateTimeRange(begin, end))
    temporal.setIsActive(True)
