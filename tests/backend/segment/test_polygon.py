from __future__ import annotations

import numpy as np
import pytest

from skysense.segment.polygon import outline


def test_pixel_corners_are_exact_and_holes_stay():
    mask = np.zeros((20, 30), bool)
    mask[2:12, 5:25] = True
    mask[5:8, 10:15] = False
    found = outline(mask)
    assert found.geom_type == "MultiPolygon" and len(found.geoms) == 1
    assert found.bounds == (5, 2, 25, 12) and found.area == mask.sum()
    assert [hole.bounds for hole in found.geoms[0].interiors] == [(10, 5, 15, 8)]


def test_pixels_that_touch_at_a_corner_are_two_polygons():
    assert len(outline(np.eye(2, dtype=bool)).geoms) == 2


@pytest.mark.parametrize("seed", range(20))
def test_any_mask_gives_valid_polygons_of_its_area(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((25, 31)) < rng.random()
    found = outline(mask)
    assert found.is_valid and found.area == mask.sum()
    assert outline(mask, simplify_px=1.5, fill_holes_px=3).is_valid


def test_holes_are_filled_up_to_their_size_and_bays_are_none():
    mask = np.ones((20, 20), bool)
    mask[5:7, 5:7] = False  # 4 px
    mask[10:13, 10:13] = False  # 9 px
    mask[0, 3] = False
    assert outline(mask, fill_holes_px=4).area == 400 - 9 - 1
    assert outline(mask, fill_holes_px=9).area == 400 - 1


def test_simplifying_removes_the_stairs_and_stays_near():
    rows, columns = np.indices((100, 100))
    mask = (rows + columns > 60) & (rows + columns < 140) & (np.abs(rows - columns) < 40)
    exact, simple = outline(mask), outline(mask, simplify_px=1.0)
    assert len(simple.geoms[0].exterior.coords) <= 6 < len(exact.geoms[0].exterior.coords)
    assert exact.hausdorff_distance(simple) < 1.5


def test_an_empty_mask_has_no_outline():
    assert outline(np.zeros((5, 5), bool), simplify_px=1, fill_holes_px=2).wkt == "MULTIPOLYGON EMPTY"
