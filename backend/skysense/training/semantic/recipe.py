"""What learns in masked semantic learning, and how fast: the lower layers of the first stage are kept or move little.

Facts: reference sheet, section 5.5. That annotation tables, global attentions, completion and decoder learn at the full
rate is ours: the first stage does not have them.
"""

from __future__ import annotations

from torch import nn

from skysense.models.skysense.plus_plus import PlusPlusConfig, SkySensePlusPlus
from skysense.training.semantic.settings import SemanticSettings

ENCODERS = ("hr_encoder", "s2_encoder", "s1_encoder")
EMBEDDING = ("stem", "embedding")  # of patches, in Swin and ViT
BEFORE_BLOCKS = (*EMBEDDING, "positions", "class_token")


def freeze(model: SkySensePlusPlus, settings: SemanticSettings) -> None:
    """Patch embeddings, the first blocks of each encoder, the upper blocks of the fusion."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not frozen(name, model.config, settings))


def parameter_groups(model: SkySensePlusPlus, settings: SemanticSettings) -> list[dict[str, object]]:
    """AdamW's groups of what learns; `rate_share` is theirs of the full rate. Vectors (biases, norms, tokens) do not decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if parameter.squeeze().ndim > 1 else 0.0
            groups.setdefault((rate_share(name, model.config, settings), decay), []).append(parameter)
    return [{"params": found, "rate_share": share, "weight_decay": decay} for (share, decay), found in groups.items()]


def frozen(name: str, config: PlusPlusConfig, settings: SemanticSettings) -> bool:
    """Whether a parameter keeps its value. A patch merging is kept with the last block of its stage."""
    module, part, *rest = name.split(".")
    if module == "fusion":
        return part == "blocks" and int(rest[0]) >= settings.frozen_fusion_from
    layer = encoder_layer(name, config)
    if layer is None:
        return False
    if layer == 0:
        return part in EMBEDDING
    if part == "stages" and rest[1] == "merging":
        layer = sum(config.hr.depths[: int(rest[0]) + 1])
    return layer <= settings.frozen_layers


def rate_share(name: str, config: PlusPlusConfig, settings: SemanticSettings) -> float:
    """1 behind the encoders, and less by `layer_decay` with every layer downwards from the last block."""
    layer = encoder_layer(name, config)
    if layer is None:
        return 1.0
    depths = {"hr_encoder": sum(config.hr.depths), "s2_encoder": config.s2.depth, "s1_encoder": config.s1.depth}
    return settings.layer_decay ** (depths[name.split(".")[0]] + 1 - layer)


def encoder_layer(name: str, config: PlusPlusConfig) -> int | None:
    """0: patches and positions; k: the k-th block, and the merging before it; None: no part of a first-stage encoder."""
    module, part, *rest = name.split(".")
    if module not in ENCODERS:
        return None
    if part in BEFORE_BLOCKS:
        return 0
    if part == "blocks":
        return int(rest[0]) + 1
    if part == "stages":
        block = int(rest[2]) if rest[1] == "blocks" else 0
        return sum(config.hr.depths[: int(rest[0])]) + block + 1
    return None
