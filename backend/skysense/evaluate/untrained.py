"""The same network with untrained weights: what a learnt encoder has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from skysense.models.catalog import load_encoder
from skysense.models.interface import Encoder
from skysense.models.skysense.model import SkySense

UNTRAINED_SEEDS = (0, 1)


@dataclass(frozen=True)
class Untrained:
    """A network without knowledge of its own."""

    name: str  # as the rows call it: random, random_stem
    seed: int
    encoder: Encoder


def untrained(model: str, trained: Encoder, sensors: tuple[str, ...]) -> Iterator[Untrained]:
    """`random` and, where the encoder of a sensor starts from inherited layers, `random_stem`, which keeps them.

    Each is to be used before the next is asked for: the second is the first with the stem put in.
    """
    for seed in UNTRAINED_SEEDS:
        encoder = load_encoder(model, untrained=True, seed=seed)
        yield Untrained("random", seed, encoder)
        kept = list(zip(_stems(encoder, sensors), _stems(trained, sensors), strict=True))
        for own, inherited in kept:
            own.load_state_dict(inherited.state_dict())
        if kept:
            yield Untrained("random_stem", seed, encoder)


def _stems(encoder: Encoder, sensors: tuple[str, ...]) -> list[nn.Module]:
    """First layers taken over from another network; a plain patch embedding is none."""
    if not isinstance(encoder, SkySense):
        return []
    stems: list[nn.Module | None] = []
    if "hr" in sensors and encoder.config.hr.stem != "patch":
        stems.append(encoder.hr_encoder.stem)
    if "s2" in sensors:
        stems.append(encoder.s2_encoder.stem)
    if "s1" in sensors:
        stems.append(encoder.s1_encoder.stem)
    return [stem for stem in stems if stem is not None]
