"""Layers that only QGIS can draw, as part of a scene."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from osgeo import gdal
from qgis.core import QgsProject, QgsRasterLayer, QgsRectangle
from qgis.PyQt.QtGui import QColor, QImage

from skysense_qgis.gui.extent_box import DRAWN, VIEW
from skysense_qgis.layers.drawn import make_room
from skysense_qgis.settings import Settings

SIDE = 20037508.342789244


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(Settings, "cache", property(lambda self: tmp_path / "cache"))
    return tmp_path / "cache" / "drawn"


@pytest.fixture
def tiles(qgis_new_project, tmp_path):
    """An XYZ layer of one colour at zoom 14, where the drone image lies."""

    def make(x: int, y: int) -> QgsRasterLayer:
        image = QImage(256, 256, QImage.Format.Format_RGB32)
        image.fill(QColor("#4080c0"))
        for column in range(x - 1, x + 2):
            folder = tmp_path / "tiles" / "14" / str(column)
            folder.mkdir(parents=True, exist_ok=True)
            for row in range(y - 1, y + 2):
                assert image.save(str(folder / f"{row}.png"))
        url = f"file://{tmp_path}/tiles/%7Bz%7D/%7Bx%7D/%7By%7D.png"
        layer = QgsRasterLayer(f"type=xyz&url={url}&zmin=14&zmax=14", "basemap", "wms")
        QgsProject.instance().addMapLayer(layer)
        return layer

    return make


@pytest.fixture
def scene(dock, add_layer, tiles, show, cache, wait, described):
    """The drone image and the basemap in the table, the image in the map."""
    image = add_layer("kampala/images/kampala_a.tif")
    show(image)
    size = 2 * SIDE / 2**14
    centre = image.extent().center()
    basemap = tiles(int((centre.x() + SIDE) / size), int((SIDE - centre.y()) / size))
    dock.scene.add(image)
    dock.scene.add(basemap)
    wait(lambda: described(2))
    return image, basemap


def test_the_panel_says_how_it_gets_in(dock, scene):
    assert "basemap is drawn by QGIS for each job, with the pixels of the files beside it" in dock.scene.note.text()
    assert dock.scene.table.item(1, 2).text() == "R G B" and not dock.scene.table.cellWidget(1, 1).isEnabled()
    dock.scene.table.selectRow(0)
    dock.scene._remove()
    assert "at the scale of the map view" in dock.scene.note.text()


def test_beside_a_file_it_is_drawn_on_its_pixels(dock, scene):
    image, _ = scene
    source = dock.scene.scene().acquisitions[1]
    drawing = dock.scene.drawings[source.path]
    assert (drawing.sheet.width, drawing.sheet.height) == (image.width(), image.height())
    assert drawing.sheet.pixel == pytest.approx(image.rasterUnitsPerPixelX())
    assert [(band.band, band.index) for band in source.bands] == [("R", 1), ("G", 2), ("B", 3)]
    assert source.name == "basemap" and source.sensor == "hr" and source.date is None


def test_alone_it_needs_an_area_and_takes_the_maps_scale(dock, scene, canvas):
    dock.scene.table.selectRow(0)
    dock.scene._remove()
    dock.features.run()
    assert "Choose an area below" in dock.bar.currentItem().text()
    dock.options.area.choice.setCurrentIndex(VIEW)
    path = dock.features.whole_scene().acquisitions[0].path
    assert dock.scene.drawings[path].sheet.pixel == pytest.approx(canvas.mapUnitsPerPixel(), rel=1e-6)


def test_a_job_draws_first_and_a_second_one_draws_nothing(dock, scene, wait, cache, canvas):
    dock.scene.table.selectRow(0)
    dock.scene._remove()
    dock.options.area.choice.setCurrentIndex(VIEW)
    stages = []
    dock.runner.began.connect(lambda request, handle: stages.append(request))
    wait(dock.features.run_button.isEnabled)
    dock.features.run_button.click()
    wait(lambda: QgsProject.instance().mapLayersByName("Feature map"), 120)
    (picture,) = cache.iterdir()
    values = gdal.Open(str(picture)).ReadAsArray()
    assert [int(band.max()) for band in values] == [0x40, 0x80, 0xC0]
    features = QgsProject.instance().mapLayersByName("Feature map")[0]
    assert canvas.extent().buffered(canvas.mapUnitsPerPixel() * 10).contains(features.extent())
    old = time.time() - 100
    os.utime(picture, (old, old))
    wait(lambda: not dock.runner.busy)
    dock.features.run_button.click()
    wait(lambda: len(QgsProject.instance().mapLayersByName("Feature map")) == 2, 120)
    assert [path.name for path in cache.iterdir()] == [picture.name]
    assert picture.stat().st_mtime > old + 50  # used again: it is kept longer


def test_drawing_can_be_cancelled_and_leaves_nothing(dock, scene, wait, cache):
    wait(dock.features.run_button.isEnabled)
    dock.features.run_button.click()
    wait(lambda: dock.jobs.busy)
    dock.jobs.cancel_button.click()
    wait(lambda: not dock.runner.busy)
    assert "Stopped." in dock.bar.currentItem().text()
    assert not cache.exists() or not list(cache.iterdir())


def test_where_nothing_can_be_drawn_the_job_does_not_start(dock, scene, wait, cache, canvas):
    dock.scene.table.selectRow(0)
    dock.scene._remove()
    canvas.setExtent(QgsRectangle(0, 0, 100, 100))
    dock.options.area.choice.setCurrentIndex(VIEW)
    dock.features.run_button.click()
    wait(lambda: dock.bar.currentItem() is not None and not dock.runner.busy)
    assert "Nothing of basemap could be drawn" in dock.bar.currentItem().text()
    assert not list(cache.iterdir())


def test_a_layer_that_is_removed_before_it_is_drawn(dock, scene, wait):
    _, basemap = scene
    request, finish = dock.features.prepare()
    QgsProject.instance().removeMapLayer(basemap.id())
    dock.runner.run(request, finish)
    wait(lambda: dock.bar.currentItem() is not None and not dock.runner.busy)
    assert "The layer basemap was removed" in dock.bar.currentItem().text()


def test_an_area_without_a_rectangle_is_asked_for(dock, scene):
    dock.options.area.choice.setCurrentIndex(DRAWN)
    dock.features.run()
    assert "No rectangle is drawn" in dock.bar.currentItem().text()


def test_the_oldest_pictures_make_room(tmp_path):
    def picture(name: str, age: float, size: int = 100) -> Path:
        path = tmp_path / name
        path.write_bytes(bytes(size))
        os.utime(path, (time.time() - age, time.time() - age))
        return path

    old, middle, new, mine = (picture(f"{n}.tif", age) for n, age in (("a", 300), ("b", 200), ("c", 100), ("d", 400)))
    abandoned, at_work = picture("x.part.tif", 7200), picture("y.part.tif", 10)
    other = picture("notes.txt", 9000)
    make_room(tmp_path, 250, {mine})
    assert not old.exists() and not abandoned.exists()
    assert all(path.exists() for path in (middle, new, mine, at_work, other))
