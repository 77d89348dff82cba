"""A described raster -> an acquisition, with what the user corrected. The plugin and the command line share it."""

from __future__ import annotations

from .guess import BASELINE_TAG, RasterFacts, guess_bands, guess_scaling
from .requests import RasterDescription
from .scene_source import AcquisitionSource


def acquisition(
    description: RasterDescription, sensor: str | None = None, date: str | None = None, name: str = ""
) -> AcquisitionSource:
    """The acquisition as it was guessed; another sensor or date replaces the guess, and what depends on it follows:
    bands on the sensor, scaling on both.

    Raises:
        ValueError: neither the guess nor the caller names a sensor.
    """
    chosen = sensor or description.sensor
    if chosen is None:
        raise ValueError(f"no sensor for {description.path}")
    bands, scaling, day = description.bands, description.scaling, date or description.date
    if chosen != description.sensor:
        bands, _ = guess_bands(chosen, description.band_labels, _file_name(description.path))
    if (chosen, day) != (description.sensor, description.date):
        scaling, _ = guess_scaling(chosen, _facts(description), day)
    return AcquisitionSource(
        path=description.path,
        sensor=chosen,
        bands=bands,
        scaling=scaling,
        date=day,
        name=name or _file_name(description.path),
        crs=description.assigned_crs,
    )


def _facts(description: RasterDescription) -> RasterFacts:
    """What scaling is guessed from, the same as when the file was described."""
    return RasterFacts(
        name=_file_name(description.path),
        labels=description.band_labels,
        dtype=description.dtype,
        tags={BASELINE_TAG: description.processing_baseline},
        gsd_m=description.gsd_m,
        low=description.low,
        high=description.high,
        scale=description.scale,
        offset=description.offset,
    )


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]
