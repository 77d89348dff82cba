"""SkySense: encode each sensor, put all on one grid, add dates, fuse, attend to geo-context prototypes.

Guo et al., "SkySense: A Multi-Modal Remote Sensing Foundation Model Towards Universal Interpretation for Earth
Observation Imagery", CVPR 2024 (arXiv 2312.10115). Released code: github.com/Jack-bo1220/SkySense.

Legend: B samples, T dates of a sensor, N tokens of a position (all sensors and dates), D width, h w cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..interface import SENSOR_ORDER, Encoder, EncoderInfo, FeatureMap, Level, SceneBatch
from .annotation import SemanticConfig
from .fusion import DateEncoding, FusionConfig, FusionTransformer
from .geo_context import GeoContext
from .normalise import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    fill_missing_colours,
    standardise_hr,
    standardise_s1,
    standardise_s2,
)
from .season import harmonics
from .swin_v2 import SwinV2, SwinV2Config
from .swin_v2_msl import UnannotatedSwinV2
from .vit import UPHead, ViT, ViTConfig
from .vit_msl import UnannotatedViT

CHUNK_TOKENS = 32_768  # fused at a time: bounds the memory of long series


@dataclass(frozen=True)
class SkySenseConfig:
    """One size of SkySense, or of some of its encoders."""

    key: str
    label: str
    hr: SwinV2Config
    s2: ViTConfig
    s1: ViTConfig
    up: int  # UPHead: cells a side that one ViT token becomes
    fusion: FusionConfig
    fused_stages: tuple[int, ...]  # stages of the HR encoder that enter the fusion; the first one sets the grid
    sensors: tuple[str, ...] = SENSOR_ORDER  # of one alone, there is its encoder and nothing else
    semantic: tuple[SemanticConfig, ...] | None = None  # hr, s2, s1: encoders of SkySense++, run without a label map
    dates: str = "all"  # what gets date codes: "all" as in the paper, "s2" as in the released code, "none"
    region_side: int = 64  # region_side x region_side equal-area regions
    prototypes: int = 100  # of each region; 0: no geo-context
    season: int = 0  # harmonics of the year that levels of their own hold, with the bands as they are; 0: as in the paper
    hr_mean: tuple[float, ...] = IMAGENET_MEAN
    hr_std: tuple[float, ...] = IMAGENET_STD
    halo: tuple[int, int, int] = (0, 0, 0)  # pixels of hr, s2, s1 that a tile needs around it

    @property
    def fuses(self) -> bool:
        return len(self.sensors) > 1

    @property
    def strides(self) -> dict[str, int]:
        """Pixels of each sensor per cell of its features."""
        up = self.up if self.fuses else 1
        found = {
            "hr": self.hr.level_stride(self.fused_stages[0]),
            "s2": self.s2.patch // up,
            "s1": self.s1.patch // up,
        }
        return {sensor: found[sensor] for sensor in self.sensors}


@dataclass(frozen=True)
class Features:
    """What SkySense computes of a batch before the geo-context, on the common grid."""

    sensors: dict[str, Tensor]  # F_i of each sensor in the batch, (B, T_i, D, h, w); one date for hr
    seen: dict[str, Tensor]  # (B, T_i, h, w) bool, where anybody saw the ground at that date
    levels: dict[str, Tensor]  # the sensors' own maps by the names of `EncoderInfo.levels`
    fused: Tensor  # F_mm (B, D', h, w)


class LateralSum(nn.Module):
    """Several HR levels on the grid of the finest: 1 x 1 projections, coarser maps resized bilinearly, summed."""

    def __init__(self, widths: tuple[int, ...], width_out: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, width_out, kernel_size=1) for width in widths)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """[(B, C_i, h / 2^i, w / 2^i)] -> (B, D, h, w)."""
        height, width = maps[0].shape[-2:]
        total = self.laterals[0](maps[0])
        for depth, (lateral, level) in enumerate(zip(self.laterals[1:], maps[1:]), start=1):
            level = F.interpolate(lateral(level), scale_factor=2**depth, mode="bilinear", align_corners=False)
            total = total + level[..., :height, :width]  # an odd finer map was padded before it was halved
        return total


class SkySense(Encoder):
    """The factorised encoder."""

    # Those of the configuration's sensors; the others do not exist.
    hr_encoder: SwinV2
    s2_encoder: ViT
    s1_encoder: ViT
    s2_head: UPHead
    s1_head: UPHead
    dates: DateEncoding
    fusion: FusionTransformer

    def __init__(self, config: SkySenseConfig) -> None:
        super().__init__()
        self.config = config
        semantic = dict(zip(SENSOR_ORDER, config.semantic or ()))
        if "hr" in config.sensors:
            self.hr_encoder = hr_encoder(config.hr, semantic.get("hr"))
        if "s2" in config.sensors:
            self.s2_encoder = series_encoder(config.s2, semantic.get("s2"))
        if "s1" in config.sensors:
            self.s1_encoder = series_encoder(config.s1, semantic.get("s1"))
        self.hr_neck: LateralSum | None = None
        self.geo_context: GeoContext | None = None
        if len(config.sensors) > 1:
            self._build_fusion(config)
        self.info = describe(config, self)

    def _build_fusion(self, config: SkySenseConfig) -> None:
        width = config.fusion.width_in
        self.s2_head = UPHead(config.s2.width, width, config.up)
        self.s1_head = UPHead(config.s1.width, width, config.up)
        widths = tuple(config.hr.level_width(stage) for stage in config.fused_stages)
        # One stage of the right width enters as it is, as in the released code.
        self.hr_neck = None if widths == (width,) else LateralSum(widths, width)
        if config.dates != "none":
            self.dates = DateEncoding(width)
        self.fusion = FusionTransformer(config.fusion)
        if config.prototypes:
            self.geo_context = GeoContext(config.region_side, config.prototypes, config.fusion.width)

    def forward(self, batch: SceneBatch) -> dict[str, FeatureMap]:
        found = self.features(batch)
        maps = {**found.levels, "fused": self.in_context(found.fused, batch.lonlat)}
        strides = {name: level.stride for name, level in self.info.levels.items()}
        strides["fused"] = self.info.strides[batch.sensors[0]]
        return {
            name: FeatureMap(values, strides[name], self.info.key, self.info.digest) for name, values in maps.items()
        }

    def features(self, batch: SceneBatch) -> Features:
        """F_i of every sensor and F_mm: what pretraining compares."""
        maps: dict[str, Tensor] = {}
        features: dict[str, Tensor] = {}
        seen: dict[str, Tensor] = {}
        grid = self._grid(batch)
        for sensor in batch.sensors:
            if sensor == "hr":
                features[sensor], seen[sensor] = self._encode_hr(batch, maps)
            else:
                features[sensor], seen[sensor] = self._encode_series(batch, sensor, grid, maps)
        if self.config.fuses:
            fused = self._fuse(batch, features, seen)
        else:
            (sensor,) = features
            fused = mean_over_dates(features[sensor], seen[sensor])
        return Features(features, seen, maps, fused)

    def in_context(self, fused: Tensor, lonlat: Tensor | None) -> Tensor:
        """F_RS (B, 2 D', h, w): F_mm and what it attends to among its region's prototypes; F_mm where there are none."""
        if self.geo_context is None:
            return fused
        return torch.cat([fused, self.geo_context(fused, lonlat)], dim=1)

    def last_blocks(self) -> list[nn.Module]:
        modules: list[nn.Module] = []
        if "hr" in self.config.sensors:
            modules.append(self.hr_encoder.stages[-1])
        if "s2" in self.config.sensors:
            modules.append(self.s2_encoder.blocks[-1])
        if "s1" in self.config.sensors:
            modules.append(self.s1_encoder.blocks[-1])
        if self.config.fuses:
            modules += [self.fusion, self.s2_head, self.s1_head]
        return modules if self.hr_neck is None else [*modules, self.hr_neck]

    # -- one sensor at a time ----------------------------------------------------------------------------------------
    def encode_hr(self, batch: SceneBatch) -> list[Tensor]:
        """The HR pyramid alone: one map per level of the configuration."""
        if batch.hr is None:
            raise ValueError("The batch has no high-resolution image.")
        x = fill_missing_colours(batch.hr, batch.hr_bands)
        x = standardise_hr(x, self.config.hr_mean, self.config.hr_std, batch.hr_bands, batch.hr_valid)
        return self.hr_encoder(x[:, : self.config.hr.channels])

    def encode_series(self, batch: SceneBatch, sensor: str) -> Tensor:
        """F_s2 or F_s1 on the sensor's own grid, each date alone: (B, T, D, h, w)."""
        x = standardise_series(batch, sensor)
        encoder = self.s2_encoder if sensor == "s2" else self.s1_encoder
        dates = x.shape[1]
        bands = getattr(batch, f"{sensor}_bands")
        bands = None if bands is None else bands.repeat_interleave(dates, dim=0)
        y = encoder(x.flatten(0, 1), bands)
        if self.config.fuses:
            y = (self.s2_head if sensor == "s2" else self.s1_head)(y)  # (B * T, D, h', w')
        stride = self.info.strides[sensor]
        y = y[..., : -(-x.shape[-2] // stride), : -(-x.shape[-1] // stride)]
        return y.reshape(-1, dates, *y.shape[1:])

    def _encode_hr(self, batch: SceneBatch, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        pyramid = dict(zip(self.config.hr.levels, self.encode_hr(batch)))
        for stage, level in pyramid.items():
            maps[f"hr_{self.config.hr.level_stride(stage)}"] = level
        fused_levels = [pyramid[stage] for stage in self.config.fused_stages]
        feature = fused_levels[0] if self.hr_neck is None else self.hr_neck(fused_levels)
        seen = cells_seen(batch.hr_valid, self.info.strides["hr"], feature)
        return feature[:, None], seen[:, None]

    def _encode_series(
        self, batch: SceneBatch, sensor: str, grid: tuple[int, int], maps: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        feature = self.encode_series(batch, sensor)  # (B, T, D, h, w)
        seen = dates_seen(batch, sensor, self.info.strides[sensor], feature)
        maps[sensor] = mean_over_dates(feature, seen)
        if self.config.season:
            maps[f"{sensor}_bands"] = self._bands(batch, sensor)
            maps[f"{sensor}_season"] = harmonics(feature, seen, getattr(batch, f"{sensor}_days"), self.config.season)
        if batch.sensors[0] != sensor:
            place = self._place(batch, sensor, feature, grid)
            if place is not None:
                feature, seen = sample(feature, place, "bilinear"), sample(seen, place, "nearest")
        return feature, seen

    def _bands(self, batch: SceneBatch, sensor: str) -> Tensor:
        """The bands as the encoder gets them, mean over dates and how they change: (B, (1 + 2 K) C, H, W).

        A pixel's own values, which tokens of several pixels blur.
        """
        x = standardise_series(batch, sensor)
        seen = dates_seen(batch, sensor, 1, x)
        change = harmonics(x, seen, getattr(batch, f"{sensor}_days"), self.config.season)
        return torch.cat([mean_over_dates(x, seen), change], dim=1)

    # -- common grid and fusion --------------------------------------------------------------------------------------
    def _grid(self, batch: SceneBatch) -> tuple[int, int]:
        stride = self.info.strides[batch.sensors[0]]
        height, width = batch.reference.shape[-2:]
        return -(-height // stride), -(-width // stride)

    def _place(self, batch: SceneBatch, sensor: str, feature: Tensor, grid: tuple[int, int]) -> Tensor | None:
        """Where the centres of the common grid lie in this sensor's map: (B, h, w, 2) as x, y in -1..1.

        None where the two grids are the same.
        """
        box = getattr(batch, f"{sensor}_box")
        own = getattr(batch, sensor).shape[-2:]
        reference = batch.reference.shape[-2:]
        stride, reference_stride = self.info.strides[sensor], self.info.strides[batch.sensors[0]]
        if box is None:
            if own == reference and stride == reference_stride:
                return None
            box = feature.new_tensor([[0.0, 0.0, own[0], own[1]]]).expand(len(feature), 4)
        axes = []
        for axis in (0, 1):
            centres = (torch.arange(grid[axis], device=feature.device) + 0.5) * reference_stride / reference[axis]
            pixels = box[:, axis, None] + centres * (box[:, axis + 2] - box[:, axis])[:, None]  # (B, cells)
            axes.append(pixels / stride / feature.shape[-2 + axis] * 2 - 1)
        y, x = axes
        rows, columns = grid
        place = torch.stack([x[:, None, :].expand(-1, rows, -1), y[:, :, None].expand(-1, -1, columns)], dim=-1)
        return place.to(feature.dtype)

    def _fuse(self, batch: SceneBatch, features: dict[str, Tensor], seen: dict[str, Tensor]) -> Tensor:
        """F_mm (B, D, h, w) from F_i and where each of them is seen."""
        summary = None
        if self.config.fusion.skip:
            means = [mean_over_dates(features[sensor], seen[sensor]) for sensor in features]
            summary = to_positions(torch.stack(means, dim=1).sum(dim=1, keepdim=True))[:, 0]  # (P, D)
        dated = []
        for sensor, feature in features.items():
            if self.config.dates == "all" or sensor == self.config.dates:
                days = getattr(batch, f"{sensor}_days")
                if days is not None:
                    codes = self.dates(days[:, None] if days.ndim == 1 else days)  # (B, T, D)
                    feature = feature + codes[..., None, None].to(feature.dtype)
            dated.append(feature)
        tokens = torch.cat(dated, dim=1)  # F_T + P_DTPE: (B, N, D, h, w)
        valid = torch.cat(list(seen.values()), dim=1)  # (B, N, h, w)
        samples, count, _, rows, columns = tokens.shape
        tokens, valid = to_positions(tokens), to_positions(valid[:, :, None])[..., 0]  # (P, N, D), (P, N)
        step = max(1, CHUNK_TOKENS // (count + 1))
        parts = []
        for start in range(0, len(tokens), step):
            chunk = slice(start, start + step)
            parts.append(self.fusion(tokens[chunk], valid[chunk], None if summary is None else summary[chunk]))
        fused = torch.cat(parts)
        return fused.reshape(samples, rows, columns, -1).permute(0, 3, 1, 2)


def hr_encoder(config: SwinV2Config, semantic: SemanticConfig | None) -> SwinV2:
    return SwinV2(config) if semantic is None else UnannotatedSwinV2(config, semantic)


def series_encoder(config: ViTConfig, semantic: SemanticConfig | None) -> ViT:
    return ViT(config) if semantic is None else UnannotatedViT(config, semantic)


def standardise_series(batch: SceneBatch, sensor: str) -> Tensor:
    """What the encoder of a series gets: (B, T, C, H, W)."""
    values = getattr(batch, sensor)
    if values is None:
        raise ValueError(f"The batch has no series of {sensor}.")
    standardise = standardise_s2 if sensor == "s2" else standardise_s1
    return standardise(values, getattr(batch, f"{sensor}_bands"), getattr(batch, f"{sensor}_valid"))


def dates_seen(batch: SceneBatch, sensor: str, stride: int, like: Tensor) -> Tensor:
    """Where the ground was seen at each date, on the cells of a series like (B, T, D, h, w): (B, T, h, w) bool."""
    valid = getattr(batch, f"{sensor}_valid")
    seen = cells_seen(None if valid is None else valid.flatten(0, 1), stride, like.flatten(0, 1))
    seen = seen.reshape(*like.shape[:2], *seen.shape[1:])
    dates_valid = getattr(batch, f"{sensor}_dates_valid")
    return seen if dates_valid is None else seen & dates_valid[:, :, None, None]


def cells_seen(valid: Tensor | None, stride: int, like: Tensor) -> Tensor:
    """(B, H, W) -> (B, h, w): a cell counts as seen if any of its pixels is valid."""
    if valid is None:
        return torch.ones(len(like), *like.shape[-2:], dtype=torch.bool, device=like.device)
    if stride == 1:
        return valid
    return F.max_pool2d(valid[:, None].float(), stride, stride, ceil_mode=True)[:, 0] > 0


def mean_over_dates(feature: Tensor, seen: Tensor) -> Tensor:
    """(B, T, D, h, w) -> (B, D, h, w) over the dates at which a cell was seen; 0 where it never was."""
    weight = seen[:, :, None].to(feature.dtype)
    total = (torch.where(seen[:, :, None], feature, 0)).sum(dim=1)
    return total / weight.sum(dim=1).clamp(min=1)


def sample(feature: Tensor, place: Tensor, mode: str) -> Tensor:
    """(B, T, ..., h', w') at `place` (B, h, w, 2) -> (B, T, ..., h, w); bool stays bool."""
    samples, dates = feature.shape[:2]
    flat = feature.reshape(samples, -1, *feature.shape[-2:])
    y = F.grid_sample(flat.to(place.dtype), place, mode=mode, padding_mode="border", align_corners=False)
    y = y > 0.5 if feature.dtype == torch.bool else y
    return y.reshape(samples, dates, *feature.shape[2:-2], *y.shape[-2:])


def to_positions(tokens: Tensor) -> Tensor:
    """(B, N, D, h, w) -> (B * h * w, N, D); positions row-major, samples slowest."""
    return tokens.permute(0, 3, 4, 1, 2).flatten(0, 2)


# -- description -----------------------------------------------------------------------------------------------------
def describe(config: SkySenseConfig, model: SkySense, digest: str = "untrained") -> EncoderInfo:
    """The card of one configuration; counts parameters and prototypes, not batch statistics."""
    strides, levels = config.strides, {}
    if "hr" in config.sensors:
        for stage in config.hr.levels:
            stride = config.hr.level_stride(stage)
            levels[f"hr_{stride}"] = Level(config.hr.level_width(stage), stride, "hr", f"Swin V2 stage {stage + 1}")
    for sensor, vit, label in (("s2", config.s2, "Sentinel-2"), ("s1", config.s1, "Sentinel-1")):
        if sensor in config.sensors:
            width = config.fusion.width_in if config.fuses else vit.width
            levels[sensor] = Level(width, strides[sensor], sensor, f"{label} features, mean over dates")
            if config.season:
                bands = (1 + 2 * config.season) * vit.channels
                said = f"{label} bands, mean over dates and how they change over the year"
                levels[f"{sensor}_bands"] = Level(bands, 1, sensor, said, series=True)
                said = f"How {label} features change over the year"
                levels[f"{sensor}_season"] = Level(2 * config.season * width, strides[sensor], sensor, said, series=True)
    probe_levels = tuple(levels)
    if config.fuses:
        fused = config.fusion.width * (2 if config.prototypes else 1)
        said = "All sensors and dates, then the geo-context of the region" if config.prototypes else "All sensors and dates"
    else:
        fused, said = list(levels.values())[-1].channels, "The features of the one sensor"
    levels["fused"] = Level(fused, next(iter(strides.values())), "", said)
    bank = 0 if model.geo_context is None else model.geo_context.bank.numel()
    windows = [config.hr.stage_window(i) * config.hr.level_stride(i) for i in range(len(config.hr.depths))]
    multiple = {
        "hr": max(windows),
        "s2": config.s2.image if config.s2.framed else config.s2.patch,
        "s1": config.s1.image if config.s1.framed else config.s1.patch,
    }
    halo = dict(zip(SENSOR_ORDER, config.halo))
    return EncoderInfo(
        key=config.key,
        label=config.label,
        sensors=config.sensors,
        parameters=sum(parameter.numel() for parameter in model.parameters()) + bank,
        fused_channels=fused,
        levels=levels,
        probe_levels=probe_levels,
        strides=strides,
        tile_multiple={sensor: multiple[sensor] for sensor in config.sensors},
        halo={sensor: halo[sensor] for sensor in config.sensors},
        digest=digest,
    )


def with_digest(model: SkySense, digest: str) -> SkySense:
    """The model, its outputs marked with the digest of the weights that it now holds."""
    model.info = replace(model.info, digest=digest)
    return model
