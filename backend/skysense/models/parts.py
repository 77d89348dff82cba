"""Where an encoder's parameters are: the rows of `skysense models --table`."""

from __future__ import annotations

from torch import nn

from skysense.models import catalog


def part_rows() -> list[dict[str, object]]:
    """One row a preset and part; `heads` are what pretraining adds, `prototypes` are counted though they are buffers."""
    return [
        {"preset": key, "part": part, "parameters": parameters}
        for key in catalog.ENCODERS
        for part, parameters in _parts(key).items()
    ]


def _parts(key: str) -> dict[str, int]:
    model = catalog.entry(key).build()
    parts = {
        "hr": _count(model.hr_encoder) + _count(model.hr_neck),
        "s2": _count(model.s2_encoder),
        "s1": _count(model.s1_encoder),
        "uphead_s2": _count(model.s2_head),
        "uphead_s1": _count(model.s1_head),
        "fusion": _count(model.fusion),
        "dates": _count(model.dates),
        "prototypes": 0 if model.geo_context is None else model.geo_context.bank.numel() + _count(model.geo_context),
        "heads": 0,
    }
    return {**parts, "total": sum(parts.values())}


def _count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())
