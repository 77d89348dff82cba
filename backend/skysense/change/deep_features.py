"""Deep features of two dates, standardised per date and compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from skysense.change.pair import PixelPair
from skysense.change.statistics import Moments
from skysense.models.interface import Encoder, SceneBatch
from skysense.protocol.sensors import SENSORS


class DeepFeatures:
    """`d = sqrt(mean_c (a_c - b_c)^2)` of each level, bilinear to pixels, mean over the levels.

    Each channel is standardised per date over the layer: 0 is the same, 1.41 is unrelated. Windows are what the encoder
    takes as tiles: their corners lie on multiples of its `tile_multiple`.
    """

    def __init__(self, encoder: Encoder, sensor: str, bands: Sequence[str], device: torch.device) -> None:
        """`sensor` and `bands` are those of the pairs, in the encoder's slots ("s2" also for Landsat)."""
        self.encoder, self.sensor, self.device = encoder, sensor, device
        self.halo_px = encoder.info.halo[sensor]
        self.multiple = encoder.info.tile_multiple[sensor]
        names = SENSORS[sensor].band_names
        self._slots = [names.index(band) for band in bands]
        levels = encoder.info.levels
        self._levels = [name for name in encoder.info.probe_levels if levels[name].sensor == sensor and not levels[name].series]
        self._before = {name: Moments() for name in self._levels}
        self._after = {name: Moments() for name in self._levels}

    def observe(self, pair: PixelPair) -> None:
        for values, moments in ((pair.before, self._before), (pair.after, self._after)):
            for name, level in self._encode(values, pair.valid).items():
                cells = _cells(pair.counted, self._stride(name))
                moments[name].add(level[:, torch.from_numpy(cells)].cpu().numpy())

    def score(self, pair: PixelPair) -> NDArray[np.float32]:
        before, after = self._encode(pair.before, pair.valid), self._encode(pair.after, pair.valid)
        height, width = pair.valid.shape
        total = torch.zeros(height, width)
        for name in self._levels:
            a = _standardise(before[name], self._before[name])
            b = _standardise(after[name], self._after[name])
            distance = (a - b).square().mean(dim=0).sqrt()  # (h, w)
            total += _to_pixels(distance, self._stride(name), height, width)
        return (total / len(self._levels)).numpy()

    def _stride(self, name: str) -> int:
        return self.encoder.info.levels[name].stride

    def _encode(self, values: NDArray[np.float32], valid: NDArray[np.bool_]) -> dict[str, Tensor]:
        """The levels (D, h, w) of one date, on the CPU."""
        count = len(SENSORS[self.sensor].bands)
        pixels = torch.zeros(1, count, *valid.shape)
        pixels[0, self._slots] = torch.from_numpy(values)
        bands = torch.zeros(1, count, dtype=torch.bool)
        bands[0, self._slots] = True
        seen = torch.from_numpy(valid)[None]
        if self.sensor == "hr":
            batch = SceneBatch(hr=pixels, hr_bands=bands, hr_valid=seen)
        elif self.sensor == "s2":
            batch = SceneBatch(s2=pixels[:, None], s2_bands=bands, s2_valid=seen[:, None])
        else:
            batch = SceneBatch(s1=pixels[:, None], s1_bands=bands, s1_valid=seen[:, None])
        with torch.inference_mode():
            maps = self.encoder(batch.to(self.device))
        return {name: maps[name].values[0].float().cpu() for name in self._levels}


def _standardise(level: Tensor, moments: Moments) -> Tensor:
    mean, deviation = torch.from_numpy(moments.mean), torch.from_numpy(moments.deviation)
    return (level - mean[:, None, None]) / deviation[:, None, None]


def _cells(counted: NDArray[np.bool_], stride: int) -> NDArray[np.bool_]:
    """Cells of which at least half the pixels count: (H, W) -> (ceil(H / stride), ceil(W / stride)).

    Where that leaves none, any pixel will do: layers smaller than a cell have statistics too.
    """
    share = F.avg_pool2d(
        torch.from_numpy(counted)[None, None].float(), stride, stride, ceil_mode=True, count_include_pad=False
    )
    shares = share[0, 0].numpy()
    half: NDArray[np.bool_] = shares >= 0.5
    return half if half.any() else shares > 0


def _to_pixels(distance: Tensor, stride: int, height: int, width: int) -> Tensor:
    whole = F.interpolate(distance[None, None], scale_factor=float(stride), mode="bilinear", align_corners=False)
    return whole[0, 0, :height, :width]
