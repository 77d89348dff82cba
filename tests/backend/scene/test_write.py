"""Outputs are whole, where they should be, and say what made them; or they are not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from skysense.errors import Cancelled
from skysense.protocol.half_done import mark
from skysense.scene.grid import Grid, Window
from skysense.scene.tiles import Tiling
from skysense.scene.warp import native_grid
from skysense.scene.write import RasterWriter

GRID = Grid(CRS.from_epsg(32631), Affine(10, 0, 500_000, 0, -10, 5_000_000), 300, 400)


def fill(writer, seed=0, grid=GRID, bands=1, dtype="uint8"):
    """Write the whole grid in tiles; returns what was written."""
    values = np.random.default_rng(seed).integers(1, 255, (bands, grid.height, grid.width)).astype(dtype)
    for tile in Tiling.of(grid, 128, 0, 1):
        core = tile.core
        writer.write(core, values[:, core.row : core.row + core.height, core.column : core.column + core.width])
    return values


@pytest.mark.parametrize(("dtype", "bands", "exact"), [("uint8", 1, True), ("uint8", 3, True), ("float32", 5, False)])
def test_what_is_written_can_be_read(tmp_path, dtype, bands, exact):
    path = tmp_path / "out.tif"
    with RasterWriter(str(path), GRID, [f"band {i}" for i in range(bands)], dtype, 0) as writer:
        values = fill(writer, bands=bands, dtype=dtype)
    with rasterio.open(path) as file:
        assert native_grid(file) == GRID and file.nodata == 0 and file.descriptions[-1] == f"band {bands - 1}"
        assert np.allclose(file.read(), values, rtol=0 if exact else 2**-11, atol=0)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32733", "EPSG:2056", "+proj=laea +lat_0=10 +lon_0=20", None])
def test_every_kind_of_place_is_kept(tmp_path, crs):
    transform = Affine(1e-4, 0, 4.5, 0, -2e-4, 45) if crs == "EPSG:4326" else Affine(0.5, 0, 1000.25, 0, -0.5, 2000.75)
    for name, grid in (
        ("a", Grid(CRS.from_user_input(crs) if crs else None, transform, 30, 20)),
        ("b", Grid(None, Affine(1, 0, 0, 0, -1, 0), 30, 20)),
    ):
        with RasterWriter(str(tmp_path / f"{name}.tif"), grid, ("x",), "uint8", 0) as writer:
            fill(writer, grid=grid)
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            assert native_grid(file).crs == grid.crs
            assert native_grid(file).transform.almost_equals(grid.transform, 1e-12)


def test_the_story_is_in_tags_and_sidecar(tmp_path):
    path = tmp_path / "out.tif"
    with RasterWriter(str(path), GRID, ("x",), "uint8", 0, facts={"dates": ["2020-02-29", None]}) as writer:
        fill(writer)
        writer.note(threshold=0.25)
    story = json.loads((tmp_path / "out.tif.json").read_text("utf-8"))
    assert story["dates"] == ["2020-02-29", None] and story["threshold"] == 0.25 and "skysense" in story["written_by"]
    with rasterio.open(path) as file:
        assert json.loads(file.tags()["dates"]) == story["dates"] and file.tags()["threshold"] == "0.25"


def test_cancel_while_the_cog_is_made_keeps_what_was_there(tmp_path):
    path = tmp_path / "out.tif"
    with RasterWriter(str(path), GRID, ("x",), "uint8", 0) as writer:
        fill(writer)
    before, shares = path.read_bytes(), []

    def stop(share):
        shares.append(share)
        if share > 0.2:
            raise Cancelled()

    grid = Grid(GRID.crs, GRID.transform, 2000, 2000)
    with pytest.raises(Cancelled), RasterWriter(str(path), grid, ("x",), "uint8", 0, finishing=stop) as writer:
        fill(writer, grid=grid)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.tif", "out.tif.json"]
    assert shares == sorted(shares) and 0.2 < shares[-1] < 0.4


def test_finishing_is_told_to_its_end(tmp_path):
    shares = []
    grid = Grid(GRID.crs, GRID.transform, 2000, 2000)  # 64 MB: more than GDAL keeps, so that it reads twice
    with RasterWriter(str(tmp_path / "out.tif"), grid, "abcd", "float32", 0, finishing=shares.append) as writer:
        fill(writer, grid=grid, bands=4, dtype="float32")
    assert shares == sorted(shares) and shares[0] < 0.1 and 0.9 < shares[-1] <= 1


def test_statistics_of_the_file_before_are_not_kept(tmp_path):
    path, stale = tmp_path / "out.tif", tmp_path / "out.tif.aux.xml"
    stale.write_text("<PAMDataset/>")
    with RasterWriter(str(path), GRID, ("x",), "uint8", 0) as writer:
        fill(writer)
    assert path.exists() and not stale.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no read-only folders of this kind")
def test_a_folder_that_may_not_be_written_to():
    """Root may write anywhere: a child process gives its rights away first."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        os.chmod(folder, 0o555)
        code = (
            "import os; from rasterio.transform import Affine; from skysense.errors import OutputError\n"
            "from skysense.scene.grid import Grid; from skysense.scene.write import RasterWriter\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            f"try: RasterWriter({folder + '/out.tif'!r}, Grid(None, Affine.identity(), 9, 9), ('x',), 'uint8', 0)\n"
            "except OutputError as error: print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "read-only. Choose a folder that you may write to." in done.stdout, done.stderr


def test_a_killed_writer_leaves_no_file_and_the_next_one_tidies_up(tmp_path):
    path = tmp_path / "out [1].tif"
    code = (
        "import os, numpy as np; from rasterio.crs import CRS; from rasterio.transform import Affine\n"
        "from skysense.scene.grid import Grid, Window; from skysense.scene.write import RasterWriter\n"
        f"w = RasterWriter({str(path)!r}, Grid(CRS.from_epsg(32631), Affine.scale(10, -10), 300, 400), ('x',), 'uint8', 0)\n"
        "w.write(Window(0, 0, 300, 400), np.ones((1, 300, 400), 'uint8')); print('at work', flush=True); input()\n"
    )

    def write_again():
        with RasterWriter(str(path), GRID, ("x",), "uint8", 0) as writer:
            fill(writer)

    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as process:
        assert process.stdout.readline() == b"at work\n"
        write_again()
        (left,) = tmp_path.glob(".*")  # it is at work
        assert left.name.startswith(f".out [1].{mark(process.pid)}.") and left.name.endswith(".partial")
        process.send_signal(signal.SIGKILL)
    write_again()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out [1].tif", "out [1].tif.json"]


def test_an_overview_of_classes_holds_classes_alone(tmp_path):
    path = tmp_path / "classes.tif"
    palette = {1: (255, 0, 0, 255), 9: (0, 0, 255, 255)}
    grid = Grid(GRID.crs, GRID.transform, 600, 600)
    with RasterWriter(str(path), grid, ("class",), "uint8", 0, palette=palette) as writer:
        pixels = np.random.default_rng(0).choice([1, 9], (1, 600, 600)).astype("uint8")
        writer.write(Window(0, 0, 600, 600), pixels)
    with rasterio.open(path, overview_level=0) as coarse:
        assert set(np.unique(coarse.read(1))) <= {1, 9} and coarse.colormap(1)[9] == (0, 0, 255, 255)
