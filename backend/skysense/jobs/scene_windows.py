"""A scene cut into samples for pretraining: windows on one grid, all sensors on exactly the same ground."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from skysense.errors import GridError
from skysense.jobs.batches import read_series
from skysense.models.interface import SENSOR_ORDER
from skysense.objectives.supervised import IGNORE
from skysense.protocol.sensors import SENSORS
from skysense.scene.grid import Window
from skysense.scene.ground import lonlat, pixel_size_m
from skysense.scene.read import AcquisitionReader, SceneReader
from skysense.training.labels import Labels
from skysense.training.shards import Sample

WINDOW_PX = {"hr": 256, "s2": 32, "s1": 32}  # by the finest sensor
LARGEST_STEP = 4  # windows: no sample grows beyond that for the sake of one coarser pixel


class SceneWindows:
    """Samples of an open scene, row by row; each date of the high-resolution sensor gives samples of its own."""

    def __init__(self, scene: SceneReader, place: str, window_px: int, labels: Labels | None) -> None:
        """Lay the windows.

        Args:
            scene: open.
            place: its name.
            window_px: side wanted, in pixels of the finest sensor; 0: what suits it. It is rounded to whole pixels of all
                sensors.
            labels: classes of the ground, None without.

        Raises:
            GridError: the pixels of two sensors differ too much for a window to hold whole ones of both.
        """
        self.scene, self.place, self.labels = scene, place, labels
        series = {sensor: scene.of_sensor(sensor) for sensor in SENSOR_ORDER}
        self.series = {sensor: readers for sensor, readers in series.items() if readers}
        self.lead = next(iter(self.series))
        ratios = {sensor: min(map(scene.coarseness, readers)) for sensor, readers in self.series.items()}
        self.coarseness = whole_ratios(ratios | {self.lead: 1})
        wanted = window_px or WINDOW_PX[self.lead]
        coarsest = max(self.coarseness, key=lambda sensor: self.coarseness[sensor])
        step = self.coarseness[coarsest]
        if step > LARGEST_STEP * wanted:
            raise GridError(
                f"No window of about {wanted} px holds whole pixels of all sensors: one of {SENSORS[coarsest].label} is "
                f"{step} px wide.",
                "Choose a larger window, or make shards of the sensors one by one.",
            )
        smallest = min(scene.grid.height, scene.grid.width)
        self.side = max(1, min(round(wanted / step), smallest // step)) * step
        # Coarser pixels are counted from the corner of the reference's file, not of the extent.
        self.top, self.left = ((-offset) % step for offset in scene.offset)
        self.rows = -(-max(0, scene.grid.height - self.top) // self.side)
        self.columns = -(-max(0, scene.grid.width - self.left) // self.side)
        self.dates = len(self.series["hr"]) if self.lead == "hr" else 1
        self._crs = scene.grid.crs_text

    def __len__(self) -> int:
        return self.rows * self.columns * self.dates

    def read(self, index: int, least_data: float) -> tuple[Sample, Window] | None:
        """A sample and its window; None where less than `least_data` of the finest sensor's pixels have data."""
        row, column = divmod(index // self.dates, self.columns)
        window = Window(self.top + row * self.side, self.left + column * self.side, self.side, self.side)
        inside = self.scene.inside(window)
        arrays: dict[str, NDArray[np.generic]] = {}
        days, bands = {}, {}
        for sensor, readers in self.series.items():
            chosen = [readers[index % self.dates]] if sensor == "hr" else readers
            values, valid, there, seen_days = self._read(sensor, chosen, window, inside)
            if sensor == self.lead and valid.any(axis=0).mean() < least_data:
                return None
            if len(values) == 0:
                continue
            arrays[sensor], arrays[f"{sensor}_valid"] = (values[0], valid[0]) if sensor == "hr" else (values, valid)
            days[sensor], bands[sensor] = seen_days, there
        sample = Sample(
            key="",
            place=self.place,
            arrays=arrays,
            lonlat=self._location(window),
            days=days,
            bands=bands,
            gsd_m=self._gsd_m(window),
            labels=self._labels(window, inside),
        )
        return sample, window

    def _read(
        self, sensor: str, readers: list[AcquisitionReader], window: Window, inside: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
        """Values (T, C, h, w), validity (T, h, w), bands (C,) and days (T,) of the dates on which anything was seen.

        What lies outside the extent is not there, so that ground can be held out by its polygon; nor is what is black in all
        bands of a picture: mosaics are often filled with it and do not say so.
        """
        coarse = self.coarseness[sensor]
        values, valid, bands = read_series(self.scene, sensor, readers, window, coarse)
        cells = self.side // coarse
        valid &= inside.reshape(cells, coarse, cells, coarse).all(axis=(1, 3))
        if sensor == "hr":
            valid &= (values[:, bands] != 0).any(axis=1)
        values = np.where(valid[:, None], values, np.float32(0))
        seen = valid.any(axis=(1, 2))
        return values[seen], valid[seen], bands, np.array([reader.day for reader in readers], np.int64)[seen]

    def _labels(self, window: Window, inside: NDArray[np.bool_]) -> NDArray[np.uint8] | None:
        if self.labels is None:
            return None
        drawn = self.labels.draw(self.scene.grid.window(window))
        drawn[~inside] = IGNORE
        return drawn if (drawn != IGNORE).any() else None

    def _middle(self, window: Window) -> tuple[float, float]:
        x, y = self.scene.grid.transform @ (window.column + window.width / 2, window.row + window.height / 2)
        return float(x), float(y)

    def _location(self, window: Window) -> tuple[float, float] | None:
        return lonlat(self._crs, *self._middle(window)) if self._crs else None

    def _gsd_m(self, window: Window) -> float | None:
        return pixel_size_m(self._crs, self.scene.grid.transform, *self._middle(window)) if self._crs else None


def whole_ratios(ratios: Mapping[str, int]) -> dict[str, int]:
    """Pixels of the finest sensor per pixel of each sensor, each a multiple of the next smaller one, so that a window holds
    whole pixels of all of them. Sentinel-1 of 13 m beside Sentinel-2 of 10 m is read at 10 m."""
    whole: dict[str, int] = {}
    before = 1
    for sensor, ratio in sorted(ratios.items(), key=lambda item: item[1]):
        before = whole[sensor] = before * max(1, round(ratio / before))
    return whole
