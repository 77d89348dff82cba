"""A point layer over an image -> polygons with the points' attributes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from skysense import cli
from skysense.errors import OutputError, PromptError
from skysense.jobs import segment_points
from skysense.jobs.report import SilentReport
from skysense.protocol.requests import SegmentPoints
from skysense.scene.vector import write_polygons

IMAGE = Path(__file__).parents[2] / "data/kampala/images/kampala_a.tif"
PLACES = ((256, 256), (100, 400), (400, 100), (90_000, 5))  # column and row; the last lies outside


def save_points(path: Path, fields: dict[str, list], places=PLACES, crs: str | None = "file", masks=None) -> Path:
    """Points at pixels of the image; None for a feature without geometry."""
    with rasterio.open(IMAGE) as file:
        shapes = [None if place is None else shapely.Point(file.transform @ place) for place in places]
        crs = file.crs.to_string() if crs == "file" else crs
    columns = [values if isinstance(values, np.ndarray) else np.array(values) for values in fields.values()]
    pyogrio.raw.write(path, shapely.to_wkb(np.array(shapes, dtype=object)), columns, list(fields),
                      field_mask=[(masks or {}).get(name) for name in fields], driver="GPKG", geometry_type="Point",
                      crs=crs)  # fmt: skip
    return path


def segment(points: Path, output: Path, **settings) -> dict[str, np.ndarray]:
    """The columns of the file that was written."""
    request = SegmentPoints(str(IMAGE), str(points), None, str(output), object_size_m=12.0)
    segment_points.run(replace(request, **settings), SilentReport())
    meta, _, _, values = pyogrio.raw.read(output)
    return dict(zip(meta["fields"], values))


def test_polygons_have_the_attributes_of_their_objects_first_point(tmp_path):
    points = save_points(tmp_path / "points.gpkg", {
        "house": [4, 7, 4, 9], "for": ["yes", "yes", "No", "yes"], "owner": ["Ada", "Bob", "Cy", "Dan"],
        "built": np.array(["1999-01-02", "NaT", "2001-01-01", "2001-01-01"], "datetime64[D]"),
    })  # fmt: skip
    written = segment(points, tmp_path / "houses.gpkg", object_field="house", positive_field="for", class_field="owner",
                      name="drone", date="2020-02-29")  # fmt: skip
    assert list(written) == ["object_id", "clicks", "area_m2", "class", "source", "date", "house", "for", "owner", "built"]
    assert written["object_id"].tolist() == written["house"].tolist() == [4, 7]
    assert written["clicks"].tolist() == [2, 1] and (written["area_m2"] > 1).all()
    assert written["class"].tolist() == written["owner"].tolist() == ["Ada", "Bob"]
    assert set(written["source"]) == {"drone"} and set(written["date"]) == {"2020-02-29"}
    assert str(written["built"][0]) == "1999-01-02" and np.isnat(written["built"][1])


def test_attributes_whose_names_are_taken_are_kept_under_another(tmp_path):
    points = save_points(tmp_path / "points.gpkg", {
        "date": ["a", "b", "c", "d"], "Source": ["w", "x", "y", "z"], "clicks": [5, 6, 7, 8], "area_m2": [1.0, 2.0, 3.0, 4.0],
        "class": [0, 2, 3, 4], "point_date": ["p", "q", "r", "s"], "object_id": [30, 20, 10, 5],
    })  # fmt: skip
    written = segment(points, tmp_path / "o.gpkg", object_field="object_id")
    assert written["object_id"].tolist() == [10, 20, 30]
    assert written["class"].tolist() == ["3", "2", "0"]  # a class may be the number 0
    assert written["point_date_2"].tolist() == ["c", "b", "a"] and written["point_date"].tolist() == ["r", "q", "p"]
    assert written["point_Source"].tolist() == ["y", "x", "w"] and written["point_clicks"].tolist() == [7, 6, 5]
    assert written["point_area_m2"].tolist() == [3.0, 2.0, 1.0] and written["date"].tolist() == [None] * 3
    other = segment(points, tmp_path / "p.gpkg", object_field="clicks", class_field="Source")
    assert other["class"].tolist() == ["w", "x", "y"] and other["point_class"].tolist() == [0, 2, 3]
    assert other["point_object_id"].tolist() == [30, 20, 10] and other["object_id"].tolist() == [5, 6, 7]


def test_fields_keep_their_types_where_some_are_null(tmp_path):
    missing = np.array([False, True, False, False])
    points = save_points(tmp_path / "points.gpkg", {"floors": [3, 0, 1, 2], "flat": [True, False, True, False], "yes": [1, 0, 1, 1]},
                         masks={"floors": missing, "flat": missing, "yes": missing})  # fmt: skip
    segment(points, tmp_path / "o.gpkg", positive_field="yes")
    info = pyogrio.read_info(tmp_path / "o.gpkg")
    kinds = dict(zip(info["fields"], info["dtypes"]))
    assert (kinds["floors"], kinds["flat"], kinds["object_id"]) == ("int64", "bool", "int64")
    _, _, _, (floors,) = pyogrio.raw.read(tmp_path / "o.gpkg", columns=["floors"])
    assert floors[0] == 3 and np.isnan(floors[1])


def test_points_without_a_place_are_passed_over_whatever_their_object(tmp_path):
    missing = np.array([True, False, False, True])
    points = save_points(tmp_path / "points.gpkg", {"house": [0, 7, 8, 0]}, (None, *PLACES[:2], None), masks={"house": missing})
    assert segment(points, tmp_path / "o.gpkg", object_field="house")["house"].tolist() == [7, 8]
    numberless = save_points(tmp_path / "numberless.gpkg", {"house": [0, 7, 8, 0]}, masks={"house": missing})
    with pytest.raises(PromptError, match="'house' of a point is empty, a whole number was expected.*Choose a number field"):
        segment(numberless, tmp_path / "p.gpkg", object_field="house")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"object_field": "owner"}, "'owner' of a point is Ada"),
        ({"object_field": "size"}, "is 1.5, a whole number was expected"),
        ({"object_field": "none"}, "no field 'none'.*owner"),
        ({"positive_field": "none"}, "no field 'none'.*owner"),
        ({"class_field": "none"}, "no field 'none'.*owner"),
        ({"points_layer": "none"}, "cannot be read as a point layer"),
    ],
)
def test_fields_that_do_not_fit_are_named(tmp_path, settings, words):
    points = save_points(tmp_path / "points.gpkg", {"owner": ["Ada"] * 4, "size": [1.5] * 4})
    with pytest.raises(PromptError, match=words):
        segment(points, tmp_path / "o.gpkg", **settings)
    assert not (tmp_path / "o.gpkg").exists()


def test_points_need_a_crs_where_the_image_has_one(tmp_path):
    points = save_points(tmp_path / "points.gpkg", {"a": [1] * 4}, crs=None)
    with pytest.raises(PromptError, match="no coordinate reference system"):
        segment(points, tmp_path / "o.gpkg")


@pytest.mark.parametrize("which", ["image", "points", "link to the image"])
def test_neither_the_image_nor_the_points_are_overwritten(tmp_path, which, capsys):
    image = tmp_path / "image.tif"
    image.write_bytes(IMAGE.read_bytes())
    points = save_points(tmp_path / "points.gpkg", {"a": [1] * 4})
    (tmp_path / "link.tif").symlink_to(image)
    output = {"image": image, "points": points, "link to the image": tmp_path / "link.tif"}[which]
    before = image.read_bytes(), points.read_bytes()
    with pytest.raises(OutputError, match="one of the inputs"):
        segment(points, output, path=str(image))
    assert cli.main(["segment", str(image), "--points", str(points), "--output", str(output)]) == 2
    assert "one of the inputs" in capsys.readouterr().err
    assert (image.read_bytes(), points.read_bytes()) == before


def test_a_geopackage_with_other_layers_is_not_replaced(tmp_path):
    points = save_points(tmp_path / "points.gpkg", {"a": [1] * 4})
    own = tmp_path / "own.gpkg"
    write_polygons(str(own), "roads", [shapely.box(0, 0, 1, 1)], {"n": [1]}, "EPSG:4326")
    before = own.read_bytes()
    with pytest.raises(OutputError, match="own.gpkg holds other layers .roads.*Choose a new file"):
        segment(points, own)
    assert own.read_bytes() == before
    assert len(segment(points, tmp_path / "o.gpkg")["a"]) == len(segment(points, tmp_path / "o.gpkg")["a"]) == 3


def test_the_shell_names_the_image_and_its_day(tmp_path, capsys):
    image = tmp_path / "ortho_20240229.tif"
    image.write_bytes(IMAGE.read_bytes())
    points = save_points(tmp_path / "points.gpkg", {"kind": ["roof"] * 4})
    output = str(tmp_path / "o.gpkg")
    arguments = ["segment", str(image), "--points", str(points), "--class-field", "kind", "--output", output]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    _, _, _, values = pyogrio.raw.read(output, columns=["class", "source", "date"])
    assert [set(column) for column in values] == [{"roof"}, {"ortho_20240229"}, {"2024-02-29"}]


@pytest.mark.parametrize("bad", [(10.0, 95.0), (float("inf"), 0.0)])
def test_a_point_that_lies_nowhere_leaves_its_object_empty(tmp_path, bad):
    with rasterio.open(IMAGE) as file:
        x, y = rasterio.warp.transform(file.crs, "EPSG:4326", *([value] for value in file.xy(256, 256)))
    shapes = [shapely.Point(x[0], y[0]), shapely.Point(bad), shapely.Point(x[0], y[0]), shapely.Point(bad)]
    pyogrio.raw.write(tmp_path / "points.gpkg", shapely.to_wkb(np.array(shapes, dtype=object)), [np.array([1, 2, 3, 3])],
                      ["house"], driver="GPKG", geometry_type="Point", crs="EPSG:4326")  # fmt: skip
    request = SegmentPoints(str(IMAGE), str(tmp_path / "points.gpkg"), None, str(tmp_path / "o.gpkg"), object_field="house")
    result = segment_points.run(request, SilentReport())
    assert result.count == 2 and result.empty == (2,)
