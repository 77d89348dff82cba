"""Bands, values and date of one layer."""

from __future__ import annotations

import pytest

from skysense_qgis.layers.rows import SceneRow
from skysense_qgis.protocol.scene_source import BandIndex, Scaling


@pytest.fixture
def dialog(dock, add_layer, wait, described):
    """Of the first row, opened by a double click."""
    dock.scene.add(add_layer("naip_wetlands/NAIP_20090818.tif"))
    wait(lambda: described(1))
    dock.scene.table.cellDoubleClicked.emit(0, 2)
    return dock.scene.dialog


def choose(box, text: str) -> None:
    index = next(i for i in range(box.count()) if text in box.itemText(i))
    box.setCurrentIndex(index)
    box.activated.emit(index)


def test_what_is_left_alone_stays_a_guess(dock, dialog):
    assert "NAIP" in dialog.windowTitle()
    assert [box.currentData() for box in dialog.bands.values()] == [1, 2, 3, 4]
    dialog.accept()
    assert dock.scene.rows == [SceneRow(dock.scene.rows[0].layer_id)]


def test_bands_values_and_date_are_the_users_word(dock, dialog):
    choose(dialog.bands["R"], "4")
    choose(dialog.bands["N"], "not there")
    choose(dialog.values, "× 10 000 + 1000")
    dialog.date.setText("2009-08-20")
    dialog._accept()
    row = dock.scene.rows[0]
    assert row.bands == (BandIndex("R", 4), BandIndex("G", 2), BandIndex("B", 3))
    assert row.scaling == Scaling(1e-4, -0.1) and row.date == "2009-08-20" and row.sensor == ""
    source = dock.scene.scene().acquisitions[0]
    assert (source.bands, source.scaling, source.date) == (row.bands, row.scaling, row.date)
    dock.scene.table.cellDoubleClicked.emit(0, 2)
    again = dock.scene.dialog
    assert [box.currentData() for box in again.bands.values()] == [4, 2, 3, 0]
    assert again.row() == row


def test_other_numbers_than_the_usual_ones(dialog):
    assert not dialog.scale.isEnabled()
    choose(dialog.values, "Other")
    assert dialog.scale.isEnabled()
    dialog.scale.setValue(0.002)
    dialog.offset.setValue(-0.05)
    assert dialog.row().scaling == Scaling(0.002, -0.05)


def test_another_sensor_brings_its_bands(dock, dialog):
    choose(dialog.sensor, "Sentinel-1")
    assert list(dialog.bands) == ["VV", "VH"]
    choose(dialog.bands["VH"], "2")
    choose(dialog.values, "Linear power")
    dialog._accept()
    row = dock.scene.rows[0]
    assert row.sensor == "s1" and row.bands == (BandIndex("VH", 2),)
    assert row.scaling == Scaling(decibel=True)
    assert dock.scene.table.cellWidget(0, 1).currentData() == "s1"


def test_what_makes_no_sense_is_said_in_the_dialog(dialog):
    dialog.date.setText("yesterday")
    dialog._accept()
    assert dialog.isVisible() and "year-month-day" in dialog.bar.currentItem().text()
    dialog.date.clear()
    for box in dialog.bands.values():
        choose(box, "not there")
    dialog._accept()
    assert dialog.isVisible() and "No band is named" in dialog.bar.currentItem().text()
