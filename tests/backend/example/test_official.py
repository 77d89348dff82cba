"""The released one-shot procedure over a scene, with a small SkySense++ that nobody trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from skysense.errors import BandError, LabelError
from skysense.example.examples import Examples
from skysense.example.official import official_mask
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.added import load_plus_plus
from skysense.models.skysense.plus_plus import SkySensePlusPlus
from skysense.scene.grid import Window
from skysense.scene.read import SceneReader

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def model() -> SkySensePlusPlus:
    return load_plus_plus(DATA / "models/random_plus_plus.safetensors")


@pytest.fixture
def wide(tmp_path) -> str:
    """The drone image and a part of it again beside it: 512 x 700 pixels, the last 20 columns without data."""
    with rasterio.open(DATA / "kampala/images/kampala_a.tif") as file:
        values, profile = file.read(), {"crs": file.crs, "transform": file.transform}
    values = np.concatenate([values, values[:, :, :188]], axis=2)
    values = np.maximum(values, 1)
    values[:, :, 680:] = 0
    path = str(tmp_path / "wide.tif")
    with rasterio.open(path, "w", driver="GTiff", count=3, height=512, width=700, dtype="uint8", nodata=0, **profile) as file:
        file.write(values)
    return path


def examples_at(scene: SceneReader, column: int, row: int, side: int) -> Examples:
    x, y = scene.grid.transform @ (column, row)
    far_x, far_y = scene.grid.transform @ (column + side, row + side)
    return Examples(scene.grid, np.array([shapely.box(x, far_y, far_x, y)], dtype=object))


def test_windows_cover_the_scene_and_no_data_is_not_found(model, wide):
    told = []
    with SceneReader(scene_from_files([wide], sensors=["hr"])) as scene:
        examples = examples_at(scene, 100, 100, 60)
        parts = list(official_mask(model, scene, examples, lambda share, text: told.append((share, text))))
    assert [window for window, _, _ in parts] == [Window(0, 0, 512, 512), Window(0, 512, 512, 188)]
    assert all(found.shape == valid.shape == (window.height, window.width) for window, found, valid in parts)
    assert not parts[1][2][:, 168:].any() and parts[1][2][:, :168].all() and not (parts[1][1] & ~parts[1][2]).any()
    assert told == [(0.0, "tile 1 of 2"), (0.5, "tile 2 of 2")]


def test_examples_without_data_and_sensors_without_colours_are_refused(model, wide):
    with SceneReader(scene_from_files([wide], sensors=["hr"])) as scene:
        on_no_data = official_mask(model, scene, examples_at(scene, 685, 100, 5), lambda share, text: None)
        with pytest.raises(LabelError, match="None of the examples holds a pixel with data"):
            next(on_no_data)
    with SceneReader(scene_from_files([str(DATA / "treesat_ts/S2_20190622.tif")])) as scene:
        without_colours = official_mask(model, scene, examples_at(scene, 1, 1, 2), lambda share, text: None)
        with pytest.raises(BandError, match="SkySense.. looks at high-resolution images.*Sentinel-2.*another model"):
            next(without_colours)
