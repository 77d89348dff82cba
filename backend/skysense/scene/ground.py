"""Lengths and areas on the ground, whatever the CRS: measured in an equal-area projection around the place itself."""

from __future__ import annotations

from math import isfinite, nan, sqrt

import shapely
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform, transform_geom
from shapely.geometry import shape as to_shape
from shapely.geometry.base import BaseGeometry

from skysense.errors import GridError


def lonlat(crs: str, x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude in degrees (WGS 84) of a point in `crs`.

    Raises:
        GridError: the point lies outside the CRS's domain.
    """
    try:
        (lon,), (lat,) = transform(CRS.from_user_input(crs), CRS.from_epsg(4326), [x], [y])
    except CPLE_BaseError:  # PROJ says: outside of the projection's domain
        lon = lat = nan
    if not (isfinite(lon) and isfinite(lat)):
        raise GridError(
            f"The point ({x:g}, {y:g}) has no place on Earth in {CRS.from_user_input(crs).to_string()}.",
            "Check the layer's coordinate reference system.",
        )
    return lon, lat


def pixel_size_m(crs: str, affine: Affine, x: float, y: float) -> float:
    """Side in metres of a square as large as the pixel at (x, y)."""
    local = _around(crs, x, y)
    columns = [x, x + affine.a, x + affine.b]
    rows = [y, y + affine.d, y + affine.e]
    xs, ys = transform(CRS.from_user_input(crs), local, columns, rows)
    across = (xs[1] - xs[0], ys[1] - ys[0])
    down = (xs[2] - xs[0], ys[2] - ys[0])
    return sqrt(abs(across[0] * down[1] - across[1] * down[0]))


def area_m2(shape: BaseGeometry, crs: str) -> float:
    """Area of a (multi)polygon on the ground."""
    centre = shapely.point_on_surface(shape)
    local = _around(crs, centre.x, centre.y)
    moved = transform_geom(CRS.from_user_input(crs), local, shapely.geometry.mapping(shape))
    return float(to_shape(moved).area)


def _around(crs: str, x: float, y: float) -> CRS:
    """Lambert's equal-area projection centred on the point."""
    lon, lat = lonlat(crs, x, y)
    return CRS.from_string(f"+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m +no_defs")
