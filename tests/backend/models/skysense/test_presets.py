"""One contract for every preset: any subset of sensors, ragged dates, odd sizes, missing bands.

The small presets run; of the large ones, shapes are followed without memory. Values of the same code on small sizes
are in `test_model.py`, and beside the released numbers in `tests/backend/parity`.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from skysense.models.interface import SENSOR_ORDER, SceneBatch
from skysense.models.skysense.model import SkySense
from skysense.models.skysense.presets import PRESETS

RUN = ("nano", "tiny")
SUBSETS = [subset for n in (1, 2, 3) for subset in itertools.combinations(SENSOR_ORDER, n)]
SIZES = [((256, 256), (16, 16)), ((133, 90), (9, 7)), ((31, 5), (1, 3))]


# One odd size shows the shapes of a large preset.
CASES = [(preset, hr, low) for preset in PRESETS for hr, low in (SIZES if preset in RUN else SIZES[1:2])]


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> SkySense:
    torch.manual_seed(0)
    with torch.device("cpu" if request.param in RUN else "meta"):
        return PRESETS[request.param]().eval()


def scene(hr: tuple[int, int], low: tuple[int, int], sensors: tuple[str, ...]) -> SceneBatch:
    """Two samples; series of three and two dates are padded to four, with NaN where nothing may look."""
    g = torch.Generator().manual_seed(0)
    there = torch.tensor([[True, True, True, False], [True, True, False, False]])
    s2 = torch.rand(2, 4, 10, *low, generator=g)
    s2[~there] = torch.nan
    bands = torch.ones(2, 10, dtype=torch.bool)
    bands[0, 4:] = False
    whole = SceneBatch(
        hr=torch.rand(2, 4, *hr, generator=g),
        hr_bands=torch.tensor([[True, True, True, False], [True, False, False, False]]),
        hr_days=torch.tensor([200, 0]),
        s2=s2,
        s2_bands=bands,
        s2_days=torch.tensor([[1, 100, 366, 0], [60, 0, 0, 0]]),
        s2_dates_valid=there,
        s2_valid=there[:, :, None, None].expand(2, 4, *low),
        s1=-15 + torch.rand(2, 1, 2, *low, generator=g),
        s1_bands=torch.tensor([[True, False], [True, True]]),
        s1_days=torch.tensor([[5], [366]]),
        lonlat=torch.tensor([[179.999, -89.9], [float("nan"), 0.0]]),
    )
    return replace(whole, **{sensor: None for sensor in SENSOR_ORDER if sensor not in sensors})


@pytest.mark.parametrize("sensors", SUBSETS, ids="+".join)
@pytest.mark.parametrize(("model", "hr", "low"), CASES, indirect=["model"])
@torch.no_grad()
def test_every_preset_keeps_the_contract(
    model: SkySense, sensors: tuple[str, ...], hr: tuple[int, int], low: tuple[int, int]
) -> None:
    device = next(model.parameters()).device
    batch = scene(hr, low, sensors)
    found = model(batch.to(device))
    info = model.info
    assert set(found) == {name for name, level in info.levels.items() if level.sensor in ("", *sensors)}
    for name, feature in found.items():
        sensor = info.levels[name].sensor or sensors[0]
        pixels = getattr(batch, sensor).shape[-2:]
        assert feature.values.shape[:2] == (2, info.levels[name].channels)
        assert feature.values.shape[-2:] == tuple(-(-side // feature.stride) for side in pixels)
        assert device.type == "meta" or torch.isfinite(feature.values).all()
