"""Small files in the form of the releases, made from our own models: the same names, prefixes and leftovers."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from skysense.models.skysense.annotation import SemanticConfig
from skysense.models.skysense.completion import CompletionConfig
from skysense.models.skysense.fusion import FusionConfig
from skysense.models.skysense.model import SkySense, SkySenseConfig
from skysense.models.skysense.plus_plus import PlusPlusConfig, SkySensePlusPlus
from skysense.models.skysense.swin_v2 import SwinV2Config
from skysense.models.skysense.uper_head import UPerHeadConfig
from skysense.models.skysense.vit import ViTConfig

V1 = SkySenseConfig(
    key="small",
    label="small",
    hr=SwinV2Config(width=8, depths=(1, 2, 2, 1), heads=(1, 2, 2, 4), extra_norm_every=2),
    s2=ViTConfig(channels=10, width=16, depth=2, heads=2),
    s1=ViTConfig(channels=2, width=16, depth=2, heads=2),
    up=4,
    fusion=FusionConfig(width_in=64, width=16, depth=2, heads=2),
    fused_stages=(3,),
    dates="s2",
    prototypes=0,
)
_SEMANTIC = SemanticConfig(vocabulary=64, merge_after=1)
PLUS_PLUS = PlusPlusConfig(
    hr=V1.hr,
    s2=replace(V1.s2, image=16),
    s1=replace(V1.s1, image=16),
    hr_semantic=SemanticConfig(merge_after=2, attention=(8, 8, 8), attention_heads=2),
    s2_semantic=_SEMANTIC,
    s1_semantic=_SEMANTIC,
    up=4,
    fusion=V1.fusion,
    head=UPerHeadConfig(widths=(16, 16, 32, 64, 16), classes=65, channels=8),
    completion=CompletionConfig(width=64, inner_width=8, code_width=4, codes=16),
)

_BACK = (  # our names -> released ones
    (r"^class_token$", "cls_token"),
    (r"^positions$", "pos_embed"),
    (r"^embedding\.", "patch_embed.projection."),
    (r"^stem\.", "patch_embed."),
    (r"^outputs\.(\d)\.", r"norm\1."),
    (r"^annotation\.", ""),
    (r"^attentions\.(\d)\.", lambda match: f"attn{int(match[1]) + 1}."),
    (r"^attention_norm\.", "norm_attn."),
    (r"\bproject_in\.", "proj_in."),
    (r"\bproject_out\.", "proj_out."),
    (r"^(attn\d\.)attention\.qkv\.", r"\1attn.attn.in_proj_"),
    (r"^(attn\d\.)attention\.proj\.", r"\1attn.attn.out_proj."),
    (r"\.merging\.", ".downsample."),
    (r"^blocks\.(\d+)\.norm(\d)\.", r"layers.\1.ln\2."),
    (r"^blocks\.(\d+)\.qkv\.", r"layers.\1.attn.attn.in_proj_"),
    (r"^blocks\.(\d+)\.projection\.", r"layers.\1.attn.attn.out_proj."),
    (r"^blocks\.", "layers."),
    (r"\.attention\.bias_mlp\.", ".attn.w_msa.cpb_mlp."),
    (r"\.attention\.projection\.", ".attn.w_msa.proj."),
    (r"\.attention\.", ".attn.w_msa."),
    (r"\.mlp\.0\.", ".ffn.layers.0.0."),
    (r"\.mlp\.2\.", ".ffn.layers.1."),
    (r"^projection\.", "porj_linear."),
    (r"^convolution\.", "decoder.0."),
)
_HEAD_BACK = (
    (r"^pooled\.(\d)\.", r"psp_modules.\1.1."),
    (r"^laterals\.", "lateral_convs."),
    (r"^smoothing\.", "fpn_convs."),
    (r"^join\.", "fpn_bottleneck."),
    (r"^classify\.", "conv_seg."),
    (r"\.convolution\.", ".conv."),
    (r"\.norm\.", ".bn."),
)


def released_names(state: dict[str, Tensor], prefix: str, back: tuple = _BACK) -> dict[str, Tensor]:
    found = {}
    for key, tensor in state.items():
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            for pattern, replacement in back:
                name = re.sub(pattern, replacement, name)
            found[name] = tensor
    return found


def v1_model() -> SkySense:
    torch.manual_seed(0)
    return SkySense(V1).eval()


def plus_plus_model() -> SkySensePlusPlus:
    torch.manual_seed(1)
    return SkySensePlusPlus(PLUS_PLUS).eval()


def v1_parts(model: SkySense) -> dict[str, dict[str, Tensor]]:
    """By file name: the six files of the first release."""
    state = model.state_dict()
    hr = released_names(state, "hr_encoder.")
    hr = {f"backbone.{key}": x for key, x in hr.items() if not re.match(r"norm[012]\.", key)}
    hr["backbone.mask_token"] = torch.zeros(1, 1, V1.hr.width)
    hr["backbone.stages.0.blocks.0.attn.w_msa.relative_position_index"] = torch.zeros(64, 64, dtype=torch.int64)
    return {
        "skysense_model_backbone_hr.pth": hr,
        "skysense_model_backbone_s2.pth": released_names(state, "s2_encoder.") | {"ctpe": state["dates.table"]},
        "skysense_model_backbone_s1.pth": released_names(state, "s1_encoder."),
        "skysense_model_head_s2.pth": released_names(state, "s2_head."),
        "skysense_model_head_s1.pth": released_names(state, "s1_head."),
        "skysense_model_fusion.pth": released_names(state, "fusion."),
    }


def v1_whole(model: SkySense) -> dict[str, Tensor]:
    """The file that holds everything."""
    state = model.state_dict()
    found = {f"backbone_gep.{key}": x for key, x in released_names(state, "hr_encoder.").items()}
    for ours in ("s2_encoder.", "s1_encoder.", "s2_head.", "s1_head.", "fusion."):
        theirs = {"s2_encoder.": "backbone_s2.", "s1_encoder.": "backbone_s1.", "s2_head.": "head_s2."}
        theirs |= {"s1_head.": "head_s1.", "fusion.": "fusion."}
        found |= {theirs[ours] + key: x for key, x in released_names(state, ours).items()}
    return found | {"ctpe": state["dates.table"]}


def plus_plus_whole(model: SkySensePlusPlus, *, stored: bool = True) -> dict[str, Tensor]:
    """The release, with attention named as it is stored."""
    state = model.state_dict()
    found = {}
    for ours, theirs in (
        ("hr_encoder.", "backbone_hr."),
        ("s2_encoder.", "backbone_s2."),
        ("s1_encoder.", "backbone_s1."),
        ("s2_head.", "head_s2."),
        ("s1_head.", "head_s1."),
        ("fusion.", "fusion."),
    ):
        found |= {theirs + key: x for key, x in released_names(state, ours).items()}
    found |= {f"head_rec_hr.{key}": x for key, x in released_names(state, "head.", _HEAD_BACK).items()}
    found |= {f"modality_vae.vae_{key}": x for key, x in released_names(state, "completion.", ()).items()}
    if stored:
        found = {f"module.{key}".replace(".in_proj_", ".Wqkv."): x for key, x in found.items()}
    return found


def write(path: Path, state: dict[str, Tensor], *, wrapped: bool = False) -> Path:
    torch.save({"model": state, "epoch": 3} if wrapped else state, path)
    return path


@pytest.fixture(scope="session")
def files() -> ModuleType:
    """What stands above: configurations, models, and their states under released names."""
    return sys.modules[__name__]
