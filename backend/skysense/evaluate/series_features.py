"""The kinds of features that the probe of series compares, each one vector a pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from skysense.evaluate.site_pixels import Extract, Indices
from skysense.evaluate.sites import Site
from skysense.evaluate.untrained import untrained
from skysense.jobs.batches import TileData
from skysense.models.interface import Encoder
from skysense.protocol.sensors import SENSORS
from skysense.training.segmenter import choose_levels

LEAST_SUM = 1e-3  # of two reflectances, so that an index of nothing stays finite
INDICES = (("B8", "B4"), ("B3", "B8"), ("B8", "B11"))  # vegetation, water, moisture: (a - b) / (a + b)
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """A kind of features as the rows name it."""

    name: str
    extract: Extract
    digest: str | None = None
    untrained_seed: int | None = None


def series_features(model: str, encoder: Encoder, sites: Sequence[Site], baselines: bool) -> Iterator[Features]:
    """The model's, then those of the baselines; each is to be used before the next is asked for."""
    yield Features(model, encoded(encoder), encoder.info.digest)
    if not baselines:
        return
    for network in untrained(model, encoder, ("s2", "s1")):
        yield Features(network.name, encoded(network.encoder), untrained_seed=network.seed)
    yield Features("raw", RawSeries(sites, encoder.info.sensors))


def encoded(encoder: Encoder) -> Extract:
    """What a head of the training job reads of a series: the finest sensor's own levels and the fused map."""
    info = encoder.info

    @torch.inference_mode()
    def extract(site: Site, data: TileData, rows: Indices, columns: Indices) -> Floats:
        batch = data.batch("cpu")
        dates = max(getattr(batch, sensor).shape[1] for sensor in batch.sensors)
        maps = encoder(batch)
        found = []
        for name in choose_levels(info, batch.sensors, dates):
            level, stride = maps[name].values, maps[name].stride
            if stride > 1:
                level = F.interpolate(level, scale_factor=stride, mode="bilinear", align_corners=False)
            found.append(level[0, :, rows, columns])
        return torch.cat(found).T.float().numpy()

    return extract


# -- without a network -----------------------------------------------------------------------------------------------
class RawSeries:
    """All bands of all dates in the order of time, with vegetation, water and moisture index, and VV - VH.

    A date is a slot of the vector. Where the sites of a set have different dates, the slots are the twelve months, each
    the mean of its dates. What a pixel lacks in a slot, under clouds or because there is no image, comes from the
    nearest slots before and after, linearly in time, or from the nearest alone; of a sensor that never saw it, zeros.
    """

    def __init__(self, sites: Sequence[Site], sensors: Sequence[str]) -> None:
        self.slots: dict[str, list[str]] = {}
        self._months: dict[str, bool] = {}
        for sensor in (sensor for sensor in ("s2", "s1") if sensor in sensors):
            dates = [site.days(sensor) for site in sites]
            self._months[sensor] = len(set(dates)) > 1
            keys = {self._slot(sensor, day) for days in dates for day in days}
            self.slots[sensor] = [f"{month:02}" for month in range(1, 13)] if self._months[sensor] else sorted(keys)

    def __call__(self, site: Site, data: TileData, rows: Indices, columns: Indices) -> Floats:
        parts = []
        for sensor, slots in self.slots.items():
            values = np.zeros((len(slots), len(SENSORS[sensor].bands), len(rows)), np.float32)
            counts = np.zeros((len(slots), len(rows)), np.int64)
            if sensor in data.arrays:
                images, seen = (data.arrays[name][..., rows, columns] for name in (sensor, f"{sensor}_valid"))
                for day, image, valid in zip(site.days(sensor), images, seen):
                    slot = slots.index(self._slot(sensor, day))
                    values[slot] += np.where(valid, image, 0)
                    counts[slot] += valid
            values /= np.maximum(counts, 1)[:, None]
            filled = fill_gaps(values, counts > 0, np.array([self._time(sensor, slot) for slot in slots]))
            parts.append(np.concatenate([filled, _derived(sensor, filled)], axis=1).reshape(-1, len(rows)))
        return np.concatenate(parts).T

    def _slot(self, sensor: str, day: str) -> str:
        return day[4:6] if self._months[sensor] else day

    def _time(self, sensor: str, slot: str) -> float:
        return float(slot) if self._months[sensor] else float(datetime.strptime(slot, "%Y%m%d").toordinal())


def fill_gaps(values: Floats, seen: NDArray[np.bool_], times: NDArray[np.float64]) -> Floats:
    """(T, C, n) with what was not seen (T, n) between its neighbours in time, linearly; zeros where nothing ever was."""
    count = len(times)
    order = np.arange(count)[:, None]
    before = np.maximum.accumulate(np.where(seen, order, -1), axis=0)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(seen, order, count), axis=0), axis=0), axis=0)
    first = np.clip(np.where(before < 0, after, before), 0, count - 1)
    second = np.clip(np.where(after == count, before, after), 0, count - 1)
    share = (times[:, None] - times[first]) / np.where(first == second, 1, times[second] - times[first])
    share = np.where(first == second, 0, share)[:, None]
    low, high = (np.take_along_axis(values, index[:, None], axis=0) for index in (first, second))
    return np.where(seen.any(axis=0), low + share * (high - low), 0).astype(np.float32)


def _derived(sensor: str, values: Floats) -> Floats:
    """(T, C, n) -> (T, K, n)."""
    names = SENSORS[sensor].band_names
    if sensor == "s1":
        return values[:, :1] - values[:, 1:2]
    pairs = [(values[:, names.index(a)], values[:, names.index(b)]) for a, b in INDICES]
    return np.stack([(a - b) / np.maximum(a + b, LEAST_SUM) for a, b in pairs], axis=1)
