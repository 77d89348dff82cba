"""S2: one image at a time, towards Presto's pixels, Dynamic World's features and its own bands. S1: towards S2.

Bands are left out at random, so that any usual subset serves. No S1 teacher beats its control; the S2 features of the
same place and nearest date are what radar is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skysense.models.interface import SceneBatch
from skysense.models.skysense.model import SkySense

from .data import Site
from .regression import Standardise, choose, draw, regression, rotate, rows, train, turn, uniform
from .settings import DistillSettings
from .teachers import DYNAMIC_WORLD_WIDTH, PRESTO_WIDTH, DynamicWorld, Presto

FRAME = 16  # pixels a side, as the nano ViTs see them
PRESTO_STEP = 4  # pixels of a frame from one that Presto saw to the next
CALIBRATION_FRAMES = 200
# Bands of a scene: all, Landsat's, RGB with near infrared, RGB, all but the red edge.
BAND_SETS = ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (0, 1, 2, 7, 8, 9), (0, 1, 2, 6), (0, 1, 2), (0, 1, 2, 6, 8, 9))


@dataclass(frozen=True)
class Frames:
    """Frames of Sentinel-2 with what the teachers say of them."""

    values: Tensor  # (n, 10, 16, 16)
    bands: Tensor  # (n, 10) bool
    presto: Tensor  # (n, 64, 128), every fourth pixel
    dynamic_world: Tensor  # (n, 153, 16, 16)


def distill_s2(
    model: SkySense,
    places: Sequence[Site],
    presto: Presto,
    dynamic_world: DynamicWorld,
    settings: DistillSettings,
    generator: torch.Generator,
) -> None:
    frames = _taught_frames(places, presto, dynamic_world, settings, generator)
    own_bands = _standard_bands(frames.values, frames.bands)
    scale_presto = Standardise.of(frames.presto.flatten(0, 1))
    scale_world = Standardise.of(rows(frames.dynamic_world))
    width = model.config.fusion.width_in
    heads = nn.ModuleList(nn.Linear(width, count) for count in (PRESTO_WIDTH, DYNAMIC_WORLD_WIDTH, len(BAND_SETS[0])))

    def loss(chosen: Tensor) -> Tensor:
        kept = torch.zeros(10, dtype=torch.bool)
        kept[list(BAND_SETS[draw(len(BAND_SETS), generator) if uniform(generator) < 0.5 else 0])] = True
        gain = 0.85 + 0.3 * torch.rand(len(chosen), 10, 1, 1, generator=generator)
        symmetry = draw(8, generator)
        seen = turn(frames.values[chosen] * gain, symmetry)
        feature = turn(encode_s2(model, seen, frames.bands[chosen] & kept), symmetry, back=True)
        pixels = rows(feature)
        there = frames.bands[chosen].repeat_interleave(FRAME * FRAME, dim=0)
        return (
            regression(heads[0](rows(feature.flatten(2)[..., ::PRESTO_STEP])), scale_presto(frames.presto[chosen].flatten(0, 1)))
            + regression(heads[1](pixels), scale_world(rows(frames.dynamic_world[chosen])))
            + F.smooth_l1_loss(heads[2](pixels)[there], rows(own_bands[chosen])[there])
        )

    batches = (choose(len(frames.values), settings.frames, generator) for _ in range(settings.s2_steps))
    parts = [model.s2_encoder, model.s2_head, heads]
    train("S2", parts, loss, batches, settings.s2_steps, settings.lr_sentinel, settings)
    chosen = choose(len(frames.values), CALIBRATION_FRAMES, generator)
    rotate(model.s2_head, encode_s2(model, frames.values[chosen], frames.bands[chosen]))


def distill_s1(
    model: SkySense, places: Sequence[Site], settings: DistillSettings, generator: torch.Generator
) -> None:
    radar, target = [], []
    with torch.no_grad():
        for optical, image in (pair for site in places for pair in site.pairs(settings.pair_days)):
            if min(optical.values.shape[1:]) >= FRAME:
                values = cut(torch.from_numpy(optical.values))
                target.append(encode_s2(model, values, torch.from_numpy(optical.bands).expand(len(values), -1)))
                radar.append(cut(torch.from_numpy(image.values)))
    values, targets = torch.cat(radar), torch.cat(target)
    calm = F.avg_pool2d(F.pad(values, (2, 2, 2, 2), mode="reflect"), 5, 1)  # speckle is not worth learning
    scale_calm, scale_target = Standardise.of(rows(calm)), Standardise.of(rows(targets))
    width = model.config.fusion.width_in
    heads = nn.ModuleList((nn.Linear(width, width), nn.Linear(width, values.shape[1])))

    def loss(chosen: Tensor) -> Tensor:
        symmetry = draw(8, generator)
        pixels = rows(turn(encode_s1(model, turn(values[chosen], symmetry)), symmetry, back=True))
        optical = regression(heads[0](pixels), scale_target(rows(targets[chosen])))
        return optical + F.smooth_l1_loss(heads[1](pixels), scale_calm(rows(calm[chosen])))

    batches = (choose(len(values), settings.frames, generator) for _ in range(settings.s1_steps))
    parts = [model.s1_encoder, model.s1_head, heads]
    train("S1", parts, loss, batches, settings.s1_steps, settings.lr_sentinel, settings)
    with torch.no_grad():
        rotate(model.s1_head, encode_s1(model, values[choose(len(values), CALIBRATION_FRAMES, generator)]))


def encode_s2(model: SkySense, values: Tensor, bands: Tensor) -> Tensor:
    """(n, 10, H, W) reflectance, (n, 10) bool -> (n, D, H, W)."""
    return model.encode_series(SceneBatch(s2=values[:, None], s2_bands=bands), "s2")[:, 0]


def encode_s1(model: SkySense, values: Tensor) -> Tensor:
    """(n, 2, H, W) decibel -> (n, D, H, W)."""
    return model.encode_series(SceneBatch(s1=values[:, None]), "s1")[:, 0]


def cut(image: Tensor) -> Tensor:
    """(C, H, W) -> frames (n, C, 16, 16), incomplete ones left out."""
    frames = image.unfold(1, FRAME, FRAME).unfold(2, FRAME, FRAME)
    return frames.permute(1, 2, 0, 3, 4).flatten(0, 1)


@torch.no_grad()
def _taught_frames(
    places: Sequence[Site],
    presto: Presto,
    dynamic_world: DynamicWorld,
    settings: DistillSettings,
    generator: torch.Generator,
) -> Frames:
    found: list[Frames] = []
    for image in (image for site in places for image in site.s2 if min(image.values.shape[1:]) >= FRAME):
        values, bands = torch.from_numpy(image.values), torch.from_numpy(image.bands)
        frames = cut(torch.cat([values, dynamic_world(values[None])[0]]))
        frames = frames[choose(len(frames), settings.frames_per_image, generator)]
        own, world = frames[:, :10], frames[:, 10:]
        pixels = own.flatten(2).transpose(1, 2)[:, ::PRESTO_STEP].reshape(-1, 1, 10)  # (n * 64, T = 1, 10)
        embedding = torch.cat([presto(part, None, bands) for part in torch.split(pixels, 4096)])
        there = bands.expand(len(frames), -1)
        found.append(Frames(own, there, embedding.reshape(len(frames), -1, PRESTO_WIDTH), world))
    return Frames(
        values=torch.cat([frames.values for frames in found]),
        bands=torch.cat([frames.bands for frames in found]),
        presto=torch.cat([frames.presto for frames in found]),
        dynamic_world=torch.cat([frames.dynamic_world for frames in found]),
    )


def _standard_bands(values: Tensor, bands: Tensor) -> Tensor:
    """Bands at mean 0 and deviation 1 over the frames that have them."""
    there = bands[:, :, None, None].expand_as(values).to(values.dtype)
    count = there.sum(dim=(0, 2, 3))
    mean = (values * there).sum(dim=(0, 2, 3)) / count
    centred = values - mean[:, None, None]
    deviation = ((centred**2 * there).sum(dim=(0, 2, 3)) / count).sqrt()
    return centred / deviation[:, None, None]
