"""The files in which SkySense and SkySense++ are released: which is which, and the model that they make.

Facts: reference sheet, section 7. Every key of a file is used, or named here as one that may be left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from skysense.errors import ModelError

from ..checkpoint_file import open_checkpoint
from ..weights import named, weight_state
from . import official_keys
from .model import SkySense, SkySenseConfig
from .plus_plus import PlusPlusConfig, SkySensePlusPlus
from .presets import HUGE, HUGE_PLUS_PLUS

LICENCE = "Non-commercial research only; commercial use by agreement with the authors (Wuhan University)"
REMEDY = "Choose a file of the SkySense or SkySense++ release, or all of its parts together."
# Parts of one model that come in files of their own, and where each stands in ours.
PARTS: Mapping[str, tuple[str, official_keys.Renaming]] = {
    "hr": ("hr_encoder.", official_keys.SWIN_V2),
    "s2": ("s2_encoder.", official_keys.VIT),
    "s1": ("s1_encoder.", official_keys.VIT),
    "head_s2": ("s2_head.", official_keys.UP_HEAD),
    "head_s1": ("s1_head.", official_keys.UP_HEAD),
    "fusion": ("fusion.", official_keys.FUSION),
    "++ hr": ("hr_encoder.", official_keys.SWIN_V2_MSL),
    "++ s2": ("s2_encoder.", official_keys.VIT_MSL),
    "++ s1": ("s1_encoder.", official_keys.VIT_MSL),
}
WHOLE = {"multi-modal": official_keys.MULTI_MODAL_PARTS, "++": official_keys.PLUS_PLUS_PARTS}
V1_PARTS = {"hr", "s2", "s1", "head_s2", "head_s1", "fusion"}
# Norms of the finer levels are not in the first release: they start at gain 1 and shift 0. Fine-tuning files have no
# patch bias: it starts at 0.
MAY_BE_MISSING = re.compile(r"^hr_encoder\.outputs\.[012]\.(weight|bias)$|^s[21]_encoder\.embedding\.bias$")
# Of masked pretraining, which the encoders of the first release no longer use; counters and tables computed anew.
NOT_USED = re.compile(r"^hr_encoder\.mask_token$|num_batches_tracked$|relative_(coords_table|position_index)$")

HR_HALO_PX = 256  # one window of the coarsest stage


@dataclass(frozen=True)
class Released:
    """A model made of one or more files, its tensors still mapped from them."""

    config: SkySenseConfig
    plus_plus: PlusPlusConfig | None  # of the whole SkySense++, which also answers by example
    tensors: dict[str, Tensor]  # by our names
    notes: tuple[str, ...] = ()


def read_released(
    paths: Sequence[Path], v1: SkySenseConfig = HUGE, plus_plus: PlusPlusConfig = HUGE_PLUS_PLUS
) -> Released:
    """The model of these files.

    Args:
        paths: one file, or the parts of one model.
        v1, plus_plus: the sizes that the files have; those of the releases unless a test says otherwise.

    Raises:
        ModelError: no file of a release, a part missing or twice, a key or shape that differs; what, is said.
    """
    parts: dict[str, Mapping[str, Tensor]] = {}
    for path in paths:
        state = {key.replace("Wqkv.", "in_proj_"): tensor for key, tensor in open_checkpoint(path).items()}
        part = part_of(state, path)
        if part in parts:
            raise ModelError(f"{path.name} is the second file that holds the part {part}.", REMEDY)
        parts[part] = state
    return assemble(parts, v1, plus_plus)


def assemble(parts: Mapping[str, Mapping[str, Tensor]], v1: SkySenseConfig, plus_plus: PlusPlusConfig) -> Released:
    """The model of parts by their released names; as `read_released`."""
    names = set(parts)
    if names == {"++"}:
        return _plus_plus(parts["++"], v1, plus_plus)
    if names == {"multi-modal"}:
        return _finish(official_keys.rename_parts(parts["multi-modal"], WHOLE["multi-modal"]), _fused(v1))
    if names == V1_PARTS:
        joined = [_renamed(part, state, with_dates=part == "s2") for part, state in parts.items()]
        return _finish({name: tensor for each in joined for name, tensor in each.items()}, _fused(v1))
    if len(names) == 1 and names <= {"hr", "s2", "s1", "++ hr", "++ s2", "++ s1"}:
        (part,) = names
        return _finish(_renamed(part, parts[part]), _alone(part, v1, plus_plus))
    missing = sorted(V1_PARTS - names)
    raise ModelError(f"{', '.join(sorted(names))} alone make no model: {', '.join(missing)} missing.", REMEDY)


def part_of(state: Mapping[str, Tensor], path: Path) -> str:
    """Which part of which release these names are; raises ModelError where none."""
    tops = {key.split(".")[0] for key in state}
    semantic = "++ " if "vocabulary_token" in tops else ""
    if {"backbone_hr", "head_rec_hr"} <= tops:
        return "++"
    if "backbone_gep" in tops:
        return "multi-modal"
    if "stages" in tops:
        return f"{semantic}hr"
    if "porj_linear" in tops:
        return "fusion"
    if tops == {"decoder"}:
        sensor = re.search("s[12]", path.stem)
        if sensor is None:
            raise ModelError(f"{path.name} is a head of s2 or s1: its name does not say which.", "Put s2 or s1 in its name.")
        return f"head_{sensor[0]}"
    embedding = state.get("patch_embed.projection.weight")
    if "layers" in tops and embedding is not None and embedding.ndim == 4 and embedding.shape[1] in (10, 2):
        return f"{semantic}{'s2' if embedding.shape[1] == 10 else 's1'}"
    raise ModelError(f"{path.name} is no file of a SkySense release: it starts with {', '.join(list(state)[:3])}.", REMEDY)


def _renamed(part: str, state: Mapping[str, Tensor], *, with_dates: bool = False) -> dict[str, Tensor]:
    """The part's tensors under our names; the table of dates comes with the Sentinel-2 encoder."""
    prefix, renaming = PARTS[part]
    tensors = {prefix + official_keys.rename_key(key, renaming): x for key, x in state.items() if key != "ctpe"}
    return tensors | ({"dates.table": state["ctpe"]} if with_dates and "ctpe" in state else {})


# -- configurations --------------------------------------------------------------------------------------------------
def _fused(v1: SkySenseConfig) -> SkySenseConfig:
    """All encoders and the fusion as released: dates on Sentinel-2 alone, no prototypes, which nobody has published."""
    return _framed(replace(v1, key="skysense-released", label="SkySense", dates="s2", prototypes=0))


def _alone(part: str, v1: SkySenseConfig, plus_plus: PlusPlusConfig) -> SkySenseConfig:
    sensor = part.removeprefix("++ ")
    family = "SkySense++" if part.startswith("++") else "SkySense"
    label = {"hr": "high-resolution", "s2": "Sentinel-2", "s1": "Sentinel-1"}[sensor]
    config = _trunk(v1, plus_plus) if part.startswith("++") else _framed(replace(v1, prototypes=0))
    return replace(
        config, key=f"{family.lower()}-released-{sensor}", label=f"{family} {label} encoder", sensors=(sensor,)
    )


def _framed(config: SkySenseConfig) -> SkySenseConfig:
    """Sentinel images in frames of the size that the encoders were trained on: a feature does not depend on its tile."""
    return replace(
        config, s2=replace(config.s2, framed=True), s1=replace(config.s1, framed=True), halo=(HR_HALO_PX, 0, 0)
    )


def _trunk(v1: SkySenseConfig, plus_plus: PlusPlusConfig) -> SkySenseConfig:
    """SkySense++ as an encoder: everything but completion and decoder, without a label map."""
    config = replace(
        v1,
        key="skysense++-released",
        label="SkySense++",
        hr=plus_plus.hr,
        s2=plus_plus.s2,
        s1=plus_plus.s1,
        up=plus_plus.up,
        fusion=plus_plus.fusion,
        semantic=(plus_plus.hr_semantic, plus_plus.s2_semantic, plus_plus.s1_semantic),
        dates="none",
        prototypes=0,
    )
    return _framed(config)


def _plus_plus(state: Mapping[str, Tensor], v1: SkySenseConfig, config: PlusPlusConfig) -> Released:
    tensors = official_keys.rename_parts(state, WHOLE["++"])
    with torch.device("meta"):
        wanted = weight_state(SkySensePlusPlus(config))
    return Released(_trunk(v1, config), config, _checked(tensors, wanted))


def _finish(tensors: dict[str, Tensor], config: SkySenseConfig) -> Released:
    """Positions as large as the file's, then every name and shape against the model's."""
    for sensor in ("s2", "s1"):
        table = tensors.get(f"{sensor}_encoder.positions")
        if table is not None and table.ndim == 3:
            config = _resized(config, sensor, table.shape[1])
    with torch.device("meta"):
        wanted = weight_state(SkySense(config))
    notes = []
    for name, tensor in wanted.items():
        if name not in tensors and MAY_BE_MISSING.match(name):
            tensors[name] = torch.ones(tensor.shape) if name.endswith("weight") else torch.zeros(tensor.shape)
            notes.append(name)
    said = ("The finer levels of the high-resolution encoder have norms that were not in the file: they start neutral",)
    return Released(config, None, _checked(tensors, wanted), said if any("outputs" in name for name in notes) else ())


def _resized(config: SkySenseConfig, sensor: str, places: int) -> SkySenseConfig:
    vit = config.s2 if sensor == "s2" else config.s1
    side = math.isqrt(places - (0 if config.semantic else 1))
    vit = replace(vit, image=side * vit.patch)
    return replace(config, s2=vit) if sensor == "s2" else replace(config, s1=vit)


def _checked(tensors: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strict: every name is used or known to be of no use, every shape is the model's; raises ModelError."""
    tensors = {name: tensor for name, tensor in tensors.items() if name in wanted or not NOT_USED.search(name)}
    missing, unknown = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing or unknown:
        raise ModelError(
            f"The file does not fit the released model: {named(missing, 'missing')}, {named(unknown, 'unknown')}.", REMEDY
        )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise ModelError(
                f"{name} has the shape {tuple(tensor.shape)}, the released model {tuple(wanted[name].shape)}.", REMEDY
            )
        if not tensor.is_floating_point():
            raise ModelError(f"{name} holds {tensor.dtype}, expected floating-point numbers.", REMEDY)
    return tensors
