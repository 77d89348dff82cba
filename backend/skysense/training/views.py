"""Several views of one sample, as student and teacher see it: the same for the same seed, epoch and sample.

The leading sensor is cropped to a box of the sample's ground: a picture is resized to a fixed side, a Sentinel series is
cut on whole pixels. Coarser sensors stay whole and bring their box, as for every tile that the encoder takes. Boxes are
squares of pixels, so that shapes stay true. All views of a sample show the same dates: equal ground on an equal date is
what the contrastive loss calls a pair.

Legend: H W pixels of the leading sensor, P pixels of a view, T dates, h w pixels of a coarser sensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from skysense.models.interface import SENSOR_ORDER
from skysense.training.augmentations import alter
from skysense.training.shards import Sample

Array = NDArray[np.generic]
SHARED_STREAM = 0  # of the seeds of a sample; its views take the following ones


@dataclass(frozen=True)
class ViewSettings:
    """Sizes are those of the leading sensor, by its key."""

    global_views: int = 2
    local_views: int = 4
    global_px: Mapping[str, int] = field(default_factory=lambda: {"hr": 128, "s2": 16, "s1": 16})
    local_px: Mapping[str, int] = field(default_factory=lambda: {"hr": 64, "s2": 8, "s1": 8})
    global_scale: tuple[float, float] = (0.4, 1.0)  # share of the picture's area; DINO's
    local_scale: tuple[float, float] = (0.1, 0.4)
    s2_dates: int = 20  # at most
    s1_dates: int = 10
    day_jitter: int = 5  # days at most, all dates of a view together
    altered: bool = True  # False: cut and flipped alone


@dataclass(frozen=True)
class View:
    """What one pass of an encoder sees of a sample."""

    arrays: dict[str, Array]  # fields of SceneBatch without the batch axis
    box: NDArray[np.float32]  # (4,) top, left, bottom, right as shares of the sample's ground
    flipped: NDArray[np.bool_]  # (2,) whether rows and columns were flipped after the crop


@dataclass(frozen=True)
class Crop:
    """A square of the leading sensor's pixels."""

    top: int
    left: int
    side: int


def views_of(sample: Sample, settings: ViewSettings, seed: int, epoch: int, index: int) -> list[View]:
    """The global views, then the local ones.

    Args:
        sample: one place.
        settings: how many views of which size.
        seed: of the run.
        epoch: counts the passes over all samples; another one gives other views.
        index: of the sample.
    """
    lead = sample.sensors[0]
    height, width = sample.arrays[lead].shape[-2:]
    shared = np.random.default_rng((seed, epoch, index, SHARED_STREAM))
    dates = {
        "s2": choose_dates(sample, "s2", settings.s2_dates, shared),
        "s1": choose_dates(sample, "s1", settings.s1_dates, shared),
    }
    views = []
    for number, crop in enumerate(choose_crops(lead, (height, width), settings, shared)):
        generator = np.random.default_rng((seed, epoch, index, SHARED_STREAM + 1 + number))
        is_global = number < settings.global_views
        side_px = (settings.global_px if is_global else settings.local_px)[lead] if lead == "hr" else crop.side
        flipped = generator.random(2) < 0.5
        arrays = flip(cut(sample, dates, crop, side_px), flipped)
        if settings.altered:
            arrays = alter(arrays, number if is_global else None, settings.day_jitter, generator)
        corners = (crop.top / height, crop.left / width, (crop.top + crop.side) / height, (crop.left + crop.side) / width)
        views.append(View(arrays, np.array(corners, np.float32), flipped))
    return views


# -- what is drawn once for all views of a sample --------------------------------------------------------------------
def choose_dates(sample: Sample, sensor: str, most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Positions of the dates that all views show, in order of time; those on which nothing was seen only if all are so."""
    if sensor not in sample.arrays:
        return np.zeros(0, np.int64)
    seen = np.flatnonzero(sample.arrays[f"{sensor}_valid"].any(axis=(1, 2)))
    usable = seen if len(seen) else np.arange(len(sample.arrays[sensor]))
    if len(usable) <= most:
        return usable
    return np.sort(generator.choice(usable, most, replace=False))


def choose_crops(lead: str, size: tuple[int, int], settings: ViewSettings, generator: np.random.Generator) -> list[Crop]:
    """Where the views lie. Each global view has its middle in what the ones before it share, and so overlaps them all; a
    local view lies in what all global ones share, as far as it fits there."""
    shared = (0, 0, *size)  # top, left, bottom, right
    crops = []
    for number in range(settings.global_views + settings.local_views):
        is_global = number < settings.global_views
        side = _side(lead, size, is_global, settings, generator)
        inside = 0.5 if is_global else 1.0
        top = _place(side, shared[0], shared[2], size[0], inside, generator)
        left = _place(side, shared[1], shared[3], size[1], inside, generator)
        crops.append(Crop(top, left, side))
        if is_global:
            shared = (max(shared[0], top), max(shared[1], left), min(shared[2], top + side), min(shared[3], left + side))
    return crops


def _side(
    lead: str, size: tuple[int, int], is_global: bool, settings: ViewSettings, generator: np.random.Generator
) -> int:
    """Of a crop in pixels: by chance where it is resized, fixed where its pixels are kept."""
    largest = min(size)
    low, high = settings.global_scale if is_global else settings.local_scale
    share = generator.uniform(low, high)
    if lead == "hr":
        return int(np.clip(round((share * size[0] * size[1]) ** 0.5), 1, largest))
    side = min(settings.global_px[lead], largest)
    return side if is_global else min(settings.local_px[lead], max(1, side // 2))


def _place(side: int, low: int, high: int, length: int, inside: float, generator: np.random.Generator) -> int:
    """First pixel of a crop along one axis: `inside` of its side lies in low..high, or it covers low..high."""
    bounds = low - (1 - inside) * side, high - inside * side
    first, last = (int(np.clip(round(bound), 0, length - side)) for bound in sorted(bounds))
    return int(generator.integers(first, last + 1))


# -- one view --------------------------------------------------------------------------------------------------------
def cut(sample: Sample, dates: Mapping[str, NDArray[np.int64]], crop: Crop, side_px: int) -> dict[str, Array]:
    """The sample's arrays with the leading sensor cropped, and the boxes of the others."""
    lead = sample.sensors[0]
    height, width = sample.arrays[lead].shape[-2:]
    rows, columns = slice(crop.top, crop.top + crop.side), slice(crop.left, crop.left + crop.side)
    arrays: dict[str, Array] = {"lonlat": np.array(sample.lonlat or (np.nan, np.nan), np.float32)}
    for sensor in sample.sensors:
        values, valid = sample.arrays[sensor].astype(np.float32), sample.arrays[f"{sensor}_valid"].astype(bool)
        arrays[f"{sensor}_bands"] = sample.bands[sensor].copy()
        if sensor == "hr":
            values, valid = resize(values[:, rows, columns], valid[rows, columns], side_px)
            arrays["hr_days"] = sample.days["hr"][0].copy()
        else:
            values, valid = values[dates[sensor]], valid[dates[sensor]]
            if sensor == lead:
                values, valid = values[..., rows, columns], valid[..., rows, columns]
                box = (0, 0, crop.side, crop.side)
            else:
                down, across = values.shape[-2] / height, values.shape[-1] / width
                box = (crop.top * down, crop.left * across, (crop.top + crop.side) * down, (crop.left + crop.side) * across)
            arrays[f"{sensor}_days"] = sample.days[sensor][dates[sensor]]
            arrays[f"{sensor}_dates_valid"] = np.ones(len(values), bool)
            arrays[f"{sensor}_box"] = np.array(box, np.float32)
        hidden = ~valid if sensor == "hr" else ~valid[:, None]
        arrays[sensor], arrays[f"{sensor}_valid"] = np.where(hidden, np.float32(0), values), valid
    return arrays


def resize(
    values: NDArray[np.float32], valid: NDArray[np.bool_], side_px: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A picture (C, S, S) as (C, P, P), bilinear and antialiased; pixels without data lend nothing to their neighbours."""
    weight = valid.astype(np.float32)
    stacked = torch.from_numpy(np.concatenate([np.where(valid, values, 0), weight[None]]))[None]
    resized = torch.nn.functional.interpolate(stacked, (side_px, side_px), mode="bilinear", antialias=True)[0].numpy()
    seen = resized[-1]
    return resized[:-1] / np.maximum(seen, 1e-3), seen >= 0.5


def flip(arrays: Mapping[str, Array], flipped: NDArray[np.bool_]) -> dict[str, Array]:
    """Rows and columns of all sensors upside down, boxes with them."""
    axes = tuple(axis for axis, is_flipped in zip((-2, -1), flipped) if is_flipped)
    turned = dict(arrays)
    for sensor in SENSOR_ORDER:
        if sensor not in arrays:
            continue
        for name in (sensor, f"{sensor}_valid"):
            turned[name] = np.ascontiguousarray(np.flip(arrays[name], axes))
        if f"{sensor}_box" in arrays:
            turned[f"{sensor}_box"] = _flip_box(arrays[f"{sensor}_box"], arrays[sensor].shape[-2:], flipped)
    return turned


def _flip_box(box: Array, size: tuple[int, ...], flipped: NDArray[np.bool_]) -> NDArray[np.float32]:
    sides = [float(side) for side in box]
    for axis in np.flatnonzero(flipped):
        sides[axis], sides[axis + 2] = size[axis] - sides[axis + 2], size[axis] - sides[axis]
    return np.array(sides, np.float32)
