"""S2: the stem inherits Dynamic World, the ViT learns Presto's pixels beside it. S1: towards S2.

The stem stays frozen. The ViT's blocks start as the identity and its head from a ridge fit of the stem's features and
the bands; training adds Presto's view of each pixel and the habit of missing bands, which are left out at random. No S1
teacher beats its control; the S2 features of the same place and nearest date are what radar is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skysense.models.interface import SceneBatch
from skysense.models.skysense.dynamic_world_stem import WIDTH as STEM_WIDTH
from skysense.models.skysense.dynamic_world_stem import DynamicWorldStem
from skysense.models.skysense.model import SkySense
from skysense.models.skysense.normalise import standardise_s2

from .data import Image, Site
from .regression import (
    Standardise,
    choose,
    draw,
    principal_axes,
    regression,
    ridge,
    rotate,
    rows,
    train,
    turn,
    uniform,
)
from .settings import DistillSettings
from .teachers import DYNAMIC_WORLD_WIDTH, PRESTO_WIDTH, DynamicWorld, Presto

TILE = 48  # pixels a side of what is learnt from at once: three frames, so that the stem sees a frame's surroundings
FRAME = 16  # pixels a side, as the nano ViTs see them
PRESTO_STEP = 11  # pixels of a tile from one that Presto saw to the next
CALIBRATION_TILES = 40
# Bands of a scene: all, Landsat's, RGB with near infrared, RGB, all but the red edge.
BAND_SETS = ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (0, 1, 2, 7, 8, 9), (0, 1, 2, 6), (0, 1, 2), (0, 1, 2, 6, 8, 9))


@dataclass(frozen=True)
class TaughtTiles:
    """Tiles of Sentinel-2 with what the teachers say of them."""

    values: Tensor  # (n, 10, 48, 48) reflectance
    bands: Tensor  # (n, 10) bool
    presto: Tensor  # (n, p, 128), every eleventh pixel
    dynamic_world: Tensor  # (n, 153, 48, 48)


def distill_s2(
    model: SkySense,
    places: Sequence[Site],
    presto: Presto,
    dynamic_world: DynamicWorld,
    settings: DistillSettings,
    generator: torch.Generator,
) -> None:
    tiles = _taught_tiles(places, presto, dynamic_world, settings, generator)
    _start(model, tiles, dynamic_world, choose(len(tiles.values), CALIBRATION_TILES, generator))
    scales = [Standardise.of(rows(x)) for x in (tiles.presto.transpose(1, 2), tiles.dynamic_world, _bands(tiles.values))]
    width = model.config.fusion.width_in
    heads = nn.ModuleList(nn.Linear(width, count) for count in (PRESTO_WIDTH, DYNAMIC_WORLD_WIDTH, len(BAND_SETS[0])))

    def loss(chosen: Tensor) -> Tensor:
        kept = torch.zeros(10, dtype=torch.bool)
        kept[list(BAND_SETS[draw(len(BAND_SETS), generator) if uniform(generator) < 0.5 else 0])] = True
        gain = 0.9 + 0.2 * torch.rand(len(chosen), 10, 1, 1, generator=generator)
        symmetry = draw(8, generator)
        seen = turn(tiles.values[chosen] * gain, symmetry)
        feature = turn(encode_s2(model, seen, tiles.bands[chosen] & kept), symmetry, back=True)
        pixels = rows(feature)
        there = tiles.bands[chosen].repeat_interleave(TILE * TILE, dim=0)
        own = scales[2](rows(_bands(tiles.values[chosen])))
        return (
            regression(heads[0](rows(feature.flatten(2)[..., ::PRESTO_STEP])), scales[0](tiles.presto[chosen].flatten(0, 1)))
            + regression(heads[1](pixels), scales[1](rows(tiles.dynamic_world[chosen])))
            + F.smooth_l1_loss(heads[2](pixels)[there], own[there])
        )

    batches = (choose(len(tiles.values), settings.tiles, generator) for _ in range(settings.s2_steps))
    parts = [model.s2_encoder, model.s2_head, heads]
    train("S2", parts, loss, batches, settings.s2_steps, settings.lr_s2, settings)
    chosen = choose(len(tiles.values), CALIBRATION_TILES, generator)
    with torch.no_grad():
        rotate(model.s2_head, encode_s2(model, tiles.values[chosen], tiles.bands[chosen]))


def distill_s1(
    model: SkySense, places: Sequence[Site], settings: DistillSettings, generator: torch.Generator
) -> None:
    radar, target = [], []
    with torch.no_grad():
        for optical, image in (pair for site in places for pair in site.pairs(settings.pair_days)):
            if min(optical.values.shape[1:]) >= FRAME:
                values, bands = torch.from_numpy(optical.values)[None], torch.from_numpy(optical.bands)[None]
                target.append(cut(encode_s2(model, values, bands)[0], FRAME))
                radar.append(cut(torch.from_numpy(image.values), FRAME))
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
    train("S1", parts, loss, batches, settings.s1_steps, settings.lr_s1, settings)
    chosen = choose(len(values), CALIBRATION_TILES * (TILE // FRAME) ** 2, generator)
    with torch.no_grad():
        rotate(model.s1_head, encode_s1(model, values[chosen]))


def encode_s2(model: SkySense, values: Tensor, bands: Tensor) -> Tensor:
    """(n, 10, H, W) reflectance, (n, 10) bool -> (n, D, H, W)."""
    return model.encode_series(SceneBatch(s2=values[:, None], s2_bands=bands), "s2")[:, 0]


def encode_s1(model: SkySense, values: Tensor) -> Tensor:
    """(n, 2, H, W) decibel -> (n, D, H, W)."""
    return model.encode_series(SceneBatch(s1=values[:, None]), "s1")[:, 0]


def cut(image: Tensor, side: int) -> Tensor:
    """(C, H, W) -> squares (n, C, side, side), incomplete ones left out."""
    squares = image.unfold(1, side, side).unfold(2, side, side)
    return squares.permute(1, 2, 0, 3, 4).flatten(0, 1)


@torch.no_grad()
def _taught_tiles(
    places: Sequence[Site],
    presto: Presto,
    dynamic_world: DynamicWorld,
    settings: DistillSettings,
    generator: torch.Generator,
) -> TaughtTiles:
    found: list[TaughtTiles] = []
    for image in _large_enough(places):
        values, bands = _complete(image)
        tiles = cut(torch.cat([values, dynamic_world(values[None])[0]]), TILE)
        tiles = tiles[choose(len(tiles), settings.tiles_per_image, generator)]
        own, world = tiles[:, :10], tiles[:, 10:]
        pixels = own.flatten(2).transpose(1, 2)[:, ::PRESTO_STEP].reshape(-1, 1, 10)  # (n * p, T = 1, 10)
        embedding = torch.cat([presto(part, None, bands) for part in torch.split(pixels, 4096)])
        found.append(
            TaughtTiles(own, bands.expand(len(tiles), -1), embedding.reshape(len(tiles), -1, PRESTO_WIDTH), world)
        )
    return TaughtTiles(
        values=torch.cat([tiles.values for tiles in found]),
        bands=torch.cat([tiles.bands for tiles in found]),
        presto=torch.cat([tiles.presto for tiles in found]),
        dynamic_world=torch.cat([tiles.dynamic_world for tiles in found]),
    )


def _large_enough(places: Sequence[Site]) -> Iterator[Image]:
    return (image for site in places for image in site.s2 if min(image.values.shape[1:]) >= TILE)


def _complete(image: Image) -> tuple[Tensor, Tensor]:
    """Even sides, and a missing narrow infrared (B8A) as the broad one (B8) for the teachers; which bands are there."""
    height, width = (side // 2 * 2 for side in image.values.shape[1:])
    values, bands = torch.from_numpy(image.values[:, :height, :width]).clone(), torch.from_numpy(image.bands)
    if not bands[7]:
        values[7] = values[6]
    return values, bands


@torch.no_grad()
def _start(model: SkySense, tiles: TaughtTiles, dynamic_world: DynamicWorld, chosen: Tensor) -> None:
    """Tokens hold the stem's features and the pixels of every band; the head gives back their main components."""
    encoder = model.s2_encoder
    if not isinstance(encoder.stem, DynamicWorldStem):
        raise ValueError(f"{model.info.label} has no stem that could inherit Dynamic World.")
    dynamic_world.fill(encoder.stem)
    encoder.stem.requires_grad_(False)
    encoder.stem.projection.requires_grad_(True)
    complete = tiles.bands.all(dim=1)
    pixels = rows(_bands(tiles.values[complete if complete.any() else tiles.bands[:, 0]]))
    encoder.stem.band_mean.copy_(pixels.mean(dim=0))
    encoder.stem.band_covariance.copy_(torch.cov(pixels.T) + 1e-4 * torch.eye(10))

    nn.init.eye_(encoder.stem.projection.weight[:, :, 0, 0])
    nn.init.zeros_(encoder.stem.projection.bias)  # type: ignore[arg-type]
    nn.init.zeros_(encoder.embedding.weight)
    patch = encoder.config.patch
    for band in range(10):
        for place in range(patch**2):
            encoder.embedding.weight[STEM_WIDTH + band * patch**2 + place, band, place // patch, place % patch] = 1.0
    for name, parameter in encoder.blocks.named_parameters():
        if name.endswith(("projection.weight", "mlp.2.weight")):
            parameter.zero_()

    x = _bands(tiles.values[chosen])
    stem = encoder.stem(x)
    tokens = rows(encoder.embedding(x) + stem)
    fine = F.interpolate(stem[:, :STEM_WIDTH], x.shape[-2:], mode="bilinear")
    wanted = torch.cat([fine, x], dim=1)  # (n, 154, 48, 48)
    axes = principal_axes(rows(wanted))[: model.config.fusion.width_in]
    main = F.conv2d(wanted, axes[:, :, None, None])
    fit = ridge(tokens, rows(F.pixel_unshuffle(main, model.s2_head.up)), penalty=1e-3)
    model.s2_head.convolution.weight.copy_(fit.weight[:, :, None, None])
    if model.s2_head.convolution.bias is not None:
        model.s2_head.convolution.bias.copy_(fit.bias)


def _bands(values: Tensor) -> Tensor:
    """Reflectance (n, 10, H, W) in the statistics of the encoder."""
    return standardise_s2(values[:, None], None, None)[:, 0]
