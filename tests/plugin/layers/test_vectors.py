"""Vector files are whole in their place, or not at all."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsFeature, QgsFeedback, QgsGeometry, QgsProject, QgsVectorLayer

from skysense_qgis.layers.sources import LayerError
from skysense_qgis.layers.vectors import write_polygons

SUFFIXES = ("gpkg", "geojson", "shp")


@pytest.fixture
def write(polygons, tmp_path):
    """Writes so many squares under a name of the test's folder; its answer is what lies in the folder then."""

    def write(name: str, count: int, feedback: QgsFeedback | None = None, cancel_at: int = -1) -> list[str]:
        feedback = feedback or QgsFeedback()

        def squares():
            for number in range(count):
                if number == cancel_at:
                    feedback.cancel()
                feature = QgsFeature(polygons.fields())
                feature.setAttributes([f"square {number}", float(number)])
                x = 400_000 + 2 * number
                feature.setGeometry(QgsGeometry.fromWkt(f"MULTIPOLYGON((({x} 0, {x + 1} 0, {x + 1} 1, {x} 1, {x} 0)))"))
                yield feature

        crs = QgsCoordinateReferenceSystem("EPSG:32636")
        transforms = QgsProject.instance().transformContext()
        write_polygons(str(tmp_path / name), polygons.fields(), squares(), crs, transforms, feedback)
        return sorted(path.name for path in tmp_path.iterdir())

    return write


def count_of(path) -> int:
    layer = QgsVectorLayer(str(path), "squares", "ogr")
    assert layer.isValid()
    return layer.featureCount()


def state(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() if path.is_file() else b"folder" for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_replaced_by_a_whole_one(write, tmp_path, suffix):
    name = f"größe 文 objects.{suffix}"
    names = write(name, 3)
    if suffix == "shp":
        (tmp_path / name).with_suffix(".qix").write_bytes(b"index of the old file")
    assert write(name, 2) == names and count_of(tmp_path / name) == 2
    assert not any("partial" in name for name in names)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cancel_leaves_what_was_there(write, tmp_path, suffix):
    name = f"objects.{suffix}"
    with pytest.raises(LayerError, match="cancelled"):
        write(name, 50, cancel_at=20)
    assert state(tmp_path) == {}
    write(name, 3)
    before = state(tmp_path)
    with pytest.raises(LayerError, match="cancelled"):
        write(name, 50, cancel_at=20)
    assert state(tmp_path) == before


def test_formats_of_all_kinds_are_written_or_refused_in_words(write, tmp_path):
    for suffix in ("fgb", "ods", "tab", "csv"):
        assert f"objects.{suffix}" in write(f"objects.{suffix}", 2)
    with pytest.raises(LayerError, match="objects.dxf cannot be written.*Choose another file"):
        write("objects.dxf", 2)  # its driver takes no fields
    assert not list(tmp_path.glob("*.partial"))


@pytest.fixture
def nearly_full_disk():
    """No file may grow beyond 150,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_said_and_leaves_what_was_there(write, tmp_path, suffix, nearly_full_disk):
    write(f"objects.{suffix}", 3)
    before = state(tmp_path)
    with pytest.raises(LayerError, match="cannot be written.*Check free space"):
        write(f"objects.{suffix}", 2_000)
    assert state(tmp_path) == before


@pytest.fixture
def read_only_folder():
    """Root may write everywhere: its rights are laid down for the test."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    folder.rmdir()


def test_a_folder_without_rights_is_said(write, read_only_folder):
    with pytest.raises(LayerError, match="objects.gpkg cannot be written: Permission denied. Choose another file"):
        write(str(read_only_folder / "objects.gpkg"), 3)
