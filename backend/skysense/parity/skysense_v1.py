"""How the fixtures of SkySense's own modules are called. One function a runner of the fixtures' README."""

from __future__ import annotations

import torch
from torch import Tensor, nn, tensor

from skysense.models.layers import TransformerBlock, resize_positions
from skysense.models.skysense import official_keys
from skysense.models.skysense.fusion import FusionTransformer
from skysense.models.skysense.swin_v2 import PatchMerging, SwinBlock, SwinV2
from skysense.models.skysense.vit import UPHead, ViT
from skysense.models.skysense.window_attention import (
    LOGIT_SCALE_MAX,
    WindowAttention,
    relative_index,
    relative_offsets,
    shift_mask,
)
from skysense.parity.configs import fusion_config, load, norm_eps, swin_config, vit_config, vit_levels
from skysense.parity.fixtures import Fixture
from skysense.parity.options import Options, expect, pair
from skysense.parity.recording import recorded

Outputs = dict[str, Tensor]


# -- high-resolution encoder -----------------------------------------------------------------------------------------
def swin(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    model = SwinV2(swin_config(options))
    options.done()
    load(model, fixture.state(), official_keys.SWIN_V2)
    with recorded(swin_modules(model)) as found:
        levels = model(arrays["in_x"])
    return flat(found) | {f"out_level{stage}": level for stage, level in zip(model.config.levels, levels)}


def swin_modules(model: SwinV2) -> dict[str, nn.Module]:
    """Modules of a Swin V2 by the names of what they put out."""
    modules: dict[str, nn.Module] = {"out_patch_embed": model.stem}
    for name, module in model.stages.named_modules():
        match name.split("."):
            case [stage] if stage:
                modules[f"out_stage{stage}_tokens"] = module
            case [stage, "merging"]:
                modules[f"out_stage{stage}_downsample"] = module
            case [stage, "blocks", block]:
                modules[f"out_stage{stage}_block{block}"] = module
    return modules


def flat(maps: Outputs) -> Outputs:
    """(B, H, W, C) -> (B, H * W, C)."""
    return {name: y.flatten(1, 2) for name, y in maps.items()}


def swin_block(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    expect(options, "ffn_cfgs", {})
    block = SwinBlock(
        options.need("embed_dims"),
        options.need("num_heads"),
        options.take("window_size", 8),
        shifted=options.take("shift", False),
        extra_norm=options.take("extra_norm", False),
        pretrained_window=options.take("pretrained_window_size", 0),
        pad_small_maps=options.take("pad_small_map", False),
    )
    options.done()
    load(block, fixture.state(), official_keys.SWIN_V2, prefix="stages.0.blocks.0.")
    height, width = arrays["in_hw"].tolist()
    x = torch.unflatten(arrays["in_x"], 1, (height, width))
    with recorded({"out_norm1": block.norm1, "out_ffn": block.mlp, "out_norm2": block.norm2}) as found:
        y = block(x)
    shift = block.shift_of(height, width)
    windows = block.attend_windows(x, shift)  # (B, rows, columns, N, C)
    maps = {**found, "out_attn": block.attend(x), "out_y": y}
    outputs = flat(maps) | {"out_window_attn": windows.flatten(0, 2)}
    if shift:
        rows, columns = windows.shape[1:3]
        cpu = torch.device("cpu")
        masks = [
            shift_mask(block.window, shift, row == rows - 1, column == columns - 1, cpu)
            for row in range(rows)
            for column in range(columns)
        ]
        outputs["out_mask"] = torch.stack(masks)
    return outputs


def window_msa(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    window, pretrained = pair(options.need("window_size")), pair(options.take("pretrained_window_size", 0))
    attention = WindowAttention(
        options.need("embed_dims"),
        options.need("num_heads"),
        window,
        bias=options.take("qkv_bias", True),
        pretrained_window=pretrained,
    )
    for dropout in ("attn_drop", "proj_drop"):
        options.take(dropout)
    options.done()
    load(attention, fixture.state(), official_keys.SWIN_V2, prefix="attn.w_msa.")
    x = arrays["in_x"]
    if "in_mask" in arrays:  # row r of the batch takes mask r mod the number of masks
        masks = arrays["in_mask"]
        y = torch.cat([attention(row[None], masks[r % len(masks)]) for r, row in enumerate(x)])
    else:
        y = attention(x)
    return {
        "out_y": y,
        "out_bias": attention.position_bias(),
        "out_clamped_scale": attention.logit_scale.clamp(max=LOGIT_SCALE_MAX).exp(),
        "out_relative_coords_table": relative_offsets(window, pretrained)[None],
        "out_relative_position_index": relative_index(window),
    }


def patch_merging(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    norm_last = options.take("is_post_norm", False)
    merging = PatchMerging(options.need("in_channels"), options.need("out_channels"), norm_last=norm_last)
    options.done()
    load(merging, fixture.state(), ())
    y = merging(torch.unflatten(arrays["in_x"], 1, tuple(arrays["in_hw"].tolist())))
    return {"out_y": y.flatten(1, 2), "out_hw": tensor(y.shape[1:3])}


# -- Sentinel encoders -----------------------------------------------------------------------------------------------
def vit(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    with_class = options.take("output_cls_token", False)
    model = ViT(vit_config(options))
    levels = vit_levels(options, model.config.depth)
    options.done()
    load(model, fixture.state(), official_keys.VIT)
    x, codes = arrays["in_x"], arrays.get("in_ccd")
    layers = model.layers(x, codes=codes)[1:]
    found = {
        "out_patch_embed": model.patches(x).flatten(1, 2),
        "out_after_pos": model.embed(x, codes=codes),
        "out_layer0": layers[0],
    }
    for level in levels:
        found[f"out_level{level}"] = model.as_map(layers[level], model.token_grid(x))
        if with_class:
            found[f"out_cls{level}"] = layers[level][:, 0]
    return found


def encoder_layer(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    expect(options, "num_fcs", 2)
    block = TransformerBlock(
        options.need("embed_dims"),
        options.need("num_heads"),
        options.need("feedforward_channels"),
        bias=options.take("qkv_bias", True),
        norm_eps=norm_eps(options),
    )
    options.done()
    load(block, fixture.state(), official_keys.VIT, prefix="layers.0.")
    x = arrays["in_x"]
    with recorded({"out_ln1": block.norm1, "out_ln2": block.norm2}) as found:
        y = block(x)
    return {**found, "out_y": y, "out_attn_with_identity": x + block.attend(found["out_ln1"])}


def resize_pos(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    shape, grid = pair(options.need("pos_shape")), pair(options.need("input_shape"))
    with_class, without = arrays["in_pos_with_cls"], arrays["in_pos_no_cls"]
    found = {}
    for mode in options.need("modes"):
        found[f"out_swin_{mode}"] = found[f"out_msl_{mode}"] = resize_positions(without, shape, grid, mode)
        patches = resize_positions(with_class[:, 1:], shape, grid, mode)
        found[f"out_v1_{mode}"] = torch.cat([with_class[:, :1], patches], dim=1)
    options.done()
    return found


def uphead(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    head = UPHead(options.take("in_dim", 1024), options.take("out_dim", 2816), options.take("up_scale", 4))
    options.done()
    load(head, fixture.state(), official_keys.UP_HEAD)
    return {"out_y": head(arrays["in_x"]), "out_conv": head.convolution(arrays["in_x"])}


# -- fusion ----------------------------------------------------------------------------------------------------------
def fusion_v1(fixture: Fixture) -> Outputs:
    return _fusion(fixture, keeps_class_token=False)


def fusion_pp(fixture: Fixture) -> Outputs:
    return _fusion(fixture, keeps_class_token=True)


def _fusion(fixture: Fixture, *, keeps_class_token: bool) -> Outputs:
    """Where no class token is asked for, SkySense drops it from the tokens and SkySense++ keeps it."""
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    model = FusionTransformer(fusion_config(options))
    with_class, output_class = options.take("with_cls_token", True), options.take("output_cls_token", False)
    options.done()
    load(model, fixture.state(), official_keys.FUSION)
    x, _ = model.embed(arrays["in_x"])
    found = {"out_proj": x[:, 1:]}
    x = x if with_class else x[:, 1:]
    for i, block in enumerate(model.blocks):
        x = found[f"out_block{i}"] = block(x)
    if output_class:
        return found | {"out_y": model(arrays["in_x"]), "out_two": x[:, :2]}
    drop = with_class and not keeps_class_token
    return found | {"out_y": x[:, 1:] if drop else x}


RUNNERS = {
    "swin": swin,
    "swin_block": swin_block,
    "window_msa": window_msa,
    "patch_merging": patch_merging,
    "vit_v1": vit,
    "vit_pp": vit,
    "encoder_layer": encoder_layer,
    "resize_pos": resize_pos,
    "uphead": uphead,
    "fusion_v1": fusion_v1,
    "fusion_pp": fusion_pp,
}
