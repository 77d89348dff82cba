"""One small batch, the same on every machine: what modes are compared on and speed is measured with."""

from __future__ import annotations

import torch
from torch import Tensor

from skysense.models.interface import SENSOR_ORDER, SceneBatch
from skysense.protocol.sensors import SENSORS

HR_PX_PER_SENTINEL_PX = 32  # as in the paper: 2048 pixels of HR cover the ground of 64 of Sentinel
RANGES = {"hr": (0.0, 1.0), "s2": (0.0, 0.5), "s1": (-25.0, 0.0)}  # canonical units


def example_batch(
    sensors: tuple[str, ...], side_px: int, device: torch.device | str = "cpu", *, s2_dates: int = 2, s1_dates: int = 2
) -> SceneBatch:
    """A batch of one, noise from a fixed seed: the hardest case for narrow numbers, as no two pixels are alike.

    Args:
        sensors: of `SENSOR_ORDER`.
        side_px: of the first of them, a multiple of 32. Sentinel below HR has side_px / 32 pixels a side.
        device: where it will be used.
        s2_dates: length of the Sentinel-2 series.
        s1_dates: length of the Sentinel-1 series.
    """
    noise = torch.Generator().manual_seed(0)
    dates = {"s2": s2_dates, "s1": s1_dates}
    given: dict[str, Tensor] = {"lonlat": torch.tensor([[10.0, 50.0]])}
    for sensor in (sensor for sensor in SENSOR_ORDER if sensor in sensors):
        side = side_px if sensor == "hr" or "hr" not in sensors else side_px // HR_PX_PER_SENTINEL_PX
        bands = len(SENSORS[sensor].bands)
        shape = (1, bands, side, side) if sensor == "hr" else (1, dates[sensor], bands, side, side)
        low, high = RANGES[sensor]
        given[sensor] = low + (high - low) * torch.rand(shape, generator=noise)
        count = dates.get(sensor, 1)
        days = 1 + torch.arange(count) * (360 // count)
        given[f"{sensor}_days"] = days if sensor == "hr" else days[None]
    return SceneBatch(**given).to(device)
