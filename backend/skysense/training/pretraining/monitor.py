"""What tells whether a run learns or collapses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from skysense.errors import ModelError
from skysense.models.skysense.geo_context import GeoContext, region_of
from skysense.objectives.prototypes import usage_entropy
from skysense.training.pretraining.objective import Compared

COLLAPSED = 0.02  # spread of features below which all places look alike …
SHRUNK = 0.5  # … if it was larger before: random weights may begin there
PATIENCE = 3  # logged steps in a row


@torch.no_grad()
def spread(x: Tensor, seen: Tensor) -> float:
    """Deviation of the unit features over positions: 1 where they point anywhere, 0 where all are the same.

    Args:
        x: (B, T, D, h, w).
        seen: (B, T, h, w).
    """
    positions = F.normalize(x.permute(0, 1, 3, 4, 2)[seen], dim=1)  # (N, D)
    return float(positions.std(dim=0).square().sum().sqrt()) if len(positions) > 1 else math.nan


def spreads(found: Compared) -> dict[str, float]:
    return {name: spread(x, found.seen[name]) for name, x in found.maps.items()}


@torch.no_grad()
def prototype_entropy(context: GeoContext, fused: Tensor, lonlat: Tensor | None) -> float | None:
    """How evenly the prototypes of the most seen region are the nearest of some cell; None where no place is known."""
    if lonlat is None:
        return None
    regions = region_of(lonlat, context.side)
    known = regions[regions >= 0]
    if not len(known):
        return None
    region = known.mode().values
    positions = fused[regions == region].flatten(2).mT.flatten(0, 1).float()  # (N, D)
    return usage_entropy(F.normalize(positions, dim=1) @ F.normalize(context.bank[region], dim=1).T)


class Watch:
    """Stops a run that cannot become better."""

    def __init__(self) -> None:
        self._alike: dict[str, int] = {}  # logged steps in a row
        self._widest: dict[str, float] = {}  # spread so far

    def check(self, step: int, loss: float, found: Mapping[str, float]) -> None:
        """Raises ModelError where the loss is no number or features collapsed."""
        if not math.isfinite(loss):
            raise ModelError(
                f"The loss was no number any more at step {step}.",
                "Start again from the last saved state with a lower learning rate.",
            )
        for name, value in found.items():
            self._widest[name] = max(value, self._widest.get(name, 0.0))
            collapsed = value < min(COLLAPSED, SHRUNK * self._widest[name])
            self._alike[name] = self._alike.get(name, 0) + 1 if collapsed else 0
            if self._alike[name] >= PATIENCE:
                raise ModelError(
                    f"The features of {name} became alike everywhere (spread {value:.3f} at step {step}, 1 is healthy).",
                    "Start again with a lower learning rate, a larger batch or more varied images.",
                )
