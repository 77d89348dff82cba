"""What the worker says of a real file: names, wavelengths and what is guessed from them."""

import numpy as np
import pytest
import rasterio

from skysense.errors import RasterError
from skysense.jobs.describe import describe


def write(path, count, driver="GTiff", dtype="uint16"):
    values = np.random.default_rng(0).integers(100, 3000, (count, 16, 24)).astype(dtype)
    with rasterio.open(
        path, "w", driver=driver, count=count, height=16, width=24, dtype=dtype, crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as file:  # fmt: skip
        file.write(values)
    return str(path)


def bands_of(path):
    return {band.band: band.index for band in describe(path).bands}


def test_wavelengths_of_an_envi_header(tmp_path):
    path = write(tmp_path / "cube.img", 3, driver="ENVI")
    header = tmp_path / "cube.hdr"
    lines = [line for line in header.read_text().splitlines() if not line.startswith(("band names", "Band "))]
    lines += ["wavelength units = Nanometers", "wavelength = {664.6, 559.8, 492.4}"]
    header.write_text("\n".join(lines) + "\n")
    assert describe(path).sensor == "s2" and bands_of(path) == {"B4": 1, "B3": 2, "B2": 3}


@pytest.mark.parametrize(
    ("namespace", "tags"),
    [
        ("IMAGERY", [{"CENTRAL_WAVELENGTH_UM": value} for value in ("0.8328", "1.6137", "2.2024")]),
        (None, [{"wavelength": value, "wavelength_units": "Micrometers"} for value in ("0.8328", "1.6137", "2.2024")]),
    ],
)
def test_wavelengths_of_tags(tmp_path, namespace, tags):
    path = write(tmp_path / "scene.tif", 3)
    with rasterio.open(path, "r+") as file:
        for index, own in enumerate(tags, start=1):
            file.update_tags(index, **({"ns": namespace} if namespace else {}), **own)
    assert describe(path).sensor == "s2" and bands_of(path) == {"B8": 1, "B11": 2, "B12": 3}


def test_size_and_place(tmp_path):
    found = describe(write(tmp_path / "S2_20200101.tif", 10))
    assert (found.height, found.width, found.count, found.gsd_m) == (16, 24, 10, pytest.approx(10, rel=1e-2))
    assert found.date == "2020-01-01" and len(found.bands) == 10
    assert found.transform == (10, 0, 500_000, 0, -10, 5_000_000)


def test_no_such_file(tmp_path):
    with pytest.raises(RasterError, match="no file"):
        describe(str(tmp_path / "none.tif"))
