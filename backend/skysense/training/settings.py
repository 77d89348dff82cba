"""Settings of a fine-tuning run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FineTuneSettings:
    """What a run depends on beside its data."""

    tune: str = "head"  # "head": encoder frozen, features cached; "last-blocks"; "all"; prototypes are frozen in each
    steps: int = 300
    batch: int = 8  # crops a step; halved when memory runs out
    learning_rate: float = 1e-3  # of the head
    encoder_rate_share: float = 0.1  # of the head's rate: what is learnt already moves less
    weight_decay: float = 0.01
    warmup_share: float = 0.05  # of the steps
    gradient_norm: float = 1.0  # longer gradients are cut
    validations: int = 10  # over the run, evenly; the best one's weights are kept
    seed: int = 0
    crop_px: int = 256  # of the finest sensor; at most LARGEST_CROP_PX
    window_cells: int = 32  # of cached features, a side: what the head learns from at once
    validation_share: float = 0.25  # of the spatial blocks


# Larger ones cost memory without teaching more; Sentinel's cells are pixels.
LARGEST_CROP_PX = {"hr": 512, "s2": 64, "s1": 64}
# Pixels and dates that are encoded once before the head learns: about half a minute on one core.
ENCODED_PIXELS = {"hr": 30_000_000, "s2": 800_000, "s1": 800_000}
FEWEST_CROPS = 24
