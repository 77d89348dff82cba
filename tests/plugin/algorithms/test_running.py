"""Algorithms at work in QGIS: on the main thread, in the background, loaded into the project, stopped, failing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from gaps import idle, measure
from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsApplication,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProcessingAlgRunnerTask,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor, QImage

from skysense_qgis.protocol.requests import EmbedScene
from skysense_qgis.protocol.scene_source import AcquisitionSource, BandIndex, Scaling, SceneSource

S2 = "treesat_ts/S2_20190622.tif"
DRONE = "kampala/images/kampala_a.tif"
BEFORE, AFTER = "naip_wetlands/NAIP_20090818.tif", "naip_wetlands/NAIP_20200831.tif"


@pytest.fixture
def run(provider, feedback):
    import processing

    def run(name: str, **parameters: object) -> dict:
        return processing.run(f"skysense:{name}", parameters, feedback=feedback)

    return run


def start(name: str, parameters: dict, context, feedback):
    """In the background, as the toolbox does it."""
    algorithm = QgsApplication.processingRegistry().algorithmById(f"skysense:{name}")
    task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
    ends: list[tuple[bool, dict]] = []
    task.executed.connect(lambda fine, results: ends.append((fine, results)))
    QgsApplication.taskManager().addTask(task)
    return task, ends


def state(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_temporary_outputs(run, data, feedback):
    results = run("embed", LAYERS=[data(S2)], OUTPUT="TEMPORARY_OUTPUT", PICTURE="TEMPORARY_OUTPUT", COMPONENTS=4)
    assert gdal.Open(results["OUTPUT"]).RasterCount == 4 and gdal.Open(results["PICTURE"]).RasterCount == 3
    assert any("4 components keep" in said for said in feedback.infos)


def test_the_event_loop_stays_free_while_one_works_in_the_background(provider, context, feedback, data, tmp_path):
    output = str(tmp_path / "größe 文 features.tif")
    started: list = []

    def begin(over) -> None:
        started.append(start("embed", {"LAYERS": [data(S2)], "OUTPUT": output}, context, feedback))
        started[0][0].executed.connect(over)

    gaps, control = measure(begin), idle()
    fine, results = started[0][1][0]
    assert fine and results["OUTPUT"] == output and gdal.Open(output).RasterCount == 16
    assert gaps.free, f"{gaps}; idle: {control}"


def test_a_layer_without_a_file_is_drawn_in_the_background(provider, context, feedback, data, tmp_path, wait):
    """Tiles in a folder, as XYZ layers on a server are read: QGIS fetches and draws them off the main thread."""
    image = QImage(256, 256, QImage.Format.Format_RGB32)
    image.fill(QColor("#336699"))
    (tmp_path / "0/0").mkdir(parents=True)
    assert image.save(str(tmp_path / "0/0/0.png"))
    url = f"type=xyz&url=file://{tmp_path}/%7Bz%7D/%7Bx%7D/%7By%7D.png&zmin=0&zmax=0"
    tiles = QgsRasterLayer(url, "tiles", "wms")
    QgsProject.instance().addMapLayer(tiles)
    output = str(tmp_path / "f.tif")
    parameters = {
        "LAYERS": [data(BEFORE), tiles.id()], "LAYERS_DATES": "-,2012-05-01", "OUTPUT": output, "COMPONENTS": 3,
        "EXTENT": "487000,487800,5207200,5208000 [EPSG:26914]",
    }  # fmt: skip
    task, ends = start("embed", parameters, context, feedback)
    assert wait(lambda: ends, 60)[0][0], feedback.infos
    file = gdal.Open(output)
    assert json.loads(file.GetMetadataItem("dates")) == ["2009-08-18", "2012-05-01"]
    drawn = gdal.Open(json.loads(file.GetMetadataItem("inputs"))[1])
    assert (drawn.RasterXSize, drawn.RasterYSize) == (160, 160)
    assert [drawn.GetRasterBand(band).ReadAsArray()[80, 80] for band in (1, 2, 3)] == [0x33, 0x66, 0x99]


def test_one_that_waits_for_another_job_says_so_once(provider, engine, context, feedback, data, tmp_path, wait):
    """Also where a short question, what the layer is, comes first."""
    name = str(tmp_path / "large.tif")
    gdal.Translate(name, data("kampala/images/kampala_a.tif"), width=2048, height=2048)
    bands = tuple(BandIndex(band, index) for index, band in enumerate("RGB", 1))
    scene = SceneSource((AcquisitionSource(name, "hr", bands, Scaling(1 / 255), "2020-01-01"),))
    other = engine.jobs.submit(EmbedScene(scene, str(tmp_path / "other.tif"), None, tile_px=256))
    stages: list[str] = []
    other.progressed.connect(lambda progress: stages.append(progress.stage))
    wait(lambda: "Sampling tiles" in stages)
    _, ends = start("embed", {"LAYERS": [data(S2)], "OUTPUT": str(tmp_path / "f.tif"), "COMPONENTS": 3}, context, feedback)
    wait(lambda: "Waiting for another job" in feedback.infos, 5)
    assert not ends
    other.cancel()
    assert wait(lambda: ends, 60)[0][0]
    assert feedback.infos.count("Waiting for another job") == 1
    assert feedback.infos.index("Waiting for another job") < feedback.infos.index("Starting")


def test_a_cancel_reaches_the_engine_and_leaves_no_file(provider, context, feedback, data, tmp_path, wait):
    outputs = {"SCORE": str(tmp_path / "score.tif"), "MASK": str(tmp_path / "mask.tif"), "POLYGONS": str(tmp_path / "c.gpkg")}
    parameters = {"BEFORE": [data(BEFORE)], "AFTER": [data(AFTER)], **outputs}
    before = state(tmp_path)
    task, ends = start("detect_change", parameters, context, feedback)
    wait(lambda: any("Comparing" in said for said in feedback.infos), 60)
    asked = time.monotonic()
    task.cancel()
    assert wait(lambda: ends, 10)[0][0] is False
    assert time.monotonic() - asked < 2.0
    assert state(tmp_path) == before


JOBS = ("embed", "segment_points", "detect_change", "train_segmentation", "apply_model")


@pytest.fixture
def with_layers(data, points, labels, tmp_path, run, qgis_new_project):
    """Parameters of each algorithm whose inputs are layers of the project, some of them without a file."""

    def make(name: str) -> dict[str, object]:
        project = QgsProject.instance()
        images = {key: QgsRasterLayer(data(path), key) for key, path in (("before", BEFORE), ("after", AFTER), ("drone", DRONE))}
        polygons = QgsVectorLayer(labels, "labels", "ogr").materialize(QgsFeatureRequest())
        area = QgsVectorLayer(f"Polygon?crs={images['before'].crs().authid()}", "area", "memory")
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromRect(images["before"].extent()))
        area.dataProvider().addFeatures([feature])
        model = str(tmp_path / "model.safetensors")
        if name == "apply_model":
            run("train_segmentation", LAYERS=[data(DRONE)], LABELS=labels, CLASS_FIELD="kind", STEPS=2, MODEL=model)
        project.addMapLayers([*images.values(), polygons, area, points])
        before, after, drone = (images[key].id() for key in ("before", "after", "drone"))
        return {
            "embed": {"LAYERS": [before], "AREA": area.id(), "OUTPUT": str(tmp_path / "f.tif")},
            "segment_points": {"LAYER": drone, "POINTS": points.id(), "OUTPUT": str(tmp_path / "o.geojson")},
            "detect_change": {"BEFORE": [before], "AFTER": [after], "AREA": area.id(), "SCORE": str(tmp_path / "s.tif"),
                              "POLYGONS": str(tmp_path / "c.shp")},
            "train_segmentation": {"LAYERS": [drone], "LABELS": polygons.id(), "CLASS_FIELD": "kind", "STEPS": 2, "MODEL": model},
            "apply_model": {"LAYERS": [drone], "MODEL": model, "OUTPUT": str(tmp_path / "k.tif")},
        }[name]  # fmt: skip

    return make


@pytest.mark.parametrize("when", ["before it works", "at its first progress"])
@pytest.mark.parametrize("name", JOBS)
def test_layers_that_are_removed_meanwhile_do_no_harm(with_layers, name, when, context, feedback, wait):
    parameters = with_layers(name)
    algorithm = QgsApplication.processingRegistry().algorithmById(f"skysense:{name}")
    task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
    ends: list[tuple[bool, dict]] = []
    task.executed.connect(lambda fine, results: ends.append((fine, results)))
    if when == "before it works":
        QgsProject.instance().removeAllMapLayers()
    QgsApplication.taskManager().addTask(task)
    wait(lambda: feedback.progress() > 0 or ends)
    QgsProject.instance().removeAllMapLayers()
    fine, results = wait(lambda: ends, 120)[0]
    assert fine, feedback.infos
    outputs = [key for key in ("OUTPUT", "SCORE", "POLYGONS", "MODEL") if key in parameters and (name, key) != ("apply_model", "MODEL")]
    assert outputs and all(results[key] == parameters[key] and Path(results[key]).is_file() for key in outputs)


def test_many_labels_do_not_hold_up_qgis_before_the_work_begins(provider, context, feedback, data):
    """They are saved for the engine later, off the main thread."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:32636&field=kind:string", "labels", "memory")
    square = QgsGeometry.fromRect(QgsRectangle(0, 0, 1, 1))
    features = []
    for _ in range(30_000):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(square)
        feature.setAttributes(["roof"])
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(layer)
    parameters = {
        "LAYERS": [data("kampala/images/kampala_a.tif")], "LABELS": layer.id(), "CLASS_FIELD": "kind", "MODEL": "/tmp/m.safetensors"
    }  # fmt: skip
    algorithm = provider.algorithm("train_segmentation").create()
    asked = time.monotonic()
    assert algorithm.prepare(parameters, context, feedback)
    assert time.monotonic() - asked < 0.1
    path = algorithm.request(parameters, context, feedback).labels_path
    assert QgsVectorLayer(path, "saved", "ogr").featureCount() == 30_000


def test_a_failure_is_a_sentence_with_a_remedy_and_no_traceback(run, data, tmp_path):
    path = tmp_path / "bitten.tif"
    gdal.Translate(str(path), data("treesat_ts/HR_20190701.tif"), format="COG")  # its header comes first
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(QgsProcessingException) as caught:
        run("embed", LAYERS=[str(path)], OUTPUT=str(tmp_path / "f.tif"))
    assert "bitten" in str(caught.value) and "Traceback" not in str(caught.value)
    with pytest.raises(QgsProcessingException, match="one of the inputs.*Choose another name"):
        run("embed", LAYERS=[data(S2)], OUTPUT=data(S2))
    with pytest.raises(QgsProcessingException, match="date"):
        run("detect_change", BEFORE=[data("kampala/images/kampala_a.tif")], AFTER=[data(AFTER)], SCORE=str(tmp_path / "s.tif"))


def test_results_are_loaded_styled_and_grouped(provider, context, data, qgis_new_project):
    import processing

    project = QgsProject.instance()
    originals = [QgsRasterLayer(data(BEFORE), "2009"), QgsRasterLayer(data(AFTER), "2020")]
    project.addMapLayers(originals)
    parameters = {
        "BEFORE": [originals[0].id()], "AFTER": [originals[1].id()],
        "SCORE": "TEMPORARY_OUTPUT", "MASK": "TEMPORARY_OUTPUT", "POLYGONS": "TEMPORARY_OUTPUT",
    }  # fmt: skip
    processing.runAndLoadResults("skysense:detect_change", parameters, context=context)
    group = project.layerTreeRoot().findGroup("Change 2009-08-18 to 2020-08-31")
    assert [child.name() for child in group.children()] == ["Changed areas", "Changed pixels", "Change score", "After", "Before"]
    assert [child.itemVisibilityChecked() for child in group.children()] == [True, False, False, True, False]
    assert [node.layer().name() for node in group.findGroup("Before").findLayers()] == ["2009"]
    score = project.mapLayersByName("Change score")[0]
    assert score.temporalProperties().isActive() and "threshold" in score.metadata().abstract()
    changes = project.mapLayersByName("Changed areas")[0]
    assert {"before_date", "after_date", "area_m2", "mean_score"} <= set(changes.fields().names())
    assert changes.renderer().symbol().symbolLayer(0).strokeColor().name() == "#f28f1c"


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_points_keep_their_attributes(run, data, points, tmp_path, feedback, suffix, qgis_new_project):
    QgsProject.instance().addMapLayer(points)
    output = str(tmp_path / f"houses.{suffix}")
    results = run(
        "segment_points", LAYER=data("kampala/images/kampala_a.tif"), POINTS=points.id(), OBJECT_FIELD="house",
        POSITIVE_FIELD="for", CLASS_FIELD="owner", OUTPUT=output,
    )  # fmt: skip
    assert (results["OUTPUT"], results["COUNT"]) == (output, 1)
    layer = QgsVectorLayer(output, "houses", "ogr")
    (house,) = layer.getFeatures()
    assert (house["object_id"], house["owner"], house["class"], house["clicks"]) == (4, "Ada", "Ada", 2)
    assert house["source"] == "kampala_a" and house["area_m2"] > 1
    assert layer.crs() == points.crs() and house.geometry().contains(next(points.getFeatures()).geometry())
    assert layer.geometryType() == Qgis.GeometryType.Polygon
    assert any("No polygon for 1 objects (9)" in said for said in feedback.warnings)


@pytest.fixture
def roofs(labels) -> QgsVectorLayer:
    """Three of the buildings as examples, selected."""
    layer = QgsVectorLayer(labels, "roofs", "ogr")
    QgsProject.instance().addMapLayer(layer)
    roofs = sorted((f.geometry().area(), f.id()) for f in layer.getFeatures() if f["kind"] == "building")
    layer.selectByIds([number for _, number in roofs[-3:]])
    return layer


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_more_like_the_examples(run, data, roofs, tmp_path, feedback, suffix):
    chosen = QgsProcessingFeatureSourceDefinition(roofs.id(), selectedFeaturesOnly=True)
    polygons = str(tmp_path / f"found.{suffix}")
    results = run("segment_by_example", LAYERS=[data(DRONE)], EXAMPLES=chosen, MINIMUM_AREA=4, MASK=str(tmp_path / "m.tif"),
                  POLYGONS=polygons, SCORE="TEMPORARY_OUTPUT")  # fmt: skip
    mask, score = (gdal.Open(results[name]).ReadAsArray() for name in ("MASK", "SCORE"))
    assert results["POLYGONS"] == polygons and set(np.unique(mask)) == {0, 1}
    assert (score[mask == 1] > results["THRESHOLD_USED"]).all()
    assert results["FOUND_SHARE"] == pytest.approx((mask == 1).mean())
    assert all(f["area_m2"] >= 4 for f in QgsVectorLayer(polygons, "found", "ogr").getFeatures())
    assert any("not the one-shot procedure" in said for said in feedback.infos)


def test_what_was_found_is_loaded_styled_and_grouped(provider, context, data, roofs):
    import processing

    project, image = QgsProject.instance(), QgsRasterLayer(data(DRONE), "drone")
    project.addMapLayer(image)
    parameters = {
        "LAYERS": [image.id()], "LAYERS_DATES": "2020-02-29",
        "EXAMPLES": QgsProcessingFeatureSourceDefinition(roofs.id(), selectedFeaturesOnly=True),
        "MASK": "TEMPORARY_OUTPUT", "POLYGONS": "TEMPORARY_OUTPUT", "SCORE": "TEMPORARY_OUTPUT",
    }  # fmt: skip
    processing.runAndLoadResults("skysense:segment_by_example", parameters, context=context)
    group = project.layerTreeRoot().findGroup("Like the examples in drone")
    assert [child.name() for child in group.children()] == ["Found areas", "Found pixels", "Likeness"]
    assert [child.itemVisibilityChecked() for child in group.children()] == [True, False, False]
    mask = project.mapLayersByName("Found pixels")[0]
    assert mask.temporalProperties().isActive() and "one-shot" in mask.metadata().abstract()
    assert mask.renderer().classes()[0].color.name() == "#2f7ed8"


def test_training_and_applying(run, data, labels, tmp_path, feedback):
    image = data("kampala/images/kampala_a.tif")
    model = str(tmp_path / "houses.safetensors")
    trained = run("train_segmentation", LAYERS=[image], LABELS=labels, CLASS_FIELD="kind", STEPS=20, BATCH=2, MODEL=model)
    assert trained["MODEL"] == model and 0.0 <= trained["MEAN_IOU"] <= 1.0
    applied = run("apply_model", LAYERS=[image], MODEL=model, OUTPUT=str(tmp_path / "c.tif"), CONFIDENCE="TEMPORARY_OUTPUT")
    classes = gdal.Open(applied["OUTPUT"]).ReadAsArray()
    confidence = gdal.Open(applied["CONFIDENCE"]).ReadAsArray()
    assert set(np.unique(classes)) <= {0, 1, 2} and confidence[confidence < 255].max() <= 100
    assert any(said.startswith("building: ") for said in feedback.infos)
