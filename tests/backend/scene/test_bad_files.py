"""Files that cannot be used: each is refused with what is wrong and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from skysense.errors import BandError, DateError, GridError, OutputError, RasterError
from skysense.jobs.describe import describe
from skysense.jobs.scene_from_files import scene_from_files
from skysense.protocol.scene_source import AcquisitionSource, BandIndex, Extent, Scaling, SceneSource
from skysense.scene.grid import Grid, Window
from skysense.scene.read import SceneReader
from skysense.scene.write import RasterWriter

DATA = Path(__file__).resolve().parents[2] / "data"
KAMPALA = DATA / "kampala/images/kampala_a.tif"
UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def write(path, values, crs="EPSG:32631", transform=UTM, **more):
    with rasterio.open(path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2],
                       dtype=values.dtype, crs=crs, transform=transform, **more) as target:  # fmt: skip
        target.write(values)
    return str(path)


def read_all(path, extent=None):
    with SceneReader(scene_from_files([path], extent=extent)) as scene:
        return scene.read(scene.readers[0], Window(0, 0, scene.grid.height, scene.grid.width)), scene.grid


def noise(count=3, height=30, width=40):
    return np.random.default_rng(0).integers(1, 255, (count, height, width)).astype("uint8")


def test_truncated(tmp_path):
    path = tmp_path / "cut.tif"
    path.write_bytes(KAMPALA.read_bytes()[:20_000])
    with pytest.raises(RasterError, match="damaged|opened") as failure:
        read_all(str(path))
    assert failure.value.remedy


def test_flipped_bits(tmp_path):
    """In compressed blocks: the file is named as damaged."""
    data = bytearray(KAMPALA.read_bytes())
    for position in np.random.default_rng(1).integers(2000, len(data), 400):
        data[position] ^= 0xFF
    path = tmp_path / "flipped.tif"
    path.write_bytes(bytes(data))
    with pytest.raises(RasterError, match="flipped.tif cannot be read to its end.*get it again"):
        read_all(str(path))


def test_flipped_bits_of_plain_values(tmp_path):
    """Nothing tells them from other values: the pixels come."""
    path = Path(write(tmp_path / "plain.tif", noise()))
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF  # values come last
    path.write_bytes(bytes(data))
    patch, grid = read_all(str(path))
    assert patch.values.shape == (3, grid.height, grid.width)


@pytest.mark.parametrize(("side", "block"), [(40_000, 256), (200_000, 512)])
def test_a_header_that_promises_more_than_the_file_holds(tmp_path, side, block):
    """Billions of pixels in a file of some kilobytes: reading them would take hours for nothing."""
    path = tmp_path / "hostile.tif"
    with rasterio.open(path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint16", crs="EPSG:32631",
                       transform=UTM, tiled=True, blockxsize=block, blockysize=block, SPARSE_OK=True, BIGTIFF="YES"):  # fmt: skip
        pass
    with pytest.raises(RasterError, match=f"hostile.tif says that it has {side} x {side} pixels, but holds only"):
        describe(str(path))


def test_no_such_file_and_no_raster(tmp_path):
    with pytest.raises(RasterError, match="no file"):
        describe(str(tmp_path / "none.tif"))
    text = tmp_path / "text.tif"
    text.write_text("hello")
    with pytest.raises(RasterError, match="Formats that are read"):
        describe(str(text))


def test_a_vrt_in_disguise_is_not_opened(tmp_path):
    path = tmp_path / "innocent.tif"
    path.write_text('<VRTDataset rasterXSize="5" rasterYSize="5"><VRTRasterBand dataType="Byte" band="1">'
                    '<SimpleSource><SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>')  # fmt: skip
    with pytest.raises(RasterError, match="is a virtual raster"):
        describe(str(path))


# -- files that point at others --------------------------------------------------------------------------------------
def other_file(tmp_path):
    """A raster of 77 that no job was asked to read, and a VRT that shows it."""
    secret = write(tmp_path / "secret.tif", np.full((1, 64, 64), 77, "uint8"))
    return ('<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
            f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand>"
            "</SimpleSource></VRTRasterBand></VRTDataset>")  # fmt: skip


@pytest.mark.parametrize("where", ["tags", "tags of a band", "aux.xml", "ovr"])
def test_overviews_under_another_name_are_not_followed(tmp_path, where):
    vrt = other_file(tmp_path)
    path = write(tmp_path / "innocent.tif", np.ones((1, 128, 128), "uint8"))
    beside = write(tmp_path / "innocent.tif.ovr", np.ones((1, 64, 64), "uint8")) if where == "ovr" else path
    if where == "aux.xml":
        Path(path + ".aux.xml").write_text(
            '<PAMDataset><Metadata domain="overviews"><MDI key="overview_file">other.vrt</MDI></Metadata></PAMDataset>'
        )
    else:
        with rasterio.open(beside, "r+") as file:
            file.update_tags(1 if where == "tags of a band" else 0, ns="OVERVIEWS", OVERVIEW_FILE=vrt)
    with pytest.raises(RasterError, match="names another file as its overviews.*GeoTIFF"):
        describe(path)


@pytest.mark.parametrize("suffix", [".ovr", ".msk", ".ovr.msk"])
def test_overviews_and_masks_beside_a_file_are_tiffs(tmp_path, suffix):
    vrt = other_file(tmp_path)
    path = write(tmp_path / "innocent.tif", np.ones((1, 128, 128), "uint8"))
    if suffix == ".ovr.msk":
        write(tmp_path / "innocent.tif.ovr", np.ones((1, 64, 64), "uint8"))
    Path(path + suffix).write_text(vrt)
    with pytest.raises(RasterError, match="no TIFF.*Remove"):
        describe(path)


def test_real_overviews_and_masks_beside_a_file_are_used(tmp_path):
    path = write(tmp_path / "big.tif", noise(1, 256, 256))
    with rasterio.Env(TIFF_USE_OVR=True, GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.build_overviews([2])
        file.write_mask(np.where(np.arange(256) < 200, 255, 0).astype("uint8")[None].repeat(256, 0))
    assert Path(path + ".ovr").is_file() and Path(path + ".msk").is_file()
    patch, _ = read_all(path)
    assert patch.valid.mean() == 200 / 256


def test_a_product_keeps_its_text_files(tmp_path):
    """GDAL counts the file of metadata of a Landsat scene as one of each of its bands."""
    path = write(tmp_path / "LC08_L1TP_1_B4.TIF", noise(1))
    (tmp_path / "LC08_L1TP_1_MTL.txt").write_text('GROUP = L1_METADATA_FILE\n  SPACECRAFT_ID = "LANDSAT_8"\nEND\n')
    with rasterio.open(path) as file:
        assert len(file.files) == 2
    assert describe(path).count == 1


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are not told so there")
def test_no_right_to_read(tmp_path, monkeypatch):
    path = write(tmp_path / "locked.tif", noise())
    if os.geteuid() == 0:  # who may read everything
        monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    else:
        os.chmod(path, 0)
    with pytest.raises(RasterError, match="locked.tif cannot be read: Permission denied.*right"):
        describe(path)


def test_zero_bands(tmp_path):
    """Of the formats that are read, an ENVI header is the one that can say so."""
    path = tmp_path / "none.dat"
    path.write_bytes(b"x" * 25)
    path.with_suffix(".hdr").write_text("ENVI\nsamples = 5\nlines = 5\nbands = 0\ndata type = 1\ninterleave = bsq\n")
    with pytest.raises(RasterError, match="none.dat cannot be opened.*bands.*GeoTIFF"):
        describe(str(path))


def test_complex_numbers(tmp_path):
    path = write(tmp_path / "slc.tif", np.ones((1, 8, 8), "complex64"))
    with pytest.raises(RasterError, match="complex.*amplitude"):
        describe(path)


def test_one_pixel(tmp_path):
    patch, grid = read_all(write(tmp_path / "one.tif", noise(3, 1, 1)))
    assert (grid.height, grid.width) == (1, 1) and patch.valid.all()


def test_all_nodata(tmp_path):
    patch, _ = read_all(write(tmp_path / "empty.tif", np.zeros((3, 8, 8), "uint8"), nodata=0))
    assert not patch.valid.any()


def test_nan_and_infinity_are_not_valid(tmp_path):
    values = np.ones((3, 4, 4), "float32")
    values[0, 0, 0], values[1, 1, 1], values[2, 2, 2] = np.nan, np.inf, -np.inf
    patch, _ = read_all(write(tmp_path / "nan.tif", values))
    assert patch.valid.sum() == 13 and np.isfinite(patch.values).all()


def test_disjoint_extent_names_both(tmp_path):
    path = write(tmp_path / "here.tif", noise())
    with pytest.raises(GridError, match="nothing in common.*here.tif|here.tif.*nothing in common"):
        read_all(path, Extent("EPSG:4326", 100, 10, 101, 11))


def test_layers_of_different_places(tmp_path):
    here, there = write(tmp_path / "a.tif", noise()), write(tmp_path / "b.tif", noise(), crs="EPSG:32731")
    with pytest.raises(GridError, match="does not meet"), SceneReader(scene_from_files([here, there])):
        pass


@pytest.mark.parametrize("transform", [Affine(10, 0, 5e5, 0, 10, 4_999_700), Affine(8, 6, 5e5, 6, -8, 5e6)])
def test_south_up_and_rotated_are_read_north_up(tmp_path, transform):
    patch, grid = read_all(write(tmp_path / "turned.tif", noise(), transform=transform))
    assert grid.transform.a > 0 and grid.transform.e < 0 and grid.transform.b == grid.transform.d == 0
    assert patch.valid.sum() > 0.4 * patch.valid.size


def test_without_a_crs(tmp_path):
    path = write(tmp_path / "plane.tif", noise(), crs=None, transform=Affine(1, 0, 0, 0, -1, 0))
    patch, grid = read_all(path)
    assert grid.crs is None and patch.valid.all()
    with pytest.raises(GridError, match="pixel space"):
        read_all(path, Extent("EPSG:4326", 0, 0, 1, 1))


def test_names_with_blanks_and_other_letters(tmp_path):
    folder = tmp_path / "Zoë Müller" / "мои данные 数据"
    folder.mkdir(parents=True)
    patch, _ = read_all(write(folder / "été 1.tif", noise()))
    assert patch.valid.all()


def test_bands_that_are_not_there(tmp_path):
    path = write(tmp_path / "rgb.tif", noise())
    for bands, words in (((), "no band"), ((BandIndex("R", 4),), "3 bands"), ((BandIndex("B8", 1),), "no band 'B8'")):
        source = AcquisitionSource(path, "hr", bands, Scaling(), None)
        with pytest.raises(BandError, match=words), SceneReader(SceneSource((source,))):
            pass


@pytest.mark.parametrize(("date", "good"), [("2024-02-29", True), ("2023-02-29", False), ("yesterday", False), (None, True)])
def test_dates(tmp_path, date, good):
    path = write(tmp_path / "rgb.tif", noise())
    source = AcquisitionSource(path, "hr", (BandIndex("R", 1),), Scaling(), date)
    if good:
        with SceneReader(SceneSource((source,))) as scene:
            assert scene.readers[0].day == (60 if date else 0)
    else:
        with pytest.raises(DateError, match="year-month-day"), SceneReader(SceneSource((source,))):
            pass


# -- outputs ---------------------------------------------------------------------------------------------------------
GRID = Grid(rasterio.crs.CRS.from_epsg(32631), UTM, 300, 400)


def fill(writer):
    writer.write(Window(0, 0, 300, 400), np.ones((1, 300, 400), "uint8"))


def test_an_output_is_a_cog_with_overviews_and_its_story(tmp_path):
    path = tmp_path / "out.tif"
    with RasterWriter(str(path), GRID, ("class",), "uint8", 0, facts={"dates": ["2020-01-01"]}) as writer:
        fill(writer)
    with rasterio.open(path) as written:
        assert written.overviews(1) and written.profile["tiled"] and written.descriptions == ("class",)
        assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and "2020-01-01" in written.tags()["dates"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.tif", "out.tif.json"]


def test_nothing_is_left_when_the_job_fails(tmp_path):
    with pytest.raises(RuntimeError), RasterWriter(str(tmp_path / "out.tif"), GRID, ("x",), "uint8", 0) as writer:
        fill(writer)
        raise RuntimeError("killed at some tile")
    assert not list(tmp_path.iterdir())


def test_an_output_must_not_be_an_input(tmp_path):
    path = write(tmp_path / "in.tif", noise())
    before = Path(path).read_bytes()
    with pytest.raises(OutputError, match="one of the inputs"):
        RasterWriter(path, GRID, ("x",), "uint8", 0, inputs=[path])
    assert Path(path).read_bytes() == before


def test_folders_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="no folder"):
        RasterWriter(str(tmp_path / "none/out.tif"), GRID, ("x",), "uint8", 0)
    with pytest.raises(OutputError, match="is a folder"):
        RasterWriter(str(tmp_path), GRID, ("x",), "uint8", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
@pytest.mark.parametrize("when", ["tiles", "cog"])
def test_a_full_disk_leaves_nothing(tmp_path, when):
    """The kernel's limit on file size stands in for the disk's end: writing fails in the same place."""
    code = f"""
import resource, signal, numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine
from skysense.errors import OutputError
from skysense.scene.grid import Grid, Window
from skysense.scene.write import RasterWriter

def fill_the_disk():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

grid = Grid(CRS.from_epsg(32631), Affine(10, 0, 5e5, 0, -10, 5e6), 600, 600)
if {when!r} == "tiles":
    fill_the_disk()
try:
    with RasterWriter({str(tmp_path / "out.tif")!r}, grid, ("x",), "uint8", 0) as writer:
        writer.write(Window(0, 0, 600, 600), np.random.default_rng(0).integers(0, 255, (1, 600, 600)).astype("uint8"))
        writer._target.close()
        if {when!r} == "cog":
            fill_the_disk()
except OutputError as error:
    print("refused:", error.remedy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "refused: Check free space" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())
