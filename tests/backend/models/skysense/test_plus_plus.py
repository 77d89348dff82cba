"""What holds of SkySense++ beyond the released numbers: dates, absent sensors, sizes, determinism."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from skysense.models.skysense.annotation import SemanticConfig
from skysense.models.skysense.colour_labels import colours_to_labels, labels_to_colours
from skysense.models.skysense.completion import CompletionConfig
from skysense.models.skysense.fusion import FusionConfig
from skysense.models.skysense.one_shot import read_query
from skysense.models.skysense.plus_plus import PlusPlusConfig, PromptedPair, SkySensePlusPlus
from skysense.models.skysense.presets import huge_plus_plus
from skysense.models.skysense.swin_v2 import SwinV2Config
from skysense.models.skysense.uper_head import UPerHeadConfig
from skysense.models.skysense.vit import ViTConfig

OFFICIAL = {
    "hr_encoder": 664_406_848,
    "s2_encoder": 302_559_248,
    "s1_encoder": 302_428_176,
    "s2_head": 46_182_400,
    "s1_head": 46_182_400,
    "fusion": 305_195_008,
    "head": 40_417_857,
    "completion": 102_083_328,
}


def small() -> SkySensePlusPlus:
    vit = ViTConfig(channels=10, width=16, depth=3, heads=4, image=16)
    semantic = SemanticConfig(vocabulary=6, merge_after=2)
    return SkySensePlusPlus(
        PlusPlusConfig(
            hr=SwinV2Config(width=4, depths=(1, 1, 1, 1), heads=(1, 2, 2, 4), window=4),
            s2=vit,
            s1=replace(vit, channels=2),
            hr_semantic=replace(semantic, attention=(8, 8, 8), attention_heads=4),
            s2_semantic=semantic,
            s1_semantic=semantic,
            up=4,
            fusion=FusionConfig(width_in=32, width=16, depth=2, heads=4),
            head=UPerHeadConfig(widths=(8, 8, 16, 32, 16), classes=7, channels=8),
            completion=CompletionConfig(width=32, inner_width=8, code_width=6, codes=16),
            dates=365,
        )
    )


@pytest.fixture(scope="module")
def model() -> SkySensePlusPlus:
    torch.manual_seed(0)
    return small().eval()


def pair(dates: int = 1) -> PromptedPair:
    g = torch.Generator().manual_seed(1)
    return PromptedPair(
        hr=torch.randn(2, 3, 256, 128, generator=g),
        labels=torch.randint(0, 7, (2, 256, 128), generator=g),
        hidden=torch.tensor([[[0], [1]]] * 2),
        s2=torch.randn(2, 10, dates, 8, 4, generator=g),
        s1=torch.randn(2, 2, dates, 8, 4, generator=g),
    )


@torch.no_grad()
def run(model: SkySensePlusPlus, batch: PromptedPair) -> torch.Tensor:
    return model(batch).logits


def test_full_size_has_the_released_number_of_parameters() -> None:
    with torch.device("meta"):
        model = huge_plus_plus()
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert counts == OFFICIAL and sum(counts.values()) == 1_809_455_265


def test_logits_of_every_pixel(model: SkySensePlusPlus) -> None:
    assert run(model, pair()).shape == (2, 7, 256, 128)


def test_hidden_labels_change_nothing(model: SkySensePlusPlus) -> None:
    batch = pair()
    other = batch.labels.clone()
    other[:, 128:] = 3
    assert torch.equal(run(model, replace(batch, labels=other)), run(model, batch))
    other[:, :128] = 3
    assert not torch.equal(run(model, replace(batch, labels=other)), run(model, batch))


@torch.no_grad()
def test_any_number_of_dates_with_codes_of_their_days(model: SkySensePlusPlus) -> None:
    model.dates.table.normal_(generator=torch.Generator().manual_seed(3))
    batch = pair(dates=3)
    assert run(model, batch).shape == (2, 7, 256, 128)

    def fused(day: int) -> torch.Tensor:
        return model(replace(batch, s2_days=torch.full((2, 2, 3), day))).fused

    assert (fused(10) - fused(200)).abs().max() > 1e-4
    assert torch.equal(fused(365), fused(366))


@pytest.mark.parametrize("absent", [("s2",), ("s1",), ("s2", "s1")])
def test_an_absent_sensor_needs_no_array_and_what_it_holds_changes_nothing(
    model: SkySensePlusPlus, absent: tuple[str, ...]
) -> None:
    batch = pair()
    present = torch.tensor([[True, "s2" not in absent, "s1" not in absent]] * 2)
    without = run(model, replace(batch, **dict.fromkeys(absent)))
    assert torch.allclose(run(model, replace(batch, present=present)), without, atol=1e-5)
    assert torch.isfinite(without).all()


def test_query_answers_in_the_examples_labels_and_always_the_same(model: SkySensePlusPlus) -> None:
    g = torch.Generator().manual_seed(2)
    example, queries = torch.randn(3, 128, 128, generator=g), torch.randn(2, 3, 128, 128, generator=g)
    labels = torch.zeros(128, 128, dtype=torch.long)
    labels[50:90, 30:100] = 4
    with torch.no_grad():
        first = read_query(model, example, labels, queries)
        assert torch.equal(read_query(model, example, labels, queries), first)
    assert first.shape == (2, 128, 128) and set(first.unique().tolist()) <= {0, 4}


def test_colours_come_back() -> None:
    colours = torch.tensor([[0, 0, 0], [255, 0, 0], [1, 2, 3], [255, 255, 255]], dtype=torch.uint8)
    image = colours.repeat(4, 1).reshape(1, 4, 4, 3)
    normalised = (image.permute(0, 3, 1, 2) / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    named = colours_to_labels(normalised, range(1, 65))
    assert named.labels.unique().tolist() == [0, 1, 2, 3]
    assert torch.equal(labels_to_colours(named.labels, named.colours), image)
    with pytest.raises(ValueError, match="more than the 2 labels"):
        colours_to_labels(normalised, [1, 2])
