"""Files on other grids: what is not data stays no data, and pixels stay where they were."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import Affine

from skysense.scene.grid import Grid, Window
from skysense.scene.warp import native_grid, placement, read_window, warped

PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM31 = CRS.from_epsg(32631)
SIDE = 40
UTM = CRS.from_epsg(32631)
HALF = PLACE @ Affine.translation(0.5, 0.5)  # half a pixel to the south-east: every value is a mean of four


def write(path, values, mask=None, colours=None, crs="EPSG:32631", transform=PLACE, **more):
    profile = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2],
               "dtype": values.dtype, "crs": crs, "transform": transform, **more}  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as file:
        file.write(values)
        if colours:
            file.colorinterp = colours
        if mask is not None:
            file.write_mask(mask)
    return path


def on(path, transform, nodata=None, side=SIDE, crs=UTM):
    with rasterio.open(path) as file, warped(file, Grid(crs, transform, side, side), Resampling.bilinear, nodata) as vrt:
        return read_window(vrt, [1, 2, 3], Window(0, 0, side, side), nodata)


@pytest.fixture
def colour():
    return np.full((3, SIDE, SIDE), 100, "uint8")


@pytest.fixture
def upper():
    """The upper half is not data."""
    seen = np.full((SIDE, SIDE), 255, "uint8")
    seen[: SIDE // 2] = 0
    return seen


def test_a_mask_band_survives_another_grid(tmp_path, colour, upper):
    _, valid = on(write(tmp_path / "masked.tif", colour, mask=upper), HALF)
    assert not valid[: SIDE // 2 - 1].any() and valid[SIDE // 2 : -1, :-1].all()


def test_alpha_survives_another_grid(tmp_path, colour, upper):
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    _, valid = on(write(tmp_path / "alpha.tif", np.concatenate([colour, upper[None]]), colours=colours), HALF)
    assert not valid[: SIDE // 2 - 1].any() and valid[SIDE // 2 : -1, :-1].all()


def test_one_band_without_data_is_enough_for_measurements(tmp_path, colour):
    values = colour.astype("int16")
    values[2, : SIDE // 2] = -9999
    path = write(tmp_path / "bands.tif", values, nodata=-9999)
    for transform in (PLACE, HALF):
        stored, valid = on(path, transform)
        assert not valid[: SIDE // 2 - 1].any() and valid[SIDE // 2 : -1, :-1].all()
        assert np.unique(stored[:, valid]).tolist() == [100.0]  # nothing of -9999 is mixed in


def test_black_in_one_band_is_a_colour_in_8_bit_pictures(tmp_path, colour):
    colour[2] = 0
    colour[:, : SIDE // 2] = 0
    path = write(tmp_path / "shadow.tif", colour, nodata=0)
    for transform in (PLACE, HALF):
        _, valid = on(path, transform)
        assert not valid[: SIDE // 2 - 1].any() and valid[SIDE // 2 : -1, :-1].all()


def test_the_users_nodata_counts_in_the_place_of_the_files(tmp_path, colour):
    values = colour.astype("float32")
    values[:, : SIDE // 2] = 7
    path = write(tmp_path / "seven.tif", values, nodata=-1)
    for transform in (PLACE, HALF):
        assert on(path, transform, nodata=7)[1].mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spreads_no_further_than_its_neighbours(tmp_path, colour, bad):
    values = colour.astype("float32")
    values[1, 20, 20] = bad
    path = write(tmp_path / "bad.tif", values)
    for transform, most in ((PLACE, 1), (HALF, 9)):
        _, valid = on(path, transform)
        lost = ~valid[:-1, :-1]
        assert 1 <= lost.sum() <= most and lost[18:22, 18:22].sum() == lost.sum()


@pytest.mark.parametrize("epsg", [4326, 3857, 32631, 32731])
@pytest.mark.parametrize("size", [0.1, 60.0])
def test_the_same_grid_gives_the_same_pixels(tmp_path, epsg, size):
    """Shifted by whole pixels, south-up or not, every pixel is where it was, bit by bit."""
    step = size / 111_320 if epsg == 4326 else size
    corner = (4.5, 45.0) if epsg == 4326 else (500_000.0, 5_000_000.0)
    north_up = Affine(step, 0, corner[0], 0, -step, corner[1])
    values = np.random.default_rng(0).integers(1, 60_000, (3, SIDE, SIDE)).astype("uint16")
    south_up = north_up @ Affine.translation(0, SIDE) @ Affine.scale(1, -1)
    for name, stored, transform in (("n", values, north_up), ("s", values[:, ::-1], south_up)):
        path = write(tmp_path / f"{name}.tif", stored, crs=f"EPSG:{epsg}", transform=transform)
        with rasterio.open(path) as file:
            assert native_grid(file).transform.almost_equals(north_up, 1e-9)
        got, valid = on(path, north_up @ Affine.translation(5, 3), crs=CRS.from_epsg(epsg))
        assert np.array_equal(got[:, : SIDE - 3, : SIDE - 5], values[:, 3:, 5:]) and valid[: SIDE - 3, : SIDE - 5].all()
        assert not valid[SIDE - 3 :].any() and not valid[:, SIDE - 5 :].any()


def test_pictures_that_lie_nowhere_lie_where_qgis_draws_them(tmp_path, colour):
    with rasterio.open(tmp_path / "plain.png", "w", driver="PNG", count=3, height=SIDE, width=SIDE, dtype="uint8") as file:
        file.write(colour)
    with rasterio.open(tmp_path / "plain.png") as file:
        assert file.crs is None and placement(file) == Affine(1, 0, 0, 0, -1, 0)
        assert native_grid(file).bounds == (0, -SIDE, SIDE, 0)


def test_a_turned_file_without_a_crs_is_turned_in_its_own_plane(tmp_path, colour):
    colour[:, : SIDE // 2] = 200
    quarter = Affine.translation(50, 50) @ Affine.rotation(90) @ Affine.scale(1, -1)
    path = write(tmp_path / "turned.tif", colour, crs=None, transform=quarter)
    with rasterio.open(path) as file:
        grid = native_grid(file)
        assert (grid.height, grid.width) == (SIDE, SIDE) and grid.crs is None
        with warped(file, grid, Resampling.bilinear) as vrt:
            values, valid = read_window(vrt, [1], Window(0, 0, SIDE, SIDE))
    assert valid.all() and (values[0, :, : SIDE // 2 - 1] == 200).all() != (values[0, :, SIDE // 2 + 1 :] == 200).all()
