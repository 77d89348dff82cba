"""How the fixtures of the whole SkySense++ and of what stands around it are called."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn, tensor

from skysense.models.skysense import official_keys, one_shot
from skysense.models.skysense.colour_labels import colours_to_labels
from skysense.models.skysense.completion import SENSORS
from skysense.models.skysense.fusion import DateEncoding, FusionTransformer
from skysense.models.skysense.plus_plus import (
    PlusPlusConfig,
    PromptedPair,
    SkySensePlusPlus,
    fuse_pair,
    hidden_tokens,
    sentinel_labels,
)
from skysense.objectives.semantic import annotation_loss, completion_loss
from skysense.parity.configs import (
    cls_fusion_config,
    completion_config,
    swin_msl_configs,
    uper_config,
    vit_msl_configs,
)
from skysense.parity.fixtures import Fixture
from skysense.parity.options import Options
from skysense.parity.recording import recorded
from skysense.training.metrics import Confusion

Outputs = dict[str, Tensor]


def date(fixture: Fixture) -> Outputs:
    config, arrays = dict(fixture.kwargs["config"]), fixture.arrays()  # type: ignore[call-overload]
    fused = cls_fusion_config(Options(config["necks"]))
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
    hr, hr_semantic = swin_msl_configs(Options(config["backbone_hr"]))
    s2, s2_semantic, _ = vit_msl_configs(Options(config["backbone_s2"]))
    s1, s1_semantic, _ = vit_msl_configs(Options(config["backbone_s1"]))
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
        fusion=cls_fusion_config(Options(config["necks"])),
        head=head,
        completion=completion_config(Options(vae)) if config["use_modal_vae"] and vae else None,
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
    "date": date,
    "convert_target": convert_target,
    "one_shot": one_shot_pair,
    "preprocess": preprocess,
    "metrics": metrics,
}
