"""What every size and every batch must keep: shapes, masks, ragged dates, missing bands and sensors, tiles."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from skysense.models.interface import SENSOR_ORDER, FeatureMap, SceneBatch
from skysense.models.skysense.dynamic_world_stem import DynamicWorldStem
from skysense.models.skysense.model import SkySense
from skysense.models.skysense.normalise import S2_MEAN, S2_SCALE, S2_STD
from skysense.models.skysense.presets import PRESETS, nano

OFFICIAL_HUGE = {
    "hr_encoder": 655_079_632,
    "s2_encoder": 302_738_432,
    "s1_encoder": 302_607_360,
    "s2_head": 46_182_400,
    "s1_head": 46_182_400,
    "fusion": 305_195_008,
    "dates": 1_027_840,
}


@pytest.fixture(scope="module")
def model() -> SkySense:
    """Nano with every weight away from its start, so that a branch that starts at zero shows its faults."""
    torch.manual_seed(0)
    model = nano().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or parameter.abs().max() == 0:
                parameter.add_(0.1 * torch.randn_like(parameter))
        assert model.geo_context is not None
        model.geo_context.bank.normal_()
    return model


def scene(seed: int = 0, hr: tuple[int, int] = (128, 128), low: tuple[int, int] = (16, 16)) -> SceneBatch:
    g = torch.Generator().manual_seed(seed)
    return SceneBatch(
        hr=torch.rand(2, 4, *hr, generator=g),
        s2=torch.rand(2, 3, 10, *low, generator=g) * 0.5,
        s2_days=torch.tensor([[5, 180, 366], [1, 0, 60]]),
        s1=-20 * torch.rand(2, 2, 2, *low, generator=g),
        s1_days=torch.tensor([[5, 180], [1, 60]]),
        lonlat=torch.tensor([[9.0, 52.0], [float("nan"), float("nan")]]),
    )


def only(batch: SceneBatch, sensors: tuple[str, ...]) -> SceneBatch:
    absent = {sensor: None for sensor in SENSOR_ORDER if sensor not in sensors}
    return replace(batch, **absent)


@torch.no_grad()
def run(model: SkySense, batch: SceneBatch) -> dict[str, FeatureMap]:
    return model(batch)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert a.shape == b.shape
    assert (a - b).abs().max() <= tolerance * b.abs().max()


SUBSETS = [subset for n in (1, 2, 3) for subset in itertools.combinations(SENSOR_ORDER, n)]


@pytest.mark.parametrize("sensors", SUBSETS, ids="+".join)
@pytest.mark.parametrize(("hr", "low"), [((128, 128), (16, 16)), ((101, 77), (7, 5)), ((8, 8), (1, 1))])
def test_maps_are_what_the_card_says(
    model: SkySense, sensors: tuple[str, ...], hr: tuple[int, int], low: tuple[int, int]
) -> None:
    batch = only(scene(hr=hr, low=low), sensors)
    found = run(model, batch)
    info = model.info
    assert set(found) == {name for name, level in info.levels.items() if level.sensor in ("", *sensors)}
    for name, feature in found.items():
        sensor = info.levels[name].sensor or sensors[0]
        pixels = getattr(batch, sensor).shape[-2:]
        assert feature.stride == (info.strides[sensor] if name == "fused" else info.levels[name].stride)
        assert feature.values.shape[1] == info.levels[name].channels
        assert feature.values.shape[-2:] == tuple(-(-side // feature.stride) for side in pixels)
        assert torch.isfinite(feature.values).all()


def test_nano_is_small_enough() -> None:
    assert nano().info.parameters <= 7_400_000


@pytest.mark.parametrize("size", PRESETS)
def test_sizes_are_counted_without_memory(size: str) -> None:
    with torch.device("meta"):
        model = PRESETS[size]()
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert model.info.parameters == sum(counts.values()) + model.geo_context.bank.numel()
    if size == "huge":
        assert {name: counts[name] for name in OFFICIAL_HUGE} == OFFICIAL_HUGE
        assert model.geo_context.bank.shape == (4096, 100, 1024)


def test_padding_of_a_ragged_series_changes_nothing(model: SkySense) -> None:
    batch = only(scene(), ("s2",))
    padded = replace(
        batch,
        s2=torch.cat([batch.s2, torch.full_like(batch.s2[:, :2], float("nan"))], dim=1),
        s2_days=torch.cat([batch.s2_days, torch.full((2, 2), 200)], dim=1),
        s2_dates_valid=torch.tensor([[True] * 3 + [False] * 2] * 2),
        s2_valid=torch.tensor([True] * 3 + [False] * 2)[None, :, None, None].expand(2, 5, 16, 16),
    )
    close(run(model, padded)["fused"].values, run(model, batch)["fused"].values)


def test_a_level_holds_the_bands_of_each_pixel(model: SkySense) -> None:
    """Mean over the dates that saw it, in the encoder's units, then its course over the year; no network in between."""
    batch = only(scene(), ("s2",))
    cloudy = torch.ones(2, 3, 16, 16, dtype=torch.bool)
    cloudy[0, 1, 5, 6] = False
    found = run(model, replace(batch, s2_valid=cloudy))["s2_bands"]
    assert found.stride == 1 and found.values.shape == (2, 10 * (1 + 2 * 2), 16, 16)
    standard = (batch.s2 * S2_SCALE - torch.tensor(S2_MEAN)[:, None, None]) / torch.tensor(S2_STD)[:, None, None]
    close(found.values[1, :10], standard[1].mean(dim=0))
    close(found.values[0, :10, 5, 6], standard[0, [0, 2], :, 5, 6].mean(dim=0))
    assert found.values[0, 10:].abs().max() > 0.01
    alone = run(model, replace(batch, s2=batch.s2[:, :1], s2_days=batch.s2_days[:, :1]))["s2_bands"].values
    close(alone[:, :10], standard[:, 0])
    assert not alone[:, 10:].any()


def test_order_of_dates_changes_nothing(model: SkySense) -> None:
    batch = only(scene(), ("s2",))
    order = torch.tensor([2, 0, 1])
    shuffled = replace(batch, s2=batch.s2[:, order], s2_days=batch.s2_days[:, order])
    close(run(model, shuffled)["fused"].values, run(model, batch)["fused"].values)


def test_dates_count_and_day_366_takes_the_last_code(model: SkySense) -> None:
    batch = only(scene(), ("s2",))
    first = run(model, replace(batch, s2_days=torch.full((2, 3), 365)))["fused"].values
    close(run(model, replace(batch, s2_days=torch.full((2, 3), 366)))["fused"].values, first)
    other = run(model, replace(batch, s2_days=torch.full((2, 3), 100)))["fused"].values
    unknown = run(model, replace(batch, s2_days=None))["fused"].values
    assert (other - first).abs().max() > 1e-3
    close(run(model, replace(batch, s2_days=torch.zeros(2, 3, dtype=torch.long)))["fused"].values, unknown)


def test_a_pixel_that_nobody_saw_changes_nothing(model: SkySense) -> None:
    batch = scene()
    hidden = torch.ones(2, 3, 16, 16, dtype=torch.bool)
    hidden[:, 1, :8, :8] = False
    masked = replace(batch, s2_valid=hidden)
    other = batch.s2.clone()
    other[:, 1, :, :8, :8] = float("nan")
    for sensors in (("s2",), ("hr", "s2", "s1")):
        found = run(model, only(replace(masked, s2=other), sensors))["fused"].values
        close(found, run(model, only(masked, sensors))["fused"].values)
        assert torch.isfinite(found).all()


def test_missing_bands_are_never_looked_at(model: SkySense) -> None:
    batch = scene()
    bands = torch.ones(2, 10, dtype=torch.bool)
    bands[:, [3, 7]] = False
    values = batch.s2.clone()
    values[:, :, [3, 7]] = float("nan")
    reduced = replace(batch, s2=values, s2_bands=bands)
    found = run(model, reduced)["fused"].values
    assert torch.isfinite(found).all()
    assert (found - run(model, batch)["fused"].values).abs().max() > 1e-3


def test_bands_missing_in_one_sample_leave_the_other_alone(model: SkySense) -> None:
    batch = only(scene(), ("s2",))
    bands = torch.ones(2, 10, dtype=torch.bool)
    bands[0, 3:] = False
    close(run(model, replace(batch, s2_bands=bands))["fused"].values[1], run(model, batch)["fused"].values[1])


def test_grey_picture_equals_three_times_the_same_band(model: SkySense) -> None:
    batch = only(scene(), ("hr",))
    grey = torch.full_like(batch.hr, float("nan"))
    grey[:, 0] = batch.hr[:, 0]
    one = replace(batch, hr=grey, hr_bands=torch.tensor([[True, False, False, False]] * 2))
    three = replace(batch, hr=batch.hr[:, [0, 0, 0, 3]], hr_bands=torch.tensor([[True, True, True, False]] * 2))
    close(run(model, one)["hr_16"].values, run(model, three)["hr_16"].values)


def test_unknown_location_has_no_context(model: SkySense) -> None:
    fused = run(model, scene())["fused"].values
    width = model.config.fusion.width
    assert fused[0, width:].abs().max() > 0
    assert fused[1, width:].abs().max() == 0
    elsewhere = replace(scene(), lonlat=torch.tensor([[-120.0, -30.0], [9.0, 52.0]]))
    other = run(model, elsewhere)["fused"].values
    close(other[:, :width], fused[:, :width])
    assert (other[0, width:] - fused[0, width:]).abs().max() > 1e-3


def test_coarse_sensor_lies_where_its_box_says(model: SkySense) -> None:
    """A box inside an array gives the features of that ground, whatever else the array covers beyond the halo."""
    halo, side = model.info.halo["s2"], 16
    whole = only(scene(low=(128, 128)), ("hr", "s2"))
    part = replace(whole, s2=whole.s2[..., 64 - halo : 64 + side + halo, 64 - halo : 64 + side + halo])
    whole_box, part_box = torch.tensor([[64.0, 64, 80, 80]] * 2), torch.tensor([[32.0, 32, 48, 48]] * 2)
    found = run(model, replace(part, s2_box=part_box))["fused"].values
    close(found, run(model, replace(whole, s2_box=whole_box))["fused"].values, tolerance=1e-4)
    elsewhere = run(model, replace(whole, s2_box=whole_box - 48))["fused"].values
    assert (found - elsewhere).abs().max() > 1e-2


def test_tiles_with_their_halo_equal_the_whole_picture_for_sentinel(model: SkySense) -> None:
    batch = replace(only(scene(low=(112, 128)), ("s2", "s1")), lonlat=None)
    whole = run(model, batch)["fused"].values
    halo, multiple = model.info.halo["s2"], model.info.tile_multiple["s2"]
    assert halo % multiple == 0
    tile = replace(batch, s2=batch.s2[..., multiple:, 2 * multiple :], s1=batch.s1[..., multiple:, 2 * multiple :])
    found = run(model, tile)["fused"].values[..., halo:, halo:]
    close(found, whole[..., multiple + halo :, 2 * multiple + halo :])


def test_a_missing_band_counts_as_what_the_others_let_expect() -> None:
    torch.manual_seed(0)
    stem = DynamicWorldStem(192)
    mixing = torch.randn(10, 10)
    stem.band_mean.normal_()
    stem.band_covariance.copy_(mixing @ mixing.T)
    x = torch.randn(2, 10, 3, 3)
    bands = torch.tensor([[True] * 10, [True] * 4 + [False] * 6])
    filled = stem.fill(x, bands)
    assert torch.equal(filled[0], x[0]) and torch.equal(filled[1, :4], x[1, :4])
    c, m = stem.band_covariance.double(), stem.band_mean.double()
    expected = m[4:] + c[4:, :4] @ torch.linalg.solve(c[:4, :4], x[1, :4, 1, 2].double() - m[:4])
    assert torch.allclose(filled[1, 4:, 1, 2].double(), expected, atol=1e-3)
    assert torch.allclose(stem.fill(x, torch.zeros(2, 10, dtype=torch.bool))[0, :, 0, 0], stem.band_mean, atol=1e-6)


def test_last_blocks_are_parts_of_the_model_and_prototypes_are_not_trained(model: SkySense) -> None:
    own = {id(parameter) for parameter in model.parameters()}
    last = [parameter for block in model.last_blocks() for parameter in block.parameters()]
    assert 0 < len(last) < len(own)
    assert {id(parameter) for parameter in last} <= own
    assert all("bank" not in name for name, _ in model.named_parameters())


def test_half_precision_weights_run(model: SkySense) -> None:
    half = nano().eval().to(torch.bfloat16)
    found = run(half, scene().to("cpu", torch.bfloat16))
    assert found["fused"].values.dtype == torch.bfloat16
    assert torch.isfinite(found["fused"].values).all()


def test_gradients_reach_every_encoder(model: SkySense) -> None:
    trained = nano().train()
    with torch.no_grad():  # blocks that start at zero would hide the rest
        for parameter in trained.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    trained(scene())["fused"].values.square().mean().backward()
    silent = [name for name, parameter in trained.named_parameters() if parameter.grad is None]
    assert silent == []
