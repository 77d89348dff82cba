"""What decides the distilled weights, beside the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DistillSettings:
    """Steps and rates of each stage; chosen so that all of them take about six minutes on one core."""

    seed: int = 0
    hr_steps: int = 60
    hr_crop_px: int = 256
    hr_crops: int = 3
    hr_zoom: tuple[float, float] = (0.4, 1.0)  # pictures are shrunk by a factor drawn from this range
    s2_steps: int = 150
    s1_steps: int = 120
    fusion_steps: int = 150
    tiles: int = 6  # a step, S2
    tiles_per_image: int = 100  # at most
    frames: int = 48  # a step, S1
    positions: int = 512  # a step, fusion
    pair_days: int = 40  # S1 and S2 count as one date within this
    lr_hr: float = 1e-3
    lr_s2: float = 1e-3
    lr_s1: float = 2e-3
    lr_fusion: float = 1e-3
    weight_decay: float = 0.05
    clip: float = 2.0  # norm of the gradient
