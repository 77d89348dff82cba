"""Where the parameters of each preset are: the rows of `skysense models --table`."""

from __future__ import annotations

import torch
from torch import nn

from .skysense.model import SkySense
from .skysense.plus_plus import SkySensePlusPlus
from .skysense.presets import PRESETS, huge_plus_plus

PLUS_PLUS = "plus-plus"
# Millions of parameters that the paper's table gives for its model.
PAPER = {"tokenizers and encoders": 1260.52, "fusion": 398.20, "other": 404.13, "total": 2062.85}


def part_rows() -> list[dict[str, object]]:
    """One row a preset and part, counted without memory.

    `prototypes` are counted though they are buffers; `heads` are what stands behind the encoder: of SkySense++ its
    decoder. What pretraining alone adds is no part of a model.
    """
    rows: list[dict[str, object]] = []
    with torch.device("meta"):
        for name, build in PRESETS.items():
            rows += _rows(name, _parts(build()))
        rows += _rows(PLUS_PLUS, _plus_plus_parts(huge_plus_plus()))
    return rows


def beside_the_paper() -> list[str]:
    """What `huge` counts beside the paper's table, in millions, and what remains unexplained."""
    with torch.device("meta"):
        parts = {name: count / 1e6 for name, count in _parts(PRESETS["huge"]()).items()}
    ours = {
        "tokenizers and encoders": parts["hr"] + parts["s2"] + parts["s1"],
        "fusion": parts["fusion"] + parts["uphead_s2"] + parts["uphead_s1"],
        "other": parts["dates"] + parts["prototypes"],
        "total": parts["total"],
    }
    lines = [f"{name}: {ours[name]:.2f} M, the paper {paper:.2f} M" for name, paper in PAPER.items()]
    return [
        "huge beside the paper (arXiv 2312.10115):",
        *lines,
        f"Unexplained: {PAPER['fusion'] - ours['fusion']:.2f} M of the paper's fusion, and what its 'other' counts: its "
        f"own 4096 x 100 prototypes of width 1024 have {parts['prototypes']:.2f} M, more than all of it.",
    ]


def _rows(preset: str, parts: dict[str, int]) -> list[dict[str, object]]:
    return [{"preset": preset, "part": part, "parameters": count} for part, count in parts.items()]


def _parts(model: SkySense) -> dict[str, int]:
    context = model.geo_context
    parts = {
        "hr": _count(model.hr_encoder) + _count(model.hr_neck),
        "s2": _count(model.s2_encoder),
        "s1": _count(model.s1_encoder),
        "uphead_s2": _count(model.s2_head),
        "uphead_s1": _count(model.s1_head),
        "fusion": _count(model.fusion),
        "dates": _count(model.dates),
        "prototypes": 0 if context is None else context.bank.numel() + _count(context),
        "heads": 0,
    }
    return {**parts, "total": sum(parts.values())}


def _plus_plus_parts(model: SkySensePlusPlus) -> dict[str, int]:
    parts = {
        "hr": _count(model.hr_encoder),
        "s2": _count(model.s2_encoder),
        "s1": _count(model.s1_encoder),
        "uphead_s2": _count(model.s2_head),
        "uphead_s1": _count(model.s1_head),
        "fusion": _count(model.fusion),
        "dates": _count(model.dates),
        "prototypes": 0,
        "completion": _count(model.completion),
        "heads": _count(model.head),
    }
    return {**parts, "total": sum(parts.values())}


def _count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())
