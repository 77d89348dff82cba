"""Vector files: known formats by their content, nothing that points elsewhere."""

from __future__ import annotations

import sqlite3

import numpy as np
import pyogrio
import pytest
import shapely

from skysense.errors import LabelError, PromptError
from skysense.scene.read_points import read_points
from skysense.scene.vector import read_polygons

SQUARE = shapely.to_wkb(np.array([shapely.box(0, 0, 1, 1)], dtype=object))


def write(path, driver):
    values = [np.array(["house"], dtype=object)]
    pyogrio.raw.write(path, SQUARE, values, ["kind"], geometry_type="Polygon", crs="EPSG:4326", driver=driver)
    return str(path)


@pytest.mark.parametrize(
    ("name", "driver"),
    [("a.gpkg", "GPKG"), ("a.geojson", "GeoJSON"), ("a.shp", "ESRI Shapefile"), ("a.fgb", "FlatGeobuf")],
)
def test_formats_that_are_read(tmp_path, name, driver):
    shapes, fields, _ = read_polygons(write(tmp_path / name, driver))
    assert len(shapes) == 1 and list(fields["kind"]) == ["house"]


@pytest.mark.parametrize("before", ["", '{"type": "FeatureCollection", "features": [], "x": "'])
def test_a_list_of_sources_in_disguise_is_not_followed(tmp_path, before):
    real = write(tmp_path / "real.gpkg", "GPKG")
    path = tmp_path / "labels.gpkg"
    path.write_text(
        f'{before}<OGRVRTDataSource><OGRVRTLayer name="real"><SrcDataSource>{real}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
    )
    with pytest.raises(LabelError, match="list of other sources.*GeoPackage"):
        read_polygons(str(path))
    with pytest.raises(PromptError, match="list of other sources.*GeoPackage"):
        read_points(str(path))


def test_other_databases_and_formats_are_refused(tmp_path):
    database, text = tmp_path / "other.gpkg", tmp_path / "text.gpkg"
    with sqlite3.connect(database) as connection:
        connection.execute("create table t (a)")
    text.write_text("x,y\n1,2\n")
    for path in (database, text):
        with pytest.raises(LabelError, match="none of the vector formats.*GeoPackage"):
            read_polygons(str(path))


@pytest.mark.parametrize("path", ["http://localhost:9/a.geojson", "/vsicurl/http://localhost:9/a.gpkg", "PG:dbname=x", "{}"])
def test_only_files_are_opened(path):
    with pytest.raises(LabelError, match="There is no file"):
        read_polygons(path)
    with pytest.raises(PromptError, match="There is no file"):
        read_points(path)
