"""The dock with real layers and the real engine, driven by real events."""

from __future__ import annotations

import pytest
from qgis.core import Qgis, QgsProject
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QPushButton


def test_empty_scene_says_what_to_do(dock):
    assert dock.scene.empty.isVisibleTo(dock) and not dock.scene.table.isVisibleTo(dock)
    for panel in dock.job_panels:
        assert not panel.run_button.isEnabled()


def test_scene_table_shows_guesses_and_the_project_remembers_it(dock, add_layer, wait, tmp_path, described):
    first = add_layer("naip_wetlands/NAIP_20090818.tif")
    dock.scene.add(first)
    wait(lambda: described(1))
    table = dock.scene.table
    assert [table.item(0, column).text() for column in (0, 2, 3)] == ["NAIP_20090818", "R G B N", "2009-08-18"]
    assert dock.scene.table.cellWidget(0, 1).currentData() == "hr"
    table.item(0, 3).setText("2009-08-19")
    assert dock.scene.scene().acquisitions[0].date == "2009-08-19"

    path = str(tmp_path / "project.qgz")
    assert QgsProject.instance().write(path)
    QgsProject.instance().clear()
    assert dock.scene.rows == []
    assert QgsProject.instance().read(path)
    assert [row.date for row in dock.scene.rows] == ["2009-08-19"]


def test_a_date_that_is_no_day_is_refused_in_words(dock, add_layer, wait, described):
    dock.scene.add(add_layer("naip_wetlands/NAIP_20090818.tif"))
    wait(lambda: described(1))
    dock.scene.table.item(0, 3).setText("31.12.2009")
    assert "year-month-day" in dock.bar.currentItem().text()
    assert dock.scene.table.item(0, 3).text() == "2009-08-18"


def test_a_removed_layer_leaves_the_scene(dock, add_layer, wait):
    layer = add_layer("naip_wetlands/NAIP_20090818.tif")
    dock.scene.add(layer)
    QgsProject.instance().removeMapLayer(layer.id())
    assert dock.scene.rows == []


def test_click_keep_undo(dock, add_layer, wait, canvas, show):
    layer = add_layer("kampala/images/kampala_a.tif")
    show(layer)
    dock.segment.layer_box.setLayer(layer)
    QTest.mouseClick(dock.segment.start_button, Qt.MouseButton.LeftButton)
    session = wait(lambda: dock.segment.session)
    wait(lambda: session.ready)
    viewport = canvas.viewport()
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(300, 300))
    wait(lambda: dock.segment._item.has_mask)
    QTest.mouseClick(viewport, Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier, QPoint(20, 20))
    wait(lambda: len(session._shown) == 2)
    QTest.keyClick(viewport, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait(lambda: len(session._shown) == 1)
    QTest.keyClick(viewport, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    wait(lambda: len(session._shown) == 2)
    QTest.keyClick(viewport, Qt.Key.Key_Return)
    kept = wait(lambda: dock.segment.target.box.currentLayer())
    feature = next(kept.getFeatures())
    assert feature["class"] == "Object" and feature["source"] == "kampala_a" and feature["prompts"] == 2
    assert feature["area_m2"] > 1 and layer.extent().contains(feature.geometry().boundingBox())
    assert kept.isEditable() and kept.undoStack().count() == 1
    kept.undoStack().undo()
    assert kept.featureCount() == 0
    QTest.mouseClick(dock.segment.start_button, Qt.MouseButton.LeftButton)
    assert dock.segment.session is None and canvas.mapTool() is not dock.segment.tool


def test_dragging_a_box_is_a_prompt(dock, add_layer, wait, canvas, show):
    layer = add_layer("kampala/images/kampala_a.tif")
    show(layer)
    dock.segment.layer_box.setLayer(layer)
    dock.segment.start()
    session = dock.segment.session
    wait(lambda: session.ready)
    viewport = canvas.viewport()
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(200, 200))
    QTest.mouseMove(viewport, QPoint(300, 320))
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(300, 320))
    wait(lambda: dock.segment._item.has_mask)
    assert session.prompts[0].x2 is not None


def test_removing_the_layer_ends_the_session(dock, add_layer, wait, canvas, show):
    layer = add_layer("kampala/images/kampala_a.tif")
    show(layer)
    dock.segment.layer_box.setLayer(layer)
    dock.segment.start()
    items = len(canvas.scene().items())
    QgsProject.instance().removeMapLayer(layer.id())
    assert dock.segment.session is None
    assert len(canvas.scene().items()) < items


def test_change_needs_two_dates_and_adds_its_results(dock, add_layer, wait, described):
    before, after = add_layer("naip_wetlands/NAIP_20090818.tif"), add_layer("naip_wetlands/NAIP_20200831.tif")
    dock.scene.add(before)
    wait(lambda: described(1))
    assert not dock.change.run_button.isEnabled() and "two different dates" in dock.change.note.text()
    dock.scene.add(after)
    wait(lambda: described(2))
    assert dock.change.run_button.isEnabled()
    dock.change.run_button.click()
    wait(lambda: QgsProject.instance().mapLayersByName("Change score"), 180)
    names = {layer.name() for layer in QgsProject.instance().mapLayers().values()}
    assert {"Changed areas", "Changed pixels", "Change score"} <= names
    group = QgsProject.instance().layerTreeRoot().findGroup("Change 2009-08-18 to 2020-08-31")
    assert group is not None and {child.name() for child in group.children()} >= {"Before", "After"}
    score = QgsProject.instance().mapLayersByName("Change score")[0]
    automatic = dock.change.threshold.value()
    assert automatic > 0 and score.renderer().classificationMax() == pytest.approx(2 * automatic, rel=1e-3)
    dock.change.automatic.setChecked(False)
    dock.change.threshold.setValue(3.0)
    assert score.renderer().classificationMax() == pytest.approx(6.0)
    assert dock.change.prepare()[0].threshold == 3.0


def test_a_feature_map_can_be_cancelled(dock, add_layer, wait, described):
    dock.scene.add(add_layer("kampala/images/kampala_a.tif"))
    wait(lambda: described(1))
    dock.features.run_button.click()
    wait(lambda: dock.jobs.busy)
    dock.jobs.cancel_button.click()
    wait(lambda: not dock.jobs.busy, 30)
    assert dock.bar.currentItem().text() == "Stopped."
    assert not QgsProject.instance().mapLayersByName("Feature map")


def test_every_button_can_be_pressed(dock, add_layer, wait):
    """Nothing raises, whatever is pressed first."""
    add_layer("kampala/images/kampala_a.tif")
    for button in dock.findChildren(QPushButton):
        if button not in (dock.diagnostics_button, dock.setup_button, dock.scene.add_button):
            button.click()
    wait(lambda: not dock.jobs.busy, 60)


def test_words_for_a_failure(dock):
    from skysense_qgis.protocol.messages import Failure

    dock.show_failure(Failure(None, "grid", "They do not meet.", "Choose others.", "Traceback (most recent call last)"))
    item = dock.bar.currentItem()
    assert item.text() == "They do not meet. Choose others." and item.level() == Qgis.MessageLevel.Warning
