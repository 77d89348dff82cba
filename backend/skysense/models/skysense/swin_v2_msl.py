"""High-resolution encoder of SkySense++: Swin V2 that reads an image and its label map.

SkySense++ (doi 10.1038/s42256-025-01078-8); released class `SwinTransformerV2MSL`. Facts: reference sheet, section 5.1.

Legend: B samples, C width, H W pixels, h w tokens.
"""

from __future__ import annotations

from timm.layers import Attention
from torch import Tensor, nn

from ..layers import resize_positions
from .annotation import AnnotationEmbedding, SemanticConfig, average_halves, side_by_side
from .swin_v2 import SwinV2, SwinV2Config


class ProjectedAttention(nn.Module):
    """Global attention in a narrower space: z = in(x), out(z + attention(z)). The caller adds x."""

    def __init__(self, width: int, inner_width: int, heads: int) -> None:
        super().__init__()
        self.project_in = nn.Linear(width, inner_width)
        self.attention = Attention(inner_width, num_heads=heads, qkv_bias=True)  # fused: 65,536 tokens fit into memory
        self.project_out = nn.Linear(inner_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return self.project_out(self.attend(self.project_in(x)))

    def attend(self, z: Tensor) -> Tensor:
        """z + attention(z): without the inner z, one-shot segmentation is lost."""
        return z + self.attention(z)


class SwinV2MSL(SwinV2):
    """Swin V2 for masked semantic learning: the first stages see image and annotation as one map of twice the width."""

    def __init__(self, config: SwinV2Config, semantic: SemanticConfig) -> None:
        super().__init__(config)
        self.semantic = semantic
        self.annotation = AnnotationEmbedding(semantic.vocabulary, config.width, config.patch)
        self.attentions = nn.ModuleList(
            ProjectedAttention(config.level_width(stage), inner, semantic.attention_heads)
            for stage, inner in enumerate(semantic.attention)
        )
        widest = config.level_width(len(semantic.attention) - 1) if semantic.attention else None
        self.attention_norm = None if widest is None else nn.LayerNorm(widest)

    def forward(self, x: Tensor, labels: Tensor, hidden: Tensor | None = None) -> list[Tensor]:  # type: ignore[override]
        """The pyramid; levels before the halves are averaged have twice the width of the image's grid.

        Args:
            x: (B, channels, H, W), normalised; H and W multiples of the patch.
            labels: (B, H, W) int, 0..V.
            hidden: (B, h, w), 1 where the annotation is hidden; None: nowhere.
        """
        image, annotation = self.stem(x), self.annotation(labels, hidden)
        if self.semantic.merge_after:
            tokens = self.add_positions(side_by_side(image, annotation))
        else:
            tokens = self.add_positions((image + annotation) / 2)
        return [self.outputs[str(stage)](y).permute(0, 3, 1, 2) for stage, y in self.through_stages(tokens)]

    def add_positions(self, x: Tensor) -> Tensor:
        """(B, h, w, C): the table is resized to the pair as if it were one image."""
        x = super().add_positions(x)
        if self.positions is None or self.config.position_grid is None or not self.semantic.positions_on_halves:
            return x
        half = (x.shape[1], x.shape[2] // 2)
        table = resize_positions(self.positions, self.config.position_grid, half, self.config.position_mode)
        table = table.view(1, *half, -1)
        return x + side_by_side(table, table)

    def after_stage(self, stage: int, x: Tensor) -> Tensor:
        if stage == self.semantic.merge_after - 1:
            x = average_halves(x)
        if stage < len(self.attentions):
            x = x + self.attentions[stage](x.flatten(1, 2)).view_as(x)
        if self.attention_norm is not None and stage == len(self.attentions) - 1:
            x = self.attention_norm(x)
        return x


class UnannotatedSwinV2(SwinV2MSL):
    """The same encoder on an image alone: its whole label map is hidden, and the image's half of each map is kept."""

    def forward(self, x: Tensor) -> list[Tensor]:  # type: ignore[override]
        """(B, channels, H, W), normalised -> one map (B, C_i, ceil(H / stride_i), ceil(W / stride_i)) per level."""
        return [self.outputs[str(stage)](tokens).permute(0, 3, 1, 2) for stage, tokens in self.stream(x)]

    def stream(self, x: Tensor) -> list[tuple[int, Tensor]]:
        image = self.stem(x)
        hidden = self.annotation.mask_token[None].expand_as(image)
        pair = side_by_side(image, hidden) if self.semantic.merge_after else (image + hidden) / 2
        return [(stage, self._image_half(stage, y)) for stage, y in self.through_stages(self.add_positions(pair))]

    def _image_half(self, stage: int, x: Tensor) -> Tensor:
        return x.chunk(2, dim=2)[0] if stage < self.semantic.merge_after - 1 else x
