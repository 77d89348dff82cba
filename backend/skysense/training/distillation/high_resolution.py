"""HR: the stem inherits EfficientNet-Lite0 and stays frozen; the Swin stages learn the larger EfficientNet-Lite2.

The teacher sees the same augmented view, and the same at half its size: what it says of the wider surroundings. The
blocks start as the identity (gain 0) and the stem's channels must stay what they are, so that all that is learnt adds to
them. Heads start from a ridge fit and read the stream before the output norm, which would hide magnitudes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skysense.models.layers import ChannelAffine
from skysense.models.skysense.lite0_stem import Lite0Stem
from skysense.models.skysense.model import LateralSum, SkySense

from .data import Image
from .regression import Standardise, draw, principal_axes, regression, ridge, rows, train, turn, uniform
from .settings import DistillSettings
from .teachers import EfficientNetLite, Lite0

TAUGHT_LEVELS = (0, 1, 1)
FIT_VIEWS = 20  # batches that fit scales and heads
CALIBRATION_VIEWS = 40
SILENT = 1e-3  # deviation of a channel


def distill_hr(
    model: SkySense,
    images: Sequence[Image],
    lite0: Lite0,
    lite2: EfficientNetLite,
    settings: DistillSettings,
    generator: torch.Generator,
) -> None:
    encoder, stem = model.hr_encoder, lite0_stem(model)
    lite0.fill(stem)
    stem.requires_grad_(False)
    _standardise_stem(model, stem, views(images, settings, generator, FIT_VIEWS))

    with torch.no_grad():
        found: list[tuple[list[Tensor], list[Tensor]]] = []
        for view in views(images, settings, generator, FIT_VIEWS):
            streams = encoder.through_stages(*stem(model_input(model, view)))
            found.append(([tokens.flatten(0, 2) for _, tokens in streams], taught(lite2, view)))
        targets = [torch.cat([rows(maps[i]) for _, maps in found]) for i in range(len(TAUGHT_LEVELS))]
        scales = [Standardise.of(target) for target in targets]
        heads = nn.ModuleList(
            ridge(torch.cat([tokens[level] for tokens, _ in found]), scale(target))
            for level, scale, target in zip(TAUGHT_LEVELS, scales, targets)
        )

    def loss(view: Tensor) -> Tensor:
        with torch.no_grad():
            own = stem(model_input(model, view))
            wanted = [scale(rows(target)) for scale, target in zip(scales, taught(lite2, view))]
        streams = [tokens for _, tokens in encoder.through_stages(*own)]
        kept = [F.smooth_l1_loss(tokens, start) for tokens, start in zip(streams, own)]
        learnt = [
            regression(head(streams[level].flatten(0, 2)), target)
            for level, head, target in zip(TAUGHT_LEVELS, heads, wanted)
        ]
        return torch.stack([*kept, *learnt]).sum()

    batches = views(images, settings, generator, settings.hr_steps)
    train("HR", [encoder, heads], loss, batches, settings.hr_steps, settings.lr_hr, settings)
    _calibrate(model, views(images, settings, generator, CALIBRATION_VIEWS))


def taught(teacher: EfficientNetLite, view: Tensor) -> list[Tensor]:
    """The teacher's maps, each on the grid of its level in `TAUGHT_LEVELS`: of the view, and of its half size."""
    half = F.interpolate(view, scale_factor=0.5, mode="bilinear", antialias=True)
    fine, coarse = teacher(half)
    surroundings = torch.cat([fine, F.interpolate(coarse, fine.shape[-2:], mode="bilinear")], dim=1)
    return [*teacher(view), surroundings]


def views(
    images: Sequence[Image], settings: DistillSettings, generator: torch.Generator, steps: int
) -> Iterator[Tensor]:
    """Batches of augmented crops (B, 3, side, side) of 0..1."""
    for _ in range(steps):
        yield torch.stack([_crop(images, settings.hr_crop_px, settings, generator) for _ in range(settings.hr_crops)])


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
    """The streams start from the inherited channels at mean 0 and deviation 1."""
    found = [stem.features(model_input(model, view)) for view in batches]
    for level, output in enumerate((stem.fine, stem.coarse)):
        _standardise(output, torch.cat([rows(maps[level]) for maps in found]))


def _standardise(output: ChannelAffine, values: Tensor) -> None:
    """Mean 0 and deviation 1; some inherited channels never fire, and stay as they are."""
    scale = Standardise.of(values)
    deviation = torch.where(scale.deviation > SILENT, scale.deviation, 1.0)
    output.scale.copy_(1 / deviation)
    output.shift.copy_(-scale.mean / deviation)


@torch.no_grad()
def _calibrate(model: SkySense, batches: Iterator[Tensor]) -> None:
    """Returned maps get mean 0 and deviation 1; the neck projects them onto their principal components."""
    found = [[tokens for _, tokens in model.hr_encoder.stream(model_input(model, view))] for view in batches]
    outputs = [output for output in model.hr_encoder.outputs.values() if isinstance(output, ChannelAffine)]
    for level, output in enumerate(outputs):
        _standardise(output, torch.cat([maps[level].flatten(0, 2) for maps in found]))
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
