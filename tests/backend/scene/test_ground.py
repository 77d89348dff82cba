"""Lengths and areas on the ground against values known from geodesy."""

import math

import pytest
import shapely
from rasterio.transform import Affine

from skysense.errors import GridError
from skysense.scene.ground import area_m2, lonlat, pixel_size_m

DEGREE_AT_EQUATOR_M = 111_319.49  # of longitude, WGS 84


def test_pixel_size_in_degrees_shrinks_with_the_cosine_of_latitude():
    pixel = Affine(1e-4, 0, 10, 0, -1e-4, 60)
    at_60 = pixel_size_m("EPSG:4326", pixel, 10, 60)
    # At 60 N a degree of longitude is 55,800 m and one of latitude 111,412 m.
    assert at_60 == pytest.approx(math.sqrt(5.5800 * 11.1412), rel=2e-3)
    assert pixel_size_m("EPSG:4326", pixel, 10, 0) == pytest.approx(math.sqrt(11.1319 * 11.0574), rel=2e-3)


def test_web_mercator_pixels_are_smaller_on_the_ground_than_they_say():
    size = pixel_size_m("EPSG:3857", Affine(0.5, 0, 0, 0, -0.5, 0), 0, 8_399_737)  # 60 N
    assert size == pytest.approx(0.25, rel=5e-3)


@pytest.mark.parametrize("epsg", [32631, 32731])
def test_utm_pixels_are_true_to_a_part_in_a_thousand(epsg):
    assert pixel_size_m(f"EPSG:{epsg}", Affine(10, 0, 0, 0, -10, 0), 500_000, 5_000_000) == pytest.approx(10, rel=1e-3)


def test_a_rotated_pixel_keeps_its_area():
    turned = Affine.rotation(30) @ Affine.scale(10, -10)
    assert pixel_size_m("EPSG:32631", turned, 500_000, 5_000_000) == pytest.approx(10, rel=1e-3)


def test_area_of_a_degree_cell_at_the_equator():
    cell = shapely.box(0, 0, 0.1, 0.1)
    assert area_m2(cell, "EPSG:4326") == pytest.approx(DEGREE_AT_EQUATOR_M * 110_574 / 100, rel=2e-3)


def test_a_hole_is_not_counted():
    ring = shapely.box(500_000, 5e6, 500_100, 5e6 + 100) - shapely.box(500_010, 5e6 + 10, 500_060, 5e6 + 60)
    assert area_m2(ring, "EPSG:32631") == pytest.approx(7500, rel=1e-3)


def test_a_point_outside_the_projection_is_refused_with_a_remedy():
    with pytest.raises(GridError, match="coordinate reference system"):
        lonlat("EPSG:32631", 1e12, 1e12)
