"""How fast an encoder is on this machine: the figure on its card."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from skysense.jobs.example_batch import example_batch
from skysense.models.interface import Encoder

SIDE_PX = 512
RUNS = 3
ENOUGH_S = 0.4  # no further run after this


def measure(encoder: Encoder, device: torch.device) -> float:
    """Megapixels a second of the encoder's first sensor alone, one 512 x 512 tile at a time, in the encoder's mode.

    One run to warm up, then up to three, of which the median counts; a second at most for the bundled encoder.

    Args:
        encoder: in evaluation mode on the device.
        device: where it runs.
    """
    batch = example_batch(encoder.info.sensors[:1], SIDE_PX, device)
    times: list[float] = []
    with torch.inference_mode():
        began = time.perf_counter()
        encoder(batch)
        while not times or (len(times) < RUNS and time.perf_counter() - began < ENOUGH_S):
            times.append(seconds_of(lambda: encoder(batch), device))
    return SIDE_PX**2 / 1e6 / statistics.median(times)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Of one run, until the device has really done it."""
    _wait(device)
    began = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
