"""Example polygons on a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform_geom

from skysense.errors import LabelError
from skysense.example.examples import read_examples
from skysense.scene.grid import Grid, Window
from skysense.scene.vector import write_polygons

GRID = Grid(CRS.from_epsg(32631), Affine(1, 0, 500_000, 0, -1, 5_000_000), 1000, 1200)


def box(column: int, row: int, side: int) -> shapely.Polygon:
    return shapely.box(500_000 + column, 5_000_000 - row - side, 500_000 + column + side, 5_000_000 - row)


def saved(folder: Path, *shapes: shapely.Polygon, crs: str = "EPSG:32631") -> str:
    path = str(folder / "examples.gpkg")
    write_polygons(path, "examples", shapes, {"n": list(range(len(shapes)))}, crs)
    return path


def test_pixels_whose_middle_lies_in_an_example(tmp_path):
    examples = read_examples(saved(tmp_path, box(10, 20, 5), box(2000, 0, 5)), None, GRID)
    assert len(examples.shapes) == 1
    drawn = examples.draw(Window(18, 8, 10, 10))
    assert drawn.sum() == 25 and drawn[2:7, 2:7].all()
    assert not examples.draw(Window(-50, -50, 20, 20)).any()


def test_the_best_window_holds_most_area_and_lies_in_the_grid(tmp_path):
    examples = read_examples(saved(tmp_path, box(10, 10, 30), box(900, 900, 20), box(940, 940, 25)), None, GRID)
    window = examples.best_window(512)
    assert examples.draw(window).sum() == 20**2 + 25**2
    assert 0 <= window.row <= 1000 - 512 and 0 <= window.column <= 1200 - 512
    small = Grid(GRID.crs, GRID.transform, 100, 100)
    assert read_examples(saved(tmp_path, box(50, 50, 5)), None, small).best_window(512) == Window(0, 0, 512, 512)


def test_in_another_crs(tmp_path):
    moved = shapely.geometry.shape(transform_geom("EPSG:32631", "EPSG:4326", shapely.geometry.mapping(box(10, 20, 50))))
    examples = read_examples(saved(tmp_path, moved, crs="EPSG:4326"), None, GRID)
    assert np.count_nonzero(examples.draw(Window(0, 0, 100, 100))) == pytest.approx(2500, abs=30)


def test_polygons_elsewhere_are_refused_with_a_remedy(tmp_path):
    with pytest.raises(LabelError, match="None of the 1 examples of examples.gpkg lies on the scene.*check the CRS"):
        read_examples(saved(tmp_path, box(5000, 0, 5)), None, GRID)
