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
    (r"^patch_embed\.projection\.", "embedding."),
    (r"^ln1\.", "final_norm."),
    *_BLOCK,
)
FUSION: Renaming = ((r"^cls_token$", "class_token"), (r"^porj_linear\.", "projection."), *_BLOCK)  # (sic)
UP_HEAD: Renaming = ((r"^decoder\.0\.", "convolution."),)


def rename(state: Mapping[str, Tensor], renaming: Renaming) -> dict[str, Tensor]:
    """The state under our names; buffers that we rebuild are left out."""
    renamed = {}
    for key, tensor in state.items():
        if key.endswith(SWIN_V2_REBUILT):
            continue
        for pattern, replacement in renaming:
            key = re.sub(pattern, replacement, key)
        renamed[key] = tensor
    return renamed
