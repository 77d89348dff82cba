"""Views as pictures for people: true colour, false colour of radar, and grey where there are no data.

Pictures are uint8 (H, W, 3), red first.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from skysense.protocol.sensors import S2

Picture = NDArray[np.uint8]
Array = NDArray[np.generic]

NO_DATA = (168, 168, 168)
S2_COLOURS = tuple(S2.band_names.index(name) for name in ("B4", "B3", "B2"))
S1_RANGES = ((-20.0, 0.0), (-28.0, -4.0), (0.0, 15.0))  # dB of VV, VH and VV - VH that become black and white


@dataclass(frozen=True)
class Stretch:
    """Reflectance that becomes black and white, one for all pictures of a sample, so that they compare."""

    low: float
    high: float

    @classmethod
    def of(cls, s2: Array, valid: Array) -> Stretch:
        """2 % and 98 % of the visible bands of a series (T, 10, h, w) where it is valid (T, h, w)."""
        visible = np.moveaxis(np.asarray(s2, np.float32)[:, list(S2_COLOURS)], 1, -1)[np.asarray(valid, bool)]
        low, high = (float(value) for value in np.percentile(visible, (2, 98))) if visible.size else (0.0, 0.3)
        return cls(low, max(high, low + 0.02))


def picture_of_hr(hr: Array, bands: Array, valid: Array) -> Picture:
    """A picture (4, H, W) of 0..1."""
    colours = _fill(np.asarray(hr, np.float32), np.asarray(bands, bool), (0, 1, 2))
    return _finish(colours, valid)


def picture_of_s2(s2: Array, bands: Array, valid: Array, stretch: Stretch) -> Picture:
    """One date (10, h, w) in true colour; where no visible band is left, the first other one in a stretch of its own."""
    values, there = np.asarray(s2, np.float32), np.asarray(bands, bool)
    if not there[list(S2_COLOURS)].any():
        other = values[there][0][np.asarray(valid, bool)]
        low, high = np.percentile(other, (2, 98)) if other.size else (0.0, 1.0)
        stretch = Stretch(float(low), max(float(high), float(low) + 0.02))
    return _finish(_fill((values - stretch.low) / (stretch.high - stretch.low), there, S2_COLOURS), valid)


def picture_of_s1(s1: Array, bands: Array, valid: Array) -> Picture:
    """One date (2, h, w): VV red, VH green, their ratio blue; one polarisation alone is grey."""
    radar = np.asarray(s1, np.float32)
    there = np.asarray(bands, bool)
    layers = np.stack([radar[0], radar[1], radar[0] - radar[1]])
    scaled = np.stack([(layer - low) / (high - low) for layer, (low, high) in zip(layers, S1_RANGES)])
    return _finish(scaled if there.all() else np.repeat(scaled[:2][there][:1], 3, axis=0), valid)


def enlarge(picture: Picture, side: int) -> Picture:
    """So that the longer side is `side`: pixels stay visible where they grow, and are averaged where they shrink."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA), np.uint8)


def _fill(values: NDArray[np.float32], bands: NDArray[np.bool_], colours: tuple[int, ...]) -> NDArray[np.float32]:
    """Three bands (3, h, w). One that is missing shows the mean of the others; without any, the first band there is."""
    there = [band for band in colours if bands[band]]
    if not there:
        return np.repeat(values[bands][:1], 3, axis=0)
    mean = values[there].mean(axis=0)
    return np.stack([values[band] if bands[band] else mean for band in colours])


def _finish(colours: NDArray[np.float32], valid: Array) -> Picture:
    picture = np.round(np.moveaxis(np.clip(colours, 0, 1), 0, -1) * 255).astype(np.uint8)
    picture[~np.asarray(valid, bool)] = NO_DATA
    return picture
