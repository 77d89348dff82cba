"""Modality completion of SkySense++: the features of a sensor that is absent, made from those that are there.

SkySense++ (doi 10.1038/s42256-025-01078-8), released class `ModalityCompletion`. One autoencoder a sensor maps its
features to a distribution over a code book and back; the sensors share what the codes mean, so that one sensor's
codes can be decoded into another's features. Facts: reference sheet, section 5.3.

Legend: B samples, M = 3 sensors (hr, s2, s1), D feature width, K codes, h w cells (multiples of 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SENSORS = ("hr", "s2", "s1")
SHARPNESS = 9.0  # temperature 0.9 times 10: the codes of a position are softmax(9 * logits)
GAIN_START = 0.001  # of the residual branches


@dataclass(frozen=True)
class CompletionConfig:
    """Sizes of the three autoencoders."""

    width: int = 2816  # of the features
    inner_width: int = 256
    code_width: int = 256
    codes: int = 8192


@dataclass(frozen=True)
class Completed:
    """Of each sensor, in the order of `SENSORS`."""

    features: tuple[Tensor, ...]  # (B, D, h, w), the input where the sensor is there, else what was made for it
    decoded: tuple[Tensor, ...]  # (B, D, h, w), what the sensor's decoder makes of its own or the others' codes
    logits: tuple[Tensor, ...]  # (B, K, h / 4, w / 4), of its own features, whether it is there or not
    divergence: Tensor  # scalar: by how much the sensors that are there disagree on the codes


class CodeAutoencoder(nn.Module):
    """Features to code logits and back. Soft: a position holds a mixture of codes, never one code's index."""

    def __init__(self, config: CompletionConfig) -> None:
        super().__init__()
        inner = config.inner_width
        self.codebook = nn.Embedding(config.codes, config.code_width)
        self.conv1 = nn.Conv2d(config.width, inner, 5, padding=2)
        self.enc_block1, self.gamma_1 = _residual(inner), _gain(inner)
        self.enc_block2, self.gamma_2 = _residual(inner), _gain(inner)
        self.logit_conv = nn.Conv2d(inner, config.codes, 1)
        self.conv2 = nn.Conv2d(config.code_width, inner, 3, padding=1)
        self.dec_block1, self.gamma_3 = _residual(inner), _gain(inner)
        self.dec_block2, self.gamma_4 = _residual(inner), _gain(inner)
        self.rec_conv = nn.Conv2d(inner, config.width, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def encode(self, x: Tensor) -> Tensor:
        """(B, D, h, w) -> logits (B, K, h / 4, w / 4)."""
        x = F.leaky_relu(self.conv1(x))
        x = F.avg_pool2d(x + self.gamma_1 * self.enc_block1(x), 2)
        x = F.avg_pool2d(x + self.gamma_2 * self.enc_block2(x), 2)
        return self.logit_conv(x)

    def decode(self, logits: Tensor) -> Tensor:
        """(B, K, h / 4, w / 4) -> (B, D, h, w)."""
        x = torch.einsum("bkhw,kd->bdhw", mixture(logits), self.codebook.weight)
        x = _upsample(F.leaky_relu(self.conv2(x)))
        x = _upsample(x + self.gamma_3 * self.dec_block1(x))
        return self.rec_conv(x + self.gamma_4 * self.dec_block2(x))


class ModalityCompletion(nn.Module):
    """Three autoencoders and the rule by which a sensor borrows the codes of the others."""

    def __init__(self, config: CompletionConfig) -> None:
        super().__init__()
        self.hr, self.s2, self.s1 = (CodeAutoencoder(config) for _ in SENSORS)

    def forward(self, features: tuple[Tensor, ...], present: Tensor) -> Completed:
        """Fill the gaps.

        Args:
            features: of each sensor (B, D, h, w), anything finite where it is absent; h and w multiples of 4.
            present: (B, M) bool.
        """
        models = (self.hr, self.s2, self.s1)
        logits = tuple(model.encode(x) for model, x in zip(models, features))
        there = [present[:, m, None, None, None] for m in range(len(SENSORS))]  # (B, 1, 1, 1) each
        known = [torch.where(flag, x, 0) for flag, x in zip(there, logits)]
        total = torch.stack(known).sum(dim=0)
        # The sum of the others' logits, not their mean: the released weights were trained so. An absent sensor adds 0.
        decoded = tuple(
            model.decode(torch.where(flag, own, total)) for model, flag, own in zip(models, there, known)
        )
        completed = tuple(torch.where(flag, x, made) for flag, x, made in zip(there, features, decoded))
        return Completed(completed, decoded, logits, code_divergence(logits, present))


def mixture(logits: Tensor) -> Tensor:
    """Share of each code at each position: (B, K, h, w)."""
    return torch.softmax(logits * SHARPNESS, dim=1)


def code_divergence(logits: tuple[Tensor, ...], present: Tensor) -> Tensor:
    """A sixth of the symmetric Kullback-Leibler divergences between sensors that are both there, summed over pairs."""
    log_p = [F.log_softmax(x, dim=1) for x in logits]
    total = logits[0].new_zeros(())
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = present[:, i] & present[:, j]
        divergence = ((log_p[i].exp() - log_p[j].exp()) * (log_p[i] - log_p[j])).sum(dim=(1, 2, 3))  # (B,)
        total = total + torch.where(both, divergence, 0).mean()
    return total / 6


def _residual(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU()
    )


def _gain(width: int) -> nn.Parameter:
    return nn.Parameter(torch.full((1, width, 1, 1), GAIN_START))


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
