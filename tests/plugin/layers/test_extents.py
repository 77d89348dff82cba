"""Where to work."""

from __future__ import annotations

import pytest
from qgis.core import QgsApplication, QgsCoordinateReferenceSystem, QgsGeometry, QgsRectangle

from skysense_qgis.layers import extents
from skysense_qgis.layers.crs import crs_from_text, crs_text
from skysense_qgis.layers.extents import extent_from_rectangle, extent_of_features, extent_of_layer, extent_of_polygons
from skysense_qgis.layers.sources import LayerError


def box_of(extent) -> QgsRectangle:
    return QgsRectangle(extent.west, extent.south, extent.east, extent.north)


def test_a_layer_as_extent_is_its_footprint(kampala):
    extent = extent_of_layer(kampala)
    assert extent.crs == kampala.crs().authid() and box_of(extent) == kampala.extent()


def test_a_users_own_crs_is_told_in_full(qgis_app):
    """Its code means nothing outside of this profile."""
    own = QgsCoordinateReferenceSystem.fromProj("+proj=aeqd +lat_0=11 +lon_0=21 +datum=WGS84 +units=m")
    assert QgsApplication.createDatabase()  # where QGIS keeps them; its desktop makes it at the first start
    assert own.saveAsUserCrs("own") >= 100_000 and own.authid().startswith("USER:")
    assert "Azimuthal" in crs_text(own) and QgsCoordinateReferenceSystem(crs_text(own)) == own


def test_a_crs_without_a_code_is_told_in_full_and_no_crs_is_empty():
    own = QgsCoordinateReferenceSystem.fromProj("+proj=aeqd +lat_0=10 +lon_0=20 +datum=WGS84 +units=m")
    assert QgsCoordinateReferenceSystem(crs_text(own)).isValid() and "Azimuthal" in crs_text(own)
    assert crs_text(QgsCoordinateReferenceSystem()) == ""
    assert extent_from_rectangle(QgsRectangle(0, 0, 5, 5), QgsCoordinateReferenceSystem()).crs == ""


def test_polygons_become_one_multipolygon_and_the_selection_counts(polygons, add_shape):
    first = add_shape(polygons, "POLYGON((0 0, 10 0, 10 10, 0 10, 0 0))", "a", 1.0)
    add_shape(polygons, "POLYGON((20 0, 30 0, 30 10, 20 10, 20 0))", "b", 1.0)
    whole = extent_of_polygons(polygons)
    assert box_of(whole) == QgsRectangle(0, 0, 30, 10) and whole.crs == "EPSG:32636"
    assert QgsGeometry.fromWkt(whole.polygon_wkt).area() == 200 and whole.polygon_wkt.startswith("MultiPolygon")
    polygons.select(first.id())
    assert box_of(extent_of_polygons(polygons)) == QgsRectangle(0, 0, 10, 10)


def test_a_bow_tie_is_repaired(polygons, add_shape):
    add_shape(polygons, "POLYGON((0 0, 10 10, 10 0, 0 10, 0 0))", "tie", 1.0)
    assert QgsGeometry.fromWkt(extent_of_polygons(polygons).polygon_wkt).isGeosValid()


def test_no_polygons_is_an_error_with_a_remedy(polygons):
    with pytest.raises(LayerError, match="polygons around the area to work in"):
        extent_of_polygons(polygons)


def saved_by_the_user() -> QgsCoordinateReferenceSystem:
    """A CRS that the user has defined: its code means something in this profile alone."""
    own = QgsCoordinateReferenceSystem.fromProj("+proj=aeqd +lat_0=48.99 +lon_0=-100.64 +datum=WGS84 +units=m")
    assert QgsApplication.createDatabase()  # of the profile, which QGIS has made long before
    number = QgsApplication.coordinateReferenceSystemRegistry().addUserCrs(own, "my own")
    saved = QgsCoordinateReferenceSystem(f"USER:{number}")
    assert saved.isValid() and saved.authid() == f"USER:{number}"
    return saved


def test_codes_that_the_engine_may_not_know_are_told_in_full():
    esri = QgsCoordinateReferenceSystem("ESRI:20002")  # newer versions of PROJ have dropped it
    assert esri.isValid()
    for crs in (saved_by_the_user(), esri):
        text = crs_text(crs)
        assert "CONVERSION[" in text and not text.startswith(("USER:", "ESRI:"))
        assert crs_from_text(text) == crs or crs_from_text(text).toProj() == crs.toProj()
    assert crs_text(QgsCoordinateReferenceSystem("EPSG:32636")) == "EPSG:32636"


def test_more_corners_than_are_united_at_once_are_refused(polygons, monkeypatch, add_shape):
    monkeypatch.setattr(extents, "LARGEST_AREA_CORNERS", 12)
    shapes = [add_shape(polygons, f"POLYGON(({x} 0, {x + 1} 0, {x + 1} 1, {x} 1, {x} 0))", "a", 1.0) for x in range(3)]
    with pytest.raises(LayerError, match="polygons of polygons have more than 12 corners. Select a few"):
        extent_of_polygons(polygons)
    polygons.selectByIds([shape.id() for shape in shapes[:2]])
    assert extent_of_polygons(polygons).east == 2
    assert extent_of_features(polygons.getFeatures(), polygons.crs(), "all").east == 3

