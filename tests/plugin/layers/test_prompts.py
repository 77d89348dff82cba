"""Point layers as prompts, and attributes back onto polygons."""

from __future__ import annotations

import pytest
from qgis.core import QgsFeature, QgsFeedback, QgsGeometry, QgsProject, QgsVectorLayer

from skysense_qgis.layers.prompts import join_attributes, points_of
from skysense_qgis.layers.snapshot import Snapshot
from skysense_qgis.layers.sources import LayerError
from skysense_qgis.layers.vectors import convert
from skysense_qgis.protocol.requests import PointPrompt


def transforms():
    return QgsProject.instance().transformContext()


@pytest.fixture
def points(qgis_app, add_shape) -> QgsVectorLayer:
    layer = QgsVectorLayer(
        "MultiPoint?crs=EPSG:32636&field=object:integer&field=for:string&field=class:string&field=owner:string", "p", "memory"
    )
    add_shape(layer, "MULTIPOINT((1 2))", 7, "yes", "roof", "Ada")
    add_shape(layer, "MULTIPOINT((3 4),(5 6))", 7, "No", "roof", "Bob")
    add_shape(layer, "MULTIPOINT((8 9))", 9, "1", None, "Eve")
    return layer


@pytest.fixture
def draft(qgis_app, tmp_path, add_shape) -> str:
    """What the engine writes."""
    from qgis.core import QgsVectorFileWriter

    layer = QgsVectorLayer(
        "MultiPolygon?crs=EPSG:32636&field=object_id:integer64&field=clicks:integer&field=area_m2:double", "objects", "memory"
    )
    add_shape(layer, "MULTIPOLYGON(((0 0, 2 0, 2 2, 0 2, 0 0)))", 7, 3, 4.0)
    add_shape(layer, "MULTIPOLYGON(((8 8, 9 8, 9 9, 8 9, 8 8)))", 9, 1, 1.0)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = "objects"
    path = str(tmp_path / "draft.gpkg")
    error = QgsVectorFileWriter.writeAsVectorFormatV3(layer, path, QgsProject.instance().transformContext(), options)
    assert error[0] == QgsVectorFileWriter.WriterError.NoError
    return path


def test_every_point_is_a_prompt_of_its_object(points):
    prompts = points_of(Snapshot(points), "object", "for")
    assert prompts == (
        PointPrompt(7, 1.0, 2.0, True),
        PointPrompt(7, 3.0, 4.0, False),
        PointPrompt(7, 5.0, 6.0, False),
        PointPrompt(9, 8.0, 9.0, True),
    )
    assert [prompt.object_id for prompt in points_of(Snapshot(points))] == [1, 2, 2, 3]
    assert all(prompt.positive for prompt in points_of(Snapshot(points)))


def test_points_without_geometry_are_passed_over(points):
    empty = QgsFeature(points.fields())
    empty.setAttribute("object", 11)
    points.dataProvider().addFeatures([empty])
    assert 11 not in {prompt.object_id for prompt in points_of(Snapshot(points), "object")}


def test_an_object_field_that_is_no_number_is_refused(points):
    with pytest.raises(LayerError, match="field owner of a point is 'Ada'.*Choose a number field"):
        points_of(Snapshot(points), "owner")


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp"])
def test_polygons_get_the_attributes_of_their_first_point(points, draft, tmp_path, suffix):
    path = str(tmp_path / f"objects.{suffix}")
    join_attributes(
        draft, "objects", Snapshot(points), "object", "", "kampala", "2020-02-29", path, transforms(), QgsFeedback()
    )
    layer = QgsVectorLayer(path, "objects", "ogr")
    assert layer.featureCount() == 2 and layer.crs().authid() == "EPSG:32636"
    first, second = layer.getFeatures()
    assert (first["object_id"], first["clicks"], first["area_m2"]) == (7, 3, 4.0)
    assert (first["class"], first["source"], first["owner"]) == ("roof", "kampala", "Ada")
    day = first["date"]  # GDAL reads text that looks like a day in GeoJSON as one
    assert (day if isinstance(day, str) else day.toString("yyyy-MM-dd")) == "2020-02-29"
    assert second["owner"] == "Eve" and not second["class"]
    assert first.geometry().isGeosEqual(QgsGeometry.fromWkt("MULTIPOLYGON(((0 0, 2 0, 2 2, 0 2, 0 0)))"))


def test_the_class_may_come_from_another_field(points, draft, tmp_path):
    path = str(tmp_path / "objects.gpkg")
    join_attributes(draft, "objects", Snapshot(points), "object", "owner", "k", None, path, transforms(), QgsFeedback())
    assert [f["class"] for f in QgsVectorLayer(path, "objects", "ogr").getFeatures()] == ["Ada", "Eve"]


def test_fields_that_a_polygon_has_for_itself_keep_the_points_values(draft, tmp_path, add_shape, qgis_app):
    layer = QgsVectorLayer(
        "Point?crs=EPSG:32636&field=object:integer&field=Date:string&field=source:string&field=class:integer"
        "&field=clicks:integer&field=point_source:string&field=area_m2:double&field=fid:integer",
        "p", "memory",
    )  # fmt: skip
    add_shape(layer, "POINT(1 1)", 7, "1999-01-01", "survey A", 0, 12, "by hand", 55.5, 1)
    add_shape(layer, "POINT(8 8)", 9, "2001-01-01", "survey B", None, 13, "by car", 66.5, 2)
    path = str(tmp_path / "objects.gpkg")
    join_attributes(draft, "objects", Snapshot(layer), "object", "", "kampala", "2020-02-29", path, transforms(), QgsFeedback())
    polygons = QgsVectorLayer(path, "objects", "ogr")
    first, second = polygons.getFeatures()
    assert (first["date"], first["source"], first["clicks"], first["area_m2"]) == ("2020-02-29", "kampala", 3, 4.0)
    assert (first["point_Date"], first["point_point_source"], first["point_source"]) == ("1999-01-01", "survey A", "by hand")
    assert (first["point_clicks"], first["point_area_m2"]) == (12, 55.5)
    assert first["class"] == "0" and not second["class"]  # 0 is a class, no value is none
    assert "point_class" not in polygons.fields().names()
    join_attributes(draft, "objects", Snapshot(layer), "object", "source", "k", None, path, transforms(), QgsFeedback())
    first = next(QgsVectorLayer(path, "objects", "ogr").getFeatures())
    assert (first["class"], first["point_class"]) == ("survey A", 0)


def test_a_point_without_geometry_lends_no_attributes_and_needs_no_number(points, draft, tmp_path):
    empty = QgsFeature(points.fields())
    empty.setAttributes([None, "yes", "wrong", "Nobody"])
    points.dataProvider().addFeatures([empty])
    path = str(tmp_path / "objects.gpkg")
    join_attributes(draft, "objects", Snapshot(points), "object", "", "k", None, path, transforms(), QgsFeedback())
    assert [f["owner"] for f in QgsVectorLayer(path, "objects", "ogr").getFeatures()] == ["Ada", "Eve"]


def test_a_place_that_cannot_be_written_is_said(points, draft, tmp_path):
    with pytest.raises(LayerError, match="Choose another file"):
        convert(draft, str(tmp_path / "no folder/objects.geojson"), transforms(), QgsFeedback())
    with pytest.raises(LayerError, match="cannot be opened"):
        convert(str(tmp_path / "missing.gpkg"), str(tmp_path / "a.shp"), transforms(), QgsFeedback())
