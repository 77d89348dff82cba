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
    crop_px: int = 256  # of the finest sensor; Sentinel alone: at most LARGEST_CROP_PX
    validation_share: float = 0.25  # of the spatial blocks


# Cells are pixels there: 32 px a side have as many cells as 256 px of a high-resolution picture.
LARGEST_CROP_PX = {"hr": 512, "s2": 32, "s1": 32}
