"""Dates of a change map."""

import pytest

from skysense.errors import RequestError
from skysense.jobs.change_warnings import check_dates
from skysense.protocol.scene_source import AcquisitionSource, BandIndex, Scaling, SceneSource


def scene(day):
    return SceneSource((AcquisitionSource("x.tif", "s2", (BandIndex("B2", 1),), Scaling(), day),))


def test_days_are_compared_as_days_however_they_are_written():
    assert check_dates(scene("2020-06-01"), scene("20200701")) == ("2020-06-01", "2020-07-01")
    with pytest.raises(RequestError, match="not in this order"):
        check_dates(scene("20200701"), scene("2020-06-01"))
