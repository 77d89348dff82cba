"""QGIS's event loop stays free during every job: a timer of 10 ms, beside a control run of an idle QGIS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).resolve().parents[1] / "data"
P99_S, MOST_S = 0.100, 0.250


@dataclass
class Gaps:
    """Between two ticks of a timer of 10 ms."""

    seconds: np.ndarray

    def __str__(self) -> str:
        return f"p99 {1e3 * self.p99:.0f} ms, max {1e3 * self.seconds.max():.0f} ms, {len(self.seconds)} ticks"

    @property
    def p99(self) -> float:
        return float(np.percentile(self.seconds, 99))


def measure(begin: Callable[[Callable[[], None]], None]) -> Gaps:
    """The gaps while an event loop runs until what `begin` started calls back."""
    from qgis.PyQt.QtCore import QEventLoop, Qt, QTimer

    loop, ticks = QEventLoop(), [time.monotonic()]
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start(10)
    QTimer.singleShot(120_000, loop.quit)
    QTimer.singleShot(0, lambda: begin(loop.quit))
    loop.exec()
    timer.stop()
    return Gaps(np.diff(ticks))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("loop")


@pytest.fixture(scope="module")
def engine(qgis_app, folder):
    from skysense_qgis.client import client as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "cache_folder", lambda: folder / "cache")
        engine = module.Engine()
        yield engine
        engine.close()


@pytest.fixture(scope="module")
def labels(folder) -> str:
    """Buildings and ground of the drone image, from its mask."""
    from osgeo import gdal, ogr, osr

    mask = gdal.Open(str(DATA / "kampala/masks/kampala_a.tif"))
    path = str(folder / "labels.gpkg")
    file = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    layer = file.CreateLayer("labels", osr.SpatialReference(mask.GetProjection()), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("value", ogr.OFTInteger))
    gdal.Polygonize(mask.GetRasterBand(1), None, layer, 0)
    layer = file = None
    return path


def requests(folder: Path, labels: str) -> dict[str, object]:
    """Every job on the imagery of tests/data; the model that is applied was trained just before."""
    from osgeo import gdal

    from skysense_qgis.protocol import requests as r
    from skysense_qgis.protocol.scene_source import (
        AcquisitionSource,
        BandIndex,
        Extent,
        Scaling,
        SceneSource,
        ViewSource,
    )

    def scene(name: str, bands: str, date: str) -> SceneSource:
        mapping = tuple(BandIndex(band, index) for index, band in enumerate(bands, 1))
        return SceneSource((AcquisitionSource(str(DATA / name), "hr", mapping, Scaling(1 / 255), date),))

    drone_path = str(DATA / "kampala/images/kampala_a.tif")
    drone = scene("kampala/images/kampala_a.tif", "RGB", "2020-01-01")
    image = gdal.Open(drone_path)
    x, dx, _, y, _, dy = image.GetGeoTransform()
    width, height = image.RasterXSize, image.RasterYSize
    extent = Extent("", x, y + dy * height, x + dx * width, y)
    points = folder / "points.geojson"
    places = [(x + dx * width * (i + 1) / 12, y + dy * height / 2) for i in range(10)]
    features = [{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": place}} for place in places]
    code = image.GetSpatialRef().GetAuthorityCode(None)
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}
    points.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    model = str(folder / "model.safetensors")
    return {
        "describe": r.DescribeRaster(drone_path),
        "open view": r.OpenView(ViewSource(extent, 900, 900, path=drone_path), str(folder / "mask")),
        "embed": r.EmbedScene(drone, str(folder / "features.tif"), str(folder / "picture.tif")),
        "segment points": r.SegmentPoints(drone_path, str(points), None, str(folder / "objects.gpkg")),
        "detect change": r.DetectChange(
            scene("naip_wetlands/NAIP_20090818.tif", "RGBN", "2009-08-18"),
            scene("naip_wetlands/NAIP_20200831.tif", "RGBN", "2020-08-31"),
            str(folder / "score.tif"), str(folder / "mask.tif"), str(folder / "changed.gpkg"),
        ),
        "train": r.TrainSegmentation(drone, labels, None, "value", model, "buildings", steps=60),
        "apply": r.ApplyModel(drone, model, str(folder / "classes.tif"), str(folder / "confidence.tif")),
    }  # fmt: skip


def test_during_every_job(engine, folder, labels):
    from qgis.PyQt.QtCore import QTimer

    from skysense_qgis.protocol.messages import Failure

    def idle(seconds: float) -> Gaps:
        return measure(lambda over: QTimer.singleShot(round(1000 * seconds), over))

    print(f"\n{'idle':<16}{idle(2.0)}")
    slow, failed = [], []
    for name, request in requests(folder, labels).items():
        answers: list = []

        def begin(over, request=request, answers=answers) -> None:
            handle = engine.submit(request)
            handle.done.connect(answers.append)
            handle.failed.connect(answers.append)
            handle.finished.connect(over)

        gaps = measure(begin)
        print(f"{name:<16}{gaps}")
        if not answers or isinstance(answers[0], Failure):
            failed.append((name, answers))
        if gaps.p99 >= P99_S or gaps.seconds.max() >= MOST_S:
            slow.append(f"{name}: {gaps}")
    control = idle(2.0)
    print(f"{'idle':<16}{control}")
    assert not failed
    assert not slow, f"{slow}; idle: {control}"
