"""HR: the stem inherits EfficientNet-Lite0 up to stride 8 and stays frozen; the Swin stages learn Lite0's maps.

Lite0 sees the same augmented view. The blocks start as the identity (gain 0), the heads from a ridge fit; heads read
the stream before the output norm, which would hide magnitudes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skysense.models.skysense.lite0_stem import LITE0_WIDTH, Lite0Stem
from skysense.models.skysense.model import LateralSum, SkySense
from skysense.models.skysense.swin_v2 import ChannelAffine

from .data import Image
from .regression import Standardise, draw, principal_axes, regression, ridge, rows, train, turn, uniform
from .settings import DistillSettings
from .teachers import Lite0

FIT_VIEWS = 20  # batches that fit scales and heads
CALIBRATION_VIEWS = 40


def distill_hr(
    model: SkySense, images: Sequence[Image], teacher: Lite0, settings: DistillSettings, generator: torch.Generator
) -> None:
    encoder, stem = model.hr_encoder, lite0_stem(model)
    teacher.fill(stem)
    stem.requires_grad_(False)
    _standardise_stem(model, stem, views(images, settings, generator, FIT_VIEWS))

    def student(view: Tensor) -> list[Tensor]:
        return [tokens.flatten(0, 2) for _, tokens in encoder.stream(model_input(model, view))]

    with torch.no_grad():
        pairs = [(student(view), teacher(view)) for view in views(images, settings, generator, FIT_VIEWS)]
        targets = [torch.cat([rows(maps[level]) for _, maps in pairs]) for level in (0, 1)]
        scales = [Standardise.of(target) for target in targets]
        heads = nn.ModuleList(
            ridge(torch.cat([tokens[level] for tokens, _ in pairs]), scales[level](targets[level])) for level in (0, 1)
        )

    def loss(view: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = [scale(rows(level)) for scale, level in zip(scales, teacher(view))]
        found = [head(tokens) for head, tokens in zip(heads, student(view))]
        return torch.stack([regression(a, b) for a, b in zip(found, wanted)]).sum()

    batches = views(images, settings, generator, settings.hr_steps)
    train("HR", [encoder, heads], loss, batches, settings.hr_steps, settings.lr_hr, settings)
    _calibrate(model, views(images, settings, generator, CALIBRATION_VIEWS))


def views(
    images: Sequence[Image], settings: DistillSettings, generator: torch.Generator, steps: int
) -> Iterator[Tensor]:
    """Batches of augmented crops (B, 3, side, side) of 0..1; the last quarter of larger sides."""
    for step in range(steps):
        scale = 2 if step >= steps * 3 // 4 else 1
        side, count = settings.hr_crop_px * scale, max(1, settings.hr_crops // scale**2)
        yield torch.stack([_crop(images, side, settings, generator) for _ in range(count)])


def model_input(model: SkySense, rgb: Tensor) -> Tensor:
    """(B, 3, H, W) of 0..1 -> normalised (B, 4, H, W), near infrared absent."""
    mean, std = (rgb.new_tensor(values)[:, None, None] for values in (model.config.hr_mean, model.config.hr_std))
    x = (rgb - mean) / std
    return torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)


def lite0_stem(model: SkySense) -> Lite0Stem:
    if not isinstance(model.hr_encoder.stem, Lite0Stem):
        raise ValueError(f"{model.info.label} has no stem that could inherit EfficientNet-Lite0.")
    return model.hr_encoder.stem


def _crop(images: Sequence[Image], side: int, settings: DistillSettings, generator: torch.Generator) -> Tensor:
    image = images[draw(len(images), generator)].values[:3]
    height, width = image.shape[1:]
    low, high = settings.hr_zoom
    zoom = max(min(1.0, side / min(height, width)), low + (high - low) * uniform(generator))
    source = min(int(side / zoom), height, width)
    top, left = draw(height - source + 1, generator), draw(width - source + 1, generator)
    crop = torch.from_numpy(image[:, top : top + source, left : left + source])
    if source != side:
        crop = F.interpolate(crop[None], (side, side), mode="bilinear", antialias=True)[0]
    gain, brightness = 0.8 + 0.4 * torch.rand(3, 1, 1, generator=generator), 0.1 * (uniform(generator) - 0.5)
    return (turn(crop, draw(8, generator)) * gain + brightness).clamp(0, 1)


@torch.no_grad()
def _standardise_stem(model: SkySense, stem: Lite0Stem, batches: Iterator[Tensor]) -> None:
    """The stream starts from Lite0's 40 channels at mean 0 and deviation 1, then from mixtures of them."""
    channels = Standardise.of(torch.cat([rows(stem.features(model_input(model, view))) for view in batches]))
    mixtures = torch.randn(stem.projection.out_features - LITE0_WIDTH, LITE0_WIDTH) / math.sqrt(LITE0_WIDTH)
    weight = torch.cat([torch.eye(LITE0_WIDTH), mixtures]) / channels.deviation
    stem.projection.weight.copy_(weight)
    stem.projection.bias.copy_(-weight @ channels.mean)


@torch.no_grad()
def _calibrate(model: SkySense, batches: Iterator[Tensor]) -> None:
    """Returned maps get mean 0 and deviation 1; the neck projects them onto their principal components."""
    found = [[tokens for _, tokens in model.hr_encoder.stream(model_input(model, view))] for view in batches]
    outputs = [output for output in model.hr_encoder.outputs.values() if isinstance(output, ChannelAffine)]
    for level, output in enumerate(outputs):
        scale = Standardise.of(torch.cat([maps[level].flatten(0, 2) for maps in found]))
        output.scale.copy_(1 / scale.deviation)
        output.shift.copy_(-scale.mean / scale.deviation)
    if not isinstance(model.hr_neck, LateralSum):
        raise ValueError(f"{model.info.label} has no neck that joins HR levels.")
    axes = principal_axes(torch.cat([_joined([out(x) for out, x in zip(outputs, maps)]) for maps in found]))
    start = 0
    for lateral in model.hr_neck.laterals:
        weight = lateral.get_parameter("weight")
        weight.copy_(axes[: len(weight), start : start + weight.shape[1], None, None])  # strongest component first
        lateral.get_parameter("bias").zero_()
        start += weight.shape[1]


def _joined(levels: list[Tensor]) -> Tensor:
    """Levels (B, h_i, w_i, C_i) on the finest grid: (P, sum of C_i)."""
    size = levels[0].shape[1:3]
    maps = [level.permute(0, 3, 1, 2) for level in levels]
    return rows(torch.cat([F.interpolate(level, size, mode="bilinear") for level in maps], dim=1))
