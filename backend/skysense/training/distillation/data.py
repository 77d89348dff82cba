"""Pictures and series for distillation: folders in, arrays in canonical units out.

A folder is searched for `images/*`, `HR_*.tif` and `NAIP_*.tif` (high resolution), and for folders that hold `S2*.tif`
and `S1*.tif` of one place; their bands are known by the descriptions in the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysense.protocol.sensors import S2
from skysense.scene.open import open_raster, read_checked

DATE = re.compile(r"_(\d{4})(\d{2})(\d{2})\b")
LARGEST_SIDE = 1024  # pixels of one Sentinel image that are used
S1_INTEGER_DB = -83.0  # dB = 20 log10(DN) - 83, WorldCereal's integers


@dataclass(frozen=True)
class Image:
    """One image of one sensor."""

    path: Path
    values: NDArray[np.float32]  # (C, H, W) in canonical units
    bands: NDArray[np.bool_]  # (C,) which of the sensor's bands are there
    day: date | None


@dataclass(frozen=True)
class Site:
    """Sentinel series of one place, every image on the same pixels."""

    s2: tuple[Image, ...]
    s1: tuple[Image, ...]

    def pairs(self, days: int) -> list[tuple[Image, Image]]:
        """Each S2 image with the S1 image nearest in time, where one lies within so many days."""
        found = []
        for optical in self.s2:
            near = [radar for radar in self.s1 if _days_apart(optical, radar) <= days]
            if near:
                found.append((optical, min(near, key=lambda radar: _days_apart(optical, radar))))
        return found


def pictures(folders: Iterable[Path], hold_out: Sequence[str] = ()) -> list[Image]:
    """High-resolution pictures; `hold_out` names parts of paths that are never read."""
    found = []
    for folder in folders:
        paths = [*folder.glob("images/*"), *folder.glob("**/HR_*.tif"), *folder.glob("**/NAIP_*.tif")]
        for path in sorted(set(paths)):
            if path.suffix in (".tif", ".png", ".jpg") and not held_out(path, hold_out):
                found.append(_picture(path))
    return found


def sites(folders: Iterable[Path], hold_out: Sequence[str] = ()) -> list[Site]:
    """Places with Sentinel images of at least one frame."""
    found = []
    for folder in folders:
        for place in sorted({path.parent for path in folder.glob("**/S2*.tif")}):
            if held_out(place, hold_out):
                continue
            s2 = tuple(_sentinel2(path) for path in sorted(place.glob("S2*.tif")))
            s1 = tuple(_sentinel1(path) for path in sorted(place.glob("S1*.tif")))
            found.append(Site(s2, s1))
    return found


def held_out(path: Path, parts: Sequence[str]) -> bool:
    return any(part in str(path) for part in parts)


def _picture(path: Path) -> Image:
    with open_raster(str(path)) as file:
        stored = read_checked(file)[:4]
    values = np.zeros((4, *stored.shape[1:]), np.float32)
    values[: len(stored)] = stored.astype(np.float32) / 255
    return Image(path, values, np.arange(4) < len(stored), _day(path))


def _sentinel2(path: Path) -> Image:
    with open_raster(str(path)) as file:
        names = [_short(description or "") for description in file.descriptions]
        stored = _middle(read_checked(file)).astype(np.float32)
    values = np.zeros((len(S2.bands), *stored.shape[1:]), np.float32)
    bands = np.array([name in names for name in S2.band_names])
    for i, name in enumerate(S2.band_names):
        if name in names:
            values[i] = stored[names.index(name)] / 10_000
    return Image(path, values, bands, _day(path))


def _sentinel1(path: Path) -> Image:
    with open_raster(str(path)) as file:
        decibel = any("dB" in (description or "") for description in file.descriptions)
        integers = file.dtypes[0].startswith("uint")
        stored = _middle(read_checked(file)).astype(np.float32)
    if not decibel:
        power = np.log10(np.maximum(stored, 1e-5))
        stored = (20 * power + S1_INTEGER_DB if integers else 10 * power).astype(np.float32)
    return Image(path, stored, np.ones(len(stored), bool), _day(path))


def _middle(values: NDArray[np.generic]) -> NDArray[np.generic]:
    top, left = (max(0, (side - LARGEST_SIDE) // 2) for side in values.shape[1:])
    return values[:, top : top + LARGEST_SIDE, left : left + LARGEST_SIDE]


def _short(name: str) -> str:
    return re.sub(r"^B0(\d)$", r"B\1", name)


def _day(path: Path) -> date | None:
    match = DATE.search(path.stem)
    return date(int(match[1]), int(match[2]), int(match[3])) if match else None


def _days_apart(a: Image, b: Image) -> int:
    return 10_000 if a.day is None or b.day is None else abs((a.day - b.day).days)
