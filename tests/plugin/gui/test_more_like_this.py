"""Kept polygons become the examples of a job."""

from __future__ import annotations

import pytest
from osgeo import gdal
from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRasterLayer, QgsRectangle, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtTest import QTest

from skysense_qgis.gui import job_runner

DRONE = "kampala/images/kampala_a.tif"


@pytest.fixture
def panel(dock, add_layer):
    dock.segment.layer_box.setLayer(add_layer(DRONE))
    return dock.segment


@pytest.fixture
def kept(panel) -> QgsVectorLayer:
    """Two polygons of the panel's class and one of another, in a layer that is being edited."""
    box, crs = panel.layer_box.currentLayer().extent(), panel.layer_box.currentLayer().crs().authid()
    layer = QgsVectorLayer(f"MultiPolygon?crs={crs}&field=class:string", "kept", "memory")
    QgsProject.instance().addMapLayer(layer)
    layer.startEditing()
    for number, name in enumerate(("Object", "Object", "Road")):
        x, y = box.xMinimum() + (5 + 10 * number) * 1.0, box.yMaximum() - 8
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(x, y, x + 4, y + 4)))
        feature.setAttributes([name])
        layer.addFeature(feature)
    panel.target.box.setLayer(layer)
    return layer


def said(dock) -> str:
    item = dock.bar.currentItem()
    return item.text() if item is not None else ""


def test_the_kept_polygons_of_the_class_are_the_examples(dock, panel, kept, wait):
    requests = []
    panel.requested.connect(lambda request, finish: requests.append(request))
    panel.more_button.click()
    assert not panel.more_button.isEnabled()
    wait(lambda: QgsProject.instance().mapLayersByName("Found areas"), 120)
    wait(lambda: panel.more_button.isEnabled() and not dock.runner.busy)
    group = QgsProject.instance().layerTreeRoot().findGroup("Like the examples in kampala_a")
    assert [child.name() for child in group.children()] == ["Found areas", "Found pixels", "Likeness"]
    assert [child.itemVisibilityChecked() for child in group.children()] == [True, False, False]
    assert "not the one-shot procedure" in said(dock) and "temporary" in said(dock)
    (request,) = requests
    assert {f["class"] for f in QgsVectorLayer(request.examples_path, "saved", "ogr").getFeatures()} == {"Object"}
    mask = QgsProject.instance().mapLayersByName("Found pixels")[0]
    assert mask.extent() == panel.layer_box.currentLayer().extent()


def test_a_clicked_object_is_enough(dock, panel, canvas, show, wait):
    show(panel.layer_box.currentLayer())
    panel.start()
    wait(lambda: panel.session.ready)
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(300, 300))
    wait(lambda: panel._item.has_mask)
    panel.keep_button.click()
    wait(lambda: panel.target.box.currentLayer() and panel.target.box.currentLayer().featureCount() == 1)
    panel.more_button.click()
    wait(lambda: QgsProject.instance().mapLayersByName("Found areas"), 120)


def test_without_examples_it_says_what_to_do(dock, panel, kept):
    panel.classes.name.setText("Tree")
    QTest.keyClick(panel.classes.name, Qt.Key.Key_Return)
    panel.more_button.click()
    assert "kept holds no polygons of the class Tree. Keep two or three objects first" in said(dock)
    panel.target.box.setLayer(None)
    panel.more_button.click()
    assert "no kept polygons to go by. Keep two or three" in said(dock) and panel.more_button.isEnabled()


def test_a_layer_without_a_file_or_a_known_sensor_is_named_with_a_remedy(dock, panel, kept, tmp_path, wait):
    path = str(tmp_path / "height.tif")
    gdal.Translate(path, panel.layer_box.currentLayer().source(), bandList=[1, 1, 1, 1, 1, 1, 1], outputType=gdal.GDT_Float32)
    strange = QgsRasterLayer(path, "strange")
    drawn = QgsRasterLayer("type=xyz&url=file:///nowhere/%7Bz%7D/%7Bx%7D/%7By%7D.png", "tiles", "wms")
    QgsProject.instance().addMapLayers([strange, drawn])
    panel.layer_box.setLayer(drawn)
    panel.more_button.click()
    assert "tiles is drawn by QGIS" in said(dock) and "Save it as a GeoTIFF" in said(dock)
    panel.layer_box.setLayer(strange)
    panel.more_button.click()
    wait(lambda: "The sensor of strange cannot be told" in said(dock))
    assert panel.more_button.isEnabled() and not dock.runner.busy


def test_a_long_search_is_asked_about(dock, panel, kept, wait, monkeypatch):
    monkeypatch.setattr(job_runner, "LONG_S", 0.0)
    panel.more_button.click()
    question = wait(lambda: dock.runner.question, 60)
    assert "This takes about" in question.text() and not panel.more_button.isEnabled()
    question.reject()
    wait(lambda: not dock.runner.busy)
    assert panel.more_button.isEnabled() and not QgsProject.instance().mapLayersByName("Found areas")


def test_a_cancel_stops_it(dock, panel, kept, wait):
    panel.more_button.click()
    wait(lambda: dock.runner.busy)
    dock.jobs.cancel_button.click()
    wait(lambda: not dock.runner.busy)
    assert "Stopped" in said(dock) and not QgsProject.instance().mapLayersByName("Found areas")
