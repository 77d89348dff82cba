"""What every encoder takes and gives: SceneBatch in, named FeatureMaps out, EncoderInfo beside it.

Legend for all models: B samples, T dates, C bands, H W pixels, h w cells, D feature width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

SENSOR_ORDER = ("hr", "s2", "s1")  # order of the fusion tokens; the first one present gives the output grid


@dataclass(frozen=True)
class SceneBatch:
    """Samples of one place each, as tensors in canonical units (`protocol.sensors`), with masks and dates.

    Any subset of the three sensors, at least one. They cover the same ground: the whole `hr` array, or, where there
    is none, the whole `s2`, or `s1` array. A coarser sensor may bring more ground around it; then its box says which
    part of its array is that ground. Values where a mask is False are never looked at and may be NaN.

    A large scene that is encoded tile by tile gives every tile the location of the whole scene, so that all of them
    meet the same geo-context.
    """

    hr: Tensor | None = None  # (B, 4, H, W) R, G, B, N; 0..1
    hr_bands: Tensor | None = None  # (B, 4) bool, which bands are there; None: all
    hr_valid: Tensor | None = None  # (B, H, W) bool; None: all
    hr_days: Tensor | None = None  # (B,) int, day of year 1..366, 0 = unknown; None: all unknown

    s2: Tensor | None = None  # (B, T, 10, h, w) reflectance, 1.0 = 100 %
    s2_bands: Tensor | None = None  # (B, 10) bool
    s2_days: Tensor | None = None  # (B, T) int, as hr_days
    s2_dates_valid: Tensor | None = None  # (B, T) bool, False pads a shorter series; None: all
    s2_valid: Tensor | None = None  # (B, T, h, w) bool, False under clouds and outside; None: all
    s2_box: Tensor | None = None  # (B, 4) top, left, bottom, right in s2 pixels; None: the whole array

    s1: Tensor | None = None  # (B, T, 2, h, w) VV, VH in dB
    s1_bands: Tensor | None = None  # (B, 2) bool
    s1_days: Tensor | None = None  # (B, T) int
    s1_dates_valid: Tensor | None = None  # (B, T) bool
    s1_valid: Tensor | None = None  # (B, T, h, w) bool
    s1_box: Tensor | None = None  # (B, 4)

    lonlat: Tensor | None = None  # (B, 2) degrees east and north, NaN = unknown; None: all unknown

    @property
    def sensors(self) -> tuple[str, ...]:
        """Keys of the sensors that are there, in `SENSOR_ORDER`."""
        return tuple(sensor for sensor in SENSOR_ORDER if getattr(self, sensor) is not None)

    @property
    def reference(self) -> Tensor:
        """The array whose pixel grid the fused map follows; raises ValueError for an empty batch."""
        for sensor in self.sensors:
            values: Tensor = getattr(self, sensor)
            return values
        raise ValueError("A SceneBatch needs at least one of hr, s2 and s1.")

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> SceneBatch:
        """The same batch elsewhere; `dtype` applies to the pixel values alone."""
        moved = {}
        for field in fields(self):
            tensor = getattr(self, field.name)
            if tensor is not None:
                tensor = tensor.to(device, dtype if field.name in SENSOR_ORDER else None)
            moved[field.name] = tensor
        return SceneBatch(**moved)


@dataclass(frozen=True)
class Level:
    """One kind of feature map that an encoder gives."""

    channels: int
    stride: int  # pixels of `sensor` per cell; for "fused": of the reference sensor, see EncoderInfo.strides
    sensor: str  # there only if this sensor is in the batch; "" = always there
    description: str
    series: bool = False  # says something of several dates alone


@dataclass(frozen=True)
class EncoderInfo:
    """What callers need to know of an encoder before they run it."""

    key: str  # of ENCODERS
    label: str
    sensors: tuple[str, ...]  # what it takes
    parameters: int
    fused_channels: int
    levels: Mapping[str, Level]  # every output by name, "fused" among them
    probe_levels: tuple[str, ...]  # read by linear probes and heads: those of them that the output holds
    strides: Mapping[str, int]  # pixels per cell of the fused map when this sensor is the reference
    tile_multiple: Mapping[str, int]  # tile origins, in pixels of the reference, must be multiples of this
    halo: Mapping[str, int]  # pixels around a tile beyond which features do not change noticeably
    digest: str  # "sha256:…" of the weights; "untrained:<seed>" without


@dataclass(frozen=True)
class FeatureMap:
    """Features on a grid whose cell (0, 0) starts at the reference's pixel (0, 0)."""

    values: Tensor  # (B, D, h, w)
    stride: int  # pixels of the sensor it stands on per cell
    encoder: str
    digest: str


class Encoder(nn.Module, ABC):
    """An encoder. Values are normalised inside; callers give canonical units."""

    info: EncoderInfo

    @abstractmethod
    def forward(self, batch: SceneBatch) -> dict[str, FeatureMap]:
        """"fused" and the levels of each sensor in the batch. The grid of "fused": ceil(pixels / stride) cells."""

    @abstractmethod
    def last_blocks(self) -> list[nn.Module]:
        """What the fine-tuning mode "last blocks" trains. Buffers, prototypes among them, are never trained."""
