"""Sizes of SkySense, from one that runs on any computer to the paper's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .annotation import SemanticConfig
from .fusion import FusionConfig
from .lite0_stem import LITE0_PIXEL_MEAN, LITE0_PIXEL_STD
from .model import SkySense, SkySenseConfig
from .plus_plus import PlusPlusConfig, SkySensePlusPlus
from .swin_v2 import SwinV2Config
from .uper_head import UPerHeadConfig
from .vit import ViTConfig

NANO = SkySenseConfig(
    key="skysense-nano",
    label="SkySense nano",
    hr=SwinV2Config(
        width=72,  # that of the stem: what it inherits enters the stages as it is
        depths=(2, 4),
        heads=(4, 8),
        channels=4,
        levels=(0, 1),
        stem="lite0",
        output="affine",
        residual_gain=0.0,
    ),
    s2=ViTConfig(
        channels=10, width=192, depth=2, heads=4, image=16, patch=2, framed=True, stem="dynamic_world"
    ),
    s1=ViTConfig(channels=2, width=96, depth=3, heads=4, image=16, patch=2, framed=True),
    up=2,
    fusion=FusionConfig(width_in=128, width=128, depth=2, heads=4, mlp_ratio=2, skip=True),
    fused_stages=(0, 1),
    region_side=16,
    prototypes=16,
    hr_mean=(LITE0_PIXEL_MEAN,) * 3,
    hr_std=(LITE0_PIXEL_STD,) * 3,
    season=2,
    halo=(128, 32, 0),
)

TINY = SkySenseConfig(
    key="skysense-tiny",
    label="SkySense tiny",
    hr=SwinV2Config(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24)),
    s2=ViTConfig(channels=10, width=192, depth=12, heads=3),
    s1=ViTConfig(channels=2, width=192, depth=12, heads=3),
    up=4,
    fusion=FusionConfig(width_in=768, width=384, depth=4, heads=6),
    fused_stages=(3,),
    region_side=16,
    prototypes=32,
    halo=(256, 64, 64),
)

BASE = SkySenseConfig(
    key="skysense-base",
    label="SkySense base",
    hr=SwinV2Config(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32)),
    s2=ViTConfig(channels=10, width=768, depth=12, heads=12),
    s1=ViTConfig(channels=2, width=768, depth=12, heads=12),
    up=4,
    fusion=FusionConfig(width_in=1024, width=768, depth=12, heads=12),
    fused_stages=(3,),
    region_side=32,
    prototypes=64,
    halo=(256, 64, 64),
)

HUGE = SkySenseConfig(
    key="skysense-huge",
    label="SkySense huge",
    hr=SwinV2Config(width=352, depths=(2, 2, 18, 2), heads=(8, 16, 32, 64), extra_norm_every=6),
    s2=ViTConfig(channels=10, width=1024, depth=24, heads=16),
    s1=ViTConfig(channels=2, width=1024, depth=24, heads=16),
    up=4,
    fusion=FusionConfig(width_in=2816, width=1024, depth=24, heads=16),
    fused_stages=(3,),
    halo=(256, 64, 64),
)

_SEMANTIC = SemanticConfig(merge_after=4)
HUGE_PLUS_PLUS = PlusPlusConfig(
    hr=HUGE.hr,
    s2=replace(HUGE.s2, image=16),
    s1=replace(HUGE.s1, image=16),
    hr_semantic=SemanticConfig(merge_after=2, attention=(256, 512, 1024)),
    s2_semantic=_SEMANTIC,
    s1_semantic=_SEMANTIC,
    up=4,
    fusion=HUGE.fusion,
    head=UPerHeadConfig(widths=(704, 704, 1408, 2816, 1024), classes=65),
)


def nano() -> SkySense:
    """The bundled size. A feature does not depend on its tile: window attention, framed ViTs, no absolute positions."""
    return SkySense(NANO)


def tiny() -> SkySense:
    """Swin-T, ViT-Ti, fusion of 4 layers."""
    return SkySense(TINY)


def base() -> SkySense:
    """Swin-B, ViT-B, fusion of 12 layers."""
    return SkySense(BASE)


def huge() -> SkySense:
    """The paper's size: Swin-H, two ViT-L/4, fusion of 24 layers, 4096 regions of 100 prototypes."""
    return SkySense(HUGE)


def huge_plus_plus() -> SkySensePlusPlus:
    """SkySense++ as released: 1,809,455,265 parameters."""
    return SkySensePlusPlus(HUGE_PLUS_PLUS)


PRESETS: dict[str, Callable[[], SkySense]] = {"nano": nano, "tiny": tiny, "base": base, "huge": huge}
