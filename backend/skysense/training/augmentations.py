"""What a view changes of its values, sensor by sensor: light and camera for pictures, bands and gain for Sentinel-2,
calibration and polarisation for Sentinel-1, and some days of the date.

Pictures follow BYOL and DINO (arXiv 2104.14294, appendix A), asymmetric between the global views: the first is always
blurred, the second rarely, and solarised at times; without hue, whose turn makes vegetation red. Reflectance and
backscatter are measurements, so that Sentinel images change only as far as sensor, atmosphere and calibration do.
Everything stays in canonical units and finite; pixels without data stay 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.functional import gaussian_blur

from skysense.models.interface import SENSOR_ORDER

Array = NDArray[np.generic]
Picture = NDArray[np.float32]

JITTER_CHANCE, GREY_CHANCE = 0.8, 0.2
BRIGHTNESS, CONTRAST, SATURATION = 0.4, 0.4, 0.2
BLUR_CHANCE = (1.0, 0.1)  # of the first and the second global view
LOCAL_BLUR_CHANCE = 0.5
BLUR_SIGMA = (0.1, 2.0)  # pixels of a view of DINO's 224
SOLARISE_CHANCE = (0.0, 0.2)
NEAR_INFRARED_DROPPED = 0.3  # so that pictures with and without it meet
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

S2_BANDS_DROPPED = 0.5  # the chance that some are
S2_FEWEST_BANDS = 4
S2_GAIN, S2_BAND_GAIN, S2_OFFSET = 0.1, 0.03, 0.01  # all bands, each band, haze; the last in reflectance
S1_OFFSET_DB = 1.0  # GRD's radiometric stability and incidence angle
S1_DROPPED = 0.2  # the chance that one polarisation is
LAST_DAY = 366


def alter(
    arrays: Mapping[str, Array], global_view: int | None, day_jitter: int, generator: np.random.Generator
) -> dict[str, Array]:
    """A view's arrays in another light.

    Args:
        arrays: fields of SceneBatch without the batch axis, float32.
        global_view: its number among the global views, None for a local one.
        day_jitter: largest shift in days.
        generator: of this view alone.
    """
    altered = dict(arrays)
    if "hr" in arrays:
        altered |= _alter_picture(arrays, global_view, generator)
    if "s2" in arrays:
        altered |= _alter_optical_series(arrays, generator)
    if "s1" in arrays:
        altered |= _alter_radar_series(arrays, generator)
    shift = int(generator.integers(-day_jitter, day_jitter + 1))
    for sensor in SENSOR_ORDER:
        if f"{sensor}_days" in arrays:
            altered[f"{sensor}_days"] = shift_days(arrays[f"{sensor}_days"], shift)
    return altered


def shift_days(days: Array, shift: int) -> NDArray[np.int64]:
    """Days of the year some days on, around the turn of the year; 0 stays unknown."""
    known = np.asarray(days, np.int64)
    return np.where(known == 0, 0, (known - 1 + shift) % LAST_DAY + 1)


# -- pictures --------------------------------------------------------------------------------------------------------
def _alter_picture(arrays: Mapping[str, Array], global_view: int | None, generator: np.random.Generator) -> dict[str, Array]:
    picture, bands = np.asarray(arrays["hr"], np.float32), np.asarray(arrays["hr_bands"], bool)
    valid = np.asarray(arrays["hr_valid"], bool)
    if generator.random() < JITTER_CHANCE:
        picture = _jitter_colours(picture, valid, generator)
    if generator.random() < GREY_CHANCE and bands[:3].all():
        picture = np.concatenate([np.broadcast_to(_grey(picture), picture[:3].shape), picture[3:]])
    if global_view is None:
        blur, solarise = LOCAL_BLUR_CHANCE, 0.0
    else:
        blur, solarise = BLUR_CHANCE[min(global_view, 1)], SOLARISE_CHANCE[min(global_view, 1)]
    if generator.random() < blur:
        picture = _blur(picture, generator.uniform(*BLUR_SIGMA))
    if generator.random() < solarise:
        picture = np.where(picture >= 0.5, 1 - picture, picture)
    if bands[:3].any() and generator.random() < NEAR_INFRARED_DROPPED:
        bands = bands & (np.arange(4) < 3)
    shown = bands[:, None, None] & valid
    return {"hr": np.where(shown, np.clip(picture, 0, 1), 0).astype(np.float32), "hr_bands": bands}


def _jitter_colours(picture: Picture, valid: NDArray[np.bool_], generator: np.random.Generator) -> Picture:
    """Brightness, contrast around the mean, and saturation, by one random factor each."""
    brightness, contrast, saturation = (1 + generator.uniform(-most, most) for most in (BRIGHTNESS, CONTRAST, SATURATION))
    picture = picture * np.float32(brightness)
    mean = picture[:, valid].mean(axis=1)[:, None, None] if valid.any() else np.zeros((4, 1, 1), np.float32)
    picture = np.clip(mean + np.float32(contrast) * (picture - mean), 0, 1)
    grey = _grey(picture)
    colours = grey + np.float32(saturation) * (picture[:3] - grey)
    return np.concatenate([colours, picture[3:]])


def _grey(picture: Picture) -> Picture:
    """Luma (H, W) of R, G, B."""
    return np.tensordot(np.array(LUMA, np.float32), picture[:3], axes=1)


def _blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian, as wide for the view's side as `sigma` is for 224 pixels."""
    sigma = max(sigma * picture.shape[-1] / 224, 0.05)
    side = 2 * min(math.ceil(3 * sigma), picture.shape[-1] - 1) + 1
    blurred: Picture = gaussian_blur(torch.from_numpy(picture), [side, side], [sigma, sigma]).numpy()
    return blurred


# -- series ----------------------------------------------------------------------------------------------------------
def _alter_optical_series(arrays: Mapping[str, Array], generator: np.random.Generator) -> dict[str, Array]:
    bands = np.asarray(arrays["s2_bands"], bool).copy()
    there = np.flatnonzero(bands)
    if len(there) > S2_FEWEST_BANDS and generator.random() < S2_BANDS_DROPPED:
        kept = int(generator.integers(S2_FEWEST_BANDS, len(there)))
        bands[generator.permutation(there)[kept:]] = False
    gain = (1 + generator.uniform(-S2_GAIN, S2_GAIN)) * (1 + generator.uniform(-S2_BAND_GAIN, S2_BAND_GAIN, len(bands)))
    offset = generator.uniform(-S2_OFFSET, S2_OFFSET)
    values = np.asarray(arrays["s2"], np.float32) * gain[:, None, None].astype(np.float32) + np.float32(offset)
    shown = bands[:, None, None] & np.asarray(arrays["s2_valid"], bool)[:, None]
    return {"s2": np.where(shown, values, np.float32(0)), "s2_bands": bands}


def _alter_radar_series(arrays: Mapping[str, Array], generator: np.random.Generator) -> dict[str, Array]:
    bands = np.asarray(arrays["s1_bands"], bool).copy()
    if bands.all() and generator.random() < S1_DROPPED:
        bands[int(generator.integers(len(bands)))] = False
    offset = generator.uniform(-S1_OFFSET_DB, S1_OFFSET_DB, len(bands)).astype(np.float32)
    values = np.asarray(arrays["s1"], np.float32) + offset[:, None, None]
    shown = bands[:, None, None] & np.asarray(arrays["s1_valid"], bool)[:, None]
    return {"s1": np.where(shown, values, np.float32(0)), "s1_bands": bands}
