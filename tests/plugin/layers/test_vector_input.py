"""Vector layers as files for the engine."""

from __future__ import annotations

import time

import pytest
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeedback,
    QgsGeometry,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QTimer

from skysense_qgis.layers.sources import LayerError
from skysense_qgis.layers.vector_input import SavingTask, take

SQUARE = "POLYGON((0 0, 1 0, 1 1, 0 1, 0 0))"


@pytest.fixture
def saved(polygons, add_shape, tmp_path) -> QgsVectorLayer:
    add_shape(polygons, SQUARE, "a", 1.0)
    add_shape(polygons, SQUARE, "b", 2.0)
    add_shape(polygons, "POLYGON((5 5, 9 5, 9 7, 5 5))", "c", 3.0)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = "fields"
    path = str(tmp_path / "labels.gpkg")
    QgsVectorFileWriter.writeAsVectorFormatV3(polygons, path, QgsProject.instance().transformContext(), options)
    return QgsVectorLayer(f"{path}|layername=fields", "labels", "ogr")


@pytest.fixture
def labels(tmp_path):
    """What the engine would read of a layer, or of some of its features."""

    def read(taken) -> list[str]:
        path, name = taken.file(str(tmp_path / "große 文.gpkg"), QgsProject.instance().transformContext(), QgsFeedback())
        return sorted(f["label"] for f in QgsVectorLayer(f"{path}|layername={name}" if name else path, "copy", "ogr").getFeatures())

    return read


def test_a_plain_file_is_used_as_it_is(saved):
    assert take(saved).same == (saved.source().split("|")[0], "fields")


def test_a_memory_layer_is_saved(polygons, add_shape, labels):
    add_shape(polygons, SQUARE, "only here", 1.0)
    assert labels(take(polygons)) == ["only here"]


def test_filters_and_edits_count(saved, labels):
    saved.setSubsetString("label = 'b'")
    assert labels(take(saved)) == ["b"]
    saved.setSubsetString("")
    saved.startEditing()
    saved.changeAttributeValue(next(saved.getFeatures()).id(), saved.fields().indexOf("label"), "changed")
    assert labels(take(saved)) == ["b", "c", "changed"]
    saved.rollBack()


def test_a_part_of_the_features_as_processing_says_it(saved, labels):
    saved.selectByIds([feature.id() for feature in saved.getFeatures() if feature["label"] != "b"])
    definition = QgsProcessingFeatureSourceDefinition(saved.source(), selectedFeaturesOnly=True)
    assert labels(take(saved, definition)) == ["a", "c"]
    definition.filterExpression = "size > 1"
    assert labels(take(saved, definition)) == ["c"]
    definition = QgsProcessingFeatureSourceDefinition(saved.source(), featureLimit=2)
    assert labels(take(saved, definition)) == ["a", "b"]
    assert take(saved, QgsProcessingFeatureSourceDefinition(saved.source())).same is not None


def test_a_crs_that_the_user_gave_is_saved_with_it(saved, labels, tmp_path):
    saved.setCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    path, _ = take(saved).file(str(tmp_path / "copy.gpkg"), QgsProject.instance().transformContext(), QgsFeedback())
    copy = QgsVectorLayer(path, "copy", "ogr")
    assert copy.crs().authid() == "EPSG:3857" and copy.extent() == saved.extent()


def test_what_was_taken_outlives_the_layer(polygons, add_shape, labels, qgis_new_project):
    add_shape(polygons, SQUARE, "gone", 1.0)
    add_shape(polygons, "POLYGON((5 5, 9 5, 9 7, 5 5))", "too", 1.0)
    QgsProject.instance().addMapLayer(polygons)
    taken = take(polygons)
    QgsProject.instance().removeAllMapLayers()
    assert taken.extent() == QgsRectangle(0, 0, 9, 7)
    assert labels(taken) == ["gone", "too"]


def test_cancelling_leaves_no_file(polygons, add_shape, tmp_path):
    add_shape(polygons, SQUARE, "a", 1.0)
    feedback = QgsFeedback()
    feedback.cancel()
    with pytest.raises(LayerError, match="cancelled"):
        take(polygons).file(str(tmp_path / "copy.gpkg"), QgsProject.instance().transformContext(), feedback)
    assert not list(tmp_path.iterdir())


def test_many_polygons_are_saved_while_qgis_goes_on(polygons, tmp_path, wait):
    features = []
    for number in range(20_000):
        feature = QgsFeature(polygons.fields())
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(number, 0, number + 1, 1)))
        feature.setAttributes(["a", 1.0])
        features.append(feature)
    polygons.dataProvider().addFeatures(features)
    begun = time.monotonic()
    task = SavingTask(take(polygons), str(tmp_path / "many.gpkg"), QgsProject.instance().transformContext())
    ends: list[object] = []
    task.saved.connect(lambda path, layer: ends.append((path, layer)))
    task.failed.connect(ends.append)
    assert time.monotonic() - begun < 0.1
    gaps, last, timer = [], [time.monotonic()], QTimer()

    def tick() -> None:
        now = time.monotonic()
        gaps.append(now - last[0])
        last[0] = now

    timer.timeout.connect(tick)
    timer.start(10)
    QgsApplication.taskManager().addTask(task)
    assert wait(lambda: ends) == [(str(tmp_path / "many.gpkg"), None)]
    timer.stop()
    assert max(gaps) < 0.25, f"QGIS stood still for {max(gaps):.3f} s"
    assert QgsVectorLayer(str(tmp_path / "many.gpkg"), "many", "ogr").featureCount() == 20_000


def test_a_place_that_cannot_be_written_is_said(polygons, add_shape, tmp_path, wait):
    add_shape(polygons, SQUARE, "a", 1.0)
    task = SavingTask(take(polygons), str(tmp_path / "no folder/a.gpkg"), QgsProject.instance().transformContext())
    said: list[str] = []
    task.failed.connect(said.append)
    QgsApplication.taskManager().addTask(task)
    assert "cannot be written" in wait(lambda: said)[0]
