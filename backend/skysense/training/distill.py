"""Distillation of the bundled nano weights from open models, in minutes on one core.

    python -m skysense.training.distill --data DIR… --out FILE --lite0 PTH --lite2 PTH --presto FILE \\
        --dynamic-world FILE

1. HR on EfficientNet-Lite0, towards EfficientNet-Lite2 (`distillation/high_resolution.py`);
2. S2 towards Presto and Dynamic World, S1 towards S2 (`distillation/sentinel.py`);
3. fusion towards Presto's embedding of series, prototypes from the fused features (`distillation/fusion.py`).

Hinton et al., arXiv 1503.02531; feature regression as in FitNets, arXiv 1412.6550.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from skysense.models.skysense.model import SkySense
from skysense.models.skysense.presets import nano
from skysense.models.weights import save_weights, weights_digest

from .distillation.data import Image, Site, pictures, sites
from .distillation.fusion import distill_fusion
from .distillation.high_resolution import distill_hr
from .distillation.sentinel import distill_s1, distill_s2
from .distillation.settings import DistillSettings
from .distillation.teachers import DynamicWorld, EfficientNetLite, Lite0, Presto


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of pictures and series")
    parser.add_argument("--hold-out", nargs="*", default=[], help="parts of paths that are never read")
    parser.add_argument("--lite0", type=Path, required=True, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("--lite2", type=Path, required=True, help="efficientnet-lite2-9656183e.pth")
    parser.add_argument("--presto", type=Path, required=True, help="presto_f16.safetensors")
    parser.add_argument("--dynamic-world", type=Path, required=True, help="dynamic_world.safetensors")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)

    settings = DistillSettings(seed=given.seed)
    images, places = pictures(given.data, given.hold_out), sites(given.data, given.hold_out)
    teachers = Lite0(given.lite0), EfficientNetLite(given.lite2, 2), Presto(given.presto), DynamicWorld(given.dynamic_world)
    model = distill(images, places, *teachers, settings)
    card = {
        "model": model.info.key,
        "what": "short distillation of open models; no official SkySense weights",
        "licence": "GPL-2.0-or-later; contains layers of EfficientNet-Lite0 and Dynamic World (Apache-2.0)",
        "recipe": asdict(settings),
        "data": sorted(folder.name for folder in given.data),
        "held_out": given.hold_out,
        "teachers": {path.name: weights_digest(path) for path in (given.lite0, given.lite2, given.presto, given.dynamic_world)},
    }
    print(save_weights(model, given.out, card, torch.float16))


def distill(
    images: Sequence[Image],
    places: Sequence[Site],
    lite0: Lite0,
    lite2: EfficientNetLite,
    presto: Presto,
    dynamic_world: DynamicWorld,
    settings: DistillSettings,
) -> SkySense:
    """A nano model with all of its parts distilled. Same data, settings and machine: same weights."""
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    model = nano()
    distill_hr(model, images, lite0, lite2, settings, generator)
    distill_s2(model, places, presto, dynamic_world, settings, generator)
    distill_s1(model, places, settings, generator)
    distill_fusion(model, images, places, presto, settings, generator)
    return model.eval()


if __name__ == "__main__":
    main()
