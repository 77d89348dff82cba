"""Scenes and folders -> shards: the same ground for all sensors, nothing from outside, the same bytes however often stopped."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

from skysense.errors import Cancelled, GridError, LabelError, OutputError, RasterError, RequestError
from skysense.jobs import make_shards
from skysense.jobs.report import SilentReport
from skysense.protocol.requests import MakeShards, ShardsMade
from skysense.protocol.scene_source import AcquisitionSource, BandIndex, Extent, Scaling, SceneSource
from skysense.training.shards import ShardSet

WEST, NORTH, CRS = 600_000, 5_600_000, "EPSG:32631"
GROUND_M = 800


def ramp(gsd: float) -> np.ndarray:
    """(2, n, n) how far east and how far south of the corner a pixel's middle lies, 0..1 over the ground."""
    middles = (np.arange(round(GROUND_M / gsd)) + 0.5) * gsd / GROUND_M
    return np.stack(np.broadcast_arrays(middles[None], middles[:, None]))


def raster(path: Path, values: np.ndarray, gsd: float, **more: object) -> str:
    values = values if values.ndim == 3 else values[None]
    count, height, width = values.shape
    profile = {"crs": CRS, "transform": from_origin(WEST, NORTH, gsd, gsd), **more}
    descriptions = profile.pop("descriptions", [None] * count)
    with rasterio.open(path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **profile) as file:
        file.write(values)
        file.descriptions = descriptions
    return str(path)


def source(path: str, sensor: str, bands: str, scaling: Scaling, date: str | None) -> AcquisitionSource:
    names = bands.split()
    return AcquisitionSource(path, sensor, tuple(BandIndex(name, i + 1) for i, name in enumerate(names)), scaling, date)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SceneSource:
    """2 m pictures of two days, the second of the west alone; three dates of 10 m; radar of 20 m in degrees.

    Band 1 shows how far east, band 2 how far south, radar as -20..-10 dB.
    """
    folder = tmp_path_factory.mktemp("scene")
    acquisitions = []
    for date, gap in (("2020-06-01", 0), ("2021-07-02", 250)):
        values = np.round(1 + ramp(2) * 254).astype(np.uint8)
        values[:, :, 400 - gap :] = 0
        path = raster(folder / f"hr{date}.tif", values, 2)
        acquisitions.append(source(path, "hr", "R G", Scaling(1 / 255), date))
    for date in ("2020-02-01", "2020-05-31", "2020-12-31"):
        path = raster(folder / f"s2{date}.tif", np.round(ramp(10) * 10_000).astype(np.uint16), 10)
        acquisitions.append(source(path, "s2", "B4 B3", Scaling(1e-4), date))
    bounds = transform_bounds(CRS, "EPSG:4326", WEST - 500, NORTH - GROUND_M - 500, WEST + GROUND_M + 500, NORTH + 500)
    step = 20 / 111_000
    columns, rows = (round((bounds[i + 2] - bounds[i]) / step) for i in (0, 1))
    lon = bounds[0] + (np.arange(columns) + 0.5) * step
    lat = bounds[3] - (np.arange(rows) + 0.5) * step
    xs, ys = rasterio.warp.transform("EPSG:4326", CRS, *(grid.ravel() for grid in np.meshgrid(lon, lat)))
    east, south = (np.array(xs) - WEST) / GROUND_M, (NORTH - np.array(ys)) / GROUND_M
    radar = np.stack([east, south]).reshape(2, rows, columns).astype(np.float32) * 10 - 20
    more = {"crs": "EPSG:4326", "transform": from_origin(bounds[0], bounds[3], step, step)}
    path = raster(folder / "s1.tif", radar, 0, **more)
    return SceneSource((*acquisitions, source(path, "s1", "VV VH", Scaling(), None)))


def make(scene: SceneSource | None, folder: Path, **more: object) -> tuple[ShardsMade, ShardSet]:
    request = MakeShards(scene, str(folder), **{"window_px": 100, **more})
    return make_shards.run(request, SilentReport()), ShardSet([folder], verify=True)


def blocks(values: np.ndarray, cells: int) -> np.ndarray:
    """Means of a picture (..., n, n) over cells x cells blocks."""
    side = values.shape[-1] // cells
    return values.reshape(*values.shape[:-2], cells, side, cells, side).mean(axis=(-3, -1))


# -- scenes ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("extent", [None, Extent(CRS, WEST + 33, NORTH - 790, WEST + 777, NORTH - 47)])
def test_all_sensors_of_a_sample_show_the_same_ground(scene: SceneSource, extent: Extent | None, tmp_path: Path) -> None:
    made, shards = make(replace(scene, extent=extent), tmp_path)
    assert made.samples == len(shards) > 12 and made.sensors == ("hr", "s2", "s1")
    inner = (..., slice(1, -1), slice(1, -1))
    for sample in (shards[i] for i in range(len(shards))):
        arrays = {name: array.astype(np.float64) for name, array in sample.arrays.items()}
        seen = arrays["hr_valid"].all() and arrays["s2_valid"].all()
        assert arrays["hr"].shape == (4, 100, 100) and arrays["s2"].shape[2:] == (20, 20)
        assert arrays["s1"].shape[2:] == (10, 10) and sample.gsd_m == pytest.approx(2, rel=1e-3)
        if seen:
            optical = arrays["s2"][0, [2, 1]]
            np.testing.assert_allclose(blocks(arrays["hr"][:2], 20), optical, atol=0.008)
            radar = (arrays["s1"][0] + 20) / 10
            np.testing.assert_allclose(blocks(arrays["hr"][:2], 10)[inner], radar[inner], atol=0.01)
        assert sample.bands["hr"].tolist() == [True, True, False, False] and sample.bands["s2"].sum() == 2
        assert sample.days["s2"].tolist() == [32, 152, 366] and sample.days["s1"].tolist() == [0]
        assert sample.lonlat is not None and 4 < sample.lonlat[0] < 5 and 50 < sample.lonlat[1] < 51


def test_each_picture_gives_samples_and_empty_windows_none(scene: SceneSource, tmp_path: Path) -> None:
    made, shards = make(scene, tmp_path)
    days = [shards[i].days["hr"][0] for i in range(len(shards))]
    assert days.count(153) == 16 and days.count(183) == 8  # the second day has data on 150 of 400 columns
    assert made.left_out == 8 and shards.facts(0)["window"] == [0, 0, 100, 100]
    assert {shards.place(i) for i in range(len(shards))} == {f"{Path(scene.acquisitions[0].path).parent.name}/hr2020-06-01"}


def test_ground_outside_the_polygon_is_not_in_the_shards(scene: SceneSource, tmp_path: Path) -> None:
    left = f"POLYGON(({WEST} {NORTH}, {WEST + 300} {NORTH}, {WEST + 300} {NORTH - 800}, {WEST} {NORTH - 800}, {WEST} {NORTH}))"
    extent = Extent(CRS, WEST, NORTH - GROUND_M, WEST + GROUND_M, NORTH, left)
    _, shards = make(replace(scene, extent=extent), tmp_path, least_data=0.4)
    for i in range(len(shards)):
        arrays = shards[i].arrays
        assert arrays["hr"][0].max() <= 300 / 800 + 0.01 and arrays["s2"][:, 2].max() <= 300 / 800 + 0.01
        assert not arrays["hr"][:, ~arrays["hr_valid"]].any()
    assert any(not shards[i].arrays["hr_valid"].all() for i in range(len(shards)))


def test_series_alone_take_smaller_windows(scene: SceneSource, tmp_path: Path) -> None:
    series = replace(scene, acquisitions=scene.acquisitions[2:5])
    made, shards = make(series, tmp_path, window_px=0)
    assert shards.kind(0) == (("s2",), ((32, 32),)) and made.samples == 8 and made.left_out == 1  # of 80 px a side
    series = replace(series, extent=Extent(CRS, WEST, NORTH - 200, WEST + 200, NORTH))
    assert make(series, tmp_path / "small", window_px=0)[1].kind(0) == (("s2",), ((20, 20),))


def test_polygons_become_labels(scene: SceneSource, tmp_path: Path) -> None:
    squares = [shapely.box(WEST, NORTH - 60, WEST + 40, NORTH), shapely.box(WEST + 100, NORTH - 40, WEST + 120, NORTH)]
    path = tmp_path / "classes.gpkg"
    names = np.array(["roof", "water"], dtype=object)
    pyogrio.raw.write(path, shapely.to_wkb(squares), [names], ["kind"], driver="GPKG", geometry_type="Polygon", crs=CRS)
    made, shards = make(scene, tmp_path / "out", labels_path=str(path), class_field="kind")
    assert shards.labels == ("roof", "water")
    labels = shards[0].labels
    assert labels is not None and (labels[:30, :20] == 0).all() and (labels[:20, 50:60] == 1).all()
    assert (labels == 0).sum() == 600 and (labels == 1).sum() == 200 and (labels == 255).sum() == 9200
    assert shards[len(shards) - 1].labels is None


def test_what_cannot_be_cut_is_said(scene: SceneSource, tmp_path: Path) -> None:
    for wrong, more in (
        (RequestError, {"window_px": 3}),
        (RequestError, {"least_data": 0.0}),
        (RequestError, {"labels_path": "x.gpkg"}),
        (RequestError, {"folders": (str(tmp_path / "none"),)}),
    ):
        with pytest.raises(wrong):
            make(scene if "folders" not in more else None, tmp_path / "out", **more)
    with pytest.raises(RequestError, match="None of the 1 windows"):
        make(replace(scene, acquisitions=scene.acquisitions[1:2]), tmp_path / "out", window_px=400)
    with pytest.raises(RequestError, match="nothing to cut"):
        make(None, tmp_path / "out")
    with pytest.raises(RequestError, match="No images"):
        make(None, tmp_path / "out", folders=(str(tmp_path),))
    coarse = raster(tmp_path / "coarse.tif", np.ones((1, 2, 2), np.uint16), 400)
    far = replace(scene, acquisitions=(scene.acquisitions[0], source(coarse, "s2", "B4", Scaling(), None)))
    with pytest.raises(GridError, match="whole pixels"):
        make(far, tmp_path / "out", window_px=10)


def test_values_in_other_units_are_refused(scene: SceneSource, tmp_path: Path) -> None:
    """Amplitudes as integers, taken for power; integers of reflectance, taken as they are."""
    for index, scaling, named in ((5, Scaling(1, 60), "Sentinel-1 at .* lie around 41"), (2, Scaling(), "Sentinel-2 at")):
        acquisitions = list(scene.acquisitions)
        acquisitions[index] = replace(acquisitions[index], scaling=scaling)
        alone = replace(scene, acquisitions=(acquisitions[0], acquisitions[index]))
        with pytest.raises(RasterError, match=named):
            make(alone, tmp_path)
        assert not list(tmp_path.iterdir())


# -- stopping and going on -------------------------------------------------------------------------------------------
class Slow(SilentReport):
    def progress(self, *what: object, **more: object) -> None:
        time.sleep(0.02)
        super().progress(*what, **more)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_or_cancelled_run_goes_on_and_gives_the_same_files(scene: SceneSource, tmp_path: Path) -> None:
    request = MakeShards(scene, str(tmp_path / "whole"), window_px=100, shard_bytes=400_000)
    whole = make_shards.run(request, SilentReport())
    assert whole.shards > 3
    request = replace(request, output_folder=str(tmp_path / "killed"))
    process = multiprocessing.get_context("fork").Process(target=make_shards.run, args=(request, Slow()))
    process.start()
    deadline = time.monotonic() + 20
    while not (tmp_path / "killed/shard-000001.tar.part").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.join()
    left = set(os.listdir(tmp_path / "killed"))
    assert {"making.json", "shard-000000.tar", "shard-000001.tar.part"} <= left and "manifest.json" not in left
    first = (tmp_path / "killed/shard-000000.tar").stat()
    made = make_shards.run(request, SilentReport())
    assert (tmp_path / "killed/shard-000000.tar").stat().st_mtime_ns == first.st_mtime_ns  # not written again
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert replace(made, seconds=0, folder="") == replace(whole, seconds=0, folder="")

    request = replace(request, output_folder=str(tmp_path / "cancelled"))
    for limit in (18, 22):
        with pytest.raises(Cancelled):
            make_shards.run(request, SilentReport(limit))
        assert not list((tmp_path / "cancelled").glob("*.part"))
    make_shards.run(request, SilentReport())
    assert contents(tmp_path / "cancelled") == contents(tmp_path / "whole")


def test_a_finished_folder_is_not_made_again_nor_mixed(scene: SceneSource, tmp_path: Path) -> None:
    made, _ = make(scene, tmp_path)
    before = contents(tmp_path)
    again, _ = make(scene, tmp_path)
    assert replace(again, seconds=0) == replace(made, seconds=0) and contents(tmp_path) == before
    with pytest.raises(OutputError, match="other settings"):
        make(scene, tmp_path, window_px=50)


# -- folders ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A set of pictures with masks, a set with named classes, and a plot with all three sensors."""
    random = np.random.default_rng(0)
    for name, count in (("town", 2), ("park", 1)):
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "masks").mkdir()
        for i in range(count):
            picture = random.integers(1, 256, (3, 500, 700), np.uint8)
            raster(tmp_path / name / f"images/{name}_{i}.tif", picture, 0.5)
            raster(tmp_path / name / f"masks/{name}_{i}.tif", (picture[:1] > 128).astype(np.uint8), 0.5)
    (tmp_path / "park/classes.json").write_text('{"0": "unlabeled", "1": "tree"}')
    plot = tmp_path / "plots/one"
    plot.mkdir(parents=True)
    raster(plot / "HR_20190701.tif", random.integers(1, 256, (4, 304, 304), np.uint8), 0.2)
    for date in ("20190118", "20181201", "20190305"):
        bands = [f"B0{n}" for n in range(2, 9)] + ["B8A", "B11", "B12"]
        values = random.integers(1, 9999, (10, 6, 6), np.uint16)
        raster(plot / f"S2_{date}.tif", values * (date != "20190305"), 10, descriptions=bands)  # nothing seen in March
    for orbit, date in (("ASC", "20190301"), ("DES", "20190201")):
        raster(plot / f"S1{orbit}_{date}.tif", random.random((2, 6, 6)).astype(np.float32) + 0.01, 10, descriptions=["VV", "VH"])
    return tmp_path


def test_folders_are_cut_with_their_masks_and_held_out_parts_are_not_read(sets: Path, tmp_path: Path) -> None:
    (sets / "town/images/town_1.tif").write_bytes(b"never read")
    folders = (str(sets),)
    made, shards = make(None, tmp_path / "out", folders=folders, window_px=0, hold_out=("town_1",))
    places = [shards.place(i) for i in range(len(shards))]
    assert set(places) == {"town/town_0", "park/park_0", "plots/one"} and made.samples == 2 * 6 + 1
    assert shards.labels == ("park: tree", "town: 0", "town: 1")
    park, town = (shards[places.index(name)].labels for name in ("park/park_0", "town/town_0"))
    assert park is not None and set(np.unique(park)) == {0, 255} and town is not None and set(np.unique(town)) == {1, 2}
    with rasterio.open(sets / "park/images/park_0.tif") as file:
        last = shards[len(places) - 1 - places[::-1].index("park/park_0")]
        np.testing.assert_array_equal(last.arrays["hr"][:3], (file.read()[:, -256:, -256:] / np.float32(255)).astype(np.float16))


def test_what_holds_nothing_out_is_refused(sets: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="“Town 1” in its path"):
        make(None, tmp_path / "out", folders=(str(sets),), hold_out=("park_0", "Town 1"))
    assert not (tmp_path / "out").exists()


def test_a_plot_is_one_sample_with_all_sensors(sets: Path, tmp_path: Path) -> None:
    _, shards = make(None, tmp_path / "out", folders=(str(sets / "plots"),), window_px=0)
    assert len(shards) == 1
    plot = shards[0]
    assert shards.kind(0) == (("hr", "s2", "s1"), ((304, 304), (6, 6), (6, 6)))
    assert plot.days["hr"].tolist() == [182] and plot.days["s2"].tolist() == [335, 18]  # December before January
    assert plot.days["s1"].tolist() == [32, 60] and plot.bands["hr"].all() and plot.labels is None
    assert plot.arrays["s1"].min() > -20.1 and plot.arrays["s1"].max() < 0.1 and plot.arrays["s2"].max() < 1
    assert plot.gsd_m == pytest.approx(0.2, rel=0.01)


def test_folders_and_a_scene_make_one_set(scene: SceneSource, sets: Path, tmp_path: Path) -> None:
    made, shards = make(scene, tmp_path / "out", folders=(str(sets / "plots"),))
    assert len({shards.place(i) for i in range(len(shards))}) == 2
    assert json.loads((tmp_path / "out/manifest.json").read_text())["settings"]["folders"] == ["plots"]


def test_masks_that_do_not_fit_are_named(sets: Path, tmp_path: Path) -> None:
    raster(sets / "park/masks/park_0.tif", np.ones((1, 20, 20), np.uint8), 0.5)
    with pytest.raises(LabelError, match="park_0.tif has"):
        make(None, tmp_path / "out", folders=(str(sets / "park"),))
