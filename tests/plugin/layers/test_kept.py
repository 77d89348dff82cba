"""Kept polygons in vector layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsProviderRegistry, QgsVectorLayer

from skysense_qgis.layers.kept import FIELDS, KeptPolygon, guessed_fields, keep, new_layer
from skysense_qgis.layers.sources import LayerError

SQUARE = "MULTIPOLYGON(((400000 10000, 400010 10000, 400010 10010, 400000 10010, 400000 10000)))"
TWO = "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 1, 0 0)),((5 5, 6 5, 6 6, 5 6, 5 5)))"


@pytest.fixture
def polygon(utm36):
    return KeptPolygon(SQUARE, utm36, "roof", 100.0, "kampala", "2020-02-29", 3)


def test_a_new_layer_takes_everything_as_one_undo_step(polygon, utm36):
    layer = new_layer(utm36, "Kept")
    keep(layer, polygon)
    feature = next(layer.getFeatures())
    assert [feature[name] for name, _ in FIELDS] == ["roof", 100.0, "kampala", "2020-02-29", 3, "SkySense clicks"]
    assert feature.geometry().area() == pytest.approx(100.0)
    assert layer.undoStack().count() == 1
    layer.undoStack().undo()
    assert layer.featureCount() == 0


def test_a_new_file_can_be_saved(polygon, utm36, tmp_path):
    path = tmp_path / "größe 文.gpkg"
    layer = new_layer(utm36, "Kept", path)
    keep(layer, polygon)
    assert layer.commitChanges(), layer.commitErrors()
    again = QgsVectorLayer(str(path), "again", "ogr")
    assert again.featureCount() == 1 and next(again.getFeatures())["class"] == "roof"
    with pytest.raises(LayerError, match="Choose another file"):
        new_layer(utm36, "Kept", tmp_path / "no folder/kept.gpkg")


def test_an_existing_layer_gets_what_its_fields_can_hold(polygon, qgis_app):
    layer = QgsVectorLayer(
        "MultiPolygon?crs=EPSG:32636&field=Kind:string&field=code:integer&field=DATE:date&field=area_m2:double", "own", "memory"
    )
    assert guessed_fields(layer) == {"date": "DATE", "area_m2": "area_m2"}
    keep(layer, polygon, class_field="Kind")
    keep(layer, polygon, field_map={"class": "code", "source": "Kind"})
    first, second = sorted(layer.getFeatures(), key=lambda feature: -feature.id())
    assert (first["Kind"], first["DATE"].toString("yyyy-MM-dd"), first["area_m2"]) == ("roof", "2020-02-29", 100.0)
    assert second["Kind"] == "kampala" and not second["code"]  # “roof” is no number


def test_another_crs_is_transformed_and_parts_split_where_they_must(polygon, utm36, qgis_app):
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326&field=class:string", "degrees", "memory")
    keep(layer, polygon)
    at = next(layer.getFeatures()).geometry().centroid().asPoint()
    assert at.x() == pytest.approx(32.1, abs=0.1) and at.y() == pytest.approx(0.09, abs=0.01)
    plain = QgsVectorLayer("Polygon?field=class:string", "plain", "memory")
    keep(plain, replace(polygon, wkt=TWO, crs=QgsCoordinateReferenceSystem()))
    assert plain.featureCount() == 2 and plain.undoStack().count() == 1


def test_a_polygon_that_the_layers_crs_cannot_hold_leaves_the_layer_ready_for_the_next(polygon, qgis_app):
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326&field=class:string", "degrees", "memory")
    far = "MULTIPOLYGON(((1e12 1e12, 2e12 1e12, 2e12 2e12, 1e12 1e12)))"
    with pytest.raises(LayerError, match="cannot be expressed in EPSG:4326.*, the CRS of degrees. Keep it in another layer"):
        keep(layer, replace(polygon, wkt=far, crs=polygon.crs))
    assert not layer.isEditCommandActive() and layer.undoStack().count() == 0
    keep(layer, polygon)
    assert layer.featureCount() == 1 and layer.undoStack().count() == 1


def test_layers_that_take_no_polygon_are_refused_in_words(polygon, qgis_app):
    points = QgsVectorLayer("Point?field=class:string", "points", "memory")
    with pytest.raises(LayerError, match="points takes no polygons"):
        keep(points, polygon)
    locked = QgsVectorLayer("Polygon?field=class:string", "locked", "memory")
    locked.setReadOnly(True)
    with pytest.raises(LayerError, match="locked cannot be edited"):
        keep(locked, polygon)


def test_a_geopackage_that_is_there_keeps_its_layers(polygon, utm36, tmp_path):
    path = tmp_path / "mine.gpkg"
    first = new_layer(utm36, "Kept", path)
    keep(first, polygon)
    assert first.commitChanges()
    second = new_layer(utm36, "Kept", path)
    keep(second, replace(polygon, class_name="tree"))
    assert second.commitChanges(), second.commitErrors()
    names = {sublayer.name() for sublayer in QgsProviderRegistry.instance().querySublayers(str(path))}
    assert names == {"mine", "mine_2"}
    classes = [next(QgsVectorLayer(f"{path}|layername={name}", "l", "ogr").getFeatures())["class"] for name in sorted(names)]
    assert classes == ["roof", "tree"]


def test_a_file_that_is_no_geopackage_is_left_alone(utm36, tmp_path):
    path = tmp_path / "letter.gpkg"
    path.write_text("Dear Ada")
    with pytest.raises(LayerError, match="letter.gpkg is there already and is no GeoPackage. Choose another file"):
        new_layer(utm36, "Kept", path)
    assert path.read_text() == "Dear Ada"
