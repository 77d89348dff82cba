"""Layers without a file become GeoTIFFs."""

from __future__ import annotations

import http.server
import threading
import time

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import QgsApplication, QgsProcessingFeedback, QgsProject, QgsRasterLayer, QgsTask
from qgis.PyQt.QtCore import QThread

from skysense_qgis.layers import sheet as sheet_module
from skysense_qgis.layers.drawing import LayerDrawing, draw_and_wait
from skysense_qgis.layers.sheet import sheet_for
from skysense_qgis.layers.sources import LayerError
from skysense_qgis.protocol.scene_source import Extent

WORLD = 20037508.342789244
WHOLE = Extent("EPSG:3857", -WORLD, -WORLD, WORLD, WORLD)
ZOOM_1 = 2 * WORLD / 512


def transforms():
    return QgsProject.instance().transformContext()


def check_quarters(path) -> None:
    """Red, green and blue quarters, and nothing in the south-east."""
    file = gdal.Open(str(path))
    values = file.ReadAsArray()
    mask = file.GetRasterBand(1).GetMaskBand().ReadAsArray() > 0
    values = np.where(values == 1, 0, values)  # black is written as 1: 0 is a hole
    size = file.RasterXSize
    quarter = size // 4
    at = [(quarter, quarter), (quarter, 3 * quarter), (3 * quarter, quarter)]
    assert [tuple(values[:, row, column]) for row, column in at] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert all(mask[row, column] for row, column in at) and not mask[3 * quarter, 3 * quarter]
    assert file.GetGeoTransform() == pytest.approx((-WORLD, 2 * WORLD / size, 0, WORLD, 0, -2 * WORLD / size))
    assert file.GetSpatialRef().GetAuthorityCode(None) == "3857"


def test_a_sheet_has_whole_pixels_and_blocks_that_cover_it(monkeypatch):
    sheet = sheet_for(Extent("EPSG:32636", 100.0, 0.0, 125.0, 10.0), 2.0)
    assert (sheet.width, sheet.height, sheet.west, sheet.north) == (13, 5, 100.0, 10.0)
    monkeypatch.setattr(sheet_module, "BLOCK_PX", 4)
    seen = np.zeros((5, 13), int)
    for column, row, width, height in sheet.blocks():
        seen[row : row + height, column : column + width] += 1
    assert (seen == 1).all()
    box = sheet.rectangle(4, 4, 4, 1)
    assert (box.xMinimum(), box.yMaximum(), box.width(), box.height()) == (108.0, 2.0, 8.0, 2.0)


@pytest.mark.parametrize(
    ("extent", "pixel", "remedy"),
    [
        (Extent("", 0, 0, 1, 1), 0.1, "extent with a CRS"),
        (Extent("EPSG:3857", 0, 0, 1, 1), 0.0, "pixel size above zero"),
        (Extent("EPSG:3857", 0, 0, 0, 1), 0.1, "larger rectangle"),
        (WHOLE, 1.0, "smaller extent or larger pixels"),
    ],
)
def test_what_cannot_be_drawn_is_refused(qgis_app, extent, pixel, remedy):
    with pytest.raises(LayerError, match=remedy):
        sheet_for(extent, pixel)


def test_tiles_are_drawn_beside_the_event_loop_and_what_is_missing_counts_as_no_data(tiles, tmp_path, wait):
    path = tmp_path / "drawn.tif"
    job = LayerDrawing(tiles, sheet_for(WHOLE, ZOOM_1), path, transforms())
    ends = []
    job.finished.connect(lambda file, missing: ends.append((file, missing)))
    job.failed.connect(lambda text: ends.append(text))
    job.start()
    assert not ends  # nothing has been waited for
    file, missing = wait(lambda: ends)[0]
    assert file == str(path) and missing == pytest.approx(0.25, abs=0.01)
    check_quarters(path)


def test_the_blocking_way_draws_the_same(tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(sheet_module, "BLOCK_PX", 128)
    path = tmp_path / "drawn.tif"
    missing = draw_and_wait(tiles, sheet_for(WHOLE, ZOOM_1), path, transforms(), QgsProcessingFeedback())
    assert missing == pytest.approx(0.25, abs=0.01)
    check_quarters(path)


def test_nothing_at_all_is_an_error_and_leaves_no_file(tiles, tmp_path, wait):
    south_east = Extent("EPSG:3857", WORLD / 2, -WORLD, WORLD, -WORLD / 2)
    path = tmp_path / "drawn.tif"
    with pytest.raises(LayerError, match="Nothing of tiles could be drawn"):
        draw_and_wait(tiles, sheet_for(south_east, ZOOM_1), path, transforms(), QgsProcessingFeedback())
    assert not path.exists()
    job = LayerDrawing(tiles, sheet_for(south_east, ZOOM_1), path, transforms())
    said = []
    job.failed.connect(said.append)
    job.start()
    assert "Nothing of tiles" in wait(lambda: said)[0] and not path.exists()


def test_cancelling_leaves_no_file(tiles, tmp_path, wait):
    feedback = QgsProcessingFeedback()
    feedback.cancel()
    path = tmp_path / "drawn.tif"
    with pytest.raises(LayerError, match="cancelled"):
        draw_and_wait(tiles, sheet_for(WHOLE, ZOOM_1), path, transforms(), feedback)
    job = LayerDrawing(tiles, sheet_for(WHOLE, ZOOM_1), path, transforms())
    job.start()
    job.cancel()
    wait(lambda: not path.exists())


@pytest.fixture
def slow_tiles(qgis_app):
    """An XYZ layer of a server on this computer that takes half a minute for a tile."""
    asked, end = threading.Event(), threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            end.wait(30)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/%7Bz%7D/%7Bx%7D/%7By%7D.png"
    yield QgsRasterLayer(f"type=xyz&url={url}&zmin=0&zmax=3", "slow", "wms"), asked
    end.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("background", [False, True])
def test_a_slow_server_does_not_hold_up_a_cancel(slow_tiles, tmp_path, wait, background):
    """On the main thread, as in qgis_process, and on another, as from the toolbox."""
    layer, asked = slow_tiles
    feedback = QgsProcessingFeedback(False)
    ends = []

    def draw() -> None:
        layer.moveToThread(QThread.currentThread())
        try:
            draw_and_wait(layer, sheet_for(WHOLE, 2 * WORLD / 1024), tmp_path / "drawn.tif", transforms(), feedback)
        except LayerError as error:
            ends.append((str(error), time.monotonic()))

    cancelled = []

    def cancel() -> None:
        asked.wait(10)
        time.sleep(0.5)
        cancelled.append(time.monotonic())
        feedback.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    if background:
        layer.moveToThread(None)
        task = QgsTask.fromFunction("draw", lambda task: draw())
        QgsApplication.taskManager().addTask(task)
        wait(lambda: ends, 20)
    else:
        draw()
    canceller.join()
    ((text, ended),) = ends
    assert "cancelled" in text and ended - cancelled[0] < 2.0
    assert not (tmp_path / "drawn.tif").exists()


def test_progress_is_told(tiles, tmp_path, monkeypatch):
    monkeypatch.setattr(sheet_module, "BLOCK_PX", 256)
    feedback = QgsProcessingFeedback(False)
    told = []
    feedback.progressChanged.connect(told.append)
    draw_and_wait(tiles, sheet_for(WHOLE, ZOOM_1), tmp_path / "drawn.tif", transforms(), feedback)
    assert told == [25.0, 50.0, 75.0, 100.0]


def test_a_folder_that_is_not_there_is_said(tiles, tmp_path):
    """Whether GDAL raises or not: another plugin may have turned its exceptions on."""

    def refused() -> None:
        with pytest.raises(LayerError, match="cannot be written"):
            draw_and_wait(tiles, sheet_for(WHOLE, ZOOM_1), tmp_path / "no/drawn.tif", transforms(), QgsProcessingFeedback())

    refused()
    if not gdal.GetUseExceptions():  # where they are on already, GDAL 3.6 does not let them be turned off out of order
        gdal.UseExceptions()
        refused()
        gdal.DontUseExceptions()


def test_a_full_disk_is_said_and_leaves_no_file(tiles, tmp_path, nearly_full_disk):
    path = tmp_path / "drawn.tif"
    with nearly_full_disk(10_000), pytest.raises(LayerError, match="Check free space"):
        draw_and_wait(tiles, sheet_for(WHOLE, 2 * WORLD / 2048), path, transforms(), QgsProcessingFeedback())
    assert not path.exists()
