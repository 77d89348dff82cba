"""The part of a layer that is clicked in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)

from skysense_qgis.layers.sources import LayerError
from skysense_qgis.layers.views import RenderedView, view_of
from skysense_qgis.protocol.scene_source import LARGEST_VIEW_PX

WORLD = 20037508.342789244


def seen(layer, box=None):
    return view_of(layer, box or layer.extent(), layer.crs(), QgsProject.instance())


def test_a_small_file_is_seen_at_its_own_pixels(kampala):
    view = seen(kampala)
    assert (view.width, view.height, view.path) == (kampala.width(), kampala.height(), kampala.source())
    assert view.extent.west == kampala.extent().xMinimum() and view.extent.north == kampala.extent().yMaximum()
    assert view.picture is None and view.extent.crs == kampala.crs().authid()


def test_pixels_are_square_and_at_most_so_many(kampala):
    wide = QgsRectangle(kampala.extent())
    wide.setYMinimum(wide.yMaximum() - wide.height() / 3)
    view = seen(kampala, wide)
    across, down = (view.extent.east - view.extent.west) / view.width, (view.extent.north - view.extent.south) / view.height
    assert across == pytest.approx(down) and max(view.width, view.height) <= LARGEST_VIEW_PX


def test_a_map_beside_the_layer(kampala):
    wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
    with pytest.raises(LayerError, match="Zoom to the layer"):
        view_of(kampala, QgsRectangle(0, 0, 1, 1), wgs84, QgsProject.instance())


def test_a_map_in_another_crs_is_turned_into_the_layers(kampala):
    """Half of the layer, as a map in degrees shows it."""
    box = QgsRectangle(kampala.extent())
    box.setXMaximum(box.center().x())
    wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
    there = QgsCoordinateTransform(kampala.crs(), wgs84, QgsProject.instance()).transformBoundingBox(box)
    view = view_of(kampala, there, wgs84, QgsProject.instance())
    pixel = kampala.rasterUnitsPerPixelX()
    assert view.extent.crs == kampala.crs().authid() and view.path == kampala.source()
    assert view.extent.east == pytest.approx(box.xMaximum(), abs=5 * pixel)
    assert view.extent.west == pytest.approx(box.xMinimum(), abs=5 * pixel)
    assert view.width == pytest.approx(kampala.width() / 2, abs=5) and view.height == pytest.approx(kampala.height(), abs=5)
    across, down = (view.extent.east - view.extent.west) / view.width, (view.extent.north - view.extent.south) / view.height
    assert across == pytest.approx(down)


@pytest.fixture
def file_layer(tmp_path, qgis_app):
    """A GeoTIFF of 60 x 40 pixels with this transform and CRS."""

    def make(transform: tuple[float, ...] | None, code: int | None) -> QgsRasterLayer:
        path = str(tmp_path / "file.tif")
        file = gdal.GetDriverByName("GTiff").Create(path, 60, 40, 3, gdal.GDT_Byte)
        for band in (1, 2, 3):
            file.GetRasterBand(band).Fill(50 * band)
        if transform is not None:
            file.SetGeoTransform(transform)
        if code is not None:
            crs = osr.SpatialReference()
            crs.ImportFromEPSG(code)
            file.SetProjection(crs.ExportToWkt())
        file = None
        return QgsRasterLayer(path, "file")

    return make


def test_a_layer_without_a_crs_is_seen_in_its_own_coordinates(file_layer):
    layer = file_layer(None, None)
    view = view_of(layer, QgsRectangle(10, -30, 40, -10), QgsCoordinateReferenceSystem("EPSG:3857"), QgsProject.instance())
    assert (view.extent.crs, view.width, view.height) == ("", 30, 20)
    assert (view.extent.west, view.extent.south, view.extent.east, view.extent.north) == (10, -30, 40, -10)


def test_a_turned_layer_is_seen_in_square_pixels(file_layer):
    layer = file_layer((500_000, 8, 6, 5_000_000, 6, -8), 32631)
    view = seen(layer)
    across, down = (view.extent.east - view.extent.west) / view.width, (view.extent.north - view.extent.south) / view.height
    assert across == pytest.approx(down) and across == pytest.approx(10, rel=0.1)
    assert view.extent.west == pytest.approx(layer.extent().xMinimum())
    assert view.extent.north == pytest.approx(layer.extent().yMaximum())


def test_a_layer_in_degrees_is_seen_in_pixels_of_degrees(file_layer):
    layer = file_layer((10, 0.001, 0, 50, 0, -0.001), 4326)
    utm = QgsCoordinateReferenceSystem("EPSG:32632")
    box = QgsCoordinateTransform(layer.crs(), utm, QgsProject.instance()).transformBoundingBox(layer.extent())
    view = view_of(layer, box, utm, QgsProject.instance())
    assert view.extent.crs == "EPSG:4326" and (view.width, view.height) == (60, 40)
    assert view.extent.west == pytest.approx(10) and view.extent.south == pytest.approx(49.96)


def test_the_crs_that_the_user_gives_a_layer_is_the_views(file_layer):
    layer = file_layer((500_000, 10, 0, 5_000_000, 0, -10), None)
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32631"))
    assert seen(layer).extent.crs == "EPSG:32631"


def test_a_tile_layer_becomes_a_picture_by_reference(tiles, tmp_path, wait):
    view = seen(tiles, QgsRectangle(-WORLD, -WORLD, WORLD, WORLD))
    assert view.path is None and view.width == LARGEST_VIEW_PX
    rendering = RenderedView(tiles, view)
    over = []
    rendering.job.finished.connect(lambda: over.append(True))
    rendering.job.start()
    wait(lambda: over)
    picture = rendering.write(tmp_path).picture
    values = np.frombuffer(Path(picture.path).read_bytes(), np.uint8).reshape(picture.shape)
    assert picture.shape == (view.height, view.width, 4) and picture.dtype == "uint8"
    drawn = [tuple(values[y, x]) for y, x in ((256, 256), (256, 768), (768, 256))]
    assert drawn == [(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)]
    assert tuple(values[768, 768]) == (0, 0, 0, 0)  # there is no tile, which is not the same as a black one


def test_a_picture_of_nothing_is_an_error(tiles, tmp_path, wait):
    rendering = RenderedView(tiles, seen(tiles, QgsRectangle(WORLD / 2, -WORLD, WORLD, -WORLD / 2)))
    over = []
    rendering.job.finished.connect(lambda: over.append(True))
    rendering.job.start()
    wait(lambda: over)
    with pytest.raises(LayerError, match="Check the connection"):
        rendering.write(tmp_path)
