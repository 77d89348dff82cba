"""The loop and the arithmetic that all stages share: standardised targets, regression, ridge start, rotation.

Legend: P rows (pixels, cells or tokens), C channels, B samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skysense.models.skysense.vit import UPHead

from .settings import DistillSettings


def train(
    name: str,
    parts: Sequence[nn.Module],
    loss: Callable[[Tensor], Tensor],
    batches: Iterator[Tensor],
    steps: int,
    lr: float,
    settings: DistillSettings,
) -> None:
    """AdamW over what wants gradients in `parts`, cosine schedule; one line of progress every 50 steps."""
    for part in parts:
        part.train()
    parameters = [parameter for part in parts for parameter in part.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    begin = time.monotonic()
    recent: list[float] = []
    for step, batch in enumerate(batches, start=1):
        optimizer.zero_grad()
        value = loss(batch)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimizer.step()
        schedule.step()
        recent.append(value.item())
        if step % 50 == 0 or step == steps:
            print(f"{name} {step}/{steps} loss {np.mean(recent):.4f} {time.monotonic() - begin:.0f} s", flush=True)
            recent = []
    for part in parts:
        part.eval()


@dataclass(frozen=True)
class Standardise:
    """Channels at mean 0 and deviation 1."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Standardise:
        return cls(rows.mean(dim=0), rows.std(dim=0).clamp(min=1e-4))

    def __call__(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) / self.deviation


def regression(found: Tensor, target: Tensor) -> Tensor:
    """Smooth L1 over channels plus one minus the cosine of each row (P, C)."""
    return F.smooth_l1_loss(found, target) + 1 - F.cosine_similarity(found, target, dim=1).mean()


def ridge(rows: Tensor, targets: Tensor, penalty: float = 1e-2) -> nn.Linear:
    """The linear map (P, C) -> (P, C') of least squares, penalty relative to the mean variance."""
    mean = rows.mean(dim=0)
    centred = (rows - mean).double()
    gram = centred.T @ centred
    gram.diagonal().add_(penalty * gram.diagonal().mean())
    weight = torch.linalg.solve(gram, centred.T @ targets.double()).T.float()
    head = nn.Linear(rows.shape[1], targets.shape[1])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(targets.mean(dim=0) - weight @ mean)
    return head


def principal_axes(rows: Tensor) -> Tensor:
    """Unit rows (C, C), strongest first."""
    return torch.linalg.eigh(torch.cov(rows.T.double()))[1].T.flip(0).float()


@torch.no_grad()
def rotate(head: UPHead, features: Tensor) -> None:
    """Turn a head's outputs to their principal components, weakest first, at mean 0 and unit power.

    Weakest first because those of HR lie strongest first: the strong ones of both sensors then stand on different
    channels of the sum that goes around the fusion.
    """
    sample = rows(features)
    axes = principal_axes(sample).flip(0) / sample.std(dim=0).square().mean().sqrt()
    convolution, width, cells = head.convolution, len(axes), head.up**2
    weight = convolution.weight.reshape(width, cells, -1)  # output channel, position inside the token
    convolution.weight.copy_(torch.einsum("ij,jkl->ikl", axes, weight).reshape_as(convolution.weight))
    if convolution.bias is not None:
        bias = convolution.bias.reshape(width, cells) - sample.mean(dim=0)[:, None]
        convolution.bias.copy_((axes @ bias).flatten())


def rows(maps: Tensor) -> Tensor:
    """(B, C, …) -> (B * …, C)."""
    return maps.flatten(2).transpose(1, 2).flatten(0, 1)


def turn(x: Tensor, symmetry: int, back: bool = False) -> Tensor:
    """One of the eight symmetries of a square, or its inverse."""
    if back:
        x = torch.rot90(x, -(symmetry % 4), dims=(-2, -1))
        return x.flip(-1) if symmetry >= 4 else x
    x = x.flip(-1) if symmetry >= 4 else x
    return torch.rot90(x, symmetry % 4, dims=(-2, -1))


def draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))


def uniform(generator: torch.Generator) -> float:
    return float(torch.rand(1, generator=generator))


def choose(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    """Indices of so many of `count`, none twice."""
    return torch.randperm(count, generator=generator)[:wanted]
