"""SkySense++: an example with its label map above, a query below, and the query's label map read out of the model.

Wu et al., "SkySense++", Nature Machine Intelligence 2025 (doi 10.1038/s42256-025-01078-8). Released code:
github.com/kang-wu/SkySensePlusPlus. Facts: reference sheet, section 5.2.

Three encoders read images and label maps (`swin_v2_msl.py`, `vit_msl.py`); the features of sensors that are absent
are completed (`completion.py`); sensors and dates are fused (`fusion.py`); a decoder names the label of each pixel.

Legend: B samples, T dates of a sensor, D feature width, V labels, H W pixels of the HR image, h w cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .annotation import SemanticConfig
from .completion import SENSORS, Completed, CompletionConfig, ModalityCompletion
from .fusion import DateEncoding, FusionConfig, FusionTransformer
from .swin_v2 import SwinV2Config
from .swin_v2_msl import SwinV2MSL
from .uper_head import UPerHead, UPerHeadConfig
from .vit import UPHead, ViTConfig
from .vit_msl import ViTMSL

HR_PIXELS = 32  # HR pixels per Sentinel pixel, and HR tokens per cell of the mask


@dataclass(frozen=True)
class PlusPlusConfig:
    """One size of SkySense++."""

    hr: SwinV2Config
    s2: ViTConfig
    s1: ViTConfig
    hr_semantic: SemanticConfig
    s2_semantic: SemanticConfig
    s1_semantic: SemanticConfig
    up: int  # UPHead: cells a side that one ViT token becomes
    fusion: FusionConfig
    head: UPerHeadConfig
    completion: CompletionConfig | None = CompletionConfig()  # None: absent sensors enter the fusion as they are
    dates: int = 0  # days with codes for Sentinel-2; no released model has them
    split_square_only: bool = False  # True as released: the doubled first level is split only where it is square
    upscale: bool = True  # logits of pixels; False: of the first level's cells


@dataclass(frozen=True)
class PromptedPair:
    """Example above, query below, as one image of twice the height; values normalised as the encoders want them."""

    hr: Tensor  # (B, 3, H, W)
    labels: Tensor  # (B, H, W) int, 0..V; what is hidden counts for nothing
    hidden: Tensor  # (B, H / 128, W / 128), 1 where the label map is hidden: below
    s2: Tensor | None = None  # (B, 10, T, H / 32, W / 32); None: no sample has it
    s1: Tensor | None = None  # (B, 2, T, H / 32, W / 32)
    present: Tensor | None = None  # (B, 3) bool, hr, s2, s1; None: what is given
    s2_days: Tensor | None = None  # (B, 2, T) day of year of example and query, 1..366, 0 unknown


@dataclass(frozen=True)
class PairOutput:
    """What the model says, and what it said on the way."""

    logits: Tensor  # (B, V + 1, H, W), of pixels where the model scales up
    cell_logits: Tensor  # (B, V + 1, H / 4, W / 4)
    pyramid: tuple[Tensor, ...]  # of the HR encoder
    completed: Completed | None
    fused: Tensor  # (B, D, h, w)


class SkySensePlusPlus(nn.Module):
    """The released pipeline."""

    def __init__(self, config: PlusPlusConfig) -> None:
        super().__init__()
        width = config.fusion.width_in
        self.config = config
        self.hr_encoder = SwinV2MSL(config.hr, config.hr_semantic)
        self.s2_encoder = ViTMSL(config.s2, config.s2_semantic)
        self.s1_encoder = ViTMSL(config.s1, config.s1_semantic)
        self.s2_head = UPHead(config.s2.width, width, config.up)
        self.s1_head = UPHead(config.s1.width, width, config.up)
        self.completion = None if config.completion is None else ModalityCompletion(config.completion)
        self.dates = DateEncoding(width, config.dates) if config.dates else None
        self.fusion = FusionTransformer(config.fusion)
        self.head = UPerHead(config.head)

    def forward(self, pair: PromptedPair) -> PairOutput:
        """Label logits of example and query. H and W are multiples of 128."""
        pyramid = self.hr_encoder(pair.hr, pair.labels, hidden_tokens(pair.hidden))
        top = pyramid[-1]
        low_labels = sentinel_labels(pair.labels)
        features: tuple[Tensor, ...] = (
            top[:, None],
            self._series(pair.s2, self.s2_encoder, self.s2_head, low_labels, pair.hidden, top),
            self._series(pair.s1, self.s1_encoder, self.s1_head, low_labels, pair.hidden, top),
        )
        completed = None
        if self.completion is not None:
            present = presence(pair)
            completed = self.completion(tuple(x.mean(dim=1) for x in features), present)
            features = tuple(
                torch.where(present[:, m, None, None, None, None], x, made[:, None])
                for m, (x, made) in enumerate(zip(features, completed.features))
            )
        fused = fuse_pair(self.fusion, self.dates, features, pair.s2_days)
        cells = self.head([self.first_level(pyramid[0]), *pyramid[1:], fused])
        logits = cells
        if self.config.upscale:
            logits = F.interpolate(cells.float(), scale_factor=4, mode="bilinear", align_corners=True)
        return PairOutput(logits, cells, tuple(pyramid), completed, fused)

    def first_level(self, x: Tensor) -> Tensor:
        """The first level still holds image and annotation side by side: (B, C, h, 2 w) -> (B, 2 C, h, w)."""
        paired = self.config.hr_semantic.merge_after > 1
        if self.config.split_square_only:
            paired = x.shape[-2] == x.shape[-1]
        return torch.cat(x.chunk(2, dim=3), dim=1) if paired else x

    def _series(
        self, x: Tensor | None, encoder: ViTMSL, head: UPHead, labels: Tensor, hidden: Tensor, like: Tensor
    ) -> Tensor:
        """(B, C, T, h, w) -> (B, T, D, h', w'), the same label map at each date; zeros where the sensor is absent."""
        if x is None:
            return torch.zeros_like(like)[:, None]
        dates = x.shape[2]
        y = encoder(
            x.transpose(1, 2).flatten(0, 1), labels.repeat_interleave(dates, 0), hidden.repeat_interleave(dates, 0)
        )
        return head(y).unflatten(0, (-1, dates))


def fuse_pair(
    fusion: FusionTransformer, dates: DateEncoding | None, features: tuple[Tensor, ...], s2_days: Tensor | None
) -> Tensor:
    """Date codes on Sentinel-2, then fusion at each position: [(B, T_i, D, h, w)] of hr, s2, s1 -> (B, D', h, w)."""
    hr, s2, s1 = features
    if dates is not None and s2_days is not None:
        codes = dates(s2_days.flatten(1)).unflatten(1, s2_days.shape[1:])  # (B, 2, T, D)
        s2 = s2 + half_codes(codes, s2.shape[-2])
    tokens = torch.cat([hr, s2, s1], dim=1)  # (B, N, D, h, w)
    batch, _, _, rows, columns = tokens.shape
    fused = fusion(tokens.permute(0, 3, 4, 1, 2).flatten(0, 2))
    return fused.reshape(batch, rows, columns, -1).permute(0, 3, 1, 2)


def hidden_tokens(hidden: Tensor) -> Tensor:
    """Mask of the HR tokens: (B, h, w) -> (B, 32 h, 32 w)."""
    return hidden.repeat_interleave(HR_PIXELS, dim=1).repeat_interleave(HR_PIXELS, dim=2)


def sentinel_labels(labels: Tensor) -> Tensor:
    """Label map at the size of the Sentinel images, read at the middle of each of their pixels."""
    return labels[:, HR_PIXELS // 2 - 1 :: HR_PIXELS, HR_PIXELS // 2 - 1 :: HR_PIXELS]


def presence(pair: PromptedPair) -> Tensor:
    """(B, 3) bool."""
    if pair.present is not None:
        return pair.present
    given = [getattr(pair, sensor) is not None for sensor in SENSORS]
    return torch.tensor([given] * len(pair.hr), device=pair.hr.device)


def half_codes(codes: Tensor, rows: int) -> Tensor:
    """Date codes of the example for the upper rows, of the query for the lower: (B, 2, T, D) -> (B, T, D, rows, 1)."""
    upper, lower = codes.permute(0, 2, 3, 1).unbind(dim=-1)  # (B, T, D) each
    above = upper[..., None].expand(*upper.shape, rows // 2)
    below = lower[..., None].expand(*lower.shape, rows - rows // 2)
    return torch.cat([above, below], dim=-1)[..., None]
