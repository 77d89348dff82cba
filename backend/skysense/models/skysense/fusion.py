"""Fusion of sensors and dates: date encoding and the transformer that runs over the tokens of each position.

SkySense (arXiv 2312.10115), section 3.1: F_T holds the features of all sensors and dates of one position; a class
token F_e is put in front, and its output is F_mm.

Legend: P positions (samples x cells), N tokens of a position (sensors x dates), D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..layers import TransformerBlock, initialise_transformer

DAYS = 365


@dataclass(frozen=True)
class FusionConfig:
    """Sizes of the fusion transformer."""

    width_in: int
    width: int
    depth: int
    heads: int
    mlp_ratio: int = 4
    bias: bool = True  # of the attentions
    norm_eps: float = 1e-5
    # True: the mean over dates of each sensor goes around the transformer and its blocks start at zero, so that the
    # fused feature holds every sensor's information before any training of the fusion. False: as in the paper.
    skip: bool = False
    drop_path: float = 0.0


class DateEncoding(nn.Module):
    """P_DTPE in R^{1 x 365 x D}: one learned code a day of the year.

    31 December of a leap year, day 366, takes the code of day 365. Day 0 means unknown and takes none.
    """

    def __init__(self, width: int, days: int = DAYS) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, days, width))

    def forward(self, days: Tensor) -> Tensor:
        """(B, T) days of the year, 1..366 or 0 -> (B, T, D)."""
        codes = self.table[0, (days - 1).clamp(0, self.table.shape[1] - 1)]
        return codes * (days > 0)[..., None].to(codes.dtype)


class FusionTransformer(nn.Module):
    """Pre-norm transformer with a class token over the tokens of each position; no position table, no final norm."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.projection = nn.Linear(config.width_in, config.width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.skip = nn.Linear(config.width_in, config.width, bias=False) if config.skip else None
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
        initialise_transformer(self)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        if self.skip is not None:
            self._start_as_skip()

    def forward(self, tokens: Tensor, valid: Tensor | None = None, summary: Tensor | None = None) -> Tensor:
        """F_mm: the class token's output.

        Args:
            tokens: (P, N, width_in), F_T + P_DTPE.
            valid: (P, N) bool, False where a token is padding or nobody saw the ground; None: all.
            summary: (P, width_in), the sum over sensors of their means over dates; for `skip` alone.

        Returns:
            (P, width). Tokens that are not valid have no influence on it, whatever they hold.
        """
        x, keys = self.embed(tokens, valid)
        for block in self.blocks[:-1]:
            x = block(x, keys)
        x = self.blocks[-1](x, keys, queries=1)[:, 0]  # nothing but the class token is read from the last block
        if self.skip is not None and summary is not None:
            x = x + self.skip(summary)
        return x

    def embed(self, tokens: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Projected tokens behind the class token (P, 1 + N, width), and which of them are keys."""
        if valid is not None:
            tokens = torch.where(valid[..., None], tokens, 0)
        x = torch.cat([self.class_token.expand(len(tokens), -1, -1), self.projection(tokens)], dim=1)
        if valid is None:
            return x, None
        return x, torch.cat([valid.new_ones(len(valid), 1), valid], dim=1)

    def _start_as_skip(self) -> None:
        if self.skip is None:
            return
        nn.init.zeros_(self.class_token)
        nn.init.eye_(self.skip.weight)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith(("projection.weight", "mlp.2.weight")):
                nn.init.zeros_(parameter)
