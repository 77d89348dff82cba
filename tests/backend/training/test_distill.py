"""Teachers against their sources, and one whole distillation in miniature: real teachers, pictures made here."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from skysense.models.skysense.presets import nano
from skysense.training.distill import distill
from skysense.training.distillation.data import Image, Site, pictures
from skysense.training.distillation.regression import ridge, rotate, rows, turn
from skysense.training.distillation.settings import DistillSettings
from skysense.training.distillation.teachers import DynamicWorld, EfficientNetLite, Lite0, Presto

WEIGHTS = Path(__file__).parents[3].parent / "shared" / "weights"
needs_teachers = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the teachers' weights are not beside the checkout")


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Lite0:
    return Lite0(random_lite(tmp_path_factory.mktemp("lite"), 0))


@pytest.fixture(scope="module")
def lite2(tmp_path_factory: pytest.TempPathFactory) -> EfficientNetLite:
    return EfficientNetLite(random_lite(tmp_path_factory.mktemp("lite"), 2), 2)


def random_lite(folder: Path, size: int) -> Path:
    """Random weights in a file with the key names of the published one."""
    torch.manual_seed(0)
    model = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False)
    top = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    first = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    others = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
    others |= {"conv_pwl": "_project_conv", "bn3": "_bn2"}
    starts = np.cumsum([0, *(len(stage) for stage in model.blocks)])
    state = {}
    for key, value in model.state_dict().items():
        match = re.match(r"blocks\.(\d+)\.(\d+)\.(\w+)\.(.+)", key)
        if match:
            names = others if int(match[1]) else first
            key = f"_blocks.{starts[int(match[1])] + int(match[2])}.{names[match[3]]}.{match[4]}"
        else:
            layer, rest = key.split(".", 1)
            key = f"{top[layer]}.{rest}"
        state[key] = value
    path = folder / f"lite{size}.pth"
    torch.save(state, path)
    return path


def picture(seed: int, channels: int, side: int) -> np.ndarray:
    """Smooth random bands of 0..1."""
    noise = torch.rand(1, channels, side // 8, side // 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (side, side), mode="bicubic")[0].clamp(0, 1).numpy()


def test_inherited_stem_gives_the_teachers_maps_and_the_first_layers_means(lite0: Lite0) -> None:
    stem = nano().hr_encoder.stem  # training, as a new model does: the statistics stay inherited
    lite0.fill(stem)
    x = torch.from_numpy(picture(0, 3, 192))[None]
    normalised = torch.cat([x - 127 / 255, torch.rand(1, 1, 192, 192)], dim=1) * 255 / 128
    fine, coarse = stem.features(normalised)
    first = lite0.stem(torch.nn.functional.pad(normalised[:, :3], (1, 1, 1, 1)))[..., :96, :96]  # padded evenly
    at_8 = lite0(x)[0]
    inside = (..., slice(6, -6), slice(6, -6))  # zeros around the picture lie elsewhere
    assert (fine[:, :40] - at_8)[inside].abs().max() <= 1e-4 * at_8.abs().max()
    at_16 = lite0.blocks[3:](fine[:, :40])
    assert (coarse[:, :112] - at_16).abs().max() <= 1e-4 * at_16.abs().max()
    means = first.reshape(1, 32, 24, 4, 24, 4).mean(dim=(3, 5))
    assert torch.allclose(fine[:, 40:], means, atol=1e-5)
    windows = torch.nn.functional.avg_pool2d(means, 4, stride=2, padding=1, count_include_pad=False)
    assert torch.allclose(coarse[:, 112:], windows, atol=1e-5)


def test_untrained_stages_hand_on_what_the_stem_gives(lite0: Lite0) -> None:
    encoder = nano().eval().hr_encoder
    lite0.fill(encoder.stem)
    x = torch.from_numpy(picture(1, 4, 136))[None]
    for (_, tokens), start in zip(encoder.stream(x), encoder.stem(x)):
        assert torch.equal(tokens, start)


@needs_teachers
def test_dynamic_world_gives_the_logits_of_its_source() -> None:
    stored = load_file(WEIGHTS / "dynamic_world" / "reference_io.safetensors")
    teacher = DynamicWorld(WEIGHTS / "dynamic_world" / "dynamic_world.safetensors")
    with torch.no_grad():
        found = teacher.layers(stored["input"])[:, 144:]
    assert (found - stored["logits"]).abs().max() < 1e-4


@needs_teachers
def test_presto_leaves_out_what_is_missing() -> None:
    presto = Presto(WEIGHTS / "presto" / "presto_f16.safetensors")
    s2, bands = torch.rand(5, 3, 10) * 0.4, torch.ones(10, dtype=torch.bool)
    bands[7] = False
    spoilt = s2.clone()
    spoilt[..., 7] = 9.0
    assert torch.equal(presto(s2, None, bands), presto(spoilt, None, bands))
    assert not torch.allclose(presto(s2, None, bands), presto(s2, torch.full((5, 3, 2), -12.0), bands))


@pytest.mark.parametrize("symmetry", range(8))
def test_every_symmetry_has_its_inverse(symmetry: int) -> None:
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    assert torch.equal(turn(turn(x, symmetry), symmetry, back=True), x)


def test_ridge_finds_a_linear_map() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(500, 6, generator=generator), torch.randn(3, 6, generator=generator)
    head = ridge(x + 4, x @ weight.T + 2, penalty=1e-6)
    assert torch.allclose(head(x + 4), x @ weight.T + 2, atol=1e-3)


def test_rotated_head_gives_uncorrelated_channels_weakest_first() -> None:
    torch.manual_seed(0)
    model = nano()
    tokens = torch.randn(40, 192, 4, 4)
    with torch.no_grad():
        rotate(model.s2_head, model.s2_head(tokens))
        found = rows(model.s2_head(tokens))
    covariance = torch.cov(found.T)
    assert found.mean(dim=0).abs().max() < 1e-4
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-3
    assert (covariance.diag().diff() > -1e-4).all()


@needs_teachers
def test_distillation_fills_every_part_and_repeats_itself(lite0: Lite0, lite2: EfficientNetLite) -> None:
    presto = Presto(WEIGHTS / "presto" / "presto_f16.safetensors")
    world = DynamicWorld(WEIGHTS / "dynamic_world" / "dynamic_world.safetensors")
    images = [Image(Path("a.png"), picture(1, 4, 160), np.ones(4, bool), None)]
    days = [date(2021, month, 1) for month in (3, 6, 9)]
    all_bands = np.ones(10, bool)
    s2 = tuple(Image(Path("s2"), picture(day.month, 10, 48) * 0.4, all_bands, day) for day in days)
    s1 = tuple(Image(Path("s1"), picture(day.month, 2, 48) * -20, np.ones(2, bool), day) for day in days)
    settings = replace(
        DistillSettings(), hr_steps=4, hr_crop_px=64, hr_crops=1, s2_steps=2, s1_steps=2, fusion_steps=2, tiles=1, frames=4, positions=32
    )
    first, second = (distill(images, [Site(s2, s1)], lite0, lite2, presto, world, settings) for _ in range(2))
    start = nano().state_dict()
    for name, value in first.state_dict().items():
        assert torch.isfinite(value).all(), name
        assert torch.equal(value, second.state_dict()[name]), name
    for part in ("hr_encoder.stages", "s2_encoder", "s1_encoder", "fusion.blocks", "dates", "geo_context.bank"):
        moved = [name for name in start if name.startswith(part) and not torch.equal(start[name], first.state_dict()[name])]
        assert moved, part


def test_held_out_paths_are_never_read(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "zanzibar_a.png").write_bytes(b"no picture at all")
    assert pictures([tmp_path], hold_out=["zanzibar"]) == []
