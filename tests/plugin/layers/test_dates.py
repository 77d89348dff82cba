"""Dates of layers."""

from __future__ import annotations

import pytest
from qgis.core import Qgis, QgsDateTimeRange
from qgis.PyQt.QtCore import QDate, QDateTime, Qt, QTime, QTimeZone

from skysense_qgis.layers.dates import date_of_layer, day_of, set_date, set_period


def test_no_date_unless_somebody_set_one(kampala, polygons):
    assert date_of_layer(kampala) is None
    assert date_of_layer(polygons) is None and date_of_layer(None) is None


@pytest.mark.parametrize("day", ["2020-02-29", "1999-12-31", "2000-01-01"])
def test_a_set_date_is_read_back_and_covers_its_day(kampala, day):
    set_date(kampala, day)
    assert date_of_layer(kampala) == day
    span = kampala.temporalProperties().fixedTemporalRange()
    assert span.contains(QDateTime(QDate.fromString(day, Qt.DateFormat.ISODate), QTime(23, 59), Qt.TimeSpec.UTC))


def test_a_period_begins_with_its_first_day(kampala):
    set_period(kampala, "2009-08-18", "2020-08-31")
    assert date_of_layer(kampala) == "2009-08-18"
    assert day_of(kampala.temporalProperties().fixedTemporalRange().end()) == "2020-08-31"


def test_a_range_that_is_off_or_open_or_of_another_mode_is_no_date(kampala):
    set_date(kampala, "2020-02-29")
    temporal = kampala.temporalProperties()
    temporal.setIsActive(False)
    assert date_of_layer(kampala) is None
    temporal.setIsActive(True)
    temporal.setFixedTemporalRange(QgsDateTimeRange(QDateTime(), QDateTime()))
    assert date_of_layer(kampala) is None
    temporal.setMode(Qgis.RasterTemporalMode.RedrawLayerOnly)
    assert date_of_layer(kampala) is None


def test_days_are_those_of_utc_and_a_time_without_zone_is_taken_as_written():
    tokyo = QDateTime(QDate(2020, 3, 1), QTime(5, 0), QTimeZone(b"Asia/Tokyo"))
    assert day_of(tokyo) == "2020-02-29"
    assert day_of(QDateTime(QDate(2020, 3, 1), QTime(0, 0))) == "2020-03-01"
