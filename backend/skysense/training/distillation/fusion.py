"""Fusion and prototypes.

Around the skip that keeps every sensor's information, the transformer learns from a part of a series' dates what
Presto says of the whole series; where there is one token alone it learns to add nothing. Prototypes are centres of
the fused features, the same in every region: no region was seen often enough to have its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skysense.models.skysense.model import LateralSum, SkySense

from .data import Image, Site
from .high_resolution import model_input, views
from .regression import Standardise, choose, draw, regression, rows, train, uniform
from .sentinel import FRAME, encode_s1, encode_s2
from .settings import DistillSettings
from .teachers import PRESTO_DATES, PRESTO_WIDTH, Presto

HR_VIEWS = 30  # batches that give positions seen by one HR image alone
SERIES_PIXELS = 4096


@dataclass(frozen=True)
class TaughtSeries:
    """Pixels of one place: features of each date, and Presto's view of the whole series."""

    tokens: Tensor  # (P, N, D), S2 dates, then S1 dates
    optical: int  # how many of them are S2
    days: Tensor  # (N,)
    presto: Tensor  # (P, 128)

    def summary(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Sum over sensors of the mean over the dates that are there: (P, D)."""
        optical, radar = there[: self.optical], there[self.optical :]
        parts = (tokens[:, : self.optical][:, optical], tokens[:, self.optical :][:, radar])
        return torch.stack([part.mean(dim=1) for part in parts if part.shape[1]]).sum(dim=0)


def distill_fusion(
    model: SkySense,
    images: Sequence[Image],
    places: Sequence[Site],
    presto: Presto,
    settings: DistillSettings,
    generator: torch.Generator,
) -> None:
    fusion = model.fusion
    if fusion.skip is None or model.geo_context is None or not isinstance(model.hr_neck, LateralSum):
        raise ValueError(f"{model.info.label} lacks the skip, the neck or the prototypes that this stage fills.")
    with torch.no_grad():
        crops = views(images, settings, generator, HR_VIEWS)
        alone = torch.cat([rows(model.hr_neck(model.hr_encoder(model_input(model, view)))) for view in crops])
        series = [_taught(model, site, presto, generator) for site in places if _is_series(site)]
    if not series:
        raise ValueError("No folder holds a series of Sentinel-2 and Sentinel-1 of at most 24 dates.")
    scale = Standardise.of(torch.cat([one.presto for one in series]))
    head = nn.Linear(model.config.fusion.width, PRESTO_WIDTH)

    def loss(single: Tensor) -> Tensor:
        one = series[draw(len(series), generator)]
        chosen = choose(len(one.tokens), settings.positions, generator)
        there = torch.rand(len(one.days), generator=generator) < 0.2 + 0.6 * uniform(generator)
        there[draw(one.optical, generator)] = True
        tokens = one.tokens[chosen]
        found = fusion(
            tokens + model.dates(one.days[None]), there.expand(len(chosen), -1), one.summary(tokens, there)
        )
        added = fusion(single[:, None])
        return regression(head(found), scale(one.presto[chosen])) + F.mse_loss(added, torch.zeros_like(added))

    fusion.skip.requires_grad_(False)
    batches = (alone[choose(len(alone), settings.positions, generator)] for _ in range(settings.fusion_steps))
    train("fusion", [fusion, model.dates, head], loss, batches, settings.fusion_steps, settings.lr_fusion, settings)
    fusion.skip.requires_grad_(True)
    with torch.no_grad():
        fused = [fusion(alone[:, None], None, alone)]
        for one in series:
            there = torch.ones(len(one.days), dtype=torch.bool)
            fused.append(fusion(one.tokens + model.dates(one.days[None]), None, one.summary(one.tokens, there)))
        bank = model.geo_context.bank
        bank.copy_(centres(torch.cat(fused), bank.shape[1], generator).expand_as(bank))


def centres(points: Tensor, count: int, generator: torch.Generator, rounds: int = 20) -> Tensor:
    """k-means: (P, D) -> (count, D)."""
    found = points[choose(len(points), count, generator)]
    for _ in range(rounds):
        nearest = torch.cdist(points, found).argmin(dim=1)
        for i in range(count):
            if (nearest == i).any():
                found[i] = points[nearest == i].mean(dim=0)
    return found


def _is_series(site: Site) -> bool:
    return 1 < len(site.s2) <= PRESTO_DATES and len(site.s1) > 1 and min(site.s2[0].values.shape[1:]) >= FRAME


def _taught(model: SkySense, site: Site, presto: Presto, generator: torch.Generator) -> TaughtSeries:
    s2 = torch.stack([torch.from_numpy(image.values) for image in site.s2])  # (T, 10, H, W); missing bands stay out
    s1 = torch.stack([torch.from_numpy(image.values) for image in site.s1])  # (T', 2, H, W)
    bands = torch.from_numpy(site.s2[0].bands)
    features = [encode_s2(model, s2, bands.expand(len(s2), -1)), encode_s1(model, s1)]
    tokens = torch.cat([feature.flatten(2).permute(2, 0, 1) for feature in features], dim=1)  # (H * W, N, D)
    chosen = choose(len(tokens), SERIES_PIXELS, generator)
    optical, radar = (values.flatten(2).permute(2, 0, 1)[chosen] for values in (s2, s1))  # (P, T, bands)
    dates = min(optical.shape[1], radar.shape[1])  # Presto takes the sensors of one month together
    parts = zip(torch.split(optical[:, :dates], 512), torch.split(radar[:, :dates], 512))
    embedding = torch.cat([presto(a, b, bands) for a, b in parts])
    days = [image.day.timetuple().tm_yday if image.day else 0 for image in (*site.s2, *site.s1)]
    return TaughtSeries(tokens[chosen], optical.shape[1], torch.tensor(days), embedding)
