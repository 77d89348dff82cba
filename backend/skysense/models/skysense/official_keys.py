"""How the released checkpoints call what we call otherwise: patterns and replacements, applied in order.

Evidence: state dicts of the released modules (mmcls 0.25, mmsegmentation 0.30). A key that no pattern changes has the
same name on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

Renaming = tuple[tuple[str, str], ...]

SWIN_V2: Renaming = (
    (r"^absolute_pos_embed$", "positions"),
    (r"^patch_embed\.", "stem."),
    (r"^norm(\d)\.", r"outputs.\1."),
    (r"^(stages\.\d+\.)downsample\.", r"\1merging."),
    (r"\battn\.w_msa\.cpb_mlp\.", "attention.bias_mlp."),
    (r"\battn\.w_msa\.proj\.", "attention.projection."),
    (r"\battn\.w_msa\.", "attention."),
    (r"\bffn\.layers\.0\.0\.", "mlp.0."),
    (r"\bffn\.layers\.1\.", "mlp.2."),
)
SWIN_V2_REBUILT = ("relative_coords_table", "relative_position_index")  # buffers that some files hold

_BLOCK: Renaming = (
    (r"^layers\.(\d+)\.ln(\d)\.", r"blocks.\1.norm\2."),
    (r"^layers\.", "blocks."),
    (r"\battn\.attn\.in_proj_", "qkv."),
    (r"\battn\.attn\.out_proj\.", "projection."),
    (r"\bffn\.layers\.0\.0\.", "mlp.0."),
    (r"\bffn\.layers\.1\.", "mlp.2."),
)
VIT: Renaming = (
    (r"^cls_token$", "class_token"),
    (r"^pos_embed$", "positions"),
    (r"^ccd_embed$", "condition_codes"),
    (r"^patch_embed\.projection\.", "embedding."),
    (r"^ln1\.", "final_norm."),
    *_BLOCK,
)
FUSION: Renaming = ((r"^cls_token$", "class_token"), (r"^porj_linear\.", "projection."), *_BLOCK)  # (sic)
UP_HEAD: Renaming = ((r"^decoder\.0\.", "convolution."),)

# -- SkySense++ ------------------------------------------------------------------------------------------------------
PROJECTED_ATTENTION: Renaming = (  # to timm's names
    (r"^proj_in\.", "project_in."),
    (r"^proj_out\.", "project_out."),
    (r"^attn\.attn\.in_proj_", "attention.qkv."),
    (r"^attn\.attn\.out_proj\.", "attention.proj."),
)
_ANNOTATION: Renaming = ((r"^(mask_token|vocabulary_token|vocabulary_weight)$", r"annotation.\1"),)
_FIRST: Renaming = (  # attn1, attn2, attn3 stand after the stages or blocks 0, 1, 2
    (r"^attn1\.", "attentions.0."),
    (r"^attn2\.", "attentions.1."),
    (r"^attn3\.", "attentions.2."),
    (r"^norm_attn\.", "attention_norm."),
)
SWIN_V2_MSL: Renaming = (
    *_ANNOTATION,
    *_FIRST,
    (r"^(attentions\.\d\.)proj_in\.", r"\1project_in."),
    (r"^(attentions\.\d\.)proj_out\.", r"\1project_out."),
    (r"^(attentions\.\d\.)attn\.attn\.in_proj_", r"\1attention.qkv."),
    (r"^(attentions\.\d\.)attn\.attn\.out_proj\.", r"\1attention.proj."),
    *SWIN_V2,
)
VIT_MSL: Renaming = (
    *_ANNOTATION,
    *_FIRST,
    (r"^(attentions\.\d\.)attn\.in_proj_", r"\1qkv."),
    (r"^(attentions\.\d\.)attn\.out_proj\.", r"\1proj."),
    *VIT,
)
COMPLETION: Renaming = ((r"^vae_(hr|s2|s1)\.", r"\1."),)
UPER_HEAD: Renaming = (
    (r"^psp_modules\.(\d+)\.1\.", r"pooled.\1."),
    (r"^lateral_convs\.", "laterals."),
    (r"^fpn_convs\.", "smoothing."),
    (r"^fpn_bottleneck\.", "join."),
    (r"^conv_seg\.", "classify."),
    (r"\.conv\.", ".convolution."),
    (r"\.bn\.", ".norm."),
)
MULTI_LEVEL_NECK: Renaming = (
    (r"^lateral_convs\.(\d+)\.conv\.", r"laterals.\1."),
    (r"^convs\.(\d+)\.conv\.", r"smoothing.\1."),
)

# Part of a file -> our module, and how its keys are renamed. The longest prefix that fits counts.
Parts = dict[str, tuple[str, Renaming]]
PLUS_PLUS_PARTS: Parts = {
    "backbone_hr.": ("hr_encoder.", SWIN_V2_MSL),
    "backbone_s2.": ("s2_encoder.", VIT_MSL),
    "backbone_s1.": ("s1_encoder.", VIT_MSL),
    "head_s2.": ("s2_head.", UP_HEAD),
    "head_s1.": ("s1_head.", UP_HEAD),
    "fusion.": ("fusion.", FUSION),
    "ctpe": ("dates.table", ()),
    "modality_vae.": ("completion.", COMPLETION),
    "head_rec_hr.": ("head.", UPER_HEAD),
}
MULTI_MODAL_PARTS: Parts = {
    "backbone_gep.": ("hr_encoder.", SWIN_V2),
    "backbone_s2.": ("s2_encoder.", VIT),
    "backbone_s1.": ("s1_encoder.", VIT),
    "head_s2.": ("s2_head.", UP_HEAD),
    "head_s1.": ("s1_head.", UP_HEAD),
    "fusion.": ("fusion.", FUSION),
    "ctpe": ("dates.table", ()),
}
TEMPORAL_NECK_PARTS: Parts = {
    "multilevel_neck.": ("levels.", MULTI_LEVEL_NECK),
    "fusion_transformer.": ("fusion.", FUSION),
}


def rename_parts(state: Mapping[str, Tensor], parts: Parts) -> dict[str, Tensor]:
    """The state of a model of several parts under our names; keys of no part keep theirs."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        prefix = max((prefix for prefix in parts if key.startswith(prefix)), key=len, default="")
        ours, renaming = parts.get(prefix, ("", ()))
        renamed |= {ours + own_key: own for own_key, own in rename({key.removeprefix(prefix): tensor}, renaming).items()}
    return renamed


def rename(state: Mapping[str, Tensor], renaming: Renaming) -> dict[str, Tensor]:
    """The state under our names; buffers that we rebuild are left out."""
    return {rename_key(key, renaming): tensor for key, tensor in state.items() if not key.endswith(SWIN_V2_REBUILT)}


def rename_key(key: str, renaming: Renaming) -> str:
    for pattern, replacement in renaming:
        key = re.sub(pattern, replacement, key)
    return key
