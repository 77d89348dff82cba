"""Points of a layer -> polygons, whatever single points are like."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
from rasterio.warp import transform

from skysense.errors import PromptError, RequestError
from skysense.jobs.report import SilentReport
from skysense.jobs.segment_points import run
from skysense.protocol.requests import PointPrompt, SegmentPoints

IMAGE = Path(__file__).parents[2] / "data/kampala/images/kampala_a.tif"


@pytest.fixture(scope="module")
def middle() -> tuple[float, float]:
    with rasterio.open(IMAGE) as file:
        longitudes, latitudes = transform(file.crs, "EPSG:4326", *([value] for value in file.xy(file.height // 2, file.width // 2)))
    return longitudes[0], latitudes[0]


@pytest.mark.parametrize("bad", [(10.0, 95.0), (float("inf"), 0.0), (float("nan"), 0.0)])
def test_a_point_that_lies_nowhere_leaves_its_object_empty(tmp_path, middle, bad):
    points = (PointPrompt(1, *middle), PointPrompt(2, *bad), PointPrompt(3, *middle), PointPrompt(3, *bad))
    result = run(SegmentPoints(str(IMAGE), None, points, "EPSG:4326", str(tmp_path / "o.gpkg")), SilentReport())
    assert result.count == 2 and result.empty == (2,)


def test_only_such_points_are_none_on_the_image(tmp_path):
    request = SegmentPoints(str(IMAGE), None, (PointPrompt(2, 10.0, 95.0),), "EPSG:4326", str(tmp_path / "o.gpkg"))
    with pytest.raises(PromptError, match="None of the points"):
        run(request, SilentReport())


def test_an_unknown_crs_is_named(tmp_path, middle):
    request = SegmentPoints(str(IMAGE), None, (PointPrompt(1, *middle),), "EPSG:99999999", str(tmp_path / "o.gpkg"))
    with pytest.raises(RequestError, match="EPSG:99999999.*names no coordinate reference system"):
        run(request, SilentReport())
