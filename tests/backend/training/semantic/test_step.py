"""Steps of masked semantic learning on a small model: the loss falls, frozen parts stay, absent sensors do no harm."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from skysense.errors import ModelError
from skysense.models.skysense.annotation import SemanticConfig
from skysense.models.skysense.completion import CompletionConfig
from skysense.models.skysense.fusion import FusionConfig
from skysense.models.skysense.plus_plus import PlusPlusConfig, PromptedPair, SkySensePlusPlus
from skysense.models.skysense.swin_v2 import SwinV2Config
from skysense.models.skysense.uper_head import UPerHeadConfig
from skysense.models.skysense.vit import ViTConfig
from skysense.training.semantic.batches import draw_parts
from skysense.training.semantic.mosaic import Annotated
from skysense.training.semantic.settings import SemanticSettings
from skysense.training.semantic.step import SemanticLearning, losses

VIT = ViTConfig(channels=10, width=16, depth=3, heads=4, image=16)
SEMANTIC = SemanticConfig(vocabulary=6, merge_after=2)
SMALL = PlusPlusConfig(
    hr=SwinV2Config(width=4, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=4),
    s2=VIT,
    s1=replace(VIT, channels=2),
    hr_semantic=replace(SEMANTIC, attention=(8, 8, 8), attention_heads=1, merge_after=1),  # or a step takes seconds
    s2_semantic=SEMANTIC,
    s1_semantic=SEMANTIC,
    up=4,
    fusion=FusionConfig(width_in=32, width=16, depth=4, heads=4),
    head=UPerHeadConfig(widths=(4, 8, 16, 32, 16), classes=7, channels=8),
    completion=CompletionConfig(width=32, inner_width=8, code_width=6, codes=16),
)
SETTINGS = SemanticSettings(steps=100, warmup=1, learning_rate=1e-2, frozen_layers=3, precision="fp32", seed=0, vocabulary=6)


def model() -> SkySensePlusPlus:
    torch.manual_seed(0)
    return SkySensePlusPlus(SMALL)


def batch() -> PromptedPair:
    """What is labelled is bright in all sensors; the second sample has no Sentinel-1."""
    g = torch.Generator().manual_seed(1)
    low = torch.randint(0, 2, (2, 8, 4), generator=g)
    bright = low.float() - 0.5
    full = low.repeat_interleave(32, 1).repeat_interleave(32, 2).roll(2, dims=1)  # edges within patches
    return PromptedPair(
        hr=(2 * full.float() - 1)[:, None].expand(-1, 3, -1, -1) + 0.1 * torch.randn(2, 3, 256, 128, generator=g),
        labels=full * torch.tensor([2, 5])[:, None, None],
        hidden=torch.tensor([[[0], [1]]] * 2),
        s2=bright[:, None, None].expand(-1, 10, -1, -1, -1).clone(),
        s1=bright[:, None, None].expand(-1, 2, -1, -1, -1).clone(),
        present=torch.tensor([[True, True, True], [True, True, False]]),
    )


def test_the_loss_falls_on_one_batch() -> None:
    learning = SemanticLearning(model(), SETTINGS, torch.device("cpu"))
    found = [learning.learn([batch()], step) for step in range(6)]
    for part in ("total", "annotation", "completion"):
        values = [float(getattr(loss, part)) for loss in found]
        assert all(torch.isfinite(torch.tensor(values))) and values[-1] < 0.9 * values[0], (part, values)


def test_frozen_parameters_get_no_gradient_and_do_not_move_and_others_do() -> None:
    ours = model()
    before = {name: parameter.detach().clone() for name, parameter in ours.named_parameters()}
    learning = SemanticLearning(ours, SETTINGS, torch.device("cpu"))
    for step in range(2):  # a gain that starts near zero passes next to nothing in the first
        learning.learn([batch()], step)
    kept = ("hr_encoder.stem", "hr_encoder.stages.0", "hr_encoder.stages.1", "hr_encoder.stages.2.blocks.0")
    kept += ("s2_encoder.embedding", "s1_encoder.embedding", "s2_encoder.blocks", "s1_encoder.blocks")
    kept += ("fusion.blocks.2", "fusion.blocks.3")
    unused = ("s2_encoder.class_token", "s1_encoder.class_token")
    for name, parameter in ours.named_parameters():
        if name.startswith(kept):
            assert parameter.grad is None and torch.equal(parameter, before[name]), name
        elif name not in unused:
            assert parameter.grad is not None and not torch.equal(parameter, before[name]), name


def test_rates_follow_warm_up_fall_and_layer() -> None:
    settings = replace(SETTINGS, steps=10, warmup=2, learning_rate=1e-3)
    learning = SemanticLearning(model(), settings, torch.device("cpu"))
    groups = learning._optimizer.param_groups
    for step, share in ((0, 0.5), (9, 1 / 8)):
        learning.learn([batch()], step)
        assert max(group["lr"] for group in groups) == pytest.approx(1e-3 * share)
        assert all(group["lr"] == pytest.approx(1e-3 * share * group["rate_share"]) for group in groups)
    # Full rate, blocks of the last stages, the merging before them, position tables of ViTs of three blocks.
    assert {round(group["rate_share"], 4) for group in groups} == {1.0, 0.7, 0.49, 0.343, 0.2401}


def test_absent_sensors_cost_nothing_whatever_they_hold() -> None:
    ours, pair = model().eval(), batch()
    pair = replace(pair, present=torch.tensor([[True, False, False]] * 2))
    with torch.no_grad():
        without, noise = losses(ours, replace(pair, s2=None, s1=None)), losses(ours, pair)
    assert torch.allclose(without.total, noise.total, atol=1e-5) and without.completion > 0


def test_a_step_on_mosaics_in_two_parts_in_half_precision() -> None:
    g = torch.Generator().manual_seed(2)
    examples = [
        Annotated(
            torch.rand(4, 64, 64, generator=g), torch.randint(0, 3, (64, 64), generator=g), s1=torch.rand(2, 4, 4, generator=g)
        )
        for _ in range(8)
    ]
    settings = replace(SETTINGS, tile_px=128, batch=4, accumulate=2, precision="bf16")
    learning = SemanticLearning(model(), settings, torch.device("cpu"))
    found = learning.learn(draw_parts([examples], settings, 0), 0)
    assert torch.isfinite(found.total) and torch.isclose(found.total, found.annotation + found.completion)
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in learning.model.parameters())


def test_a_gradient_that_is_no_number_moves_nothing() -> None:
    ours = model()
    learning = SemanticLearning(ours, SETTINGS, torch.device("cpu"))
    before = ours.head.classify.weight.detach().clone()
    with pytest.raises(ModelError, match="no number any more at step 0"):
        learning.learn([replace(batch(), hr=torch.full((2, 3, 256, 128), torch.nan))], 0)
    assert torch.equal(ours.head.classify.weight, before)
