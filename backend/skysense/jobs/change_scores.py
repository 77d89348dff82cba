"""The raw change score of one sensor: which method, and its passes over the tiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from skysense.change.deep_features import DeepFeatures
from skysense.change.layer import ScoreLayer
from skysense.change.objects import BLOCK_PX, Objects
from skysense.change.pair import PixelPair
from skysense.change.scene_pairs import ScenePairs
from skysense.change.scores import ChangeVector, LogRatio, Method
from skysense.errors import BandError, GridError, RequestError
from skysense.jobs.change_warnings import stored_alike
from skysense.jobs.encoders import choose_device, encoder_on
from skysense.jobs.report import Part, Report
from skysense.protocol.requests import CHANGE_METHODS, DetectChange
from skysense.protocol.scene_source import SceneSource
from skysense.protocol.sensors import SENSORS
from skysense.scene.grid import Grid, Window
from skysense.scene.read import SceneReader
from skysense.scene.tiles import Tiling

SAMPLED_TILES = 64  # whose features give the statistics of a large layer; smaller ones are seen whole
# Small enough that a tile of both dates takes less than a second or two: the job is cancelled between tiles.
PIXEL_TILE_PX = 512  # of methods without an encoder
ENCODED_TILE_PX = {"hr": 768, "s2": 128, "s1": 128}
TIMED_TILES = 5  # that are tried for one with data

T = TypeVar("T")


@dataclass(frozen=True)
class ScoredPart:
    """One sensor's raw score."""

    sensor: str
    method: str
    bands: tuple[str, ...]
    layer: ScoreLayer


# -- which method ----------------------------------------------------------------------------------------------------
def choose_parts(request: DetectChange) -> list[tuple[str, str]]:
    """(sensor, method) of each part of the score: one, or two where both Sentinels see both dates."""
    if request.method not in CHANGE_METHODS:
        raise RequestError(f"There is no method {request.method!r}.", f"Choose one of {', '.join(CHANGE_METHODS)}.")
    before, after = _sensors(request.before), _sensors(request.after)
    common = [sensor for sensor in ("hr", "s2", "s1") if sensor in before & after]
    if not common:
        labels = [" and ".join(sorted(SENSORS[key].label for key in keys)) for keys in (before, after)]
        raise BandError(
            f"The two dates have no sensor in common: {labels[0]} before, {labels[1]} after.",
            "Choose layers of the same kind of sensor on both dates.",
        )
    if request.method == "log-ratio" and "s1" not in common:
        raise BandError(
            f"The log-ratio compares radar; both dates hold {SENSORS[common[0]].label} only.",
            "Choose the change vector, or leave the method to the tool.",
        )
    if request.method == "log-ratio":
        return [("s1", "log-ratio")]
    if request.method != "auto":
        return [(common[0], request.method)]
    if "hr" in common:
        return [("hr", "deep-features")]
    return [(sensor, {"s2": "change-vector", "s1": "log-ratio"}[sensor]) for sensor in common]


def _sensors(scene: SceneSource) -> set[str]:
    keys = {acquisition.sensor for acquisition in scene.acquisitions}
    return {"s2" if key == "landsat" else key for key in keys}


# -- raw scores ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Scoring:
    """What scoring one sensor takes: (window with halo, its core) of each tile, and of those that give the statistics."""

    sensor: str
    name: str
    grid: Grid
    pairs: ScenePairs
    method: Method
    windows: list[tuple[Window, Window]]
    observed: list[tuple[Window, Window]]
    objects: Objects | None

    @classmethod
    def of(cls, sensor: str, name: str, scene: SceneReader, request: DetectChange, report: Report) -> Scoring:
        """Scoring of both dates of an open scene by a method of this name."""
        pairs = ScenePairs(scene, len(request.before.acquisitions), sensor)
        method: Method
        objects = None
        if name == "deep-features":
            device = choose_device(request.device)
            encoder = encoder_on(request.encoder, device, report)
            method = DeepFeatures(encoder, sensor, pairs.bands, device)
            tiling = Tiling.of(scene.grid, request.tile_px or ENCODED_TILE_PX[sensor], method.halo_px, method.multiple)
            windows = [(tile.outer, tile.core) for tile in tiling]
            objects = Objects() if sensor == "hr" else None
        else:
            alike = stored_alike(request.before, request.after, sensor)
            method = LogRatio() if name == "log-ratio" else ChangeVector(per_date=not alike)
            tiling = Tiling.of(scene.grid, request.tile_px or PIXEL_TILE_PX, 0, 1)
            windows = [(pairs.clipped(tile.core, method.halo_px), tile.core) for tile in tiling]
        observed = windows
        if name == "deep-features" and len(windows) > SAMPLED_TILES:
            observed = [windows[i] for i in np.linspace(0, len(windows) - 1, SAMPLED_TILES).round().astype(int)]
        return cls(sensor, name, scene.grid, pairs, method, windows, observed, objects)

    def score(self, folder: Path, report: Report) -> ScoredPart:
        """The raw score over the whole layer: statistics first, then scores, then objects.

        Raises:
            GridError: nowhere are there data on both dates.
        """
        self._observe(Part(report, 0.0, 0.4))
        layer = ScoreLayer(folder / f"{self.sensor}.score", self.grid.height, self.grid.width)
        for pair, (window, core) in self._read(self.windows, Part(report, 0.4, 0.9), "Comparing the dates"):
            inner = np.s_[core.row - window.row :, core.column - window.column :]
            scores = np.where(pair.counted, self.method.score(pair), np.nan)
            layer.write(core, scores[inner][: core.height, : core.width])
        if self.objects is not None:
            cores = [(tile.core, tile.core) for tile in Tiling.of(self.grid, BLOCK_PX, 0, 1)]
            for pair, (_, core) in self._read(cores, Part(report, 0.9, 1.0), "Finding objects"):
                averaged = self.objects.average(layer.read(core), pair)
                layer.write(core, np.where(pair.counted, averaged, np.nan))
        return ScoredPart(self.sensor, self.name, tuple(self.pairs.bands), layer)

    def seconds(self, report: Report) -> float:
        """What `score` will take, from one tile with data; of no use for scoring afterwards."""
        tried = np.unique(np.linspace(0, len(self.windows) - 1, TIMED_TILES + 2).round().astype(int)[1:-1])
        for index in tried:
            window, core = self.windows[index]
            report.progress(0.5, "Timing one tile")
            pair = self.pairs.read(window, core)  # warms up, as the first observation does
            if pair.counted.any():
                return self._seconds_by(window, core)
        return 0.0

    def _seconds_by(self, window: Window, core: Window) -> float:
        def timed(work: Callable[[], T]) -> tuple[float, T]:
            began = time.perf_counter()
            done = work()
            return time.perf_counter() - began, done

        reading, pair = timed(lambda: self.pairs.read(window, core))
        self.method.observe(pair)
        observing, _ = timed(lambda: self.method.observe(pair))
        scoring, scores = timed(lambda: self.method.score(pair))
        averaging = 0.0
        if self.objects is not None:
            objects = self.objects
            observing += timed(lambda: objects.observe(pair))[0]
            averaging = reading + timed(lambda: objects.average(scores, pair))[0]
        observed = sum(outer.height * outer.width for outer, _ in self.observed)
        scored = sum(outer.height * outer.width for outer, _ in self.windows)
        seconds = observed * (reading + observing) + scored * (reading + scoring)
        return (seconds + self.grid.height * self.grid.width * averaging) / (window.height * window.width)

    def _observe(self, report: Report) -> None:
        seen = 0
        for pair, _ in self._read(self.observed, report, f"Reading {SENSORS[self.sensor].label}"):
            seen += int(pair.counted.sum())
            self.method.observe(pair)
            if self.objects is not None:
                self.objects.observe(pair)
        if not seen:
            raise GridError(
                "No pixel has data on both dates.", "Check that both layers cover the extent, and their nodata values."
            )

    def _read(
        self, windows: list[tuple[Window, Window]], report: Report, stage: str
    ) -> Iterator[tuple[PixelPair, tuple[Window, Window]]]:
        for done, (window, core) in enumerate(windows):
            report.progress(done / len(windows), stage, f"tile {done + 1} of {len(windows)}")
            yield self.pairs.read(window, core), (window, core)
