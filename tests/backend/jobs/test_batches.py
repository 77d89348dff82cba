"""Windows of a scene as an encoder takes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from skysense.errors import BandError
from skysense.jobs.batches import SceneTiles, check_sensors
from skysense.models.catalog import load_encoder
from skysense.protocol.requests import ModelCard
from skysense.protocol.scene_source import AcquisitionSource, BandIndex, Scaling, SceneSource
from skysense.scene.grid import Window
from skysense.scene.read import SceneReader

PLACE = Affine(1, 0, 500_000, 0, -1, 5_000_000)
CARD = ModelCard("m", "segmentation", "Fields", ("s2", "s1"), 0, "", "", None, None, "skysense-nano")


def picture(path, value, date, gap=slice(0, 0)) -> AcquisitionSource:
    pixels = np.full((3, 64, 64), value, "uint8")
    pixels[:, :, gap] = 0
    with rasterio.open(path, "w", driver="GTiff", count=3, height=64, width=64, dtype="uint8", crs="EPSG:32631",
                       transform=PLACE, nodata=0) as file:  # fmt: skip
        file.write(pixels)
    bands = tuple(BandIndex(band, index) for index, band in enumerate("RGB", 1))
    return AcquisitionSource(str(path), "hr", bands, Scaling(1 / 255), date)


@pytest.fixture(scope="module")
def info():
    return load_encoder(untrained=True).info


def test_of_several_pictures_the_newest_valid_pixel_counts(tmp_path, info):
    newest = picture(tmp_path / "c.tif", 200, "2020-02-01", slice(20, 64))
    older = picture(tmp_path / "b.tif", 100, "2019-01-02", slice(40, 64))
    oldest = picture(tmp_path / "a.tif", 50, "2018-01-01", slice(60, 64))
    with SceneReader(SceneSource((newest, oldest, older))) as scene:
        data = SceneTiles(scene, info).read(Window(0, 0, 64, 64))
    seen = np.rint(255 * data.arrays["hr"][0, 5]).astype(int)
    assert (seen[:20] == 200).all() and (seen[20:40] == 100).all() and (seen[40:60] == 50).all()
    assert data.valid[:, :60].all() and not data.valid[:, 60:].any()
    assert data.batch("cpu").hr_days.tolist() == [32]


def test_a_model_needs_the_sensors_that_it_was_trained_on(tmp_path, info):
    with SceneReader(SceneSource((picture(tmp_path / "a.tif", 50, None),))) as scene:
        tiles = SceneTiles(scene, info)
        with pytest.raises(BandError, match="Fields was trained on Sentinel-2 and Sentinel-1, the scene holds"):
            check_sensors(tiles, CARD)
        with pytest.raises(BandError):
            check_sensors(tiles, replace(CARD, sensors=("hr", "s1")))
        check_sensors(tiles, replace(CARD, sensors=("hr",)))
