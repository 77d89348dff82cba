"""How the fixtures of SkySense++'s modules are called. One function a runner of the fixtures' README."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn, tensor

from skysense.models.skysense import official_keys, one_shot
from skysense.models.skysense.annotation import SemanticConfig
from skysense.models.skysense.colour_labels import colours_to_labels
from skysense.models.skysense.completion import (
    SENSORS,
    CodeAutoencoder,
    Completed,
    CompletionConfig,
    ModalityCompletion,
    mixture,
)
from skysense.models.skysense.fusion import DateEncoding, FusionTransformer
from skysense.models.skysense.necks import MultiLevelNeck, TemporalNeck
from skysense.models.skysense.plus_plus import (
    PlusPlusConfig,
    PromptedPair,
    SkySensePlusPlus,
    fuse_pair,
    hidden_tokens,
    sentinel_labels,
)
from skysense.models.skysense.swin_v2 import SwinV2Config
from skysense.models.skysense.swin_v2_msl import ProjectedAttention, SwinV2MSL
from skysense.models.skysense.uper_head import UPerHead
from skysense.models.skysense.vit import ViTConfig
from skysense.models.skysense.vit_msl import ViTMSL
from skysense.objectives.semantic import (
    SIMILARITY_WEIGHT,
    annotation_loss,
    completion_loss,
    hidden_pixels,
    vocabulary_similarity,
)
from skysense.parity.configs import (
    fusion_config,
    load,
    semantic_config,
    swin_config,
    uper_config,
    vit_config,
    vit_levels,
)
from skysense.parity.fixtures import Fixture
from skysense.parity.options import Options, expect
from skysense.parity.recording import recorded
from skysense.parity.skysense_v1 import flat, swin_modules
from skysense.training.metrics import Confusion

Outputs = dict[str, Tensor]

RELEASED_ATTENTION = (256, 512, 1024)  # widths of the projected attentions that the released class has built in
RELEASED_ATTENTION_HEADS = 16


# -- encoders for masked semantic learning ---------------------------------------------------------------------------
def swin_msl(fixture: Fixture) -> Outputs:
    arrays = fixture.arrays()
    model = SwinV2MSL(*_swin_msl_configs(Options(fixture.kwargs)))
    load(model, fixture.state(), official_keys.SWIN_V2_MSL)
    attentions: dict[str, nn.Module] = {f"out_proj_attn{k}": each for k, each in enumerate(model.attentions, start=1)}
    maps = swin_modules(model)
    if model.attention_norm is not None:
        maps["out_norm_attn"] = model.attention_norm
    with recorded(maps) as found_maps, recorded(attentions) as found:
        levels = model(arrays["in_x"], arrays["in_anno"], arrays.get("in_mask"))
    found["out_ann_token"] = model.annotation.embed(arrays["in_anno"]).flatten(1, 2)
    return flat(found_maps) | found | {f"out_level{stage}": level for stage, level in zip(model.config.levels, levels)}


def _swin_msl_configs(options: Options) -> tuple[SwinV2Config, SemanticConfig]:
    """`_attn_dims` stands for the widths that the released class has built in."""
    given = options.take("_attn_dims")
    use = options.take("use_attn", given is not None)
    *widths, heads = given or (*RELEASED_ATTENTION, RELEASED_ATTENTION_HEADS)
    semantic = semantic_config(options, tuple(widths) if use else (), heads)
    config = swin_config(options)
    options.done()
    return config, semantic


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
    config, semantic, levels = _vit_msl_configs(Options(fixture.kwargs))
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


def _vit_msl_configs(options: Options) -> tuple[ViTConfig, SemanticConfig, list[int]]:
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
    model = ModalityCompletion(_completion_config(Options(fixture.kwargs)))
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


def _completion_config(options: Options) -> CompletionConfig:
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


# -- the whole model -------------------------------------------------------------------------------------------------
def date(fixture: Fixture) -> Outputs:
    config, arrays = dict(fixture.kwargs["config"]), fixture.arrays()  # type: ignore[call-overload]
    fused = _cls_fusion_config(Options(config["necks"]))
    fusion, dates = FusionTransformer(fused), _dates(config, fused.width_in)
    model = nn.ModuleDict({"fusion": fusion} if dates is None else {"fusion": fusion, "dates": dates})
    model.load_state_dict(official_keys.rename_parts(fixture.state(), official_keys.PLUS_PLUS_PARTS))
    model.eval()
    days = torch.stack([arrays["in_s2_ct"], arrays["in_s2_ct2"]], dim=1) + 1  # (B, 2, T); released: from 0
    if int(days.max()) > config["calendar_time"]:
        raise ValueError("a day beyond the table of date codes: the released code fails there")
    samples = len(arrays["in_hr"])
    features = (
        arrays["in_hr"][:, None],
        torch.unflatten(arrays["in_s2"], 0, (samples, -1)),
        torch.unflatten(arrays["in_s1"], 0, (samples, -1)),
    )
    with recorded({}, inputs={"out_fusion_input": fusion}) as found:
        found["out_fused_map"] = fuse_pair(fusion, dates, features, days)
    return found


def _dates(config: Mapping[str, Any], width: int) -> DateEncoding | None:
    return DateEncoding(width, config["calendar_time"]) if config["use_ctpe"] else None


def _cls_fusion_config(neck: Options) -> Any:
    expect(neck, "with_cls_token", True)
    expect(neck, "output_cls_token", True)
    config = fusion_config(neck)
    neck.done()
    return config


def convert_target(fixture: Fixture) -> Outputs:
    arrays = fixture.arrays()
    vocabulary = released_vocabulary(int(fixture.kwargs["vocabulary_size"]), int(arrays["in_python_random_seed"]))  # type: ignore[call-overload]
    found = colours_to_labels(arrays["in_targets"], vocabulary, truncate=True)
    return {"out_mapped": found.labels, **_colour_outputs(found.colours)}


def released_vocabulary(size: int, seed: int) -> list[int]:
    """Labels in the order in which the released code gives them out: Python's shuffle after `random.seed(seed)`."""
    vocabulary = list(range(1, size + 1))
    random.Random(seed).shuffle(vocabulary)  # nosec B311: no secret; the released code's own order
    return vocabulary


def _colour_outputs(colours: Mapping[int, int]) -> Outputs:
    used = sorted(colours)
    return {"out_idx": tensor(used), "out_color_int": tensor([colours[label] for label in used])}


def plus_plus_config(config: Mapping[str, Any]) -> PlusPlusConfig:
    """Of `SkySensePP`, with the released behaviour of every quirk."""
    if sorted(config["sources"]) != sorted(SENSORS) or config.get("use_cls_token_uper_head"):
        raise ValueError("the released model runs with all three sources and its own decoder alone")
    if "auxiliary_head" in config:
        raise ValueError("the released forward pass has no auxiliary head")
    hr, hr_semantic = _swin_msl_configs(Options(config["backbone_hr"]))
    s2, s2_semantic, _ = _vit_msl_configs(Options(config["backbone_s2"]))
    s1, s1_semantic, _ = _vit_msl_configs(Options(config["backbone_s1"]))
    head, taken = uper_config(Options(config["rec_head_hr"]), round_pooled=True)
    if taken != list(range(len(head.widths))):
        raise ValueError(f"in_index={taken} is not supported")
    vae = config.get("modality_vae")
    return PlusPlusConfig(
        hr=hr,
        s2=s2,
        s1=s1,
        hr_semantic=hr_semantic,
        s2_semantic=s2_semantic,
        s1_semantic=s1_semantic,
        up=config["head_s2"].get("up_scale", 4),
        fusion=_cls_fusion_config(Options(config["necks"])),
        head=head,
        completion=_completion_config(Options(vae)) if config["use_modal_vae"] and vae else None,
        dates=config["calendar_time"] if config["use_ctpe"] else 0,
        split_square_only=True,
        upscale=config.get("upsacle_results", True),  # (sic)
    )


def one_shot_pair(fixture: Fixture) -> Outputs:
    config: Mapping[str, Any] = fixture.kwargs["config"]  # type: ignore[assignment]
    arrays = fixture.arrays()
    model = SkySensePlusPlus(plus_plus_config(config))
    model.load_state_dict(official_keys.rename_parts(fixture.state(), official_keys.PLUS_PLUS_PARTS))
    model.eval()
    vocabulary = released_vocabulary(config["vocabulary_size"], int(arrays["in_python_random_seed"]))
    named = colours_to_labels(arrays["in_targets"], vocabulary, truncate=True)
    days = None
    if "in_s2_ct" in arrays:
        days = torch.stack([arrays["in_s2_ct"], arrays["in_s2_ct2"]], dim=1) + 1
    present = arrays["in_flags"].bool()
    pair = PromptedPair(
        hr=arrays["in_hr"],
        labels=named.labels,
        hidden=arrays["in_anno_mask"],
        s2=arrays["in_s2"],
        s1=arrays["in_s1"],
        present=present,
        s2_days=days,
    )
    outputs: dict[str, nn.Module] = {
        "out_s2_last": model.s2_encoder,
        "out_s1_last": model.s1_encoder,
        "out_s2_up": model.s2_head,
        "out_s1_up": model.s1_head,
    }
    with recorded(outputs, inputs={"out_fusion_input": model.fusion}) as found:
        said = model(pair)
    found |= {
        "out_mapped_targets_every4": named.labels[:, ::4, ::4],
        "out_anno_s2": sentinel_labels(named.labels),
        "out_mask_hr": hidden_tokens(pair.hidden),
        "out_fused_map": said.fused,
        "out_rec_stage1": model.first_level(said.pyramid[0]),
        "out_head_logits": said.cell_logits,
        "out_logits_hr_every4": said.logits[..., ::4, ::4],
        **_colour_outputs(named.colours),
        **{f"out_hr_level{stage}": level for stage, level in zip(model.config.hr.levels, said.pyramid)},
    }
    if said.completed is not None:
        done = said.completed
        found |= {f"out_{sensor}_completed": x for sensor, x in zip(SENSORS, done.features)}
        found |= {f"out_g_{sensor}": x for sensor, x in zip(SENSORS, done.decoded)}
        found |= {f"out_logits_{sensor}": x for sensor, x in zip(SENSORS, done.logits)}
        found["out_loss_quant"] = done.divergence[None]
        top = (said.pyramid[-1], found["out_s2_up"], found["out_s1_up"])
        found["out_vae_loss"] = completion_loss(top, done.decoded, present, done.divergence)[None]
    if said.logits.shape[-2:] == named.labels.shape[-2:]:
        found["out_rec_loss"] = annotation_loss(said.logits, named.labels, found["out_mask_hr"])[None]
    return found


# -- around it -------------------------------------------------------------------------------------------------------
def preprocess(fixture: Fixture) -> Outputs:
    options, arrays = Options(fixture.kwargs), fixture.arrays()
    reversed_bands = options.need("dataset") in one_shot.REVERSED
    raw_counts = fixture.kwargs["dataset"] == one_shot.RAW_COUNTS
    keep = options.need("keep")
    options.done()
    sample = one_shot.prepare(
        arrays["in_hr"],
        arrays["in_tgt"],
        s2=arrays["in_s2"],
        s1=arrays["in_s1"],
        reversed_bands=reversed_bands,
        raw_counts=raw_counts,
        clamp=False,
    )
    found = {"out_hr": sample.hr[:, ::keep, ::keep], "out_tgt": sample.colours[:, ::keep, ::keep]}
    return found | {"out_s2": sample.s2, "out_s1": sample.s1} if sample.s2 is not None and sample.s1 is not None else found


def metrics(fixture: Fixture) -> Outputs:
    arrays = fixture.arrays()
    confusion = Confusion.of(int(fixture.kwargs["num_class"]))  # type: ignore[call-overload]
    confusion.add(arrays["in_gt"].numpy(), arrays["in_pred"].numpy())
    counts = torch.from_numpy(confusion.counts).double()
    right, rows, columns = counts.diag(), counts.sum(dim=1), counts.sum(dim=0)
    # The released scores of single classes and their means guard differently against empty classes.
    return {
        "out_cm": counts,
        "out_iou": right / (rows + columns - right + 1e-6),
        "out_acc": right / (rows + 1e-6),
        "out_miou": (right / (rows + columns - right)).nanmean()[None],
        "out_mprec": (right / (columns + 1e-6)).nanmean()[None],
        "out_mrec": (right / (rows + 1e-6)).nanmean()[None],
    }


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
    "date": date,
    "convert_target": convert_target,
    "one_shot": one_shot_pair,
    "preprocess": preprocess,
    "metrics": metrics,
}
