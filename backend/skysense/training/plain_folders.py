"""Folders of plain files: dated series and pictures in, arrays in canonical units out.

A folder is searched, at any depth, for pictures under `images/` (their classes under `masks/`, same name, their meaning in
`classes.json` beside the two), for `HR_*.tif` and `NAIP_*.tif`, and for folders that hold `S2*_YYYYMMDD.tif` and
`S1*_YYYYMMDD.tif` of one place. Bands are known by the descriptions in the files. All files of a place show the same
ground, whatever their pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from skysense.protocol.sensors import S2
from skysense.scene.grid import Window
from skysense.scene.open import open_raster, read_checked

DATE = re.compile(r"_(\d{4})(\d{2})(\d{2})\b")
PICTURES = (".tif", ".png", ".jpg")
S1_INTEGER_DB = -83.0  # dB = 20 log10(DN) - 83, WorldCereal's integers
S1_HUNDREDTHS = 100  # of a decibel: Sen1Floods11's integers, told by the bands' descriptions
LEAST_POWER = 1e-5


@dataclass(frozen=True)
class Place:
    """Files that show one ground."""

    name: str  # set and picture, or set and site
    picture: Path | None
    mask: Path | None  # classes of the picture's pixels
    s2: tuple[Path, ...] = ()  # by date
    s1: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        single = tuple(path for path in (self.picture, self.mask) if path is not None)
        return (*single, *self.s2, *self.s1)


@dataclass(frozen=True)
class Stored:
    """A window of one file."""

    values: NDArray[np.float32]  # (C, h, w) in canonical units, all bands of the sensor
    valid: NDArray[np.bool_]  # (h, w)
    bands: NDArray[np.bool_]  # (C,) which of the sensor's bands are there


# -- finding ---------------------------------------------------------------------------------------------------------
def find_places(folders: Iterable[Path], hold_out: Sequence[str] = ()) -> list[Place]:
    """Everything below the folders, each picture of a site with the site's series.

    Args:
        folders: to search.
        hold_out: parts of paths that are never read.
    """
    found: dict[Place, None] = {}
    for folder in folders:
        sites = site_folders(folder, hold_out)
        for path in picture_files(folder, hold_out):
            if path.parent.name == "images":
                found[Place(f"{path.parent.parent.name}/{path.stem}", path, mask_of(path, hold_out))] = None
            elif path.parent not in sites:
                found[Place(f"{path.parent.parent.name}/{path.parent.name}", path, None)] = None
        for site in sites:
            name = f"{site.parent.name}/{site.name}"
            s2, s1 = series_files(site, "S2", hold_out), series_files(site, "S1", hold_out)
            pictures: list[Path | None] = [path for path in picture_files(site, hold_out) if path.parent == site]
            for picture in pictures or [None]:
                found[Place(name, picture, None, s2, s1)] = None
    return sorted(found, key=lambda place: [str(path) for path in place.files])


def picture_files(folder: Path, hold_out: Sequence[str] = ()) -> list[Path]:
    """High-resolution pictures below a folder."""
    paths = {*folder.glob("**/images/*"), *folder.glob("**/HR_*.tif"), *folder.glob("**/NAIP_*.tif")}
    return sorted(path for path in paths if path.suffix in PICTURES and not held_out(path, hold_out))


def site_folders(folder: Path, hold_out: Sequence[str] = ()) -> list[Path]:
    """Folders below (or the folder itself) that hold Sentinel images of one place."""
    paths = {*folder.glob("**/S2*.tif"), *folder.glob("**/S1*.tif")}
    return sorted({path.parent for path in paths if not held_out(path, hold_out)})


def series_files(site: Path, sensor: str, hold_out: Sequence[str] = ()) -> tuple[Path, ...]:
    """Images of one sensor ("S2", "S1") by date, undated ones first; orbits of one day by name."""
    paths = [path for path in site.glob(f"{sensor}*.tif") if not held_out(path, hold_out)]
    return tuple(sorted(paths, key=lambda path: (day_of(path) or date.min, path.name)))


def mask_of(picture: Path, hold_out: Sequence[str] = ()) -> Path | None:
    """The file of the same name under `masks/`."""
    for suffix in PICTURES[:2]:  # JPEG keeps no class numbers
        path = picture.parent.parent / "masks" / f"{picture.stem}{suffix}"
        if path.is_file() and not held_out(path, hold_out):
            return path
    return None


def held_out(path: Path, parts: Sequence[str]) -> bool:
    return any(part in str(path) for part in parts)


def day_of(path: Path) -> date | None:
    """The date in a file's name; None where there is none, or no day of the calendar."""
    match = DATE.search(path.stem)
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


# -- reading ---------------------------------------------------------------------------------------------------------
def read_picture(path: Path, window: Window | None = None) -> Stored:
    """8-bit R, G, B and perhaps N as shares of full scale. Pixels that are black in all bands have no data."""
    with open_raster(str(path)) as file:
        indexes = list(range(1, min(file.count, 4) + 1))
        stored, valid = _read(file, window, indexes)
    values = np.zeros((4, *stored.shape[1:]), np.float32)
    values[: len(stored)] = stored / 255
    return Stored(values, valid, np.arange(4) < len(stored))


def read_sentinel2(path: Path, window: Window | None = None) -> Stored:
    """Integers of 1/10,000 as reflectance, in the order of `protocol.sensors`."""
    with open_raster(str(path)) as file:
        names = [_short(description or "") for description in file.descriptions]
        stored, valid = _read(file, window)
    values = np.zeros((len(S2.bands), *stored.shape[1:]), np.float32)
    bands = np.array([name in names for name in S2.band_names])
    for i, name in enumerate(S2.band_names):
        if name in names:
            values[i] = stored[names.index(name)] / 10_000
    return Stored(values, valid, bands)


def read_sentinel1(path: Path, window: Window | None = None) -> Stored:
    """VV and VH in decibel: from decibel, hundredths of it, integers as WorldCereal has them, or linear power."""
    with open_raster(str(path)) as file:
        described = " ".join(description or "" for description in file.descriptions[:2])
        integers = file.dtypes[0].startswith("uint")
        stored, valid = _read(file, window, list(range(1, min(file.count, 2) + 1)))
    if "dB x100" in described:
        stored = stored / np.float32(S1_HUNDREDTHS)
    elif "dB" not in described:
        power = np.log10(np.maximum(stored, LEAST_POWER))
        stored = (20 * power + S1_INTEGER_DB if integers else 10 * power).astype(np.float32)
    return Stored(stored, valid, np.ones(len(stored), bool))


def read_mask(path: Path, window: Window | None = None) -> NDArray[np.generic]:
    """Class numbers (h, w) as they are stored."""
    with open_raster(str(path)) as file:
        read: NDArray[np.generic] = read_checked(file, indexes=1, window=_area(window))
    return read


def _read(
    file: DatasetReader, window: Window | None, indexes: list[int] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values as stored, and which pixels are finite, not nodata in any band, and not 0 in all.

    Mask bands are not asked: four-band pictures are often written with the near infrared called alpha.
    """
    values: NDArray[np.float32] = read_checked(file, indexes=indexes, window=_area(window), out_dtype="float32")
    valid = np.isfinite(values).all(axis=0) & (values != 0).any(axis=0)
    if file.nodata is not None:
        valid &= (values != np.float32(file.nodata)).all(axis=0)
    return values, valid


def _area(window: Window | None) -> RasterioWindow | None:
    return None if window is None else RasterioWindow(window.column, window.row, window.width, window.height)


def _short(name: str) -> str:
    return re.sub(r"^B0(\d)$", r"B\1", name)
