"""Sentinel-2 and Sentinel-1 encoders of SkySense++: a ViT that reads an image and its label map.

SkySense++ (doi 10.1038/s42256-025-01078-8); released class `VisionTransformerMSL`. Facts: reference sheet, section 5.1.

Legend: B samples, C width, H W pixels, h w tokens.
"""

from __future__ import annotations

from dataclasses import replace

from timm.layers import Attention
from torch import Tensor, nn

from .annotation import AnnotationEmbedding, SemanticConfig, average_halves, side_by_side
from .vit import ViT, ViTConfig


class ViTMSL(ViT):
    """ViT for masked semantic learning. No class token takes part and the position table has no place for one."""

    def __init__(self, config: ViTConfig, semantic: SemanticConfig) -> None:
        super().__init__(replace(config, class_token=False, class_position=False))
        self.semantic = semantic
        self.annotation = AnnotationEmbedding(semantic.vocabulary, config.width, config.patch)
        self.attentions = nn.ModuleList(
            Attention(config.width, num_heads=semantic.attention_heads, qkv_bias=True) for _ in semantic.attention
        )
        self.attention_norm = nn.LayerNorm(config.width) if semantic.attention else None

    def forward(self, x: Tensor, labels: Tensor, hidden: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """The last block's map (B, C, h, w).

        Args:
            x: (B, channels, H, W), normalised; H and W multiples of the patch.
            labels: (B, H, W) int, 0..V.
            hidden: (B, h, w), 1 where the annotation is hidden; None: nowhere.
        """
        return self.maps(x, labels, hidden)[-1]

    def maps(self, x: Tensor, labels: Tensor, hidden: Tensor | None = None) -> list[Tensor]:
        """Each block's map; those before the halves are averaged have twice the width."""
        return self.through_blocks(self.join(x, labels, hidden))

    def through_blocks(self, tokens: Tensor) -> list[Tensor]:
        """(B, h, w or 2 w, C) -> each block's map (B, C, h, w or 2 w)."""
        found = []
        for index, block in enumerate(self.blocks):
            tokens = self.after_block(index, block(tokens.flatten(1, 2)).view_as(tokens))
            found.append(tokens.permute(0, 3, 1, 2))
        return found

    def join(self, x: Tensor, labels: Tensor, hidden: Tensor | None) -> Tensor:
        """Image and annotation with their positions; the table is resized to the pair as if it were one image."""
        return self.joined(self.patches(x), self.annotation(labels, hidden))

    def joined(self, image: Tensor, annotation: Tensor) -> Tensor:
        """Two maps (B, h, w, C) -> (B, h, w or 2 w, C)."""
        pair = side_by_side(image, annotation) if self.semantic.merge_after else (image + annotation) / 2
        return pair + self.position_table((pair.shape[1], pair.shape[2])).view(1, *pair.shape[1:])

    def after_block(self, index: int, x: Tensor) -> Tensor:
        if index == self.semantic.merge_after - 1:
            x = average_halves(x)
        if index < len(self.attentions):
            # 2x + attention(x): the released attention adds its input itself, and its caller once more.
            x = 2 * x + self.attentions[index](x.flatten(1, 2)).view_as(x)
        if self.attention_norm is not None:
            return self.attention_norm(x) if index == len(self.attentions) - 1 else x  # and no final norm
        if self.final_norm is not None and index == len(self.blocks) - 1:
            x = self.final_norm(x)
        return x


class UnannotatedViT(ViTMSL):
    """The same encoder on an image alone: its whole label map is hidden."""

    def forward(self, x: Tensor, bands: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """As `ViT.forward`, `framed` included."""
        return ViT.forward(self, x, bands)

    def layers(self, x: Tensor, stem: Tensor | None = None, codes: Tensor | None = None) -> list[Tensor]:
        image = self.patches(x)
        hidden = self.annotation.mask_token[None].expand_as(image)
        maps = self.through_blocks(self.joined(image, hidden))
        return [y.flatten(2).transpose(1, 2) for y in maps]
