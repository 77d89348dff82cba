"""Samples as one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skysense.models.interface import SceneBatch


def collate(tiles: Sequence[Mapping[str, NDArray[np.generic]]]) -> SceneBatch:
    """Tiles (fields of SceneBatch without the batch axis) as one batch.

    Arrays of a coarser sensor differ by a frame in size: smaller ones are filled up, not valid.
    """
    fields: dict[str, Tensor] = {}
    for name in tiles[0]:
        arrays = [tile[name] for tile in tiles]
        shape = tuple(max(sides) for sides in zip(*(array.shape for array in arrays)))
        if shape:  # a single day has none
            arrays = [np.pad(array, [(0, full - own) for own, full in zip(array.shape, shape)]) for array in arrays]
        fields[name] = torch.from_numpy(np.stack(arrays))
    return SceneBatch(**fields)
