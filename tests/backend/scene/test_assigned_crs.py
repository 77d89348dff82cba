"""The CRS that the user gives a layer, in the place of the file's own or where it has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from skysense.errors import GridError, RequestError
from skysense.jobs.describe import describe
from skysense.protocol.scene_source import Extent, SceneSource
from skysense.protocol.source import acquisition
from skysense.scene.grid import Window
from skysense.scene.read import SceneReader

UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def image(path: Path, **placed) -> str:
    with rasterio.open(path, "w", driver="GTiff", count=3, height=30, width=40, dtype="uint8", **placed) as file:
        file.write(np.random.default_rng(0).integers(1, 255, (3, 30, 40)).astype("uint8"))
    return str(path)


def read(path: str, crs: str, extent: Extent | None = None):
    with SceneReader(SceneSource((acquisition(describe(path, crs)),), extent)) as scene:
        return scene.grid, scene.read(scene.readers[0], Window(0, 0, scene.grid.height, scene.grid.width))


@pytest.mark.parametrize("own", [None, "EPSG:32731"])
def test_pixels_stay_where_they_are_in_the_crs_that_is_given(tmp_path, own):
    path = image(tmp_path / "a.tif", transform=UTM, crs=own)
    described = describe(path, "EPSG:32631")
    assert described.crs == "EPSG:32631" and described.gsd_m == pytest.approx(10, rel=0.01)
    grid, patch = read(path, "EPSG:32631", Extent("EPSG:32631", 500_100, 4_999_800, 500_300, 4_999_900))
    assert (grid.crs, grid.transform.c, grid.transform.f) == (CRS.from_epsg(32631), 500_100, 4_999_900)
    with rasterio.open(path) as file:
        assert np.allclose(patch.values, file.read()[:, 10:20, 10:30] / 255)
    whole, _ = read(path, "EPSG:32631")
    assert (whole.height, whole.width) == (30, 40) and whole.crs == grid.crs


def test_a_picture_that_is_placed_nowhere_lies_where_qgis_draws_it(tmp_path):
    grid, patch = read(image(tmp_path / "a.tif"), "EPSG:32631", Extent("EPSG:32631", 5, -25, 15, -5))
    assert (grid.transform.c, grid.transform.f, grid.height, grid.width) == (5, -5, 20, 10) and patch.valid.all()


def test_without_one_the_file_has_its_say(tmp_path):
    path = image(tmp_path / "a.tif", transform=UTM)
    assert describe(path).crs == "" and acquisition(describe(path)).crs == ""
    with pytest.raises(GridError, match="pixel space"):
        read(path, "", Extent("EPSG:32631", 500_100, 4_999_800, 500_300, 4_999_900))


def test_no_crs_at_all_is_refused(tmp_path):
    with pytest.raises(RequestError, match="names no coordinate reference system"):
        describe(image(tmp_path / "a.tif", transform=UTM), "USER:100000")
