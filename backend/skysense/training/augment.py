"""Chance in what a crop looks like: eight ways to turn it, and mild changes of light."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = dict[str, NDArray[np.generic]]
IMAGES = ("hr", "hr_valid", "s2", "s2_valid", "s1", "s1_valid")
BOXES = {"s2_box": "s2", "s1_box": "s1"}
GAIN, OFFSET, DECIBEL = 0.1, 0.02, 0.5  # largest change of optical values, of their zero, of radar


def turn(values: NDArray[np.generic], way: int) -> NDArray[np.generic]:
    """One of the eight symmetries of the square on the last two axes: `way % 4` quarter turns, mirrored from 4 on."""
    turned = np.rot90(values, way % 4, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if way >= 4 else turned)


def turn_tensor(values: Tensor, way: int) -> Tensor:
    """The same for tensors."""
    turned = torch.rot90(values, way % 4, dims=(-2, -1))
    return turned.flip(-1) if way >= 4 else turned


def turn_arrays(arrays: Mapping[str, NDArray[np.generic]], way: int) -> Arrays:
    """A tile (fields of SceneBatch without the batch axis) turned as a whole, boxes of coarser sensors too."""
    turned = {name: turn(array, way) if name in IMAGES else array for name, array in arrays.items()}
    for name, sensor in BOXES.items():
        if name in arrays:
            turned[name] = _turn_box(arrays[name], arrays[sensor].shape[-2:], way)
    return turned


def _turn_box(box: NDArray[np.generic], size: tuple[int, ...], way: int) -> NDArray[np.float32]:
    """Top, left, bottom, right of a box in an array of `size` after `turn`."""
    top, left, bottom, right = (float(side) for side in box)
    height, width = size
    for _ in range(way % 4):  # a quarter turn brings the right edge to the top
        top, left, bottom, right = width - right, top, width - left, bottom
        height, width = width, height
    if way >= 4:
        left, right = width - right, width - left
    return np.array((top, left, bottom, right), np.float32)


def jitter(arrays: Mapping[str, NDArray[np.generic]], generator: np.random.Generator) -> Arrays:
    """Another light: one gain and offset for all optical values of a sensor, one offset in dB for radar."""
    changed = dict(arrays)
    for name in ("hr", "s2"):
        if name in arrays:
            gain, offset = 1.0 + generator.uniform(-GAIN, GAIN), generator.uniform(-OFFSET, OFFSET)
            changed[name] = np.asarray(arrays[name], np.float32) * np.float32(gain) + np.float32(offset)
    if "s1" in arrays:
        changed["s1"] = np.asarray(arrays["s1"], np.float32) + np.float32(generator.uniform(-DECIBEL, DECIBEL))
    return changed
