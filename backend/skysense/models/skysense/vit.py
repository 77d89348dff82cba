"""Sentinel-2 and Sentinel-1 encoders: plain vision transformers, one date at a time, and the head that refines them.

SkySense (arXiv 2312.10115), section 3.1: ViT-L/4 for both; Dosovitskiy et al., ICLR 2021. The released class is the
ViT of mmsegmentation 0.30. Own code instead of timm's `VisionTransformer` because of the block (`layers.py`), corner
padding, the missing final norm and the class position that is kept in the table when the token is not used.

Legend: B samples, C width, H W pixels, h w tokens, p patch side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import TransformerBlock, corner_pad, drop_bands, initialise_transformer, resize_positions
from .dynamic_world_stem import DynamicWorldStem


@dataclass(frozen=True)
class ViTConfig:
    """Sizes of one ViT."""

    channels: int
    width: int
    depth: int
    heads: int
    image: int = 64  # pixels a side that the position table stands for
    position_grid: tuple[int, int] | None = None  # rows, columns of that table; None: a square, image / patch a side
    patch: int = 4
    mlp_ratio: int = 4
    bias: bool = True
    class_token: bool = True  # takes part in attention; never in the map
    class_position: bool = True  # the table starts with the class token's place, whether or not the token is used
    norm_eps: float = 1e-6  # SkySense++ configurations; the released class defaults to 1e-5
    final_norm: bool = False
    position_mode: str = "bicubic"
    # True as released: positions are resized only where the number of tokens differs, so that a 2 x 8 map would read
    # a 4 x 4 table row by row. False: wherever the grid differs.
    positions_by_count: bool = False
    # Rows of SkySense++'s table `ccd`, one of which is added to all patches of a sample. No released model uses it.
    condition_codes: int = 0
    # True: the picture is cut into frames of `image` pixels, each encoded alone with the positions that it was
    # trained with. A feature then depends on its frame only, never on the tile in which it was computed. False, as
    # released: global attention over the whole picture, positions resized to it.
    framed: bool = False
    # "patch": the official patch embedding alone. "dynamic_world": it and, added to it, convolutions over the whole
    # picture; for ten bands and patches of 2 pixels.
    stem: str = "patch"
    drop_path: float = 0.0

    @property
    def table_grid(self) -> tuple[int, int]:
        """Rows and columns of the position table."""
        return self.position_grid or (self.image // self.patch, self.image // self.patch)


class ViT(nn.Module):
    """Vision transformer: (B, C, H, W) -> (B, width, ceil(H / p), ceil(W / p))."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        places = math.prod(config.table_grid) + config.class_position
        self.embedding = nn.Conv2d(config.channels, config.width, config.patch, config.patch)
        self.stem = DynamicWorldStem(config.width) if config.stem == "dynamic_world" else None
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.positions = nn.Parameter(torch.zeros(1, places, config.width))  # the class token's first
        self.condition_codes = None
        if config.condition_codes:
            self.condition_codes = nn.Parameter(torch.empty(1, config.condition_codes, config.width))
            nn.init.trunc_normal_(self.condition_codes, std=0.02)
        rates = torch.linspace(0, config.drop_path, config.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(
            TransformerBlock(
                config.width,
                config.heads,
                config.mlp_ratio * config.width,
                bias=config.bias,
                norm_eps=config.norm_eps,
                drop_path=rate,
            )
            for rate in rates
        )
        self.final_norm = nn.LayerNorm(config.width, eps=config.norm_eps) if config.final_norm else None
        initialise_transformer(self)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)
        nn.init.kaiming_normal_(self.embedding.weight, mode="fan_in", nonlinearity="relu")
        if self.embedding.bias is not None:
            nn.init.zeros_(self.embedding.bias)

    def forward(self, x: Tensor, bands: Tensor | None = None) -> Tensor:
        """The last layer's map.

        Args:
            x: (B, channels, H, W), normalised.
            bands: (B, channels) bool; missing bands drop out of the patch embedding.
        """
        if self.stem is None:
            x, stem = drop_bands(x, bands), None
        else:
            x = self.stem.fill(x, bands)
            stem = self.stem(x)
        if not self.config.framed:
            return self.as_map(self.layers(x, stem)[-1], self.token_grid(x))
        height, width = x.shape[-2:]
        frames, rows, columns = to_frames(x, self.config.image)
        if stem is not None:
            stem, _, _ = to_frames(stem, self.config.image // self.config.patch)
        cells = self.as_map(self.layers(frames, stem)[-1], self.token_grid(frames))
        cells = from_frames(cells, rows, columns)
        return cells[..., : -(-height // self.config.patch), : -(-width // self.config.patch)]

    def layers(self, x: Tensor, stem: Tensor | None = None, codes: Tensor | None = None) -> list[Tensor]:
        """Tokens after the embedding and after each block, the class token first where there is one."""
        tokens = self.embed(x, stem, codes)
        if not self.config.class_token:
            tokens = tokens[:, 1:]
        outputs = [tokens]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        if self.final_norm is not None:
            outputs[-1] = self.final_norm(outputs[-1])
        return outputs

    def embed(self, x: Tensor, stem: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        """Patches with their positions behind the class token: (B, 1 + h * w, C).

        Args:
            x: (B, channels, H, W).
            stem: (B, C, h, w), added to the patches.
            codes: (B,) rows of the table of condition codes.
        """
        patches = self.patches(x)
        patches = (patches if stem is None else patches + stem.permute(0, 2, 3, 1)).flatten(1, 2)  # (B, h * w, C)
        if self.condition_codes is not None and codes is not None:
            patches = patches + self.condition_codes[0, codes][:, None]
        first = (self.class_token + self.positions[:, :1]).expand(len(x), -1, -1)
        return torch.cat([first, patches + self.position_table(self.token_grid(x))], dim=1)

    def patches(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, h, w, C)."""
        return self.embedding(corner_pad(x, self.config.patch)).permute(0, 2, 3, 1)

    def position_table(self, grid: tuple[int, int]) -> Tensor:
        """Learned positions of the patches of a grid, without the class token's: (1, h * w, C)."""
        table = self.positions[:, 1:] if self.config.class_position else self.positions
        if self.config.positions_by_count and table.shape[1] == math.prod(grid):
            return table
        return resize_positions(table, self.config.table_grid, grid, self.config.position_mode)

    def token_grid(self, x: Tensor) -> tuple[int, int]:
        patch = self.config.patch
        return -(-x.shape[-2] // patch), -(-x.shape[-1] // patch)

    def as_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens of a block as a map, the class token left out: (B, [1 +] h * w, C) -> (B, C, h, w)."""
        patches = tokens[:, 1:] if self.config.class_token else tokens
        return patches.transpose(1, 2).reshape(len(tokens), -1, *grid)


class UPHead(nn.Module):
    """Finer cells: 1 x 1 convolution, then each cell's channels become up x up cells (B, C, h, w) -> (B, C', up h, up w)."""

    def __init__(self, width: int, width_out: int, up: int) -> None:
        super().__init__()
        self.up = up
        self.convolution = nn.Conv2d(width, width_out * up * up, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.convolution(x), self.up)


def to_frames(x: Tensor, side: int) -> tuple[Tensor, int, int]:
    """(B, C, H, W) -> (B * rows * columns, C, side, side) after corner padding, with rows and columns."""
    x = corner_pad(x, side)
    batch, channels, height, width = x.shape
    rows, columns = height // side, width // side
    x = x.reshape(batch, channels, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(-1, channels, side, side), rows, columns


def from_frames(frames: Tensor, rows: int, columns: int) -> Tensor:
    """Inverse of `to_frames` for maps of any side: (B * rows * columns, C, h, w) -> (B, C, rows * h, columns * w)."""
    _, channels, height, width = frames.shape
    x = frames.reshape(-1, rows, columns, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(-1, channels, rows * height, columns * width)
