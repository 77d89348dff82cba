"""The modules against numbers of the released ones: small runs with random weights, stored with official key names.

`tests/data/skysense` holds a part of them; all that are in the shared folder beside the checkout run as well.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from skysense.models.layers import TransformerBlock, resize_positions
from skysense.models.skysense import official_keys
from skysense.models.skysense.fusion import FusionConfig, FusionTransformer
from skysense.models.skysense.swin_v2 import (
    PatchMerging,
    SwinBlock,
    SwinV2,
    SwinV2Config,
    WindowAttention,
    relative_index,
    relative_offsets,
    shift_mask,
)
from skysense.models.skysense.vit import UPHead, ViT, ViTConfig

ROOT = Path(__file__).parents[4]
FOLDERS = [ROOT / "tests" / "data" / "skysense", ROOT.parent / "shared" / "fixtures" / "skysense"]

Outputs = dict[str, Tensor]


def load(model: nn.Module, state: dict[str, Tensor], renaming: official_keys.Renaming) -> None:
    model.load_state_dict(official_keys.rename(state, renaming), strict=True)
    model.eval()


def swin(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    arch = kwargs["arch"]
    window = kwargs["window_size"]
    config = SwinV2Config(
        width=arch["embed_dims"],
        depths=tuple(arch["depths"]),
        heads=tuple(arch["num_heads"]),
        channels=kwargs.get("in_channels", 3),
        window=window if isinstance(window, int) else tuple(window),
        pretrained_window=tuple(kwargs.get("pretrained_window_sizes", (0, 0, 0, 0))),
        extra_norm_every=arch["extra_norm_every_n_blocks"],
        levels=tuple(kwargs["out_indices"]),
        output="none" if kwargs.get("norm_cfg", True) is None else "norm",
        position_grid=kwargs["img_size"] // 4 if kwargs.get("use_abs_pos_embed") else None,
        pad_small_maps=kwargs.get("pad_small_map", False),
        drop_path=kwargs["drop_path_rate"],
    )
    model = SwinV2(config)
    load(model, state, official_keys.SWIN_V2)
    found = {f"out_level{i}": y for i, y in zip(config.levels, model(arrays["in_x"]))}
    found["out_patch_embed"] = model.stem(arrays["in_x"]).flatten(1, 2)
    for stage, tokens in model.stream(arrays["in_x"]):
        found[f"out_stage{stage}_tokens"] = tokens.flatten(1, 2)
    return found


def swin_block(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    block = SwinBlock(
        kwargs["embed_dims"],
        kwargs["num_heads"],
        kwargs["window_size"],
        shifted=kwargs["shift"],
        extra_norm=kwargs.get("extra_norm", False),
        pad_small_maps=kwargs.get("pad_small_map", False),
    )
    prefix = "stages.0.blocks.0."
    renamed = official_keys.rename({prefix + key: tensor for key, tensor in state.items()}, official_keys.SWIN_V2)
    block.load_state_dict({key.removeprefix(prefix): tensor for key, tensor in renamed.items()})
    height, width = arrays["in_hw"].tolist()
    x = arrays["in_x"].unflatten(1, (height, width))
    found = {"out_attn": block.attend(x).flatten(1, 2), "out_y": block(x).flatten(1, 2)}
    side, shift = block.window, block._shift(height, width)
    if shift:
        rows, columns = -(-height // side), -(-width // side)
        found["out_mask"] = torch.stack(
            [
                shift_mask(side, shift, row == rows - 1, column == columns - 1, torch.device("cpu"))
                for row in range(rows)
                for column in range(columns)
            ]
        )
    return found


def window_msa(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    window, pretrained = tuple(kwargs["window_size"]), tuple(kwargs.get("pretrained_window_size", (0, 0)))
    attention = WindowAttention(
        kwargs["embed_dims"],
        kwargs["num_heads"],
        window,
        bias=kwargs.get("qkv_bias", True),
        pretrained_window=pretrained,
    )
    renamed = {f"attn.w_msa.{key}": tensor for key, tensor in state.items()}
    renamed = official_keys.rename(renamed, official_keys.SWIN_V2)
    attention.load_state_dict({key.removeprefix("attention."): tensor for key, tensor in renamed.items()})
    x = arrays["in_x"]
    if "in_mask" in arrays:  # row r of the batch takes mask r mod the number of masks
        masks = arrays["in_mask"]
        y = torch.cat([attention(row[None], masks[r % len(masks)]) for r, row in enumerate(x)])
    else:
        y = attention(x)
    return {
        "out_y": y,
        "out_bias": attention.position_bias(),
        "out_relative_coords_table": relative_offsets(window, pretrained)[None],
        "out_relative_position_index": relative_index(window),
    }


def patch_merging(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    merging = PatchMerging(kwargs["in_channels"], kwargs["out_channels"], post_norm=kwargs.get("is_post_norm", False))
    load(merging, state, ())
    y = merging(arrays["in_x"].unflatten(1, tuple(arrays["in_hw"].tolist())))
    return {"out_y": y.flatten(1, 2), "out_hw": torch.tensor(y.shape[1:3])}


def vit_v1(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    model = ViT(
        ViTConfig(
            channels=kwargs["in_channels"],
            width=kwargs["embed_dims"],
            depth=kwargs["num_layers"],
            heads=kwargs["num_heads"],
            image=kwargs["img_size"][0],
            patch=kwargs["patch_size"],
            bias=kwargs.get("qkv_bias", True),
            class_token=kwargs.get("with_cls_token", True),
            norm_eps=kwargs["norm_cfg"].get("eps", 1e-5),
            final_norm=kwargs.get("final_norm", False),
            position_mode=kwargs.get("interpolate_mode", "bicubic"),
        )
    )
    load(model, state, official_keys.VIT)
    x = arrays["in_x"]
    layers = model.layers(x)
    last = len(model.blocks) - 1
    found = {"out_layer0": layers[1], f"out_level{last}": model(x), "out_after_pos": model.embed(x)}
    if model.config.class_token:
        found |= {f"out_cls{i}": tokens[:, 0] for i, tokens in enumerate(layers[1:])}
    return found


def encoder_layer(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    block = TransformerBlock(kwargs["embed_dims"], kwargs["num_heads"], kwargs["feedforward_channels"])
    renamed = official_keys.rename({f"layers.0.{key}": tensor for key, tensor in state.items()}, official_keys.VIT)
    block.load_state_dict({key.removeprefix("blocks.0."): tensor for key, tensor in renamed.items()})
    x = arrays["in_x"]
    return {"out_y": block(x), "out_attn_with_identity": x + block.attend(block.norm1(x))}


def resize_pos(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    found, grid = {}, tuple(kwargs["input_shape"])
    with_class, without = arrays["in_pos_with_cls"], arrays["in_pos_no_cls"]
    for mode in kwargs["modes"]:
        found[f"out_swin_{mode}"] = found[f"out_msl_{mode}"] = resize_positions(without, grid, mode)
        found[f"out_v1_{mode}"] = torch.cat([with_class[:, :1], resize_positions(with_class[:, 1:], grid, mode)], 1)
    return found


def uphead(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    head = UPHead(kwargs["in_dim"], kwargs["out_dim"], kwargs["up_scale"])
    load(head, state, official_keys.UP_HEAD)
    return {"out_y": head(arrays["in_x"]), "out_conv": head.convolution(arrays["in_x"])}


def fusion_v1(kwargs: dict, state: dict[str, Tensor], arrays: dict[str, Tensor]) -> Outputs:
    model = FusionTransformer(
        FusionConfig(
            width_in=kwargs["input_dims"],
            width=kwargs["embed_dims"],
            depth=kwargs["num_layers"],
            heads=kwargs["num_heads"],
            mlp_ratio=kwargs["mlp_ratio"],
        )
    )
    load(model, state, official_keys.FUSION)
    x, _ = model.embed(arrays["in_x"])
    found = {"out_proj": x[:, 1:]}
    for i, block in enumerate(model.blocks):
        x = block(x)
        found[f"out_block{i}"] = x
    if kwargs["output_cls_token"]:
        found |= {"out_y": model(arrays["in_x"]), "out_two": x[:, :2]}
    else:
        found["out_y"] = x[:, 1:]
    return found


RUNNERS = {
    function.__name__: function
    for function in (
        swin,
        swin_block,
        window_msa,
        patch_merging,
        vit_v1,
        encoder_layer,
        resize_pos,
        uphead,
        fusion_v1,
    )
}


def entries() -> list:
    found = []
    for folder in FOLDERS:
        listing = folder / "fixtures.json"
        if listing.is_file():
            for entry in json.loads(listing.read_text()):
                if entry["runner"] in RUNNERS:
                    found.append(pytest.param(folder, entry, id=f"{folder.parent.name}-{entry['name']}"))
    return found


@pytest.mark.parametrize(("folder", "entry"), entries())
def test_same_numbers_as_the_released_module(folder: Path, entry: dict) -> None:
    arrays = {name: torch.from_numpy(array) for name, array in np.load(folder / entry["arrays"]).items()}
    state = load_file(folder / entry["state"]) if entry["state"] else {}
    with torch.no_grad():
        found = RUNNERS[entry["runner"]](entry["kwargs"], state, arrays)
    shared = set(found) & set(entry["outputs"])
    assert "out_y" in shared or any(name.startswith(("out_level", "out_v1")) for name in shared)
    for name in shared:
        wanted, got = arrays[name].double(), found[name].double()
        assert got.shape == wanted.shape, name
        limit = entry["atol"] + entry["rtol"] * wanted.abs().max().item()
        assert (got - wanted).abs().max().item() <= limit, name


def test_small_map_is_refused_where_padding_is_off() -> None:
    block = SwinBlock(8, 2, 4, shifted=True, pad_small_maps=False)
    with pytest.raises(ValueError, match="smaller than the window"):
        block(torch.zeros(1, 3, 9, 8))
