"""What the segmenter sees of a layer."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from skysense.jobs.describe import describe
from skysense.protocol.scene_source import Extent
from skysense.scene.display import render


def write(path, values, colours=None, nodata=None, transform=None, crs="EPSG:32631"):
    transform = transform or Affine(10, 0, 500_000, 0, -10, 5_000_000)
    with rasterio.open(path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2],
                       dtype=values.dtype, crs=crs, transform=transform, nodata=nodata) as target:  # fmt: skip
        target.write(values)
        if colours:
            target.colorinterp = colours
    return str(path)


def whole_extent(description):
    """The raster's footprint."""
    a, _, west, _, e, north = description.transform
    return Extent(description.crs, west, north + e * description.height, west + a * description.width, north)


def quiet(share):
    """Nobody listens."""


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(1, 255, (4, 40, 60)).astype("uint8")


def test_an_8_bit_picture_is_shown_as_it_is(tmp_path, noise):
    path = write(tmp_path / "rgb.tif", noise[:3])
    found = describe(path)
    rgb, valid = render(path, found.display, whole_extent(found), 40, 60, quiet)
    assert np.array_equal(rgb, np.moveaxis(noise[:3], 0, -1)) and valid.all()


def test_an_alpha_band_is_a_mask_and_not_a_colour(tmp_path, noise):
    noise[3], noise[3, :10] = 255, 0
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    path = write(tmp_path / "rgba.tif", noise, colours)
    found = describe(path)
    assert (found.display.red.index, found.display.green.index, found.display.blue.index) == (1, 2, 3)
    rgb, valid = render(path, found.display, whole_extent(found), 40, 60, quiet)
    assert not valid[:10].any() and valid[10:].all() and not rgb[:10].any()


def test_16_bit_values_are_stretched_from_2_to_98_per_cent(tmp_path):
    values = np.arange(10_000, dtype="uint16").reshape(1, 100, 100)
    found = describe(write(tmp_path / "ramp.tif", values))
    assert found.display.red == found.display.blue
    assert found.display.red.low == pytest.approx(200, abs=2) and found.display.red.high == pytest.approx(9800, abs=2)
    rgb, _ = render(found.path, found.display, whole_extent(found), 100, 100, quiet)
    assert rgb.min() == 0 and rgb.max() == 255


def test_nodata_and_nan_are_not_data(tmp_path):
    values = np.full((1, 20, 20), 5.0, "float32")
    values[0, :5], values[0, 5:10] = -9999.0, np.nan
    found = describe(write(tmp_path / "holes.tif", values, nodata=-9999.0))
    _, valid = render(found.path, found.display, whole_extent(found), 20, 20, quiet)
    assert not valid[:10].any() and valid[10:].all()


@pytest.mark.parametrize("transform", [Affine(10, 0, 500_000, 0, 10, 4_999_600), Affine(0, 10, 5e5, 10, 0, 5e6)])
def test_south_up_and_turned_files_are_shown_north_up(tmp_path, noise, transform):
    path = write(tmp_path / "turned.tif", noise[:3], transform=transform)
    found = describe(path)
    assert found.transform[0] > 0 and found.transform[4] < 0
    rgb, valid = render(path, found.display, whole_extent(found), found.height, found.width, quiet)
    assert valid.mean() > 0.9 and rgb.std() > 50


def test_without_a_crs_pixels_are_the_plane(tmp_path, noise):
    path = write(tmp_path / "plane.tif", noise[:3], crs=None, transform=Affine(1, 0, 0, 0, -1, 0))
    found = describe(path)
    assert found.crs == "" and found.gsd_m is None
    rgb, valid = render(path, found.display, whole_extent(found), 40, 60, quiet)
    assert valid.all() and np.array_equal(rgb, np.moveaxis(noise[:3], 0, -1))


def test_a_view_from_far_reads_the_overviews(tmp_path, noise):
    """They hold other values here, so that it can be told which was read."""
    path = write(tmp_path / "big.tif", np.tile(noise[:3], (1, 20, 20)))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4, 8])
    found = describe(path)
    plain, _ = render(path, found.display, whole_extent(found), 100, 150, quiet)
    with rasterio.open(path, "r+") as file:
        file.write(np.full((3, 800, 1200), 255, "uint8"))
    assert np.array_equal(render(path, found.display, whole_extent(found), 100, 150, quiet)[0], plain)
    near = Extent(found.crs, 500_000, 4_999_400, 500_600, 5_000_000)
    assert (render(path, found.display, near, 60, 60, quiet)[0] == 255).all()


def test_overviews_of_a_file_that_is_placed_nowhere_lie_where_it_does(tmp_path, noise):
    path = write(tmp_path / "plane.tif", np.tile(noise[:3], (1, 20, 20)), crs=None, transform=Affine(1, 0, 0, 0, 1, 0))
    extent = Extent("", 0, -800, 1200, 0)
    before, _ = render(path, describe(path).display, extent, 100, 150, quiet)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4, 8])
    after, valid = render(path, describe(path).display, extent, 100, 150, quiet)
    assert valid.all() and np.array_equal(before, after)


def test_a_large_file_is_read_in_strips_that_can_be_stopped(tmp_path, monkeypatch, noise):
    path = write(tmp_path / "big.tif", np.tile(noise[:3], (1, 20, 20)))
    found = describe(path)
    whole, seen = render(path, found.display, whole_extent(found), 100, 150, quiet)
    monkeypatch.setattr("skysense.scene.display.STRIP_PX", 100_000)
    told = []
    parts, valid = render(path, found.display, whole_extent(found), 100, 150, told.append)
    assert len(told) == 10 and told == sorted(told)
    assert np.abs(parts.astype(int) - whole).max() <= 1 and np.array_equal(valid, seen)

    def stop(share):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        render(path, found.display, whole_extent(found), 100, 150, stop)
