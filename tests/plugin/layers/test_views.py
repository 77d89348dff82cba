"""The part of a layer that is clicked in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsProject, QgsRectangle

from skysense_qgis.layers.sources import LayerError
from skysense_qgis.layers.views import LARGEST_SIDE_PX, RenderedView, view_of

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
    assert across == pytest.approx(down) and max(view.width, view.height) <= LARGEST_SIDE_PX


def test_a_map_in_another_crs_and_beside_the_layer(kampala):
    wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
    with pytest.raises(LayerError, match="Zoom to the layer"):
        view_of(kampala, QgsRectangle(0, 0, 1, 1), wgs84, QgsProject.instance())


def test_a_tile_layer_becomes_a_picture_by_reference(tiles, tmp_path, wait):
    view = seen(tiles, QgsRectangle(-WORLD, -WORLD, WORLD, WORLD))
    assert view.path is None and view.width == LARGEST_SIDE_PX
    rendering = RenderedView(tiles, view)
    over = []
    rendering.job.finished.connect(lambda: over.append(True))
    rendering.job.start()
    wait(lambda: over)
    picture = rendering.write(tmp_path).picture
    values = np.frombuffer(Path(picture.path).read_bytes(), np.uint8).reshape(picture.shape)
    assert picture.shape == (view.height, view.width, 3) and picture.dtype == "uint8"
    assert [tuple(values[y, x]) for y, x in ((256, 256), (256, 768), (768, 256))] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_a_picture_of_nothing_is_an_error(tiles, tmp_path, wait):
    rendering = RenderedView(tiles, seen(tiles, QgsRectangle(WORLD / 2, -WORLD, WORLD, -WORLD / 2)))
    over = []
    rendering.job.finished.connect(lambda: over.append(True))
    rendering.job.start()
    wait(lambda: over)
    with pytest.raises(LayerError, match="Check the connection"):
        rendering.write(tmp_path)
