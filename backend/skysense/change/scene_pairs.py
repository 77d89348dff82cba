"""Two scenes of one place on one grid: windows of both dates as pairs of pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skysense.change.pair import MARGIN_PX, PixelPair, comparable
from skysense.errors import BandError, RequestError
from skysense.protocol.scene_source import SceneSource
from skysense.protocol.sensors import LANDSAT_TO_S2, SENSORS
from skysense.scene.grid import Window
from skysense.scene.ground import pixel_size_m
from skysense.scene.read import AcquisitionReader, SceneReader


def on_one_grid(before: SceneSource, after: SceneSource) -> SceneSource:
    """Both dates as one scene: the acquisitions of `before`, then those of `after`.

    Its reference is the coarser of the two references, of equals that of `before`: the finer image is averaged and no
    detail is invented.

    Raises:
        RequestError: two different extents. GridError, RasterError: what cannot be read or does not meet.
    """
    if before.extent is not None and after.extent is not None and before.extent != after.extent:
        raise RequestError("The two dates have different extents.", "Choose one extent for both.")
    extent = before.extent or after.extent
    with SceneReader(replace(before, extent=None)) as first, SceneReader(replace(after, extent=None)) as second:
        reference = first.readers.index(first.reference)
        if _pixel_m(second.reference) > 1.001 * _pixel_m(first.reference):
            reference = len(first.readers) + second.readers.index(second.reference)
    return SceneSource((*before.acquisitions, *after.acquisitions), extent, reference)


def _pixel_m(reader: AcquisitionReader) -> float:
    grid = reader.native
    if grid.crs is None:
        return 0.0
    west, south, east, north = grid.bounds
    return pixel_size_m(grid.crs_text, grid.transform, (west + east) / 2, (south + north) / 2)


class ScenePairs:
    """Pairs of pixels of one sensor; Landsat counts as Sentinel-2, band by band of the nearest wavelength."""

    def __init__(self, scene: SceneReader, before: int, sensor: str) -> None:
        """Find the bands that all acquisitions of the sensor have.

        Args:
            scene: see `on_one_grid`.
            before: how many of its acquisitions belong to the first date.
            sensor: "hr", "s2" or "s1".

        Raises:
            BandError: no band in common.
        """
        self.scene, self.sensor = scene, sensor
        mine = scene.of_sensor(sensor)
        self._before = [reader for reader in scene.readers[:before] if reader in mine]
        self._after = [reader for reader in scene.readers[before:] if reader in mine]
        have = [_names(reader) for reader in (*self._before, *self._after)]
        self.bands = [name for name in SENSORS[sensor].band_names if all(name in names for names in have)]
        if not self.bands:
            raise BandError(
                f"The two dates have no {SENSORS[sensor].label} band in common: {' and '.join(map(_text, have))}.",
                "Map the same bands in both scenes.",
            )

    def read(self, window: Window, core: Window) -> PixelPair:
        """Both dates over a window of the scene; `core` is the part that counts."""
        wide = window.buffer(MARGIN_PX)
        before, seen_before = self._composite(self._before, wide)
        after, seen_after = self._composite(self._after, wide)
        frame = self._within_grid(wide)
        inner = np.s_[MARGIN_PX : MARGIN_PX + window.height, MARGIN_PX : MARGIN_PX + window.width]
        seen = seen_before & seen_after
        # The rim of the scene is no gap: beyond it, pixels are missing without having spoilt their neighbours.
        valid = (comparable(seen | ~frame) & seen)[inner]
        counted = np.zeros(valid.shape, bool)
        rows = slice(core.row - window.row, core.row - window.row + core.height)
        columns = slice(core.column - window.column, core.column - window.column + core.width)
        counted[rows, columns] = valid[rows, columns]
        counted &= self.scene.inside(window)
        return PixelPair(
            np.ascontiguousarray(before[:, *inner]), np.ascontiguousarray(after[:, *inner]), valid, counted
        )

    def clipped(self, core: Window, halo_px: int) -> Window:
        """The core and its halo within the scene."""
        grid = self.scene.grid
        top, left = max(core.row - halo_px, 0), max(core.column - halo_px, 0)
        bottom = min(core.row + core.height + halo_px, grid.height)
        right = min(core.column + core.width + halo_px, grid.width)
        return Window(top, left, bottom - top, right - left)

    def _composite(
        self, readers: list[AcquisitionReader], window: Window
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Mean over the acquisitions that see a pixel: values (C, h, w) and validity (h, w)."""
        total = np.zeros((len(self.bands), window.height, window.width), np.float32)
        number = np.zeros((window.height, window.width), np.float32)
        for reader in readers:
            patch = self.scene.read(reader, window)
            channels = [_names(reader).index(name) for name in self.bands]
            total += np.where(patch.valid, patch.values[channels], 0)
            number += patch.valid
        return np.asarray(total / np.maximum(number, 1), np.float32), number > 0

    def _within_grid(self, window: Window) -> NDArray[np.bool_]:
        rows = np.arange(window.row, window.row + window.height)
        columns = np.arange(window.column, window.column + window.width)
        grid = self.scene.grid
        return ((rows >= 0) & (rows < grid.height))[:, None] & ((columns >= 0) & (columns < grid.width))


def _names(reader: AcquisitionReader) -> list[str]:
    """The bands of a file by the encoder's names, in the order they are read."""
    names = [band.band for band in reader.source.bands]
    return [LANDSAT_TO_S2[name] for name in names] if reader.source.sensor == "landsat" else names


def _text(names: list[str]) -> str:
    return ", ".join(names)
