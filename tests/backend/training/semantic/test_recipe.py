"""Rates and frozen parts at the released size, without its memory."""

from __future__ import annotations

import pytest
import torch

from skysense.models.skysense.plus_plus import SkySensePlusPlus
from skysense.models.skysense.presets import huge_plus_plus
from skysense.training.semantic.recipe import freeze, parameter_groups, rate_share
from skysense.training.semantic.settings import SemanticSettings

SETTINGS = SemanticSettings()


@pytest.fixture(scope="module")
def model() -> SkySensePlusPlus:
    with torch.device("meta"):
        model = huge_plus_plus()
    freeze(model, SETTINGS)
    return model


@pytest.mark.parametrize(
    ("name", "layer"),  # of 24; 25: the full rate
    [
        ("hr_encoder.stem.projection.weight", 0),
        ("hr_encoder.stages.0.blocks.0.mlp.0.weight", 1),
        ("hr_encoder.stages.1.merging.reduction.weight", 3),
        ("hr_encoder.stages.1.blocks.1.norm1.bias", 4),
        ("hr_encoder.stages.2.blocks.8.mlp.0.weight", 13),
        ("hr_encoder.stages.3.merging.norm.weight", 23),
        ("hr_encoder.stages.3.blocks.1.mlp.2.weight", 24),
        ("hr_encoder.annotation.vocabulary_token", 25),
        ("hr_encoder.attentions.0.project_in.weight", 25),
        ("hr_encoder.outputs.3.weight", 25),
        ("s2_encoder.positions", 0),
        ("s2_encoder.blocks.12.qkv.weight", 13),
        ("s1_encoder.blocks.23.qkv.weight", 24),
        ("s1_head.convolution.weight", 25),
        ("fusion.blocks.1.qkv.weight", 25),
        ("completion.hr.codebook.weight", 25),
        ("head.classify.weight", 25),
    ],
)
def test_each_layer_learns_at_a_share_of_the_next_ones_rate(model: SkySensePlusPlus, name: str, layer: int) -> None:
    model.get_parameter(name)
    assert rate_share(name, model.config, SETTINGS) == pytest.approx(0.7 ** (25 - layer))


def test_every_learning_parameter_is_in_one_group(model: SkySensePlusPlus) -> None:
    groups = parameter_groups(model, SETTINGS)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    for group in groups:
        vectors = {p.squeeze().ndim <= 1 for p in group["params"]}
        assert vectors == {group["weight_decay"] == 0} and group["weight_decay"] in (0, 0.04)


def test_frozen_are_the_parts_that_the_release_froze(model: SkySensePlusPlus) -> None:
    kept = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    expected = {f"hr_encoder.stages.2.blocks.{block}." for block in range(8)} | {"hr_encoder.stem.", "hr_encoder.stages.0."}
    expected |= {"hr_encoder.stages.1.", "s2_encoder.embedding.", "s1_encoder.embedding."}
    expected |= {f"{sensor}_encoder.blocks.{block}." for sensor in ("s2", "s1") for block in range(12)}
    expected |= {f"fusion.blocks.{block}." for block in range(2, 24)}
    assert kept == {name for name, _ in model.named_parameters() if name.startswith(tuple(expected))}
