"""Classes, where polygons go, and what happens while the engine answers."""

from __future__ import annotations

import pytest
from qgis.core import QgsCategorizedSymbolRenderer, QgsProject, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtTest import QTest

from skysense_qgis.gui.target_box import FieldMapDialog, field_map_of


@pytest.fixture
def clicking(dock, add_layer, show, wait):
    """A session in the drone image that is ready for clicks."""
    layer = add_layer("kampala/images/kampala_a.tif")
    show(layer)
    dock.segment.layer_box.setLayer(layer)
    dock.segment.start()
    wait(lambda: dock.segment.session.ready)
    return dock.segment


def add_class(panel, name: str) -> None:
    panel.classes.name.setText(name)
    QTest.keyClick(panel.classes.name, Qt.Key.Key_Return)


def click(canvas, x: int, y: int) -> None:
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(x, y))


def test_classes_are_added_chosen_by_key_recoloured_renamed_and_removed(dock, canvas, clicking, wait):
    panel = clicking
    add_class(panel, "Roof")
    add_class(panel, "Road")
    assert [entry.name for entry in panel.classes.classes] == ["Object", "Roof", "Road"]
    assert panel.classes.current.name == "Road" and len({entry.colour for entry in panel.classes.classes}) == 3
    QTest.keyClick(canvas.viewport(), Qt.Key.Key_2)
    assert panel.classes.current.name == "Roof"
    QTest.keyClick(canvas.viewport(), Qt.Key.Key_9)
    assert panel.classes.current.name == "Roof"
    panel.classes.colour.setColor(QColor("#123456"))
    assert panel.classes.current.colour == "#123456"
    panel.classes.list.currentItem().setText("Tin roof")
    assert panel.classes.classes[1].name == "Tin roof"
    panel.classes.list.currentItem().setText("  ")
    assert panel.classes.classes[1].name == "Tin roof"
    panel.classes.remove_button.click()
    assert [entry.name for entry in panel.classes.classes] == ["Object", "Road"]
    panel.classes.remove_button.click()
    assert len(panel.classes.classes) == 1 and not panel.classes.remove_button.isEnabled()


def test_the_project_remembers_the_classes(dock, tmp_path):
    add_class(dock.segment, "Roof")
    path = str(tmp_path / "project.qgz")
    assert QgsProject.instance().write(path)
    QgsProject.instance().clear()
    assert [entry.name for entry in dock.segment.classes.classes] == ["Object"]
    assert QgsProject.instance().read(path)
    assert [entry.name for entry in dock.segment.classes.classes] == ["Object", "Roof"]
    QgsProject.instance().writeEntry("skysense", "classes", '[{"colour": 5}]')
    dock.segment.classes.reload()
    assert [entry.name for entry in dock.segment.classes.classes] == ["Object"]


def test_enter_twice_keeps_once_and_the_class_is_that_of_the_moment(canvas, clicking, wait):
    panel = clicking
    add_class(panel, "Roof")
    click(canvas, 300, 300)
    wait(lambda: panel._item.has_mask)
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Return, Qt.Key.Key_1):
        QTest.keyClick(canvas.viewport(), key)
    kept = wait(lambda: panel.target.box.currentLayer())
    wait(lambda: not panel.session.prompts)
    assert [feature["class"] for feature in kept.getFeatures()] == ["Roof"]
    renderer = kept.renderer()
    assert isinstance(renderer, QgsCategorizedSymbolRenderer)
    colours = {category.label(): category.symbol().color().name() for category in renderer.categories()}
    assert colours == {entry.name: entry.colour for entry in panel.classes.classes}


def test_a_new_geopackage_is_made_with_the_first_polygon(canvas, clicking, wait, tmp_path):
    panel = clicking
    panel.target.choose_file(tmp_path / "dächer")
    assert panel.target.box.itemText(0) == "dächer.gpkg" and not list(tmp_path.glob("*.gpkg"))
    click(canvas, 300, 300)
    wait(lambda: panel._item.has_mask)
    panel.keep_button.click()
    kept = wait(lambda: panel.target.box.currentLayer())
    wait(lambda: kept.featureCount() == 1)
    assert kept.name() == "dächer" and kept.commitChanges()
    assert QgsVectorLayer(str(tmp_path / "dächer.gpkg"), "again", "ogr").featureCount() == 1


def test_an_existing_layer_takes_what_its_fields_are_chosen_for(canvas, clicking, wait):
    panel = clicking
    crs = panel.layer_box.currentLayer().crs().authid()
    mine = QgsVectorLayer(f"MultiPolygon?crs={crs}&field=kind:string&field=size:double&field=class:string", "mine", "memory")
    style = mine.renderer().type()
    QgsProject.instance().addMapLayer(mine)
    panel.target.box.setLayer(mine)
    assert field_map_of(mine) == {"class": "class"}
    panel.target.fields.trigger()
    dialog = panel.target.findChild(FieldMapDialog)
    dialog.boxes["class"].setField("kind")
    dialog.boxes["area_m2"].setField("size")
    dialog.accept()
    click(canvas, 300, 300)
    wait(lambda: panel._item.has_mask)
    panel.keep_button.click()
    wait(lambda: mine.featureCount() == 1)
    feature = next(mine.getFeatures())
    assert feature["kind"] == "Object" and feature["size"] > 1 and not feature["class"]
    assert mine.renderer().type() == style  # the user's own layer keeps its style


def test_escape_drops_and_the_buttons_follow(canvas, clicking, wait):
    panel = clicking
    assert not panel.keep_button.isEnabled()
    click(canvas, 300, 300)
    wait(lambda: panel._item.has_mask)
    assert panel.keep_button.isEnabled()
    QTest.keyClick(canvas.viewport(), Qt.Key.Key_Escape)
    assert not panel._item.has_mask and not panel.keep_button.isEnabled()


def test_a_click_beside_the_layer_is_no_prompt(dock, canvas, clicking):
    canvas.zoomByFactor(2)
    click(canvas, 5, 5)
    assert clicking.session.prompts == () and "Click inside of it" in clicking.hint.text()
    assert dock.bar.currentItem() is None
