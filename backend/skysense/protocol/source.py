"""A described raster -> an acquisition, with what the user corrected. The plugin and the command line share it."""

from __future__ import annotations

from .guess import RasterFacts, guess_bands, guess_scaling
from .requests import RasterDescription
from .scene_source import AcquisitionSource


def acquisition(
    description: RasterDescription, sensor: str | None = None, date: str | None = None, name: str = ""
) -> AcquisitionSource:
    """The acquisition as it was guessed; another sensor or date replaces the guess, bands and scaling follow.

    Raises:
        ValueError: neither the guess nor the caller names a sensor.
    """
    chosen = sensor or description.sensor
    if chosen is None:
        raise ValueError(f"no sensor for {description.path}")
    bands, scaling = description.bands, description.scaling
    if chosen != description.sensor:
        bands, _ = guess_bands(chosen, description.band_labels)
        scaling, _ = guess_scaling(chosen, facts_of(description), date or description.date)
    return AcquisitionSource(
        path=description.path,
        sensor=chosen,
        bands=bands,
        scaling=scaling,
        date=date or description.date,
        name=name or description.path.replace("\\", "/").rsplit("/", 1)[-1],
    )


def facts_of(description: RasterDescription) -> RasterFacts:
    """What guesses need, as far as the description holds it."""
    red = description.display.red
    return RasterFacts(
        name=description.path,
        labels=description.band_labels,
        dtype=description.dtype,
        tags={},
        gsd_m=description.gsd_m,
        low=red.low,
        high=red.high,
    )
