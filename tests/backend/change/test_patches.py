"""Patches of change across strips."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
from rasterio.crs import CRS
from rasterio.transform import Affine

from skysense.change.patches import PatchFinder, without_small
from skysense.scene.grid import Grid

UTM = Grid(CRS.from_epsg(32631), Affine(10, 0, 500000, 0, -10, 5_000_000), 90, 70)


def find(grid: Grid, kinds, scores, rows_each: int) -> PatchFinder:
    finder = PatchFinder(grid)
    for start in range(0, grid.height, rows_each):
        rows = slice(start, min(start + rows_each, grid.height))
        finder.add(rows, kinds[rows], scores[rows])
    return finder


@pytest.fixture
def noise():
    random = np.random.default_rng(0)
    kinds = ((random.random((90, 70)) > 0.55) * random.integers(1, 3, (90, 70))).astype(np.uint8)
    return kinds, random.random((90, 70)).astype(np.float32)


def test_patches_do_not_depend_on_the_strips(noise):
    kinds, scores = noise
    whole, parts = find(UTM, kinds, scores, 90).patches(0.0, lambda share: None), find(UTM, kinds, scores, 13).patches(0.0, lambda share: None)
    assert len(whole) == len(parts) > 100

    def facts(patches):
        return sorted((p.pixels, p.kind, round(p.mean_score, 5), round(p.max_score, 5), p.outline.bounds) for p in patches)

    assert facts(whole) == facts(parts)


def test_outlines_cover_exactly_the_changed_pixels(noise):
    kinds, scores = noise
    patches = find(UTM, kinds, scores, 13).patches(0.0, lambda share: None)
    drawn = rasterio.features.rasterize(
        [(patch.outline, patch.kind) for patch in patches], (90, 70), transform=UTM.transform, dtype="uint8"
    )
    np.testing.assert_array_equal(drawn, kinds)
    assert all(patch.outline.is_valid for patch in patches)


def test_area_is_that_on_the_ground():
    """At 60 degrees north a pixel of Web Mercator covers a quarter of its nominal area."""
    grid = Grid(CRS.from_epsg(3857), Affine(10, 0, 1_000_000, 0, -10, 8_399_738), 20, 20)
    kinds = np.zeros((20, 20), np.uint8)
    kinds[5:10, 5:15] = 1
    (patch,) = find(grid, kinds, np.ones((20, 20), np.float32), 7).patches(0.0, lambda share: None)
    assert patch.pixels == 50
    assert patch.area_m2 == pytest.approx(50 * 100 / 4, rel=0.01)


def test_small_patches_leave_the_mask_too(noise):
    kinds, scores = noise
    finder = find(UTM, kinds, scores, 13)
    minimum = 600.0  # six pixels
    keep = list(finder.kept(minimum))
    kept = np.concatenate([without_small(kinds[i * 13 : i * 13 + 13], strip) for i, strip in enumerate(keep)])
    expected = sum(patch.pixels for patch in finder.patches(minimum, lambda share: None))
    assert 0 < expected == (kept > 0).sum() < (kinds > 0).sum()


def test_without_a_crs_areas_are_unknown_and_all_patches_stay():
    grid = Grid(None, Affine.identity(), 10, 10)
    kinds = np.zeros((10, 10), np.uint8)
    kinds[2, 2] = 1
    (patch,) = find(grid, kinds, np.ones((10, 10), np.float32), 10).patches(1e9, lambda share: None)
    assert np.isnan(patch.area_m2)
