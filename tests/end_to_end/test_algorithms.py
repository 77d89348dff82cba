"""All algorithms through the real qgis_process and the real engine, installed as `make install` does it."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from installed import PLUGIN, REPOSITORY, need_qgis_process, raster, vector
from osgeo import gdal

need_qgis_process()


def test_all_are_listed(qgis):
    listed = json.loads(qgis.call("--json", "list").stdout)["providers"]["skysense"]["algorithms"]
    assert set(listed) == {
        f"skysense:{name}"
        for name in (
            "embed", "segment_points", "segment_by_example", "detect_change", "train_segmentation", "apply_model", "shards",
            "pretrain",
        )
    }  # fmt: skip


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
