"""Polygons of classes on a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform_geom

from skysense.errors import LabelError
from skysense.objectives.supervised import IGNORE
from skysense.scene.grid import Grid
from skysense.training.labels import read_labels

GRID = Grid(CRS.from_epsg(32631), Affine(10, 0, 500000, 0, -10, 5_000_000), 60, 80)


def box(left: int, top: int, right: int, bottom: int) -> shapely.Geometry:
    """Of pixels of the grid."""
    return shapely.box(500000 + 10 * left, 5_000_000 - 10 * bottom, 500000 + 10 * right, 5_000_000 - 10 * top)


def write(path: Path, shapes, values, crs: str | None = "EPSG:32631", field: str = "kind") -> str:
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(shapes, dtype=object)), [np.array(values)], [field],
        driver="GPKG", geometry_type="Unknown", crs=crs,
    )  # fmt: skip
    return str(path)


def test_pixels_whose_centre_is_inside_are_labelled(tmp_path: Path) -> None:
    shapes = [box(0, 0, 10, 10), shapely.box(500204, 4999804, 500296, 4999896)]
    labels = read_labels(write(tmp_path / "l.gpkg", shapes, ["wood", "field"]), None, "kind", GRID)
    assert [(entry.name, entry.value) for entry in labels.classes] == [("field", 1), ("wood", 2)]
    drawn = labels.draw(GRID)
    assert (drawn[:10, :10] == 1).all() and (drawn != IGNORE).sum() == 200
    assert (drawn[10:20, 20:30] == 0).all()  # 9.2 pixels wide, ten centres


def test_polygons_in_another_crs_are_moved(tmp_path: Path) -> None:
    plain = read_labels(write(tmp_path / "a.gpkg", [box(5, 5, 25, 30), box(40, 5, 60, 30)], ["a", "b"]), None, "kind", GRID)
    moved = []
    for shape in plain.shapes:
        moved.append(shapely.geometry.shape(transform_geom(GRID.crs, "EPSG:4326", shapely.geometry.mapping(shape))))
    path = write(tmp_path / "b.gpkg", moved, ["a", "b"], "EPSG:4326")
    np.testing.assert_array_equal(read_labels(path, None, "kind", GRID).draw(GRID), plain.draw(GRID))


def test_whole_numbers_stay_the_values_of_the_raster(tmp_path: Path) -> None:
    shapes = [box(0, 0, 9, 9), box(20, 0, 29, 9), box(40, 0, 49, 9)]
    labels = read_labels(write(tmp_path / "l.gpkg", shapes, [30, 4, 110]), None, "kind", GRID)
    assert [(entry.name, entry.value) for entry in labels.classes] == [("4", 4), ("30", 30), ("110", 110)]
    assert len({entry.colour for entry in labels.classes}) == 3


def test_polygons_without_a_class_are_left_out(tmp_path: Path) -> None:
    shapes = [box(0, 0, 9, 9), box(20, 0, 29, 9), box(40, 0, 49, 9)]
    values = np.array(["a", None, "b"], dtype=object)
    assert len(read_labels(write(tmp_path / "l.gpkg", shapes, values), None, "kind", GRID).shapes) == 2


@pytest.mark.parametrize(
    ("shapes", "values", "field", "sentence"),
    [
        ([box(0, 0, 9, 9)] * 2, ["a", "b"], "species", "no field 'species'"),
        ([box(0, 0, 9, 9)] * 2, ["a", "a"], "kind", "one class on the scene, 'a'"),
        ([box(900, 0, 909, 9)] * 2, ["a", "b"], "kind", "None of the 2 polygons"),
        ([shapely.Point(500050, 4999950)] * 2, ["a", "b"], "kind", "holds no polygons"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, shapes, values, field: str, sentence: str) -> None:
    with pytest.raises(LabelError, match=sentence) as error:
        read_labels(write(tmp_path / "l.gpkg", shapes, values), None, field, GRID)
    assert error.value.remedy


def test_a_missing_field_names_those_that_exist(tmp_path: Path) -> None:
    path = write(tmp_path / "l.gpkg", [box(0, 0, 9, 9)], ["a"], field="land_use")
    with pytest.raises(LabelError) as error:
        read_labels(path, None, "kind", GRID)
    assert "land_use" in error.value.remedy


def test_too_many_classes_are_refused(tmp_path: Path) -> None:
    shapes = [box(0, 0, 3, 3)] * 300
    with pytest.raises(LabelError, match="300 classes"):
        read_labels(write(tmp_path / "l.gpkg", shapes, [f"id{i}" for i in range(300)]), None, "kind", GRID)


def test_a_layer_without_crs_is_refused_on_a_map(tmp_path: Path) -> None:
    path = write(tmp_path / "l.gpkg", [box(0, 0, 9, 9)] * 2, ["a", "b"], crs=None)
    with pytest.raises(LabelError, match="no coordinate reference system"):
        read_labels(path, None, "kind", GRID)


def test_in_pixel_space_coordinates_are_pixels(tmp_path: Path) -> None:
    grid = Grid(None, Affine.identity(), 50, 50)
    path = write(tmp_path / "l.gpkg", [shapely.box(0, 0, 5, 5), shapely.box(10, 10, 20, 20)], ["a", "b"], crs=None)
    drawn = read_labels(path, None, "kind", grid).draw(grid)
    assert (drawn[:5, :5] == 0).all() and (drawn[10:20, 10:20] == 1).all()
