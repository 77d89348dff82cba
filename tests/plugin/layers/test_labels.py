"""Polygon layers as files for the engine."""

from __future__ import annotations

import pytest
from qgis.core import QgsProject, QgsVectorFileWriter, QgsVectorLayer

from skysense_qgis.layers.labels import labels_file

SQUARE = "POLYGON((0 0, 1 0, 1 1, 0 1, 0 0))"


@pytest.fixture
def saved(polygons, add_shape, tmp_path) -> QgsVectorLayer:
    add_shape(polygons, SQUARE, "a", 1.0)
    add_shape(polygons, SQUARE, "b", 2.0)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = "fields"
    path = str(tmp_path / "labels.gpkg")
    QgsVectorFileWriter.writeAsVectorFormatV3(polygons, path, QgsProject.instance().transformContext(), options)
    return QgsVectorLayer(f"{path}|layername=fields", "labels", "ogr")


def labels(layer: QgsVectorLayer) -> list[str]:
    path, name = labels_file(layer)
    return sorted(f["label"] for f in QgsVectorLayer(f"{path}|layername={name}", "copy", "ogr").getFeatures())


def test_a_plain_file_is_used_as_it_is(saved):
    assert labels_file(saved) == (saved.source().split("|")[0], "fields")


def test_a_memory_layer_is_saved(polygons, add_shape):
    add_shape(polygons, SQUARE, "only here", 1.0)
    assert labels(polygons) == ["only here"]


def test_filters_and_edits_count(saved):
    saved.setSubsetString("label = 'b'")
    assert labels(saved) == ["b"]
    saved.setSubsetString("")
    saved.startEditing()
    saved.changeAttributeValue(next(saved.getFeatures()).id(), saved.fields().indexOf("label"), "changed")
    assert labels(saved) == ["b", "changed"]
    saved.rollBack()


def test_curves_heights_and_row_numbers_are_no_hindrance(qgis_app, add_shape):
    layer = QgsVectorLayer("MultiSurfaceZ?crs=EPSG:32636&field=fid:string&field=label:string", "curves", "memory")
    add_shape(layer, "MULTISURFACE Z (CURVEPOLYGON Z (CIRCULARSTRING Z (0 0 1, 1 1 1, 2 0 1, 1 -1 1, 0 0 1)))", "x", "round")
    add_shape(layer, "MULTISURFACE Z (POLYGON Z ((0 0 5, 1 0 5, 1 1 5, 0 0 5)))", "x", "flat")
    assert labels(layer) == ["flat", "round"]
    path, name = labels_file(layer)
    areas = [feature.geometry().area() for feature in QgsVectorLayer(f"{path}|layername={name}", "copy", "ogr").getFeatures()]
    assert areas == pytest.approx([3.14159, 0.5], abs=0.001)
