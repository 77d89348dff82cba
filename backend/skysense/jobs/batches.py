"""A window of a scene -> what an encoder takes. The one place where scenes and models meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from skysense.errors import BandError
from skysense.models.interface import SENSOR_ORDER, EncoderInfo, SceneBatch
from skysense.protocol.requests import ModelCard
from skysense.protocol.sensors import SENSORS
from skysense.scene.grid import Window
from skysense.scene.ground import lonlat
from skysense.scene.normalise import slot
from skysense.scene.read import AcquisitionReader, SceneReader
from skysense.scene.tiles import Tiling

# Side of a tile, halo included: about a gigabyte of features at work.
TILE_PX = {"hr": 1024, "s2": 256, "s1": 256}


@dataclass(frozen=True)
class TileData:
    """A tile as numpy arrays in the layout of SceneBatch, without the batch axis, and which of its pixels count."""

    arrays: dict[str, NDArray[np.generic]]
    valid: NDArray[np.bool_]  # (H, W) on the reference grid: data there, inside extent and polygon

    def batch(self, device: torch.device | str) -> SceneBatch:
        """As a batch of one."""
        return SceneBatch(**{name: torch.from_numpy(array)[None].to(device) for name, array in self.arrays.items()})


class SceneTiles:
    """Tiles of an open scene for one encoder."""

    def __init__(self, scene: SceneReader, info: EncoderInfo) -> None:
        """Check that the encoder takes the scene's sensors.

        Raises:
            BandError: a sensor that the encoder does not take.
        """
        self.scene, self.info = scene, info
        self.series = {sensor: scene.of_sensor(sensor) for sensor in SENSOR_ORDER}
        self.series = {sensor: readers for sensor, readers in self.series.items() if readers}
        for sensor in self.series:
            if sensor not in info.sensors:
                raise BandError(
                    f"{info.label} takes {', '.join(info.sensors)}, the scene holds {SENSORS[sensor].label}.",
                    "Take the layer out of the scene, or choose another encoder.",
                )
        # The first sensor in the encoder's order gives the output grid; the scene's reference has to be one of its.
        self.lead = next(iter(self.series))
        self.stride = info.strides[self.lead]
        self.lonlat = self._location()

    def tiling(self, tile_px: int) -> Tiling:
        """Tiles with the encoder's halo, on its multiples; 0 takes a size that fits a laptop's memory."""
        return Tiling.of(self.scene.grid, tile_px or TILE_PX[self.lead], self.info.halo[self.lead], self.info.tile_multiple[self.lead])

    def read(self, window: Window) -> TileData:
        """All sensors over the window (H, W pixels of the reference)."""
        arrays: dict[str, NDArray[np.generic]] = {"lonlat": np.array(self.lonlat, np.float32)}
        lead_valid = np.zeros((window.height, window.width), bool)
        for sensor, readers in self.series.items():
            coarseness = 1 if sensor == self.lead else min(self.scene.coarseness(reader) for reader in readers)
            outer = window if coarseness == 1 else self._framed(sensor, window, coarseness)
            values, valid, bands = read_series(self.scene, sensor, readers, outer, coarseness)
            arrays[f"{sensor}_bands"] = bands
            if sensor == "hr":
                arrays["hr"], arrays["hr_valid"] = newest_seen(values, valid)
                arrays["hr_days"] = np.array(readers[-1].day, np.int64)
            else:
                arrays[sensor], arrays[f"{sensor}_valid"] = values, valid
                arrays[f"{sensor}_days"] = np.array([reader.day for reader in readers], np.int64)
                arrays[f"{sensor}_box"] = _box(window, outer, coarseness)
            if sensor == self.lead:
                lead_valid = np.logical_or.reduce(valid, axis=0)
        return TileData(arrays, lead_valid & self.scene.inside(window))

    def _framed(self, sensor: str, window: Window, coarseness: int) -> Window:
        """The window grown by the halo to whole frames of a coarser sensor: its features do not depend on the tile."""
        step = coarseness * self.info.tile_multiple[sensor]
        window = window.buffer(coarseness * self.info.halo[sensor])
        offset_row, offset_column = self.scene.offset
        top = (window.row + offset_row) // step * step - offset_row
        left = (window.column + offset_column) // step * step - offset_column
        height = -(-(window.row + window.height - top) // step) * step
        width = -(-(window.column + window.width - left) // step) * step
        return Window(top, left, height, width)

    def _location(self) -> tuple[float, float]:
        """Of the scene's middle, for all tiles, so that they meet the same geo-context; NaN without a CRS."""
        grid = self.scene.grid
        if grid.crs is None:
            return float("nan"), float("nan")
        west, south, east, north = grid.bounds
        return lonlat(grid.crs_text, (west + east) / 2, (south + north) / 2)


def check_sensors(tiles: SceneTiles, card: ModelCard) -> None:
    """A trained head reads what the encoder makes of all its sensors together: neither fewer nor more will do.

    Raises:
        BandError: the scene holds other sensors than the model was trained on.
    """
    if set(tiles.series) != set(card.sensors):
        wanted, there = (
            " and ".join(SENSORS[sensor].label for sensor in SENSOR_ORDER if sensor in sensors)
            for sensors in (card.sensors, tiles.series)
        )
        raise BandError(
            f"{card.label} was trained on {wanted}, the scene holds {there}.",
            "Give the scene layers of these sensors alone, or choose a model that was trained on what it holds.",
        )


def read_series(
    scene: SceneReader, sensor: str, readers: Sequence[AcquisitionReader], window: Window, coarseness: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Values (T, C, h, w) in the encoder's band order, validity (T, h, w), bands that all dates have (C,)."""
    count = len(SENSORS[sensor].bands)
    height, width = window.height // coarseness, window.width // coarseness
    values = np.zeros((len(readers), count, height, width), np.float32)
    valid = np.zeros((len(readers), height, width), bool)
    bands: NDArray[np.bool_] = np.ones(count, bool)
    for date, reader in enumerate(readers):
        patch = scene.read(reader, window, coarseness)
        channels = [slot(reader.source.sensor, band.band)[1] for band in reader.source.bands]
        values[date, channels] = patch.values[:, :height, :width]
        valid[date] = patch.valid[:height, :width]
        bands = bands & np.isin(np.arange(count), channels)
    return values, valid, bands


def newest_seen(
    values: NDArray[np.float32], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Dates (T, C, h, w) and (T, h, w), the oldest first -> the newest valid pixel (C, h, w), and where there is one."""
    picture = values[0]
    for newer, seen in zip(values[1:], valid[1:]):
        picture = np.where(seen, newer, picture)
    return picture, np.logical_or.reduce(valid, axis=0)


def _box(window: Window, outer: Window, coarseness: int) -> NDArray[np.float32]:
    """Where the window lies in the outer one: top, left, bottom, right in the sensor's pixels."""
    top, left = (window.row - outer.row) / coarseness, (window.column - outer.column) / coarseness
    return np.array((top, left, top + window.height / coarseness, left + window.width / coarseness), np.float32)
