"""From the released classes' arguments to our configurations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from skysense.models.skysense import official_keys
from skysense.models.skysense.annotation import SemanticConfig
from skysense.models.skysense.completion import SENSORS, CompletionConfig
from skysense.models.skysense.fusion import FusionConfig
from skysense.models.skysense.swin_v2 import SwinV2Config
from skysense.models.skysense.uper_head import UPerHeadConfig
from skysense.models.skysense.vit import ViTConfig
from skysense.parity.options import Options, expect, pair

RELEASED_ATTENTION = (256, 512, 1024)  # widths of the projected attentions that the released class has built in
RELEASED_ATTENTION_HEADS = 16

ARCHITECTURES: Mapping[str, tuple[int, tuple[int, ...], tuple[int, ...], int]] = {  # width, depths, heads, extra norm
    "tiny": (96, (2, 2, 6, 2), (3, 6, 12, 24), 0),
    "small": (96, (2, 2, 18, 2), (3, 6, 12, 24), 0),
    "base": (128, (2, 2, 18, 2), (4, 8, 16, 32), 0),
    "large": (192, (2, 2, 18, 2), (6, 12, 24, 48), 0),
    "huge": (352, (2, 2, 18, 2), (8, 16, 32, 64), 6),
    "giant": (512, (2, 2, 42, 4), (16, 32, 64, 128), 6),
}


def swin_config(options: Options) -> SwinV2Config:
    """Of `SwinTransformerV2`; leaves what its subclass takes."""
    width, depths, heads, extra = _architecture(options.take("arch", "huge"))
    patch = options.take("patch_size", 4)
    rows, columns = pair(options.take("img_size", 224))
    window = options.take("window_size", 8)
    expect(options, "patch_cfg", {})
    output_norm = options.take("norm_cfg", {"type": "LN"})
    if output_norm is not None and {"type": "LN"} | output_norm != {"type": "LN"}:
        raise ValueError(f"norm_cfg={output_norm!r} is not supported")
    return SwinV2Config(
        width=width,
        depths=depths,
        heads=heads,
        channels=options.take("in_channels", 3),
        window=window if isinstance(window, int) else tuple(window),
        pretrained_window=tuple(options.take("pretrained_window_sizes", (0,) * len(depths))),
        extra_norm_every=extra,
        levels=tuple(sorted(options.take("out_indices", (3,)))),
        patch=patch,
        merging_norm_last=_norm_last(options.take("stage_cfgs", {"downsample_cfg": {"is_post_norm": True}})),
        output="none" if output_norm is None else "norm",
        position_grid=(math.ceil(rows / patch), math.ceil(columns / patch))
        if options.take("use_abs_pos_embed", False)
        else None,
        position_mode=options.take("interpolate_mode", "bicubic"),
        pad_small_maps=options.take("pad_small_map", False),
    )


def vit_config(options: Options) -> ViTConfig:
    """Of `VisionTransformer`; leaves `out_indices` and what its subclasses take."""
    patch = options.take("patch_size", 4)
    rows, columns = pair(options.take("img_size", 64))
    expect(options, "patch_norm", False)
    expect(options, "num_fcs", 2)
    expect(options, "act_cfg", {"type": "GELU"})
    return ViTConfig(
        channels=options.take("in_channels", 10),
        width=options.take("embed_dims", 1024),
        depth=options.take("num_layers", 24),
        heads=options.take("num_heads", 16),
        image=rows,
        position_grid=(rows // patch, columns // patch),
        patch=patch,
        mlp_ratio=options.take("mlp_ratio", 4),
        bias=options.take("qkv_bias", True),
        class_token=options.take("with_cls_token", True),
        norm_eps=norm_eps(options),
        final_norm=options.take("final_norm", False),
        position_mode=options.take("interpolate_mode", "bicubic"),
        positions_by_count=True,
        condition_codes=options.take("ccd_num", 0) if options.take("use_ccd", False) else 0,
    )


def vit_levels(options: Options, depth: int) -> list[int]:
    levels = options.take("out_indices", -1)
    return [depth - 1 if levels == -1 else levels] if isinstance(levels, int) else list(levels)


def semantic_config(options: Options, attention: tuple[int, ...], heads: int) -> SemanticConfig:
    """What the MSL subclasses take."""
    return SemanticConfig(
        vocabulary=options.take("vocabulary_size", 128),
        merge_after=options.take("merge_stage", 0),
        attention=attention,
        attention_heads=heads,
        positions_on_halves=options.take("with_cls_pos", False),
    )


def fusion_config(options: Options) -> FusionConfig:
    """Of `TransformerEncoder`; leaves what its output is."""
    expect(options, "num_fcs", 2)
    expect(options, "act_cfg", {"type": "GELU"})
    return FusionConfig(
        width_in=options.take("input_dims", 2816),
        width=options.take("embed_dims", 1024),
        depth=options.take("num_layers", 24),
        heads=options.take("num_heads", 16),
        mlp_ratio=options.take("mlp_ratio", 4),
        bias=options.take("qkv_bias", True),
        norm_eps=norm_eps(options),
    )


def uper_config(options: Options, *, round_pooled: bool) -> tuple[UPerHeadConfig, list[int]]:
    """Of `UPerHead`, and which of its inputs it takes."""
    expect(options, "norm_cfg", *({"type": kind, "requires_grad": True} for kind in ("BN", "SyncBN")), {"type": "BN"})
    expect(options, "act_cfg", {"type": "ReLU"})
    expect(options, "conv_cfg", None)
    for training in ("loss_decode", "ignore_index", "sampler", "dropout_ratio"):
        options.take(training)
    widths = tuple(options.need("in_channels"))
    config = UPerHeadConfig(
        widths=widths,
        classes=options.need("num_classes"),
        channels=options.need("channels"),
        pool_scales=tuple(options.take("pool_scales", (1, 2, 3, 6))),
        align_corners=options.take("align_corners", False),
        round_pooled=round_pooled,
    )
    return config, list(options.take("in_index", range(len(widths))))


def swin_msl_configs(options: Options) -> tuple[SwinV2Config, SemanticConfig]:
    """`_attn_dims` stands for the widths that the released class has built in."""
    given = options.take("_attn_dims")
    use = options.take("use_attn", given is not None)
    *widths, heads = given or (*RELEASED_ATTENTION, RELEASED_ATTENTION_HEADS)
    semantic = semantic_config(options, tuple(widths) if use else (), heads)
    config = swin_config(options)
    options.done()
    return config, semantic


def vit_msl_configs(options: Options) -> tuple[ViTConfig, SemanticConfig, list[int]]:
    """`_attn_heads` asks for the attentions after the first blocks; the released class reads `with_cls_pos` in vain."""
    heads = options.take("_attn_heads")
    use = options.take("use_attn", heads is not None)
    options.take("with_cls_pos")
    expect(options, "with_cls_token", False)  # with it, the released class would lose its first patch
    expect(options, "output_cls_token", False)
    semantic = semantic_config(options, (), heads or RELEASED_ATTENTION_HEADS)
    config = vit_config(options)
    levels = vit_levels(options, config.depth)
    options.done()
    return config, replace(semantic, attention=(config.width,) * 3 if use else ()), levels


def cls_fusion_config(neck: Options) -> FusionConfig:
    """Of `TransformerEncoder` where it gives its class token alone."""
    expect(neck, "with_cls_token", True)
    expect(neck, "output_cls_token", True)
    config = fusion_config(neck)
    neck.done()
    return config


def completion_config(options: Options) -> CompletionConfig:
    """Of `ModalityCompletion`."""
    widths = {options.take(f"input_shape_{sensor}", (2816,))[0] for sensor in SENSORS}
    if len(widths) != 1:
        raise ValueError(f"features of different widths are not supported: {sorted(widths)}")
    config = CompletionConfig(
        width=widths.pop(),
        inner_width=options.take("conv_dim", 256),
        code_width=options.take("z_dim", 256),
        codes=options.take("n_codebook", 8192),
    )
    options.done()
    return config


def norm_eps(options: Options) -> float:
    norm = dict(options.take("norm_cfg", None) or {"type": "LN"})
    eps = norm.pop("eps", 1e-5)
    norm.pop("requires_grad", None)
    if norm != {"type": "LN"}:
        raise ValueError(f"norm_cfg={norm!r} is not supported, only layer norms")
    return float(eps)


def load(model: nn.Module, state: Mapping[str, Tensor], renaming: official_keys.Renaming, prefix: str = "") -> None:
    """Fill the model from released names, strictly.

    Args:
        model: put into evaluation mode.
        state: of the released module.
        renaming: of the module that it is a part of.
        prefix: the place in that module, by its released name, for a part on its own.
    """
    place = official_keys.rename_key(prefix, renaming)
    renamed = official_keys.rename({prefix + key: tensor for key, tensor in state.items()}, renaming)
    model.load_state_dict({key.removeprefix(place): tensor for key, tensor in renamed.items()}, strict=True)
    model.eval()


def _architecture(arch: Any) -> tuple[int, tuple[int, ...], tuple[int, ...], int]:
    if isinstance(arch, str):
        return ARCHITECTURES[arch.lower()]
    return arch["embed_dims"], tuple(arch["depths"]), tuple(arch["num_heads"]), arch["extra_norm_every_n_blocks"]


def _norm_last(stages: Any) -> bool:
    stages = stages if isinstance(stages, list) else [stages]
    # Without the setting, the block sequence's own default puts the norm first.
    found = {bool(stage.get("downsample_cfg", {}).get("is_post_norm", False)) for stage in stages}
    if len(found) != 1 or any(set(stage) - {"downsample_cfg"} for stage in stages):
        raise ValueError(f"stage_cfgs={stages!r} is not supported")
    return found.pop()
