"""Canonical units, and Landsat in the slots of Sentinel-2."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skysense.protocol.scene_source import Scaling
from skysense.protocol.sensors import LANDSAT_TO_S2, SENSORS

LEAST_POWER = 1e-6  # -60 dB: below any sensor's noise; zero would have no logarithm


def to_units(stored: NDArray[np.float32], scaling: Scaling) -> NDArray[np.float32]:
    """``value = stored * scale + offset``, then 10 log10 where the file holds linear power."""
    values = stored * np.float32(scaling.scale) + np.float32(scaling.offset)
    if scaling.decibel:
        values = 10.0 * np.log10(np.maximum(values, LEAST_POWER))
    return values.astype(np.float32, copy=False)


def slot(sensor: str, band: str) -> tuple[str, int]:
    """Which encoder takes the band, and as which of its channels.

    Landsat goes to the Sentinel-2 encoder, band by band of the nearest wavelength.
    """
    if sensor == "landsat":
        sensor, band = "s2", LANDSAT_TO_S2[band]
    return sensor, SENSORS[sensor].band_names.index(band)
