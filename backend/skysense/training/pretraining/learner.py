"""What learns: an encoder with one projection head for each kind of feature. The teacher is one too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from skysense.models.layers import TransformerBlock
from skysense.models.skysense.model import SkySense
from skysense.models.skysense.swin_v2 import SwinBlock

HIDDEN, BOTTLENECK = 256, 64  # of a projection head
PRODUCTS = (  # dear to compute, cheap to keep
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
)


class Projection(nn.Module):
    """DINO's head (Caron et al., ICCV 2021): an MLP to a unit vector, compared with K learned directions."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, BOTTLENECK)
        )
        self.directions = nn.Parameter(torch.empty(outputs, BOTTLENECK))
        nn.init.trunc_normal_(self.directions, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, K) cosines."""
        return F.linear(F.normalize(self.mlp(x), dim=-1), F.normalize(self.directions, dim=-1))


class Learner(nn.Module):
    """Encoder and heads; `heads` by sensor, and "fused" of F_RS."""

    def __init__(self, encoder: SkySense, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        widths = dict.fromkeys(encoder.config.sensors, encoder.config.fusion.width_in)
        widths["fused"] = encoder.info.fused_channels
        self.heads = nn.ModuleDict({name: Projection(width, outputs) for name, width in widths.items()})

    def blocks(self) -> Iterator[nn.Module]:
        """The encoder's transformer blocks: what is compiled, sharded and computed again as one."""
        return (module for module in self.encoder.modules() if isinstance(module, SwinBlock | TransformerBlock))


def freeze_inherited_stems(encoder: SkySense) -> None:
    """Convolutional stems keep what they were given: far more imagery than ours has gone into them."""
    for name, config in (("hr", encoder.config.hr), ("s2", encoder.config.s2)):
        if name in encoder.config.sensors and config.stem != "patch":
            encoder.get_submodule(f"{name}_encoder.stem").requires_grad_(False)


def save_activations(learner: Learner) -> None:
    """Selective activation checkpointing: of each block, products and attentions are kept, the rest is computed again."""
    contexts = partial(create_selective_checkpoint_contexts, _policy)
    for block in learner.blocks():
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=contexts)


def _policy(context: object, op: object, *arguments: object, **options: object) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if op in PRODUCTS else CheckpointPolicy.PREFER_RECOMPUTE
