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
    return day_of(begin) if begin.isValid() else None


def day_of(moment: QDateTime) -> str:
    """The day in UTC. A moment without a zone is taken as it stands: QGIS shows and stores such dates as UTC."""
    naive = moment.timeSpec() == Qt.TimeSpec.LocalTime
    return (moment if naive else moment.toUTC()).date().toString(Qt.DateFormat.ISODate)


def set_date(layer: QgsRasterLayer, day: str) -> None:
    """Give a layer the whole of one day."""
    set_period(layer, day, day)


def set_period(layer: QgsRasterLayer, first: str, last: str) -> None:
    """Give a layer all days from the first to the last."""
    begin = QDateTime(QDate.fromString(first, Qt.DateFormat.ISODate), QTime(0, 0, 0), Qt.TimeSpec.UTC)
    end = QDateTime(QDate.fromString(last, Qt.DateFormat.ISODate), QTime(23, 59, 59), Qt.TimeSpec.UTC)
    temporal = layer.temporalProperties()
    temporal.setMode(Qgis.RasterTemporalMode.FixedTemporalRange)
    temporal.setFixedTemporalRange(QgsDateTimeRange(begin, end))
    temporal.setIsActive(True)
