"""How the fixtures of SkySense++'s modules are called. One function a runner of the fixtures' README."""

from __future__ import annotations

from torch import Tensor, nn

from skysense.models.skysense import official_keys
from skysense.models.skysense.completion import (
    SENSORS,
    CodeAutoencoder,
    Completed,
    CompletionConfig,
    ModalityCompletion,
    mixture,
)
from skysense.models.skysense.necks import MultiLevelNeck, TemporalNeck
from skysense.models.skysense.swin_v2_msl import ProjectedAttention, SwinV2MSL
from skysense.models.skysense.uper_head import UPerHead
from skysense.models.skysense.vit_msl import ViTMSL
from skysense.objectives.semantic import (
    SIMILARITY_WEIGHT,
    annotation_loss,
    completion_loss,
    hidden_pixels,
    vocabulary_similarity,
)
from skysense.parity.configs import (
    RELEASED_ATTENTION_HEADS,
    completion_config,
    fusion_config,
    load,
    swin_msl_configs,
    uper_config,
    vit_msl_configs,
)
from skysense.parity.fixtures import Fixture
from skysense.parity.options import Options, expect
from skysense.parity.recording import recorded
from skysense.parity.skysense_v1 import flat, swin_modules

Outputs = dict[str, Tensor]



# -- encoders for masked semantic learning ---------------------------------------------------------------------------
def swin_msl(fixture: Fixture) -> Outputs:
    arrays = fixture.arrays()
    model = SwinV2MSL(*swin_msl_configs(Options(fixture.kwargs)))
    load(model, fixture.state(), official_keys.SWIN_V2_MSL)
    attentions: dict[str, nn.Module] = {f"out_proj_attn{k}": each for k, each in enumerate(model.attentions, start=1)}
    maps = swin_modules(model)
    if model.attention_norm is not None:
        maps["out_norm_attn"] = model.attention_norm
    with recorded(maps) as found_maps, recorded(attentions) as found:
        levels = model(arrays["in_x"], arrays["in_anno"], arrays.get("in_mask"))
    found["out_ann_token"] = model.annotation.embed(arrays["in_anno"]).flatten(1, 2)
    return flat(found_maps) | found | {f"out_level{stage}": level for stage, level in zip(model.config.levels, levels)}


def proj_mhsa(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    expect(options, "batch_first", True)
    expect(options, "bias", True)
    width, inner = options.need("embed_dims"), options.need("proj_dims")
    module = ProjectedAttention(width, inner, options.take("num_heads", RELEASED_ATTENTION_HEADS))
    options.done()
    load(module, fixture.state(), official_keys.PROJECTED_ATTENTION)
    z = module.project_in(arrays["in_x"])
    return {"out_proj_in": z, "out_attn_with_identity": module.attend(z), "out_y": module(arrays["in_x"])}


def vit_msl(fixture: Fixture) -> Outputs:
    arrays = fixture.arrays()
    config, semantic, levels = vit_msl_configs(Options(fixture.kwargs))
    model = ViTMSL(config, semantic)
    load(model, fixture.state(), official_keys.VIT_MSL)
    x, labels, hidden = arrays["in_x"], arrays["in_anno"], arrays.get("in_mask")
    with recorded({f"out_layer{i}": block for i, block in enumerate(model.blocks)}) as found:
        maps = model.maps(x, labels, hidden)
    return found | {
        "out_patch_embed": model.patches(x).flatten(1, 2),
        "out_ann_token": model.annotation.embed(labels).flatten(1, 2),
        "out_after_pos": model.join(x, labels, hidden).flatten(1, 2),
        **{f"out_level{level}": maps[level] for level in levels},
    }


# -- completion ------------------------------------------------------------------------------------------------------
def vqvae(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    expect(options, "temp", 0.9)
    model = CodeAutoencoder(
        CompletionConfig(
            width=options.need("input_shape")[0],
            inner_width=options.need("conv_dim"),
            code_width=options.need("z_dim"),
            codes=options.take("num_tokens", 8192),
        )
    )
    options.done()
    load(model, fixture.state(), ())
    blocks: dict[str, nn.Module] = {
        "out_conv1": model.conv1,
        "out_enc_block1": model.enc_block1,
        "out_conv2": model.conv2,
        "out_dec_block1": model.dec_block1,
    }
    with recorded(blocks) as found:
        logits = model.encode(arrays["in_x"])
        decoded = model.decode(logits)
    return found | {"out_logits": logits, "out_soft_one_hot": mixture(logits), "out_rec": decoded}


def completion(fixture: Fixture) -> Outputs:
    arrays = fixture.arrays()
    model = ModalityCompletion(completion_config(Options(fixture.kwargs)))
    load(model, fixture.state(), official_keys.COMPLETION)
    features = tuple(arrays[f"in_{sensor}"] for sensor in SENSORS)
    done = model(features, arrays["in_flags"])
    loss = completion_loss(features, done.decoded, arrays["in_flags"], done.divergence)
    return completed_outputs(done) | {"out_loss_quant": done.divergence[None], "out_vae_loss": 0.7 * loss[None]}


def completed_outputs(done: Completed) -> Outputs:
    found = {}
    for m, sensor in enumerate(SENSORS):
        found[f"out_{sensor}_out"] = done.features[m]
        found[f"out_g_{sensor}"] = done.decoded[m]
        found[f"out_logits_{sensor}"] = done.logits[m]
    return found


# -- heads and necks -------------------------------------------------------------------------------------------------
def uper(fixture: Fixture) -> Outputs:
    return _uper(fixture, round_pooled=True)


def uper_mmseg(fixture: Fixture) -> Outputs:
    return _uper(fixture, round_pooled=False)


def _uper(fixture: Fixture, *, round_pooled: bool) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    config, taken = uper_config(options, round_pooled=round_pooled)
    options.done()
    model = UPerHead(config)
    load(model, fixture.state(), official_keys.UPER_HEAD)
    levels = [arrays[f"in_x{i}"] for i in taken]
    modules: dict[str, nn.Module] = {"out_psp_bottleneck": model.bottleneck, "out_fpn_bottleneck": model.join}
    modules |= {f"out_lateral{i}": lateral for i, lateral in enumerate(model.laterals)}
    with recorded(modules) as found:
        found["out_logits"] = model(levels)
    return found | {f"out_ppm{k}": y for k, y in enumerate(model.pooled_maps(levels[-1]))}


def ml_neck(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    widths, width_out = options.need("in_channels"), options.need("out_channels")
    neck = MultiLevelNeck(tuple(widths), width_out, tuple(options.take("scales", (0.5, 1, 2, 4))))
    expect(options, "norm_cfg", None)
    expect(options, "act_cfg", None)
    options.done()
    load(neck, fixture.state(), official_keys.MULTI_LEVEL_NECK)
    levels = neck([arrays[f"in_x{i}"] for i in range(len(widths))])
    return {f"out_level{i}": level for i, level in enumerate(levels)}


def ft_neck(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    for unused in ("in_channels", "out_channels", "scales"):  # arguments of its name that the released class ignores
        options.take(unused)
    widths, width_out = tuple(options.need("in_channels_ml")), options.need("out_channels_ml")
    scales, dates = tuple(options.need("scales_ml")), options.take("ts_size", 10)
    expect(options, "with_cls_token", True)
    expect(options, "output_cls_token", True)
    for none in ("norm_cfg_ml", "act_cfg_ml"):
        expect(options, none, None)
    neck = TemporalNeck(widths, width_out, scales, dates, fusion_config(options))
    options.done()
    state = official_keys.rename_parts(fixture.state(), official_keys.TEMPORAL_NECK_PARTS)
    neck.load_state_dict(state)
    neck.eval()
    levels = [arrays[f"in_x{i}"] for i in range(len(widths))]
    found = {f"out_ml{i}": y for i, y in enumerate(neck.levels(levels))}
    return found | {f"out_level{i}": y for i, y in enumerate(neck(levels))}


# -- losses ----------------------------------------------------------------------------------------------------------
def rec_loss(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    weight, patch = options.take("weight", 1.0), options.take("patch_size", 4)
    options.take("vocabulary_size")
    options.done()
    found: Outputs = {"out_unpatchified_mask": hidden_pixels(arrays["in_mask"], patch)}
    similarity = SIMILARITY_WEIGHT * vocabulary_similarity(arrays["in_voc"])
    valid = arrays["in_valid"][:, 0]
    for balance in (0, 1):
        for everywhere in (0, 1):
            for background in (0, 1):
                loss = weight * annotation_loss(
                    arrays["in_pred"],
                    arrays["in_target"],
                    arrays["in_mask"],
                    patch,
                    balance=bool(balance),
                    everywhere=bool(everywhere),
                    valid=None if background else valid,
                )
                name = f"out_bal{balance}_all{everywhere}_bg{background}"
                found |= {f"{name}_sim0": loss[None], f"{name}_sim1": (loss + similarity)[None]}
    return found


RUNNERS = {
    "swin_msl": swin_msl,
    "proj_mhsa": proj_mhsa,
    "vit_msl": vit_msl,
    "vqvae": vqvae,
    "completion": completion,
    "uper": uper,
    "uper_mmseg": uper_mmseg,
    "ml_neck": ml_neck,
    "ft_neck": ft_neck,
    "rec_loss": rec_loss,
}
