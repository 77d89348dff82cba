"""Scenes of real files -> feature maps and pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from skysense.errors import RequestError
from skysense.jobs import embed
from skysense.jobs.report import SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.protocol.requests import EmbedScene
from skysense.protocol.scene_source import Extent

DATA = Path(__file__).parents[2] / "data"
TREES = DATA / "treesat_ts"
AERIAL = str(TREES / "HR_20190701.tif")
FEATURES = 256  # of the nano encoder: fused, and the region's context


def request_of(tmp_path: Path, *files: str, extent: Extent | None = None, **more: object) -> EmbedScene:
    scene = scene_from_files(files or [AERIAL], extent=extent)
    return EmbedScene(scene, str(tmp_path / "features.tif"), None, device="cpu", **more)


def read(path: str) -> np.ndarray:
    """(C, h, w), NaN without data."""
    with rasterio.open(path) as file:
        values = file.read().astype(np.float32)
        return np.where(values == file.nodata, np.nan, values)


@pytest.mark.parametrize(("components", "bands"), [(0, FEATURES), (5, 5)])
def test_all_features_or_components(tmp_path, components, bands):
    request = request_of(tmp_path, components=components)
    result = embed.run(request, SilentReport())
    features = read(request.output_path)
    assert features.shape == (bands, result.height, result.width) and result.bands == bands
    assert np.isfinite(features).all() and features.std(axis=(1, 2)).min() > 0
    assert (result.explained_variance is None) == (components == 0)
    if components:
        deviations = features.std(axis=(1, 2))
        assert (np.diff(deviations) < 0).all() and 0 < result.explained_variance <= 1


def test_more_components_than_features_are_refused(tmp_path):
    with pytest.raises(RequestError, match=f"has {FEATURES} features"):
        embed.run(request_of(tmp_path, components=FEATURES + 1), SilentReport())
    assert list(tmp_path.iterdir()) == []


def test_the_picture_lies_on_the_map_and_shows_its_first_components(tmp_path):
    request = replace(request_of(tmp_path, components=3), picture_path=str(tmp_path / "picture.tif"))
    embed.run(request, SilentReport())
    with rasterio.open(request.picture_path) as picture, rasterio.open(request.output_path) as features:
        assert picture.dtypes == ("uint8",) * 3 and picture.transform == features.transform and picture.shape == features.shape
        shown, values = picture.read().reshape(3, -1), features.read().reshape(3, -1)
    assert all(np.corrcoef(colour, component)[0, 1] > 0.95 for colour, component in zip(shown, values))


def test_sensors_and_dates_are_fused_on_the_finest_grid(tmp_path):
    names = ("HR_20190701", "S2_20190420", "S2_20190622", "S1ASC_20190501")
    files = [str(TREES / f"{name}.tif") for name in names]
    fused = request_of(tmp_path, *files, components=0)
    embed.run(fused, SilentReport())
    alone = replace(request_of(tmp_path, components=0), output_path=str(tmp_path / "alone.tif"))
    embed.run(alone, SilentReport())
    together, aerial = read(fused.output_path), read(alone.output_path)
    assert together.shape == aerial.shape and np.isfinite(together).all()
    assert np.abs(together - aerial).mean() > 0.05 * aerial.std()


def test_the_extent_bounds_the_map_and_its_polygon_the_data(tmp_path):
    with rasterio.open(AERIAL) as file:
        west, south, east, north = file.bounds
        crs = file.crs.to_string()
    x, y = (west + east) / 2, (south + north) / 2
    triangle = f"POLYGON (({west} {y}, {x} {y}, {west} {north}, {west} {y}))"
    request = request_of(tmp_path, extent=Extent(crs, west, y, x, north, triangle), components=2)
    embed.run(request, SilentReport())
    with rasterio.open(request.output_path) as file:
        cell = file.transform.a
        assert file.bounds.left == pytest.approx(west) and file.bounds.top == pytest.approx(north)
        assert file.bounds.right == pytest.approx(x, abs=cell) and file.bounds.bottom == pytest.approx(y, abs=cell)
    seen = np.isfinite(read(request.output_path)[0])
    assert seen[-2, 1] and not seen[1, -2] and 0.4 < seen.mean() < 0.7


@pytest.mark.parametrize(("height", "width"), [(1, 1), (37, 211)])
def test_odd_sizes(tmp_path, height, width):
    path = tmp_path / "odd.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=3, dtype="uint8", crs="EPSG:32631",
        transform=rasterio.Affine(1, 0, 500_000, 0, -1, 5_000_000),
    ) as file:  # fmt: skip
        file.write(np.random.default_rng(0).integers(1, 255, (3, height, width), np.uint8))
    request = request_of(tmp_path, str(path), components=0)
    result = embed.run(request, SilentReport())
    stride = 8
    assert (result.height, result.width) == (-(-height // stride), -(-width // stride))
    assert np.isfinite(read(request.output_path)).all()
