"""All algorithms through the real qgis_process and the real engine, installed as `make install` does it; and the
same requests as the shell makes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests/data"
BACKEND_PYTHON = REPOSITORY / ".venv/bin/python"
PLUGIN = "skysense_qgis"

gdal.UseExceptions()
missing = [name for name in ("qgis_process",) if shutil.which(name) is None]
if missing and os.environ.get("CI") != "true":
    pytest.skip(f"missing: {', '.join(missing)}; make setup installs it", allow_module_level=True)


class Profile:
    """A QGIS profile of the test's own, with the plugin in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("QGIS_", "XDG_"))},
            "QT_QPA_PLATFORM": "offscreen",
            "OMP_NUM_THREADS": "1",
            "QGIS_CUSTOM_CONFIG_PATH": str(folder / "config"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_DATA_HOME": str(folder / "share"),
            "XDG_RUNTIME_DIR": str(folder),
        }
        plugins = folder / "config/profiles/default/python/plugins"
        install = [sys.executable, str(REPOSITORY / "tools/install.py"), "--plugins-folder", str(plugins)]
        subprocess.run(install, check=True, capture_output=True, timeout=60)
        self.call("plugins", "enable", PLUGIN)

    def call(self, *arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["qgis_process", *arguments], input=text, env={**self.environment, **environment}, capture_output=True,
            text=True, timeout=240,
        )  # fmt: skip

    def run(self, name: str, **inputs: object) -> dict:
        """The answer of one algorithm: results and log."""
        done = self.call("--json", "run", f"skysense:{name}", "-", text=json.dumps({"inputs": inputs}))
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    def fail(self, name: str, **inputs: object) -> str:
        """What is said when it does not work."""
        done = self.call("--json", "run", f"skysense:{name}", "-", text=json.dumps({"inputs": inputs}))
        assert done.returncode != 0, done.stdout[-2000:]
        return done.stderr + done.stdout


@pytest.fixture(scope="module")
def qgis(tmp_path_factory) -> Profile:
    return Profile(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A copy of tests/data: QGIS may write statistics beside what it opens."""
    folder = tmp_path_factory.mktemp("inputs") / "data"
    shutil.copytree(DATA, folder, ignore=shutil.ignore_patterns("skysense", "*.aux.xml"))
    return folder


@pytest.fixture(scope="module")
def houses(data) -> Path:
    """A point in each of the drone image's buildings, with an attribute of its own."""
    ids = gdal.Open(str(data / "kampala/instances/kampala_a.tif"))
    values, (x0, dx, _, y0, _, dy) = ids.ReadAsArray(), ids.GetGeoTransform()
    path = data / "houses.gpkg"
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = file.CreateLayer("houses", osr.SpatialReference(ids.GetProjection()), ogr.wkbPoint)
    layer.CreateField(ogr.FieldDefn("house", ogr.OFTInteger))
    for number in np.unique(values[values > 0]):
        rows, columns = np.nonzero(values == number)
        middle = np.argmin(np.abs(rows - rows.mean()) + np.abs(columns - columns.mean()))
        feature = ogr.Feature(layer.GetLayerDefn())
        feature["house"] = int(number)
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POINT({x0 + (columns[middle] + 0.5) * dx} {y0 + (rows[middle] + 0.5) * dy})"))
        layer.CreateFeature(feature)
    file = layer = None
    return path


@pytest.fixture(scope="module")
def labels(data) -> Path:
    """Polygons of buildings and ground, from the drone image's mask."""
    mask = gdal.Open(str(data / "kampala/masks/kampala_a.tif"))
    path = data / "labels.gpkg"
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = file.CreateLayer("labels", osr.SpatialReference(mask.GetProjection()), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("value", ogr.OFTInteger))
    layer.CreateField(ogr.FieldDefn("kind", ogr.OFTString))
    gdal.Polygonize(mask.GetRasterBand(1), None, layer, 0)
    for feature in layer:
        feature["kind"] = "building" if feature["value"] else "ground"
        layer.SetFeature(feature)
    file = layer = None
    return path


@pytest.fixture(scope="module")
def roofs(data, labels) -> Path:
    """Three of the buildings as examples."""
    path = data / "roofs.gpkg"
    chosen = sorted((f.GetGeometryRef().Area(), f.GetFID()) for f in vector(labels) if f["kind"] == "building")[-3:]
    where = f"fid IN ({', '.join(str(number) for _, number in chosen)})"
    gdal.VectorTranslate(str(path), str(labels), where=where, layerName="roofs")
    return path


def raster(path: str) -> tuple[np.ndarray, gdal.Dataset]:
    file = gdal.Open(path)
    assert file.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE") == "COG"
    assert Path(path + ".json").exists()
    return file.ReadAsArray(), file


def vector(path: str | Path) -> list[ogr.Feature]:
    """All features, alive after their file is closed."""
    file = ogr.Open(str(path))
    return [feature.Clone() for feature in file.GetLayer(0)]


def test_all_are_listed(qgis):
    listed = json.loads(qgis.call("--json", "list").stdout)["providers"]["skysense"]["algorithms"]
    assert set(listed) == {
        f"skysense:{name}"
        for name in ("embed", "segment_points", "segment_by_example", "detect_change", "train_segmentation", "apply_model")
    }


def test_embed(qgis, data, tmp_path):
    s2, s1 = data / "treesat_ts/S2_20190622.tif", data / "treesat_ts/S1ASC_20190501.tif"
    output = str(tmp_path / "features.tif")
    answer = qgis.run("embed", LAYERS=[str(s2), str(s1)], OUTPUT=output, PICTURE="TEMPORARY_OUTPUT", COMPONENTS=6)
    assert answer["results"]["OUTPUT"] == output and answer["results"]["PICTURE"].endswith(".tif")
    values, file = raster(output)
    source = gdal.Open(str(s2))
    assert values.shape[0] == 6 and np.isfinite(values).all() and values.std() > 0
    assert file.GetSpatialRef().IsSame(source.GetSpatialRef())
    assert file.GetGeoTransform()[0] == source.GetGeoTransform()[0]
    assert json.loads(file.GetMetadataItem("dates")) == ["2019-06-22", "2019-05-01"]
    assert any("Sentinel-1" in line for line in answer["log"]["info"])


def test_an_extent_without_crs_is_meant_in_that_of_the_layers(qgis, data, tmp_path):
    path = str(data / "naip_wetlands/NAIP_20090818.tif")
    x, dx, _, y, _, dy = gdal.Open(path).GetGeoTransform()
    extent = f"{x},{x + 100 * dx},{y + 80 * dy},{y}"
    output = str(tmp_path / "features.tif")
    qgis.run("embed", LAYERS=[path], EXTENT=extent, OUTPUT=output, COMPONENTS=3)
    a, da, _, d, _, dd = gdal.Open(output).GetGeoTransform()
    file = gdal.Open(output)
    assert (a, d) == pytest.approx((x, y), abs=abs(dx))
    assert file.RasterXSize * da == pytest.approx(100 * dx, rel=0.2)


def test_segment_points(qgis, data, houses, tmp_path):
    output = str(tmp_path / "houses.gpkg")
    image = str(data / "kampala/images/kampala_a.tif")
    answer = qgis.run("segment_points", LAYER=image, POINTS=str(houses), OBJECT_FIELD="house", OUTPUT=output)
    rows = {feature["house"]: feature for feature in vector(output)}
    assert len(rows) == answer["results"]["COUNT"] == len(vector(houses))
    for point in vector(houses):
        row = rows[point["house"]]
        assert row["object_id"] == point["house"] and row["source"] == "kampala_a" and row["area_m2"] > 0
        assert row.GetGeometryRef().IsValid() and row.GetGeometryRef().Contains(point.GetGeometryRef())


def test_segment_by_example(qgis, data, roofs, tmp_path):
    image = str(data / "kampala/images/kampala_a.tif")
    outputs = {name: str(tmp_path / file) for name, file in (("MASK", "m.tif"), ("POLYGONS", "p.geojson"), ("SCORE", "s.tif"))}
    answer = qgis.run("segment_by_example", LAYERS=[image], EXAMPLES=str(roofs), MINIMUM_AREA=4, **outputs)
    results = answer["results"]
    assert {name: results[name] for name in outputs} == outputs
    mask, file = raster(outputs["MASK"])
    score, _ = raster(outputs["SCORE"])
    assert set(np.unique(mask)) == {0, 1} and file.GetRasterBand(1).GetColorTable() is not None
    assert (score[mask == 1] > results["THRESHOLD_USED"]).all()
    assert (mask == 1).mean() == pytest.approx(results["FOUND_SHARE"], abs=1e-6)
    truth = gdal.Open(str(data / "kampala/masks/kampala_a.tif")).ReadAsArray() == 1
    assert ((mask == 1) & truth).sum() / ((mask == 1) | truth).sum() > 0.4
    assert all(row["area_m2"] >= 4 for row in vector(outputs["POLYGONS"]))
    assert any("not the one-shot procedure" in line for line in answer["log"]["info"])


def test_detect_change(qgis, data, tmp_path):
    before, after = data / "naip_wetlands/NAIP_20090818.tif", data / "naip_wetlands/NAIP_20200831.tif"
    outputs = {name: str(tmp_path / file) for name, file in (("SCORE", "s.tif"), ("MASK", "m.tif"), ("POLYGONS", "c.geojson"))}
    results = qgis.run("detect_change", BEFORE=[str(before)], AFTER=[str(after)], MINIMUM_AREA=500, **outputs)["results"]
    assert {name: results[name] for name in outputs} == outputs
    score, _ = raster(outputs["SCORE"])
    mask, _ = raster(outputs["MASK"])
    assert set(np.unique(mask)) <= {0, 1, 255}
    assert (mask[score <= results["THRESHOLD_USED"]] != 1).all()
    assert (mask == 1).sum() / (mask < 255).sum() == pytest.approx(results["CHANGED_SHARE"], abs=1e-6)
    for row in vector(outputs["POLYGONS"]):
        assert row["area_m2"] >= 500 and row["mean_score"] > results["THRESHOLD_USED"]
        assert (row["before_date"], row["after_date"]) == ("2009/08/18", "2020/08/31")


def test_train_and_apply(qgis, data, labels, tmp_path):
    image, model = str(data / "kampala/images/kampala_a.tif"), str(tmp_path / "roofs.safetensors")
    trained = qgis.run("train_segmentation", LAYERS=[image], LABELS=str(labels), CLASS_FIELD="kind", STEPS=25, MODEL=model)
    assert trained["results"]["MODEL"] == model and 0 < trained["results"]["MEAN_IOU"] <= 1
    output, confidence = str(tmp_path / "classes.tif"), str(tmp_path / "sure.tif")
    answer = qgis.run("apply_model", LAYERS=[image], MODEL=model, OUTPUT=output, CONFIDENCE=confidence)
    classes, file = raster(output)
    sure, _ = raster(confidence)
    source = gdal.Open(image)
    assert classes.shape == (source.RasterYSize, source.RasterXSize) and file.GetRasterBand(1).GetColorTable() is not None
    assert file.GetGeoTransform() == pytest.approx(source.GetGeoTransform())
    assert set(np.unique(classes)) <= {0, 1, 2} and (sure[classes > 0] <= 100).all()
    named = [line for line in answer["log"]["info"] if line.endswith("%")]
    assert {line.split(":")[0] for line in named} == {"building", "ground"}


def test_a_failure_is_a_sentence_and_a_remedy(qgis, data, tmp_path):
    said = qgis.fail("detect_change", BEFORE=[str(data / "kampala/images/kampala_a.tif")],
                     AFTER=[str(data / "naip_wetlands/NAIP_20200831.tif")], SCORE=str(tmp_path / "s.tif"))  # fmt: skip
    assert "date" in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_without_an_engine_they_are_listed_and_say_what_to_do(qgis, data, tmp_path):
    bare = tmp_path / "profile"
    shutil.copytree(qgis.folder / "config", bare / "config", symlinks=True)
    plugin = bare / "config/profiles/default/python/plugins" / PLUGIN
    (plugin / "backend").unlink()  # no clone around it, as after installing the zip
    shutil.copytree(REPOSITORY / "backend/skysense/protocol", plugin / "backend/skysense/protocol")
    environment = {"QGIS_CUSTOM_CONFIG_PATH": str(bare / "config"), "XDG_CACHE_HOME": str(bare / "cache")}
    listed = qgis.call("--json", "list", **environment)
    assert "skysense:embed" in listed.stdout
    inputs = {"LAYERS": [str(data / "treesat_ts/S2_20190622.tif")], "OUTPUT": str(tmp_path / "f.tif")}
    done = qgis.call("--json", "run", "skysense:embed", "-", text=json.dumps({"inputs": inputs}), **environment)
    assert done.returncode != 0 and re.search("not set up yet", done.stderr + done.stdout)


# -- the shell makes the same requests -------------------------------------------------------------------------------
SHOW = """
import json, sys
from skysense import cli
from skysense.protocol.records import to_plain
load = cli.table.load

def shown(request, report):
    print(json.dumps(to_plain(request)))
    raise SystemExit(0)

cli.table.load = lambda kind: load(kind) if kind is cli.r.DescribeRaster else shown
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
