"""A map, the dock, and how to look at both."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qgis.gui import QgsMapCanvas, QgsMessageBar
from qgis.PyQt.QtCore import QSize

from skysense_qgis.gui.dock import SkySenseDock
from skysense_qgis.settings import Settings


@pytest.fixture
def canvas(qgis_app, wait):
    """A map of 600 x 600 pixels."""
    canvas = QgsMapCanvas()
    canvas.resize(600, 600)
    canvas.show()
    wait(lambda: canvas.mapSettings().outputSize().width() > 500)  # QGIS takes a size up a moment later
    yield canvas
    canvas.deleteLater()


@pytest.fixture
def engine(warm_engine, wait):
    """The same for all tests of this folder; none leaves work behind for the next one."""
    yield warm_engine
    for client in (warm_engine.interactive, warm_engine.jobs):
        for handle in tuple(client._jobs.values()):
            handle.cancel()
    wait(lambda: not warm_engine.interactive.busy and not warm_engine.jobs.busy)


@pytest.fixture
def dock(qgis_new_project, engine, canvas):
    bar = QgsMessageBar()
    dock = SkySenseDock(engine, canvas, bar)
    dock.bar = bar
    dock.resize(QSize(380, 900))
    dock.show()
    yield dock
    dock.remove()
    dock.deleteLater()


@pytest.fixture
def models(tmp_path):
    """A folder for models of the test's own."""
    before = Settings.load()
    replace(before, models_folder=str(tmp_path / "models")).save()
    yield tmp_path / "models"
    before.save()


@pytest.fixture
def show(canvas):
    """Shows the whole of a layer in the map."""

    def show(layer) -> None:
        canvas.setDestinationCrs(layer.crs())
        canvas.setLayers([layer])
        canvas.setExtent(layer.extent())

    return show


@pytest.fixture
def described(dock):
    """Whether the engine has told what the rows are."""

    def described(count: int) -> bool:
        table = dock.scene.table
        return table.rowCount() == count and all(table.item(row, 2).text() != "…" for row in range(count))

    return described
