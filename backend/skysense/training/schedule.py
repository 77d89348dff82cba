"""Learning rates over the steps of a run."""

from __future__ import annotations

import math


def warm_cosine(step: int, steps: int, warmup: int) -> float:
    """Share of the full rate at a step: a straight rise over `warmup` steps, then half a cosine to zero.

    Args:
        step: 0 … steps - 1.
        steps: of the whole run.
        warmup: of the rise.
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def warm_linear(step: int, steps: int, warmup: int) -> float:
    """Share of the full rate at a step: a straight rise over `warmup` steps, then a straight fall to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / max(steps - warmup, 1)
