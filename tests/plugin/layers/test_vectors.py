"""Vector files, whole or not at all."""

from __future__ import annotations

import pytest
from qgis.core import Qgis, QgsFeature, QgsFeedback, QgsGeometry, QgsProject, QgsVectorLayer

from skysense_qgis.layers.sources import LayerError
from skysense_qgis.layers.vectors import convert, write_features

SQUARE = "MULTIPOLYGON(((0 0, 2 0, 2 2, 0 2, 0 0)))"


def transforms():
    return QgsProject.instance().transformContext()


def features(layer: QgsVectorLayer, count: int) -> list[QgsFeature]:
    rows = []
    for number in range(count):
        row = QgsFeature(layer.fields())
        row.setGeometry(QgsGeometry.fromWkt(SQUARE))
        row.setAttributes([f"größe {number}", float(number)])
        rows.append(row)
    return rows


@pytest.fixture
def write(polygons):
    """Writes squares into a file."""

    def write(path, count: int = 3, feedback: QgsFeedback | None = None) -> None:
        write_features(
            str(path), features(polygons, count), polygons.fields(), Qgis.WkbType.MultiPolygon, polygons.crs(), transforms(),
            feedback or QgsFeedback(),
        )  # fmt: skip

    return write


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp"])
def test_a_draft_becomes_the_format_of_the_name(write, tmp_path, suffix):
    write(tmp_path / "draft.gpkg")
    path = tmp_path / "Häuser und 文" / f"größe 1.{suffix}"
    path.parent.mkdir()
    convert(str(tmp_path / "draft.gpkg"), str(path), transforms(), QgsFeedback())
    layer = QgsVectorLayer(str(path), "copy", "ogr")
    assert layer.featureCount() == 3 and layer.crs().authid() == "EPSG:32636"
    first = next(layer.getFeatures())
    assert (first["label"], first["size"]) == ("größe 0", 0.0) and first.geometry().isGeosEqual(QgsGeometry.fromWkt(SQUARE))
    assert not [part.name for part in path.parent.iterdir() if part.name.startswith(".")]


@pytest.mark.parametrize("suffix", ["geojson", "shp"])
def test_cancelling_leaves_what_was_there(write, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write(path, 1)
    before = {part.name: part.read_bytes() for part in tmp_path.iterdir()}
    feedback = QgsFeedback()
    feedback.cancel()
    with pytest.raises(LayerError, match=f"a.{suffix} was cancelled"):
        write(path, 3, feedback)
    assert {part.name: part.read_bytes() for part in tmp_path.iterdir()} == before


def test_an_index_of_what_was_there_before_goes(write, tmp_path):
    (tmp_path / "a.qix").write_bytes(b"old")
    write(tmp_path / "a.shp")
    assert {part.suffix for part in tmp_path.iterdir()} >= {".shp", ".dbf", ".shx"} and not (tmp_path / "a.qix").exists()


def test_a_place_that_cannot_be_written_is_said(write, tmp_path):
    with pytest.raises(LayerError, match="a.geojson cannot be written.*choose another file"):
        write(tmp_path / "no folder/a.geojson")
    with pytest.raises(LayerError, match="cannot be opened"):
        convert(str(tmp_path / "missing.gpkg"), str(tmp_path / "a.shp"), transforms(), QgsFeedback())


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp"])
def test_a_full_disk_is_said_and_leaves_no_file(write, tmp_path, nearly_full_disk, suffix):
    with nearly_full_disk(100_000), pytest.raises(LayerError, match=f"a.{suffix} cannot be written.*Check free space"):
        write(tmp_path / f"a.{suffix}", 3000)
    assert not list(tmp_path.iterdir())
