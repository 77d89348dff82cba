"""Shell, toolbox and panel make the same requests and give the same files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from installed import BACKEND_PYTHON, REPOSITORY, need_qgis_process
from osgeo import gdal, ogr

need_qgis_process()


# -- the shell makes the same requests -------------------------------------------------------------------------------
SHOW = """
import json, sys
from skysense import cli
from skysense.jobs import table
from skysense.protocol import requests as r
from skysense.protocol.records import to_plain
load = table.load

def shown(request, report):
    print(json.dumps(to_plain(request)))
    raise SystemExit(0)

table.load = lambda kind: load(kind) if kind is r.DescribeRaster else shown
raise SystemExit(cli.main(sys.argv[1:]))
"""


def from_shell(*arguments: str) -> dict:
    """The request of a command line, as it would be run."""
    done = subprocess.run(
        [str(BACKEND_PYTHON), "-c", SHOW, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout)


class Shown(Exception):
    """The request that an algorithm was about to send."""


@pytest.fixture
def engine(qgis_app, tmp_path, monkeypatch):
    sys.path.insert(0, str(REPOSITORY))
    from skysense_qgis.client import client as client_module
    from skysense_qgis.client import logs

    monkeypatch.setattr(logs, "log_folder", lambda: tmp_path / "logs")
    engine = client_module.Engine()
    yield engine
    engine.close()


@pytest.fixture
def from_qgis(engine, qgis_processing, qgis_new_project):
    """The request of an algorithm with these parameters, as it would be run."""
    from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProject

    from skysense_qgis.algorithms.provider import SkySenseProvider
    from skysense_qgis.protocol.records import to_plain

    provider = SkySenseProvider(engine)
    provider.refreshAlgorithms()
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())

    def make(name: str, **parameters: object) -> dict:
        algorithm, feedback = provider.algorithm(name).create(), QgsProcessingFeedback(False)
        assert algorithm.prepare(parameters, context, feedback)
        return json.loads(json.dumps(to_plain(algorithm.request(parameters, context, feedback))))

    yield make
    context.temporaryLayerStore().removeAllMapLayers()


def without_names(plain: object) -> object:
    """The request without the names that people gave: they decide nothing."""
    if isinstance(plain, dict):
        return {key: without_names(value) for key, value in plain.items() if key != "name" or "path" not in plain}
    return [without_names(value) for value in plain] if isinstance(plain, list) else plain


def test_shell_and_qgis_make_the_same_requests(from_qgis, data, houses, labels, roofs):
    s2, s1 = str(data / "treesat_ts/S2_20190622.tif"), str(data / "treesat_ts/S1ASC_20190501.tif")
    hr, before, after = (str(data / name) for name in (
        "kampala/images/kampala_a.tif", "naip_wetlands/NAIP_20090818.tif", "naip_wetlands/NAIP_20200831.tif"))  # fmt: skip
    pairs = [
        (
            from_shell("embed", s2, s1, "--dates", "-", "2019-05-02", "--output", "/tmp/f.tif", "--components", "8"),
            from_qgis("embed", LAYERS=[s2, s1], LAYERS_DATES="-,2019-05-02", OUTPUT="/tmp/f.tif", COMPONENTS=8),
        ),
        (
            from_shell("change", "--before", before, "--after", after, "--score", "/tmp/s.tif", "--polygons", "/tmp/c.gpkg",
                       "--method", "change-vector", "--extent", "486900", "5207000", "487900", "5208000",
                       "--extent-crs", "EPSG:26914"),
            from_qgis("detect_change", BEFORE=[before], AFTER=[after], SCORE="/tmp/s.tif", POLYGONS="/tmp/c.gpkg", METHOD=1,
                      EXTENT="486900,487900,5207000,5208000 [EPSG:26914]"),
        ),
        (
            from_shell("example", hr, "--examples", str(roofs), "--mask", "/tmp/m.tif", "--score", "/tmp/s.tif",
                       "--threshold", "0.4", "--minimum-area", "3"),
            from_qgis("segment_by_example", LAYERS=[hr], EXAMPLES=str(roofs), MASK="/tmp/m.tif", SCORE="/tmp/s.tif",
                      THRESHOLD=0.4, MINIMUM_AREA=3),
        ),
        (
            from_shell("train", hr, "--labels", str(labels), "--class-field", "kind", "--model", "/tmp/m.safetensors"),
            from_qgis("train_segmentation", LAYERS=[hr], LABELS=str(labels), CLASS_FIELD="kind", MODEL="/tmp/m.safetensors"),
        ),
        (
            from_shell("apply", hr, "--model", "/tmp/m.safetensors", "--output", "/tmp/c.tif", "--sensors", "hr"),
            from_qgis("apply_model", LAYERS=[hr], LAYERS_SENSORS="hr", MODEL="/tmp/m.safetensors", OUTPUT="/tmp/c.tif"),
        ),
    ]  # fmt: skip
    for shell, plugin in pairs:
        assert without_names(plugin) == without_names(shell)


def test_shell_and_qgis_make_the_same_prompts(from_qgis, data, houses):
    image = str(data / "kampala/images/kampala_a.tif")
    shell = from_shell("segment", image, "--points", str(houses), "--object-field", "house", "--output", "/tmp/o.gpkg")
    plugin = from_qgis("segment_points", LAYER=image, POINTS=str(houses), OBJECT_FIELD="house", OUTPUT="/tmp/o.gpkg")
    assert shell == plugin


def test_the_panels_table_makes_the_same_scene(engine, qgis_new_project, data):
    from qgis.core import QgsProcessingFeedback, QgsProject, QgsRasterLayer

    from skysense_qgis.client.blocking import run_request
    from skysense_qgis.layers.rows import SceneRow, scene_of
    from skysense_qgis.protocol.records import to_plain
    from skysense_qgis.protocol.requests import DescribeRaster, EmbedScene

    paths = [str(path) for path in sorted((data / "treesat_ts").glob("*.tif"))]
    layers = [QgsRasterLayer(path, "layer") for path in paths]
    QgsProject.instance().addMapLayers(layers)
    described = {path: run_request(engine, DescribeRaster(path), QgsProcessingFeedback(False)) for path in paths}
    scene = scene_of([SceneRow(layer.id()) for layer in layers], described, QgsProject.instance(), None)
    panel = json.loads(json.dumps(to_plain(EmbedScene(scene, "/tmp/f.tif", None))))
    assert len(paths) > 5 and without_names(panel) == without_names(from_shell("embed", *paths, "--output", "/tmp/f.tif"))


# -- and all ways give the same files --------------------------------------------------------------------------------
def by_shell(*arguments: str) -> None:
    done = subprocess.run(
        [str(BACKEND_PYTHON), "-m", "skysense", *arguments], capture_output=True, text=True, timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "backend")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture
def by_panel(engine, qgis_new_project):
    """Runs a request as the dock makes it: layers of the project in the scene table."""
    from qgis.core import QgsProcessingFeedback, QgsProject, QgsRasterLayer

    from skysense_qgis.client.blocking import run_request
    from skysense_qgis.layers.rows import SceneRow, scene_of
    from skysense_qgis.protocol.requests import DescribeRaster

    def scene(*paths: str):
        layers = [QgsRasterLayer(path, Path(path).stem) for path in paths]
        QgsProject.instance().addMapLayers(layers)
        described = {path: run_request(engine, DescribeRaster(path), QgsProcessingFeedback(False)) for path in paths}
        return scene_of([SceneRow(layer.id()) for layer in layers], described, QgsProject.instance(), None)

    def run(request: type, *paths: str, **settings: object) -> None:
        run_request(engine, request(scene=scene(*paths), **settings), QgsProcessingFeedback(False))

    run.scene, run.send = scene, lambda request: run_request(engine, request, QgsProcessingFeedback(False))
    return run


def same_rasters(folders: list[Path], name: str) -> None:
    """Pixels, place, tags and what is told beside the file."""
    files = [gdal.Open(str(folder / name)) for folder in folders]
    first = files[0]
    for folder, file in zip(folders[1:], files[1:]):
        assert np.array_equal(file.ReadAsArray(), first.ReadAsArray(), equal_nan=True), folder.name
        assert file.GetGeoTransform() == first.GetGeoTransform() and file.GetProjection() == first.GetProjection()
        assert file.GetMetadata() == first.GetMetadata()
        assert (folder / f"{name}.json").read_text() == (folders[0] / f"{name}.json").read_text()


def same_rows(folders: list[Path], name: str) -> None:
    """Fields with their types, attributes and geometries."""
    def rows(path: Path) -> list:
        file = ogr.Open(str(path))
        layer = file.GetLayer(0)
        fields = [(layer.GetLayerDefn().GetFieldDefn(i).GetName(), layer.GetLayerDefn().GetFieldDefn(i).GetType())
                  for i in range(layer.GetLayerDefn().GetFieldCount())]  # fmt: skip
        return [layer.GetName(), fields, *((f.GetFID(), f.items(), f.GetGeometryRef().ExportToWkb()) for f in layer)]

    first = rows(folders[0] / name)
    assert len(first) > 2 and all(rows(folder / name) == first for folder in folders[1:])


@pytest.fixture
def folders(tmp_path) -> list[Path]:
    made = [tmp_path / name for name in ("shell", "toolbox", "panel")]
    for folder in made:
        folder.mkdir()
    return made


def test_the_same_feature_maps(qgis, by_panel, folders, data):
    from skysense_qgis.protocol.requests import EmbedScene

    s2, s1 = str(data / "treesat_ts/S2_20190622.tif"), str(data / "treesat_ts/S1ASC_20190501.tif")
    shell, toolbox, panel = ({"output": str(f / "f.tif"), "picture": str(f / "p.tif")} for f in folders)
    by_shell("embed", s2, s1, "--output", shell["output"], "--picture", shell["picture"])
    qgis.run("embed", LAYERS=[s2, s1], OUTPUT=toolbox["output"], PICTURE=toolbox["picture"])
    by_panel(EmbedScene, s2, s1, output_path=panel["output"], picture_path=panel["picture"])
    same_rasters(folders, "f.tif")
    same_rasters(folders, "p.tif")


def test_the_same_objects(qgis, folders, data, houses):
    """The dock segments what is clicked in the map, not the points of a layer."""
    image, (shell, toolbox, _) = str(data / "kampala/images/kampala_a.tif"), folders
    by_shell("segment", image, "--points", str(houses), "--object-field", "house", "--output", str(shell / "o.gpkg"))
    qgis.run("segment_points", LAYER=image, POINTS=str(houses), OBJECT_FIELD="house", OUTPUT=str(toolbox / "o.gpkg"))
    same_rows([shell, toolbox], "o.gpkg")


def test_the_same_finds(qgis, by_panel, folders, data, roofs):
    from skysense_qgis.protocol.requests import SegmentByExample

    image = str(data / "kampala/images/kampala_a.tif")
    shell, toolbox, panel = ([str(folder / name) for name in ("m.tif", "p.gpkg", "s.tif")] for folder in folders)
    by_shell("example", image, "--examples", str(roofs), "--mask", shell[0], "--polygons", shell[1], "--score", shell[2])
    qgis.run("segment_by_example", LAYERS=[image], EXAMPLES=str(roofs), MASK=toolbox[0], POLYGONS=toolbox[1], SCORE=toolbox[2])
    by_panel(SegmentByExample, image, examples_path=str(roofs), examples_layer=None, mask_path=panel[0],
             polygons_path=panel[1], score_path=panel[2])  # fmt: skip
    same_rasters(folders, "m.tif")
    same_rasters(folders, "s.tif")
    same_rows(folders, "p.gpkg")


def test_the_same_changes(qgis, by_panel, folders, data):
    from skysense_qgis.protocol.requests import DetectChange

    before, after = (str(data / f"naip_wetlands/NAIP_{day}.tif") for day in ("20090818", "20200831"))
    shell, toolbox, panel = ([str(folder / name) for name in ("s.tif", "m.tif", "c.gpkg")] for folder in folders)
    by_shell("change", "--before", before, "--after", after, "--score", shell[0], "--mask", shell[1], "--polygons", shell[2],
             "--minimum-area", "500")  # fmt: skip
    qgis.run("detect_change", BEFORE=[before], AFTER=[after], SCORE=toolbox[0], MASK=toolbox[1], POLYGONS=toolbox[2],
             MINIMUM_AREA=500)  # fmt: skip
    by_panel.send(DetectChange(by_panel.scene(before), by_panel.scene(after), *panel, minimum_area_m2=500.0))
    same_rasters(folders, "s.tif")
    same_rasters(folders, "m.tif")
    same_rows(folders, "c.gpkg")


def test_the_same_models_and_classes(qgis, by_panel, folders, data, labels):
    """Models hold where they lie and what their images are called; the weights are the same, and so is what they say."""
    from skysense_qgis.protocol.requests import ApplyModel, TrainSegmentation

    image = str(data / "kampala/images/kampala_a.tif")
    shell, toolbox, panel = (str(folder / "m.safetensors") for folder in folders)
    by_shell("train", image, "--labels", str(labels), "--class-field", "kind", "--model", shell, "--steps", "10")
    qgis.run("train_segmentation", LAYERS=[image], LABELS=str(labels), CLASS_FIELD="kind", MODEL=toolbox, STEPS=10)
    by_panel(TrainSegmentation, image, labels_path=str(labels), labels_layer=None, class_field="kind", model_path=panel,
             name="m", steps=10)  # fmt: skip
    weights = [weights_of(path) for path in (shell, toolbox, panel)]
    assert weights[0] and weights[1] == weights[0] and weights[2] == weights[0]
    outputs = [[str(folder / name) for name in ("k.tif", "s.tif")] for folder in folders]
    by_shell("apply", image, "--model", shell, "--output", outputs[0][0], "--confidence", outputs[0][1])
    qgis.run("apply_model", LAYERS=[image], MODEL=shell, OUTPUT=outputs[1][0], CONFIDENCE=outputs[1][1])
    by_panel(ApplyModel, image, model_path=shell, output_path=outputs[2][0], confidence_path=outputs[2][1])
    same_rasters(folders, "k.tif")
    same_rasters(folders, "s.tif")


def weights_of(path: str) -> bytes:
    """All tensors of a .safetensors file, behind its header."""
    content = Path(path).read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]
