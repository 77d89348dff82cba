"""A described raster becomes an acquisition: what the user corrects carries what depends on it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from skysense.errors import BandError, RequestError
from skysense.jobs.describe import describe
from skysense.jobs.scene_from_files import scene_from_files
from skysense.protocol.scene_source import BandIndex, Scaling
from skysense.protocol.source import acquisition

S2 = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")


def stack(path: Path, low: int, bands=S2, scale: float = 1.0, **tags: str) -> str:
    """A Sentinel-2 product of 20 x 20 pixels, its darkest pixel `low`, its first band the darkest."""
    rng = np.random.default_rng(0)
    values = np.stack([rng.integers(low, low + 3000, (20, 20)) + 1000 * i for i in range(len(bands))]).astype("uint16")
    with rasterio.open(path, "w", driver="GTiff", count=len(bands), height=20, width=20, dtype="uint16", crs="EPSG:32631",
                       transform=Affine(10, 0, 5e5, 0, -10, 5e6)) as file:  # fmt: skip
        file.write(values)
        file.descriptions = bands
        file.scales = [scale] * len(bands)
        file.update_tags(**tags)
    return str(path)


@pytest.mark.parametrize(
    ("low", "day", "offset"),
    [(1050, "2022-03-01", -0.1), (1050, "2021-03-01", 0.0), (1050, None, 0.0), (300, "2022-03-01", 0.0)],
)
def test_the_offset_follows_the_date_that_the_user_gives(tmp_path, low, day, offset):
    """Products since 2022-01-25 store reflectance plus 1000, unless dark pixels show that somebody took it off."""
    described = describe(stack(tmp_path / "stack.tif", low))
    assert described.date is None
    assert acquisition(described, date=day).scaling == Scaling(1e-4, offset)
    (source,) = scene_from_files([described.path], [day or "-"]).acquisitions
    assert source.scaling == Scaling(1e-4, offset)


def test_the_processing_baseline_outweighs_the_date(tmp_path):
    old = describe(stack(tmp_path / "a.tif", 1050, PROCESSING_BASELINE="02.14"))
    new = describe(stack(tmp_path / "b.tif", 300, PROCESSING_BASELINE="05.10"))
    for day in (None, "2020-03-01", "2022-03-01"):
        assert acquisition(old, date=day).scaling == Scaling(1e-4)
        assert acquisition(new, date=day).scaling == Scaling(1e-4, -0.1)


def test_the_files_own_scale_is_kept_when_the_sensor_is_corrected(tmp_path):
    described = describe(stack(tmp_path / "a.tif", 300, scale=2e-4))
    assert described.scaling == acquisition(described, "landsat").scaling == Scaling(2e-4)


def test_the_first_band_tells_the_dark_pixels_whatever_is_shown(tmp_path):
    """Red, which is shown, is brighter than blue: its darkest pixels say nothing of an offset."""
    described = describe(stack(tmp_path / "a.tif", 300))
    assert described.display.red.low > 900 > described.low
    assert acquisition(described, "s2", "2023-01-01").scaling == Scaling(1e-4)


def test_bands_by_hand(tmp_path):
    path = stack(tmp_path / "a.tif", 300, S2[:3])
    (source,) = scene_from_files([path], sensors=["hr"], bands=["R=3 G=2"]).acquisitions
    assert source.bands == (BandIndex("R", 3), BandIndex("G", 2))
    with pytest.raises(BandError, match="a.tif: There is no band 9 for R: the file has 3.*--bands"):
        scene_from_files([path], sensors=["hr"], bands=["R=9"])
    with pytest.raises(RequestError, match="1 files but 2 bands"):
        scene_from_files([path], bands=["-", "-"])
