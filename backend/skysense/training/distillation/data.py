"""Pictures and series for distillation, whole in memory; found and read as `training/plain_folders.py` says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysense.scene.grid import Window
from skysense.scene.open import open_raster
from skysense.training.plain_folders import (
    day_of,
    picture_files,
    read_picture,
    read_sentinel1,
    read_sentinel2,
    series_files,
    site_folders,
)

LARGEST_SIDE = 1024  # pixels of one Sentinel image that are used


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
    return [_picture(path) for folder in folders for path in picture_files(folder, hold_out)]


def sites(folders: Iterable[Path], hold_out: Sequence[str] = ()) -> list[Site]:
    """Places with Sentinel-2 images; series by name, on which the draws of a distillation depend."""
    found = []
    for folder in folders:
        for place in site_folders(folder, hold_out):
            s2 = tuple(_sentinel2(path) for path in sorted(series_files(place, "S2", hold_out)))
            if s2:
                found.append(Site(s2, tuple(_sentinel1(path) for path in sorted(series_files(place, "S1", hold_out)))))
    return found


def _picture(path: Path) -> Image:
    stored = read_picture(path)
    return Image(path, stored.values, stored.bands, day_of(path))


def _sentinel2(path: Path) -> Image:
    stored = read_sentinel2(path, _middle(path))
    return Image(path, stored.values, stored.bands, day_of(path))


def _sentinel1(path: Path) -> Image:
    stored = read_sentinel1(path, _middle(path))
    return Image(path, stored.values, stored.bands, day_of(path))


def _middle(path: Path) -> Window:
    with open_raster(str(path)) as file:
        height, width = file.shape
    top, left = (max(0, (side - LARGEST_SIDE) // 2) for side in (height, width))
    return Window(top, left, min(height, LARGEST_SIDE), min(width, LARGEST_SIDE))


def _days_apart(a: Image, b: Image) -> int:
    return 10_000 if a.day is None or b.day is None else abs((a.day - b.day).days)
