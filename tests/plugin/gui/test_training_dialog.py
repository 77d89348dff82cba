"""Training beside the map, and the card of what came out."""

from __future__ import annotations

from pathlib import Path

import pytest
from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRectangle, QgsVectorLayer
from qgis.PyQt.QtWidgets import QAbstractButton


@pytest.fixture
def train(dock, add_layer, wait, described, models):
    """The form, filled in: quarters of two kinds over an aerial image."""
    image = add_layer("naip_wetlands/NAIP_20090818.tif")
    layer = QgsVectorLayer(f"Polygon?crs={image.crs().authid()}&field=kind:string", "quarters", "memory")
    box, centre = image.extent(), image.extent().center()
    for x in (box.xMinimum(), centre.x()):
        for y in (box.yMinimum(), centre.y()):
            feature = QgsFeature(layer.fields())
            feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(x, y, x + box.width() / 2.2, y + box.height() / 2.2)))
            feature["kind"] = "left <b>" if x == box.xMinimum() else "right"
            layer.dataProvider().addFeatures([feature])
    QgsProject.instance().addMapLayer(layer)
    dock.scene.add(image)
    wait(lambda: described(1))
    dock.train.labels.setLayer(layer)
    dock.train.field.setField("kind")
    dock.train.name.setText("Halves")
    dock.train.steps.setValue(30)
    return dock.train


def test_a_run_shows_curves_then_the_card(dock, train, wait, models):
    train.run_button.click()
    dialog = wait(lambda: dock.training)
    wait(lambda: {"loss", "mean IoU"} <= set(dialog.curves.latest()), 60)
    stage = dialog.stage.text()
    assert "CPU" in stage and "GB free" in stage and "left" in stage
    assert not dialog.grab().toImage().isNull()  # painted with and without points
    wait(lambda: dialog.pages.currentWidget() is dialog.card, 60)
    text = dialog.card.toPlainText()
    assert "Halves" in text and "mean IoU" in text and "Confusion" in text
    assert "left <b>" in text  # names are shown as they are
    assert (models / "Halves.safetensors").is_file()
    wait(lambda: dock.apply.model.findText("Halves") >= 0)
    dialog.curves_button.click()
    assert dialog.pages.currentWidget() is dialog.curves
    dialog.close()
    wait(lambda: dock.training is None)


def test_stopping_keeps_the_best(dock, train, wait, models):
    train.steps.setValue(800)
    train.run_button.click()
    dialog = wait(lambda: dock.training)
    wait(lambda: "mean IoU" in dialog.curves.latest(), 60)
    dialog.stop_button.click()
    wait(lambda: dialog.pages.currentWidget() is dialog.card, 10)
    assert "Stopped. The model of step" in dialog.stage.text()
    assert (models / "Halves.safetensors").is_file()


def test_a_hidden_window_leaves_the_run_going(dock, train, wait, models):
    train.run_button.click()
    wait(lambda: dock.training).close_button.click()
    wait(lambda: dock.training is None)
    assert dock.runner.busy
    wait(lambda: (models / "Halves.safetensors").is_file(), 60)


def test_a_name_that_is_taken_is_numbered(train, models):
    models.mkdir()
    (models / "Halves.safetensors").write_bytes(b"")
    request, _ = train.prepare()
    assert request.name == "Halves 2" and Path(request.model_path).name == "Halves_2.safetensors"


def test_models_are_listed_shown_and_removed(dock, train, wait, models):
    train.run_button.click()
    wait(lambda: dock.apply.model.findText("Halves") >= 0, 60)
    (models / "broken.safetensors").write_bytes(b"no model at all")
    dock._list_models()
    wait(lambda: len(dock.cards) == 3)
    dock.options.models_button.click()
    dialog = dock.models
    names = [dialog.list.item(row).text() for row in range(dialog.list.count())]
    assert names == ["SkySense nano (encoder)", "Halves", "broken (cannot be used)"]
    assert "GPL-2.0-or-later" in dialog.card.toPlainText() and not dialog.remove_button.isEnabled()
    dialog.list.setCurrentRow(1)
    assert "Accuracy on held-out blocks" in dialog.card.toPlainText()
    dialog.remove_button.click()
    remove = next(b for b in dialog.question.findChildren(QAbstractButton) if b.text() == "Remove")
    remove.click()
    wait(lambda: len(dock.cards) == 2)
    assert not (models / "Halves.safetensors").exists() and dock.apply.model.findText("Halves") < 0
    assert dialog.list.count() == 2
