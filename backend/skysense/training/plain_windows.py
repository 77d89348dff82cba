"""Places of plain folders cut into samples for pretraining.

The files of a place show the same ground in pixels of any size; a sample is a part of that ground, cut along the coarsest
sensor's pixels. A place that is little larger than a window is one sample.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skysense.errors import GridError, LabelError
from skysense.objectives.supervised import IGNORE
from skysense.scene.grid import Window
from skysense.scene.ground import lonlat, pixel_size_m
from skysense.scene.open import open_raster
from skysense.scene.warp import native_grid
from skysense.training.plain_folders import (
    Place,
    Stored,
    day_of,
    read_mask,
    read_picture,
    read_sentinel1,
    read_sentinel2,
)
from skysense.training.shards import Sample

UNLABELLED = ("unlabeled", "unlabelled")  # names in classes.json


@dataclass(frozen=True)
class Classes:
    """Class numbers of all sets as indices of one list."""

    names: tuple[str, ...]
    indices: Mapping[tuple[str, int], int]  # (set, number in its masks) -> index; numbers without one are unlabelled

    def of(self, place: Place, numbers: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Indices (h, w) of a mask's numbers."""
        drawn = np.full(numbers.shape, IGNORE, np.uint8)
        for (name, number), index in self.indices.items():
            if name == _set_of(place):
                drawn[numbers == number] = index
        return drawn


class PlaceWindows:
    """Samples of one place, row by row."""

    def __init__(self, place: Place, window_px: Mapping[str, int], classes: Classes) -> None:
        """Look at the first file of each sensor.

        Raises:
            RasterError: a file that cannot be read.
        """
        self.place, self.classes = place, classes
        self.files = {"hr": (place.picture,) if place.picture else (), "s2": place.s2, "s1": place.s1}
        self.files = {sensor: paths for sensor, paths in self.files.items() if paths}
        self.sizes = {sensor: _size(paths[0]) for sensor, paths in self.files.items()}
        self.lead = next(iter(self.files))
        coarsest = min(self.sizes.values(), key=lambda size: size[0] * size[1])
        cells = window_px[self.lead] * (coarsest[0] * coarsest[1] / np.prod(self.sizes[self.lead])) ** 0.5
        self._cells = coarsest
        self._spans = [spans(length, max(1, round(cells))) for length in coarsest]

    def __len__(self) -> int:
        return len(self._spans[0]) * len(self._spans[1])

    def read(self, index: int, least_data: float) -> tuple[Sample, Window] | None:
        """A sample and its window; None where less than `least_data` of the finest sensor's pixels have data.

        Raises:
            GridError: files of one sensor that differ in size. RasterError: a file that cannot be read.
        """
        row, column = divmod(index, len(self._spans[1]))
        arrays: dict[str, NDArray[np.generic]] = {}
        days, bands = {}, {}
        for sensor in self.files:
            area = self._window(sensor, row, column)
            images = [self._read(sensor, path, area) for path in self.files[sensor]]
            valid = np.stack([image.valid for image in images])
            if sensor == self.lead and valid.any(axis=0).mean() < least_data:
                return None
            seen = np.flatnonzero(valid.any(axis=(1, 2)))
            if len(seen) == 0:
                continue
            values = np.stack([np.where(images[i].valid, images[i].values, np.float32(0)) for i in seen])
            arrays[sensor], arrays[f"{sensor}_valid"] = (values[0], valid[0]) if sensor == "hr" else (values, valid[seen])
            days[sensor] = np.array([_day(self.files[sensor][i]) for i in seen], np.int64)
            bands[sensor] = np.logical_and.reduce([images[i].bands for i in seen])
        window = self._window(self.lead, row, column)
        where, gsd_m = _ground(self.files[self.lead][0], window)
        return Sample("", self.place.name, arrays, where, days, bands, gsd_m, self._labels(window)), window

    def _window(self, sensor: str, row: int, column: int) -> Window:
        """The part's pixels of one sensor."""
        edges = []
        for axis, number in enumerate((row, column)):
            start, length = self._spans[axis][number]
            ratio = self.sizes[sensor][axis] / self._cells[axis]
            edges.append((round(start * ratio), round(length * ratio)))
        return Window(edges[0][0], edges[1][0], edges[0][1], edges[1][1])

    def _read(self, sensor: str, path: Path, window: Window) -> Stored:
        if _size(path) != self.sizes[sensor]:
            raise GridError(
                f"{path.name} has {_size(path)} pixels, {self.files[sensor][0].name} beside it {self.sizes[sensor]}.",
                "Files of one sensor and place have to lie on the same pixels.",
            )
        return {"hr": read_picture, "s2": read_sentinel2, "s1": read_sentinel1}[sensor](path, window)

    def _labels(self, window: Window) -> NDArray[np.uint8] | None:
        mask = self.place.mask
        if mask is None:
            return None
        if _size(mask) != self.sizes["hr"]:
            raise LabelError(
                f"{mask.name} has {_size(mask)} pixels, its picture {self.sizes['hr']}.", "Make masks on the picture's pixels."
            )
        drawn = self.classes.of(self.place, read_mask(mask, window))
        return drawn if (drawn != IGNORE).any() else None


def spans(length: int, side: int) -> list[tuple[int, int]]:
    """Start and length of equal parts of about `side` that fill the length; they may overlap, or leave some between."""
    count = round(length / side)
    if count <= 1:
        return [(0, length)]
    return [(round(i * (length - side) / (count - 1)), side) for i in range(count)]


def find_classes(places: Sequence[Place], first: Sequence[str], looked: Callable[[float], None]) -> Classes:
    """All class numbers in the masks, by set; read once, since the list has to be known before the first sample.

    Args:
        places: all of them.
        first: names that take the first indices.
        looked: told the share that has been read.

    Raises:
        LabelError: more than 255 classes.
    """
    numbers: set[tuple[str, int]] = set()
    named: dict[str, dict[int, str]] = {}
    for done, place in enumerate(places):
        looked(done / len(places))
        if place.mask is not None:
            numbers |= {(_set_of(place), int(number)) for number in np.unique(read_mask(place.mask))}
            named.setdefault(_set_of(place), _names(place.mask.parent.parent / "classes.json"))
    kept = [(name, number) for name, number in sorted(numbers) if named[name].get(number) not in UNLABELLED and number != IGNORE]
    names = [*first, *(f"{name}: {named[name].get(number, number)}" for name, number in kept)]
    if len(names) > IGNORE:
        raise LabelError(f"The masks hold {len(names)} classes, at most {IGNORE} can be told apart.", "Leave folders out.")
    return Classes(tuple(names), {key: len(first) + i for i, key in enumerate(kept)})


def _names(path: Path) -> dict[int, str]:
    """What the numbers of a set mean."""
    if not path.is_file():
        return {}
    try:
        return {int(number): str(name) for number, name in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise LabelError(f"{path} cannot be read: {error}.", 'Write {"1": "building", …}.') from error


def _set_of(place: Place) -> str:
    return place.name.rsplit("/", 1)[0]


def _size(path: Path) -> tuple[int, int]:
    """Rows and columns."""
    with open_raster(str(path)) as file:
        return int(file.height), int(file.width)


def _day(path: Path) -> int:
    """Of the year, 0 = unknown."""
    found = day_of(path)
    return 0 if found is None else found.timetuple().tm_yday


def _ground(path: Path, window: Window) -> tuple[tuple[float, float] | None, float | None]:
    """Longitude and latitude of the window's middle and the pixel's side in metres, where the file knows."""
    with open_raster(str(path)) as file:
        grid = native_grid(file)
    if grid.crs is None:
        return None, None
    x, y = grid.transform @ (window.column + window.width / 2, window.row + window.height / 2)
    return lonlat(grid.crs_text, x, y), pixel_size_m(grid.crs_text, grid.transform, x, y)
