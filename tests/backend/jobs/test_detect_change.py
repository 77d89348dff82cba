"""Two dated rasters -> score, mask and polygons."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
from rasterio.transform import Affine

from skysense.errors import BandError, Cancelled, DateError, GridError, OutputError, RequestError
from skysense.jobs.detect_change import run
from skysense.jobs.report import FINISHING, SilentReport
from skysense.jobs.scene_from_files import scene_from_files
from skysense.models.catalog import bundled_weights
from skysense.protocol.half_done import mark
from skysense.protocol.requests import DetectChange
from skysense.protocol.scene_source import AcquisitionSource, BandIndex, Extent, Scaling, SceneSource

DATA = Path(__file__).parents[2] / "data"
BANDS = ("B2", "B3", "B4", "B8")
PLACE = Affine(10, 0, 500000, 0, -10, 5_000_000)
LAKE = np.s_[60:90, 100:140]


def s2_pixels(seed: int, lake: bool) -> np.ndarray:
    """Reflectance x 10,000 (4, 200, 240): fields of one texture, with noise of its own and perhaps a lake."""
    fields = np.kron(np.random.default_rng(0).uniform(600, 3000, (4, 10, 12)), np.ones((20, 20)))
    pixels = fields + np.random.default_rng(seed).normal(0, 60, fields.shape)
    if lake:
        pixels[:, *LAKE] = 300
    return pixels.astype(np.uint16)


def s1_pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(-10, 1.5, (2, 200, 240)).astype(np.float32)


def write(path: Path, pixels, transform=PLACE, crs="EPSG:32631", nodata=None) -> Path:
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype, "crs": crs,
               "transform": transform, "nodata": nodata}  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
    return path


def source(path: Path, date: str | None, sensor: str = "s2", bands=BANDS) -> AcquisitionSource:
    mapping = tuple(BandIndex(band, index) for index, band in enumerate(bands, 1))
    scaling = Scaling(1e-4) if sensor == "s2" else Scaling()
    return AcquisitionSource(str(path), sensor, mapping, scaling, date)


def scene(*acquisitions: AcquisitionSource, extent: Extent | None = None) -> SceneSource:
    return SceneSource(acquisitions, extent)


@pytest.fixture
def request_of(tmp_path):
    """Two Sentinel-2 images with a lake of 1,200 px in the second."""
    before = source(write(tmp_path / "before.tif", s2_pixels(1, False)), "2020-05-01")
    after = source(write(tmp_path / "after.tif", s2_pixels(2, True)), "2021-05-03")
    return DetectChange(
        before=scene(before),
        after=scene(after),
        score_path=str(tmp_path / "score.tif"),
        mask_path=str(tmp_path / "mask.tif"),
        polygons_path=str(tmp_path / "changes.gpkg"),
    )


def read(path: str | None) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def table(path: str | None) -> tuple[dict[str, np.ndarray], int]:
    meta, _, geometry, values = pyogrio.raw.read(path)
    return dict(zip(meta["fields"], values)), len(geometry)


def test_a_new_lake_is_found(request_of):
    result = run(request_of, SilentReport())
    mask = read(request_of.mask_path)
    truth = np.zeros(mask.shape, bool)
    truth[LAKE] = True
    assert (mask == 1)[truth].mean() > 0.97 and (mask == 1)[~truth].mean() < 0.02
    assert result.method == "change-vector" and result.changed_share == pytest.approx((mask == 1).mean())
    assert (result.before_date, result.after_date) == ("2020-05-01", "2021-05-03")
    fields, count = table(request_of.polygons_path)
    assert count == result.polygons == 1
    assert str(fields["before_date"][0]) == "2020-05-01" and str(fields["after_date"][0]) == "2021-05-03"
    assert fields["area_m2"][0] == pytest.approx((mask == 1).sum() * 100, rel=1e-2)
    score = read(request_of.score_path)
    assert fields["mean_score"][0] == pytest.approx(score[mask == 1].mean(), rel=1e-3)
    assert fields["max_score"][0] == pytest.approx(score.max())


def test_the_mask_is_what_the_written_score_and_threshold_say(request_of):
    result = run(request_of, SilentReport())
    np.testing.assert_array_equal(read(request_of.mask_path) == 1, read(request_of.score_path) > result.threshold)


def test_what_made_it_stands_in_the_file(request_of):
    result = run(request_of, SilentReport())
    with rasterio.open(request_of.score_path) as file:
        tags = file.tags()
        assert np.isnan(file.nodata) and file.crs.to_epsg() == 32631
    sidecar = json.loads(Path(request_of.score_path + ".json").read_text())
    assert sidecar["threshold"] == result.threshold and sidecar["threshold_rule"] == "automatic"
    assert sidecar["before_dates"] == ["2020-05-01"] and sidecar["bands_compared"] == {"s2": list(BANDS)}
    assert tags["method"] == "change-vector"


def test_tiles_leave_no_seams(request_of, tmp_path):
    run(request_of, SilentReport())
    tiled = replace(request_of, score_path=str(tmp_path / "tiled.tif"), mask_path=None, polygons_path=None, tile_px=48)
    run(tiled, SilentReport())
    np.testing.assert_allclose(read(tiled.score_path), read(request_of.score_path), atol=2e-3)


def test_the_users_threshold_counts(request_of):
    found = run(request_of, SilentReport())
    chosen = run(replace(request_of, threshold=found.threshold / 4), SilentReport())
    assert chosen.threshold == found.threshold / 4 and chosen.changed_share > found.changed_share
    assert not any("threshold" in warning for warning in chosen.warnings)


def test_small_patches_are_left_out_of_mask_and_polygons(request_of):
    result = run(replace(request_of, minimum_area_m2=1e6), SilentReport())
    assert result.polygons == 0 and result.changed_share == 0
    assert not (read(request_of.mask_path) == 1).any()
    assert table(request_of.polygons_path)[1] == 0


def test_gaps_of_both_dates_are_no_data_with_a_rim(request_of, tmp_path):
    pixels = s2_pixels(1, False)
    pixels[:, :, :20] = 0
    before = source(write(tmp_path / "gap.tif", pixels, nodata=0), "2020-05-01")
    run(replace(request_of, before=scene(before)), SilentReport())
    mask = read(request_of.mask_path)
    assert (mask[:, :23] == 255).all() and (mask[:, 23:] != 255).all()
    assert np.isnan(read(request_of.score_path)[:, :23]).all()


def test_an_image_in_another_projection_is_brought_to_the_grid(request_of, tmp_path):
    """The after image in Web Mercator with pixels of half the size: the coarser grid, that of `before`, is kept."""
    warped = tmp_path / "warped.tif"
    with rasterio.open(request_of.after.acquisitions[0].path) as file, rasterio.vrt.WarpedVRT(
        file, crs="EPSG:3857", resolution=5.0, nodata=0, resampling=rasterio.enums.Resampling.bilinear
    ) as vrt:
        write(warped, vrt.read(), vrt.transform, "EPSG:3857", nodata=0)
    result = run(replace(request_of, after=scene(source(warped, "2021-05-03"))), SilentReport())
    with rasterio.open(request_of.mask_path) as file:
        assert file.crs.to_epsg() == 32631 and file.shape == (200, 240)
        mask = file.read(1)
    assert (mask == 1)[LAKE].mean() > 0.95 and (mask == 1).mean() < 0.05
    assert any("coordinate systems" in warning for warning in result.warnings)


def test_the_extent_bounds_the_result(request_of):
    extent = Extent("EPSG:32631", 500900, 4999000, 501600, 4999500)
    bounded = replace(request_of, before=replace(request_of.before, extent=extent))
    run(bounded, SilentReport())
    assert read(request_of.mask_path).shape == (50, 70)


def test_radar_tells_darker_from_brighter(tmp_path):
    before, after = s1_pixels(1), s1_pixels(2)
    after[:, 40:80, 40:80] -= 10
    after[:, 120:160, 120:160] += 10
    names = ("VV", "VH")
    request = DetectChange(
        before=scene(source(write(tmp_path / "b.tif", before), "2020-05-01", "s1", names)),
        after=scene(source(write(tmp_path / "a.tif", after), "2020-05-13", "s1", names)),
        score_path=str(tmp_path / "score.tif"), mask_path=None, polygons_path=str(tmp_path / "p.gpkg"),
        minimum_area_m2=5000.0,
    )  # fmt: skip
    result = run(request, SilentReport())
    fields, count = table(request.polygons_path)
    assert result.method == "log-ratio" and result.threshold == 1.0
    assert count == 2 and sorted(fields["direction"]) == ["brighter", "darker"]


def test_both_sentinels_are_summed(request_of, tmp_path):
    dark = s1_pixels(2)
    dark[:, *LAKE] -= 8
    names = ("VV", "VH")
    radar_before = source(write(tmp_path / "b1.tif", s1_pixels(1)), "2020-05-02", "s1", names)
    radar_after = source(write(tmp_path / "a1.tif", dark), "2021-05-01", "s1", names)
    both = replace(
        request_of,
        before=scene(*request_of.before.acquisitions, radar_before),
        after=scene(*request_of.after.acquisitions, radar_after),
    )
    result = run(both, SilentReport())
    mask = read(both.mask_path)
    assert result.method == "change-vector + log-ratio"
    assert (result.before_date, result.after_date) == ("2020-05-02", "2021-05-01")
    assert (mask == 1)[LAKE].mean() > 0.95 and (mask == 1).mean() < 0.06


def test_dates_in_different_units_are_standardised_with_a_warning(request_of, tmp_path):
    picture = (s2_pixels(2, True) / 3000 * 255).clip(0, 255).astype(np.uint8)
    after = replace(source(write(tmp_path / "p.tif", picture), "2021-05-03"), scaling=Scaling(1 / 255))
    result = run(replace(request_of, after=scene(after)), SilentReport())
    assert (read(request_of.mask_path) == 1)[LAKE].mean() > 0.95
    assert any("different units" in warning for warning in result.warnings)


def test_real_aerial_images_of_two_years(tmp_path):
    """NAIP 2009 and 2020: unlabelled; the figures are what was seen when the map was looked at."""
    request = DetectChange(
        before=scene_from_files([str(DATA / "naip_wetlands/NAIP_20090818.tif")]),
        after=scene_from_files([str(DATA / "naip_wetlands/NAIP_20200831.tif")]),
        score_path=str(tmp_path / "score.tif"), mask_path=str(tmp_path / "mask.tif"), polygons_path=None,
        method="change-vector",
    )  # fmt: skip
    result = run(request, SilentReport())
    assert (result.before_date, result.after_date) == ("2009-08-18", "2020-08-31")
    assert 0.05 < result.changed_share < 0.6


@pytest.mark.skipif(bundled_weights("skysense-nano") is None, reason="the bundled weights are not there")
def test_deep_features_of_real_aerial_images(tmp_path):
    before = scene_from_files([str(DATA / "naip_wetlands/NAIP_20090818.tif")])
    request = DetectChange(
        before=before,
        after=scene_from_files([str(DATA / "naip_wetlands/NAIP_20200831.tif")]),
        score_path=str(tmp_path / "score.tif"), mask_path=None, polygons_path=None,
    )  # fmt: skip
    result = run(request, SilentReport())
    assert result.method == "deep-features" and result.threshold >= 1.0
    assert 0.0 < result.changed_share < 0.7
    same = replace(before.acquisitions[0], date="2010-08-18")
    assert run(replace(request, after=scene(same)), SilentReport()).changed_share == 0.0


# -- what is refused -------------------------------------------------------------------------------------------------
def with_date(request: DetectChange, which: str, date: str | None) -> DetectChange:
    acquisition = getattr(request, which).acquisitions[0]
    return replace(request, **{which: scene(replace(acquisition, date=date))})


def test_a_missing_date_is_asked_for(request_of):
    with pytest.raises(DateError, match="has no date") as error:
        run(with_date(request_of, "after", None), SilentReport())
    assert "scene table" in error.value.remedy


def test_an_impossible_date_is_refused(request_of):
    with pytest.raises(DateError, match="2021-02-29"):
        run(with_date(request_of, "after", "2021-02-29"), SilentReport())


@pytest.mark.parametrize("after", ["2019-01-01", "2020-05-01"])
def test_reversed_or_equal_dates_are_refused(request_of, after):
    with pytest.raises(RequestError, match="not in this order"):
        run(with_date(request_of, "after", after), SilentReport())


def test_sensors_have_to_agree(request_of, tmp_path):
    radar = source(write(tmp_path / "r.tif", s1_pixels(1)), "2021-05-03", "s1", ("VV", "VH"))
    with pytest.raises(BandError, match="no sensor in common"):
        run(replace(request_of, after=scene(radar)), SilentReport())


def test_bands_are_compared_by_name(request_of):
    """Bands in another order are put right; without a common one there is nothing to compare."""
    pixels = s2_pixels(2, True)[::-1]
    path = Path(request_of.after.acquisitions[0].path)
    write(path, np.ascontiguousarray(pixels))
    reordered = source(path, "2021-05-03", bands=BANDS[::-1])
    assert run(replace(request_of, after=scene(reordered)), SilentReport()).polygons == 1
    others = source(path, "2021-05-03", bands=("B5", "B6", "B7", "B11"))
    with pytest.raises(BandError, match="no Sentinel-2 band in common"):
        run(replace(request_of, after=scene(others)), SilentReport())


def test_the_log_ratio_needs_radar(request_of):
    with pytest.raises(BandError, match="compares radar"):
        run(replace(request_of, method="log-ratio"), SilentReport())


def test_an_unknown_method_is_refused(request_of):
    with pytest.raises(RequestError, match="no method 'magic'"):
        run(replace(request_of, method="magic"), SilentReport())


def test_places_that_do_not_meet_are_refused(request_of, tmp_path):
    elsewhere = source(write(tmp_path / "e.tif", s2_pixels(2, True), Affine(10, 0, 900000, 0, -10, 5e6)), "2021-05-03")
    with pytest.raises(GridError, match="does not meet"):
        run(replace(request_of, after=scene(elsewhere)), SilentReport())


def test_dates_without_a_common_valid_pixel_are_refused(request_of, tmp_path):
    empty = source(write(tmp_path / "empty.tif", np.zeros((4, 200, 240), np.uint16), nodata=0), "2021-05-03")
    with pytest.raises(GridError, match="No pixel has data on both dates"):
        run(replace(request_of, after=scene(empty)), SilentReport())


def test_an_input_is_never_overwritten(request_of):
    with pytest.raises(OutputError, match="one of the inputs"):
        run(replace(request_of, mask_path=request_of.before.acquisitions[0].path), SilentReport())


@pytest.mark.parametrize("which", ["mask_path", "polygons_path"])
def test_outputs_are_files_of_their_own(request_of, tmp_path, which):
    """Told before any work, however the path is written."""
    (tmp_path / "folder").mkdir()
    report = SilentReport()
    with pytest.raises(OutputError, match="same name score.tif"):
        run(replace(request_of, **{which: str(tmp_path / "folder/../score.tif")}), report)
    assert report.stages == ["Checking the scenes"]


def test_all_outputs_appear_or_what_was_there_stays(request_of, tmp_path, monkeypatch):
    """The last of three cannot get its name: the others give theirs back."""
    run(request_of, SilentReport())
    there = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real = os.replace

    def locked(source, target):
        if Path(target).name == "score.tif" and Path(source).name == "ready.tif":
            raise PermissionError(13, "in use")
        real(source, target)

    monkeypatch.setattr(os, "replace", locked)
    with pytest.raises(OutputError, match="score.tif cannot be written.*in use"):
        run(replace(request_of, threshold=0.1), SilentReport())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == there
    for path in tmp_path.glob("[scm]*.*"):  # the same, with nothing there before
        if path.name.split(".")[0] in ("score", "mask", "changes"):
            path.unlink()
    with pytest.raises(OutputError, match="in use"):
        run(request_of, SilentReport())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after.tif", "before.tif"]


def test_it_is_cancelled_while_it_decides_outlines_and_finishes(request_of, tmp_path):
    there = sorted(tmp_path.iterdir())
    for stage in ("Finding the threshold", "Outlining changes", "Writing rasters", FINISHING):
        report = UntilStage(stage, 2 if stage == FINISHING else 1)
        with pytest.raises(Cancelled):
            run(request_of, report)
        assert report.stages[-1] == stage and sorted(tmp_path.iterdir()) == there


class UntilStage(SilentReport):
    """Stops at the nth word of a stage."""

    def __init__(self, stage: str, number: int) -> None:
        super().__init__()
        self._stage, self._number = stage, number

    def progress(self, fraction, stage, *rest, **more):
        self._number -= stage == self._stage
        if self._number <= 0:
            self.cancel()
        super().progress(fraction, stage, *rest, **more)


def test_folders_of_a_killed_job_are_removed_by_the_next(request_of, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = tmp_path / f".score.{mark(dead.pid)}.abandoned.partial"
    left.mkdir()
    (left / "s2.score").write_bytes(b"x")
    run(request_of, SilentReport())
    assert not left.exists()


@pytest.mark.skipif(bundled_weights("skysense-nano") is None, reason="the bundled weights are not there")
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (9, 13)])
def test_layers_smaller_than_a_cell(tmp_path, shape):
    random = np.random.default_rng(0)
    dates = []
    for name, date in (("before", "2020-05-01"), ("after", "2021-05-03")):
        path = write(tmp_path / f"{name}.tif", random.integers(1, 255, (3, *shape)).astype(np.uint8))
        dates.append(scene(replace(source(path, date, "hr", "RGB"), scaling=Scaling(1 / 255))))
    result = run(DetectChange(*dates, str(tmp_path / "score.tif"), None, None), SilentReport())
    assert result.method == "deep-features" and read(result.score_path).shape == shape


def test_a_cancelled_job_leaves_nothing(request_of, tmp_path):
    there = sorted(tmp_path.iterdir())
    for limit in range(6):
        with pytest.raises(Cancelled):
            run(request_of, SilentReport(limit))
        assert sorted(tmp_path.iterdir()) == there, limit


def test_progress_never_falls(request_of):
    report = SilentReport()
    run(request_of, report)
    assert report.fractions == sorted(report.fractions) and len(report.stages) > 3
