"""Files on the command line -> a scene."""

from pathlib import Path

import pytest

from skysense.errors import DateError, RequestError
from skysense.jobs.scene_from_files import scene_from_files

NAIP = str(Path(__file__).parents[2] / "data/naip_wetlands/NAIP_20090818.tif")


@pytest.mark.parametrize(("given", "day"), [("20200131", "2020-01-31"), ("2020-01-31", "2020-01-31"), ("-", "2009-08-18")])
def test_days_are_written_as_requests_write_them(given, day):
    assert scene_from_files([NAIP], [given]).acquisitions[0].date == day


def test_what_is_no_day_and_too_many_days():
    with pytest.raises(DateError, match="YYYY-MM-DD"):
        scene_from_files([NAIP], ["31.1.2020"])
    with pytest.raises(RequestError, match="1 files but 2 dates"):
        scene_from_files([NAIP], ["2020-01-31", "2021-01-31"])
