"""An encoder and a trained head as one model: a batch of a scene in, class logits on its pixels out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skysense.models.heads import SegmentationHead
from skysense.models.interface import SENSOR_ORDER, Encoder, EncoderInfo, FeatureMap, SceneBatch
from skysense.protocol.requests import ClassInfo, ModelCard

HEAD_REACH_CELLS = 4  # two 3 x 3 convolutions and two bilinear resizings, in cells of the coarsest level


class LevelScale(nn.Module):
    """Fixed mean and deviation of a level's channels, so that the head begins with features of one size."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def set(self, mean: Tensor, deviation: Tensor) -> None:
        """Both (D,)."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean[:, None, None]) / self.deviation[:, None, None]


class Scales(nn.ModuleDict):
    """A scale for each level."""

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__({name: LevelScale(count) for name, count in channels.items()})

    def __getitem__(self, level: str) -> LevelScale:
        scale = super().__getitem__(level)
        if not isinstance(scale, LevelScale):
            raise TypeError(f"{level} is no scale")
        return scale


class Segmenter(nn.Module):
    """A fine-tuned model.

    Attributes:
        encoder: what it stands on.
        card: what is known of it; without figures while it is being trained.
        classes: index i of the logits is `classes[i]`.
    """

    def __init__(self, encoder: Encoder, levels: tuple[str, ...], card: ModelCard) -> None:
        """A new head on some of the encoder's levels.

        Args:
            encoder: it stays in evaluation mode for ever: no dropout, no batch statistics.
            levels: names of `encoder.info.levels`, all on the grid of the finest sensor.
            card: its classes are what the head tells apart.
        """
        super().__init__()
        channels = {name: encoder.info.levels[name].channels for name in levels}
        self.encoder = encoder.eval()
        self.levels, self.card = levels, card
        self.scales = Scales(channels)
        self.head = SegmentationHead(channels, len(card.classes))

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        return self.card.classes

    @property
    def info(self) -> EncoderInfo:
        """The encoder's, with the halo that the head needs beside it: what tiles of this model are cut by."""
        own = self.encoder.info
        coarsest = {
            sensor: max(own.levels[name].stride for name in self.levels if own.levels[name].sensor in (sensor, ""))
            for sensor in SENSOR_ORDER
            if any(own.levels[name].sensor in (sensor, "") for name in self.levels)
        }
        reach = {sensor: HEAD_REACH_CELLS * coarsest.get(sensor, 0) for sensor in own.halo}
        return replace(own, halo={sensor: max(own.halo[sensor], reach[sensor]) for sensor in own.halo})

    def train(self, mode: bool = True) -> Segmenter:
        """Training mode is for the head alone."""
        super().train(mode)
        self.encoder.eval()
        return self

    def encode(self, batch: SceneBatch) -> dict[str, Tensor]:
        """The levels (B, D, h, w) that the head reads."""
        maps = self.encoder(batch)
        return {name: maps[name].values for name in self.levels}

    def classify(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Levels (B, D, h, w) -> logits (B, K, h, w) on the finest of their grids."""
        info = self.encoder.info
        scaled = {name: self.scales[name](maps[name].float()) for name in self.levels}
        return self.head(
            {name: FeatureMap(values, info.levels[name].stride, info.key, info.digest) for name, values in scaled.items()}
        )

    def predict(self, batch: SceneBatch) -> Tensor:
        """Logits (B, K, H, W) on the pixels of the finest sensor."""
        with torch.inference_mode():
            logits = self.classify(self.encode(batch))
            return to_pixels(logits, self.stride(batch.sensors[0]), batch.reference.shape[-2:])

    def stride(self, lead: str) -> int:
        """Pixels of the finest sensor per cell of the logits."""
        info = self.encoder.info
        return min(info.strides[lead] if name == "fused" else info.levels[name].stride for name in self.levels)


def to_pixels(logits: Tensor, stride: int, size: tuple[int, int] | torch.Size) -> Tensor:
    """(B, K, h, w) -> (B, K, H, W), bilinear."""
    if stride > 1:
        logits = F.interpolate(logits, scale_factor=stride, mode="bilinear", align_corners=False)
    return logits[..., : size[0], : size[1]]


def choose_levels(info: EncoderInfo, sensors: tuple[str, ...], dates: int) -> tuple[str, ...]:
    """What a head reads: the finest sensor's own levels, and the fused ones where there is anything to fuse.

    Args:
        info: of the encoder.
        sensors: of the scene, the finest first.
        dates: of the longest series.
    """
    own = tuple(
        name
        for name in info.probe_levels
        if info.levels[name].sensor == sensors[0] and (dates > 1 or not info.levels[name].series)
    )
    return (*own, "fused") if len(sensors) > 1 or dates > 1 else own
